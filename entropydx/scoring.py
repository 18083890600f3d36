"""How good verdicts are: rates, F1, calibration and dose-response, each with an interval over groups of cases.

As in `stats`, a statistic is a function of weights `(R, N) -> (R,)`: weights of one give the value, and resampled
weights give its interval. What is resampled is the *group*, the cases of one recipe on one base with all draws of each:
cases that share cause and base stand and fall together, and counting them as independent would make every interval too
narrow.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy import stats as distributions

from entropydx.stats import (
    MAX_UNDEFINED,
    Statistic,
    at_level,
    bootstrap_weights,
    divide,
    ratio_statistic,
    tail_probability,
)
from entropydx.types import Bin, Figure, FloatArray, IntArray, Interval

LEVEL = 0.95
"""Of every interval about the tool itself; no figure decides another, so nothing is shared out among them."""


def wilson(hits: float, n: int, level: float = LEVEL) -> Interval:
    """Return the score interval of a rate (Wilson 1927): it is right at 0 and at n, where a bootstrap is a point.

    Parameters
    ----------
    hits : float
        In [0, n].
    n : int
        At least 1.
    """
    z = float(distributions.norm.ppf((1 + level) / 2))
    rate, spread = hits / n, z**2 / n
    centre = (rate + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * float(np.sqrt(rate * (1 - rate) / n + spread / (4 * n)))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def estimate(statistic: Statistic, groups: Sequence[Hashable], *, n: int | None = None) -> Figure:
    """Return a statistic of verdicts with its interval over groups (expanded percentile, see `stats`).

    Parameters
    ----------
    groups : N hashables
        The group of each verdict.
    n : int, optional
        What is counted, where it is not N.
    """
    names = list(dict.fromkeys(groups))
    counted = len(groups) if n is None else n
    if not names:
        return Figure(value=None, ci=None, n=0, groups=0, note="no case")
    value = float(statistic(np.ones((1, len(groups))))[0])
    if not np.isfinite(value):
        return Figure(value=None, ci=None, n=counted, groups=len(names), note="undefined on these cases")
    ci, note = _resampled(statistic, groups, names)
    return Figure(value=value, ci=ci, n=counted, groups=len(names), note=note)


def _resampled(
    statistic: Statistic, groups: Sequence[Hashable], names: Sequence[Hashable]
) -> tuple[Interval | None, str | None]:
    """Return the interval, or why there is none."""
    if len(names) < 2:
        return None, "no interval: a single group"
    place = {name: i for i, name in enumerate(names)}
    weights = bootstrap_weights(len(names))[:, [place[g] for g in groups]]
    replicates = statistic(weights)
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < (1 - MAX_UNDEFINED) * len(replicates):
        return None, "no interval: too few groups define it"
    with at_level(LEVEL):
        tail = tail_probability(len(names))
    low, high = np.quantile(defined, [tail, 1 - tail])
    if high - low < 1e-12:
        return None, "no interval: every group gives the same value"
    return (float(low), float(high)), None


def rate(hits: Sequence[bool], groups: Sequence[Hashable]) -> Figure:
    """Return a share of verdicts with its interval.

    It is the bootstrap's over groups, and never narrower than Wilson's over verdicts: that verdicts hang together can
    make a share only less certain. Where all groups agree the bootstrap knows nothing, and the interval is Wilson's
    over groups.
    """
    found = estimate(ratio_statistic(np.array(hits, dtype=float), np.ones(len(hits))), groups)
    if found.value is None:
        return found
    if found.ci is None:
        ci = wilson(found.value * found.groups, found.groups)
    else:
        low, high = wilson(found.value * found.n, found.n)
        ci = min(low, found.ci[0]), max(high, found.ci[1])
    return Figure(value=found.value, ci=ci, n=found.n, groups=found.groups)


# ── labels ────────────────────────────────────────────────────────────────────────────────────────


def confusion(
    truths: Sequence[str], verdicts: Sequence[str], rows: Sequence[str], columns: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Return how often each truth (row) got each verdict (column)."""
    pairs = list(zip(truths, verdicts, strict=True))
    return tuple(tuple(sum(1 for pair in pairs if pair == (r, c)) for c in columns) for r in rows)


def f1_statistic(truths: Sequence[str], verdicts: Sequence[str], labels: Sequence[str]) -> Statistic:
    """Return the macro-F1 over labels: the mean of 2 TP / (2 TP + FP + FN).

    A label that neither occurs nor is given has no F1, and is left out of the mean. A verdict outside `labels` is a
    miss of its truth; a truth outside them can still be a false positive of the verdict.
    """
    is_truth, is_verdict = _one_hot(truths, labels), _one_hot(verdicts, labels)

    def statistic(weights: FloatArray) -> FloatArray:
        true_positives = weights @ (is_truth * is_verdict)
        scores = divide(2 * true_positives, weights @ is_truth + weights @ is_verdict)
        known = np.isfinite(scores)
        return divide(np.where(known, scores, 0.0).sum(axis=1), known.sum(axis=1).astype(float))

    return statistic


def _one_hot(values: Sequence[str], labels: Sequence[str]) -> FloatArray:
    return np.array([[value == label for label in labels] for value in values], dtype=float).reshape(-1, len(labels))


# ── probabilities ─────────────────────────────────────────────────────────────────────────────────


def brier(probabilities: Sequence[float], outcomes: Sequence[bool], groups: Sequence[Hashable]) -> Figure:
    """Return the mean of (probability - outcome)² (Brier 1950)."""
    return estimate(ratio_statistic(_squares(probabilities, outcomes), np.ones(len(outcomes))), groups)


def brier_skill(probabilities: Sequence[float], outcomes: Sequence[bool], groups: Sequence[Hashable]) -> Figure:
    """Return 1 - Brier / m (1 - m), where m is the share of outcomes: 0 is what stating m every time would get."""
    squares, happened = _squares(probabilities, outcomes), np.array(outcomes, dtype=float)

    def statistic(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        share = divide(weights @ happened, total)
        skill: FloatArray = 1 - divide(divide(weights @ squares, total), share * (1 - share))
        return skill

    return estimate(statistic, groups)


def _squares(probabilities: Sequence[float], outcomes: Sequence[bool]) -> FloatArray:
    squares: FloatArray = (np.array(probabilities, dtype=float) - np.array(outcomes, dtype=float)) ** 2
    return squares


def reliability(
    probabilities: Sequence[float], outcomes: Sequence[bool], groups: Sequence[Hashable], n_bins: int = 10
) -> tuple[Bin, ...]:
    """Return bins of equal width over [0, 1], the last one closed: the mean stated, and the share that happened."""
    places = np.minimum((np.array(probabilities, dtype=float) * n_bins).astype(int), n_bins - 1)
    return tuple(_bin(i, n_bins, np.flatnonzero(places == i), probabilities, outcomes, groups) for i in range(n_bins))


def _bin(
    number: int,
    n_bins: int,
    members: IntArray,
    probabilities: Sequence[float],
    outcomes: Sequence[bool],
    groups: Sequence[Hashable],
) -> Bin:
    stated = float(np.mean([probabilities[i] for i in members])) if len(members) else None
    observed = rate([outcomes[i] for i in members], [groups[i] for i in members])
    return Bin(low=number / n_bins, high=(number + 1) / n_bins, stated=stated, observed=observed)


# ── dose and repetition ───────────────────────────────────────────────────────────────────────────


def spearman(doses: Sequence[float], scores: Sequence[float]) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; NaN where all doses are equal.

    Where all scores are equal it is 0: a score that does not move shows no response, which is a finding, and not a
    missing number.
    """
    x, y = distributions.rankdata(doses), distributions.rankdata(scores)
    if np.ptp(x) == 0:
        return float("nan")
    return 0.0 if np.ptp(y) == 0 else float(np.corrcoef(x, y)[0, 1])


def pooled(values: Sequence[float], sizes: Sequence[int], groups: Sequence[Hashable]) -> Figure:
    """Return the mean of values weighted by sizes, with its interval over groups; `n` is the sum of the sizes."""
    weights = np.array(sizes, dtype=float)
    return estimate(ratio_statistic(weights * np.array(values, dtype=float), weights), groups, n=int(sum(sizes)))
