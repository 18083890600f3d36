"""`entropydx import`: a diagnosis from the files of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    path: Annotated[Path, typer.Argument(metavar="FILE | DIR", help="What the tool wrote.")],
    from_: Annotated[
        str, typer.Option("--from", metavar="TOOL|auto", help="The tool, see `entropydx list importer`.")
    ] = "auto",
    baseline: Annotated[
        Path | None, typer.Option(help="The same kind of file from before, about the same prompts.")
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="Training step, of files that hold several; default: the last.")
    ] = None,
    baseline_step: Annotated[
        int | None, typer.Option(help="Step of the baseline; without --baseline, of the same files.")
    ] = None,
    logged_temperature: Annotated[
        float | None, typer.Option(help="That the tool sampled at, where its files do not say it.")
    ] = None,
    logged_top_p: Annotated[float | None, typer.Option(help="Likewise.")] = None,
    verifier: Annotated[
        str | None,
        typer.Option(
            metavar="exact|numeric|math|choice|regex",
            help="Find the answers in the texts, and grade them where the gold answers are known.",
        ),
    ] = None,
    extract: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Its first group, at its last match, is the answer.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The column, metric or scorer whose value in [0, 1] is the grade."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Where gold, answer, domain, difficulty, family or reference is; repeatable.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE | DIR", help="The model's tokenizer.json, for tools that write tokens without texts."
        ),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where the samples are kept. Default: entropydx-runs/import-...")
    ] = None,
    json: _options.Json = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Diagnose from samples or a training log that another tool wrote: no GPU, no torch, nothing is drawn.

    What the tool did not write down is missing, and what needs it is neither found nor ruled out.
    """
    arguments = locals()
    from entropydx import importing, plugins
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_writable, emit
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.errors import ConfigError
    from entropydx.types import ImportOptions, VerifierSpec

    if extract is not None and verifier is None:
        raise ConfigError("--extract needs --verifier", "for example --verifier numeric")
    options = ImportOptions(
        temperature=logged_temperature,
        top_p=logged_top_p,
        step=step,
        verifier=None if verifier is None else VerifierSpec(type=verifier, extract=extract),
        score=score,
        tokenizer=None if tokenizer is None else str(tokenizer),
        map=_options.mapping(map_) or {},
    )
    job = importing.ImportJob(
        path=path, tool=from_, options=options, baseline=baseline, baseline_step=baseline_step, run_dir=run_dir
    )
    check_apart(arguments)
    check_writable(json)
    plugins.load("reporter", format)
    with ConsoleProgress(quiet=quiet) as progress:
        report = importing.run_import(job, progress)
    return emit(report, json=json, format=format, quiet=quiet, exit_zero=exit_zero, verbose=verbose)
