"""`entropydx trials`: remedies tried on organisms, with and without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entropydx.cli._guard import Command, guarded
from entropydx.errors import ConfigError

if TYPE_CHECKING:
    from entropydx.trials import Trial

app = typer.Typer(
    help="Try the remedies on organisms that have failed, and on some midway (extra [lab]).", no_args_is_help=True
)


@app.command("run", cls=Command)
@guarded
def run(
    out: Annotated[Path, typer.Option(help="Directory of the outcomes; what is there is not run again.")],
    failures: Annotated[list[str] | None, typer.Argument(help="Failures to try; default: all four.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each arm, with seeds 0, 1, …")] = 3,
    fixtures: Annotated[Path, typer.Option(help="Holds organisms/ and series/.")] = Path("fixtures"),
) -> int:
    """Continue every organism under every arm, and measure each outcome by entropydx and by the independent check."""
    from entropydx.cli._progress import ConsoleProgress
    from entropydx.trials import TRIALS
    from entropydx.trials.running import Place
    from entropydx.trials.running import run as run_trial

    chosen = TRIALS if not failures else [_trial(name) for name in failures]
    with ConsoleProgress() as progress:
        for trial in chosen:
            for file in run_trial(trial, Place(fixtures=fixtures, out=out), seeds, progress):
                typer.echo(file)
    return 0


@app.command("table", cls=Command)
@guarded
def show(
    out: Annotated[Path, typer.Argument(help="Directory of the outcomes.")],
) -> int:
    """Print what the trials in a directory found, as Markdown."""
    from entropydx.trials import TRIALS, read_base, read_cells, summarise
    from entropydx.trials.table import legend, measured_table, table

    cells = read_cells(out)
    typer.echo(legend())
    for trial in TRIALS:
        rows = summarise(trial, cells)
        if rows:
            typer.echo(
                f"\n## {trial.failure}\n\n{table(trial, rows, read_base(out, trial))}\n{measured_table(trial, rows)}"
            )
    return 0


def _trial(name: str) -> Trial:
    from entropydx.trials import find_trial

    trial = find_trial(name)
    if trial is None:
        raise ConfigError(f"no trial is of '{name}'", "name one of the four failures, or none for all")
    return trial
