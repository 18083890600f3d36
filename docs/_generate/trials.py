"""The tables of the page on the controlled trials."""

from __future__ import annotations

from pathlib import Path

from entropydx.trials import TRIALS, read_cells, summarise
from entropydx.trials.designs import UNTRIED
from entropydx.trials.table import legend, measured_table, table

START, END = "<!-- the trials -->", "<!-- the end of the trials -->"


def trials_page(page: Path, folder: Path) -> str:
    """Return the page with its tables made anew from the outcomes in a folder; the words around them are by hand."""
    before, start, rest = page.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    assert start, f"{page} has no {START}"
    assert end, f"{page} has no {END}"
    cells = read_cells(folder)
    parts = [legend()]
    for trial in TRIALS:
        heading = str(trial.failure).replace("_", " ").capitalize()
        rows = summarise(trial, cells)
        parts.append(
            f"### {heading}\n\n{table(trial, rows)}\nAs entropydx measures it:\n\n{measured_table(trial, rows)}"
        )
    untried = "\n".join(f"- `{name}`: {why}." for name, why in UNTRIED.items())
    parts.append(f"### Not tried\n\n{untried}")
    body = "\n\n".join(part.strip() for part in parts)
    return f"{before}{START}\n\n{body}\n\n{END}{after}"
