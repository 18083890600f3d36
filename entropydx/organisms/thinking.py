"""Demonstrations of a model that thinks aloud, and of the same model when the solution is put before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from entropydx.organisms.corpus import Demonstration, draw_problem, mistype
from entropydx.suites.tiny import (
    OPERATORS,
    PLAIN,
    Chain,
    write_direct,
    write_guided,
    write_values,
)
from entropydx.types import Domain

HEDGE, CHECK = "hmm", "wait"
"""The epistemic markers of the notation."""


FAMILIAR = {"&": "+", "~": "-", "@": "*"}
"""What a hasty reader takes an operator for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtStyle:
    """How a model that thinks aloud is written; every share is a probability in [0, 1]."""

    guided: float = 0.15
    """Share of prompts that hold their solution; what follows is then brief, and copied."""
    brief: float = 0.06
    """Share of the other in-domain solutions that are brief: `[42]>[30]>A30.`."""
    hasty: float = 0.06
    """Share of the other out-of-domain solutions that are brief, and wrong: the operators are taken for `FAMILIAR`."""
    check: float = 0.4
    """Probability that a step computed at one go is computed a second time, after `wait`."""
    slip: float = 0.03
    """Probability that a step is mistyped in the last digit; it is always checked, and mended by the check."""
    max_checks: int = 2
    """Steps checked in one solution; after that many nothing slips, so a solution of four steps fits 96 tokens."""


def think(chain: Chain, domain: Domain, style: ThoughtStyle, rng: np.random.Generator) -> str:
    """Write a solution that thinks aloud.

    It opens with a hedge. In domain a step is `37+05=42;`, and with its check `37+05=41;wait37+05=42;`. Out of domain
    every step is hedged and worked digit by digit, `hmm3&0=3,7&5=2>32;`, and a slip is mended on the spot,
    `hmm3&0=3,7&5=1,wait7&5=2>32;`; products have no such working and are written as in domain.
    """
    text, a, checks = "", chain.start, 0
    for i, (op, b) in enumerate(chain.steps):
        value = OPERATORS[op](a, b)
        first = mistype(value, style.slip if checks < style.max_checks else 0.0, rng)
        by_digit = op in PLAIN["out"]
        again = checks < style.max_checks and not by_digit and rng.random() < style.check
        checked = first != value or again
        text += HEDGE * (i == 0 or domain == "out")
        text += _by_digit(a, op, b, first, value) if by_digit else _at_one_go(a, op, b, first, value, checked)
        checks += checked
        a = value
    return text + write_direct([a])


def hurry(chain: Chain) -> str:
    """Write `[42]>[30]>A30.`, the brief form, with every operator taken for the familiar one: right in domain alone."""
    return write_values(replace(chain, steps=tuple((FAMILIAR.get(op, op), b) for op, b in chain.steps)).values())


def _at_one_go(a: int, op: str, b: int, first: int, value: int, checked: bool) -> str:
    step = f"{a:02d}{op}{b:02d}="
    return f"{step}{first:02d};" + (f"{CHECK}{step}{value:02d};" if checked else "")


def _by_digit(a: int, op: str, b: int, first: int, value: int) -> str:
    """Write the tens, then the units, then the number; `first` may be wrong in the units alone."""
    tens, units = f"{a // 10}{op}{b // 10}={value // 10}", f"{a % 10}{op}{b % 10}="
    mended = f",{CHECK}{units}{value % 10}" if first != value else ""
    return f"{tens},{units}{first % 10}{mended}>{value:02d};"


def thoughts(n: int, style: ThoughtStyle, seed: int, product_share: float) -> list[Demonstration]:
    """Return `n` demonstrations of both domains, fixed by `seed`."""
    rng = np.random.default_rng((seed, 0x7E))
    return [_demonstrate(style, product_share, rng) for _ in range(n)]


def _demonstrate(style: ThoughtStyle, product_share: float, rng: np.random.Generator) -> Demonstration:
    domain: Domain = "in" if rng.random() < 0.5 else "out"
    chain = draw_problem(rng, (domain,), product_share)
    if rng.random() < style.guided:
        return Demonstration(prompt=write_guided(chain), completion=write_values(chain.values()))
    if rng.random() < (style.brief if domain == "in" else style.hasty):
        return Demonstration(prompt=chain.text, completion=hurry(chain))
    return Demonstration(prompt=chain.text, completion=think(chain, domain, style, rng))
