"""The tables of the page on the controlled trials."""

from __future__ import annotations

from pathlib import Path

from entropydx.trials import TRIALS, read_cells, summarise
from entropydx.trials.table import legend, table

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
        parts.append(f"### {heading}\n\n{table(trial, summarise(trial, cells))}")
    body = "\n\n".join(part.strip() for part in parts)
    return f"{before}{START}\n\n{body}\n\n{END}{after}"
