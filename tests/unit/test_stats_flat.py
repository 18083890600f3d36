"""Where all prompts agree: what n of them can rule out, against populations that are written out prompt by prompt."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from entropydx import stats
from entropydx.probes._length import rank_correlation
from entropydx.types import Interval, Measured
from entropydx.weighted import Spanning

N = 108
P = 1 - 0.00625 ** (1 / N)
"""Share of prompts of a kind of which 108 prompts show none in 0.625 % of draws."""


def _ratio(ours, theirs, n=N, **options) -> Measured:
    found = stats.Population(n_prompts=n).ratio("x", ours, theirs, **options)
    assert isinstance(found, Measured)
    return found


def _ci(found: Measured) -> Interval:
    assert found.ci is not None
    return found.ci


def _same(value: float, n: int = N) -> Spanning:
    return stats.mean_statistic(np.full(n, value))


def test_the_share_of_what_was_never_seen_is_the_binomial_bound() -> None:
    exact = scipy_stats.binomtest(0, N).proportion_ci(confidence_level=stats.CI_LEVEL, method="exact")
    assert stats.no_event_bound(N) == pytest.approx(exact.high)
    assert pytest.approx(exact.high) == P


# ── a quotient ────────────────────────────────────────────────────────────────────────────────────


def test_the_quotient_of_two_constants_is_as_sure_as_the_prompts_are_many() -> None:
    # Every completion of both is cut off at 64 tokens: up to P of the prompts may give 0 to 64 to either.
    found = _ratio(_same(64.0), _same(64.0), bounds=(0, 64))
    assert found.value == 1
    assert found.ci == pytest.approx((1 - P, 1 / (1 - P)))
    assert (_same(64.0).seen(), found.note) == (None, None)


def test_numerator_and_denominator_of_an_unseen_prompt_are_at_opposite_ends() -> None:
    found = _ratio(_same(2.0, 20), _same(4.0, 20), 20, bounds=(1, 10))
    p = 1 - 0.00625 ** (1 / 20)
    low, high = (2 * (1 - p) + 1 * p) / (4 * (1 - p) + 10 * p), (2 * (1 - p) + 10 * p) / (4 * (1 - p) + 1 * p)
    assert found.ci == pytest.approx((low, high))
    assert low < found.value < high


@pytest.mark.parametrize("bounds", [None, (-1, 1)])
def test_a_quotient_without_a_bound_has_no_interval_and_says_so(bounds: Interval | None) -> None:
    # From -1 on, a share P of 30 prompts can take the denominator of 0.1 to zero.
    found = _ratio(_same(0.1, 30), _same(0.1, 30), 30, bounds=bounds, note="as it is")
    assert (found.value, found.ci) == (1, None)
    assert found.note is not None
    assert found.note.startswith("as it is; no interval of the quotient")


def test_a_checkpoint_against_itself_is_certain_whatever_the_bounds() -> None:
    same = stats.Population(n_prompts=N, same=True).ratio("x", _same(64.0), _same(64.0), bounds=(0, 64))
    assert isinstance(same, Measured)
    assert same.ci == (1.0, 1.0)


def test_a_quotient_that_varies_keeps_its_bootstrap_interval() -> None:
    ours = stats.mean_statistic(np.random.default_rng(0).normal(5, 1, N))
    assert _ratio(ours, _same(4.0), bounds=(0, 100)).ci == _ratio(ours, _same(4.0)).ci


def test_beside_a_baseline_that_varies_unseen_prompts_of_it_are_like_the_seen() -> None:
    # Nothing is left of what the baseline has 1 to 5 of, 3 in the mean; an unseen prompt may have 8.
    theirs = stats.mean_statistic(1.0 + np.arange(N) % 5)
    mean = float(np.mean(1.0 + np.arange(N) % 5))
    found = _ratio(stats.mean_statistic(np.zeros(N)), theirs, bounds=(0, 8))
    assert found.ci == pytest.approx((0, P * 8 / ((1 - P) * mean + P * 1)))


def test_prompts_without_a_token_are_no_evidence() -> None:
    tokens = np.where(np.arange(60) < 20, 5.0, 0.0)
    ours = stats.ratio_statistic(3 * tokens, tokens)
    few = _ratio(ours, ours, 60, bounds=(0, 9))
    only = stats.ratio_statistic(np.full(20, 15.0), np.full(20, 5.0))
    assert few.ci == pytest.approx(_ci(_ratio(only, only, 20, bounds=(0, 9))))


# ── the range of a mixture, written out ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(("share", "bounds"), [(0.05, (0.0, 3.0)), (0.4, (-1.0, 2.0))])
def test_a_mean_over_tokens_with_unseen_prompts_of_the_largest_size(share: float, bounds: Interval) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, 50, 40).astype(float)
    sums = tokens * rng.uniform(0, 2, 40)
    n_unseen = round(40_000 * share / (1 - share))
    share = n_unseen / (40_000 + n_unseen)
    ends = [
        float(np.sum(1000 * sums) + n_unseen * tokens.max() * end)
        / float(np.sum(1000 * tokens) + n_unseen * tokens.max())
        for end in bounds
    ]
    assert stats.ratio_statistic(sums, tokens).between(share, bounds) == pytest.approx(ends, rel=1e-4)
    smaller = float(np.sum(1000 * sums) + n_unseen * bounds[1]) / float(np.sum(1000 * tokens) + n_unseen)
    assert smaller < ends[1]  # a smaller unseen prompt moves it less


@pytest.mark.parametrize("q", [0.2, 0.5, 0.8])
def test_a_quantile_with_unseen_prompts_below_all_or_above_all(q: float) -> None:
    share, values = 0.1, [np.random.default_rng(i).normal(i % 3, 1, 50) for i in range(30)]
    seen = np.tile(np.concatenate(values), 9)
    unseen = np.full(round(len(seen) * share / (1 - share)), 1e9)
    low, high = (np.quantile(np.concatenate([seen, sign * unseen]), q) for sign in (-1, 1))
    found = stats.quantile_statistic(values, q)
    assert isinstance(found, Spanning)
    assert found.between(share, None) == pytest.approx((low, high), abs=0.02)
    assert low < found(np.ones((1, 30)))[0] < high


def test_a_quantile_needs_a_bound_where_the_unseen_can_hold_it() -> None:
    found = stats.quantile_statistic([np.array([5.0])] * 30, 0.9)
    assert isinstance(found, Spanning)
    assert found.between(0.05, None) == (5, 5)
    assert found.between(0.15, None) is None
    assert found.between(0.15, (1, 64)) == (5, 64)
    assert found.between(0.95, (1, 64)) == (1, 64)


def test_medians_that_agree_are_the_sign_test() -> None:
    # Another median needs half of the prompts to be of another kind: 2^-8 < 0.00625 < 2^-7.
    def medians(n: int) -> stats.Statistic:
        return stats.quantile_statistic([np.full(4, 64.0)] * n, 0.5)

    assert _ratio(medians(8), medians(8), 8).ci == (1, 1)
    few = _ratio(medians(7), medians(7), 7)
    assert few.ci is None
    assert "no interval of the quotient" in (few.note or "")
    assert _ratio(medians(7), medians(7), 7, bounds=(1, 64)).ci == (1 / 64, 64)


def test_the_same_varied_lengths_twice_are_as_sure_as_the_ranks_around_the_median() -> None:
    lengths = [np.array([float(i)]) for i in range(1, 1002)]
    median = stats.quantile_statistic(lengths, 0.5)
    p = 1 - 0.00625 ** (1 / 1001)
    reach = 500 * p / (1 - p)  # ranks from the median that a share p can cover
    low, high = _ci(_ratio(median, median, 1001))
    assert low == pytest.approx((501 - reach) / (501 + reach), abs=0.004)
    assert high == pytest.approx((501 + reach) / (501 - reach), abs=0.004)


@pytest.mark.parametrize("levels", [3, 1000])
def test_equal_lengths_leave_the_correlation_with_difficulty_open(levels: int) -> None:
    x = (np.arange(3000) % levels).astype(float)
    n_unseen = round(3000 * P / (1 - P))
    order = np.arange(1, n_unseen + 1)
    expected = scipy_stats.spearmanr(np.append(x, 1e6 + order), np.append(np.zeros(3000), order)).statistic
    found = rank_correlation(x, np.full(3000, 64.0))
    assert isinstance(found, Spanning)
    assert found.between(n_unseen / (3000 + n_unseen), (-1, 1)) == pytest.approx((-expected, expected), abs=1e-6)
    assert expected > 7 * P  # a mean would move by 2 P


# ── changes ───────────────────────────────────────────────────────────────────────────────────────


def test_a_change_from_all_to_none_may_be_the_opposite_where_nobody_looked() -> None:
    found = stats.Population(n_prompts=N).estimate("x", "", _same(1.0), _same(0.0), bounds=(0, 1))
    assert isinstance(found, Measured)
    assert (found.delta, found.delta_ci) == (1, pytest.approx((1 - 2 * P, 1)))
    where = stats.Population(n_prompts=N).mean_where_defined("x", "", np.ones(N), np.zeros(N), bounds=(0, 1))
    assert isinstance(where, Measured)
    assert where.delta_ci == pytest.approx((1 - 2 * P, 1))


def test_a_statistic_that_is_no_mean_may_move_by_as_much() -> None:
    ours, theirs = (lambda weights, v=v: np.full(len(weights), v) for v in (1.0, 0.0))
    found = stats.Population(n_prompts=N).estimate("x", "", ours, theirs, bounds=(0, 1))
    assert isinstance(found, Measured)
    assert found.ci == pytest.approx((1 - P, 1))
    assert found.delta_ci == pytest.approx((1 - 2 * P, 1))
    unbounded = stats.Population(n_prompts=N).ratio("x", ours, ours, bounds=(0, 1))
    assert isinstance(unbounded, Measured)
    assert unbounded.ci is None


def test_all_half_right_is_between_both_ends() -> None:
    found = stats.Population(n_prompts=N).estimate("x", "", _same(0.5), bounds=(0, 1))
    assert isinstance(found, Measured)
    assert found.ci == pytest.approx((0.5 * (1 - P), 0.5 * (1 - P) + P))


def test_a_partial_mean_whose_change_has_no_interval_says_so() -> None:
    found = stats.Population(n_prompts=9).mean_where_defined("x", "", np.arange(9.0), np.arange(9.0), bounds=None)
    assert isinstance(found, Measured)
    assert (found.delta, found.delta_ci) == (0, None)
    assert "no interval of the change" in (found.note or "")


# ── coverage of a rare event ──────────────────────────────────────────────────────────────────────


def _covered(draw, truth: float, n: int = N, repeats: int = 400, **options) -> tuple[float, int, int]:
    """Return the share of all draws whose interval covers the truth, the unanimous ones, and those of them that do."""
    rng, hits, flat, flat_hits = np.random.default_rng(7), 0, 0, 0
    for _ in range(repeats):
        differs, ours, theirs = draw(rng)
        low, high = _ci(_ratio(ours, theirs, n, **options))
        hit = low <= truth <= high
        hits, flat, flat_hits = hits + hit, flat + (not differs.any()), flat_hits + (hit and not differs.any())
    return hits / repeats, flat, flat_hits


def test_three_of_a_hundred_short_prompts_are_covered_where_none_was_drawn() -> None:
    def draw(rng):
        differs = rng.random(N) < 0.03
        return differs, stats.mean_statistic(np.where(differs, 1.0, 64.0)), _same(64.0)

    covered, flat, flat_covered = _covered(draw, 0.97 + 0.03 / 64, bounds=(0, 64))
    assert flat / 400 > 1 - stats.CI_LEVEL  # an interval of no width misses in each of these
    assert flat_covered == flat
    assert covered >= stats.CI_LEVEL


def test_three_of_a_hundred_prompts_that_still_hedge_are_covered() -> None:
    def draw(rng):
        differs = rng.random(N) < 0.03
        return differs, stats.mean_statistic(6.0 * differs), stats.mean_statistic(rng.integers(0, 7, N).astype(float))

    covered, flat, flat_covered = _covered(draw, 0.03 * 6 / 3, bounds=(0, 6))
    assert flat / 400 > 1 - stats.CI_LEVEL
    assert flat_covered == flat
    assert covered >= stats.CI_LEVEL


def test_three_of_a_hundred_long_prompts_of_full_entropy_are_covered_where_none_was_drawn() -> None:
    # Entropies equal to the baseline's, but on 3 % of prompts uniform over 192 tokens and as long as the longest.
    def draw(rng):
        tokens, level, differs = rng.integers(10, 50, N).astype(float), rng.uniform(0.05, 0.4, N), rng.random(N) < 0.03
        ours = np.where(differs, 49.0, tokens)
        sums = ours * np.where(differs, np.log(192), level)
        return differs, stats.ratio_statistic(sums, ours), stats.ratio_statistic(tokens * level, tokens)

    numerator = (0.97 * 29.5 * 0.225 + 0.03 * 49 * np.log(192)) / (0.97 * 29.5 + 0.03 * 49)
    _, flat, flat_covered = _covered(draw, numerator / 0.225, bounds=(0, float(np.log(192))))
    assert flat / 400 > 1 - stats.CI_LEVEL
    assert flat_covered == flat
