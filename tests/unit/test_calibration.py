"""Calibration against scikit-learn, scipy, and predictors whose calibration is known."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from entropydx.calibration import auroc_statistic, brier_statistic, ece_statistic, split_half_vote
from entropydx.stats import Population, Statistic, bootstrap_weights
from entropydx.types import FloatArray, Measured

Arrays = list[FloatArray]


def _drawn(n: int, k: int, gap: float = 0.0, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Return k confidences of each of n prompts, and outcomes that are right with probability confidence - gap."""
    rng = np.random.default_rng(seed)
    confidences = [rng.uniform(0.3, 0.95, k) for _ in range(n)]
    return confidences, [(rng.random(k) < c - gap).astype(float) for c in confidences]


def _point(statistic: Statistic, n: int) -> float:
    return float(statistic(np.ones((1, n)))[0])


def test_brier_and_auroc_are_those_of_scikit_learn_and_scipy() -> None:
    rng = np.random.default_rng(1)
    confidences = [np.round(rng.random(m), 1) for m in rng.integers(0, 9, 50)]  # ragged, with many ties
    outcomes = [(rng.random(len(c)) < c).astype(float) for c in confidences]
    pooled, right = np.concatenate(confidences), np.concatenate(outcomes)
    assert _point(brier_statistic(confidences, outcomes), 50) == pytest.approx(brier_score_loss(right, pooled))
    auroc = _point(auroc_statistic(confidences, outcomes), 50)
    assert auroc == pytest.approx(roc_auc_score(right, pooled))
    u = scipy_stats.mannwhitneyu(pooled[right == 1], pooled[right == 0]).statistic
    assert auroc == pytest.approx(u / (right.sum() * (1 - right).sum()))


def test_auroc_of_resampled_prompts_is_that_of_the_repeated_completions() -> None:
    confidences, outcomes = _drawn(12, 3)
    weights = bootstrap_weights(12)[:20]
    values = auroc_statistic(confidences, outcomes)(weights)
    for row, value in zip(weights.astype(int), values, strict=True):
        pooled = np.concatenate([np.tile(c, w) for c, w in zip(confidences, row, strict=True)])
        right = np.concatenate([np.tile(y, w) for y, w in zip(outcomes, row, strict=True)])
        assert value == pytest.approx(roc_auc_score(right, pooled))


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_auroc_of_one_outcome_is_undefined(right: float) -> None:
    assert np.isnan(_point(auroc_statistic([np.array([0.2, 0.9])] * 3, [np.full(2, right)] * 3), 3))


def test_a_calibrated_predictor_has_the_brier_score_of_its_noise_and_next_to_no_calibration_error() -> None:
    confidences, outcomes = _drawn(3000, 4)
    pooled = np.concatenate(confidences)
    assert _point(brier_statistic(confidences, outcomes), 3000) == pytest.approx(
        np.mean(pooled * (1 - pooled)), abs=4e-3
    )
    assert _point(ece_statistic(confidences, outcomes), 3000) < 0.012


def _plug_in(confidences: Arrays, outcomes: Arrays) -> float:
    pooled, right = np.concatenate(confidences), np.concatenate(outcomes)
    place = np.searchsorted(np.quantile(pooled, np.arange(1, 10) / 10), pooled, side="right")
    return sum(abs((pooled - right)[place == b].sum()) for b in range(10)) / len(pooled)


@pytest.mark.parametrize("one_outcome_a_prompt", [False, True])
def test_debiasing_halves_the_error_of_a_calibrated_predictor(one_outcome_a_prompt: bool) -> None:
    rng = np.random.default_rng(2)
    debiased, plain = [], []
    for _ in range(40):
        confidences = [np.full(4, p) for p in rng.uniform(0.3, 0.95, 200)]
        draws = rng.random((200, 1 if one_outcome_a_prompt else 4)) * np.ones((200, 4))
        outcomes = [(u < c).astype(float) for u, c in zip(draws, confidences, strict=True)]
        debiased.append(_point(ece_statistic(confidences, outcomes), 200))
        plain.append(_plug_in(confidences, outcomes))
    assert np.mean(debiased) < np.mean(plain) / 2


def test_a_planted_overconfidence_is_the_calibration_error_and_lies_in_its_interval() -> None:
    confidences, outcomes = _drawn(400, 4, gap=0.25)
    statistic = ece_statistic(confidences, outcomes)
    assert _point(statistic, 400) == pytest.approx(0.25, abs=0.03)
    found = Population(n_prompts=400).estimate("a.b", "share", statistic, bounds=(0, 1))
    assert isinstance(found, Measured)
    assert found.ci is not None
    assert found.ci[0] < 0.25 < found.ci[1]


def test_one_confidence_is_one_bin() -> None:
    outcomes = [np.array([1.0, 0.0])] * 30 + [np.array([1.0, 1.0])] * 10
    r = np.array([0.8] * 30 + [-0.2] * 10)  # the sum of 0.9 - outcome of each prompt
    expected = np.sqrt((r.sum() ** 2 - (r**2).sum()) / (80**2 - 40 * 4))
    assert _point(ece_statistic([np.full(2, 0.9)] * 40, outcomes), 40) == pytest.approx(expected)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_prompts_leave_the_calibration_error_undefined(n: int) -> None:
    none = [np.array([])] * 3
    some = [np.array([0.5])] * n + none
    assert np.isnan(_point(ece_statistic(some, some), n + 3))
    assert np.isnan(_point(brier_statistic(none, none), 3))


def test_the_vote_is_read_on_the_half_that_did_not_choose_it() -> None:
    # Even: a a b, modal a; odd: b a c, all tie. a on the odd half 1/3; a, b, c on the even half 2/3, 1/3, 0.
    confidence, correctness = split_half_vote(["a", "b", "a", "a", "b", "c"], "a")
    assert confidence == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert correctness == pytest.approx((1 + 1 / 3) / 2)
    assert np.isnan(split_half_vote(["a"], "a")).all()


def test_the_held_out_share_is_unbiased_and_the_plain_one_is_not() -> None:
    rng = np.random.default_rng(3)
    p = np.array([0.4, 0.3, 0.3])  # 0 is right
    draws = rng.choice(3, size=(20_000, 8), p=p)
    held_out = np.array([split_half_vote(list(row), 0) for row in draws]).mean(axis=0)
    # The answer that a vote over 4 samples chooses: its probability, and whether it is the right one, in closed form.
    counts = [(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)]
    chance = scipy_stats.multinomial(4, p).pmf(counts)
    winners = [[a for a in range(3) if c[a] == max(c)] for c in counts]
    confidence = chance @ [p[w].mean() for w in winners]
    correctness = chance @ [(0 in w) / len(w) for w in winners]
    assert held_out == pytest.approx([confidence, correctness], abs=0.005)
    plain = np.mean([np.bincount(row).max() / 8 for row in draws])
    assert plain > confidence + 0.15
