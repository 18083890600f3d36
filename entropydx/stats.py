"""Intervals that respect the prompt, and the closed-form statistics of repeated sampling.

A statistic is written once, as a function of prompt weights `(R, N) -> (R,)`: weights of one give the point estimate,
multinomial weights give R bootstrap replicates, and the *same* weights on a baseline give a paired change. The K
completions of one prompt are not independent evidence, so prompts are what is resampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import special, stats

from entropydx.types import FAILURES, FloatArray, IntArray, Interval, Measured, Measurement, Missing

Statistic = Callable[[FloatArray], FloatArray]
"""Prompt weights (R, N) to values (R,); NaN where a replicate leaves the statistic undefined."""

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
_QUANTILE_BINS = 1024


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


def _no_event_bound(n_prompts: int) -> float:
    """Return the upper limit of a rate of which `n_prompts` prompts showed no instance (Clopper & Pearson 1934)."""
    return float(1 - tail() ** (1 / n_prompts))


def _widen_flat(value: float, ci: Interval | None, n_prompts: int, bounds: Interval | None) -> Interval | None:
    """Replace a zero-width interval: all prompts agreeing is not certainty about the next prompt."""
    if ci is None or ci[1] - ci[0] > 1e-12:
        return ci
    if bounds is None:
        return None
    reach = _no_event_bound(n_prompts) * (bounds[1] - bounds[0])
    return max(float(bounds[0]), value - reach), min(float(bounds[1]), value + reach)


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
            Range of a rate. Where all prompts agree the interval is then the exact binomial one over prompts; without
            bounds it is left out, and the note says so.
        n : int, optional
            Prompts behind the number, when fewer than the population; they set how far the tail is expanded.
        """
        behind = self.n_prompts if n is None else n
        if self.n_prompts < 2:
            return Missing(name=name, reason=f"needs at least 2 prompts for an interval, has {self.n_prompts}")
        value, replicates = self._both(statistic)
        if not np.isfinite(value):
            return Missing(name=name, reason="undefined: no completion that it could be measured on")
        ci = _widen_flat(value, _interval(replicates, max(behind, 2)), max(behind, 1), bounds)
        if ci is None:
            note = note or "no interval: every prompt gives the same value, or too few prompts define it"
        base = delta = None
        delta_ci: Interval | None = None
        if baseline is not None:
            base_value, base_replicates = self._both(baseline)
            if np.isfinite(base_value):
                base, delta = base_value, value - base_value
                delta_ci = self._paired(delta, replicates - base_replicates, behind, bounds)
                if delta_ci is None:
                    note = note or "no interval of the change: every prompt changes alike, or too few define it"
        return Measured(
            name=name, value=value, unit=unit, n=behind, ci=ci, baseline=base, delta=delta, delta_ci=delta_ci, note=note
        )

    def _paired(self, delta: float, changes: FloatArray, n: int, bounds: Interval | None) -> Interval | None:
        if self.same:
            return 0.0, 0.0
        span = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        raw = _interval(changes, max(n, 2))
        if raw is None or raw[1] - raw[0] > 1e-12 or span is None:
            return _widen_flat(delta, raw, n, None)
        reach = _no_event_bound(max(n, 1)) * (span[1] - span[0]) / 2
        return max(float(span[0]), delta - reach), min(float(span[1]), delta + reach)

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
        delta, replicates = self._both(mean_statistic(changes))
        base, _ = self._both(mean_statistic(np.where(np.isfinite(changes), baseline, np.nan)))
        return replace(
            found,
            baseline=base,
            delta=delta,
            delta_ci=self._paired(delta, replicates, n_both, bounds),
            note=found.note or f"baseline and change over the {n_both} prompts on which both define it",
        )

    def ratio(self, name: str, statistic: Statistic, baseline: Statistic, note: str | None = None) -> Measurement:
        """Estimate `statistic / baseline` with a paired interval; unit `x baseline`."""
        if self.n_prompts < 2:
            return Missing(name=name, reason=f"needs at least 2 prompts for an interval, has {self.n_prompts}")
        value, replicates = self._both(statistic)
        base_value, base_replicates = self._both(baseline)
        if not (np.isfinite(value) and np.isfinite(base_value)) or base_value <= 0:
            return Missing(name=name, reason="undefined: the baseline's value is zero or missing")
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = replicates / base_replicates
        ci = (1.0, 1.0) if self.same else _interval(quotient, self.n_prompts)
        return Measured(name=name, value=value / base_value, unit="x baseline", n=self.n_prompts, ci=ci, note=note)


# ── statistics as functions of prompt weights ─────────────────────────────────────────────────────


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, NaN where the denominator is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def ratio_statistic(numerators: FloatArray, denominators: FloatArray) -> Statistic:
    """Return sum(w a) / sum(w b) for per-prompt sums `a`, `b` (N,): a mean over tokens or completions."""
    return lambda weights: divide(weights @ numerators, weights @ denominators)


def mean_statistic(values: FloatArray) -> Statistic:
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
    exact = float(np.quantile(pooled, q))

    def statistic(weights: FloatArray) -> FloatArray:
        if len(weights) == 1 and np.all(weights == 1):
            return np.array([exact])
        cumulative = np.cumsum(weights @ counts, axis=1)
        reached = cumulative >= q * cumulative[:, -1:]
        found: FloatArray = edges[np.argmax(reached, axis=1)]
        return found

    return statistic


def mixture_statistic(counts: FloatArray, functional: Callable[[FloatArray], FloatArray]) -> Statistic:
    """Return functional(p) of the pooled distribution p (R, M) over M categories, from per-prompt counts (N, M)."""

    def statistic(weights: FloatArray) -> FloatArray:
        pooled = weights @ counts
        return functional(divide(pooled, pooled.sum(axis=1, keepdims=True)))

    return statistic


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


# ── functionals of a distribution (last axis) ─────────────────────────────────────────────────────


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
