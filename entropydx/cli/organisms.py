"""`entropydx organisms`: small checkpoints with a failure planted by its real cause."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli._guard import guarded
from entropydx.errors import ConfigError

app = typer.Typer(help="List and grow small checkpoints with a known failure.", no_args_is_help=True)


@app.command("list")
@guarded
def list_recipes() -> int:
    """List the recipes: name, failure, cause; for a series of checkpoints, the step at which its failure sets in."""
    from entropydx import organisms

    for recipe in organisms.recipes():
        typer.echo(f"{recipe.name:22}{recipe.label:26}{recipe.cause}")
    for series in organisms.series_recipes():
        onset = f"series of {len(series.kept) + 1} checkpoints, onset at step {series.change.step}"
        typer.echo(f"{series.name:22}{series.label:26}{onset}")
    return 0


@app.command("grow")
@guarded
def grow(
    name: Annotated[str, typer.Argument(help="A recipe's name, see `entropydx organisms list`.")],
    out: Annotated[Path, typer.Option(help="Directory for the checkpoint; must not exist or be empty.")],
    seed: Annotated[int, typer.Option(help="Of the data and of the training.")] = 0,
    dose: Annotated[float, typer.Option(help="Factor on the number of training steps; 1 is the recipe.")] = 1.0,
) -> int:
    """Train an organism, or a series of checkpoints, by its recipe (extra [lab]) and check it independently.

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
        else:
            check = organisms.grow(name, out, seed, progress, dose=dose)["check"]
    for bar in check["bars"]:
        met = "met" if bar["passed"] else "MISSED"
        measured = "none" if bar["measured"] is None else f"{bar['measured']:g}"
        where = f"  at step {bar['step']}" if is_series else ""
        typer.echo(f"{bar['number']:24}{bar['relation']:8}{bar['op']:3}{bar['limit']:<8g}{measured:<10}{met}{where}")
    typer.echo(f"{name}: {'passed' if check['passed'] else 'failed'} its independent check; written to {out}")
    return 0 if check["passed"] else 1
