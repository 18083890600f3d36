"""Intervals that respect the prompt, and the closed-form statistics of repeated sampling.

A statistic is written once, as a function of prompt weights `(R, N) -> (R,)`: weights of one give the point estimate,
multinomial weights give R bootstrap replicates, and the *same* weights on a baseline give a paired change. The K
completions of one prompt are not independent evidence, so prompts are what is resampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import special, stats

from entropydx import weighted
from entropydx.types import FAILURES, FloatArray, IntArray, Interval, Measured, Measurement, Missing

Statistic = weighted.Statistic
divide = weighted.divide
ratio_statistic = weighted.ratio_statistic
mean_statistic = weighted.mean_statistic
quantile_statistic = weighted.quantile_statistic
mixture_statistic = weighted.mixture_statistic

ALPHA = 0.05
"""Chance of accusing a checkpoint that has none of the four failures."""
CI_LEVEL = 1 - ALPHA / len(FAILURES)
"""Level of every interval of a run that is looked at once: Bonferroni over the failures, so that the interval shown is
the interval decided on. A rule is a conjunction of thresholds (an intersection-union test, Berger 1982), which needs no
correction of its own; an `AnyOf` of two one-sided thresholds spends both tails of the two-sided interval, and no more.
"""
_level: ContextVar[float] = ContextVar("level", default=CI_LEVEL)
N_REPLICATES = 4000
MAX_UNDEFINED = 0.1
"""Largest share of undefined replicates for which an interval is still given."""
NO_INTERVAL = "no interval: every prompt gives the same value, or too few prompts define it"
NO_CHANGE = "no interval of the change: every prompt changes alike, or too few define it"
NO_QUOTIENT = "no interval of the quotient: every prompt gives the same one, or too few define it"
_Reach = Callable[[float], Interval | None]
"""The share of prompts that may be of a kind that none was, to between what a number lies; None: unbounded."""


@contextmanager
def at_level(level: float) -> Iterator[None]:
    """Give every interval that is made inside another level than `CI_LEVEL`, as repeated looks need (see `looks`)."""
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def tail() -> float:
    """Return the probability that every interval now leaves out on each side."""
    return (1 - _level.get()) / 2


# ── the bootstrap ─────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=16)
def bootstrap_weights(n_prompts: int, seed: int = 0) -> FloatArray:
    """Return multinomial prompt weights, shape (N_REPLICATES, n_prompts); each row sums to `n_prompts`."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    draws = rng.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), size=N_REPLICATES)
    weights: FloatArray = draws.astype(np.float64)
    weights.flags.writeable = False
    return weights


def tail_probability(n_prompts: int) -> float:
    """Return the tail of the *expanded* percentile interval, wider than `tail()` for few prompts.

    The plain percentile interval is too narrow by sqrt(n/(n-1)) and uses normal in place of t quantiles; Hesterberg
    (2015, arXiv:1411.5279) expands the tail to Phi(sqrt(n/(n-1)) t_{alpha/2, n-1}).
    """
    t = stats.t.ppf(tail(), n_prompts - 1)
    return float(special.ndtr(np.sqrt(n_prompts / (n_prompts - 1)) * t))


def _interval(replicates: FloatArray, n_prompts: int) -> Interval | None:
    """Return the expanded percentile interval, or None when too many replicates are undefined."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < (1 - MAX_UNDEFINED) * len(replicates):
        return None
    outside = tail_probability(n_prompts)
    low, high = np.quantile(defined, [outside, 1 - outside])
    return float(low), float(high)


def no_event_bound(n_prompts: int) -> float:
    """Return the upper limit of a rate of which `n_prompts` prompts showed no instance (Clopper & Pearson 1934)."""
    return float(1 - tail() ** (1 / n_prompts))


def _widen_flat(ci: Interval | None, n_prompts: int, reach: _Reach) -> Interval | None:
    """Replace a zero-width interval: all prompts agreeing is not certainty about the next prompt."""
    if ci is None or ci[1] - ci[0] > weighted.FLAT * max(1.0, abs(ci[0]), abs(ci[1])):
        return ci
    return reach(no_event_bound(max(n_prompts, 1)))


def _unseen(statistic: Statistic, value: float, bounds: Interval | None) -> _Reach:
    """Return how far unseen prompts reach: exactly where the statistic knows it, else as of a mean over prompts."""

    def reach(share: float) -> Interval | None:
        if isinstance(statistic, weighted.Spanning):
            return statistic.between(share, bounds)
        if bounds is None:
            return None
        by = share * (bounds[1] - bounds[0])
        return max(float(bounds[0]), value - by), min(float(bounds[1]), value + by)

    return reach


def _unseen_change(ours: Statistic, theirs: Statistic, delta: float, bounds: Interval | None) -> _Reach:
    """Return how far unseen prompts reach in `ours - theirs`: one of them can be at opposite ends of the two."""

    def reach(share: float) -> Interval | None:
        if isinstance(ours, weighted.Spanning) and isinstance(theirs, weighted.Spanning):
            a, b = ours.between(share, bounds), theirs.between(share, bounds)
            return None if a is None or b is None else (a[0] - b[1], a[1] - b[0])
        if bounds is None:
            return None
        span = float(bounds[1] - bounds[0])
        # (1-p) delta -+ p span, and never nearer to delta than p span: what is no mean may move by more than a mean.
        low, high = delta - share * (span + max(delta, 0.0)), delta + share * (span - min(delta, 0.0))
        return max(low, -span), min(high, span)

    return reach


def _unseen_quotient(ours: Statistic, theirs: Statistic, bounds: Interval | None) -> _Reach:
    """Return how far unseen prompts reach in `ours / theirs`; see `Population.ratio`."""

    def reach(share: float) -> Interval | None:
        if not (isinstance(ours, weighted.Spanning) and isinstance(theirs, weighted.Spanning)):
            return None
        over, under = ours.between(share, bounds), theirs.between(share, theirs.seen() or bounds)
        if over is None or under is None or under[0] <= 0:
            return None
        return over[0] / under[1], over[1] / under[0]

    return reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The prompts that a set of estimates is made over.

    Parameters
    ----------
    n_prompts : int
        N of every statistic.
    seed : int
        Of the bootstrap.
    same : bool
        The baseline is the checkpoint itself: every paired change is exactly zero.
    """

    n_prompts: int
    seed: int = 0
    same: bool = False

    def _both(self, statistic: Statistic) -> tuple[float, FloatArray]:
        point = float(statistic(np.ones((1, self.n_prompts)))[0])
        return point, statistic(bootstrap_weights(self.n_prompts, self.seed))

    def estimate(  # noqa: PLR0913 - the fields of one measurement
        self,
        name: str,
        unit: str,
        statistic: Statistic,
        baseline: Statistic | None = None,
        *,
        bounds: Interval | None = None,
        n: int | None = None,
        note: str | None = None,
    ) -> Measurement:
        """Estimate a statistic with its interval, and its paired change when a baseline statistic is given.

        Parameters
        ----------
        bounds : (low, high), optional
            Range of a rate. Where all prompts agree the interval is then the exact binomial one over prompts, of means
            by `weighted.RatioStatistic`; without bounds it is left out, and the note says so. Other statistics are
            taken to move as a mean over prompts would.
        n : int, optional
            Prompts behind the number, when fewer than the population; they set how far the tail is expanded.
        """
        behind = self.n_prompts if n is None else n
        if self.n_prompts < 2:
            return Missing(name=name, reason=f"needs at least 2 prompts for an interval, has {self.n_prompts}")
        value, replicates = self._both(statistic)
        if not np.isfinite(value):
            return Missing(name=name, reason="undefined: no completion that it could be measured on")
        ci = _widen_flat(_interval(replicates, max(behind, 2)), behind, _unseen(statistic, value, bounds))
        if ci is None:
            note = note or NO_INTERVAL
        base = delta = None
        delta_ci: Interval | None = None
        if baseline is not None:
            base_value, base_replicates = self._both(baseline)
            if np.isfinite(base_value):
                base, delta = base_value, value - base_value
                reach = _unseen_change(statistic, baseline, delta, bounds)
                delta_ci = self._paired(replicates - base_replicates, behind, reach)
                if delta_ci is None:
                    note = note or NO_CHANGE
        return Measured(
            name=name, value=value, unit=unit, n=behind, ci=ci, baseline=base, delta=delta, delta_ci=delta_ci, note=note
        )

    def _paired(self, changes: FloatArray, n: int, reach: _Reach) -> Interval | None:
        return (0.0, 0.0) if self.same else _widen_flat(_interval(changes, max(n, 2)), n, reach)

    def mean_where_defined(
        self, name: str, unit: str, values: FloatArray, baseline: FloatArray | None = None, *, bounds: Interval | None
    ) -> Measurement:
        """Estimate the mean of per-prompt values that are NaN for some prompts.

        The change is taken over the prompts where checkpoint *and* baseline are defined. Means over two different sets
        of prompts would differ by which prompts are in them: a checkpoint that half-solves new problems would look less
        reliable on "the problems that it solves" than a baseline that never did.

        Parameters
        ----------
        values, baseline : (N,)
            In the same order of prompts.
        """
        n = int(np.isfinite(values).sum())
        found = self.estimate(name, unit, mean_statistic(values), bounds=bounds, n=n)
        if baseline is None or isinstance(found, Missing):
            return found
        changes = values - baseline
        n_both = int(np.isfinite(changes).sum())
        if n_both == 0:
            return replace(found, note="no change: no prompt on which checkpoint and baseline both define it")
        change = mean_statistic(changes)
        delta, replicates = self._both(change)
        base, _ = self._both(mean_statistic(np.where(np.isfinite(changes), baseline, np.nan)))
        span = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        delta_ci = self._paired(replicates, n_both, _unseen(change, delta, span))
        note = found.note or f"baseline and change over the {n_both} prompts on which both define it"
        if delta_ci is None:
            note = f"{note}; {NO_CHANGE}"
        return replace(found, baseline=base, delta=delta, delta_ci=delta_ci, note=note)

    def ratio(
        self,
        name: str,
        statistic: Statistic,
        baseline: Statistic,
        note: str | None = None,
        *,
        bounds: Interval | None = None,
    ) -> Measurement:
        """Estimate `statistic / baseline` with a paired interval; unit `x baseline`.

        Where all prompts give one quotient, up to a share p of prompts may give another (`no_event_bound`). One bound
        serves both sides, since what no prompt showed is another *pair*: the interval is from the least numerator over
        the greatest denominator to the greatest over the least, as `weighted.Spanning.between` has them. Numerators of
        unseen prompts are within `bounds`; so are denominators where the baseline's prompts are all alike, but where
        they vary its unseen prompts are taken to lie between the seen ones: what it does is not in doubt, only what
        the checkpoint does beside it.

        Parameters
        ----------
        bounds : (low, high), optional
            Between what the statistic of one prompt alone can lie, of checkpoint and baseline. Without them only a
            quantile of enough prompts has an interval where all prompts agree.
        """
        if self.n_prompts < 2:
            return Missing(name=name, reason=f"needs at least 2 prompts for an interval, has {self.n_prompts}")
        value, replicates = self._both(statistic)
        base_value, base_replicates = self._both(baseline)
        if not (np.isfinite(value) and np.isfinite(base_value)) or base_value <= 0:
            return Missing(name=name, reason="undefined: the baseline's value is zero or missing")
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = replicates / base_replicates
        present = [s.n_present for s in (statistic, baseline) if isinstance(s, weighted.Spanning)]
        reach = _unseen_quotient(statistic, baseline, bounds)
        ci = _widen_flat(_interval(quotient, self.n_prompts), min([self.n_prompts, *present]), reach)
        if self.same:
            ci = (1.0, 1.0)
        elif ci is None:
            note = NO_QUOTIENT if note is None else f"{note}; {NO_QUOTIENT}"
        return Measured(name=name, value=value / base_value, unit="x baseline", n=self.n_prompts, ci=ci, note=note)


# ── differences, functionals of a distribution (last axis) ────────────────────────────────────────


def difference_interval(value: float, ci: Interval, other: float, other_ci: Interval) -> Interval:
    """Return the interval of `value - other` from the intervals of two independent estimates, of the same level.

    The MOVER method (Zou & Donner 2008, Stat. Med. 27:1693; for two proportions Newcombe 1998, Stat. Med. 17:873,
    method 10): variances are recovered from each interval on the side that matters, so that skewed intervals give a
    skewed one. Where the two are positively correlated, as over the same prompts, it is wider than it need be.
    """
    below, above = max(value - ci[0], 0.0), max(ci[1] - value, 0.0)
    other_below, other_above = max(other - other_ci[0], 0.0), max(other_ci[1] - other, 0.0)
    change = value - other
    return change - float(np.hypot(below, other_above)), change + float(np.hypot(above, other_below))


def shannon_entropy(p: FloatArray) -> FloatArray:
    """Return -sum p ln p in nats over the last axis; 0 ln 0 = 0."""
    result: FloatArray = special.entr(p).sum(axis=-1)
    return result


def effective_number(p: FloatArray) -> FloatArray:
    """Return exp(entropy), the Hill number of order 1: how many equally common categories would be as diverse."""
    result: FloatArray = np.exp(shannon_entropy(p))
    return result


def js_divergence(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return the Jensen-Shannon divergence in nats, in [0, ln 2] (Lin 1991)."""
    divergence = shannon_entropy((p + q) / 2) - (shannon_entropy(p) + shannon_entropy(q)) / 2
    return np.where(np.isnan(divergence), np.nan, np.clip(divergence, 0.0, np.log(2)))


# ── repeated sampling, one value per prompt ───────────────────────────────────────────────────────


def pass_at_k(n: int, correct: IntArray, k: int) -> FloatArray:
    """Return the unbiased pass@k per prompt, (N,): 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374).

    Parameters
    ----------
    n : int
        Samples of each prompt; k <= n.
    correct : (N,) int
        Correct ones among them.
    """
    _check_k(n, k)
    result: FloatArray = stats.hypergeom.sf(0, n, correct, k)
    return result


def pass_hat_k(n: int, correct: IntArray, k: int) -> FloatArray:
    """Return the unbiased pass^k per prompt, (N,): C(c, k) / C(n, k), all k samples right (arXiv:2406.12045)."""
    return g_pass_at_k(n, correct, k, 1.0)


def g_pass_at_k(n: int, correct: IntArray, k: int, tau: float) -> FloatArray:
    """Return G-Pass@k_tau per prompt, (N,): at least ceil(tau k) of k samples right (arXiv:2412.13147)."""
    _check_k(n, k)
    needed = max(int(np.ceil(round(tau * k, 9))), 1)
    result: FloatArray = stats.hypergeom.sf(needed - 1, n, correct, k)
    return result


def mg_pass_at_k(n: int, correct: IntArray, k: int) -> FloatArray:
    """Return mG-Pass@k per prompt, (N,): 2/k sum over i = ceil(k/2)+1..k of G-Pass@k_{i/k} (arXiv:2412.13147)."""
    levels = range(int(np.ceil(k / 2)) + 1, k + 1)
    total = np.zeros(len(correct))
    for i in levels:
        total += g_pass_at_k(n, correct, k, i / k)
    return 2 / k * total


def _check_k(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k must be in 1..{n}, the number of samples; got {k}")


def pairwise_agreement(counts: IntArray) -> float:
    """Return the unbiased chance that two draws agree, sum c(c-1) / (m(m-1)) for category counts; NaN below two draws.

    Unlike a plug-in entropy it has no small-sample bias (Simpson 1949).
    """
    m = int(counts.sum())
    if m < 2:
        return float("nan")
    return float((counts * (counts - 1)).sum() / (m * (m - 1)))
