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
    train_config: _options.TrainConfig = None,
    stage: _options.Stage = None,
    json: _options.Json = None,
    html: _options.Html = None,
    junit: _options.Junit = None,
    gitlab: _options.Gitlab = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Measure and judge a stored run again, in seconds and without torch: after an upgrade, or on another machine.

    With another training configuration, or another stage, it recommends for that.
    """
    arguments = locals()
    flags = _options.given(arguments)
    from entropydx import pipeline, plugins
    from entropydx.cli import _ci
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_file, check_writable, emit, write_html
    from entropydx.config import settings
    from entropydx.runs import Run, stored_samples

    check_apart(arguments)
    check_writable(json)
    check_file("--html", html)
    plugins.load("reporter", format)
    _ci.prepare(junit=junit, gitlab=gitlab)
    asked = settings(flags, "the command line")
    report = pipeline.retriage(run, asked.train_config, asked.stage)
    code = emit(report, json=json, format=format, quiet=quiet, exit_zero=exit_zero, verbose=verbose)
    if html is not None:
        write_html(Run(path=run, report=report, samples=stored_samples(run)), html, exit_code=code)
    _ci.publish_report(report, code, json=json, junit=junit, gitlab=gitlab)
    return code
