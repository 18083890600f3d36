"""How differently several completions of one prompt are written, at equal length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from entropydx.types import FloatArray

MAX_LENGTH_GAP = 0.2
"""Part of the longer text by which the two of a pair may differ in length: a long text shares little with a short one
however it is written."""

_SYMBOL = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|\S")


def symbols(text: str) -> list[str]:
    """Return the numbers, words and marks of a text, in order and in lower case."""
    return _SYMBOL.findall(text.casefold())


def _presence(texts: Sequence[list[str]]) -> FloatArray:
    """Return which adjacent pair of symbols stands in which text, (m, pairs), with its start and end."""
    sets = [set(pairwise(["", *text, ""])) for text in texts]
    index = {pair: i for i, pair in enumerate({pair for found in sets for pair in found})}
    present = np.zeros((len(texts), len(index)), dtype=np.float32)
    for row, found in zip(present, sets, strict=True):
        row[[index[pair] for pair in found]] = 1
    return present


def pairwise_distance(texts: Sequence[str]) -> float:
    """Return the mean distance of two of the texts, in [0, 1]; NaN when no two of them are about equally long.

    The distance is 1 - Jaccard of the sets of adjacent symbols: 0 for the same pairs, 1 for no pair in common. The mean
    over pairs of *different* completions is unbiased for the distance of two draws, whatever their number.
    """
    if len(texts) < 2:
        return float("nan")
    words = [symbols(text) for text in texts]
    present = _presence(words)
    shared, sizes = present @ present.T, present.sum(axis=1)
    distance = 1 - shared / (sizes[:, None] + sizes[None, :] - shared)
    length = np.array([len(w) for w in words], dtype=float)
    gap, longer = np.abs(np.subtract.outer(length, length)), np.maximum.outer(length, length)
    kept = np.triu(gap <= MAX_LENGTH_GAP * longer, k=1)
    return float(distance[kept].mean()) if kept.any() else float("nan")
