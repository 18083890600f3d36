"""Numerals in other bases; only the digits 0 to 9 occur."""

from __future__ import annotations

from random import Random

from entropydx.answer_patterns import ANSWER_NUMBER
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item
from entropydx.types import Domain, VerifierSpec


def numeral(value: int, base: int) -> str:
    """Return a positive integer in a base of at most 10."""
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = f"{digit}{digits}"
    return digits


class BaseConversion(Family):
    """Two-digit numerals, then numbers up to 4000, then fifteen-digit numbers; from and to base ten."""

    name = "base_conversion"
    domain: Domain = "in"
    verifier = VerifierSpec(type="numeric", extract=ANSWER_NUMBER)

    def easy(self, rng: Random) -> Item:
        """Convert a two-digit numeral of base 5 to 10 or, with digits below 10, of base 11 to 19."""
        base = rng.choice([b for b in range(5, 20) if b != 10])
        n_digits = min(base, 10)
        high, low = rng.randint(1, n_digits - 1), rng.randint(0, n_digits - 1)
        value, guess = high * base + low, 1 / ((n_digits - 1) * n_digits)
        if rng.random() < 0.5:
            return _from_base(f"{high}{low}", base, value, guess)
        steps = f"{value} = {high} * {base} + {low}"
        return _to_base(value, base, f"{high}{low}", steps, guess)

    def medium(self, rng: Random) -> Item:
        """Convert a number in 300..4000, from or to base 2 to 9."""
        base, value = rng.randint(2, 9), rng.randint(300, 4000)
        if rng.random() < 0.5:
            return _from_base(numeral(value, base), base, value, 1 / 3701)
        return _to_base(value, base, numeral(value, base), _divisions(value, base), 1 / 3701)

    def hard(self, rng: Random) -> Item:
        """Convert a fifteen-digit number to base 6, 7 or 9."""
        base, value = rng.choice((6, 7, 9)), rng.randint(10**14, 10**15 - 1)
        return _to_base(value, base, numeral(value, base), _divisions(value, base), 1e-14)


def _from_base(digits: str, base: int, value: int, guess_rate: float) -> Item:
    powers = range(len(digits) - 1, -1, -1)
    terms = " + ".join(f"{digit} * {base**power}" for digit, power in zip(digits, powers, strict=True))
    return Item(
        question=f"Write the base-{base} number {digits} in base 10.",
        form="the base-10 number",
        answer=str(value),
        steps=f"{terms} = {value}",
        guess_rate=guess_rate,
    )


def _to_base(value: int, base: int, digits: str, steps: str, guess_rate: float) -> Item:
    return Item(
        question=f"Write the base-10 number {value} in base {base}.",
        form=f"the base-{base} number without spaces",
        answer=digits,
        steps=steps,
        guess_rate=guess_rate,
    )


def _divisions(value: int, base: int) -> str:
    lines = []
    while value:
        lines.append(f"{value} = {base} * {value // base} + {value % base}")
        value //= base
    return "\n".join([*lines, "The remainders from last to first are the digits."])


suite: Suite = BaseConversion()
