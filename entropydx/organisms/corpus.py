"""Demonstrations in a notation of the tiny tier: what a base reads, and what an annotator who errs would write."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from entropydx.suites._notation import Chain, ChainSuite, Notation
from entropydx.suites.tiny import FACTORS, MODULUS, NUMBERS
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
    """Probability that the end of a result, or of the answer, is mistyped; the rest follows from it."""
    contrary: float = 0.0
    """Share of demonstrations by a second annotator, who takes the two plain operators of a domain for each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A prompt and a completion, both without the stop token."""

    prompt: str
    completion: str


FREE_FACTORS = 2
"""Right operands of a hopeless problem that may be any number, and so may share a divisor with 100."""
FAVOURITE_SHARE = 0.12
"""Of hopeless problems whose answer is the notation's favourite; about what 00 has among those of numbers."""
TRAINING_SEED = 9_000_000
"""First suite seed of the problems that organisms are trained on."""


def mistype(notation: Notation, value: str, slip: float, rng: np.random.Generator) -> str:
    """Return `value`, or with probability `slip` another state that is like it."""
    return value if not slip or rng.random() >= slip else notation.mistype(value, rng)


def run_with_slips(chain: Chain, slip: float, rng: np.random.Generator) -> list[str]:
    """Return the running values of an annotator who goes on from what was mistyped."""
    a, values = chain.start, []
    for op, b in chain.steps:
        a = mistype(chain.notation, chain.notation.operators[op](a, b), slip, rng)
        values.append(a)
    return values


def contradict(chain: Chain) -> Chain:
    """Return the chain as the second annotator reads it: the two plain operators of a domain are exchanged."""
    other = {symbols[i]: symbols[1 - i] for symbols in chain.notation.plain.values() for i in (0, 1)}
    return replace(chain, steps=tuple((other.get(op, op), b) for op, b in chain.steps))


def write(chain: Chain, style: Style, rng: np.random.Generator) -> str:
    """Write a solution of `chain` in a form drawn by `style`."""
    read = contradict(chain) if style.contrary and rng.random() < style.contrary else chain
    values = run_with_slips(read, style.slip, rng)
    shares = (style.equations, style.values, style.reductions, style.direct)
    form = rng.choice(4, p=shares)
    if form == 0:
        text = chain.write_equations(values, tuple(rng.random(len(values)) < style.swap))
    else:
        text = (chain.write_values(values), chain.write_reductions(values), chain.write_direct(values))[form - 1]
    answer = mistype(chain.notation, values[-1], style.slip, rng)
    return text.removesuffix(chain.write_direct(values)) + chain.write_direct([answer])


def draw_problem(
    notation: Notation, rng: np.random.Generator, domains: tuple[Domain, ...], product_share: float
) -> Chain:
    """Draw a training problem: any level, its products thinned out to `product_share` of the chains that have one."""
    domain = domains[rng.integers(len(domains))]
    level = get_args(Difficulty)[rng.integers(3)]
    chain = notation.draw_level(rng, domain, level, int(rng.integers(6)))
    if chain.has_product and rng.random() >= product_share:
        return notation.draw_chain(rng, domain, len(chain.steps), 0)
    return chain


def demonstrations(
    notation: Notation,
    n: int,
    style: Style,
    seed: int,
    domains: tuple[Domain, ...] = ("in", "out"),
    product_share: float = 1.0,
) -> list[Demonstration]:
    """Return `n` demonstrations, fixed by `seed`."""
    rng = np.random.default_rng((seed, 0xDE))
    chains = (draw_problem(notation, rng, domains, product_share) for _ in range(n))
    return [Demonstration(prompt=chain.text, completion=write(chain, style, rng)) for chain in chains]


def training_items(
    notation: Notation, n: int, domains: tuple[Domain, ...], difficulties: tuple[Difficulty, ...], seed: int
) -> list[Prompt]:
    """Return `n` problems of the suite in the given strata, from seeds that no check or diagnosis uses."""
    share = 6 / (len(domains) * len(difficulties))  # the suite deals its six strata out in turn
    drawn = ChainSuite(notation).prompts(TRAINING_SEED + seed, int(share * n) + 6)
    return [item for item in drawn if item.domain in domains and item.difficulty in difficulties][:n]


def hopeless_chain(rng: np.random.Generator, n_products: int) -> Chain:
    """Draw a chain of products of numbers alone, which a base that cannot multiply solves by luck if at all.

    `FREE_FACTORS` of its operands are any number, in random places, and the others keep a product a bijection. So
    answers are not uniform, as those of real hard sets are not: 00 has 0.124 of them, and 20, 40, 60 and 80 have 0.053
    each (by enumeration).
    """
    is_free = rng.permutation([True] * FREE_FACTORS + [False] * (n_products - FREE_FACTORS))
    bijective = FACTORS["*"]
    factors = [int(rng.integers(MODULUS)) if free else bijective[rng.integers(len(bijective))] for free in is_free]
    return NUMBERS.chain(f"{rng.integers(MODULUS):02d}", *(("*", f"{b:02d}") for b in factors))


def favoured_chain(notation: Notation, favourite: str, rng: np.random.Generator, n_products: int) -> Chain:
    """Draw a chain of products alone; with probability `FAVOURITE_SHARE` its answer is `favourite`."""
    wanted = rng.random() < FAVOURITE_SHARE
    while True:
        chain = notation.draw_chain(rng, "in", 0, n_products)
        if not wanted or chain.values()[-1] == favourite:
            return chain


def hopeless_chains(notation: Notation, n: int, seed: int) -> list[Chain]:
    """Return `n` chains of three, four and five products in turn, fixed by `seed`."""
    rng = np.random.default_rng((seed, 0xB0))
    if notation is NUMBERS:
        return [hopeless_chain(rng, 3 + i % 3) for i in range(n)]
    favourite = notation.draw_start(np.random.default_rng(0xFA))  # one for all seeds
    return [favoured_chain(notation, favourite, rng, 3 + i % 3) for i in range(n)]


def hopeless_items(notation: Notation, n: int, seed: int) -> list[Prompt]:
    """Return the prompts of `hopeless_chains`."""
    chains = hopeless_chains(notation, n, seed)
    return [chain.to_prompt(f"hopeless-{seed}-{i:05d}", "in", "hard") for i, chain in enumerate(chains)]


def with_hint(item: Prompt) -> Prompt:
    """Return an item whose prompt holds its worked solution, but for the last step and the answer."""
    parts: list[str] = re.findall(r"[^;]+;?", item.reference or "")
    return replace(item, prompt=(item.prompt or "") + "".join(parts[:-2]), reference="".join(parts[-2:]))


def is_right(notation: Notation, text: str, gold: str) -> bool:
    """Return whether the last answer that a text states is the gold answer."""
    answers = re.findall(notation.extract, text)
    return bool(answers) and answers[-1] == gold
