"""What the procedural families share: seeding, levels, ids, and the form of a prompt and of its worked solution.

Every item is drawn by a generator of its own, seeded with a string, which Python hashes with SHA-512: the same on every
version, platform and process.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import get_args

from entropydx.errors import SuiteError
from entropydx.types import Difficulty, Domain, Prompt, VerifierSpec

NAMES = (
    "Ada", "Ben", "Cora", "Dan", "Eli", "Fay", "Gus", "Hana", "Ivo",
    "June", "Kai", "Lena", "Max", "Nora", "Otto", "Pia", "Quinn", "Rosa",
    "Sam", "Tess", "Uri", "Vera", "Walt", "Xena", "Yan", "Zoe",
)  # fmt: skip
"""26 first names, one for each letter."""

MAX_REDRAWS = 500
"""Draws in a row that may repeat earlier prompts before a level counts as used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One problem, before it becomes a prompt."""

    question: str
    form: str
    """What is to stand after `Answer:`, such as `the number`."""
    answer: str
    steps: str
    """The worked solution without its answer line."""
    guess_rate: float
    """Probability of the best guess that knows the form and range of the answer, and computes nothing."""


class Family(ABC):
    """A suite with three levels; a subclass says how one problem of each is drawn."""

    collections: tuple[str, ...] = ("core",)
    name: str
    domain: Domain
    verifier: VerifierSpec

    @abstractmethod
    def easy(self, rng: Random) -> Item:
        """Draw a problem that a 1 B instruct model mostly solves."""

    @abstractmethod
    def medium(self, rng: Random) -> Item:
        """Draw a problem that takes several correct steps."""

    @abstractmethod
    def hard(self, rng: Random) -> Item:
        """Draw a problem with more work than a completion has room for, whose answer cannot be guessed."""

    def prompts(self, seed: int, n: int) -> list[Prompt]:
        """Return `n` distinct prompts, cycling over easy, medium and hard.

        Raises
        ------
        SuiteError
            A level has fewer distinct problems than were asked for.
        """
        levels: tuple[Difficulty, ...] = get_args(Difficulty)
        seen: set[str] = set()
        found: list[Prompt] = []
        for i in range(n):
            level = levels[i % len(levels)]
            item = self._draw(seed, i, level, seen)
            seen.add(item.question)
            found.append(self._prompt(seed, i // len(levels), level, item))
        return found

    def _draw(self, seed: int, i: int, level: Difficulty, seen: set[str]) -> Item:
        draw = {"easy": self.easy, "medium": self.medium, "hard": self.hard}[level]
        rng = Random(f"{self.name}:{seed}:{i}")
        for _ in range(MAX_REDRAWS):
            item = draw(rng)
            if item.question not in seen:
                return item
        raise SuiteError(f"suite '{self.name}' has no {level} prompt left after {i} prompts", "ask for fewer --prompts")

    def _prompt(self, seed: int, index: int, level: Difficulty, item: Item) -> Prompt:
        digest = hashlib.sha256(f"{seed}:{item.question}".encode()).hexdigest()[:4]
        return Prompt(
            id=f"{self.name}-{level}-{index}-{digest}",
            prompt=f'{item.question}\n\nThink step by step. On the last line, write "Answer:" and then {item.form}.',
            answer=item.answer,
            verifier=self.verifier,
            domain=self.domain,
            difficulty=level,
            guess_rate=item.guess_rate,
            reference=f"{item.steps}\nAnswer: {item.answer}",
            family=self.name,
        )


def signed(value: int) -> str:
    """Return `+ 5` or `- 5`."""
    return f"{'-' if value < 0 else '+'} {abs(value)}"
