"""`entropydx compare`: what changed between runs, and whether the fix worked."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="BEFORE AFTER...",
            help="Run directories, reports, or checkpoints, which are diagnosed first. Each is held against the first.",
        ),
    ],
    baseline: Annotated[
        str | None, typer.Option(help="What checkpoints are diagnosed against, before and after alike; drawn once.")
    ] = None,
    base_model: _options.BaseModel = None,
    suite: _options.Suite = None,
    map_: _options.Map = None,
    engine: _options.Engine = None,
    endpoint: _options.Endpoint = None,
    baseline_endpoint: _options.BaselineEndpoint = None,
    vocab_size: _options.VocabSize = None,
    budget: _options.Budget = None,
    prompts: _options.Prompts = None,
    samples: _options.Samples = None,
    max_new_tokens: _options.MaxNewTokens = None,
    temperature: _options.Temperature = None,
    top_p: _options.TopP = None,
    seed: _options.Seed = None,
    thinking: _options.Thinking = None,
    deploy_temperature: _options.DeployTemperature = None,
    deploy_top_p: _options.DeployTopP = None,
    lexicon: _options.Lexicon = None,
    probes: _options.Probes = None,
    device: _options.Device = None,
    dtype: _options.Dtype = None,
    batch_rows: _options.BatchRows = None,
    cuda_graphs: _options.CudaGraphs = False,
    workers: _options.Workers = None,
    ray: _options.Ray = None,
    remedy: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The remedy that was tried in between, by its id in a report or docs/reference/remedies.md: says "
            "whether it did what it promised.",
        ),
    ] = None,
    run_dir: Annotated[
        str | None,
        typer.Option(
            help="Directory of the comparison, one run per checkpoint below it; the same command draws only what is "
            "new. Default: entropydx-runs/comparison-..."
        ),
    ] = None,
    config: _options.Config = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    json: _options.Json = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="PATH", help="Write the changes as CSV.")] = None,
    format: Annotated[Literal["terminal", "json"], typer.Option("--format", help="What stdout gets.")] = "terminal",
    quiet: _options.Quiet = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Say what changed between a run and later ones: each failure, the numbers behind it, and whether a fix worked.

    Exit codes: 1 something got worse or a failure appeared, 3 that cannot be told, or not whether the fix worked,
    2 it could not run (such as two runs that do not compare), else 0.
    """
    arguments = locals()
    flags = _options.given(arguments)
    from entropydx import comparisons
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_file, check_writable, emit_record, write_csv
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, settings
    from entropydx.reporters._comparison import ComparisonReporter

    check_apart(arguments)
    check_writable(json)
    check_file("--csv", csv)
    with ConsoleProgress(quiet=quiet) as progress:
        found = comparisons.compare(runs, settings(flags, "the command line"), load_project(config), progress, remedy)
    write_csv(csv, found)
    return emit_record(
        found, ComparisonReporter().render_to, json=json, format=format, quiet=quiet, exit_zero=exit_zero
    )
