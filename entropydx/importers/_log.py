"""Rows of a trainer's metrics as a `TrainingLog`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from entropydx.importers._reading import number
from entropydx.types import LogColumn, TrainingLog

Names = Mapping[LogColumn, tuple[str, ...]]
"""Our column to the names that the tool has had for it, the newest first."""


def training_log(rows: Iterable[tuple[int, Mapping[str, Any]]], names: Names) -> TrainingLog:
    """Return a log of (step, metrics) rows in any order; of a step that was logged twice, after a resume, the last.

    A step without any of our metrics, such as one of evaluation, is left out.
    """
    by_step: dict[int, dict[LogColumn, float]] = {}
    for step, metrics in rows:
        found = {ours: value for ours, theirs in names.items() if (value := _first(metrics, theirs)) is not None}
        if found:
            by_step[step] = found
    steps = tuple(sorted(by_step))
    present = [ours for ours in names if any(ours in row for row in by_step.values())]
    return TrainingLog(steps=steps, columns={c: tuple(by_step[s].get(c) for s in steps) for c in present})


def _first(metrics: Mapping[str, Any], names: Iterable[str]) -> float | None:
    return next((value for name in names if (value := number(metrics.get(name))) is not None), None)


def log_note(tool: str, temperature: float | None, *details: str) -> str:
    """Return the provenance of a logged entropy in words."""
    at = f"temperature {temperature:g}" if temperature is not None else "an unknown temperature"
    return ", ".join([f"as {tool} takes it: at {at}", *details])
