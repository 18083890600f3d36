"""Statistics as functions of prompt weights, and how far unseen prompts could move them where a bootstrap is blind.

Resampling prompts that all agree gives a width of zero. What is known then is that n prompts showed none of another
kind, so that these are at most a share p of all (`stats.no_event_bound`): the population is a mixture of what was seen
and of a share p of anything (the contamination model of Huber 1964, Ann. Math. Stat. 35:73). `between` is the exact
range of a statistic over that mixture, so it misses the truth as seldom as the bound on p does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from entropydx.types import FloatArray, Interval

Statistic = Callable[[FloatArray], FloatArray]
"""Prompt weights (R, N) to values (R,); NaN where a replicate leaves the statistic undefined."""
FLAT = 1e-12
"""Width up to which values are one value, and an interval has no width."""
_QUANTILE_BINS = 1024


@runtime_checkable
class Spanning(Protocol):
    """A statistic that knows how far a share of unseen prompts could move it."""

    @property
    def n_present(self) -> int:
        """Prompts that weigh anything."""

    def __call__(self, weights: FloatArray, /) -> FloatArray:
        """Return the value under each row of weights."""

    def between(self, share: float, bounds: Interval | None) -> Interval | None:
        """Return between what it lies when a `share` of the prompts are of a kind that none was; None: unbounded.

        Parameters
        ----------
        share : float
            Of the prompts, in [0, 1).
        bounds : (low, high), optional
            Between what the statistic of one prompt alone can lie.
        """

    def seen(self) -> Interval | None:
        """Return between what the statistic of one prompt alone lay; None where all prompts have the same."""


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, NaN where the denominator is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _of_weight(share: float, sizes: FloatArray) -> float:
    """Return what share of all completions or tokens a `share` of prompts holds, if each holds as many as the largest.

    Exactly `share` where all prompts are of one size. Where they are not, that no unseen prompt is larger than the
    largest seen is assumed; it is known where that one has all of its completions cut off at the limit.
    """
    size = share * float(sizes.max() / sizes.mean())
    return size / (1 - share + size)


@dataclass(frozen=True, slots=True, eq=False)
class RatioStatistic:
    """sum(w a) / sum(w b)."""

    numerators: FloatArray
    """(N,)"""
    denominators: FloatArray
    """(N,), not negative."""

    def __call__(self, weights: FloatArray, /) -> FloatArray:
        """Return the value under each row of weights."""
        return divide(weights @ self.numerators, weights @ self.denominators)

    @property
    def n_present(self) -> int:
        """Prompts that weigh anything."""
        return int(np.count_nonzero(self.denominators > 0))

    def between(self, share: float, bounds: Interval | None) -> Interval | None:
        """Return `(1-π) v + π bounds`: v is the value, π the part of the weight that unseen prompts have."""
        present = self.denominators[self.denominators > 0]
        if bounds is None or len(present) == 0:
            return None
        value = float(self.numerators.sum() / present.sum())
        part = _of_weight(share, present)
        low, high = ((1 - part) * value + part * float(bound) for bound in bounds)
        # Rounding may take (1-π) v + π v off v.
        return max(min(low, value), float(bounds[0])), min(max(high, value), float(bounds[1]))

    def seen(self) -> Interval | None:
        """Return the smallest and the largest a/b; None where there is one only."""
        present = self.denominators > 0
        each = self.numerators[present] / self.denominators[present]
        return (float(each.min()), float(each.max())) if np.ptp(each) > FLAT else None


@dataclass(frozen=True, slots=True, eq=False)
class QuantileStatistic:
    """The q-quantile of the pooled values of N prompts, each counted as often as its prompt weighs."""

    pooled: FloatArray
    q: float
    edges: FloatArray
    """(M,) values that replicates tell apart, ascending."""
    counts: FloatArray
    """(N, M) of each prompt's values up to each edge and above the one before."""

    def __call__(self, weights: FloatArray, /) -> FloatArray:
        """Return the value under each row of weights, that of numpy under weights of one."""
        if len(weights) == 1 and np.all(weights == 1):
            return np.array([float(np.quantile(self.pooled, self.q))])
        cumulative = np.cumsum(weights @ self.counts, axis=1)
        reached = cumulative >= self.q * cumulative[:, -1:]
        found: FloatArray = self.edges[np.argmax(reached, axis=1)]
        return found

    @property
    def n_present(self) -> int:
        """Prompts that weigh anything."""
        return int(np.count_nonzero(self.counts.sum(axis=1)))

    def between(self, share: float, bounds: Interval | None) -> Interval | None:
        """Return the quantiles of what was seen at (q-π)/(1-π) and q/(1-π): all that is unseen lies below, or above.

        Neither depends on how *far* below or above, so that bounds are asked for only where π reaches q or 1-q; and a
        step of the distribution that both lie on leaves no width, soundly. Of a median of prompts that all agree it
        is the sign test's interval.
        """
        sizes = self.counts.sum(axis=1)
        part = _of_weight(share, sizes[sizes > 0])
        below, above = (self.q - part) / (1 - part), self.q / (1 - part)
        if bounds is None and (below < 0 or above > 1):
            return None
        low, high = bounds if bounds is not None else (0.0, 0.0)
        return (
            float(np.quantile(self.pooled, below, method="lower")) if below >= 0 else float(low),
            float(np.quantile(self.pooled, above, method="higher")) if above <= 1 else float(high),
        )

    def seen(self) -> Interval | None:
        """Return the smallest and the largest value; None where there is one only."""
        return (float(self.pooled.min()), float(self.pooled.max())) if np.ptp(self.pooled) > FLAT else None


def ratio_statistic(numerators: FloatArray, denominators: FloatArray) -> RatioStatistic:
    """Return sum(w a) / sum(w b) for per-prompt sums `a`, `b` (N,): a mean over tokens or completions."""
    return RatioStatistic(numerators, denominators)


def mean_statistic(values: FloatArray) -> RatioStatistic:
    """Return the mean of per-prompt values (N,); a NaN leaves that prompt out."""
    present = np.isfinite(values)
    return ratio_statistic(np.where(present, values, 0.0), present.astype(float))


def quantile_statistic(values: Sequence[FloatArray], q: float) -> Statistic:
    """Return the q-quantile of the pooled values of N prompts, as numpy's default (linear) at weights of one.

    Replicates read it off per-prompt counts between 1,024 pooled quantiles, so its resolution is 0.1 % in rank.
    """
    pooled = np.concatenate([*values, np.array([])])
    if len(pooled) == 0:
        return lambda weights: np.full(len(weights), np.nan)
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, _QUANTILE_BINS + 1)))
    counts = np.stack([np.bincount(np.searchsorted(edges, v), minlength=len(edges)) for v in values]).astype(float)
    return QuantileStatistic(pooled, q, edges, counts)


def mixture_statistic(counts: FloatArray, functional: Callable[[FloatArray], FloatArray]) -> Statistic:
    """Return functional(p) of the pooled distribution p (R, M) over M categories, from per-prompt counts (N, M)."""

    def statistic(weights: FloatArray) -> FloatArray:
        pooled = weights @ counts
        return functional(divide(pooled, pooled.sum(axis=1, keepdims=True)))

    return statistic
