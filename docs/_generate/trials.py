"""The tables of the page on the controlled trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entropydx.organisms.doses import EditDose
from entropydx.trials import TRIALS, Trial, read_base, read_cells, summarise
from entropydx.trials.designs import INERT, UNTRIED
from entropydx.trials.table import legend, measured_table, table

START, END = "<!-- the trials -->", "<!-- the end of the trials -->"


def _agreement(cells: Sequence[dict[str, Any]]) -> str:
    """Return how often the two judges say the same of the failure of a trial."""
    trained = {(t.failure, a.name) for t in TRIALS for a in t.arms if not isinstance(a.dose, EditDose)}
    pairs = [
        (c["check"]["truth"][c["failure"]], c["entropydx"]["failures"][c["failure"]])
        for c in cells
        if (c["failure"], c["arm"]) in trained and c["arm"] != INERT  # whose checkpoints are the control's
    ]
    both = [(truth, status) for truth, status in pairs if truth != "unclear" and status != "undetermined"]
    silent = sum(status == "undetermined" for truth, status in pairs if truth != "unclear")
    return (
        f"Of {len(pairs)} trained checkpoints the independent check finds the failure present or absent in "
        f"{len(both) + silent}. entropydx leaves {silent} of these open, and says the same of "
        f"{sum(truth == status for truth, status in both)} of the other {len(both)}. (Checkpoints of one start are "
        "alike, so these shares have no interval; [quality](../reference/quality.md) has, over cases of different "
        "causes.)"
    )


def trials_page(page: Path, folder: Path) -> str:
    """Return the page with its tables made anew from the outcomes in a folder; the words around them are by hand."""
    before, start, rest = page.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    assert start, f"{page} has no {START}"
    assert end, f"{page} has no {END}"
    cells = read_cells(folder)
    parts = [legend(), _agreement(cells), *(_section(trial, cells, folder) for trial in TRIALS)]
    untried = "\n".join(f"- `{name}`: {why}." for name, why in UNTRIED.items())
    parts.append(f"### Not tried\n\n{untried}")
    body = "\n\n".join(part.strip() for part in parts)
    return f"{before}{START}\n\n{body}\n\n{END}{after}"


def _section(trial: Trial, cells: Sequence[dict[str, Any]], folder: Path) -> str:
    heading = str(trial.failure).replace("_", " ").capitalize()
    rows = summarise(trial, cells)
    told = table(trial, rows, read_base(folder, trial))
    return f"### {heading}\n\n{told}\nAs entropydx measures it:\n\n{measured_table(trial, rows)}"
