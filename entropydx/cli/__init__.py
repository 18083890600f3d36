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
from entropydx.cli._guard import Command, explained

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
app.command("diagnose", cls=Command)(diagnose.command)
app.command("trajectory", cls=Command)(trajectory.command)
app.command("sweep", cls=Command)(sweep.command)
app.command("compare", cls=Command)(compare.command)
app.command("watch", cls=Command)(watch.command)
app.command("gate", cls=Command)(gate.command)
app.command("import", cls=Command)(import_.command)
app.command("merge", cls=Command)(merge.command)
app.command("triage", cls=Command)(triage.command)
app.command("report", cls=Command)(report.command)
app.command("explain", cls=Command)(explain.command)
app.command("list", cls=Command)(listing.command)
app.command("schema", cls=Command)(schema.command)
app.command("doctor", cls=Command)(doctor.command)
app.command("selftest", cls=Command)(selftest.command)
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
    except Exception as error:  # noqa: BLE001 - the last line of defence: CPython's own exit code for a crash is 1
        if isinstance(error, OSError) and explained(error):  # of what no command prints, such as `--help`
            sys.exit(2)
        traceback.print_exc()
        typer.echo("entropydx: this is a bug; nothing that was drawn is lost. Please report the lines above.", err=True)
        sys.exit(2)
