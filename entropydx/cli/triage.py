"""`entropydx triage`: judge again what was sampled, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    run: Annotated[Path, typer.Argument(help="A run directory (measured again) or a report.json (judged again).")],
    json: _options.Json = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Measure and judge a stored run again, in seconds and without torch: after an upgrade, or on another machine."""
    from entropydx import pipeline, plugins
    from entropydx.cli._output import check_writable, emit

    check_writable(json)
    plugins.load("reporter", format)
    report = pipeline.retriage(run)
    return emit(report, json=json, format=format, quiet=quiet, exit_zero=exit_zero, verbose=verbose)
