"""What every command does with an error, or with an empty value: one line on stderr and the right exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TextIO

import typer
from typer.core import TyperCommand

from entropydx.cli._ci import annotate
from entropydx.errors import EntropydxError, remedy

P = ParamSpec("P")
COULD_NOT_RUN = 2
SAFE = "nothing that was drawn is lost, and the same command goes on from there"
LIMITS = {
    errno.EFBIG: "raise the limit on the size of a file: `ulimit -f`",
    errno.ENFILE: "close other programs, or wait for them",
    errno.ENOMEM: "close other programs, or wait for them",
}
"""How to mend what is a limit of the machine, and so no bug, beside what `errors.remedy` knows."""


def fail(message: str, code: int) -> NoReturn:
    """Print one line to stderr and leave with a code."""
    _say(message, code)
    raise typer.Exit(code)


def _say(message: str, code: int = COULD_NOT_RUN) -> None:
    from entropydx.reporters._words import visible

    # An error of another library that is quoted in the message may have lines of its own, and a name from a foreign
    # file may move the cursor.
    line = visible(" ".join(message.split()))
    try:
        typer.echo(f"entropydx: {line}", err=True)
        if code == COULD_NOT_RUN:
            annotate("error", "entropydx could not run", line)
    except OSError:
        _give_up(sys.stderr)


def explained(error: OSError) -> bool:
    """Print one line about an error that is of the operating system; False where it is a bug.

    An error that names a file is about that file. One that names none is about stdout or stderr where that cannot be
    written to; else it is of something that has no name, such as a connection, and nothing is said of where.
    """
    place, cause = "" if error.filename is None else f"cannot use {error.filename}: ", error
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        broken = _broken(stream) or (error if _came_of(error, stream) else None)
        if broken is not None and error.filename is None:
            place, cause = f"cannot write to {name}: ", broken
    hint = remedy(cause) or LIMITS.get(cause.errno or 0, "")
    if not place and not hint:
        return False
    _say(f"{place}{cause.strerror or cause} ({hint or 'check that path'}; {SAFE})")
    return True


def _broken(stream: TextIO | None) -> OSError | None:
    """Return why a stream does not take what it still holds, which is then given up."""
    if stream is None:
        return None
    try:
        stream.flush()
    except OSError as error:
        _give_up(stream)
        return error
    return None


def _came_of(error: OSError, stream: TextIO | None) -> bool:
    """Return whether an error was raised where a stream is written to: of a long text the stream then holds nothing."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if stream is None or trace is None:
        return False
    local = trace.tb_frame.f_locals
    if trace.tb_frame.f_globals.get("__name__") == "rich.console":
        return getattr(local.get("self"), "file", None) is stream
    return any(value is stream for value in local.values())


def _give_up(stream: TextIO) -> None:
    """Send what a stream still holds nowhere: python would complain again at exit, and change the exit code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
            _give_up(sys.stdout)  # the reader left
            raise typer.Exit(COULD_NOT_RUN) from None
        except OSError as error:
            if not explained(error):
                raise
            raise typer.Exit(COULD_NOT_RUN) from None
        raise typer.Exit(code)

    return run


class Command(TyperCommand):
    """A command that takes no empty value: in a shell that is a variable that is not set.

    An empty path would be the working directory, and an empty list of names everything or nothing.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an empty value before it becomes a path or a number."""
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if not given.get("help"):
            for param in self.get_params(ctx):
                value = given.get(param.name)
                values = value if isinstance(value, list | tuple) else (value,)
                if any(isinstance(text, str) and not text.strip() for text in values):
                    self._refuse(param)
        return super().parse_args(ctx, args)

    @staticmethod
    def _refuse(param: Any) -> NoReturn:
        if param.param_type_name == "argument":
            fail(f"{param.metavar or param.name.upper()} is empty (is a shell variable not set?)", COULD_NOT_RUN)
        fail(f"{param.opts[0]} is empty (is a shell variable not set? give a value, or leave it out)", COULD_NOT_RUN)
