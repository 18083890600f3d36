"""Statistics of one number over the checkpoints of a run: the entropy law, where it changed, what moved first.

A series has few points (5 to 30), its points share their prompts and their noise, and where a change lies matters more
than that there is one. ruptures and statsmodels were considered: the first gives locations without an uncertainty, the
second no change point at all, and neither is worth a dependency for one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from entropydx.types import FloatArray, HeldOutPoint, Interval, LawFit

LEVEL = 0.95
"""Of the law's and of the change point's intervals."""
MIN_POINTS = 5
"""Fewest points for a law (two coefficients and a second half to predict) and for a change point."""
N_PERMUTATIONS = 1999
SUBDIVISIONS = 4
"""Places between two neighbouring checkpoints at which a change may begin or end."""
SHAPE_PARAMETERS = 4
"""Level, drop, begin and end of a ramp."""
HARDLY = 0.1
"""An entropy whose e^H spans less than this share of its mean has hardly moved: nothing to fit a law on."""

WAY = 0.2
"""Part of its final change after which a column counts as moved."""


# ── the entropy law ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Line:
    """Least squares of R on (1, -e^H): coefficients (b, a)."""

    x: FloatArray
    """(n, 2) design."""
    y: FloatArray
    """(n,) rewards."""
    noise: float
    """Standard error of one reward; the residual spread is never taken to be less."""

    @property
    def df(self) -> int:
        return len(self.y) - 2

    @property
    def inverse(self) -> FloatArray:
        inverse: FloatArray = np.linalg.inv(self.x.T @ self.x)
        return inverse

    @property
    def beta(self) -> FloatArray:
        beta: FloatArray = self.inverse @ self.x.T @ self.y
        return beta

    @property
    def residuals(self) -> FloatArray:
        residuals: FloatArray = self.y - self.x @ self.beta
        return residuals

    @property
    def residual_sd(self) -> float:
        return float(np.sqrt(np.sum(self.residuals**2) / self.df))

    @property
    def sd(self) -> float:
        return max(self.residual_sd, self.noise)

    def weights(self, at: Sequence[float]) -> FloatArray:
        """Return w (n,) such that w @ y is the fitted value at a row of the design."""
        weights: FloatArray = self.x @ self.inverse @ np.asarray(at)
        return weights

    def estimate(self, weights: FloatArray, level: float, extra: float = 0.0) -> tuple[float, Interval]:
        """Return w @ y with its t interval; `extra` is the variance of one more point, in units of sd squared."""
        value = float(weights @ self.y)
        reach = float(stats.t.ppf((1 + level) / 2, self.df) * self.sd * np.sqrt(weights @ weights + extra))
        return value, (value - reach, value + reach)


def _line(entropy: FloatArray, reward: FloatArray, noise: float) -> _Line:
    return _Line(np.column_stack([np.ones(len(entropy)), -np.exp(entropy)]), reward, noise)


def hold_out(
    entropy: FloatArray, reward: FloatArray, names: Sequence[str], noise: float = 0.0, level: float = LEVEL
) -> tuple[HeldOutPoint, ...]:
    """Fit the law on the first half of a series and predict the rest.

    Parameters
    ----------
    entropy, reward : (n,)
        nats, and a fraction.
    noise : float
        Standard error of one reward.

    Returns
    -------
    tuple of HeldOutPoint
        Their prediction intervals hold together with probability `level` (Bonferroni).
    """
    half = max((len(reward) + 1) // 2, 3)
    line = _line(entropy[:half], reward[:half], noise)
    each = 1 - (1 - level) / (len(reward) - half)
    found = []
    for h, r, name in zip(entropy[half:], reward[half:], names[half:], strict=True):
        predicted, (low, high) = line.estimate(line.weights([1.0, -float(np.exp(h))]), each, extra=1.0)
        inside = low <= r <= high
        found.append(
            HeldOutPoint(name=name, predicted=predicted, interval=(low, high), observed=float(r), inside=bool(inside))
        )
    return tuple(found)


def fit_law(
    entropy: FloatArray, reward: FloatArray, names: Sequence[str], noise: float = 0.0, level: float = LEVEL
) -> LawFit:
    """Fit R = b - a e^H by least squares and test it on its own second half (Cui et al. 2025, arXiv:2505.22617).

    The law is linear in (a, b). Intervals are Student's t on n - 2 degrees of freedom, from the spread about the fit or
    from `noise`, whichever is larger: few points can lie on a line by chance. An error that all points share (the draw
    of the prompts) moves b and the ceiling alike and is not in them: they hold for these prompts. The headroom is
    a (e^H - 1) at the last H, the ceiling less the reward that the law gives the last point: against the *observed*
    reward the same residual would be in the difference and in its standard error, and no t interval would be exact.

    Parameters
    ----------
    entropy, reward : (n,)
        Mean token entropy in nats, and pass@1 as a fraction, in the order of training.
    names : sequence of str
        Of the points.
    noise : float
        Standard error of one reward about what it would be without sampling noise.
    """
    n = len(reward)
    if n < MIN_POINTS:
        return LawFit(
            holds=None, why=f"needs {MIN_POINTS} or more points that have both numbers, has {n}", n=n, level=level
        )
    spent = np.exp(entropy)
    if float(np.ptp(spent)) <= 1e-9 or float(np.ptp(spent[: max((n + 1) // 2, 3)])) <= 1e-9:
        why = "the entropy does not move in the first half of the series: there is nothing to fit"
        return LawFit(holds=None, why=why, n=n, level=level)
    if float(np.ptp(reward)) <= 1e-9:
        return LawFit(holds=None, why="pass@1 does not move: there is nothing to explain", n=n, level=level)
    line = _line(entropy, reward, noise)
    b, b_ci = line.estimate(line.weights([1.0, 0.0]), level)
    a, a_ci = line.estimate(line.weights([0.0, 1.0]), level)
    ceiling, ceiling_ci = line.estimate(line.weights([1.0, -1.0]), level)
    headroom, headroom_ci = line.estimate(line.weights([0.0, float(spent[-1]) - 1]), level)
    r_squared = 1 - float(np.sum(line.residuals**2) / np.sum((reward - reward.mean()) ** 2))
    held_out = hold_out(entropy, reward, names, noise, level)
    holds, why = judge_law(entropy, reward, a_ci, r_squared, held_out)
    return LawFit(
        holds=holds,
        why=why,
        n=n,
        level=level,
        a=a,
        a_ci=a_ci,
        b=b,
        b_ci=b_ci,
        ceiling=ceiling,
        ceiling_ci=ceiling_ci,
        headroom=headroom,
        headroom_ci=headroom_ci,
        r_squared=r_squared,
        residual_sd=line.residual_sd,
        held_out=held_out,
        held_out_rmse=float(np.sqrt(np.mean([(p.predicted - p.observed) ** 2 for p in held_out]))),
    )


def judge_law(
    entropy: FloatArray,
    reward: FloatArray,
    a_ci: Interval,
    r_squared: float,
    held_out: Sequence[HeldOutPoint],
) -> tuple[bool | None, str]:
    """Return whether the law holds on a series (None: it cannot be told), and why, in words."""
    outside = [p.name for p in held_out if not p.inside]
    if a_ci[1] <= 0:
        return False, "accuracy fell as entropy fell: the whole interval of a is below 0"
    if outside:
        missed = f"{len(outside)} of {len(held_out)} later points, {outside[0]} first"
        return False, f"{missed}, lie outside of what the first half of the series predicts"
    if a_ci[0] <= 0:
        spent = np.exp(entropy)
        if np.ptp(spent) < HARDLY * spent.mean():
            return None, f"the entropy hardly moved, from {entropy.max():.3g} to {entropy.min():.3g} nats"
        return None, f"the interval of a holds 0: entropy explains {100 * r_squared:.0f} % of the variance of pass@1"
    width = max(p.interval[1] - p.interval[0] for p in held_out)
    if width > 2 * float(np.ptp(reward)):
        return None, (
            f"the first half predicts the second only to within {width / 2:.2g}, more than pass@1 moved at all "
            f"({np.ptp(reward):.2g}): no test"
        )
    return True, f"a is above 0, and all {len(held_out)} later points lie where the first half predicts them"


# ── the change point ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Where a series left its level."""

    at: float
    """x at which the ramp starts; the middle of what fits equally well between two checkpoints."""
    ci: Interval
    last_before: int
    """Index of the last point that is not on the ramp."""
    before: float
    after: float
    explained: float
    """Share of the variance about the mean that the shape explains."""
    p_value: float


@lru_cache(maxsize=32)
def _ramps(x: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the start (M,) of every ramp from 0 to 1 between two places of the axis, and the ramps (M, n)."""
    knots = np.arange((len(x) - 1) * SUBDIVISIONS + 1) / SUBDIVISIONS
    places = np.interp(knots, np.arange(len(x)), x)
    begin, end = np.triu_indices(len(places), k=1)
    start, stop = places[begin], places[end]
    return start, np.clip((np.array(x) - start[:, None]) / (stop - start)[:, None], 0.0, 1.0)


@lru_cache(maxsize=32)
def _shuffles(n: int) -> FloatArray:
    """Return fixed permutation matrices' row orders as indices, (N_PERMUTATIONS, n)."""
    rng = np.random.Generator(np.random.Philox(key=n))
    return np.array([rng.permutation(n) for _ in range(N_PERMUTATIONS)])


def _explained(ramps: FloatArray, y: FloatArray) -> FloatArray:
    """Return the share of each series' variance that each ramp explains, (M, S), for centred series y (n, S)."""
    centred = ramps - ramps.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)[:, None] * (y**2).sum(axis=0)
    share: FloatArray = (centred @ y) ** 2 / squares
    return share


def change_point(x: Sequence[float], y: FloatArray, noise: float = 0.0, level: float = LEVEL) -> Change | None:
    """Find where a series leaves its first level: least squares of flat, ramp, flat, over every begin and end.

    A sudden jump and a decline that goes on to the end (a broken stick) are members of the family. The p-value is that
    of the best member's share of variance among `N_PERMUTATIONS` shuffles of the points: exact when an unchanged series
    is exchangeable, whatever its distribution. The interval holds every begin whose best fit is within
    F(1, n - 4) of the best (profile likelihood), with the residual variance or `noise` squared, whichever is larger.

    Parameters
    ----------
    x : (n,)
        Increasing.
    y : (n,)
        Finite.
    noise : float
        Standard error of one point.

    Returns
    -------
    Change or None
        None below `MIN_POINTS` points, or when all are equal.
    """
    n = len(y)
    centred = y - y.mean()
    total = float(np.sum(centred**2))
    if n < MIN_POINTS or total <= 1e-18 * max(1.0, float(np.max(y**2))):
        return None
    starts, ramps = _ramps(tuple(x))
    explained = _explained(ramps, centred[:, None])[:, 0]
    shuffled = _explained(ramps, centred[_shuffles(n)].T).max(axis=0)
    best = int(np.argmax(explained))
    p_value = (1 + int(np.sum(shuffled >= explained[best] - 1e-12))) / (1 + N_PERMUTATIONS)
    df = max(n - SHAPE_PARAMETERS, 1)
    unexplained = total * (1 - explained)
    variance = max(float(unexplained[best]) / df, noise**2)
    fitting = unexplained <= unexplained[best] + variance * stats.f.ppf(level, 1, df) + 1e-12 * total
    places = np.unique(starts)
    tied = starts[unexplained <= unexplained[best] + 1e-9 * total]
    last_before = int(np.searchsorted(x, tied.min(), side="right")) - 1
    inside = tied[tied < x[last_before + 1]]
    fall = _levels(ramps[best], y)
    return Change(
        at=float((inside.min() + _next(places, inside.max(), x)) / 2) if len(inside) > 1 else float(inside.min()),
        ci=(float(starts[fitting].min()), _next(places, float(starts[fitting].max()), x)),
        last_before=last_before,
        before=fall[0],
        after=fall[1],
        explained=float(explained[best]),
        p_value=p_value,
    )


def _next(places: FloatArray, start: float, x: Sequence[float]) -> float:
    """Return the place after a start: a change that begins between two places of the grid is read at the first."""
    later = places[places > start]
    return float(later[0]) if len(later) else float(x[-1])


def _levels(ramp: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return the level before a ramp and after it, by least squares."""
    centred = ramp - ramp.mean()
    drop = float(centred @ y / (centred @ centred))
    before = float(y.mean() - drop * ramp.mean())
    return before, before + drop


def holm(p_values: Sequence[float], alpha: float = 1 - LEVEL) -> list[bool]:
    """Return which hypotheses are rejected by Holm's step-down procedure (Holm 1979), in the order given."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[int(index)] = True
    return rejected


# ── what moved first ──────────────────────────────────────────────────────────────────────────────


def moved_since(changes: Sequence[tuple[float, Interval] | None]) -> tuple[int, bool] | None:
    """Return from which point on a series has moved for good, and whether it rose; None: it has not.

    A point has moved when its interval lies wholly on the side of zero on which the series ends, and it has gone at
    least `WAY` of the way to there: every run drifts from its first checkpoint on, and what is tiny and certain is no
    sign of what comes.

    Parameters
    ----------
    changes : sequence of (change, interval) or None
        Against the baseline; a point without one has not moved.
    """
    if not changes or changes[-1] is None:
        return None
    end = changes[-1][0]
    rose = end > 0
    first = len(changes)
    for change in reversed(changes):
        if change is None:
            break
        value, (low, high) = change
        if (low <= 0 if rose else high >= 0) or value / end < WAY:
            break
        first -= 1
    return None if first == len(changes) else (first, rose)
