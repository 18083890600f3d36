"""`entropydx sweep`: many checkpoints, one table."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    checkpoints: Annotated[
        list[str],
        typer.Argument(metavar="CKPT... | DIR", help="Checkpoints in any order, or one directory that holds several."),
    ],
    baseline: Annotated[str | None, typer.Option(help="What every checkpoint is compared with; drawn once.")] = None,
    base_model: _options.BaseModel = None,
    suite: _options.Suite = None,
    map_: _options.Map = None,
    engine: _options.Engine = None,
    endpoint: _options.Endpoint = None,
    baseline_endpoint: _options.BaselineEndpoint = None,
    vocab_size: _options.VocabSize = None,
    budget: _options.Budget = None,
    no_adaptive: _options.NoAdaptive = False,
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
    run_dir: Annotated[
        str | None,
        typer.Option(
            help="Directory of the sweep, one run per checkpoint below it; the same command, and one with more "
            "checkpoints, draws only what is new. Default: entropydx-runs/sweep-..."
        ),
    ] = None,
    config: _options.Config = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    json: _options.Json = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="PATH", help="Write the table as CSV.")] = None,
    format: Annotated[Literal["terminal", "json"], typer.Option("--format", help="What stdout gets.")] = "terminal",
    quiet: _options.Quiet = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Diagnose many checkpoints, each on its own, and print one table, the worst first.

    Exit codes: 2 a checkpoint could not run, else 1 one has a failure or is abnormal, else 3 one is inconclusive,
    else 0.
    """
    arguments = locals()
    flags = _options.given(arguments)
    from entropydx import sweeps
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_file, check_writable, emit_record, write_csv
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, settings
    from entropydx.reporters._sweep import SweepReporter

    check_apart(arguments)
    check_writable(json)
    check_file("--csv", csv)
    with ConsoleProgress(quiet=quiet) as progress:
        found = sweeps.sweep(checkpoints, settings(flags, "the command line"), load_project(config), progress)
    for entry in found.entries if quiet else ():  # exit code 2 is never without its reason
        if entry.error is not None:
            typer.echo(f"entropydx: {entry.name} could not run: {entry.error}", err=True)
    write_csv(csv, found)
    return emit_record(found, SweepReporter().render_to, json=json, format=format, quiet=quiet, exit_zero=exit_zero)
