"""Multi-step arithmetic on integers."""

from __future__ import annotations

from random import Random

from entropydx.answer_patterns import ANSWER_NUMBER
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item, signed
from entropydx.types import Domain, VerifierSpec

N_HARD_TERMS = 12


class Arithmetic(Family):
    """Sums of two or three small terms, then a product among them, then ten-digit terms or five-digit factors."""

    name = "arithmetic"
    domain: Domain = "in"
    verifier = VerifierSpec(type="numeric", extract=ANSWER_NUMBER)

    def easy(self, rng: Random) -> Item:
        """Add or subtract one or two one-digit numbers; the answer is uniform over 10..59."""
        answer, changes = rng.randint(10, 59), [rng.randint(2, 9), -rng.randint(2, 9)]
        rng.shuffle(changes)
        changes = changes[: rng.randint(1, 2)]
        start = value = answer - sum(changes)
        steps = []
        for change in changes:
            steps.append(f"{value} {signed(change)} = {value + change}")
            value += change
        return _item(f"{start} {' '.join(map(signed, changes))}", answer, "\n".join(steps), 1 / 50)

    def medium(self, rng: Random) -> Item:
        """Multiply, add and subtract; the answer is uniform over 400..999."""
        answer, a, b, minus = rng.randint(400, 999), rng.randint(12, 39), rng.randint(3, 9), rng.randint(11, 99)
        plus = answer - a * b + minus
        steps = f"{a} * {b} = {a * b}\n{a * b} + {plus} = {a * b + plus}\n{a * b + plus} - {minus} = {answer}"
        return _item(f"{a} * {b} + {plus} - {minus}", answer, steps, 1 / 600)

    def hard(self, rng: Random) -> Item:
        """Sum twelve ten-digit numbers, or multiply two five-digit numbers."""
        return _long_sum(rng) if rng.random() < 0.5 else _long_product(rng)


def _item(expression: str, answer: int, steps: str, guess_rate: float) -> Item:
    question = f"Compute {expression}."
    return Item(question=question, form="the number", answer=str(answer), steps=steps, guess_rate=guess_rate)


def _long_sum(rng: Random) -> Item:
    terms = [rng.choice((-1, 1)) * rng.randint(10**9, 10**10 - 1) for _ in range(N_HARD_TERMS)]
    terms[0] = abs(terms[0])
    total, steps = terms[0], []
    for term in terms[1:]:
        steps.append(f"{total} {signed(term)} = {total + term}")
        total += term
    return _item(f"{terms[0]} " + " ".join(map(signed, terms[1:])), total, "\n".join(steps), 1e-9)


def _long_product(rng: Random) -> Item:
    a, b = rng.randint(10**4, 10**5 - 1), rng.randint(10**4, 10**5 - 1)
    parts = [a * int(digit) * 10 ** (4 - place) for place, digit in enumerate(str(b))]
    steps = [f"{a} * {int(d) * 10 ** (4 - i)} = {part}" for i, (d, part) in enumerate(zip(str(b), parts, strict=True))]
    steps.append(f"{' + '.join(map(str, parts))} = {a * b}")
    return _item(f"{a} * {b}", a * b, "\n".join(steps), 1e-6)


suite: Suite = Arithmetic()
