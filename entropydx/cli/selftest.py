"""`entropydx selftest`: how often the tool is wrong on checkpoints whose failure is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entropydx.cli import _options
from entropydx.cli._guard import guarded

if TYPE_CHECKING:
    from entropydx.types import Quality

FRESH_SEED = 1000
"""Of `--full`, unless another is given: no case was drawn with it."""


@guarded
def command(
    cases: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The labelled cases. Default: fixtures/cases of a checkout.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Sample the committed organisms again as well: half a minute for each.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of --full: the fresh draw.")] = FRESH_SEED,
    run_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of --full: where its runs are kept; the same command resumes.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also fail where docs/reference/quality.md, .json or the diagram is stale.")
    ] = False,
    json: Annotated[
        str | None, typer.Option("--json", metavar="PATH|-", help="Write everything as JSON to a file, or to stdout.")
    ] = None,
    quiet: _options.Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show also each rule, the classifier, probabilities and doses.")
    ] = False,
) -> int:
    """Judge the labelled cases again, in seconds, and print how often the verdict is right, wrong or withheld.

    Exits 0 when no figure is worse than the committed one (docs/reference/quality.json), 1 when one is, or when --full
    changes a verdict, 2 when it could not run.
    """
    arguments = locals()
    import dataclasses

    from entropydx import document, selftest
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_writable, print_quality, write
    from entropydx.cli._progress import ConsoleProgress

    check_apart(arguments)
    check_writable(json)
    folder = cases or selftest.CASES
    with ConsoleProgress(quiet=quiet) as progress:
        quality = selftest.examine(folder, progress)
        if full:
            drawn = selftest.redraw(folder, seed=seed, runs=run_dir or selftest.RUNS, progress=progress)
            quality = dataclasses.replace(quality, redrawn=drawn)
    text = document.to_json(quality)
    if json is not None and json != "-":
        write(Path(json), text)
    if json == "-":
        typer.echo(text, nl=False)
    elif not quiet:
        print_quality(quality, verbose)
    return _compared(quality, check)


def _compared(quality: Quality, check: bool) -> int:
    """Say on stderr what is worse, stale or changed, and return the exit code."""
    from entropydx import selftest

    lines = [f"worse: {line}" for line in selftest.losses(quality, selftest.COMMITTED)]
    if check:
        lines += [f"stale: {path}: run `python docs/generate.py`" for path in selftest.stale(quality)]
    lines += [f"changed: {r.case} was {', '.join(r.before)}, is {r.now}" for r in quality.redrawn if r.flipped]
    for line in lines:
        typer.echo(line, err=True)
    if not selftest.is_comparable(quality, selftest.COMMITTED):
        typer.echo(f"note: {selftest.COMMITTED} is missing, or of other cases: no figure is compared", err=True)
    return 1 if lines else 0
