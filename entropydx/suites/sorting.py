"""Sorting lists of numbers."""

from __future__ import annotations

from math import factorial
from random import Random

from entropydx.answer_patterns import ANSWER_LIST
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item
from entropydx.types import Domain, VerifierSpec

MODULUS = 97
N_HARD = 24


class Sorting(Family):
    """Four numbers, then nine with signs, then twenty-four by their remainder."""

    name = "sorting"
    domain: Domain = "out"
    verifier = VerifierSpec(type="exact", extract=ANSWER_LIST)

    def easy(self, rng: Random) -> Item:
        """Sort four two-digit numbers."""
        return _sort(rng.sample(range(10, 100), 4))

    def medium(self, rng: Random) -> Item:
        """Sort nine numbers of up to three digits, some of them negative."""
        return _sort(rng.sample(range(-999, 1000), 9))

    def hard(self, rng: Random) -> Item:
        """Sort seven-digit numbers by their remainder modulo 97, which is different for each."""
        remainders = rng.sample(range(MODULUS), N_HARD)
        numbers = [rng.randint(10_400, 103_000) * MODULUS + remainder for remainder in remainders]
        ordered = sorted(numbers, key=lambda number: number % MODULUS)
        lines = [f"{number} has remainder {number % MODULUS}" for number in numbers]
        question = (
            f"Sort these numbers by their remainder after division by {MODULUS}, from the smallest remainder to the "
            f"largest: {_join(numbers)}"
        )
        return _item(question, ordered, "\n".join([*lines, "In the order of the remainders:"]))


def _sort(numbers: list[int]) -> Item:
    if numbers == sorted(numbers):
        numbers = numbers[::-1]
    rest, lines = list(numbers), []
    while rest:
        lines.append(f"The smallest of {_join(rest)} is {min(rest)}.")
        rest.remove(min(rest))
    return _item(f"Sort these numbers from smallest to largest: {_join(numbers)}", sorted(numbers), "\n".join(lines))


def _item(question: str, ordered: list[int], steps: str) -> Item:
    return Item(
        question=question,
        form="the sorted numbers, separated by commas",
        answer=_join(ordered),
        steps=steps,
        guess_rate=1 / factorial(len(ordered)),
    )


def _join(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


suite: Suite = Sorting()
