"""Statistics of verdicts against scikit-learn, scipy and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions
from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score

from entropydx import scoring
from entropydx.scoring import wilson

LABELS = ["a", "b", "c"]


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (3, 17), (1, 1), (250, 400)])
def test_wilson_is_the_score_interval_of_scipy(hits: int, n: int) -> None:
    expected = distributions.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_at_zero_has_its_closed_form() -> None:
    z2 = float(distributions.norm.ppf(0.975)) ** 2
    assert wilson(0, 20) == pytest.approx((0.0, z2 / (20 + z2)))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truths, verdicts = [t for t, _ in pairs], [v for _, v in pairs]
    # A label that neither occurs nor is given is undefined there as here, and left out of the mean.
    each = f1_score(truths, verdicts, labels=LABELS, average=None, zero_division=np.nan)
    found = scoring.f1_statistic(truths, verdicts, LABELS)(np.ones((1, len(pairs))))[0]
    assert found == pytest.approx(np.nanmean(each) if np.isfinite(each).any() else np.nan, nan_ok=True)


def test_weights_of_f1_are_repetitions() -> None:
    truths, verdicts = ["a", "a", "b", "c", "c"], ["a", "b", "b", "c", "d"]
    weights = np.array([2, 0, 3, 1, 2])
    repeated = [np.repeat(x, weights) for x in (truths, verdicts)]
    expected = f1_score(*repeated, labels=LABELS, average="macro", zero_division=0)
    assert scoring.f1_statistic(truths, verdicts, LABELS)(weights[None].astype(float))[0] == pytest.approx(expected)


def test_confusion_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truths, verdicts = (list(rng.choice(LABELS, 50)) for _ in range(2))
    expected = confusion_matrix(truths, verdicts, labels=LABELS)
    assert np.array_equal(scoring.confusion(truths, verdicts, LABELS, LABELS), expected)


def test_brier_and_skill() -> None:
    rng = np.random.default_rng(1)
    p, y, groups = rng.random(60), rng.random(60) < 0.4, list(range(60))
    found = scoring.brier(list(p), list(y), groups)
    assert found.value == pytest.approx(brier_score_loss(y, p))
    share = float(y.mean())
    assert scoring.brier_skill([share] * 60, list(y), groups).value == pytest.approx(0.0)
    assert scoring.brier_skill(list(y.astype(float)), list(y), groups).value == pytest.approx(1.0)
    assert scoring.brier_skill(list(p), list(y), groups).value == pytest.approx(
        1 - brier_score_loss(y, p) / (share * (1 - share))
    )


def test_reliability_sorts_into_bins_of_equal_width() -> None:
    bins = scoring.reliability([0.0, 0.05, 0.1, 0.95, 1.0], [False, True, True, True, False], ["g", "h", "g", "g", "h"])
    assert len(bins) == 10
    assert [b.observed.n for b in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert bins[0].stated == pytest.approx(0.025)
    assert bins[0].observed.value == 0.5
    assert bins[2].stated is None
    assert bins[2].observed.value is None
    assert bins[9].stated == pytest.approx(0.975)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=20))
def test_spearman_is_that_of_scipy(points: list[tuple[int, int]]) -> None:
    doses, scores = [float(x) for x, _ in points], [float(y) for _, y in points]
    found = scoring.spearman(doses, scores)
    if len(set(doses)) == 1:
        assert np.isnan(found)
    elif len(set(scores)) == 1:
        assert found == 0.0
    else:
        assert found == pytest.approx(distributions.spearmanr(doses, scores).statistic)


def test_a_rate_resamples_groups_and_not_verdicts() -> None:
    # Ten groups, of ten alike verdicts each: as uncertain as ten verdicts, and not as a hundred.
    hits = [g < 5 for g in range(10) for _ in range(10)]
    clustered = scoring.rate(hits, [g for g in range(10) for _ in range(10)])
    single = scoring.rate(hits, list(range(100)))
    assert clustered.value == single.value == 0.5
    assert clustered.ci is not None
    assert single.ci is not None
    assert clustered.ci[1] - clustered.ci[0] > 2.5 * (single.ci[1] - single.ci[0])
    deviation = 0.5 / np.sqrt(10)
    assert clustered.ci[1] - 0.5 == pytest.approx(2.26 * deviation, rel=0.2)  # t of 9 degrees of freedom


def test_a_rate_where_all_groups_agree_is_as_sure_as_its_groups() -> None:
    found = scoring.rate([False] * 60, [i % 6 for i in range(60)])
    assert found.value == 0.0
    assert found.ci == pytest.approx(wilson(0, 6))
    assert (found.n, found.groups) == (60, 6)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_a_rate_has_an_interval_that_holds_it(rows: list[tuple[bool, int]]) -> None:
    found = scoring.rate([h for h, _ in rows], [g for _, g in rows])
    assert found.value is not None
    assert found.ci is not None
    assert 0 <= found.ci[0] <= found.value <= found.ci[1] <= 1


def test_no_verdict_is_no_figure() -> None:
    assert scoring.rate([], []).value is None
    assert scoring.rate([], []).note == "no case"


def test_a_single_group_gives_no_interval() -> None:
    found = scoring.estimate(scoring.f1_statistic(["a", "b"], ["a", "a"], LABELS), ["g", "g"])
    assert found.value == pytest.approx(1 / 3)  # of a 2/3, of b 0
    assert found.ci is None
    assert found.note is not None
    assert "single group" in found.note


def test_pooled_weighs_by_size() -> None:
    found = scoring.pooled([1.0, 0.0, 0.5], [3, 1, 4], ["a", "b", "c"])
    assert found.value == pytest.approx((3 * 1.0 + 4 * 0.5) / 8)
    assert (found.n, found.groups) == (8, 3)
