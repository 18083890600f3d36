"""Numbers, a private notation that a 200 k-parameter model can learn: chains of two-digit operations, modulo 100.

In domain the operators are `+`, `-` and `*`, all modulo 100. Out of domain they are `&` and `~`, digit by digit sum
and difference without carry, and `@`, the circle operation `a*b + a + b` modulo 100. The operands of `*` and `@` are
such that the step is a bijection on 0..99, so every answer is uniform over 100 values and a blind guess scores 0.01.
Two-digit products are what a small model does not learn: one third of the medium items has one, every hard item has
one or two. The forms of a solution are those of `_notation`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

import numpy as np

from entropydx.suites._notation import ChainSuite, Notation, Operator

MODULUS = 100


FACTORS: dict[str, tuple[int, ...]] = {
    "*": tuple(b for b in range(11, MODULUS) if gcd(b, MODULUS) == 1),
    "@": tuple(b for b in range(11, MODULUS) if gcd(b + 1, MODULUS) == 1),
}
"""Right operands that make the product a bijection on 0..99."""


def _on_numbers(compute: Callable[[int, int], int]) -> Operator:
    return lambda a, b: f"{compute(int(a), int(b)) % MODULUS:02d}"


def _digitwise(a: int, b: int, sign: int) -> int:
    """Add (sign 1) or subtract (sign -1) digit by digit, modulo 10, with no carry."""
    return (a // 10 + sign * (b // 10)) % 10 * 10 + (a + sign * b) % 10


def _draw_argument(rng: np.random.Generator, op: str) -> str:
    factors = FACTORS.get(op)
    b = factors[rng.integers(len(factors))] if factors else rng.integers(MODULUS)
    return f"{b:02d}"


def _mistype(value: str, rng: np.random.Generator) -> str:
    """Return one of the nine numbers that differ in the last digit."""
    return f"{value[0]}{int(int(value) + rng.integers(1, 10)) % 10}"


NUMBERS = Notation(
    name="tiny",
    checker="chain",
    families={"in": "chain", "out": "carryless"},
    guess_rate=1 / MODULUS,
    mark="A",
    state=r"\d\d",
    argument=r"\d\d",
    operators={
        "+": _on_numbers(lambda a, b: a + b),
        "-": _on_numbers(lambda a, b: a - b),
        "*": _on_numbers(lambda a, b: a * b),
        "&": _on_numbers(lambda a, b: _digitwise(a, b, 1)),
        "~": _on_numbers(lambda a, b: _digitwise(a, b, -1)),
        "@": _on_numbers(lambda a, b: a * b + a + b),
    },
    plain={"in": "+-", "out": "&~"},
    product={"in": "*", "out": "@"},
    familiar={"&": "+", "~": "-", "@": "*"},
    draw_start=lambda rng: f"{rng.integers(MODULUS):02d}",
    draw_argument=_draw_argument,
    mistype=_mistype,
    commutative="+*&@",
    by_digit=frozenset("&~"),
)
suite = ChainSuite(NUMBERS)
