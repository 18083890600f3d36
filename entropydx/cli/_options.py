"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from entropydx.config import BUDGETS, Settings

SIZES = "; ".join(
    f"{name} {b.prompts} prompts x {b.samples} samples x {b.max_new_tokens} tokens" for name, b in BUDGETS.items()
)

# ── how a checkpoint is opened and sampled ────────────────────────────────────────────────────────

BaseModel = Annotated[str | None, typer.Option(help="The model under a PEFT adapter.")]
Suite = Annotated[
    str | None,
    typer.Option(help="Families or collections joined by commas (`entropydx list suite`), or a file or data set."),
]
Map = Annotated[
    list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Where a suite's field is; repeatable.")
]
Engine = Annotated[str | None, typer.Option(help="See `entropydx list engine`.")]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="An OpenAI-compatible server, such as http://localhost:8000/v1, for --engine openai. Its key comes from "
        "the environment variable OPENAI_API_KEY.",
    ),
]
BaselineEndpoint = Annotated[
    str | None, typer.Option(metavar="URL", help="The baseline's server; default: the same, under the baseline's name.")
]
VocabSize = Annotated[
    int | None,
    typer.Option(metavar="V", help="Size of the vocabulary of a model that only a server has; bounds its entropy."),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar=f"{'|'.join(BUDGETS)}|TOKENS",
        help=f"The most that is drawn: {SIZES}; or about so many tokens, such as 200k. The next flags override it.",
    ),
]
NoAdaptive = Annotated[
    bool, typer.Option("--no-adaptive", help="Draw the whole budget, and do not stop when every failure is decided.")
]
Prompts = Annotated[int | None, typer.Option(help="Number of prompts.")]
Samples = Annotated[int | None, typer.Option(help="K, completions of each prompt.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="Token limit of one completion.")]
Temperature = Annotated[
    float | None, typer.Option(help="Sampling temperature; the policy is measured at 1. 0 is greedy.")
]
TopP = Annotated[float | None, typer.Option(help="Nucleus sampling; 1 is off.")]
Seed = Annotated[int | None, typer.Option(help="Of the suite's items and of the sampling noise.")]
Thinking = Annotated[str | None, typer.Option(metavar="auto|on|off", help="The chat template's thinking switch.")]
DeployTemperature = Annotated[
    float | None, typer.Option(help="Temperature of deployment, where it is not in generation_config.json.")
]
DeployTopP = Annotated[float | None, typer.Option(help="top_p of deployment, likewise.")]
Lexicon = Annotated[
    str | None, typer.Option(metavar="FILE", help="Epistemic markers, one a line, in place of the ten English ones.")
]
Probes = Annotated[
    str | None, typer.Option(help="Names joined by commas (`entropydx list probe`); default: all of them.")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[str | None, typer.Option(metavar="auto|float32|bfloat16|float16", help="Of the weights.")]
BatchRows = Annotated[int | None, typer.Option(help="Most completions decoded together; 0 chooses.")]
CudaGraphs = Annotated[
    bool, typer.Option("--cuda-graphs", help="On a GPU, record decode steps and replay them (engine hf).")
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes to share the work out to, each with a GPU of its own, or with its part of the cores."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|auto|local",
        help="Share the work out to a Ray cluster, to an actor for each of its GPUs; --workers says how many actors.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(metavar="i/N", help="Draw only this part of the run, with no verdict; `entropydx merge` gives it."),
]
RunDir = Annotated[
    str | None, typer.Option(help="Where samples are kept; the same command resumes. Default: entropydx-runs/...")
]
Config = Annotated[
    Path | None, typer.Option(help="A TOML file with the same keys; default: ./entropydx.toml or pyproject.toml.")
]
TrainConfig = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The training configuration (a file or script of TRL, verl or OpenRLHF): the report then says which "
        "recommended setting is there already, inert or conflicting.",
    ),
]
Stage = Annotated[
    str | None, typer.Option(metavar="sft|rl|distillation", help="Of the training, where no configuration tells it.")
]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Load .bin weights (tensors only).")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that a checkpoint brings.")
]

# ── what comes out ────────────────────────────────────────────────────────────────────────────────

Json = Annotated[
    str | None, typer.Option("--json", metavar="PATH|-", help="Write the JSON report to a file, or to stdout with '-'.")
]
Html = Annotated[
    str | None,
    typer.Option(
        "--html", metavar="PATH", help="Write the page to look at: one file, with the samples token by token."
    ),
]
Junit = Annotated[
    str | None,
    typer.Option("--junit", metavar="PATH", help="Write JUnit XML: a test case for each check of the gate's policy."),
]
Gitlab = Annotated[
    str | None,
    typer.Option("--gitlab", metavar="PATH", help="Write GitLab's code quality report: an entry for each open check."),
]
Format = Annotated[
    str, typer.Option("--format", help="What stdout gets: a reporter's name, see `entropydx list reporter`.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no terminal report.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every measurement.")]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit 0 whatever the verdict; 2 and 130 stay.")]


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a command's arguments that are settings, as `config.settings` takes them.

    A switch that was not set is None: a project file may set it.
    """
    names = {f.name for f in fields(Settings)} & arguments.keys()
    chosen = {name: None if arguments[name] is False else arguments[name] for name in names}
    adaptive = False if arguments.get("no_adaptive") else None
    return {**chosen, "map": mapping(arguments.get("map_")), "adaptive": adaptive}


def mapping(pairs: list[str] | None) -> dict[str, str] | None:
    """Return `--map` as a mapping of fields to columns; None where it was not given."""
    from entropydx.errors import ConfigError

    if not pairs:
        return None
    for pair in pairs:
        if not all(pair.partition("=")):
            raise ConfigError(f"--map {pair} is not FIELD=COLUMN", "for example --map answer=solution")
    return dict(pair.split("=", 1) for pair in pairs)
