"""The document of a selftest for a person: the bars first, everything behind them below."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from entropydx.reporters._layout import Parts, page_text, print_page, section
from entropydx.reporters._quality_tables import Section, sections
from entropydx.types import Quality

WIDTH = 120
"""Cells of a line that goes into a pipe: a matrix has eight columns."""
BRIEF = 6
"""Sections that are shown unless everything is asked for."""
ALWAYS = ("Sampled again", "Known mistakes")
"""Beginnings of the titles of sections that are always shown."""


def render(quality: Quality, *, verbose: bool, width: int = WIDTH) -> str:
    """Return the page as plain text, whatever the environment says of colours and width."""
    return page_text(_page(quality, verbose), width, color=False, ascii=False)


def render_to(console: Console, quality: Quality, *, verbose: bool) -> None:
    """Print the page; `verbose` also shows rules, classifier, probabilities and doses."""
    print_page(_page(quality, verbose), console, WIDTH, ascii=False)


def _page(quality: Quality, verbose: bool) -> Parts:
    return lambda width: _parts(quality, verbose)


def _parts(quality: Quality, verbose: bool) -> Iterator[RenderableType]:
    n_cases = sum(quality.tiers.values())
    yield Text(
        f"{n_cases} labelled cases, {quality.n_draws} draws, {len(quality.bases)} bases, {len(quality.recipes)} "
        f"recipes. Intervals at 95 %, over {quality.n_groups} groups (one recipe on one base each)."
    )
    for number, part in enumerate(sections(quality)):
        if verbose or number < BRIEF or part.title.startswith(ALWAYS):
            yield _drawn(part)
    missed = sum(bar.met is False for bar in quality.bars)
    unmeasured = sum(bar.met is None for bar in quality.bars)
    beside = f", {unmeasured} not measured" if unmeasured else ""
    yield Text()
    yield Text(f"{sum(bar.met is True for bar in quality.bars)} bars met, {missed} missed{beside}.", style="bold")


def _drawn(part: Section) -> RenderableType:
    if not part.rows:
        return section(part.title, Text("none", style="dim"))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    for i, name in enumerate(part.header):
        numeric = all(row[i].isdigit() for row in part.rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in part.rows:
        table.add_row(*(Text(cell, style="bold red" if cell.startswith("MISSED") else "") for cell in row))
    return section(part.title, Text(part.remark, style="dim"), table)
