"""`entropydx merge`: the shards of a run, put together and judged, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    runs: Annotated[list[Path], typer.Argument(help="The directories of all shards of one run, in any order.")],
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Where the whole run is put. Default: where the same `diagnose` without --shard puts it."),
    ] = None,
    json: _options.Json = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Put the shards of a run together, and measure and judge it as `diagnose` does, without torch or weights."""
    arguments = locals()
    from entropydx import merging, plugins
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_writable, emit
    from entropydx.cli._progress import ConsoleProgress

    check_apart(arguments)
    check_writable(json)
    plugins.load("reporter", format)
    with ConsoleProgress(quiet=quiet) as progress:
        report = merging.merge(runs, run_dir, progress)
    return emit(report, json=json, format=format, quiet=quiet, exit_zero=exit_zero, verbose=verbose)
