"""`entropydx watch`: a run that is being trained, and an alarm when it goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded

RULES = ("poll", "every", "all", "confirm", "cooldown", "command", "webhook", "action_timeout")


@guarded
def command(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="Where a trainer saves checkpoint-N, global_step_N or global_stepN_hf."),
    ],
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML with [gate], what fails, and [watch], these flags; and settings."),
    ] = None,
    poll: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Between two looks at RUN_DIR. Default: 10.")
    ] = None,
    every: Annotated[
        int | None, typer.Option(metavar="N", help="Diagnose one checkpoint every N training steps. Default: any.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Diagnose every checkpoint in order, and not the newest when behind.")
    ] = False,
    confirm: Annotated[
        int | None, typer.Option(metavar="N", help="Failed verdicts in a row before the alarm. Default: 1.")
    ] = None,
    cooldown: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Least time between two alarms. Default: 300.")
    ] = None,
    command_: Annotated[
        str | None,
        typer.Option(
            "--command",
            metavar="CMD",
            help="Run on an alarm, without a shell: the JSON line on its stdin, ENTROPYDX_* in its environment.",
        ),
    ] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Post the JSON line there on an alarm.")] = None,
    action_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Of the command and the webhook. Default: 60.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append the JSON lines there and not to stdout; a watch that is started again goes on from it. "
            "Default: stdout, and watch.jsonl in the directory of the watch.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Diagnose what is there now, and end.")] = False,
    until_step: Annotated[
        int | None, typer.Option(metavar="N", help="End when a checkpoint of step N or later is done with.")
    ] = None,
    idle_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End when RUN_DIR has not changed for so long.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="What every checkpoint is compared with. Default: the run's first complete checkpoint."),
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
    train_config: _options.TrainConfig = None,
    stage: _options.Stage = None,
    run_dir: Annotated[
        str | None,
        typer.Option(
            help="Directory of the watch: a run per checkpoint, baseline and log. Default: entropydx-runs/watch-..."
        ),
    ] = None,
    config: _options.Config = None,
    allow_pickle: _options.AllowPickle = False,
    trust_remote_code: _options.TrustRemoteCode = False,
    quiet: _options.Quiet = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Watch a training run: diagnose its checkpoints as they appear, and raise the alarm when one fails the policy.

    Exit codes: 1 an alarm went off, 0 none did, 3 nothing could be decided, 2 could not run or the newest checkpoint
    could not be diagnosed, 130 interrupted (the same command goes on). They are about the whole log, also what is in
    it from before.
    """
    arguments = {**locals(), "command": command_, "all": all_ or None}
    flags = _options.given(arguments)
    from entropydx import watching
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import ZEROED
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.config import load_project, project_table, settings
    from entropydx.policy import load_policy

    check_apart(arguments)
    table, where = project_table(policy)
    job = watching.Job(
        run=run,
        flags=settings(flags, "the command line"),
        project=load_project(config or policy),
        policy=load_policy(policy),
        rules=watching.watch_rules(table.get("watch", {}), {name: arguments[name] for name in RULES}, where),
        until=watching.Until(once=once, step=until_step, idle=idle_timeout),
        log=log,
    )
    stdout = sys.stdout  # while its bars are up, rich has a stdout of its own, which ends on a terminal's stderr

    def print_line(text: str) -> None:
        stdout.write(text)
        stdout.flush()  # a pipe would hold it back for hours

    with ConsoleProgress(quiet=quiet) as progress:
        code = watching.watch(job, progress, None if log is not None else print_line)
    return 0 if exit_zero and code in ZEROED else code
