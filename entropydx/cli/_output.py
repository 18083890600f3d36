"""Where a report goes: the document to stdout, copies to files, the verdict to the exit code."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from entropydx import document, plugins
from entropydx.errors import ConfigError
from entropydx.types import Compared, Gate, Quality, Report, Sweep, Trajectory

if TYPE_CHECKING:
    from rich.console import Console

    from entropydx.runs import Run

R = TypeVar("R", Report, Trajectory, Sweep, Gate, Compared)
ZEROED = (1, 3)
"""What `--exit-zero` turns into 0; 2 and 130 stay."""


def emit(report: Report, *, json: str | None, format: str, quiet: bool, exit_zero: bool, verbose: bool) -> int:
    """Print and write a report, and return the exit code, which is also what the report says.

    Parameters
    ----------
    json : str, optional
        A path for the JSON document, or `-` for stdout in place of `format`.
    """
    render = None if format == "terminal" else plugins.load("reporter", format).render
    return _deliver(report, lambda r: _show(r, verbose), render, json=json, quiet=quiet, exit_zero=exit_zero)


def emit_record(
    found: R, show: Callable[[Console, R], None], *, json: str | None, format: str, quiet: bool, exit_zero: bool
) -> int:
    """Print and write the document of a series, a sweep, a gate or a comparison, and return the exit code.

    Parameters
    ----------
    show : callable
        Prints its page for a person; `format` is terminal or json, and the other options are those of `emit`.
    """
    return _deliver(
        found,
        lambda record: show(_stdout(), record),
        document.to_json if format == "json" else None,
        json=json,
        quiet=quiet,
        exit_zero=exit_zero,
    )


def write_csv(path: str | None, found: Sweep | Compared) -> None:
    """Write the table of a document as CSV, where a path is given."""
    if path is not None:
        write(Path(path), found.to_frame().to_csv(index=False), "`--json` gives the same")


def print_quality(quality: Quality, verbose: bool) -> None:
    """Print the document of a selftest for a person."""
    from entropydx.reporters import _quality

    _quality.render_to(_stdout(), quality, verbose=verbose)


def _deliver(
    record: R,
    show: Callable[[R], None],
    render: Callable[[R], str] | None,
    *,
    json: str | None,
    quiet: bool,
    exit_zero: bool,
) -> int:
    """Write the JSON document, give stdout what was asked for, and return the exit code.

    Parameters
    ----------
    render : callable, optional
        Gives another document for stdout; None is the page for a person, which `quiet` leaves out.
    """
    if exit_zero and record.exit_code in ZEROED:
        record = dataclasses.replace(record, exit_code=0)
    if json is not None and json != "-":
        write(Path(json), document.to_json(record), "the report is also in the run directory")
    if json == "-":
        typer.echo(document.to_json(record), nl=False)
    elif render is not None:
        typer.echo(render(record), nl=False)
    elif not quiet:
        show(record)
    return record.exit_code


def _show(report: Report, verbose: bool) -> None:
    from entropydx.reporters import terminal

    terminal.TerminalReporter(verbose=verbose).render_to(_stdout(), report)


def _stdout() -> Console:
    """Return a console on stdout whose broken pipe is an error like any other."""
    from rich.console import Console

    class Stdout(Console):
        def on_broken_pipe(self) -> None:
            # rich would exit 1, which here means that a failure was diagnosed.
            raise BrokenPipeError

    return Stdout(file=sys.stdout)


def write_html(run: Run, path: str, *, exit_code: int | None = None, trajectory: Trajectory | None = None) -> None:
    """Write the HTML page of a run to a file, or to stdout with `-`.

    Parameters
    ----------
    exit_code : int, optional
        What the page says that the command returned; None: what the report says.
    """
    from entropydx.pages import html_page

    if exit_code is not None:
        run = dataclasses.replace(run, report=dataclasses.replace(run.report, exit_code=exit_code))
    page = html_page(run, trajectory)
    if path == "-":
        typer.echo(page, nl=False)
    else:
        write(Path(path), page, "`entropydx report RUN_DIR --html FILE` draws it again")


def write(path: Path, text: str, hint: str = "") -> None:
    """Write a document to a file; `hint` says where else it is.

    Raises
    ------
    ConfigError
        It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint) from error


def check_file(flag: str, path: str | None) -> None:
    """Refuse a path of a document that has to be a file, or that cannot be written."""
    if path == "-":
        raise ConfigError(f"{flag} needs a file", "stdout carries the report")
    check_writable(path)


def check_writable(json: str | None) -> None:
    """Refuse a report path that cannot be written, before the hours of sampling and not after."""
    if json is None or json == "-":
        return
    parent = Path(json).resolve().parent
    if not parent.is_dir():
        raise ConfigError(f"cannot write {json}: {parent} is not a directory")
    if Path(json).is_dir():
        raise ConfigError(f"cannot write {json}: it is a directory")
    place = Path(json) if Path(json).exists() else parent
    if not os.access(place, os.W_OK):
        raise ConfigError(f"cannot write {json}: {place} is not yours to write to", "name another place")
