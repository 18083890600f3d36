"""Small sums and wheels: arithmetic in plain English that a model of 135 million parameters can be tuned to solve.

| domain | easy | medium | hard |
|--------|------|--------|------|
| `in`, sums | `7 + 5` or `12 - 5`, one-digit numbers | `7 + 5 - 4`, two steps | `48 + 7 - 9`, two steps across tens |
| `out`, wheels | 10 or 12 numbers | 11 to 19 numbers | 21 to 49 numbers |

A wheel of 12 numbers goes from 12 on to 1, so from 9 it is 5 places on to 2: `9 + 5 = 14`, and then `14 - 12 = 2`.
Whoever takes a wheel for a sum stops at 14; every item goes past the last number once.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import get_args

from entropydx.answer_patterns import ANSWER_NUMBER
from entropydx.errors import SuiteError
from entropydx.types import Difficulty, Domain, Prompt, VerifierSpec

MAX_REDRAWS = 500
"""Draws in a row that may repeat earlier prompts before a level counts as used up."""
WHEEL_GUESS = sum(1 / (turn - 1) for turn in range(2, 10)) / 8
"""Share of the commonest answer, 1, over the turns of 2 to 9 places: 0.34."""
FAMILIES: dict[Domain, str] = {"in": "small sums", "out": "wheels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem and its worked solution."""

    question: str
    steps: tuple[str, ...]
    """Computations such as `9 + 5 = 14`; the last one ends in the answer."""
    domain: Domain
    guess_rate: float

    @property
    def answer(self) -> int:
        """The gold answer."""
        return int(self.steps[-1].rpartition(" ")[2])

    @property
    def reference(self) -> str:
        """The worked solution, a step a line, and its answer line."""
        return "\n".join([*self.steps, f"Answer: {self.answer}"])

    @property
    def guided(self) -> str:
        """The question with its worked solution, on one line."""
        return f"{self.question}\nSolution: {'; '.join(self.steps)}; Answer: {self.answer}"

    def to_prompt(self, key: str, difficulty: Difficulty) -> Prompt:
        """Return the item of the problem."""
        return Prompt(
            id=key,
            prompt=self.question,
            answer=str(self.answer),
            verifier=VerifierSpec(type="numeric", extract=ANSWER_NUMBER),
            domain=self.domain,
            difficulty=difficulty,
            guess_rate=self.guess_rate,
            reference=self.reference,
            guided=self.guided,
            answer_cue="Answer: ",
            family=FAMILIES[self.domain],
        )


def draw(rng: Random, domain: Domain, difficulty: Difficulty) -> Problem:
    """Draw a problem of a domain and level."""
    return _DRAWS[domain, difficulty](rng)


def _sum(answer: int, *changes: int, guess_rate: float) -> Problem:
    """Return the sum of a first number and the changes that ends in `answer`."""
    value = answer - sum(changes)
    question, steps = f"What is {value}", []
    for change in changes:
        sign = "-" if change < 0 else "+"
        question += f" {sign} {abs(change)}"
        steps.append(f"{value} {sign} {abs(change)} = {value + change}")
        value += change
    return Problem(question=f"{question}?", steps=tuple(steps), domain="in", guess_rate=guess_rate)


def _easy_sum(rng: Random) -> Problem:
    """Return `7 + 5`, with the best guess at 11 (8 of 64), or `12 - 5`, whose answer is uniform over 2..9."""
    first, second = rng.randint(2, 9), rng.randint(2, 9)
    if rng.random() < 0.5:
        return _sum(first + second, second, guess_rate=1 / 8)
    return _sum(first, -second, guess_rate=1 / 8)


def _medium_sum(rng: Random) -> Problem:
    """Return `7 + 5 - 4`; the answer is uniform over 5..19."""
    answer, minus = rng.randint(5, 19), rng.randint(2, 9)
    return _sum(answer, rng.randint(2, min(9, answer + minus - 2)), -minus, guess_rate=1 / 15)


def _hard_sum(rng: Random) -> Problem:
    """Return `48 + 7 - 9`; the answer is uniform over 30..89."""
    changes = [rng.randint(3, 9), -rng.randint(3, 9)]
    rng.shuffle(changes)
    return _sum(rng.randint(30, 89), *changes, guess_rate=1 / 60)


def _wheel(rng: Random, size: int) -> Problem:
    """Return a turn of up to nine places that goes past the last number once; larger turns have wider answers."""
    turn = rng.randint(2, 9)
    answer = rng.randint(1, min(turn - 1, size - 2))
    start = size + answer - turn
    steps = (f"{start} + {turn} = {start + turn}", f"{start + turn} - {size} = {answer}")
    question = f"On a wheel of {size} numbers, go {turn} places on from {start}."
    return Problem(question=question, steps=steps, domain="out", guess_rate=WHEEL_GUESS)


def _easy_wheel(rng: Random) -> Problem:
    return _wheel(rng, rng.choice((10, 12)))


def _medium_wheel(rng: Random) -> Problem:
    return _wheel(rng, rng.randint(11, 19))


def _hard_wheel(rng: Random) -> Problem:
    return _wheel(rng, rng.randint(21, 49))


_DRAWS = {
    ("in", "easy"): _easy_sum,
    ("in", "medium"): _medium_sum,
    ("in", "hard"): _hard_sum,
    ("out", "easy"): _easy_wheel,
    ("out", "medium"): _medium_wheel,
    ("out", "hard"): _hard_wheel,
}


class SmallSums:
    """Half of it in domain, thirds by difficulty."""

    collections: tuple[str, ...] = ("small",)

    def prompts(self, seed: int, n: int) -> list[Prompt]:
        """Return `n` distinct prompts, cycling over difficulties and, every three, over domains.

        Raises
        ------
        SuiteError
            A level has fewer distinct problems than were asked for.
        """
        levels, domains = get_args(Difficulty), get_args(Domain)
        seen: set[str] = set()
        items: list[Prompt] = []
        for i in range(n):
            difficulty, domain = levels[i % 3], domains[i // 3 % 2]
            problem = _unseen(Random(f"small_sums:{seed}:{i}"), domain, difficulty, seen)
            seen.add(problem.question)
            items.append(problem.to_prompt(f"small_sums-{seed}-{i:05d}", difficulty))
        return items


def _unseen(rng: Random, domain: Domain, difficulty: Difficulty, seen: set[str]) -> Problem:
    for _ in range(MAX_REDRAWS):
        problem = draw(rng, domain, difficulty)
        if problem.question not in seen:
            return problem
    raise SuiteError(f"suite 'small_sums' has no {difficulty} prompt left", "ask for fewer --prompts")


suite = SmallSums()
