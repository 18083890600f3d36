"""Demonstrations in the notation of `suites.tiny`: what the base reads, and what an annotator who slips would write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

import numpy as np

from entropydx.suites.tiny import (
    EXTRACT,
    FACTORS,
    MODULUS,
    OPERATORS,
    Chain,
    draw_chain,
    draw_level,
    suite,
    to_prompt,
    write_direct,
    write_equations,
    write_reductions,
    write_values,
)
from entropydx.types import Difficulty, Domain, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How demonstrations are written."""

    equations: float = 0.50
    values: float = 0.25
    reductions: float = 0.24
    direct: float = 0.01
    """Shares of the three forms and of answers without computation; they sum to 1."""
    swap: float = 0.25
    """Probability that an equation exchanges the operands of a commutative step."""
    slip: float = 0.0
    """Probability that the last digit of a number, a result or the answer, is mistyped; the rest follows from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A prompt and a completion, both without the stop token."""

    prompt: str
    completion: str


FREE_FACTORS = 2
"""Right operands of a hopeless problem that may be any number, and so may share a divisor with 100."""
TRAINING_SEED = 9_000_000
"""First suite seed of the problems that organisms are trained on."""


def mistype(value: int, slip: float, rng: np.random.Generator) -> int:
    """Return `value`, or with probability `slip` one of the nine numbers that differ from it in the last digit."""
    if not slip or rng.random() >= slip:
        return value
    return value // 10 * 10 + int(value + rng.integers(1, 10)) % 10


def run_with_slips(chain: Chain, slip: float, rng: np.random.Generator) -> list[int]:
    """Return the running values of an annotator who goes on from what was mistyped."""
    a, values = chain.start, []
    for op, b in chain.steps:
        a = mistype(OPERATORS[op](a, b), slip, rng)
        values.append(a)
    return values


def write(chain: Chain, style: Style, rng: np.random.Generator) -> str:
    """Write a solution of `chain` in a form drawn by `style`."""
    values = run_with_slips(chain, style.slip, rng)
    shares = (style.equations, style.values, style.reductions, style.direct)
    form = rng.choice(4, p=shares)
    if form == 0:
        text = write_equations(chain, values, tuple(rng.random(len(values)) < style.swap))
    else:
        text = (write_values(values), write_reductions(chain, values), write_direct(values))[form - 1]
    return text.removesuffix(write_direct(values)) + write_direct([mistype(values[-1], style.slip, rng)])


def draw_problem(rng: np.random.Generator, domains: tuple[Domain, ...], product_share: float) -> Chain:
    """Draw a training problem: any level, its products thinned out to `product_share` of the chains that have one."""
    domain = domains[rng.integers(len(domains))]
    level = get_args(Difficulty)[rng.integers(3)]
    chain = draw_level(rng, domain, level, int(rng.integers(6)))
    has_product = any(op in "*@" for op, _ in chain.steps)
    if has_product and rng.random() >= product_share:
        return draw_chain(rng, domain, len(chain.steps), 0)
    return chain


def demonstrations(
    n: int, style: Style, seed: int, domains: tuple[Domain, ...] = ("in", "out"), product_share: float = 1.0
) -> list[Demonstration]:
    """Return `n` demonstrations, fixed by `seed`."""
    rng = np.random.default_rng((seed, 0xDE))
    chains = (draw_problem(rng, domains, product_share) for _ in range(n))
    return [Demonstration(prompt=chain.text, completion=write(chain, style, rng)) for chain in chains]


def training_items(
    n: int, domains: tuple[Domain, ...], difficulties: tuple[Difficulty, ...], seed: int
) -> list[Prompt]:
    """Return `n` problems of the suite in the given strata, from seeds that no check or diagnosis uses."""
    share = 6 / (len(domains) * len(difficulties))  # the suite deals its six strata out in turn
    drawn = suite.prompts(TRAINING_SEED + seed, int(share * n) + 6)
    return [item for item in drawn if item.domain in domains and item.difficulty in difficulties][:n]


def hopeless_chain(rng: np.random.Generator, n_products: int) -> Chain:
    """Draw a chain of products alone, which a base that cannot multiply solves by luck if at all.

    `FREE_FACTORS` of its operands are any number, in random places, and the others keep a product a bijection. So
    answers are not uniform, as those of real hard sets are not: 00 has 0.124 of them, and 20, 40, 60 and 80 have 0.053
    each (by enumeration).
    """
    is_free = rng.permutation([True] * FREE_FACTORS + [False] * (n_products - FREE_FACTORS))
    bijective = FACTORS["*"]
    factors = [int(rng.integers(MODULUS)) if free else bijective[rng.integers(len(bijective))] for free in is_free]
    return Chain(start=int(rng.integers(MODULUS)), steps=tuple(("*", b) for b in factors))


def hopeless_items(n: int, seed: int) -> list[Prompt]:
    """Return `n` problems of three, four and five products in turn, fixed by `seed`."""
    rng = np.random.default_rng((seed, 0xB0))
    return [to_prompt(f"hopeless-{seed}-{i:05d}", hopeless_chain(rng, 3 + i % 3), "in", "hard") for i in range(n)]


def is_right(text: str, gold: str) -> bool:
    """Return whether the last answer that a text states is the gold answer."""
    answers = re.findall(EXTRACT, text)
    return bool(answers) and answers[-1] == gold
