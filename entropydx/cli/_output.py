"""Where a report goes: the document to stdout, copies to files, the verdict to the exit code."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import typer

from entropydx import document, plugins
from entropydx.errors import ConfigError
from entropydx.types import Report

ZEROED = (1, 3)
"""What `--exit-zero` turns into 0; 2 and 130 stay."""


def emit(report: Report, *, json: str | None, format: str, quiet: bool, exit_zero: bool, verbose: bool) -> int:
    """Print and write a report, and return the exit code, which is also what the report says.

    Parameters
    ----------
    json : str, optional
        A path for the JSON document, or `-` for stdout in place of `format`.
    """
    if exit_zero and report.exit_code in ZEROED:
        report = dataclasses.replace(report, exit_code=0)
    if json is not None and json != "-":
        _write(Path(json), document.to_json(report))
    if json == "-":
        typer.echo(document.to_json(report), nl=False)
    elif format == "terminal":
        if not quiet:
            _show(report, verbose)
    else:
        typer.echo(plugins.load("reporter", format).render(report), nl=False)
    return report.exit_code


def _show(report: Report, verbose: bool) -> None:
    from rich.console import Console

    from entropydx.reporters import terminal

    class Stdout(Console):
        def on_broken_pipe(self) -> None:
            # rich would exit 1, which here means that a failure was diagnosed.
            raise BrokenPipeError

    terminal.TerminalReporter(verbose=verbose).render_to(Stdout(file=sys.stdout), report)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", "the report is also in the run directory"
        ) from error


def check_writable(json: str | None) -> None:
    """Refuse a report path that cannot be written, before the hours of sampling and not after."""
    if json is None or json == "-":
        return
    parent = Path(json).resolve().parent
    if not parent.is_dir():
        raise ConfigError(f"cannot write {json}: {parent} is not a directory")
    if Path(json).is_dir():
        raise ConfigError(f"cannot write {json}: it is a directory")
