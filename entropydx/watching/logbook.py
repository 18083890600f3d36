"""The log of a watch: one JSON line an event, on the disk before anything follows from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from entropydx import document, store
from entropydx.errors import ReportError, RunStoreError
from entropydx.protocols import Progress
from entropydx.types import WATCH_VERSION, WatchLine


class Logbook:
    """A log that one process appends to; a context manager, which holds its lock.

    Parameters
    ----------
    path : Path
        Made if it is not there, with the directories above it.
    wait : bool
        Wait for another process that is writing to it; otherwise that is an error.

    Raises
    ------
    RunStoreError
        It cannot be written, another process is writing to it, or a line is damaged.
    """

    def __init__(self, path: Path, progress: Progress, *, wait: bool) -> None:
        self.path = path
        self.lines: list[WatchLine] = []
        self._progress, self._wait = progress, wait
        if path.is_dir():
            raise RunStoreError(f"{path} is a directory", "give the log a file's name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunStoreError(f"cannot make {path.parent}: {error.strerror}") from error
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    def __enter__(self) -> Self:
        try:
            self._acquire()
        except OSError as error:
            raise RunStoreError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            store.cut_torn_tail(self.path)
            self.lines = read_log(self.path)
        except BaseException:
            self._lock.release()
            raise
        return self

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            if not self._wait:
                raise RunStoreError(
                    f"another watch is writing to {self.path}", "end it, or give this one another --run-dir"
                ) from None
            self._progress.warn(f"waiting for another watch that is writing to {self.path}")
            self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def append(self, line: WatchLine) -> str:
        """Write a line, and return its text when it is on the disk."""
        text = document.to_line(line)
        try:
            with self.path.open("ab") as file:
                file.write(text.encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunStoreError(f"cannot write {self.path}: {error.strerror}", "make room, and run it again") from error
        self.lines.append(line)
        return text


def read_log(path: Path) -> list[WatchLine]:
    """Return the whole lines of a log; none when there is no such file.

    Raises
    ------
    RunStoreError
        A line is not one of a watch, or of another version.
    """
    if not path.is_file():
        return []
    found = []
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        where = f"{path} line {number}"
        try:
            line = document.from_line(WatchLine, text.decode("utf-8"), where)
        except (ReportError, UnicodeDecodeError) as error:
            raise RunStoreError(f"{where} is no line of a watch: {error}", "give another --log") from error
        if line.schema_version != WATCH_VERSION:
            raise RunStoreError(f"{where} has schema_version {line.schema_version}", f"this one reads {WATCH_VERSION}")
        found.append(line)
    return found
