"""How often different problems are given the same answer, beside how often they have the same one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from entropydx import stats
from entropydx.probes._votes import RIGHT, category
from entropydx.rational import format_rational, parse_rational
from entropydx.types import FloatArray, Group

MAX_CANDIDATES = 64
"""Commonest answers among which a replicate looks for its most common one."""


@lru_cache(maxsize=65_536)
def _canonical(answer: str) -> str:
    """Return one text for equal numbers, `05` and `5`, and for texts that differ in case and spaces only."""
    value = parse_rational(answer, units=False)
    return " ".join(answer.casefold().split()) if value is None else format_rational(value)


def _stated(group: Group) -> list[str]:
    """Return the answers that the completions state; one that is accepted is the gold answer, however it is written."""
    gold = _canonical(group.prompt.answer)
    return [gold if category(c) == RIGHT else _canonical(c.answer) for c in group.completions if c.answer is not None]


def _pairs(shares: FloatArray, present: FloatArray) -> stats.Statistic:
    """Return the chance that draws of two different prompts agree: sum over i != j of w_i w_j p_i . p_j, normalised.

    A prompt that is resampled twice is not a pair with itself: the diagonal stays out, which keeps it unbiased.
    """
    agree = shares @ shares.T
    np.fill_diagonal(agree, 0.0)

    def statistic(weights: FloatArray) -> FloatArray:
        among = weights * present
        n_pairs = among.sum(axis=1) ** 2 - (among**2).sum(axis=1)
        return stats.divide(((weights @ agree) * weights).sum(axis=1), n_pairs)

    return statistic


def _largest(shares: FloatArray, present: FloatArray) -> stats.Statistic:
    """Return the share of the commonest answer, every prompt counting alike."""
    order = np.argsort(-shares.sum(axis=0), kind="stable")[:MAX_CANDIDATES]
    candidates = shares[:, order]
    return lambda weights: stats.divide((weights @ candidates).max(axis=1, initial=0.0), weights @ present)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The stated answers of N prompts over M distinct ones, and the gold answers of the same prompts."""

    names: tuple[str, ...]
    """M answers in canonical form."""
    shares: FloatArray
    """(N, M) share of a prompt's stated answers; a row of zeros where none is stated."""
    gold: FloatArray
    """(N, M) one at the gold answer of every prompt that states an answer."""

    @classmethod
    def of(cls, groups: tuple[Group, ...]) -> Answers:
        """Count the answers of every prompt."""
        stated = [_stated(g) for g in groups]
        golds = [_canonical(g.prompt.answer) for g in groups]
        names = tuple(dict.fromkeys([*golds, *(a for answers in stated for a in answers)]))
        index = {name: i for i, name in enumerate(names)}
        shares, gold = np.zeros((len(groups), len(names))), np.zeros((len(groups), len(names)))
        for row, (answers, right) in enumerate(zip(stated, golds, strict=True)):
            np.add.at(shares[row], [index[a] for a in answers], 1 / max(len(answers), 1))
            gold[row, index[right]] = float(bool(answers))
        return cls(names, shares, gold)

    @property
    def present(self) -> FloatArray:
        """(N,) one for the prompts that state an answer."""
        present: FloatArray = self.gold.sum(axis=1)
        return present

    def reuse(self) -> stats.Statistic:
        """Return the excess over the gold answers of the chance that two prompts' completions agree."""
        ours, gold = _pairs(self.shares, self.present), _pairs(self.gold, self.present)
        return lambda weights: ours(weights) - gold(weights)

    def top_share(self) -> stats.Statistic:
        """Return the excess over the gold answers of the commonest answer's share."""
        ours, gold = _largest(self.shares, self.present), _largest(self.gold, self.present)
        return lambda weights: ours(weights) - gold(weights)

    def commonest(self, n: int = 3) -> str:
        """Return the `n` commonest answers with their shares, in words."""
        shares = self.shares.sum(axis=0) / max(self.present.sum(), 1.0)
        best = [i for i in np.argsort(-shares, kind="stable")[:n] if shares[i] > 0]
        return "commonest: " + ", ".join(f"'{self.names[i][:24]}' {shares[i]:.3f}" for i in best)
