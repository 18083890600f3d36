"""What a person reads at the end of a diagnosis: the verdict first, then everything that it rests on.

No meaning is carried by colour alone: a comparison is written out, a status is a word, and the page reads the same
through a pipe. Every number has its interval or says why not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, RenderableType

from entropydx.protocols import Reporter
from entropydx.reporters._evidence import evidence_sections
from entropydx.reporters._layout import Parts, page_text, print_page
from entropydx.reporters._measurements import measurement_sections
from entropydx.reporters._remedies import remedy_sections
from entropydx.reporters._verdict import closing, failures, headline, samples, settling, subject
from entropydx.reporters._words import visible
from entropydx.types import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalReporter:
    """Renders a report for a terminal, or for a pipe.

    `width`, `color` and `ascii` are for `render`; `render_to` asks the console.
    """

    width: int = 100
    """Cells of a line."""
    color: bool = False
    """Whether to write ANSI codes."""
    ascii: bool = False
    """Whether to keep to ASCII; the layout stays the same."""
    verbose: bool = False
    """Whether to show every finding and measurement, and the source of every threshold."""

    def render(self, report: Report) -> str:
        """Return the page as text; the environment (NO_COLOR, COLUMNS, the locale) does not change it."""
        return page_text(self._page(report), self.width, color=self.color, ascii=self.ascii)

    def render_to(self, console: Console, report: Report) -> None:
        """Print the page: in colour on a terminal unless NO_COLOR is set, in ASCII where the encoding is not UTF-8.

        A pipe gets `self.width` cells, whatever the terminal that the command was typed in.
        """
        print_page(self._page(report), console, self.width, ascii=self.ascii)

    def _page(self, report: Report) -> Parts:
        shown = visible(report)
        return lambda width: self._parts(shown, width)

    def _parts(self, report: Report, width: int) -> Iterator[RenderableType]:
        """Yield the page from top to bottom."""
        yield headline(report, width)
        yield subject(report, width)
        yield failures(report, width)
        yield from evidence_sections(report, width, self.verbose)
        yield from remedy_sections(report, width, self.verbose)
        yield from settling(report, self.verbose)
        yield from measurement_sections(report, width, self.verbose)
        yield from samples(report, width, self.verbose)
        yield closing(report, width)


reporter: Reporter = TerminalReporter()
