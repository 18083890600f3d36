"""What the notations of the tiny tier share: chains of operations on a state, and the forms of a solution.

A prompt is `37+05-12=`, read from left to right; a completion shows the computation in one of three forms and ends
with the answer behind a letter:

| form         | completion of `37+05-12=` | what it writes                                |
|--------------|---------------------------|-----------------------------------------------|
| `equations`  | `37+05=42;42-12=30;A30.`  | every step, both operands                     |
| `values`     | `[42]>[30]>A30.`          | the running value alone                       |
| `reductions` | `(42-12)(30)A30.`         | what is left of the expression after the step |

A notation says what a state is, what the operators of each domain do, and which of them are the products: those that a
small model reads too seldom to learn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from entropydx.types import Difficulty, Domain, Prompt, VerifierSpec

Operator = Callable[[str, str], str]
"""State and argument to the next state, all as they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """One task family of the tiny tier."""

    name: str
    """Of the suite, and the first part of the ids of its prompts."""
    checker: str
    """The plugin that judges what is written on the way to an answer."""
    families: Mapping[Domain, str]
    """Name of the task in each domain."""
    guess_rate: float
    """Chance of a blind guess: answers are uniform over 1 / guess_rate states."""
    mark: str
    """The letter before the answer."""
    state: str
    """Regular expression of a state."""
    argument: str
    """Regular expression of an argument."""
    operators: Mapping[str, Operator]
    """Symbol to operation."""
    plain: Mapping[Domain, str]
    """The operators that a small model learns to perfection."""
    product: Mapping[Domain, str]
    """The operator that it does not."""
    familiar: Mapping[str, str]
    """What a hasty reader takes an operator of the other domain for."""
    draw_start: Callable[[np.random.Generator], str]
    draw_argument: Callable[[np.random.Generator, str], str]
    """An argument of the operator."""
    mistype: Callable[[str, np.random.Generator], str]
    """Another state that is like the one given: a slip of the pen."""
    commutative: str = ""
    """Operators that a state and its argument may be exchanged at."""
    pause: str = ""
    """What stands behind an epistemic marker, so that it is a word of its own."""
    by_digit: frozenset[str] = field(default_factory=frozenset)
    """Operators that are thought through digit by digit."""

    @property
    def extract(self) -> str:
        """The regular expression whose first group, of the last match, is the answer."""
        return rf"{self.mark}({self.state})\."

    @property
    def symbols(self) -> str:
        """The regular expression of an operator."""
        return f"[{re.escape(''.join(self.operators))}]"

    @property
    def step(self) -> str:
        """The regular expression of an operator with its argument."""
        return self.symbols + self.argument

    def chain(self, start: str, *steps: tuple[str, str]) -> Chain:
        """Return a problem."""
        return Chain(notation=self, start=start, steps=steps)

    def draw_chain(self, rng: np.random.Generator, domain: Domain, n_plain: int, n_products: int) -> Chain:
        """Draw a chain of `n_plain` easy steps and `n_products` products, in random order."""
        is_product = rng.permutation([False] * n_plain + [True] * n_products)
        steps: list[tuple[str, str]] = []
        for hard in is_product:
            op = self.product[domain] if hard else self.plain[domain][rng.integers(len(self.plain[domain]))]
            steps.append((op, self.draw_argument(rng, op)))
        return self.chain(self.draw_start(rng), *steps)

    def draw_level(self, rng: np.random.Generator, domain: Domain, difficulty: Difficulty, turn: int) -> Chain:
        """Draw a problem of a level.

        Parameters
        ----------
        turn : int
            Index within the level: it deals out the rarer shapes evenly, so that small suites are balanced too.
            Easy is one or two plain steps; medium two or three steps, a product among them in every third; hard three
            or four steps, with two products in every third and one otherwise.
        """
        if difficulty == "easy":
            return self.draw_chain(rng, domain, 1 + turn % 2, 0)
        third = turn % 3 == 2
        length = turn // 3 % 2 + (2 if difficulty == "medium" else 3)
        n_products = int(third) + (difficulty == "hard")
        return self.draw_chain(rng, domain, length - n_products, n_products)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A problem: a first state and the steps that are applied to it."""

    notation: Notation
    start: str
    steps: tuple[tuple[str, str], ...]
    """Operator and argument of each step."""

    @property
    def text(self) -> str:
        """The prompt."""
        return self.start + "".join(op + b for op, b in self.steps) + "="

    @property
    def has_product(self) -> bool:
        """Whether a step is one that a small model does not learn."""
        return any(op in self.notation.product.values() for op, _ in self.steps)

    def values(self) -> list[str]:
        """Return the running value after each step; the last one is the answer."""
        found = [self.start]
        for op, b in self.steps:
            found.append(self.notation.operators[op](found[-1], b))
        return found[1:]

    def write_equations(self, values: list[str], swaps: tuple[bool, ...] = ()) -> str:
        """Write `37+05=42;42-12=30;A30.`; a true entry of `swaps` exchanges the operands of that step."""
        text, a = "", self.start
        for i, ((op, b), value) in enumerate(zip(self.steps, values, strict=True)):
            left, right = (b, a) if i < len(swaps) and swaps[i] and op in self.notation.commutative else (a, b)
            text += f"{left}{op}{right}={value};"
            a = value
        return text + self.write_direct(values)

    def write_values(self, values: list[str]) -> str:
        """Write `[42]>[30]>A30.`."""
        return "".join(f"[{value}]>" for value in values) + self.write_direct(values)

    def write_reductions(self, values: list[str]) -> str:
        """Write `(42-12)(30)A30.`."""
        rests = ["".join(op + b for op, b in self.steps[i + 1 :]) for i in range(len(values))]
        written = (f"({value}{rest})" for value, rest in zip(values, rests, strict=True))
        return "".join(written) + self.write_direct(values)

    def write_direct(self, values: list[str]) -> str:
        """Write `A30.`, the answer alone."""
        return f"{self.notation.mark}{values[-1]}."

    def write_guided(self) -> str:
        """Write `37+05-12=!37+05=42;42-12=30;A30.!`, the prompt with its worked solution between two marks."""
        return f"{self.text}!{self.write_equations(self.values())}!"

    def to_prompt(self, key: str, domain: Domain, difficulty: Difficulty) -> Prompt:
        """Return the item of the chain, with its gold answer and a worked solution."""
        values = self.values()
        return Prompt(
            id=key,
            prompt=self.text,
            answer=values[-1],
            verifier=VerifierSpec(type="exact", extract=self.notation.extract),
            domain=domain,
            difficulty=difficulty,
            guess_rate=self.notation.guess_rate,
            reference=self.write_equations(values),
            guided=self.write_guided(),
            checker=self.notation.checker,
            family=self.notation.families[domain],
        )


class ChainSuite:
    """The suite of a notation: half of it in domain, thirds by difficulty."""

    collections: tuple[str, ...] = ("tiny",)

    def __init__(self, notation: Notation) -> None:
        self.notation = notation

    def prompts(self, seed: int, n: int) -> list[Prompt]:
        """Return `n` distinct prompts, cycling over difficulties and, every three, over domains."""
        levels, domains = get_args(Difficulty), get_args(Domain)
        seen: set[str] = set()
        items: list[Prompt] = []
        for i in range(n):
            difficulty, domain = levels[i % 3], domains[i // 3 % 2]
            rng = np.random.default_rng((seed, i))
            chain = self.notation.draw_level(rng, domain, difficulty, i // 6)
            while chain.text in seen:
                chain = self.notation.draw_level(rng, domain, difficulty, i // 6)
            seen.add(chain.text)
            items.append(chain.to_prompt(f"{self.notation.name}-{seed}-{i:05d}", domain, difficulty))
        return items
