"""The command line: one file per command; parse, call, print, exit.

Importing this package imports neither torch nor any command's dependencies, so `entropydx --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from entropydx import __version__
from entropydx.cli import (
    compare,
    diagnose,
    doctor,
    explain,
    gate,
    import_,
    listing,
    merge,
    organisms,
    report,
    schema,
    selftest,
    sweep,
    trajectory,
    triage,
    trials,
    watch,
)
from entropydx.cli._ci import guard_streams

EXIT_CODES = (
    "Exit codes: 0 healthy, 1 a failure was diagnosed (or abnormal), 2 could not run, 3 inconclusive, "
    "130 interrupted (the same command resumes)."
)

app = typer.Typer(
    name="entropydx",
    help=f"Diagnose a language-model checkpoint: which failure it has, how sure that is, and what to change. "
    f"{EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("diagnose")(diagnose.command)
app.command("trajectory")(trajectory.command)
app.command("sweep")(sweep.command)
app.command("compare")(compare.command)
app.command("watch")(watch.command)
app.command("gate")(gate.command)
app.command("import")(import_.command)
app.command("merge")(merge.command)
app.command("triage")(triage.command)
app.command("report")(report.command)
app.command("explain")(explain.command)
app.command("list")(listing.command)
app.command("schema")(schema.command)
app.command("doctor")(doctor.command)
app.command("selftest")(selftest.command)
app.add_typer(organisms.app, name="organisms")
app.add_typer(trials.app, name="trials")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"entropydx {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


def main() -> None:
    """Run the command line; a bug prints its traceback and exits 2, so that 1 only ever means a diagnosed failure."""
    # OpenMP reads it when torch is imported: spinning threads cost a tiny model most of its time on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    guard_streams()
    try:
        app()
    except Exception:  # noqa: BLE001 - the last line of defence: CPython's own exit code for a crash is 1
        traceback.print_exc()
        typer.echo("entropydx: this is a bug; nothing that was drawn is lost. Please report the lines above.", err=True)
        sys.exit(2)
