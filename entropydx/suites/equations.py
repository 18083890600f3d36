"""Linear equations with integer solutions."""

from __future__ import annotations

from random import Random

from entropydx.answer_patterns import ANSWER_NUMBER
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item, signed
from entropydx.types import Domain, VerifierSpec


class Equations(Family):
    """One unknown in one step, then on both sides, then two unknowns with five-digit coefficients."""

    name = "equations"
    domain: Domain = "in"
    verifier = VerifierSpec(type="numeric", extract=ANSWER_NUMBER)

    def easy(self, rng: Random) -> Item:
        """Solve `x + 7 = 12`; the solution is uniform over 2..40."""
        x, shift = rng.randint(2, 40), rng.choice((-1, 1)) * rng.randint(2, 9)
        name = rng.choice("xyt")
        result = x + shift
        steps = f"{name} = {result} {signed(-shift)} = {x}"
        return _item(f"Solve for {name}: {name} {signed(shift)} = {result}", name, x, steps, 1 / 39)

    def medium(self, rng: Random) -> Item:
        """Solve `7x + 5 = 3x + 61`; the solution is uniform over -30..60 without 0."""
        x = rng.choice([*range(-30, 0), *range(1, 61)])
        right = rng.randint(2, 9)
        left, shift, name = right + rng.randint(2, 9), rng.choice((-1, 1)) * rng.randint(2, 60), rng.choice("xyt")
        constant = (left - right) * x + shift
        tail = f" {signed(constant)}" if constant else ""
        steps = (
            f"{left}{name} - {right}{name} = {constant} {signed(-shift)}\n{left - right}{name} = {constant - shift}\n"
            f"{name} = {constant - shift} / {left - right} = {x}"
        )
        question = f"Solve for {name}: {left}{name} {signed(shift)} = {right}{name}{tail}"
        return _item(question, name, x, steps, 1 / 90)

    def hard(self, rng: Random) -> Item:
        """Solve two equations by Cramer's rule and add the solutions, each uniform over 10000..99999."""
        x, y = rng.randint(10_000, 99_999), rng.randint(10_000, 99_999)
        a, b, c, d = (rng.randint(10_000, 99_999) for _ in range(4))
        while a * d == b * c:
            d = rng.randint(10_000, 99_999)
        p, q, det = a * x + b * y, c * x + d * y, a * d - b * c
        steps = (
            f"determinant = {a} * {d} - {b} * {c} = {det}\n"
            f"x = ({p} * {d} - {b} * {q}) / {det} = {p * d - b * q} / {det} = {x}\n"
            f"y = ({a} * {q} - {p} * {c}) / {det} = {a * q - p * c} / {det} = {y}\nx + y = {x + y}"
        )
        question = f"Solve the system {a}x + {b}y = {p} and {c}x + {d}y = {q}. What is x + y?"
        return _item(question, "x + y", x + y, steps, 1 / 90_000)


def _item(question: str, asked: str, answer: int, steps: str, guess_rate: float) -> Item:
    return Item(question=question, form=f"the value of {asked}", answer=str(answer), steps=steps, guess_rate=guess_rate)


suite: Suite = Equations()
