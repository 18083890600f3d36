"""Repeated looks at growing data: when to look, and how wide every interval must be then.

A run is looked at after each round of prompts, and may stop at any of them. Intervals of one fixed level would accuse a
sound checkpoint more often the more often they are looked at; *repeated confidence intervals* (Jennison & Turnbull
1989, JRSS B 51:305) cover the truth at all looks together with the level of a single one, whatever makes the run stop.
Their widths come from an error-spending function (Lan & DeMets 1983, Biometrika 70:659), here the linear member of the
power family of Kim & DeMets (1987, Biometrika 74:149): by a look at the share t of the prompts, alpha * t is spent.
Spending depends on the looks that were made, not on those that were planned.

The joint law of the looks is that of a mean of independent prompts, (Z_1, ..., Z_L) normal with correlations
sqrt(t_i / t_j), which statistics that are smooth functions of prompt means have for many prompts (Scharfstein, Tsiatis
& Robins 1997, JASA 92:1342). It needs prompts in an order that does not matter, which `planning` sees to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from entropydx.types import FloatArray

FIRST = 20
"""Fewest prompts of a look: with fewer a verdict is refused (EDX906)."""
GROWTH = 1.5
"""Each look has so many times the prompts of the one before. On the committed organisms the median run needs 0.28 of
its budget with 1.5 (five looks at 108 prompts), 0.36 with 2 (three looks); labels are the same."""
EARLIEST = 0.19
"""Share of the budget before which no look is taken: its level would be finer than the bootstrap resolves."""
_HALF_WIDTH, _POINTS = 8.0, 1201
"""Of the grid of the numerical integration, in standard deviations of the whole run."""


def schedule(n_prompts: int) -> tuple[int, ...]:
    """Return the prompts of every look, rising to `n_prompts`; none below `FIRST`, or `EARLIEST` of the whole.

    Parameters
    ----------
    n_prompts : int
        Prompts of the whole budget, at least 1.
    """
    looks = [n_prompts]
    while (fewer := math.ceil(looks[0] / GROWTH)) >= max(FIRST, EARLIEST * n_prompts):
        looks.insert(0, fewer)
    return tuple(looks)


def levels(looks: Sequence[int], level: float, whole: int | None = None) -> tuple[float, ...]:
    """Return the level of the intervals at each look, such that all looks together have `level`.

    Parameters
    ----------
    looks : sequence of int
        Prompts at each look, strictly rising.
    level : float
        Two-sided level of a single look, in (0, 1).
    whole : int, optional
        Prompts of the whole budget, at least the last look's; None: the last look is the last of the budget.

    Returns
    -------
    tuple of float
        One level for each look, each at least `level`; a single look at the whole budget has exactly `level`.
    """
    alpha, total = 1 - level, looks[-1] if whole is None else whole
    if looks[0] == total:
        return (level,)
    shares = [n / total for n in looks]
    found, spent = [], 0.0
    grid = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, _POINTS)
    density: FloatArray | None = None
    for i, share in enumerate(shares):
        before = shares[i - 1] if i else 0.0
        density = _score(grid, density, before, share)
        bound = _boundary(grid, density, alpha * share - spent)
        spent = alpha * share
        density = np.where(np.abs(grid) < bound, density, 0.0)  # the paths that go on
        found.append(float(1 - 2 * special.ndtr(-bound / math.sqrt(share))))
    return tuple(found)


def _score(grid: FloatArray, density: FloatArray | None, before: float, share: float) -> FloatArray:
    """Return the density of the score sqrt(t) Z_t on the grid, from that of the look before (Armitage et al. 1969).

    The score is a Brownian motion at time t: its increment is normal with variance `share - before`.
    """
    step = math.sqrt(share - before)
    if density is None:
        return np.asarray(stats.norm.pdf(grid, scale=step))
    kernel = stats.norm.pdf(grid[:, None] - grid[None, :], scale=step)
    return np.asarray(kernel @ density * (grid[1] - grid[0]))


def _boundary(grid: FloatArray, density: FloatArray, mass: float) -> float:
    """Return the b beyond which, on both sides together, the symmetric density has the given mass."""
    width = grid[1] - grid[0]
    above = np.cumsum(density[::-1])[::-1] * width - density * width / 2  # mass right of each grid point
    half = len(grid) // 2
    # The mass falls with b, and interp wants rising abscissae.
    return float(np.interp(mass / 2, above[half:][::-1], grid[half:][::-1]))
