"""How well confidences match outcomes, as statistics of prompt weights like those of `stats`.

Confidences and outcomes come as one array per prompt, M_i values each, because the completions of one prompt are not
independent evidence: prompts are what is resampled, and what the bias of the calibration error is removed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from entropydx.stats import Statistic, divide, ratio_statistic
from entropydx.types import FloatArray, IntArray

MAX_BINS = 10
PROMPTS_PER_BIN = 8
"""A bin of fewer prompts says next to nothing about its gap, so small suites get fewer bins."""


def split_half_vote(answers: Sequence[Hashable], right: Hashable) -> tuple[float, float]:
    """Return confidence and correctness of a vote, both unbiased: chosen on one half of the samples, read on the other.

    The share of the commonest of K answers overstates that answer's probability, the more so the smaller K is: it is
    the largest of several noisy shares. Here the commonest answer of one half is looked up in the other half, which had
    no say in the choice, so that the expectation of its share is its probability; the halves are swapped and averaged.

    Parameters
    ----------
    answers : K hashables
        One per sample, in the order of drawing; the halves are the even and the odd ones.
    right : hashable
        The answer that is right.

    Returns
    -------
    confidence, correctness : float
        Both in [0, 1], NaN below two answers. Answers that tie within a half count equally.
    """
    if len(answers) < 2:
        return float("nan"), float("nan")
    halves = Counter(answers[::2]), Counter(answers[1::2])
    pairs = [_held_out(chosen, other, right) for chosen, other in (halves, halves[::-1])]
    return (pairs[0][0] + pairs[1][0]) / 2, (pairs[0][1] + pairs[1][1]) / 2


def _held_out(chosen: Counter[Hashable], other: Counter[Hashable], right: Hashable) -> tuple[float, float]:
    top = max(chosen.values())
    winners = [a for a, c in chosen.items() if c == top]
    share = sum(other[a] for a in winners) / len(winners) / other.total()
    return share, (right in winners) / len(winners)


def brier_statistic(confidences: Sequence[FloatArray], outcomes: Sequence[FloatArray]) -> Statistic:
    """Return the mean of (confidence - outcome)², in [0, 1] (Brier 1950): 0 sure and right, 1 sure and wrong."""
    squares = [(np.asarray(c) - y) ** 2 for c, y in zip(confidences, outcomes, strict=True)]
    return ratio_statistic(_sums(squares), _sizes(squares))


def ece_statistic(
    confidences: Sequence[FloatArray], outcomes: Sequence[FloatArray], n_bins: int | None = None
) -> Statistic:
    """Return the expected calibration error over equal-mass bins, debiased, in [0, 1].

    ECE = sum over bins of (share of the mass) · sqrt(max(0, g²)), where g² estimates the squared gap between mean
    confidence and mean outcome of a bin. The plug-in gap is never 0 even for a calibrated model, because of the noise
    of the mean outcome; Kumar et al. (2019, arXiv:1909.10155) subtract the variance of that noise from the square.
    Here this is done over distinct prompts, so that K dependent completions are not taken for K outcomes: with r_i the
    sum of confidence - outcome of prompt i in the bin and m_i its completions there, g² = sum over i≠j of r_i r_j
    divided by the sum over i≠j of m_i m_j. With one completion a prompt it is the squared gap less its noise.

    Parameters
    ----------
    n_bins : int, optional
        Most bins; by default 10, or fewer so that each has 8 prompts. Equal confidences share a bin. The edges are
        those of the whole sample, held fixed under resampling.
    """
    if np.count_nonzero(_sizes(confidences)) < 2:
        return lambda weights: np.full(len(weights), np.nan)
    edges = equal_mass_edges(confidences, n_bins)
    sizes, residuals = _binned(confidences, outcomes, edges)

    def statistic(weights: FloatArray) -> FloatArray:
        squared = weights**2
        mass = weights @ sizes
        pairs = mass**2 - squared @ sizes**2
        gap = np.sqrt(np.maximum(divide((weights @ residuals) ** 2 - squared @ residuals**2, pairs), 0.0))
        known = np.where(np.isfinite(gap), mass, 0.0)  # a bin with one prompt has no pair to learn its gap from
        return divide((known * np.nan_to_num(gap)).sum(axis=1), known.sum(axis=1))

    return statistic


def equal_mass_edges(confidences: Sequence[FloatArray], n_bins: int | None = None) -> FloatArray:
    """Return the inner edges of bins that hold equally many values, (bins - 1,); equal confidences share a bin.

    Parameters
    ----------
    confidences : N arrays
        One for each prompt; at least one value.
    n_bins : int, optional
        Most bins; by default 10, or fewer so that each has 8 prompts.
    """
    behind = int(np.count_nonzero(_sizes(confidences)))
    wanted = n_bins or int(np.clip(behind // PROMPTS_PER_BIN, 1, MAX_BINS))
    edges: FloatArray = np.unique(np.quantile(np.concatenate(confidences), np.arange(1, wanted) / wanted))
    return edges


def _binned(
    confidences: Sequence[FloatArray], outcomes: Sequence[FloatArray], edges: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the number of values and the sum of confidence - outcome, (N, bins) each."""
    width = len(edges) + 1
    places = [np.searchsorted(edges, c, side="right") for c in confidences]
    sizes = [np.bincount(p, minlength=width) for p in places]
    gaps = [
        np.bincount(p, weights=np.asarray(c) - y, minlength=width)
        for p, c, y in zip(places, confidences, outcomes, strict=True)
    ]
    return np.stack(sizes).astype(float), np.stack(gaps)


def auroc_statistic(scores: Sequence[FloatArray], outcomes: Sequence[FloatArray]) -> Statistic:
    """Return the chance that a right value scores above a wrong one, ties half, in [0, 1] (Mann & Whitney 1947).

    NaN where all outcomes are equal. Pairs are taken over all completions, those of one prompt included.

    Parameters
    ----------
    outcomes : N arrays of 0 or 1
    """
    right = [np.asarray(s, dtype=float)[np.asarray(y) >= 1] for s, y in zip(scores, outcomes, strict=True)]
    wrong = [np.sort(np.asarray(s, dtype=float)[np.asarray(y) < 1]) for s, y in zip(scores, outcomes, strict=True)]
    n_right, n_wrong = _sizes(right), _sizes(wrong)
    above = _pairs_above(right, wrong, n_right.astype(int))

    def statistic(weights: FloatArray) -> FloatArray:
        won = np.einsum("rn,rn->r", weights @ above, weights)
        return divide(won, (weights @ n_right) * (weights @ n_wrong))

    return statistic


def _pairs_above(right: Sequence[FloatArray], wrong: Sequence[FloatArray], n_right: IntArray) -> FloatArray:
    """Return how many pairs of a right value of prompt i and a wrong one of j are in order, ties half, (N, N)."""
    pooled = np.concatenate([*right, np.array([])])
    owner = np.repeat(np.arange(len(right)), n_right)
    columns = [
        np.bincount(owner, (np.searchsorted(w, pooled, "left") + np.searchsorted(w, pooled, "right")) / 2, len(right))
        for w in wrong
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((0, 0))


def _sums(values: Sequence[FloatArray]) -> FloatArray:
    return np.array([np.sum(v) for v in values], dtype=float)


def _sizes(values: Sequence[FloatArray]) -> FloatArray:
    return np.array([len(v) for v in values], dtype=float)
