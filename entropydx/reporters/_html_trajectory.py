"""A series of checkpoints as small charts: one a column, with the change point, above a line of verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entropydx.reporters._html_svg import Axes, Chart, Mark, circle, line, path, rect, round_ticks, text
from entropydx.reporters._trajectory import LETTERS
from entropydx.reporters._words import decimals, estimate, number, words
from entropydx.types import ChangePoint, MeasurementRow, Trajectory

WIDTH, HEIGHT = 320, 150
MOST_LETTERS = 16
"""Verdicts that fit under a chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnView:
    """One column of the series."""

    name: str
    unit: str
    chart: Chart
    change: str
    """Where it left its level, in words; empty when it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryView:
    """A series as it is drawn."""

    trajectory: Trajectory
    columns: tuple[ColumnView, ...]
    missing: tuple[tuple[str, str], ...]
    """Columns that were not measured, with the reason."""
    rows: tuple[tuple[str, ...], ...]
    """Checkpoint, step, verdict, confidence."""
    left_out: tuple[tuple[str, ...], ...]
    """Checkpoint, step, path, reason."""


def view(trajectory: Trajectory) -> TrajectoryView:
    """Return a series as it is drawn."""
    names = [row.name for row in trajectory.points[0].columns]
    columns = [(name, [p.column(name) for p in trajectory.points]) for name in names]
    measured = [(name, rows) for name, rows in columns if any(row.value is not None for row in rows)]
    absent = [rows[0] for name, rows in columns if (name, rows) not in measured]
    return TrajectoryView(
        trajectory=trajectory,
        columns=tuple(_column(trajectory, name, rows) for name, rows in measured),
        missing=tuple((row.name, row.missing_reason or "no reason was recorded") for row in absent),
        rows=tuple(
            (p.name, f"{x:.7g}", words(p.label), p.confidence)
            for x, p in zip(trajectory.x, trajectory.points, strict=True)
        ),
        left_out=tuple((c.name, "-" if c.step is None else f"{c.step}", c.ref, c.reason) for c in trajectory.left_out),
    )


def _column(trajectory: Trajectory, name: str, rows: Sequence[MeasurementRow]) -> ColumnView:
    change = next((c for c in trajectory.changes if c.column == name and c.significant), None)
    unit = next((row.unit for row in rows if row.unit), "")
    return ColumnView(name=name, unit=unit, chart=_chart(trajectory, name, rows, change), change=_words(change))


def _words(change: ChangePoint | None) -> str:
    if change is None:
        return ""
    low, high = change.ci
    where = f"{change.at:.7g} [{low:.7g}, {high:.7g}]"
    return f"left its level at {where}, between {change.last_before} and {change.first_after}; p = {change.p_value:.2g}"


def _chart(trajectory: Trajectory, name: str, rows: Sequence[MeasurementRow], change: ChangePoint | None) -> Chart:
    xs = trajectory.x
    axes = Axes(x=(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1), y=_range(rows), width=WIDTH, height=HEIGHT)
    ticks = round_ticks(*axes.y, 3)
    places = max(decimals(ticks[-1] - ticks[0], None) - 1, 0) if len(ticks) > 1 else 2
    marks = _onset(axes, change)
    marks += axes.frame([], [(y, number(y, places)) for y in ticks], f"{trajectory.axis}s {xs[0]:.7g} to {xs[-1]:.7g}")
    marks += _letters(trajectory, axes)
    known = [(x, row) for x, row in zip(xs, rows, strict=True) if row.value is not None]
    banded = [(x, row.ci) for x, row in known if row.ci is not None]
    if len(banded) == len(known) > 1:
        upper, lower = [axes.at(x, ci[1]) for x, ci in banded], [axes.at(x, ci[0]) for x, ci in reversed(banded)]
        marks.append(path([*upper, *lower], "own-band", closed=True))
    points = [axes.at(x, row.value or 0.0) for x, row in known]
    marks.append(path(points, "own-line"))
    for at, (x, row) in zip(points, known, strict=True):
        marks.append(circle(at, 3, "own-dot", f"{trajectory.axis} {x:.7g}: {_said(row)}"))
    label = f"{name} over the {trajectory.axis}s: {_said(known[0][1])} at first, {_said(known[-1][1])} at last"
    return Chart(width=WIDTH, height=HEIGHT, label=label, marks=tuple(marks))


def _said(row: MeasurementRow) -> str:
    return "not measured" if row.value is None else estimate(row.value, row.ci, decimals(row.value, row.ci))


def _range(rows: Sequence[MeasurementRow]) -> tuple[float, float]:
    """Return the ends of the axis: all intervals, and zero where it is near."""
    ends = [x for row in rows if row.value is not None for x in (row.ci or (row.value, row.value))]
    low, high = min(ends), max(ends)
    if low > 0 and low < 0.6 * high:
        low = 0.0
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return (low if low == 0.0 else low - room), high + room


def _onset(axes: Axes, change: ChangePoint | None) -> list[Mark]:
    """Return the interval of the change point as a band, and the point as a line."""
    if change is None:
        return []
    left, right, top = axes.across(change.ci[0]), axes.across(change.ci[1]), float(axes.top)
    floor = float(axes.height - axes.bottom)
    at = axes.across(change.at)
    return [
        rect((left, top), (max(right - left, 2.0), floor - top), "onset", f"change point: {_words(change)}"),
        line((at, top), (at, floor), "threshold"),
    ]


def _letters(trajectory: Trajectory, axes: Axes) -> list[Mark]:
    """Return the verdict of each checkpoint as a letter under its place, thinned where there are many."""
    every = -(-len(trajectory.points) // MOST_LETTERS)
    pairs = list(zip(trajectory.x, trajectory.points, strict=True))[::every]
    floor = axes.height - axes.bottom
    return [text((axes.across(x), floor + 16), LETTERS[p.label], "lab") for x, p in pairs]


def legend(trajectory: Trajectory) -> str:
    """Return what the letters mean."""
    return ", ".join(f"{LETTERS[label]} {words(label)}" for label in dict.fromkeys(p.label for p in trajectory.points))
