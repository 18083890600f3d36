"""`entropydx gate`: hold a policy against a checkpoint or a stored report, for CI."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded

if TYPE_CHECKING:
    from entropydx.policy import Policy
    from entropydx.runs import Run
    from entropydx.types import Gate


@guarded
def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CKPT|RUN_DIR|REPORT",
            help="A checkpoint, which is diagnosed; or a stored run or report, which is judged as it is.",
        ),
    ],
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file with a table [gate], and settings beside it; default: ./entropydx.toml or "
            "pyproject.toml, and the policy of `diagnose` when they have none.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_DIR|REPORT", help="What [gate.regression] is measured against; a run directory is sharper."
        ),
    ] = None,
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
    run_dir: _options.RunDir = None,
    config: _options.Config = None,
    train_config: _options.TrainConfig = None,
    stage: _options.Stage = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    json: Annotated[
        str | None, typer.Option("--json", metavar="PATH|-", help="Write the gate's document, or print it with '-'.")
    ] = None,
    html: _options.Html = None,
    junit: _options.Junit = None,
    gitlab: _options.Gitlab = None,
    format: Annotated[Literal["terminal", "json"], typer.Option("--format", help="What stdout gets.")] = "terminal",
    quiet: _options.Quiet = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Hold a policy against a checkpoint, or against a stored run: passed, failed or inconclusive, and why.

    Exit codes: 0 passed, also with warnings, 1 failed, 2 could not run, 3 inconclusive, 130 interrupted.
    """
    arguments = locals()
    from entropydx import gating
    from entropydx.cli import _ci
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_file, check_writable, emit_record, write_html
    from entropydx.policy import load_policy
    from entropydx.reporters._gate import GateReporter
    from entropydx.runs import open_run

    check_apart(arguments)
    check_writable(json)
    check_file("--html", html)
    _ci.prepare(junit=junit, gitlab=gitlab)
    asked = gating.with_against(load_policy(policy), against)
    gate, run = _judged(target, asked, arguments)
    code = emit_record(gate, GateReporter().render_to, json=json, format=format, quiet=quiet, exit_zero=exit_zero)
    if html is not None:
        # A stored run is judged without its samples, and drawn with them.
        write_html(run if run.samples else open_run(run.path), html)
    _ci.publish(dataclasses.replace(gate, exit_code=code), run.report, junit=junit, gitlab=gitlab)
    return code


def _judged(target: str, asked: Policy, arguments: Mapping[str, Any]) -> tuple[Gate, Run]:
    """Judge a stored run, or draw one first."""
    from entropydx import gating
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, resolve, settings
    from entropydx.errors import ConfigError
    from entropydx.runs import is_run

    flags = _options.given(arguments)
    path = Path(target)
    if path.suffix == ".json" or is_run(path):
        given = [f"--{name.replace('_', '-')}" for name, value in flags.items() if value is not None]
        if given:
            raise ConfigError(f"{', '.join(given)} changes nothing: {target} is stored, and not drawn again")
        return gating.gate_stored(path, asked)
    project = load_project(arguments["config"] or arguments["policy"])
    with ConsoleProgress(quiet=arguments["quiet"]) as progress:
        return gating.gate_checkpoint(resolve(target, settings(flags, "the command line"), project), asked, progress)
