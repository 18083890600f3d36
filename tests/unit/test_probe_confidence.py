"""Confidence of models whose confidence is planted."""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import numpy as np
import pytest
from scipy import stats as scipy_stats

from entropydx.probes._spans import answer_tokens
from entropydx.probes.confidence import probe, span_probability
from entropydx.types import Completion, Group, Measured, Missing, Samples
from tests.unit.samples import completion, group, samples

Found = dict[str, Measured | Missing]


def _stating(
    answer: str | None, *, right: bool, probability: float = 0.5, text: str = "so A", tokens: Sequence[int] = ()
) -> Completion:
    """Return a completion of one-character tokens whose answer, its last characters, has a probability per token."""
    whole = text + (answer or "")
    ends = np.array(tokens or range(1, len(whole) + 1))
    logprobs = np.where(ends > len(text), log(probability), -9.0)
    return replace(
        completion(answer, right=right, text=whole),
        token_ids=np.zeros(len(ends), dtype=int),
        logprobs=logprobs,
        entropies=np.ones(len(ends)),
        offsets=ends,
        answer_span=None if answer is None else (len(text), len(whole)),
    )


def _group(number: int, answers: str, probability: float = 0.5, domain: str = "in") -> Group:
    """Return a prompt with one completion per character: R is right, - no answer, any other a wrong answer."""
    made = [_stating(None if a == "-" else a, right=a == "R", probability=probability) for a in answers]
    return group(number, made, domain=domain)


def _measure(groups: Sequence[Group], baseline: Sequence[Group] | None = None) -> Found:
    other = None if baseline is None else samples(baseline, fingerprint="g")
    return {m.name: m for m in probe.measure(samples(groups), other)}


def _get(found: Found, name: str) -> Measured:
    measured = found[f"confidence.{name}"]
    assert isinstance(measured, Measured), measured
    return measured


def _reason(found: Found, name: str) -> str:
    missing = found[f"confidence.{name}"]
    assert isinstance(missing, Missing), missing
    return missing.reason


def test_hand_counted_votes() -> None:
    groups = [_group(0, "RRRa"), _group(1, "aaab"), _group(2, "aaa-"), _group(3, "RRbb"), _group(4, "----")]
    found = _measure(groups)
    shares = [0.75, 0.75, 1.0, 0.5]
    assert _get(found, "modal_share").value == pytest.approx(np.mean(shares))
    assert _get(found, "modal_share").n == 4
    assert "4 levels" in str(_get(found, "modal_share").note)
    assert _get(found, "confidence_when_wrong").value == pytest.approx((0.75 + 1) / 2)
    outcomes = [1, 0, 0, 0.5]
    expected = np.mean([(s - o) ** 2 for s, o in zip(shares, outcomes, strict=True)])
    assert _get(found, "modal_brier").value == pytest.approx(expected)
    # RRRa: R of RR is 1/2 of Ra, tied R and a of Ra is (1 + 0)/2 of RR; correctness (1 + 1/2)/2. aaab alike, but wrong.
    # aaa: 1, wrong. RRbb: Rb ties on both halves, share 1/2, correctness 1/2.
    over = [0.5 - 0.75, 0.5, 1.0, 0.0]
    assert _get(found, "overconfidence").value == pytest.approx(np.mean(over))


def test_a_sure_and_wrong_model_has_the_planted_overconfidence_out_of_domain_only() -> None:
    def make(sure: bool) -> list[Group]:
        rng = np.random.default_rng(0)
        ours = [_group(i, "RRRRRRRR", 0.9) for i in range(20)]
        for i in range(20, 40):
            wrong = "a" * 8 if sure else "".join(rng.choice(list("abcdefgh"), 8))
            ours.append(_group(i, wrong, 0.9 if sure else 0.2, "out"))
        return ours

    found = _measure(make(True), make(False))
    assert _get(found, "overconfidence@in").value == 0
    out = _get(found, "overconfidence@out")
    assert out.value == 1
    assert out.delta is not None
    assert out.delta_ci is not None
    assert out.delta > 0.7
    assert out.delta_ci[0] > 0.5
    gap = _get(found, "overconfidence_out_minus_in")
    assert gap.value == 1
    assert gap.delta == pytest.approx(out.delta)
    assert gap.delta_ci is not None
    assert gap.delta_ci[0] > 0.5
    assert _get(found, "domain_gap").value == 1
    assert _get(found, "domain_gap").delta == 0
    assert _get(found, "span_overconfidence@out").value == pytest.approx(0.9)
    assert _get(found, "span_overconfidence@out").delta == pytest.approx(0.7)
    assert _get(found, "span_probability_when_wrong").value == pytest.approx(0.9)
    assert _get(found, "auroc").value == 0.5, "the same confidence whether right or wrong"
    assert _get(found, "ece@out").value == pytest.approx(0.9)
    assert _get(found, "brier").value == pytest.approx((0.01 + 0.81) / 2)


def test_a_model_that_knows_what_it_knows() -> None:
    rng = np.random.default_rng(1)
    groups = []
    for i in range(300):
        p = rng.uniform(0.1, 0.9)
        groups.append(_group(i, "".join("R" if rng.random() < p else "a" for _ in range(8)), p))
    found = _measure(groups)
    assert _get(found, "span_overconfidence").value == pytest.approx(0, abs=0.03)
    assert _get(found, "ece").value < 0.02
    outcomes = np.concatenate([[c.grade for c in g.completions] for g in groups])
    spans = np.concatenate([[span_probability(c) for c in g.completions] for g in groups])
    u = scipy_stats.mannwhitneyu(spans[outcomes == 1], spans[outcomes == 0]).statistic
    auroc = _get(found, "auroc")
    assert auroc.value == pytest.approx(u / (outcomes.sum() * (1 - outcomes).sum()))
    assert auroc.ci is not None
    assert auroc.ci[0] < auroc.value < auroc.ci[1]


def test_the_domain_gap_is_accuracy_in_less_out_with_its_paired_change() -> None:
    ours = [_group(i, "RRRa") for i in range(6)] + [_group(i, "Raaa", domain="out") for i in range(6, 12)]
    base = [_group(i, "RRaa") for i in range(6)] + [_group(i, "RRaa", domain="out") for i in range(6, 12)]
    gap = _get(_measure(ours, base), "domain_gap")
    assert (gap.value, gap.baseline, gap.delta) == (0.5, 0, 0.5)
    assert gap.delta_ci is not None


def test_the_change_of_the_gap_is_over_prompts_that_both_answer() -> None:
    ours = [_group(i, "RRRR") for i in range(6)] + [_group(i, "aaaa", domain="out") for i in range(6, 12)]
    base = [_group(i, "RRRR") for i in range(6)]
    base += [_group(i, "aaaa" if i < 9 else "----", domain="out") for i in range(6, 12)]
    gap = _get(_measure(ours, base), "overconfidence_out_minus_in")
    assert (gap.value, gap.baseline, gap.delta) == (1, 1, 0)


def test_the_span_is_the_tokens_that_write_the_answer() -> None:
    # "so A" and "42", in tokens "so", " A", "4", "2", then the stop token.
    made = replace(_stating("42", right=True, tokens=[2, 4, 5, 6, 6]), logprobs=np.log([0.9, 0.9, 0.5, 0.125, 0.1]))
    assert answer_tokens(made) == pytest.approx([False, False, True, True, False])
    assert span_probability(made) == pytest.approx(0.25)
    # A token that straddles the border belongs to it, and so do the first bytes of a character of several tokens.
    assert answer_tokens(replace(made, offsets=np.array([2, 3, 5, 6, 6]))) == pytest.approx(
        [False] * 2 + [True] * 2 + [False]
    )
    assert answer_tokens(replace(made, offsets=np.array([2, 4, 4, 5, 6]))) == pytest.approx([False] * 2 + [True] * 3)
    assert span_probability(replace(made, logprobs=np.full(5, np.nan))) is None
    assert span_probability(replace(made, answer_span=None)) is None
    assert span_probability(replace(made, offsets=None)) is None


def test_without_out_of_domain_prompts_the_contrast_is_missing_and_says_what_would_settle_it() -> None:
    found = _measure([_group(i, "RRaa") for i in range(4)])
    for name in ("overconfidence@out", "ece@out", "overconfidence_out_minus_in", "domain_gap"):
        assert "`domain: out` would tell" in _reason(found, name)
    assert _get(found, "overconfidence@in").delta is None
    only_out = _measure([_group(i, "RRaa", domain="out") for i in range(4)])
    assert "in-domain" in _reason(only_out, "domain_gap")


def test_what_cannot_be_measured_is_missing_with_its_reason() -> None:
    right = _measure([_group(i, "RRRR") for i in range(4)])
    assert "right" in _reason(right, "auroc")
    assert "wrong" in _reason(right, "span_probability_when_wrong")
    assert "commonest answer is wrong" in _reason(right, "confidence_when_wrong")
    silent = _measure([_group(i, "----") for i in range(4)])
    assert "no completion states an answer" in _reason(silent, "modal_share")
    assert "two completions" in _reason(silent, "overconfidence")
    assert "offsets" in _reason(silent, "span_probability")
    assert _reason(_measure([_group(i, "----") for i in range(4)]), "modal_ece")
    bare = _measure([group(i, [completion(), completion("7", right=False)]) for i in range(4)])
    assert "offsets" in _reason(bare, "brier")
    assert _get(bare, "modal_share").value == 0.5
    alone = _measure([_group(0, "RRaa")])
    assert "at least 2 prompts" in _reason(alone, "overconfidence")


def test_nothing_drawn_and_nothing_in_common() -> None:
    empty = probe.measure(samples([]), None)
    assert {type(m) for m in empty} == {Missing}
    ours, theirs = [_group(i, "RRaa") for i in range(3)], [_group(i, "RRaa") for i in range(5, 8)]
    assert "in common" in _reason(_measure(ours, theirs), "overconfidence")
    assert {m.name for m in empty} == set(_measure(ours))


def test_a_checkpoint_that_is_its_own_baseline_does_not_change() -> None:
    rng = np.random.default_rng(2)
    groups = [
        _group(i, "".join(rng.choice(list("Rab"), 6)), rng.uniform(0.2, 0.9), "out" if i % 2 else "in")
        for i in range(20)
    ]
    own: Samples = samples(groups)
    for measured in probe.measure(own, own):
        assert isinstance(measured, Measured), measured
        assert measured.delta == 0
        assert measured.delta_ci == (0, 0)
