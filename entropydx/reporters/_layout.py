"""The page: a fixed width, no trailing blanks, plain ASCII where the terminal has nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

ASCII = str.maketrans("░─━●│◇■□·×…Δ→–—‘’“”↵╭╮╰╯²▁▂▃▄▅▆▇█", ":-=o|^#.-x~d>--''\"\"/++++2_.:-=+*#")
"""One cell to one cell, so that the layout stays; whatever else is not ASCII becomes `?`."""

MAX_WIDTH = 140
"""Cells; a wider terminal is not filled."""
MIN_WIDTH = 60
"""Cells that a page needs; on a narrower terminal it says so first, and overflows."""
NARROW = "This terminal has {0} columns, and the page needs {1}: widen it, or read the report as --html or --json."
Parts = Callable[[int], Iterable[RenderableType]]
"""Gives a page of some width, from top to bottom."""


@dataclass(frozen=True, slots=True)
class Page:
    """A renderable of a fixed width."""

    body: Group
    width: int
    ascii: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in Segment.split_lines(console.render(self.body, options.update(width=self.width))):
            yield from _stripped(self._encoded(segment) for segment in line)
            yield Segment.line()

    def _encoded(self, segment: Segment) -> Segment:
        if not self.ascii or segment.text.isascii():
            return segment
        plain = (c if c.isascii() else "?" * cell_len(c) for c in segment.text.translate(ASCII))
        return Segment("".join(plain), segment.style)


def page_text(parts: Parts, width: int, *, color: bool, ascii: bool) -> str:
    """Return a page as text; the environment (NO_COLOR, COLUMNS, the locale) does not change it."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=color,
        force_jupyter=False,
        color_system="256" if color else None,
        no_color=not color,
        legacy_windows=False,
    )
    _print(console, parts, width, ascii)
    return file.getvalue()


def print_page(parts: Parts, console: Console, width: int, *, ascii: bool) -> None:
    """Print a page: in colour on a terminal unless NO_COLOR is set, in ASCII where the encoding is not UTF-8.

    A pipe gets `width` cells, whatever the terminal that the command was typed in.
    """
    chosen = console.width if console.is_terminal else width
    ascii_only = ascii or not console.encoding.lower().replace("-", "").startswith("utf")
    if chosen < MIN_WIDTH and console.is_terminal:
        console.print(NARROW.format(chosen, MIN_WIDTH), style="yellow")
    _print(console, parts, max(MIN_WIDTH, min(chosen, MAX_WIDTH)), ascii_only)


def _print(console: Console, parts: Parts, width: int, ascii: bool) -> None:
    console.print(Page(Group(*parts(width)), width, ascii), end="", width=width, crop=False)


def _stripped(line: Iterable[Segment]) -> list[Segment]:
    kept = list(line)
    while kept and not kept[-1].text.strip() and not _is_filled(kept[-1].style):
        kept.pop()
    if kept and not _is_filled(kept[-1].style):
        kept[-1] = Segment(kept[-1].text.rstrip(), kept[-1].style)
    return kept


def _is_filled(style: Style | None) -> bool:
    return bool(style and (style.bgcolor or style.reverse))


def section(title: str, *body: RenderableType) -> Group:
    """Return a titled part of the page."""
    return Group(Text(), Rule(Text(title, style="bold"), align="left", style="dim"), *body)


def hanging(prefix: str, body: Text | str, style: str = "", prefix_style: str = "") -> Table:
    """Return a paragraph whose first line starts with `prefix` and whose other lines are indented as deep."""
    return grid([cell_len(prefix), None], [[Text(prefix, style=prefix_style), Text.assemble(body, style=style)]], gap=0)


def grid(
    widths: Sequence[int | None], rows: Iterable[Sequence[RenderableType]], gap: int = 2, indent: int = 0
) -> Table:
    """Return rows in columns of fixed widths; None takes what is left, and wraps inside its column."""
    table = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    for i, width in enumerate(widths):
        table.add_column(width=width + indent * (i == 0) if width is not None else None, overflow="fold")
    for first, *rest in rows:
        table.add_row(Padding(first, (0, 0, 0, indent)), *rest)
    return table


def flow(pieces: Iterable[str], width: int, indent: int = 2, style: str = "dim") -> Text:
    """Return pieces joined by a middle dot, broken only between pieces."""
    lines: list[str] = []
    for piece in pieces:
        joined = f"{lines[-1]} · {piece}" if lines else piece
        if lines and cell_len(joined) <= width - indent:
            lines[-1] = joined
        else:
            lines.append(piece)
    return Text("\n".join(" " * indent + line for line in lines), style=style)


def clipped(text: str, width: int) -> str:
    """Return text cut to `width` cells, with an ellipsis for what was cut."""
    line = Text(text[: 4 * width])
    line.truncate(width, overflow="ellipsis")
    return line.plain


def shortened(text: str, width: int) -> str:
    """Return a path or a name cut in the middle to `width` cells: its last parts tell one checkpoint from another.

    Whole parts are kept at the end where they fit; the beginning gets at least a quarter.
    """
    if cell_len(text) <= width:
        return text
    room = width - 1
    tail = _last_cells(text, room - room // 4)
    _, slash, parts = tail.partition("/")
    tail = slash + parts if parts else tail
    return f"{set_cell_size(text[:width], room - cell_len(tail)).rstrip()}…{tail}"


def _last_cells(text: str, width: int) -> str:
    """Return the longest end of a text that fits."""
    start = len(text)
    while start and cell_len(text[start - 1 :]) <= width:
        start -= 1
    return text[start:]
