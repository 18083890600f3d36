"""`entropydx trajectory`: a series of checkpoints of one run."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CKPT... | RUN_DIR",
            help="Checkpoints in the order of training, or one directory that holds checkpoint-N or global_step_N.",
        ),
    ],
    baseline: Annotated[
        str | None, typer.Option(help="What every checkpoint is compared with. Default: the first one.")
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
    run_dir: Annotated[
        str | None,
        typer.Option(
            help="Directory of the series, one run per checkpoint below it; the same command, and one with more "
            "checkpoints, draws only what is new. Default: entropydx-runs/series-..."
        ),
    ] = None,
    config: _options.Config = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    json: _options.Json = None,
    format: Annotated[Literal["terminal", "json"], typer.Option("--format", help="What stdout gets.")] = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Diagnose a series of checkpoints: when a failure began, what moved first, the entropy law, where to go back to.

    The exit code is that of the last checkpoint's diagnosis; 2 when a newer one in RUN_DIR could not be diagnosed.
    """
    arguments = locals()
    flags = _options.given(arguments)
    from entropydx import trajectories
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_writable, emit_record
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, settings
    from entropydx.reporters._trajectory import TrajectoryReporter

    check_apart(arguments)
    check_writable(json)
    with ConsoleProgress(quiet=quiet) as progress:
        found = trajectories.trace(checkpoints, settings(flags, "the command line"), load_project(config), progress)
    if quiet and found.undiagnosed is not None:  # exit code 2 is never without its reason
        newest = found.undiagnosed
        typer.echo(f"entropydx: {newest.name}, the newest, could not be diagnosed: {newest.reason}", err=True)
    show = TrajectoryReporter(verbose=verbose).render_to
    return emit_record(found, show, json=json, format=format, quiet=quiet, exit_zero=exit_zero)
