"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[
    str | None, typer.Option("--json", metavar="PATH|-", help="Write the JSON report to a file, or to stdout with '-'.")
]
Format = Annotated[
    str, typer.Option("--format", help="What stdout gets: a reporter's name, see `entropydx list reporter`.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no terminal report.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every measurement.")]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit 0 whatever the verdict; 2 and 130 stay.")]
