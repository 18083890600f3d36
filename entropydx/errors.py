"""Every error that entropydx raises on purpose; each one is exit code 2 and one line for the user.

    EntropydxError                 what happened, where, and how to mend it
    ├── ConfigError                a flag, a TOML key or a combination of them that cannot work
    │   └── PluginNotFoundError    an unknown probe, suite, engine...; carries the nearest name
    ├── CheckpointError            missing, unreadable, unsafe or unconverted weights
    ├── SuiteError                 a bad suite record; names file, line and field
    ├── VerifierError              a verifier specification that cannot be used
    ├── EngineError                the backend failed while sampling
    │   ├── EngineCapabilityError  the engine cannot supply what a probe requires
    │   └── ContextError           texts that do not fit into the model's context; says which
    ├── RunStoreError              a run directory that is locked, foreign or damaged
    ├── ImportFileError            a file of another tool that cannot be read; names file, row and column
    └── ReportError                a report file that is not a report of this schema

A bug is not wrapped: its traceback is printed, and the exit code is 2 all the same, so that 1 only ever
means "a failure was diagnosed". Missing evidence is data (`types.Missing`), not an exception.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the hint of an unknown name: the nearest known one, else all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"


class EntropydxError(Exception):
    """Base of every deliberate error.

    Parameters
    ----------
    message : str
        What is wrong and where, in one line.
    hint : str, optional
        How to mend it, in one line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error as it stands: it crosses from a worker to the process that the user started."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[EntropydxError], args: tuple[Any, ...], state: dict[str, Any]) -> EntropydxError:
    """Return an unpickled error without calling its constructor, whose parameters differ from class to class."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(EntropydxError):
    """A flag, a TOML key or a combination of them that cannot work."""


class PluginNotFoundError(ConfigError):
    """An unknown plugin name; the hint names the nearest known one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no {kind} named '{name}'", nearest(name, sorted(known)))


class CheckpointError(EntropydxError):
    """A checkpoint that is missing, unreadable, unsafe or not yet converted."""


class SuiteError(EntropydxError):
    """A suite record that cannot be used; the message names file, line and field."""


class VerifierError(EntropydxError):
    """A verifier specification that cannot be used."""


class EngineError(EntropydxError):
    """The sampling backend failed."""


class EngineCapabilityError(EngineError):
    """The engine cannot supply what a probe requires."""


class ContextError(EngineError):
    """Texts that do not fit into the model's context.

    Parameters
    ----------
    message, hint : str
        Of the first of them.
    indices : iterable of int
        Their places in what the engine was given.
    """

    def __init__(self, message: str, hint: str, indices: Iterable[int]) -> None:
        super().__init__(message, hint)
        self.indices = frozenset(indices)


class RunStoreError(EntropydxError):
    """A run directory that is locked by another process, holds another run, or is damaged."""


class ImportFileError(EntropydxError):
    """A file of another tool that is damaged, or lacks what an import takes; the message names the place."""


class ReportError(EntropydxError):
    """A file that is not a report of this schema."""


# ── what the operating system refuses ─────────────────────────────────────────────────────────────

REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "ask for the right to it: `ls -ld` says who has it"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on that disk"),
    errno.EROFS: "the disk cannot be written to: name a place on another one",
    errno.ENAMETOOLONG: "no file has so long a name: is it a path?",
    errno.ELOOP: "the link leads to itself",
    errno.EMFILE: "raise the limit on open files: `ulimit -n`",
    errno.EIO: "the disk or the network behind it fails",
}
"""How to mend what an operating system says no to."""


@contextlib.contextmanager
def reading(kind: type[EntropydxError], what: object = "") -> Iterator[None]:
    """Turn what the operating system refuses into a deliberate error that names the file.

    Parameters
    ----------
    kind : type
        Of the error.
    what : object
        Names the file where the system does not.

    Raises
    ------
    EntropydxError
        Of that kind. An error that names no file, where none is given either, is of something else: it goes through.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and not what:
            raise
        raise kind(f"cannot read {error.filename or what}: {_reason(error)}", remedy(error)) from error


def remedy(error: OSError) -> str:
    """Return how to mend an error of the operating system; "" where its message says it all."""
    return REMEDIES.get(error.errno or 0, "")


def _reason(error: OSError) -> str:
    return error.strerror or " ".join(str(error).split()) or type(error).__name__
