"""How many prompts are never, sometimes and always solved."""

from __future__ import annotations

import numpy as np

from entropydx import scoring, stats
from entropydx.probes._drawn import first
from entropydx.probes._paired import Paired
from entropydx.probes._votes import n_right
from entropydx.types import Bar, Estimate, IntArray, Spread

WHOLE = 16
"""Most samples for which every number of right ones has a bin of its own."""
WIDE_BINS = 10
"""Bins between never and always, beyond that."""


def spread(part: Paired) -> Spread | None:
    """Return the histogram of right completions per prompt, with Wilson's interval of each share of prompts.

    None when a completion has no grade. Prompts are independent draws of the suite, so Wilson's interval fits.
    """
    sides = [part.groups, *([] if part.baseline is None else [part.baseline])]
    if any(c.grade is None for groups in sides for g in groups for c in g.completions):
        return None
    k = min(len(g.completions) for groups in sides for g in groups)
    names, counts = zip(*(_binned(n_right(first(groups, k)), k) for groups in sides), strict=True)
    shares = [[_share(int(c), len(part.groups)) for c in side] for side in counts]
    theirs: list[Estimate] | list[None] = shares[1] if len(shares) > 1 else [None] * len(shares[0])
    rows = zip(names[0], shares[0], theirs, strict=True)
    return Spread(n_samples=k, bins=tuple(Bar(name=name, own=own, baseline=base) for name, own, base in rows))


def _binned(right: IntArray, k: int) -> tuple[list[str], IntArray]:
    """Return the name of every bin and its number of prompts."""
    if k <= WHOLE:
        return [str(i) for i in range(k + 1)], np.bincount(right, minlength=k + 1)
    inner = np.linspace(0, k, WIDE_BINS + 1)
    places = np.where(right == 0, 0, np.where(right == k, WIDE_BINS + 1, np.searchsorted(inner, right, side="left")))
    lows = [max(int(np.floor(a)) + 1, 1) for a in inner[:-1]]
    highs = [min(int(np.floor(b)), k - 1) for b in inner[1:]]
    names = ["0", *(f"{a}–{b}" for a, b in zip(lows, highs, strict=True)), str(k)]
    return names, np.bincount(places, minlength=WIDE_BINS + 2)


def _share(hits: int, n: int) -> Estimate:
    return Estimate(value=hits / n, ci=scoring.wilson(hits, n, 1 - 2 * stats.tail()), n=n)
