"""`entropydx diagnose`: the main job."""

from __future__ import annotations

from typing import Annotated

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded


@guarded
def command(
    checkpoint: Annotated[
        str, typer.Argument(help="A Hugging Face directory, a PEFT adapter, a .gguf file, or a hub id.")
    ],
    baseline: Annotated[
        str | None, typer.Option(help="The checkpoint before the suspected training; makes every verdict stronger.")
    ] = None,
    base_model: _options.BaseModel = None,
    suite: _options.Suite = None,
    map_: _options.Map = None,
    engine: _options.Engine = None,
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
    run_dir: _options.RunDir = None,
    config: _options.Config = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    json: _options.Json = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Sample a checkpoint, measure it, and name the failure that it has, or say healthy, abnormal or inconclusive."""
    flags = _options.given(locals())
    from entropydx import pipeline, plugins
    from entropydx.cli._output import check_writable, emit
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, resolve, settings

    check_writable(json)
    plugins.load("reporter", format)
    resolved = resolve(checkpoint, settings(flags, "the command line"), load_project(config))
    with ConsoleProgress(quiet=quiet) as progress:
        report = pipeline.diagnose(resolved, progress)
    return emit(report, json=json, format=format, quiet=quiet, exit_zero=exit_zero, verbose=verbose)
