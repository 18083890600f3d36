"""A row of numbers as a row of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
BLOCKS = "▁▂▃▄▅▆▇█"
ABSENT = "·"
"""Where there is no number."""


def thinned(items: Sequence[T], width: int) -> list[T]:
    """Return at most `width` (two or more) of the items, evenly spaced, first and last kept."""
    if len(items) <= width:
        return list(items)
    return [items[round(i * (len(items) - 1) / (width - 1))] for i in range(width)]


def sparkline(values: Sequence[float | None], width: int, least_span: float = 0.0) -> str:
    """Draw values as blocks, one cell each; more values than cells are thinned.

    Parameters
    ----------
    values : sequence of float or None
        None is drawn as a dot.
    width : int
        Most cells, at least 2.
    least_span : float
        The height of the scale is never less: noise of the size of an interval must not look like a mountain range.
    """
    shown = thinned(values, width)
    present = [v for v in values if v is not None]
    if not present:
        return ABSENT * len(shown)
    low, high = min(present), max(present)
    spare = max(least_span - (high - low), 0.0) / 2
    low, high = low - spare, high + spare
    if high <= low:
        low, high = low - 1.0, high + 1.0
    top = len(BLOCKS) - 1
    return "".join(ABSENT if v is None else BLOCKS[round((v - low) / (high - low) * top)] for v in shown)
