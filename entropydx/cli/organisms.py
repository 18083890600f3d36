"""`entropydx organisms`: small checkpoints with a failure planted by its real cause."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli._guard import guarded

app = typer.Typer(help="List and grow small checkpoints with a known failure.", no_args_is_help=True)


@app.command("list")
@guarded
def list_recipes() -> int:
    """List the recipes: name, failure, cause."""
    from entropydx import organisms

    for recipe in organisms.recipes():
        typer.echo(f"{recipe.name:22}{recipe.label:26}{recipe.cause}")
    return 0


@app.command("grow")
@guarded
def grow(
    name: Annotated[str, typer.Argument(help="A recipe's name, see `entropydx organisms list`.")],
    out: Annotated[Path, typer.Argument(help="Directory for the checkpoint; must not exist or be empty.")],
    seed: Annotated[int, typer.Option(help="Of the data and of the training.")] = 0,
) -> int:
    """Train an organism by its recipe (extra [lab]) and check independently that it has its failure."""
    from entropydx import organisms
    from entropydx.cli._progress import ConsoleProgress

    with ConsoleProgress() as progress:
        result = organisms.grow(name, out, seed, progress)
    typer.echo(result.describe())
    return 0 if result.passed else 1
