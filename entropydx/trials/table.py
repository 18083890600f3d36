"""The trials as a Markdown table: nothing left out, nulls and failures included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from entropydx.trials.arms import Trial
from entropydx.trials.results import LEVEL, Effect, Row, control_of, effect

COUNTS = ("present", "whole", "named")


def table(trial: Trial, rows: Sequence[Row], base: Mapping[str, float] | None = None) -> str:
    """Return what a trial found: outcomes by arm and start, and the change of the decisive one against the control.

    Parameters
    ----------
    base : mapping, optional
        Numbers of the independent check of the baseline, for a row of its own.
    """
    decisive = trial.outcomes[0]
    heads = ["role", *(f"`{name}`" for name in trial.outcomes), f"change of `{decisive}`", "against as it was", *COUNTS]
    cells = []
    for row in rows:
        told = [_words(row.outcomes.get(name)) for name in trial.outcomes]
        change = "control" if row.arm.name == control_of(trial) else _words(row.changes.get(decisive), signed=True)
        share = [f"{part}/{row.n}" for part in (row.present, row.whole, row.named)]
        cells.append([row.arm.role, *told, change, _words(row.gained, signed=True), *share])
    notes = dict.fromkeys(f"- {row.arm.name}: {row.arm.note}." for row in rows if row.arm.note)
    lines = _lines(heads, rows, cells)
    if base is not None:
        told = [_words(effect([base[name]])) for name in trial.outcomes]
        lines.insert(2, f"| base | {Path(trial.baseline).name} | - | {' | '.join(told)} |{' - |' * (len(COUNTS) + 2)}")
    return "\n".join([*lines, "", *notes]) + "\n"


def measured_table(trial: Trial, rows: Sequence[Row]) -> str:
    """Return what entropydx measured of each arm: ratios to the baseline, forms, what is still solved."""
    cells = [[_words(row.measured.get(name)) for name in trial.measured] for row in rows]
    return "\n".join(_lines([f"`{name}`" for name in trial.measured], rows, cells)) + "\n"


def _lines(heads: Sequence[str], rows: Sequence[Row], cells: Sequence[Sequence[str]]) -> list[str]:
    heads = ["start", "arm", *heads]
    body = [[row.start, row.arm.name, *own] for row, own in zip(rows, cells, strict=True)]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(line)} |" for line in body)]


def _words(effect: Effect | None, *, signed: bool = False) -> str:
    if effect is None:
        return "-"
    sign = "+" if signed else ""
    value = f"{effect.value:{sign}.3f}"
    if effect.ci is None:
        return f"{value} (n={effect.n}{', equal' * (effect.n > 1)})"
    return f"{value} [{effect.ci[0]:{sign}.3f}, {effect.ci[1]:{sign}.3f}]"


def legend() -> str:
    """Return what the columns of a table are."""
    return (
        f"Means over seeds with Student's t intervals at {LEVEL:.0%}. A change is paired by seed with the control; "
        "`against as it was`: the same outcome less that of the start's checkpoint, untouched; that one was measured "
        "once, so its own noise, about 0.05, is shared by all rows and in no interval. `present`: seeds "
        "in which the independent check finds the failure present; `whole`: seeds in which it finds no failure and "
        "nothing lost beside, so that a checkpoint can be neither; `named`: seeds in which entropydx finds the failure "
        "present. (n=1): one checkpoint, so no interval over seeds; where nothing is trained there is no other. "
        "(n=3, equal): all seeds gave one value, which is no certainty about the next. Every interval is for itself: "
        "with this many arms some miss the truth, and three seeds make wide ones."
    )
