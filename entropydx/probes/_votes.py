"""One prompt's K answers as votes: which agree, which win, how many are right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from entropydx import stats
from entropydx.types import Completion, FloatArray, Group, IntArray

RIGHT = "\0right"
"""Category of every completion that the verifier accepts, however it is written."""
NONE = "\0none"
"""Category of completions without an answer: counted in entropies, never a vote."""


def category(completion: Completion) -> str:
    """Return what a completion votes for: `RIGHT`, `NONE`, or its own normalised answer."""
    if completion.grade is not None and completion.grade >= 1:
        return RIGHT
    return NONE if completion.answer is None else _normalised(completion.answer)


@dataclass(frozen=True, slots=True)
class Votes:
    """Category counts of one prompt's completions."""

    counts: Counter[str]

    @classmethod
    def of(cls, group: Group) -> Votes:
        """Count categories: accepted answers are one, the others are told apart by their normalised text."""
        return cls(Counter(category(c) for c in group.completions))

    @property
    def n(self) -> int:
        """K."""
        return self.counts.total()

    @property
    def n_right(self) -> int:
        """Completions that the verifier accepts."""
        return self.counts[RIGHT]

    @property
    def majority(self) -> float:
        """Chance that a majority vote is right: 1, 0, or 1/m when m answers tie and one of them is right."""
        votes = Counter({a: c for a, c in self.counts.items() if a != NONE})
        if not votes:
            return 0.0
        top = max(votes.values())
        winners = [a for a, c in votes.items() if c == top]
        return 1 / len(winners) if RIGHT in winners else 0.0

    @property
    def entropy(self) -> float:
        """Plug-in entropy of the answers in nats; compare at equal K only."""
        counts = np.array(list(self.counts.values()), dtype=float)
        return float(stats.shannon_entropy(counts / counts.sum()))

    @property
    def wrong_agreement(self) -> float:
        """Unbiased chance that two wrong answers of this prompt agree; NaN below two wrong answers."""
        return stats.pairwise_agreement(
            np.array([c for a, c in self.counts.items() if a not in {RIGHT, NONE}], dtype=int)
        )


def _normalised(answer: str) -> str:
    return " ".join(answer.casefold().replace(",", "").split())


def per_prompt(groups: tuple[Group, ...], attribute: str) -> FloatArray:
    """Return one attribute of `Votes` for every group, (N,)."""
    return np.array([getattr(Votes.of(g), attribute) for g in groups], dtype=float)


def n_right(groups: tuple[Group, ...]) -> IntArray:
    """Return the number of accepted completions of every group, (N,)."""
    return np.array([Votes.of(g).n_right for g in groups], dtype=int)
