"""What every command does with an error: one line on stderr and the right exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from entropydx.cli._ci import annotate
from entropydx.errors import EntropydxError

P = ParamSpec("P")
COULD_NOT_RUN = 2


def fail(message: str, code: int) -> NoReturn:
    """Print one line to stderr and leave with a code."""
    from entropydx.reporters._words import visible

    # An error of another library that is quoted in the message may have lines of its own, and a name from a foreign
    # file may move the cursor.
    line = visible(" ".join(message.split()))
    typer.echo(f"entropydx: {line}", err=True)
    if code == COULD_NOT_RUN:
        annotate("error", "entropydx could not run", line)
    raise typer.Exit(code)


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Turn a command that returns an exit code into one that exits, with every deliberate error as one line."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except EntropydxError as error:
            fail(str(error), COULD_NOT_RUN)
        except KeyboardInterrupt:
            fail("interrupted; the same command resumes where it stopped", 130)
        except BrokenPipeError:
            # The reader left; python would complain again while flushing at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(2) from None
        raise typer.Exit(code)

    return run
