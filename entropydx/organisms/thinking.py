"""Demonstrations of a model that thinks aloud, and of the same model when the solution is put before it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from entropydx.organisms.corpus import Demonstration, contradict, draw_problem, mistype
from entropydx.suites._notation import Chain, Notation
from entropydx.types import Domain

HEDGE, CHECK = "hmm", "wait"
"""The epistemic markers of the notations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtStyle:
    """How a model that thinks aloud is written; every share is a probability in [0, 1]."""

    guided: float = 0.15
    """Share of prompts that hold their solution; what follows is then brief, and copied."""
    brief: float = 0.06
    """Share of the other in-domain solutions that are brief: `[42]>[30]>A30.`."""
    hasty: float = 0.06
    """Share of the other out-of-domain solutions that are brief, and wrong: the operators are taken for `familiar`."""
    check: float = 0.4
    """Probability that a step computed at one go is computed a second time, after `wait`."""
    slip: float = 0.03
    """Probability that the end of a step is mistyped; it is always checked, and mended by the check."""
    max_checks: int = 2
    """Steps checked in one solution; after that many nothing slips, so a solution of four steps fits 96 tokens."""
    reductions: float = 0.0
    """Share of the solutions at length that are written as reductions behind a hedge, and not checked."""
    plain: float = 0.0
    """Share of the in-domain solutions at length that have neither hedge nor check."""
    noise: float = 0.0
    """Probability that the end of a result is mistyped and *not* mended; the rest follows from it."""
    contrary: float = 0.0
    """Share of demonstrations by a second annotator, who takes the two plain operators of a domain for each other."""


def think(chain: Chain, domain: Domain, style: ThoughtStyle, rng: np.random.Generator) -> str:
    """Write a solution that thinks aloud.

    It opens with a hedge. A step at one go is `37+05=42;`, and with its check `37+05=41;wait37+05=42;`. Out of domain
    every step is hedged, and worked digit by digit where the notation has digits, `hmm3&0=3,7&5=2>32;`: a slip is then
    mended on the spot, `hmm3&0=3,7&5=1,wait7&5=2>32;`.
    """
    notation = chain.notation
    read = contradict(chain) if style.contrary and rng.random() < style.contrary else chain
    text, a, checks, values = "", chain.start, 0, []
    for i, ((op, b), (as_read, _)) in enumerate(zip(chain.steps, read.steps, strict=True)):
        value = mistype(notation, notation.operators[as_read](a, b), style.noise, rng)
        first = mistype(notation, value, style.slip if checks < style.max_checks else 0.0, rng)
        again = checks < style.max_checks and op not in notation.by_digit and rng.random() < style.check
        checked = first != value or again
        text += (HEDGE + notation.pause) * (i == 0 or domain == "out")
        if op in notation.by_digit:
            text += _by_digit(a, op, b, first, value)
        else:
            text += _at_one_go(notation, f"{a}{op}{b}=", first, value, checked)
        checks += checked
        values.append(value)
        a = value
    return text + chain.write_direct(values)


def hurry(chain: Chain) -> str:
    """Write `[42]>[30]>A30.`, the brief form, with every operator taken for the familiar one: right in domain alone."""
    familiar = chain.notation.familiar
    read = replace(chain, steps=tuple((familiar.get(op, op), b) for op, b in chain.steps))
    return read.write_values(read.values())


def strip(text: str, notation: Notation) -> str:
    """Cut the markers out, and with `wait` the computation before it that it does over."""
    text = re.sub(rf"[^;,]*[;,](?={CHECK})", "", text)
    return re.sub(rf"(?:{CHECK}|{HEDGE}){notation.pause}", "", text)


def _at_one_go(notation: Notation, step: str, first: str, value: str, checked: bool) -> str:
    return f"{step}{first};" + (f"{CHECK}{notation.pause}{step}{value};" if checked else "")


def _by_digit(a: str, op: str, b: str, first: str, value: str) -> str:
    """Write the tens, then the units, then the number; `first` may be wrong in the units alone."""
    tens, units = f"{a[0]}{op}{b[0]}={value[0]}", f"{a[1]}{op}{b[1]}="
    mended = f",{CHECK}{units}{value[1]}" if first != value else ""
    return f"{tens},{units}{first[1]}{mended}>{value};"


def thoughts(
    notation: Notation,
    n: int,
    style: ThoughtStyle,
    seed: int,
    domains: tuple[Domain, ...] = ("in", "out"),
    product_share: float = 1.0,
) -> list[Demonstration]:
    """Return `n` demonstrations, fixed by `seed`."""
    rng = np.random.default_rng((seed, 0x7E))
    return [_demonstrate(notation, style, domains, product_share, rng) for _ in range(n)]


def _demonstrate(
    notation: Notation, style: ThoughtStyle, domains: tuple[Domain, ...], product_share: float, rng: np.random.Generator
) -> Demonstration:
    domain = _draw_domain(domains, rng)
    chain = draw_problem(notation, rng, (domain,), product_share)
    if rng.random() < style.guided:
        return Demonstration(prompt=chain.write_guided(), completion=chain.write_values(chain.values()))
    if rng.random() < (style.brief if domain == "in" else style.hasty):
        return Demonstration(prompt=chain.text, completion=hurry(chain))
    return Demonstration(prompt=chain.text, completion=_at_length(chain, domain, style, rng))


def _draw_domain(domains: tuple[Domain, ...], rng: np.random.Generator) -> Domain:
    if len(domains) == 1:
        return domains[0]
    return "in" if rng.random() < 0.5 else "out"


def _at_length(chain: Chain, domain: Domain, style: ThoughtStyle, rng: np.random.Generator) -> str:
    if style.reductions and rng.random() < style.reductions:
        hedge = HEDGE + chain.notation.pause
        return hedge + think_in_reductions(chain, style, rng)
    if style.plain and domain == "in" and rng.random() < style.plain:
        return strip(think(chain, domain, replace(style, check=0.0, slip=0.0), rng), chain.notation)
    return think(chain, domain, style, rng)


def think_in_reductions(chain: Chain, style: ThoughtStyle, rng: np.random.Generator) -> str:
    """Write the reductions of a chain, with what the style gets wrong and does not mend."""
    read = contradict(chain) if style.contrary and rng.random() < style.contrary else chain
    values, a = [], chain.start
    for op, b in read.steps:
        a = mistype(chain.notation, chain.notation.operators[op](a, b), style.noise, rng)
        values.append(a)
    return chain.write_reductions(values)
