"""How the length of completions follows the difficulty of their prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from entropydx import stats
from entropydx.types import Difficulty, FloatArray, Group, Interval

LEVELS: tuple[Difficulty, ...] = get_args(Difficulty)


def lengths(groups: tuple[Group, ...]) -> list[FloatArray]:
    """Return the tokens of every completion, one array for each prompt."""
    return [np.array([c.n_tokens for c in g.completions], dtype=float) for g in groups]


def mean_lengths(groups: tuple[Group, ...]) -> FloatArray:
    """Return the mean tokens of a completion of each prompt, (N,)."""
    return np.array([t.mean() if len(t) else np.nan for t in lengths(groups)])


def n_at(groups: tuple[Group, ...], level: Difficulty) -> int:
    """Return how many prompts are of a difficulty."""
    return sum(g.prompt.difficulty == level for g in groups)


def slope(groups: tuple[Group, ...]) -> stats.Statistic:
    """Return the mean tokens on hard prompts over those on easy ones."""
    tokens = mean_lengths(groups)
    level = np.array([g.prompt.difficulty for g in groups])
    hard = stats.mean_statistic(np.where(level == "hard", tokens, np.nan))
    easy = stats.mean_statistic(np.where(level == "easy", tokens, np.nan))
    return lambda weights: stats.divide(hard(weights), easy(weights))


def demands(groups: tuple[Group, ...]) -> tuple[FloatArray, str]:
    """Return how much work each prompt asks for, (N,), and in what that is counted.

    The steps of its worked solution when every prompt has some, else the rank of its difficulty: a solution without a
    computation does not mean that there is nothing to do.
    """
    steps = [g.n_reference_steps or 0 for g in groups]
    if all(steps):
        return np.array(steps, dtype=float), "computations in the worked solution"
    return np.array([float(LEVELS.index(g.prompt.difficulty)) for g in groups]), "rank of the difficulty"


def _midranks(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the rank of each of N values among the weighted ones, (R, N); ties share the middle of theirs."""
    order = np.argsort(values, kind="stable")
    _, starts, inverse = np.unique(values[order], return_index=True, return_inverse=True)
    mass = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.empty_like(weights)
    ranks[:, order] = (np.cumsum(mass, axis=1) - mass / 2)[:, inverse]
    return ranks


@dataclass(frozen=True, slots=True, eq=False)
class _Unranked:
    """Spearman's correlation where all y are equal: 0 in every replicate, whatever prompts that were not seen do."""

    x: FloatArray
    statistic: stats.Statistic

    def __call__(self, weights: FloatArray, /) -> FloatArray:
        """Return the value under each row of weights."""
        return self.statistic(weights)

    @property
    def n_present(self) -> int:
        """Prompts that weigh anything."""
        return len(self.x)

    def between(self, share: float, bounds: Interval | None) -> Interval | None:
        """Return how far a `share` of prompts p with other y, at the ends of x, can move it from 0.

        Far further than a mean, about sqrt(3 p): y explains of the ranks of x at most what is not left within the seen
        prompts, whose y are tied. Without ties in x those hold (1-p)³ of the variance; with ties of shares t among
        them (1-p)³ (1-T) / (1 - (1-p)³ T), T = sum of t³. It is reached where y orders the unseen prompts as x does.
        """
        _, ties = np.unique(self.x, return_counts=True)
        tied, kept = float(((ties / len(self.x)) ** 3).sum()), (1 - share) ** 3
        reach = float(np.sqrt(1 - kept * (1 - tied) / (1 - kept * tied)))
        return -reach, reach

    def seen(self) -> Interval | None:
        """Return None: the correlation of one prompt is not defined."""
        return None


def rank_correlation(x: FloatArray, y: FloatArray) -> stats.Statistic:
    """Return Spearman's correlation of (N,) values, in [-1, 1], ranked anew in every replicate.

    NaN where all x are equal. Where all y are it is 0: they do not follow x.
    """

    def statistic(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1, keepdims=True)
        a, b = _midranks(x, weights), _midranks(y, weights)
        a -= (weights * a).sum(axis=1, keepdims=True) / total
        b -= (weights * b).sum(axis=1, keepdims=True) / total
        spread_a, spread_b = ((weights * r**2).sum(axis=1) for r in (a, b))
        flat = 1e-9 * total[:, 0] ** 3
        found = stats.divide((weights * a * b).sum(axis=1), np.sqrt(spread_a * spread_b))
        return np.where(spread_a <= flat, np.nan, np.where(spread_b <= flat, 0.0, found))

    return _Unranked(x, statistic) if len(y) and np.ptp(y) == 0 else statistic
