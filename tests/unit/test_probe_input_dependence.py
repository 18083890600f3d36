"""Mutual information of known categorical models, by brute force and in closed form."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from scipy import stats as scipy_stats

from entropydx.probes.input_dependence import lower_bound, probe
from entropydx.types import Measured, Missing, Samples, Score
from tests.unit.samples import samples, votes

Found = dict[str, Measured | Missing]
N_TOKENS = 3


def _given(logprobs: np.ndarray, *, n_tokens: int = N_TOKENS, fingerprint: str = "f") -> Samples:
    """Return samples with a cross pass: row i is completion i after every prompt, its log-probability over T tokens."""
    m = len(logprobs)
    cross = tuple(
        Score(
            prompt_id=f"p{j}",
            source_id=f"p{i}",
            sample_index=0,
            token_ids=np.arange(n_tokens),
            logprobs=np.full(n_tokens, logprobs[i, j] / n_tokens),
            entropies=np.zeros(n_tokens),
        )
        for i in range(m)
        for j in range(m)
    )
    return replace(samples([votes(i, 1, ["7"]) for i in range(m)], fingerprint=fingerprint), scores={"cross": cross})


def _measure(ours: Samples, base: Samples | None = None) -> Found:
    return {m.name.removeprefix("input_dependence."): m for m in probe.measure(ours, base)}


def _measured(found: Found, name: str) -> Measured:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured


def _drawn(policies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one completion of T independent tokens from every prompt's distribution, and score it under all."""
    tokens = [rng.choice(policies.shape[1], size=N_TOKENS, p=policy) for policy in policies]
    with np.errstate(divide="ignore"):
        table = np.log(np.maximum(policies, 1e-30))
    return np.array([[table[j][z].sum() for j in range(len(policies))] for z in tokens])


def test_information_and_retrieval_are_those_of_brute_force() -> None:
    policies = np.random.default_rng(0).dirichlet(np.full(9, 0.5), 6)
    logprobs = _drawn(policies, np.random.default_rng(1))
    terms, hits = [], []
    for i in range(6):
        likelihoods = [exp(logprobs[i, j]) for j in range(6)]
        terms.append(log(likelihoods[i] / (sum(likelihoods) / 6)))
        hits.append(float(np.argmax(likelihoods) == i))
    found = _measure(_given(logprobs))
    information = sum(terms) / 6
    assert _measured(found, "mutual_information").value == pytest.approx(information)
    assert _measured(found, "mutual_information_share").value == pytest.approx(information / log(6))
    assert _measured(found, "per_token").value == pytest.approx(information / N_TOKENS)
    assert _measured(found, "retrieval_accuracy").value == pytest.approx(np.mean(hits))


def test_mean_over_draws_is_the_mutual_information_of_the_models() -> None:
    policies = np.random.default_rng(2).dirichlet(np.full(4, 0.5), 5)
    # All 4³ completions of three independent tokens, exactly: I = H(mixture) - mean H(policy).
    joint = np.stack([np.einsum("a,b,c->abc", p, p, p).ravel() for p in policies])
    truth = scipy_stats.entropy(joint.mean(axis=0)) - np.mean(scipy_stats.entropy(joint, axis=1))
    rng = np.random.default_rng(3)
    values = [_measured(_measure(_given(_drawn(policies, rng))), "mutual_information").value for _ in range(150)]
    assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / np.sqrt(150))


def test_a_template_carries_nothing_and_retrieves_by_chance() -> None:
    found = _measure(_given(np.full((8, 8), -5.0)))
    assert _measured(found, "mutual_information").value == pytest.approx(0, abs=1e-12)
    assert _measured(found, "retrieval_accuracy").value == pytest.approx(1 / 8)
    assert "chance is 1/8" in (_measured(found, "retrieval_accuracy").note or "")


def test_a_model_that_is_told_apart_by_its_prompt_is_at_the_ceiling_and_not_certain() -> None:
    found = _measure(_given(np.where(np.eye(16), -1.0, -200.0)))
    information = _measured(found, "mutual_information")
    assert information.value == pytest.approx(log(16))
    assert _measured(found, "mutual_information_share").value == pytest.approx(1)
    assert _measured(found, "retrieval_accuracy").value == 1
    assert information.ci is not None
    # Sixteen of sixteen leave room for 27 % that carry nothing (Clopper-Pearson at the tail of 0.00625).
    assert information.ci[0] == pytest.approx(log(16) * 0.00625 ** (1 / 16), rel=0.02)


def test_lower_bound_of_coin_flips_is_that_of_clopper_and_pearson() -> None:
    flips = np.array([1.0] * 11 + [0.0] * 5)
    exact = scipy_stats.binomtest(11, 16).proportion_ci(1 - 2 * 0.00625, method="exact").low
    assert lower_bound(flips, 0.0, seed=0) == pytest.approx(exact, abs=0.01)


def test_per_token_weighs_tokens() -> None:
    given = _given(np.where(np.eye(2), -1.0, -200.0))
    long = tuple(
        replace(s, token_ids=np.arange(9), logprobs=np.full(9, s.logprobs.sum() / 9)) if s.source_id == "p1" else s
        for s in given.scores["cross"]
    )
    found = _measure(replace(given, scores={"cross": long}))
    assert _measured(found, "per_token").value == pytest.approx(2 * log(2) / (N_TOKENS + 9))


def test_change_is_paired_on_the_same_prompts_in_any_order() -> None:
    logprobs = _drawn(np.random.default_rng(4).dirichlet(np.full(9, 0.3), 8), np.random.default_rng(5))
    ours, base = _given(np.full((8, 8), -5.0)), _given(logprobs, fingerprint="g")
    shuffled = replace(base, scores={"cross": tuple(reversed(base.scores["cross"]))})
    expected = _measured(_measure(base), "mutual_information").value
    for baseline in (base, shuffled):
        change = _measured(_measure(ours, baseline), "mutual_information")
        assert (change.baseline, change.delta) == (pytest.approx(expected), pytest.approx(-expected))
        assert change.delta_ci is not None
        assert change.delta_ci[1] < 0
    itself = _measured(_measure(base, base), "mutual_information")
    assert (itself.delta, itself.delta_ci) == (0, (0, 0))


def test_a_baseline_that_cannot_be_compared_leaves_the_value() -> None:
    ours = _given(np.where(np.eye(4), -1.0, -9.0))
    bare = replace(_given(np.eye(4), fingerprint="g"), scores={}, skipped={"cross": "the engine cannot score"})
    smaller = _given(np.eye(3), fingerprint="g")
    for baseline, words in ((bare, "the engine cannot score"), (smaller, "other prompts")):
        measured = _measured(_measure(ours, baseline), "mutual_information")
        assert measured.delta is None
        assert words in (measured.note or "")


def test_what_was_not_scored_is_missing_with_its_reason() -> None:
    bare = samples([votes(i, 1, ["7"]) for i in range(4)])
    assert all("not drawn in this run" in m.reason for m in _measure(bare).values() if isinstance(m, Missing))
    skipped = _measure(replace(bare, skipped={"cross": "the engine cannot score"}))
    assert {m.reason for m in skipped.values() if isinstance(m, Missing)} == {"the engine cannot score"}
    given = _given(np.eye(4))
    partial = _measure(replace(given, scores={"cross": given.scores["cross"][:-1]}))
    broken = _measure(_given(np.full((4, 4), np.nan)))
    for found, words in ((partial, "has 15 of 16"), (broken, "finite")):
        assert all(isinstance(m, Missing) and words in m.reason for m in found.values())
    assert all(isinstance(m, Missing) for m in probe.measure(samples([]), None))
    assert all(isinstance(m, Missing) for m in probe.measure(_given(np.eye(1)), None))


@pytest.mark.slow
@pytest.mark.parametrize("concentration", [0.02, 0.05, 0.3, 1.0, 50.0])
def test_intervals_cover_the_truth_of_prompts_drawn_anew(concentration: float) -> None:
    rng = np.random.default_rng(6)
    found = [_measure(_given(_drawn(rng.dirichlet(np.full(40, concentration), 16), rng))) for _ in range(250)]
    for name in ("mutual_information", "per_token", "retrieval_accuracy"):
        measured = [_measured(f, name) for f in found]
        truth = np.mean([m.value for m in measured])
        covered = [m.ci is not None and m.ci[0] <= truth <= m.ci[1] for m in measured]
        assert np.mean(covered) >= 0.94, f"{name}: {np.mean(covered)}"


def test_a_score_that_ends_early_is_no_score_of_the_completion() -> None:
    ours = _given(np.full((3, 3), -6.0))
    first, *rest = ours.scores["cross"]
    short = replace(first, token_ids=first.token_ids[:1], logprobs=first.logprobs[:1], entropies=first.entropies[:1])
    for name, found in _measure(replace(ours, scores={"cross": (short, *rest)})).items():
        assert isinstance(found, Missing), name
        assert "to its end" in found.reason
