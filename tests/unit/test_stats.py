"""Statistics against closed forms, brute force and scipy."""

from itertools import combinations
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.spatial.distance import jensenshannon

from entropydx import stats
from entropydx.types import Measured, Missing

counts = st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(lambda c: sum(c) > 0)


def _brute_g_pass(n: int, c: int, k: int, needed: int) -> float:
    grades = [1] * c + [0] * (n - c)
    draws = list(combinations(grades, k))
    return sum(sum(d) >= needed for d in draws) / len(draws)


@pytest.mark.parametrize(("n", "c", "k"), [(8, 0, 3), (8, 1, 3), (8, 5, 3), (8, 8, 3), (6, 2, 6), (5, 3, 1)])
def test_pass_at_k_is_the_chance_over_all_subsets(n: int, c: int, k: int) -> None:
    assert stats.pass_at_k(n, np.array([c]), k)[0] == pytest.approx(_brute_g_pass(n, c, k, 1))
    assert stats.pass_at_k(n, np.array([c]), k)[0] == pytest.approx(1 - comb(n - c, k) / comb(n, k))
    assert stats.pass_hat_k(n, np.array([c]), k)[0] == pytest.approx(comb(c, k) / comb(n, k))


@pytest.mark.parametrize("tau", [0.25, 0.5, 0.6, 0.75, 1.0])
def test_g_pass_at_k_is_the_chance_over_all_subsets(tau: float) -> None:
    for c in range(9):
        expected = _brute_g_pass(8, c, 4, max(int(np.ceil(round(tau * 4, 9))), 1))
        assert stats.g_pass_at_k(8, np.array([c]), 4, tau)[0] == pytest.approx(expected)


def test_mg_pass_at_k_by_hand() -> None:
    # k = 4: 2/4 * (G at 3/4 + G at 4/4); with all right both are 1, so it is 1.
    assert stats.mg_pass_at_k(8, np.array([8, 0]), 4).tolist() == [1.0, 0.0]
    expected = (_brute_g_pass(8, 6, 4, 3) + _brute_g_pass(8, 6, 4, 4)) / 2
    assert stats.mg_pass_at_k(8, np.array([6]), 4)[0] == pytest.approx(expected)


def test_k_beyond_n_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.\.8"):
        stats.pass_at_k(8, np.array([1]), 9)


@given(counts)
def test_entropy_matches_scipy(c: list[int]) -> None:
    p = np.array(c) / sum(c)
    assert stats.shannon_entropy(p) == pytest.approx(scipy_stats.entropy(c), abs=1e-12)
    assert 1 - 1e-9 <= stats.effective_number(p) <= len(c) + 1e-9


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=6))
def test_js_divergence_matches_scipy(pairs: list[tuple[int, int]]) -> None:
    p, q = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    if p.sum() == 0 or q.sum() == 0:
        return
    expected = jensenshannon(p, q) ** 2
    assert stats.js_divergence(p / p.sum(), q / q.sum()) == pytest.approx(expected, abs=1e-9)


def test_js_divergence_of_disjoint_distributions_is_ln_two() -> None:
    assert stats.js_divergence(np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(log(2))


@pytest.mark.parametrize(("c", "expected"), [([4], 1.0), ([2, 2], 1 / 3), ([1, 1, 1, 1], 0.0)])
def test_pairwise_agreement_by_hand(c: list[int], expected: float) -> None:
    assert stats.pairwise_agreement(np.array(c)) == pytest.approx(expected)


def test_pairwise_agreement_is_unbiased() -> None:
    p = np.array([0.5, 0.3, 0.2])
    draws = np.random.default_rng(0).multinomial(4, p, size=20_000)
    assert np.mean([stats.pairwise_agreement(d) for d in draws]) == pytest.approx((p**2).sum(), abs=0.01)


def test_pairwise_agreement_of_one_draw_is_undefined() -> None:
    assert np.isnan(stats.pairwise_agreement(np.array([1, 0])))


def test_weights_of_one_give_the_plain_estimate() -> None:
    values = np.array([0.2, np.nan, 0.6, 1.0])
    measured = stats.Population(n_prompts=4).estimate("x", "", stats.mean_statistic(values))
    assert isinstance(measured, Measured)
    assert measured.value == pytest.approx(0.6)


def test_ratio_statistic_is_a_mean_over_tokens_not_over_prompts() -> None:
    statistic = stats.ratio_statistic(np.array([10.0, 1.0]), np.array([100.0, 1.0]))
    assert statistic(np.ones((1, 2)))[0] == pytest.approx(11 / 101)


def test_bootstrap_standard_error_matches_theory() -> None:
    values = np.random.default_rng(1).normal(size=200)
    replicates = stats.mean_statistic(values)(stats.bootstrap_weights(200))
    assert replicates.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)


def test_quantile_replicates_match_resampling_whole_prompts() -> None:
    rng = np.random.default_rng(2)
    prompts = [rng.exponential(rng.uniform(0.5, 2), size=50) for _ in range(30)]
    replicates = stats.quantile_statistic(prompts, 0.8)(stats.bootstrap_weights(30))
    naive = [np.quantile(np.concatenate([prompts[i] for i in rng.integers(0, 30, 30)]), 0.8) for _ in range(2000)]
    assert replicates.mean() == pytest.approx(np.mean(naive), rel=0.02)
    assert replicates.std() == pytest.approx(np.std(naive), rel=0.1)


def test_clustering_widens_the_interval_of_repeats() -> None:
    # 20 prompts, each always right or always wrong: 16 repeats of one prompt are one piece of evidence.
    values = np.array([0.0, 1.0] * 10)
    measured = stats.Population(n_prompts=20).estimate("x", "", stats.mean_statistic(values))
    assert isinstance(measured, Measured)
    assert measured.ci is not None
    flat_half_width = 2.5 * 0.5 / np.sqrt(20 * 16)
    assert measured.ci[1] - measured.value > 3 * flat_half_width


@pytest.mark.slow
@pytest.mark.parametrize(("n", "floor"), [(20, 0.96), (54, 0.975)])
def test_interval_covers_what_it_promises(n: int, floor: float) -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        grades = rng.binomial(8, rng.beta(2, 2, n)) / 8
        measured = stats.Population(n_prompts=n).estimate("x", "", stats.mean_statistic(grades), bounds=(0, 1))
        assert isinstance(measured, Measured)
        assert measured.ci is not None
        hits += measured.ci[0] <= 0.5 <= measured.ci[1]
    assert hits / 400 >= floor


def test_all_prompts_right_is_not_certainty() -> None:
    measured = stats.Population(n_prompts=30).estimate("x", "", stats.mean_statistic(np.ones(30)), bounds=(0, 1))
    assert isinstance(measured, Measured)
    assert measured.ci is not None
    exact = scipy_stats.binomtest(30, 30).proportion_ci(confidence_level=stats.CI_LEVEL, method="exact")
    assert measured.ci == pytest.approx((exact.low, 1.0), abs=1e-9)


def test_flat_unbounded_values_have_no_interval_and_say_so() -> None:
    measured = stats.Population(n_prompts=5).estimate("x", "tokens", stats.mean_statistic(np.full(5, 7.0)))
    assert isinstance(measured, Measured)
    assert measured.ci is None
    assert "no interval" in (measured.note or "")


def test_one_prompt_is_missing_not_a_number() -> None:
    assert isinstance(stats.Population(n_prompts=1).estimate("x", "", stats.mean_statistic(np.ones(1))), Missing)


def test_nothing_to_measure_is_missing_not_zero() -> None:
    found = stats.Population(n_prompts=3).estimate("x", "", stats.mean_statistic(np.full(3, np.nan)))
    assert isinstance(found, Missing)


def test_paired_change_is_tighter_than_the_levels() -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(0, 1, 50)
    ours = base + 0.1 + rng.normal(0, 0.01, 50)
    measured = stats.Population(n_prompts=50).estimate("x", "", stats.mean_statistic(ours), stats.mean_statistic(base))
    assert isinstance(measured, Measured)
    assert measured.delta == pytest.approx(0.1, abs=0.01)
    assert measured.delta_ci is not None
    assert measured.ci is not None
    assert measured.delta_ci[1] - measured.delta_ci[0] < (measured.ci[1] - measured.ci[0]) / 20


def test_a_checkpoint_against_itself_changes_by_exactly_zero() -> None:
    values = stats.mean_statistic(np.array([0.0, 1.0, 0.5]))
    same = stats.Population(n_prompts=3, same=True)
    measured = same.estimate("x", "", values, values, bounds=(0, 1))
    assert isinstance(measured, Measured)
    assert measured.delta_ci == (0.0, 0.0)
    ratio = same.ratio("x", values, values)
    assert isinstance(ratio, Measured)
    assert (ratio.value, ratio.ci) == (1.0, (1.0, 1.0))


def test_equal_grades_of_two_checkpoints_are_not_certainty() -> None:
    ones = stats.mean_statistic(np.ones(30))
    measured = stats.Population(n_prompts=30).estimate("x", "", ones, ones, bounds=(0, 1))
    assert isinstance(measured, Measured)
    assert measured.delta == 0
    assert measured.delta_ci is not None
    assert measured.delta_ci[0] < -0.1
    assert measured.delta_ci[1] > 0.1


def test_ratio_to_a_zero_baseline_is_missing() -> None:
    zeros, ones = stats.mean_statistic(np.zeros(3)), stats.mean_statistic(np.ones(3))
    assert isinstance(stats.Population(n_prompts=3).ratio("x", ones, zeros), Missing)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)))
def test_prompt_order_does_not_change_the_estimate(order: list[int]) -> None:
    values = np.linspace(0, 1, 12)
    a = stats.Population(n_prompts=12).estimate("x", "", stats.mean_statistic(values))
    b = stats.Population(n_prompts=12).estimate("x", "", stats.mean_statistic(values[np.array(order)]))
    assert isinstance(a, Measured)
    assert isinstance(b, Measured)
    assert b.value == pytest.approx(a.value)
    assert a.ci is not None
    assert b.ci == pytest.approx(a.ci, abs=0.1)  # another order is another draw of the bootstrap


def test_a_change_of_a_partial_mean_is_over_the_prompts_that_both_define() -> None:
    # 20 prompts that both always solve; the checkpoint also half-solves 20 that the baseline never counted.
    ours = np.array([1.0] * 20 + [0.6] * 20)
    theirs = np.array([1.0] * 20 + [np.nan] * 20)
    found = stats.Population(n_prompts=40).mean_where_defined("x", "share", ours, theirs, bounds=(0, 1))
    assert isinstance(found, Measured)
    assert found.value == pytest.approx(0.8)
    assert (found.n, found.baseline, found.delta) == (40, 1.0, 0.0)
    assert found.note is not None
    assert "20 prompts" in found.note


def test_no_prompt_in_common_is_no_change() -> None:
    ours, theirs = np.array([1.0] * 5 + [np.nan] * 5), np.array([np.nan] * 5 + [1.0] * 5)
    found = stats.Population(n_prompts=10).mean_where_defined("x", "share", ours, theirs, bounds=(0, 1))
    assert isinstance(found, Measured)
    assert (found.delta, found.delta_ci) == (None, None)


def test_few_prompts_behind_a_mean_widen_its_interval_whatever_the_population() -> None:
    values = np.array([0.2, 0.6, 0.3, 0.9] + [np.nan] * 60)
    population = stats.Population(n_prompts=64)
    found = population.mean_where_defined("x", "share", values, bounds=None)
    assert isinstance(found, Measured)
    assert found.ci is not None
    # The tail of 4 prompts is beyond every replicate: the interval reaches from the smallest value to the largest.
    assert found.ci == pytest.approx((0.2, 0.9))


def _wilson(hits: int, n: int) -> tuple[float, float]:
    z, p = scipy_stats.norm.ppf(0.975), hits / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0000)),
    ],
)
def test_a_difference_of_two_intervals_is_newcombes_table_of_method_10(
    ours: tuple[int, int], theirs: tuple[int, int], expected: tuple[float, float]
) -> None:
    rates = [hits / n for hits, n in (ours, theirs)]
    found = stats.difference_interval(rates[0], _wilson(*ours), rates[1], _wilson(*theirs))
    assert found == pytest.approx(expected, abs=5e-5)


def test_a_difference_of_two_symmetric_intervals_is_the_normal_one() -> None:
    low, high = stats.difference_interval(2.0, (1.7, 2.3), 1.0, (0.6, 1.4))
    assert (low, high) == pytest.approx((0.5, 1.5))  # 1 +- sqrt(0.3^2 + 0.4^2)


def test_a_difference_of_independent_estimates_covers_the_truth() -> None:
    rng, hits, repeats = np.random.default_rng(0), 0, 4000
    for _ in range(repeats):
        a, b = rng.binomial(40, 0.9), rng.binomial(60, 0.6)
        low, high = stats.difference_interval(a / 40, _wilson(a, 40), b / 60, _wilson(b, 60))
        hits += low <= 0.3 <= high
    assert hits / repeats == pytest.approx(0.95, abs=0.012)
