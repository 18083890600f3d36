"""Small sums and wheels: arithmetic in plain English that a model of 135 million parameters can be tuned to solve.

| domain | easy | medium | hard |
|--------|------|--------|------|
| `in`, sums | `23 + 6 - 4`, a one-digit number or two to add or subtract | two-digit numbers | a product, and a sum |
| `out`, wheels | up to 20 numbers, once past the last one | up to 90 numbers | a turn that is made several times |

A wheel of 12 numbers goes from 12 on to 1, so from 9 it is 5 places on to 2: `9+5=14`, and then `14-12=2`. Whoever
takes a wheel for a sum stops at 14; every item goes past the last number at least once.
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
HARD_GUESS = 121 / 47_971
"""Share of the commonest answer of `a * b + c` over its 77 x 7 x 89 draws, by enumeration."""
FAMILIES: dict[Domain, str] = {"in": "small sums", "out": "wheels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem and its worked solution."""

    question: str
    steps: tuple[str, ...]
    """Computations such as `9+5=14`; the last one ends in the answer."""
    domain: Domain
    guess_rate: float

    @property
    def answer(self) -> int:
        """The gold answer."""
        return int(self.steps[-1].rpartition("=")[2])

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
        steps.append(f"{value}{sign}{abs(change)}={value + change}")
        value += change
    return Problem(question=f"{question}?", steps=tuple(steps), domain="in", guess_rate=guess_rate)


def _easy_sum(rng: Random) -> Problem:
    """Return `23 + 6` or `23 + 6 - 4`; the answer is uniform over 20..69."""
    changes = [rng.choice((-1, 1)) * rng.randint(2, 9) for _ in range(rng.randint(1, 2))]
    return _sum(rng.randint(20, 69), *changes, guess_rate=1 / 50)


def _medium_sum(rng: Random) -> Problem:
    """Return `23 + 48 - 17`; the answer is uniform over 20..119."""
    plus = rng.randint(11, 49)
    return _sum(rng.randint(20, 119), *rng.choice(((plus, -rng.randint(11, 19)), (plus,))), guess_rate=1 / 100)


def _hard_sum(rng: Random) -> Problem:
    """Return `37 * 6 + 45`; the commonest answers have `HARD_GUESS` of the draws."""
    a, b, c = rng.randint(13, 89), rng.randint(3, 9), rng.randint(11, 99)
    steps = (f"{a}*{b}={a * b}", f"{a * b}+{c}={a * b + c}")
    return Problem(question=f"What is {a} * {b} + {c}?", steps=steps, domain="in", guess_rate=HARD_GUESS)


def _wheel(rng: Random, smallest: int, largest: int) -> Problem:
    """Return a turn that goes past the last number once; the answer is uniform over all numbers but the last two."""
    size = rng.randint(smallest, largest)
    answer = rng.randint(1, size - 2)
    start = rng.randint(answer + 1, size - 1)
    turn = size + answer - start
    steps = (f"{start}+{turn}={start + turn}", f"{start + turn}-{size}={answer}")
    question = f"On a wheel of {size} numbers, go {turn} places on from {start}."
    return Problem(question=question, steps=steps, domain="out", guess_rate=1 / (size - 2))


def _easy_wheel(rng: Random) -> Problem:
    return _wheel(rng, 10, 20)


def _medium_wheel(rng: Random) -> Problem:
    return _wheel(rng, 30, 90)


def _hard_wheel(rng: Random) -> Problem:
    """Return a turn made several times, past the last number at least twice."""
    size, turn, times = rng.randint(13, 29), rng.randint(11, 29), rng.randint(3, 6)
    start = rng.randint(1, size)
    turned = turn * times
    full = (start + turned - 1) // size * size
    if full < 2 * size:
        return _hard_wheel(rng)
    steps = (
        f"{turn}*{times}={turned}",
        f"{start}+{turned}={start + turned}",
        f"{start + turned}-{full}={start + turned - full}",
    )
    question = f"On a wheel of {size} numbers, go {turn} places on from {start}, {times} times."
    return Problem(question=question, steps=steps, domain="out", guess_rate=1 / size)


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
