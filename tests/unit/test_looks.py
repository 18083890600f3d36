"""Error spending against the multivariate normal law and a simulated A/A experiment."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from entropydx import looks, stats


def _bounds(seen: tuple[int, ...], level: float, whole: int | None = None) -> list[float]:
    return [float(scipy_stats.norm.ppf((1 + x) / 2)) for x in looks.levels(seen, level, whole)]


@pytest.mark.parametrize("n", [54, 108, 216])
@pytest.mark.parametrize("level", [0.95, stats.CI_LEVEL])
def test_all_looks_together_spend_alpha(n: int, level: float):
    seen = looks.schedule(n)
    bounds, shares = np.array(_bounds(seen, level)), np.array(seen) / n
    cov = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    inside = scipy_stats.multivariate_normal.cdf(
        bounds, cov=cov, lower_limit=-bounds, abseps=1e-6, releps=1e-6, maxpts=200_000
    )
    assert 1 - inside == pytest.approx(1 - level, rel=0.02)


def test_a_look_spends_its_share_whatever_comes_after_it():
    assert looks.levels((22, 48), 0.95, 108) == pytest.approx(looks.levels((22, 48, 108), 0.95)[:2], abs=1e-9)


def test_one_look_at_everything_has_the_level_of_a_single_look():
    assert looks.levels((108,), 0.9875) == (0.9875,)


@pytest.mark.parametrize(
    ("n", "seen"),
    [(1, (1,)), (19, (19,)), (28, (28,)), (29, (20, 29)), (54, (24, 36, 54)), (108, (22, 32, 48, 72, 108))],
)
def test_the_schedule_ends_at_the_budget_and_begins_where_a_verdict_is_possible(n: int, seen: tuple[int, ...]):
    assert looks.schedule(n) == seen


def test_peeking_accuses_more_often_and_repeated_intervals_do_not():
    # 4,000 experiments of a mean that is 0: the share in which some look excludes 0.
    rng, n = np.random.default_rng(0), 108
    seen = np.array(looks.schedule(n))
    sums = rng.standard_normal((4000, n)).cumsum(1)[:, seen - 1]
    scores = np.abs(sums) / np.sqrt(seen)
    spent = np.mean((scores > _bounds(tuple(seen), 0.95)).any(1))
    peeked = np.mean((scores > scipy_stats.norm.ppf(0.975)).any(1))
    assert abs(spent - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 4000)
    assert peeked > 0.1


def test_a_level_holds_inside_its_block_alone():
    tail = stats.tail()
    with stats.at_level(0.999):
        assert stats.tail() == pytest.approx(0.0005)
    assert stats.tail() == tail == pytest.approx(0.00625)
