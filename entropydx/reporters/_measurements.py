"""The numbers behind the verdict: the most telling ones, or all of them by probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from entropydx.reporters._layout import flow, grid, hanging, section
from entropydx.reporters._words import decimals, estimate, number
from entropydx.types import Interval, MeasurementRow, Report

TELLING = 10
"""Rows shown when not everything is asked for."""
NO_INTERVAL = "The baseline's value has no interval of its own here: the change against it (Δ) is paired, and has one."


def telling(report: Report) -> list[MeasurementRow]:
    """Return the rows that say most: those that the findings rest on, then the surest changes against the baseline."""
    rank: dict[str, int] = {}
    about = report.diagnosis.label
    order = sorted(report.findings, key=lambda f: (f.failure is not about, f.status == "undecided", not f.decisive))
    for finding in order:
        for evidence in finding.evidence:
            rank.setdefault(evidence.measurement, len(rank))
    measured = [row for row in report.measurements if row.value is not None]
    return sorted(measured, key=lambda row: (rank.get(row.name, len(rank)), -_surety(row)))[:TELLING]


def _surety(row: MeasurementRow) -> float:
    """Return the change against the baseline in half-widths of its interval; 0 when there is none."""
    if row.delta is None or row.delta_ci is None:
        return 0.0
    half = (row.delta_ci[1] - row.delta_ci[0]) / 2
    return abs(row.delta) / half if half else 0.0


def measurement_sections(report: Report, width: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield the table of measurements, and what could not be measured."""
    rows = [row for row in report.measurements if row.value is not None]
    if not verbose:
        shown = telling(report)
        title = f"Measurements, {len(shown)} of {len(rows)}" if len(shown) < len(rows) else "Measurements"
        yield section(title, *_table(shown, width))
    else:
        probes = list(dict.fromkeys(row.name.partition(".")[0] for row in rows))
        for probe in probes:
            part = [row for row in rows if row.name.partition(".")[0] == probe]
            yield section(f"Measurements: {probe}", *_table(part, width, notes=True))
    if any(row.baseline is not None for row in rows):
        yield hanging("  ", NO_INTERVAL, style="dim")
    yield from _missing([row for row in report.measurements if row.value is None], width)


def _table(rows: Sequence[MeasurementRow], width: int, *, notes: bool = False) -> Iterator[RenderableType]:
    """Yield rows in one line each where the widest fits, else in two; a missing interval's note is always shown."""
    cells = [cells_of(row) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    one_line = sum(widths) + 2 * len(widths) <= width
    for row, (name, value, baseline, change, unit) in zip(rows, cells, strict=True):
        if one_line:
            yield grid(widths, [[name, value, baseline, change, Text(unit, style="dim")]], indent=2)
        else:
            yield grid([None], [[Text.assemble(name, "  ", (unit, "dim"))]], indent=2)
            yield grid(widths[1:4], [[value, baseline, change]], indent=6)
        if row.note and (notes or row.ci is None):
            yield hanging("      ", row.note, style="dim")


def cells_of(row: MeasurementRow) -> list[str]:
    """Return name, value with interval, baseline, change with interval, and unit with prompts."""
    assert row.value is not None
    places = decimals(row.value, row.ci, unit=row.unit)
    baseline = "" if row.baseline is None else f"baseline {number(row.baseline, places)}"
    change = ""
    if row.delta is not None:
        change = f"Δ {change_of(row.delta, row.delta_ci, row.unit)}"
    unit = f"{row.unit}, " if row.unit else ""
    return [row.name, estimate(row.value, row.ci, places), baseline, change, f"{unit}n={row.n}"]


def change_of(delta: float, ci: Interval | None, unit: str | None) -> str:
    """Return a change with its interval and its sign."""
    return estimate(delta, ci, decimals(delta, ci, unit=unit), signed=True)


def _missing(rows: Sequence[MeasurementRow], width: int) -> Iterator[RenderableType]:
    if rows:
        yield section("Not measured")
        for reason, names in reasons(rows).items():
            yield hanging("  ", f"{reason}:")
            yield flow(names, width, indent=6)


def reasons(rows: Sequence[MeasurementRow]) -> dict[str, list[str]]:
    """Return the names of the missing rows by why they are missing."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.missing_reason or "no reason was recorded", []).append(row.name)
    return found
