"""Entropy on and off the policy, perplexity and divergence of models whose distributions are known."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from scipy import special

from entropydx.probes.policy_gap import probe
from entropydx.types import FloatArray, Group, Measured, Measurement, Missing, Samples
from tests.unit.samples import group
from tests.unit.scored_samples import delta, drawn, score, scored, value


def _measure(ours: Samples, base: Samples | None = None) -> dict[str, Measurement]:
    return {m.name.removeprefix("policy_gap."): m for m in probe.measure(ours, base)}


def _pair(
    *,
    own: float,
    theirs: float,
    ours_on_theirs: float,
    theirs_on_ours: float,
    reference: tuple[float, float],
    n: int = 4,
) -> tuple[Samples, Samples]:
    """Return two models whose tokens all have one entropy on each text, and minus it as their log-probability."""

    def side(h: float, other: float, solution: float, fingerprint: str) -> Samples:
        return scored(
            [group(i, [drawn([h] * 6)] * 2) for i in range(n)],
            {
                "other": [score(i, [other] * 6, sample_index=k) for i in range(n) for k in range(2)],
                "reference": [score(i, [solution] * 3) for i in range(n)],
            },
            fingerprint=fingerprint,
        )

    return side(own, ours_on_theirs, reference[0], "a"), side(theirs, theirs_on_ours, reference[1], "b")


def test_a_uniform_model_has_ln_v_everywhere_ratio_one_and_no_divergence() -> None:
    h = log(50)
    ours, base = _pair(own=h, theirs=h, ours_on_theirs=h, theirs_on_ours=h, reference=(h, h))
    found = _measure(ours, base)
    for name in ("baseline_text", "reference_text"):
        assert value(found, name) == pytest.approx(h)
        assert delta(found, name) == 0
    for name in ("off_on_ratio_baseline", "off_on_ratio_reference"):
        assert value(found, name) == 1
    assert value(found, "reference_perplexity") == pytest.approx(50)
    assert value(found, "kl_to_baseline") == value(found, "kl_from_baseline") == 0


def test_ratios_and_changes_of_a_sharpened_policy() -> None:
    ours, base = _pair(own=0.2, theirs=0.9, ours_on_theirs=0.7, theirs_on_ours=0.8, reference=(1.2, 1.0))
    found = _measure(ours, base)
    assert value(found, "off_on_ratio_baseline") == pytest.approx(3.5)
    assert value(found, "off_on_ratio_reference") == pytest.approx(6.0)
    assert delta(found, "off_on_ratio_reference") == pytest.approx(6.0 - 1.0 / 0.9)
    # On the baseline's own tokens, against its own entropy on the very same tokens.
    assert value(found, "baseline_text") == pytest.approx(0.7)
    assert delta(found, "baseline_text") == pytest.approx(0.7 - 0.9)
    assert value(found, "reference_perplexity") == pytest.approx(exp(1.2))
    assert delta(found, "reference_perplexity") == pytest.approx(exp(1.2) - exp(1.0))


def _categorical(p: FloatArray, q: FloatArray, counts: Sequence[int]) -> tuple[list[Group], list[Group], dict, dict]:  # type: ignore[type-arg]
    """Return groups of tokens drawn by p and by q (`counts` of each), and each one's scores by the other."""
    tokens = np.repeat(np.arange(len(p)), counts)
    h_p, h_q = (special.entr(x).sum() for x in (p, q))

    def groups(h: float, own: FloatArray) -> list[Group]:
        return [group(i, [drawn([h] * len(tokens), token_ids=tokens, logprobs=np.log(own)[tokens])]) for i in range(3)]

    def scores(h: float, by: FloatArray) -> dict:  # type: ignore[type-arg]
        return {"other": [score(i, [h] * len(tokens), token_ids=tokens, logprobs=np.log(by)[tokens]) for i in range(3)]}

    return groups(h_p, p), groups(h_q, q), scores(h_p, p), scores(h_q, q)


def test_divergence_by_exact_enumeration() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    # The checkpoint's tokens come in exactly its own proportions, so the mean is the divergence itself.
    own, theirs, by_ours, by_theirs = _categorical(p, q, [2, 1, 1])
    found = _measure(scored(own, by_ours, fingerprint="a"), scored(theirs, by_theirs, fingerprint="b"))
    assert value(found, "kl_to_baseline") == pytest.approx(special.rel_entr(p, q).sum())
    # The baseline's tokens in q's proportions.
    own, theirs, by_ours, by_theirs = _categorical(p, q, [1, 1, 2])
    found = _measure(scored(own, by_ours, fingerprint="a"), scored(theirs, by_theirs, fingerprint="b"))
    assert value(found, "kl_from_baseline") == pytest.approx(special.rel_entr(q, p).sum())


def test_divergence_of_sampled_tokens_covers_the_truth_and_is_not_clipped() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
    tokens = rng.choice(8, size=(60, 40), p=p)

    def found(q: FloatArray, n: int) -> Measured:
        h = [1.0] * 40
        groups = [group(i, [drawn(h, token_ids=t, logprobs=np.log(p)[t])]) for i, t in enumerate(tokens[:n])]
        scores = [score(i, h, token_ids=t, logprobs=np.log(q)[t]) for i, t in enumerate(tokens[:n])]
        kl = _measure(scored(groups, {}, fingerprint="a"), scored(groups, {"other": scores}, fingerprint="b"))
        measured = kl["kl_to_baseline"]
        assert isinstance(measured, Measured)
        assert measured.ci is not None
        return measured

    far = found(q, 60)
    assert far.ci[0] < special.rel_entr(p, q).sum() < far.ci[1]  # type: ignore[index]
    assert far.value == pytest.approx(special.rel_entr(p, q).sum(), rel=0.1)
    values = [found(0.98 * p + 0.02 * rng.dirichlet(np.ones(8)), n).value for n in range(2, 12)]
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("changes", [{"temperature": 0.6}, {"top_p": 0.9}, {"temperature": 0.0}])
def test_divergence_and_ratios_need_the_policys_own_draws(changes: dict[str, float]) -> None:
    ours, base = _pair(own=0.2, theirs=0.9, ours_on_theirs=0.7, theirs_on_ours=0.8, reference=(1.2, 1.0))
    found = _measure(replace(ours, params=replace(ours.params, **changes)), base)  # type: ignore[arg-type]
    for name in ("kl_to_baseline", "off_on_ratio_baseline", "off_on_ratio_reference", "off_on_ratio_reference@in"):
        missing = found[name]
        assert isinstance(missing, Missing)
        assert "temperature" in missing.reason
        assert "needs 1 and 1" in missing.reason
    assert isinstance(found["reference_perplexity"], Measured), "no draw is in it"
    assert isinstance(found["kl_from_baseline"], Measured), "the baseline was drawn from its own policy"


def test_without_a_baseline_only_the_reference_is_measured() -> None:
    ours, _ = _pair(own=0.2, theirs=0.9, ours_on_theirs=0.7, theirs_on_ours=0.8, reference=(1.2, 1.0))
    found = _measure(replace(ours, scores={"reference": ours.scores["reference"]}))
    assert {name for name, m in found.items() if isinstance(m, Measured) and "@" not in name} == {
        "reference_text", "off_on_ratio_reference", "reference_perplexity",
    }  # fmt: skip
    for name in ("baseline_text", "off_on_ratio_baseline", "kl_to_baseline", "kl_from_baseline"):
        assert found[name] == Missing(name=f"policy_gap.{name}", reason="no baseline was given")


def test_passes_that_were_skipped_are_missing_with_their_reason() -> None:
    ours, base = _pair(own=0.2, theirs=0.9, ours_on_theirs=0.7, theirs_on_ours=0.8, reference=(1.2, 1.0))
    skipped = {"other": "other tokenizer", "reference": "no reference solutions"}
    found = _measure(*(replace(s, scores={}, skipped=skipped) for s in (ours, base)))
    for name, reason in {
        **dict.fromkeys(("baseline_text", "off_on_ratio_baseline", "kl_to_baseline", "kl_from_baseline"), "other tok"),
        **dict.fromkeys(("reference_text", "off_on_ratio_reference", "reference_perplexity"), "no reference"),
    }.items():
        missing = found[name]
        assert isinstance(missing, Missing)
        assert missing.reason.startswith(reason)
    undrawn = _measure(*(replace(s, scores={}) for s in (ours, base)))
    assert "was not drawn in this run" in undrawn["reference_text"].reason  # type: ignore[union-attr]


def test_an_unscored_baseline_or_another_tokenizer_gives_no_change_on_the_references() -> None:
    ours, base = _pair(own=0.2, theirs=0.9, ours_on_theirs=0.7, theirs_on_ours=0.8, reference=(1.2, 1.0))
    other = replace(base, checkpoint=replace(base.checkpoint, tokenizer_sha="b"))
    for unlike, why in ((replace(base, scores={}), "was not drawn"), (other, "two tokenizers")):
        measured = _measure(ours, unlike)["reference_perplexity"]
        assert isinstance(measured, Measured)
        assert measured.value == pytest.approx(exp(1.2))
        assert measured.delta is None
        assert why in str(measured.note)


def test_scores_of_other_tokens_are_never_compared() -> None:
    groups = [group(i, [drawn([0.5] * 3, token_ids=[1, 2, 3])]) for i in range(3)]
    scores = {"other": [score(i, [0.5] * 3, token_ids=[1, 2, 4]) for i in range(3)]}
    found = _measure(scored(groups, scores, fingerprint="a"), scored(groups, scores, fingerprint="b"))
    for name in ("baseline_text", "off_on_ratio_baseline", "kl_to_baseline", "kl_from_baseline"):
        assert isinstance(found[name], Missing)


def test_the_change_is_over_the_prompts_that_both_have_scored() -> None:
    ours, base = _pair(own=0.2, theirs=0.9, ours_on_theirs=0.7, theirs_on_ours=0.8, reference=(1.2, 1.0), n=6)
    references = base.scores["reference"][:4]
    measured = _measure(ours, replace(base, scores={**base.scores, "reference": references}))["reference_text"]
    assert isinstance(measured, Measured)
    assert measured.n == 4
    assert measured.delta == pytest.approx(0.2)


def test_ratios_and_perplexity_are_given_in_and_out_of_domain() -> None:
    groups = [group(i, [drawn([0.5] * 4)], domain="in" if i < 3 else "out", difficulty="easy") for i in range(6)]
    references = [score(i, [1.0 if i < 3 else 2.0] * 4) for i in range(6)]
    other = [score(i, [0.5 if i < 3 else 1.0] * 4) for i in range(6)]
    ours = scored(groups, {"reference": references, "other": other}, fingerprint="a")
    found = _measure(ours, scored(groups, {}, fingerprint="b"))
    assert value(found, "reference_perplexity@in") == pytest.approx(exp(1))
    assert value(found, "reference_perplexity@out") == pytest.approx(exp(2))
    assert value(found, "off_on_ratio_reference@out") == pytest.approx(4)
    assert value(found, "off_on_ratio_baseline@in") == pytest.approx(1)
    assert value(found, "off_on_ratio_baseline@out") == pytest.approx(2)
    assert value(found, "off_on_ratio_baseline") == pytest.approx(1.5)
    assert {name.partition("@")[2] for name in found} == {"", "in", "out"}
    stratified = {name.partition("@")[0] for name in found if "@" in name}
    assert stratified == {"off_on_ratio_baseline", "off_on_ratio_reference", "reference_perplexity"}


def test_empty_samples_are_missing() -> None:
    assert all(isinstance(m, Missing) for m in _measure(scored([], {})).values())
