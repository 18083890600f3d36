"""`entropydx diagnose`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded
from entropydx.config import BUDGETS

SIZES = "; ".join(
    f"{name} {b.prompts} prompts x {b.samples} samples x {b.max_new_tokens} tokens" for name, b in BUDGETS.items()
)


@guarded
def command(
    checkpoint: Annotated[
        str, typer.Argument(help="A Hugging Face directory, a PEFT adapter, a .gguf file, or a hub id.")
    ],
    baseline: Annotated[
        str | None, typer.Option(help="The checkpoint before the suspected training; makes every verdict stronger.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="The model under a PEFT adapter.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Families or collections joined by commas (`entropydx list suite`), or a file or data set."),
    ] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Where a suite's field is; repeatable.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="See `entropydx list engine`.")] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="|".join(BUDGETS), help=f"{SIZES}. The next three flags override it.")
    ] = None,
    prompts: Annotated[int | None, typer.Option(help="Number of prompts.")] = None,
    samples: Annotated[int | None, typer.Option(help="K, completions of each prompt.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Token limit of one completion.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature; the policy is measured at 1. 0 is greedy.")
    ] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling; 1 is off.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the suite's items and of the sampling noise.")] = None,
    thinking: Annotated[
        str | None, typer.Option(metavar="auto|on|off", help="The chat template's thinking switch.")
    ] = None,
    deploy_temperature: Annotated[
        float | None, typer.Option(help="Temperature of deployment, where it is not in generation_config.json.")
    ] = None,
    deploy_top_p: Annotated[float | None, typer.Option(help="top_p of deployment, likewise.")] = None,
    lexicon: Annotated[
        str | None, typer.Option(metavar="FILE", help="Epistemic markers, one a line, in place of the ten English ones.")
    ] = None,
    probes: Annotated[
        str | None, typer.Option(help="Names joined by commas (`entropydx list probe`); default: all of them.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(metavar="auto|float32|bfloat16|float16", help="Of the weights.")] = None,
    batch_rows: Annotated[int | None, typer.Option(help="Most completions decoded together; 0 chooses.")] = None,
    run_dir: Annotated[
        str | None, typer.Option(help="Where samples are kept; the same command resumes. Default: entropydx-runs/...")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with the same keys; default: ./entropydx.toml or pyproject.toml.")
    ] = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Load .bin weights (tensors only).")] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the Python code that a checkpoint brings.")
    ] = False,
    json: _options.Json = None,
    format: _options.Format = "terminal",
    quiet: _options.Quiet = False,
    verbose: _options.Verbose = False,
    exit_zero: _options.ExitZero = False,
) -> int:
    """Sample a checkpoint, measure it, and name the failure that it has, or say healthy, abnormal or inconclusive."""
    flags: dict[str, Any] = {
        "baseline": baseline,
        "base_model": base_model,
        "suite": suite,
        "map": _mapping(map_),
        "engine": engine,
        "budget": budget,
        "prompts": prompts,
        "samples": samples,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "thinking": thinking,
        "deploy_temperature": deploy_temperature,
        "deploy_top_p": deploy_top_p,
        "lexicon": lexicon,
        "probes": probes,
        "device": device,
        "dtype": dtype,
        "batch_rows": batch_rows,
        "run_dir": run_dir,
        "allow_pickle": allow_pickle or None,
        "trust_remote_code": trust_remote_code or None,
    }
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


def _mapping(pairs: list[str] | None) -> dict[str, str] | None:
    from entropydx.errors import ConfigError

    if not pairs:
        return None
    for pair in pairs:
        if not all(pair.partition("=")):
            raise ConfigError(f"--map {pair} is not FIELD=COLUMN", "for example --map answer=solution")
    return dict(pair.split("=", 1) for pair in pairs)
