"""`entropydx report`: the HTML page of a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entropydx.cli._guard import guarded


@guarded
def command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|REPORT",
            help="A run directory; or a report file, whose page has no samples and nothing that is drawn from them.",
        ),
    ],
    html: Annotated[str, typer.Option("--html", metavar="PATH|-", help="Where the page goes; '-' is stdout.")],
    trajectory: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The document of `entropydx trajectory --json FILE`, drawn on the page too."),
    ] = None,
) -> int:
    """Write the HTML page of a stored run: one file to look at and to pass on, without torch.

    Nothing is measured or judged again (`entropydx triage` does). Exit code 0 when the page is written, whatever the
    verdict on it.
    """
    arguments = locals()
    from entropydx import document
    from entropydx.cli._apart import check_apart
    from entropydx.cli._output import check_writable, write_html
    from entropydx.runs import open_run

    check_apart(arguments)
    check_writable(html)
    series = None if trajectory is None else document.load_trajectory(trajectory)
    write_html(open_run(run), html, trajectory=series)
    return 0
