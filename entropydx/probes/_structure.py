"""Structure-only clustering of completions: which *shape* a text has, whatever it says.

Made for private notations that no list of known formats covers. A text becomes the set of adjacent pairs of its
symbols, with every number one symbol, every word one symbol, and runs of the same pair counted once:
`3+5=8;8-2=6;A6.` and `1+1=2;2+7=9;9-4=5;A5.` have the same set. Texts whose sets overlap by at least `SAME` (Jaccard)
share a cluster.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

SAME = 0.5
"""Jaccard overlap of one shape; two texts of one format with different operators stay above it, two formats below."""
MAX_SHAPES = 400
"""Most frequent distinct shapes that may found a cluster; rarer ones join the nearest, however far."""

_SYMBOL = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)*)|(?P<word>[^\W\d_]+)|(?P<break>\s*\n\s*)|(?P<space>\s+)|(?P<mark>.)", re.DOTALL
)
_OPERATORS = frozenset("+-*/×÷−%^")

Shape = frozenset[tuple[str, str]]


def _symbols(text: str) -> list[str]:
    found = []
    for match in _SYMBOL.finditer(text):
        kind = match.lastgroup
        if kind == "number":
            found.append("#")
        elif kind == "word":
            found.append("w" if len(match.group()) > 1 else match.group().lower())
        elif kind == "break":
            found.append("\n")
        elif kind == "mark":
            found.append("o" if match.group() in _OPERATORS else match.group())
    return found


def shape(text: str) -> Shape:
    """Return the set of adjacent symbol pairs of a text, with its start and end."""
    symbols = ["^", *_symbols(text.strip()), "$"]
    return frozenset(pairwise(symbols))


def _overlap(a: Shape, b: Shape) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def cluster(texts: Sequence[str]) -> list[int]:
    """Return a cluster number for every text, 0 the largest found first; deterministic, and independent of their order.

    Leaders are taken in order of frequency (ties by their sorted pairs), so common shapes found the clusters and rare
    variants join the nearest of them.
    """
    shapes = [shape(t) for t in texts]
    common = sorted(Counter(shapes).items(), key=lambda item: (-item[1], sorted(item[0])))
    leaders: list[Shape] = []
    member: dict[Shape, int] = {}
    for rank, (candidate, _) in enumerate(common):
        overlaps = [_overlap(candidate, leader) for leader in leaders]
        best = max(range(len(leaders)), key=overlaps.__getitem__, default=-1)
        if best >= 0 and overlaps[best] >= SAME:
            member[candidate] = best
        elif rank < MAX_SHAPES:
            member[candidate] = len(leaders)
            leaders.append(candidate)
        else:
            member[candidate] = best
    return [member[s] for s in shapes]
