"""The distribution over formats beside the baseline's: known modes, and clusters of text shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from entropydx import stats
from entropydx.pictures._estimates import estimate, from_row
from entropydx.probes._paired import Paired
from entropydx.probes._structure import cluster
from entropydx.probes.format_mode import MODE_NAMES, mode_of
from entropydx.types import Bar, Estimate, FloatArray, Group, Report

SHAPES = 6
"""Clusters that are shown; the others are one bar."""
EXAMPLE = 120
"""Characters of a cluster's example."""
OTHERS = "other shapes"


def modes(report: Report, part: Paired | None) -> tuple[Bar, ...]:
    """Return the share of every mode that checkpoint or baseline shows, the baseline's commonest first."""
    counted = None if part is None or part.baseline is None else _modes(part.baseline)
    bars = []
    for index, name in enumerate(MODE_NAMES):
        row = report.row(f"format_mode.share_{name}")
        own, theirs = from_row(row), None
        if part is not None and counted is not None:
            theirs = _share(part, counted[:, index], counted.sum(axis=1))
        elif row.baseline is not None:
            theirs = Estimate(value=row.baseline, ci=None, n=row.n)
        if own is not None and own.value + (theirs.value if theirs else 0.0) > 0:
            bars.append(Bar(name=name, own=own, baseline=theirs))
    return _sorted(bars)


def _modes(groups: Sequence[Group]) -> FloatArray:
    """Return the number of completions in each mode, (N, modes)."""
    counted = [Counter(mode_of(c.text) for c in g.completions) for g in groups]
    return np.array([[modes_of[name] for name in MODE_NAMES] for modes_of in counted], dtype=float)


def shapes(part: Paired) -> tuple[Bar, ...]:
    """Return the shares of the commonest clusters of text shape, each with its commonest text, and of all others.

    Nothing below two prompts, or where a side has no completion: a share would have no interval.
    """
    sides = [part.groups, *([] if part.baseline is None else [part.baseline])]
    texts = [[[c.text for c in g.completions] for g in groups] for groups in sides]
    numbers = iter(cluster([text for rows in texts for row in rows for text in row]))
    labels = [[[next(numbers) for _ in row] for row in rows] for rows in texts]
    n = 1 + max((number for rows in labels for row in rows for number in row), default=-1)
    counts = [np.array([np.bincount(row, minlength=n) for row in rows], dtype=float) for rows in labels]
    if part.population.n_prompts < 2 or not all(side.sum() for side in counts):
        return ()
    order = list(np.argsort(-sum(side.sum(axis=0) for side in counts), kind="stable"))
    bars = [_shape(part, counts, [number], _example(texts, labels, int(number))) for number in order[:SHAPES]]
    return _sorted(bars) + ((_shape(part, counts, order[SHAPES:], ""),) if order[SHAPES:] else ())


def _shape(part: Paired, counts: Sequence[FloatArray], numbers: Sequence[int], example: str) -> Bar:
    shares = [_share(part, side[:, numbers].sum(axis=1), side.sum(axis=1)) for side in counts]
    assert shares[0] is not None  # two prompts or more, and completions
    name = "" if example else OTHERS
    return Bar(name=name, own=shares[0], baseline=shares[1] if len(shares) > 1 else None, example=example)


def _example(texts: list[list[list[str]]], labels: list[list[list[int]]], number: int) -> str:
    """Return the commonest text of a cluster, ties by the text itself."""
    pairs = zip((t for s in texts for r in s for t in r), (m for s in labels for r in s for m in r), strict=True)
    alike = Counter(text for text, label in pairs if label == number)
    return min(alike, key=lambda text: (-alike[text], text))[:EXAMPLE] or "(empty)"


def _share(part: Paired, hits: FloatArray, totals: FloatArray) -> Estimate | None:
    return estimate(part.population, stats.ratio_statistic(hits, totals))


def _sorted(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: -(bar.baseline or bar.own).value))
