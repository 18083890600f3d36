"""A private notation that a 200 k-parameter model can learn: chains of two-digit operations, modulo 100.

A prompt is `37+05-12=`, read from left to right; a completion shows the computation in one of three forms and ends
with the answer after `A`:

| form         | completion of `37+05-12=` | what it writes                                |
|--------------|---------------------------|-----------------------------------------------|
| `equations`  | `37+05=42;42-12=30;A30.`  | every step, both operands                     |
| `values`     | `[42]>[30]>A30.`          | the running value alone                       |
| `reductions` | `(42-12)(30)A30.`         | what is left of the expression after the step |

In domain the operators are `+`, `-` and `*`, all modulo 100. Out of domain they are `&` and `~`, digit by digit sum
and difference without carry, and `@`, the circle operation `a*b + a + b` modulo 100. The operands of `*` and `@` are
such that the step is a bijection on 0..99, so every answer is uniform over 100 values and a blind guess scores 0.01.
Two-digit products are what a small model does not learn: one third of the medium items has one, every hard item has
one or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import get_args

import numpy as np

from entropydx.types import Difficulty, Domain, Prompt, VerifierSpec

MODULUS = 100
EXTRACT = r"A(\d\d)\."
"""The first group of the last match is the answer."""


def _digitwise(a: int, b: int, sign: int) -> int:
    """Add (sign 1) or subtract (sign -1) digit by digit, modulo 10, with no carry."""
    return (a // 10 + sign * (b // 10)) % 10 * 10 + (a + sign * b) % 10


OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: (a + b) % MODULUS,
    "-": lambda a, b: (a - b) % MODULUS,
    "*": lambda a, b: (a * b) % MODULUS,
    "&": lambda a, b: _digitwise(a, b, 1),
    "~": lambda a, b: _digitwise(a, b, -1),
    "@": lambda a, b: (a * b + a + b) % MODULUS,
}
"""Symbol to the operation on two numbers in 0..99."""

PLAIN: dict[Domain, str] = {"in": "+-", "out": "&~"}
"""The operators that a small model learns to perfection."""
PRODUCT: dict[Domain, str] = {"in": "*", "out": "@"}
"""The operator that it does not."""
COMMUTATIVE = "+*&@"
FACTORS: dict[str, tuple[int, ...]] = {
    "*": tuple(b for b in range(11, MODULUS) if gcd(b, MODULUS) == 1),
    "@": tuple(b for b in range(11, MODULUS) if gcd(b + 1, MODULUS) == 1),
}
"""Right operands that make the product a bijection on 0..99."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A problem: a first number and the steps that are applied to it."""

    start: int
    """In 0..99."""
    steps: tuple[tuple[str, int], ...]
    """Operator and right operand of each step."""

    @property
    def text(self) -> str:
        """The prompt."""
        return f"{self.start:02d}" + "".join(f"{op}{b:02d}" for op, b in self.steps) + "="

    def values(self) -> list[int]:
        """Return the running value after each step; the last one is the answer."""
        found = [self.start]
        for op, b in self.steps:
            found.append(OPERATORS[op](found[-1], b))
        return found[1:]


def draw_chain(rng: np.random.Generator, domain: Domain, n_plain: int, n_products: int) -> Chain:
    """Draw a chain of `n_plain` easy steps and `n_products` products, in random order."""
    is_product = rng.permutation([False] * n_plain + [True] * n_products)
    steps: list[tuple[str, int]] = []
    for hard in is_product:
        op = PRODUCT[domain] if hard else PLAIN[domain][rng.integers(len(PLAIN[domain]))]
        b = FACTORS[op][rng.integers(len(FACTORS[op]))] if hard else rng.integers(MODULUS)
        steps.append((op, int(b)))
    return Chain(start=int(rng.integers(MODULUS)), steps=tuple(steps))


def draw_level(rng: np.random.Generator, domain: Domain, difficulty: Difficulty, turn: int) -> Chain:
    """Draw a problem of a level.

    Parameters
    ----------
    turn : int
        Index within the level: it deals out the rarer shapes evenly, so that small suites are balanced too.
        Easy is one or two plain steps; medium two or three steps, a product among them in every third; hard three or
        four steps, with two products in every third and one otherwise.
    """
    if difficulty == "easy":
        return draw_chain(rng, domain, 1 + turn % 2, 0)
    third = turn % 3 == 2
    length = turn // 3 % 2 + (2 if difficulty == "medium" else 3)
    n_products = int(third) + (difficulty == "hard")
    return draw_chain(rng, domain, length - n_products, n_products)


def write_equations(chain: Chain, values: list[int], swaps: tuple[bool, ...] = ()) -> str:
    """Write `37+05=42;42-12=30;A30.`; a true entry of `swaps` exchanges the operands of that step."""
    text, a = "", chain.start
    for i, ((op, b), value) in enumerate(zip(chain.steps, values, strict=True)):
        left, right = (b, a) if i < len(swaps) and swaps[i] and op in COMMUTATIVE else (a, b)
        text += f"{left:02d}{op}{right:02d}={value:02d};"
        a = value
    return text + write_direct(values)


def write_values(values: list[int]) -> str:
    """Write `[42]>[30]>A30.`."""
    return "".join(f"[{value:02d}]>" for value in values) + write_direct(values)


def write_reductions(chain: Chain, values: list[int]) -> str:
    """Write `(42-12)(30)A30.`."""
    rests = ["".join(f"{op}{b:02d}" for op, b in chain.steps[i + 1 :]) for i in range(len(values))]
    written = (f"({value:02d}{rest})" for value, rest in zip(values, rests, strict=True))
    return "".join(written) + write_direct(values)


def write_direct(values: list[int]) -> str:
    """Write `A30.`, the answer alone."""
    return f"A{values[-1]:02d}."


def write_guided(chain: Chain) -> str:
    """Write `37+05-12=!37+05=42;42-12=30;A30.!`, the prompt with its worked solution between two marks."""
    return f"{chain.text}!{write_equations(chain, chain.values())}!"


class Tiny:
    """The suite of the notation: half of it in domain, thirds by difficulty."""

    collections: tuple[str, ...] = ("tiny",)

    def prompts(self, seed: int, n: int) -> list[Prompt]:
        """Return `n` distinct prompts, cycling over difficulties and, every three, over domains."""
        levels, domains = get_args(Difficulty), get_args(Domain)
        seen: set[str] = set()
        items: list[Prompt] = []
        for i in range(n):
            difficulty, domain = levels[i % 3], domains[i // 3 % 2]
            rng = np.random.default_rng((seed, i))
            chain = draw_level(rng, domain, difficulty, i // 6)
            while chain.text in seen:
                chain = draw_level(rng, domain, difficulty, i // 6)
            seen.add(chain.text)
            items.append(to_prompt(f"tiny-{seed}-{i:05d}", chain, domain, difficulty))
        return items


def to_prompt(key: str, chain: Chain, domain: Domain, difficulty: Difficulty) -> Prompt:
    """Return the item of a chain, with its gold answer and a worked solution."""
    values = chain.values()
    return Prompt(
        id=key,
        prompt=chain.text,
        answer=f"{values[-1]:02d}",
        verifier=VerifierSpec(type="exact", extract=EXTRACT),
        domain=domain,
        difficulty=difficulty,
        guess_rate=1 / MODULUS,
        reference=write_equations(chain, values),
        guided=write_guided(chain),
        checker="chain",
        family="chain" if domain == "in" else "carryless",
    )


suite = Tiny()
