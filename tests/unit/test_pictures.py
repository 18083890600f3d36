"""What a page draws, against counts made by hand and against scipy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from entropydx import pictures, plugins, stats
from entropydx.pictures import boards, coverage, formats, reliability, spread, strips
from entropydx.pictures.strips import MAX_TOKENS, PAIRS
from entropydx.probes._paired import strata
from entropydx.types import Example, Measured, Reliability
from tests.unit.report_examples import collapsed, row
from tests.unit.samples import completion, group, samples, votes


def paired(own, baseline=None):
    return next(strata(own, baseline))


def wilson(hits: int, n: int) -> tuple[float, float]:
    level = 1 - 2 * stats.tail()
    found = binomtest(hits, n).proportion_ci(confidence_level=level, method="wilson")
    return pytest.approx((found.low, found.high))


def told(text: str, entropies, **fields):
    """Return a completion of one token a character."""
    made = completion(entropies=entropies, text=text, **fields)
    return replace(made, offsets=np.arange(1, len(text) + 1))


# ── how often a prompt is right ───────────────────────────────────────────────────────────────────


def test_the_histogram_counts_prompts_with_wilsons_intervals():
    own = samples([votes(0, 4), votes(1, 0, "abcd"), votes(2, 2, "ab"), votes(3, 4)])
    found = spread.spread(paired(own, samples([votes(i, 1, "abc") for i in range(4)], fingerprint="g")))
    assert found.n_samples == 4
    assert [b.name for b in found.bins] == ["0", "1", "2", "3", "4"]
    assert [b.own.value for b in found.bins] == [0.25, 0, 0.25, 0, 0.5]
    assert [b.baseline.value for b in found.bins] == [0, 1, 0, 0, 0]
    assert [b.own.ci for b in found.bins] == [wilson(h, 4) for h in (1, 0, 1, 0, 2)]


@pytest.mark.parametrize("k", [17, 20, 33, 64])
def test_wide_bins_hold_every_number_of_right_samples_once(k):
    for right in range(k + 1):
        found = spread.spread(paired(samples([votes(0, right, "x" * (k - right))])))
        (name,) = [b.name for b in found.bins if b.own.value == 1]
        low, _, high = name.partition("–")
        assert int(low) <= right <= int(high or low)
        assert ("–" in name) == (0 < right < k), "never and always stand alone"


def test_ungraded_samples_have_no_histogram_and_no_diagram():
    own = samples([group(0, [replace(completion(), grade=None)] * 2)])
    assert spread.spread(paired(own)) is None
    assert reliability.diagrams(paired(own)) == ()


# ── confidence ────────────────────────────────────────────────────────────────────────────────────


def test_one_value_a_prompt_has_wilsons_interval():
    confidences = [np.array([0.9])] * 12
    outcomes = [np.array([float(i < 9)]) for i in range(12)]
    (only,) = reliability.bins(confidences, outcomes)
    assert only.confidence == pytest.approx(0.9)
    assert (only.observed.value, only.observed.n, only.n_values) == (0.75, 12, 12)
    assert only.observed.ci == wilson(9, 12)


def test_repeats_of_a_prompt_are_no_more_evidence_than_one():
    once = [np.array([0.8])] * 10, [np.array([float(i < 4)]) for i in range(10)]
    often = [np.repeat(c, 7) for c in once[0]], [np.repeat(y, 7) for y in once[1]]
    (a,), (b,) = reliability.bins(*once), reliability.bins(*often)
    assert b.observed.ci == pytest.approx(a.observed.ci)
    assert (b.n_values, b.observed.n) == (70, 10)


def test_unequal_repeats_count_as_their_effective_number_of_prompts():
    sizes = [9, 1, 1, 1]  # (sum)² / sum of squares = 144 / 84 = 1.71: one whole prompt
    outcomes = [np.ones(n) for n in sizes]
    (only,) = reliability.bins([np.full(n, 0.5) for n in sizes], outcomes)
    assert only.observed.ci == wilson(1, 1)


def test_a_diagram_that_cannot_be_drawn_says_why():
    own = samples([votes(i, 3, "x") for i in range(8)])
    drawn = {(d.kind, d.domain): d for d in reliability.diagrams(paired(own))}
    assert "no out-of-domain prompts" in drawn["vote", "out"].missing
    assert "answer's tokens are known" in drawn["span", "in"].missing
    assert isinstance(drawn["vote", "in"], Reliability)
    (only,) = drawn["vote", "in"].curves["checkpoint"]
    assert (only.confidence, only.observed.value) == (0.75, 1.0)


def test_domains_are_kept_apart():
    own = samples([votes(i, 4) for i in range(3)] + [group(9, [completion("7", right=False)] * 4, domain="out")])
    drawn = {(d.kind, d.domain): d for d in reliability.diagrams(paired(own))}
    assert drawn["vote", "in"].curves["checkpoint"][0].observed.value == 1
    assert drawn["vote", "out"].curves["checkpoint"][0].observed.value == 0


# ── pass@k ────────────────────────────────────────────────────────────────────────────────────────


def _measured_report(own, baseline):
    measured = plugins.load("probe", "sampling_spread").measure(own, baseline)
    rows = [row(m.name, m.value, m.ci, m.unit, m.n, baseline=m.baseline) for m in measured if isinstance(m, Measured)]
    return replace(collapsed(), measurements=tuple(rows))


def test_the_baselines_band_is_what_its_own_diagnosis_would_say():
    own = samples([votes(i, i % 5, "x" * (4 - i % 5)) for i in range(20)])
    base = samples([votes(i, (i * 3) % 5, "x" * (4 - (i * 3) % 5)) for i in range(20)], fingerprint="g")
    ours, theirs = coverage.curves(_measured_report(own, base), paired(own, base))
    alone = {m.name: m for m in plugins.load("probe", "sampling_spread").measure(base, None)}
    assert ours.x == theirs.x == (1, 2, 3, 4)
    for k, point in zip((1, 2, 3, 4), theirs.points, strict=True):
        expected = alone[f"sampling_spread.pass_at_{k}"]
        assert (point.value, point.ci) == (pytest.approx(expected.value), pytest.approx(expected.ci))


def test_without_samples_the_baseline_has_no_band():
    own = samples([votes(i, i % 3, "x" * (2 - i % 3)) for i in range(9)])
    base = samples([votes(i, 1, "x") for i in range(9)], fingerprint="g")
    _, theirs = coverage.curves(_measured_report(own, base), None)
    assert theirs.points[0].value == pytest.approx(0.5)
    assert theirs.points[0].ci is None


# ── formats ───────────────────────────────────────────────────────────────────────────────────────


def test_shapes_are_shares_of_the_completions_with_an_example():
    # 3 of 4 like "1+1=2;", 1 of 4 like "(5)"; the baseline the other way round.
    def of(n_sums):
        return [completion(text="1+1=2;2+3=5;" if i < n_sums else "(5)") for i in range(4)]

    own = samples([group(i, of(3)) for i in range(5)])
    base = samples([group(i, of(1)) for i in range(5)], fingerprint="g")
    found = {b.example: (b.own.value, b.baseline.value) for b in formats.shapes(paired(own, base))}
    assert found == {"1+1=2;2+3=5;": (0.75, 0.25), "(5)": (0.25, 0.75)}


def test_known_formats_are_the_reports_own_numbers():
    shown = replace(collapsed(), measurements=(row("format_mode.share_json", 0.4, (0.3, 0.5), "share", baseline=0.1),))
    (bar,) = formats.modes(shown, None)
    assert (bar.name, bar.own.value, bar.own.ci, bar.baseline.value) == ("json", 0.4, (0.3, 0.5), 0.1)


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────


def test_a_fork_lies_above_the_baselines_80th_percentile():
    own = samples([group(i, [told("ab", (0.1, 8.0))]) for i in range(2)])
    base = samples([group(i, [told("abcde", np.arange(5.0) + 5 * i)]) for i in range(2)], fingerprint="g")
    found = strips.forks(paired(own, base))
    assert found.thresholds == {"checkpoint": pytest.approx(7.2), "baseline": pytest.approx(7.2)}  # of 0, 1 .. 9
    assert "baseline" in found.source


def test_with_another_tokenizer_each_model_has_its_own_forks():
    own = samples([group(0, [told("abcdef", np.arange(6.0))])])
    other = samples([group(0, [told("abcdef", np.arange(6.0) * 10)])], fingerprint="g")
    ours, theirs = (
        replace(s, checkpoint=replace(s.checkpoint, tokenizer_sha=sha)) for s, sha in ((own, "a"), (other, "b"))
    )
    found = strips.forks(paired(ours, theirs))
    assert found.thresholds == {"checkpoint": 4, "baseline": 40}
    assert "different tokenizers" in found.source


def test_the_pieces_of_a_strip_are_the_text():
    made = strips.strip("checkpoint", told("12+3=15", np.arange(7.0)))
    assert "".join(made.tokens) == made.text == "12+3=15"
    assert made.entropies == (0, 1, 2, 3, 4, 5, 6)
    assert (made.mean_entropy, made.cut) == (3, False)


def test_a_long_sample_is_cut_and_says_so():
    n = MAX_TOKENS + 1
    made = strips.strip("checkpoint", told("x" * n, np.ones(n)))
    assert (len(made.tokens), made.n_tokens, made.cut) == (MAX_TOKENS, n, True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"entropies": None}, "not known"),
        ({"entropies": None, "entropy_low": np.zeros(2)}, "bounds"),
        ({"offsets": None}, "was not recorded"),
        ({"entropies": np.array([0.1, np.nan])}, "NaN"),
        ({"token_ids": np.array([], dtype=int)}, "empty"),
    ],
)
def test_a_strip_that_cannot_be_drawn_says_why_and_shows_the_text(change, reason):
    made = strips.strip("checkpoint", replace(told("ab", (0.1, 0.2)), **change))
    assert reason in made.missing
    assert (made.tokens, made.text) == ((), "ab")


def test_samples_without_tokens_are_shown_as_text():
    bare = replace(completion(text="so it is"), token_ids=None, entropies=None, logprobs=None)
    drawn = pictures.of(collapsed(), {"checkpoint": samples([group(i, [bare] * 2) for i in range(2)])})
    assert drawn.forks is None
    assert drawn.strips[0].own.missing == "the entropies are not known"
    assert drawn.strips[0].own.text == "so it is"


# ── which samples ─────────────────────────────────────────────────────────────────────────────────


def test_examples_come_first_then_the_typical_right_and_wrong_one():
    def asked(number, entropy, right):
        return group(number, [told("a", (entropy,), right=right)] * 2)

    # By entropy the right ones are 3, 5, 4 and the wrong ones 6, 8, 7: the medians are 5 and 8.
    graded = [(3, 0.1, True), (4, 0.9, True), (5, 0.2, True), (6, 0.3, False), (7, 0.8, False), (8, 0.4, False)]
    own = samples([asked(0, 2.0, False), *(asked(*g) for g in graded)])
    shown = replace(
        collapsed(),
        examples=tuple(
            Example(about="EDX101", prompt_id=p, sample_index=i, excerpt="") for p, i in (("p0", 1), ("p0", 0))
        ),
    )
    picks = strips.choose(shown, paired(own))
    assert [(p.prompt_id, p.sample_index) for p in picks] == [("p0", 1), ("p5", 0), ("p8", 0)]
    assert [p.why for p in picks] == ["shows EDX101", "a typical right completion", "a typical wrong completion"]
    assert len(picks) <= PAIRS


def test_an_example_of_a_prompt_that_is_not_there_is_left_out():
    own = samples([votes(i, 1, "x") for i in range(3)])
    assert {p.prompt_id for p in strips.choose(collapsed(), paired(own))} <= {"p0", "p1", "p2"}


def test_a_board_puts_equal_texts_together():
    texts = ["b", "a", "b", "c", "b", "a"]
    found = boards.answers(group(0, [completion(text=t) for t in texts]))
    assert [(a.text, a.count) for a in found] == [("b", 3), ("a", 2), ("c", 1)]


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────


def test_what_needs_samples_says_so_without_them():
    drawn = pictures.of(collapsed())
    for name in ("shapes", "spread", "reliability", "strips", "boards"):
        assert not getattr(drawn, name)
        assert "only the report is at hand" in drawn.missing[name]


def test_what_the_report_lacks_has_its_reason():
    drawn = pictures.of(replace(collapsed(), measurements=()))
    assert drawn.missing["formats"] == "the report has no such measurement"
    assert drawn.missing["coverage"] == "the report has no such measurement"


def test_a_run_without_a_baseline_is_drawn_alone():
    own = samples([votes(i, 2, "xy") for i in range(6)])
    drawn = pictures.of(collapsed(), {"checkpoint": own})
    assert drawn.spread.bins[0].baseline is None
    assert drawn.strips[0].baseline is None
    assert drawn.boards[0].baseline is None


def test_an_empty_run_is_drawn_as_its_report():
    assert "no prompt was drawn" in pictures.of(collapsed(), {"checkpoint": samples([])}).missing["strips"]


def test_a_prompt_is_its_text_or_its_messages_and_a_long_one_is_cut():
    plain, chat = group(0, [completion()]), group(1, [completion()])
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"})
    chat = replace(chat, prompt=replace(chat.prompt, prompt=None, messages=messages))
    long = replace(plain, prompt=replace(plain.prompt, prompt="w" * 601))
    assert strips.prompt_text(plain) == "?"
    assert strips.prompt_text(chat) == "system: Be brief.\nuser: Why?"
    assert strips.prompt_text(long) == "w" * 600 + "…"
