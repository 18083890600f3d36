"""Progress on stderr: bars with the time left on a terminal, a line per stage when it is a file."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from entropydx.reporters._words import visible_lines


class ConsoleProgress:
    """A `protocols.Progress` that draws on stderr; a context manager, so that the bars are taken down."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, stage: str, total: int | None) -> None:
        """Replace the current bar by one for a new stage."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(stage, total=total, note="")
        if not self._console.is_terminal:
            self._say(stage)

    def advance(self, n: int = 1, note: str = "") -> None:
        """Move the current bar."""
        if self._task is not None:
            self._bars.update(self._task, advance=n, note=note)

    def warn(self, message: str) -> None:
        """Print a remark above the bars."""
        self._say(f"note: {message}")

    def _say(self, message: str) -> None:
        # A file has no width: a log line is never wrapped.
        self._console.print(Text(visible_lines(message)), soft_wrap=True, highlight=False)
