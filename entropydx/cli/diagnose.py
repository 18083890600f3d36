"""`entropydx diagnose`: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded

if TYPE_CHECKING:
    from entropydx.config import RunConfig

NO_REPORT = {
    **dict.fromkeys(("json", "html", "junit", "gitlab")),
    **{"format": "terminal", "verbose": False, "exit_zero": False},
}
"""What the flags of a report are when none was given: a shard has no report."""


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
    shard: _options.Shard = None,
    run_dir: _options.RunDir = None,
    config: _options.Config = None,
    train_config: _options.TrainConfig = None,
    stage: _options.Stage = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    json: _options.Json = None,
    html: _options.Html = None,
    junit: _options.Junit = None,
    gitlab: _options.Gitlab = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Sample a checkpoint, measure it, and name the failure that it has, or say healthy, abnormal or inconclusive."""
    arguments = locals()
    flags = _options.given(arguments)
    from entropydx import pipeline, plugins
    from entropydx.cli import _ci
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_file, check_writable, emit, write_html
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, resolve, settings

    check_apart(arguments)
    check_writable(json)
    check_file("--html", html)
    plugins.load("reporter", format)
    _ci.prepare(junit=junit, gitlab=gitlab)
    resolved = resolve(checkpoint, settings(flags, "the command line"), load_project(config))
    if resolved.shard is not None:
        return _draw_shard(resolved, arguments)
    with ConsoleProgress(quiet=quiet) as progress:
        run = pipeline.run(resolved, progress)
    report = run.report
    code = emit(report, json=json, format=format, quiet=quiet, exit_zero=exit_zero, verbose=verbose)
    if html is not None:
        write_html(run, html, exit_code=code)
    _ci.publish_report(report, code, json=json, junit=junit, gitlab=gitlab)
    return code


def _draw_shard(config: RunConfig, arguments: Mapping[str, Any]) -> int:
    """Draw a part of a run, say what was drawn and what comes next, and return 0 when it is complete."""
    from entropydx import shards
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.errors import ConfigError

    given = [f"--{name.replace('_', '-')}" for name, unset in NO_REPORT.items() if arguments[name] != unset]
    if given:
        raise ConfigError(f"a shard has no report for {', '.join(given)}", "give it to `entropydx merge`")
    with ConsoleProgress(quiet=arguments["quiet"]) as progress:
        drawn = shards.draw(config, progress)
    others = f", where {shards.OTHERS} is the directory of every other shard"
    typer.echo(
        f"entropydx: shard {drawn.index}/{drawn.count} is complete, {drawn.n_prompts} of {drawn.n_whole} prompts in "
        f"{drawn.path}; no verdict yet: when all shards are complete, run `{drawn.merge}`"
        f"{others if drawn.merge.endswith(shards.OTHERS) else ''}",
        err=True,
    )
    return 0
