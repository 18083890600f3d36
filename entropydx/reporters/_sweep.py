"""What a person reads of a sweep: one table, the worst first, and why what could not run could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from entropydx.reporters._layout import Parts, flow, hanging, page_text, print_page, section
from entropydx.reporters._verdict import colour
from entropydx.reporters._words import EXIT_CODES, decimals, estimate, visible, words
from entropydx.types import MeasurementRow, Sweep, SweepEntry

HEADS = (("checkpoint", 0), ("verdict", 16), ("sev.", 4), ("prob.", 5), ("pass@1", 14), ("entropy, nats", 16))
"""Column to its width in cells; the first one, 0, and the last one share what is left."""
RUNNER_UP = 14
TABLE_WIDTH = 96
"""Cells below which a table would fold its names; each checkpoint then has its numbers below its name."""
MEANING = {1: "a checkpoint has a failure, or is abnormal", 2: "a checkpoint could not run", 3: "one is inconclusive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReporter:
    """Renders a sweep for a terminal, or for a pipe; the fields are those of `TerminalReporter`."""

    width: int = 100
    color: bool = False
    ascii: bool = False

    def render(self, found: Sweep) -> str:
        """Return the page as text."""
        return page_text(self._page(found), self.width, color=self.color, ascii=self.ascii)

    def render_to(self, console: Console, found: Sweep) -> None:
        """Print the page, as wide as the terminal."""
        print_page(self._page(found), console, self.width, ascii=self.ascii)

    def _page(self, found: Sweep) -> Parts:
        shown: Sweep = visible(found)
        return lambda width: _parts(shown, width)


def _parts(found: Sweep, width: int) -> Iterator[RenderableType]:
    verdicts = Counter("could not run" if e.label is None else words(e.label) for e in found.entries)
    counted = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common())
    against = "no baseline" if found.baseline is None else f"baseline {found.baseline}"
    yield section(f"Sweep of {len(found.entries)}: {counted}", Text(f"  {against}, the worst first", style="dim"))
    yield from [_table(found, width)] if width >= TABLE_WIDTH else (_stacked(e, width) for e in found.entries)
    failed = [e for e in found.entries if e.error is not None]
    if failed:
        yield section("Could not run", *(hanging(f"  {e.name}  ", e.error or "", prefix_style="bold") for e in failed))
    more = [e.run_dir for e in found.entries if e.run_dir is not None][:1]
    where = [hanging("  ", f"the first one in full: entropydx triage {path}", style="dim") for path in more]
    meaning = MEANING.get(found.exit_code, EXIT_CODES[0])
    passed = " or passed" if not found.exit_code and any(e.exit_code for e in found.entries) else ""
    yield section("Exit", *where, Text(f"  exit code {found.exit_code}: {meaning}{passed}", style="bold"))


def _table(found: Sweep, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="bold", width=width)
    for head, cells in HEADS:
        table.add_column(head, width=cells or None, overflow="fold", ratio=None if cells else 1)
    table.add_column("runner-up", width=RUNNER_UP, overflow="fold")
    for entry in found.entries:
        table.add_row(*_cells(entry))
    return table


def _stacked(entry: SweepEntry, width: int) -> Group:
    values = [cell.plain.replace("\n", " ") for cell in _cells(entry)]
    heads = ["", *(head for head, _ in HEADS[2:]), "runner-up"]
    numbers = [f"{head} {value}".strip() for head, value in zip(heads, values[1:], strict=True) if value != "-"]
    return Group(Text(f"  {entry.name}", style="bold"), flow(numbers, width, indent=4, style=""))


def _cells(entry: SweepEntry) -> list[Text]:
    if entry.label is None:
        return [Text(entry.name), Text("could not run", style="bold magenta"), *[Text("-")] * 5]
    verdict = Text.assemble((words(entry.label), f"bold {colour(entry.label)}"), "\n", (f"{entry.confidence}", "dim"))
    runner_up = "-" if entry.runner_up is None else words(entry.runner_up)
    return [
        Text(entry.name),
        verdict,
        Text("-" if entry.severity is None else f"{entry.severity:.2f}"),
        Text("-" if entry.probability is None else f"{entry.probability:.2f}"),
        _estimated(entry.pass_at_1),
        _estimated(entry.entropy),
        Text(runner_up),
    ]


def _estimated(row: MeasurementRow | None) -> Text:
    """Return a value with its interval below, or why there is none."""
    if row is None or row.value is None:
        return Text("-" if row is None else row.missing_reason or "-", style="dim")
    value, _, interval = estimate(row.value, row.ci, decimals(row.value, row.ci)).partition(" ")
    return Text.assemble(value, "\n", (interval, "dim"))
