"""What a continuous-integration service reads of a gate: files that it was asked for, and what GitHub Actions collects.

Nothing here decides anything: it publishes a gate that was decided elsewhere, and no trouble with GitHub's own files
changes the verdict or the exit code.
"""

from __future__ import annotations

import dataclasses
import io
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

if TYPE_CHECKING:
    from entropydx.reporters._github import Level
    from entropydx.types import Gate, Report

UNFINISHED = "entropydx did not finish, so there is no verdict; the log says why"


def on_github() -> bool:
    """Return whether this is a step of GitHub Actions, which sets the variable to `true`."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


class _Defused(io.TextIOWrapper):
    """A stream on which nothing that is quoted (model output, a file name, a traceback) is a workflow command."""

    def write(self, text: str) -> int:
        from entropydx.reporters._github import defused

        super().write(defused(text) if "::" in text or "##" in text else text)
        return len(text)

    def command(self, line: str) -> None:
        """Write a workflow command of our own."""
        super().write(f"{line}\n")
        self.flush()


def guard_streams() -> None:
    """Make stdout and stderr harmless on GitHub Actions, which obeys commands in both."""
    if on_github():
        sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def _guarded(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, errors, by_line = stream.encoding, stream.errors, stream.line_buffering
    return _Defused(stream.detach(), encoding=encoding, errors=errors, line_buffering=by_line)


def annotate(level: Level, title: str, message: str) -> None:
    """Annotate the run, on GitHub Actions."""
    if on_github():
        from entropydx.reporters._github import annotation

        _command(annotation(level, title, message))


def _command(line: str) -> None:
    """Print a workflow command to stderr, which the runner reads as well: stdout carries the document."""
    if isinstance(sys.stderr, _Defused):
        sys.stderr.command(line)
    else:
        typer.echo(line, err=True)


# ── publishing ────────────────────────────────────────────────────────────────────────────────────


def prepare(*, junit: str | None, gitlab: str | None) -> None:
    """Refuse paths that cannot be written, before the sampling, and say in each file that the run has not finished.

    A file of the last run would otherwise be taken for this one's verdict when this one crashes or is killed.

    Raises
    ------
    ConfigError
        A path cannot be written.
    """
    from entropydx.cli._output import check_file, write
    from entropydx.errors import ConfigError
    from entropydx.reporters import _gitlab, _junit

    check_file("--junit", junit)
    check_file("--gitlab", gitlab)
    if junit is not None and gitlab is not None and Path(junit).resolve() == Path(gitlab).resolve():
        raise ConfigError(f"--junit and --gitlab are both {junit}", "give each a file of its own")
    if junit is not None:
        write(Path(junit), _junit.unfinished(UNFINISHED))
    if gitlab is not None:
        write(Path(gitlab), _gitlab.unfinished(UNFINISHED, _place()))


def publish(gate: Gate, report: Report, *, junit: str | None, gitlab: str | None) -> None:
    """Write the files of a gate, and on GitHub Actions the job summary, annotations and outputs.

    Parameters
    ----------
    junit, gitlab : str, optional
        Where the JUnit XML and GitLab's code quality report go.

    Raises
    ------
    ConfigError
        A file that was asked for cannot be written.
    """
    from entropydx.cli._output import write
    from entropydx.reporters import _gitlab, _junit

    if junit is not None:
        write(Path(junit), _junit.document(gate, report))
    if gitlab is not None:
        write(Path(gitlab), _gitlab.document(gate, _place(gate.policy)))
    if on_github():
        _publish_on_github(gate, report)


def publish_report(report: Report, exit_code: int, *, json: str | None, junit: str | None, gitlab: str | None) -> None:
    """Hold the default policy against a report and publish that gate, where anybody listens.

    Parameters
    ----------
    exit_code : int
        The command's own, with which the gate agrees.
    json : str, optional
        Where the report was written.
    """
    if junit is None and gitlab is None and not on_github():
        return
    from entropydx.gate import decide

    file = None if json == "-" else json
    gate = dataclasses.replace(decide(report, source=file), exit_code=exit_code)
    publish(gate, report, junit=junit, gitlab=gitlab)


def _place(policy: str | None = None) -> str:
    """Return a policy's file as GitLab takes it, relative to the checkout; without one, the file that would hold it."""
    from entropydx.config import CONFIG_FILE
    from entropydx.policy import DEFAULT

    path = os.path.abspath(CONFIG_FILE if policy in {None, DEFAULT} else policy)
    place = Path(os.path.relpath(path, os.environ.get("CI_PROJECT_DIR") or os.curdir))
    return place.name if ".." in place.parts else place.as_posix()


def _publish_on_github(gate: Gate, report: Report) -> None:
    from entropydx.reporters import _github

    for line in _github.gate_annotations(gate):
        _command(line)
    values = {
        "verdict": gate.verdict,
        "label": gate.label.value,
        "confidence": gate.confidence,
        "exit-code": str(gate.exit_code),
        "report": gate.report or "",
    }
    _append("GITHUB_OUTPUT", _github.outputs(values, f"ghadelimiter_{secrets.token_hex(16)}"))
    page = _github.summary(gate, report, _github.SUMMARY_LIMIT - _size("GITHUB_STEP_SUMMARY"))
    if page:
        _append("GITHUB_STEP_SUMMARY", page)
    else:
        _warn("GITHUB_STEP_SUMMARY has no room left in its 1 MiB, so there is no page; the verdict stands")


def _size(variable: str) -> int:
    """Return how much of the step's page is taken by what ran before."""
    try:
        return Path(os.environ[variable]).stat().st_size
    except (KeyError, OSError):
        return 0


def _append(variable: str, text: str) -> None:
    """Append to one of the runner's files; where that fails the verdict stands, and the run is annotated."""
    name = os.environ.get(variable)
    if not name:
        _warn(f"{variable} is not set, so GitHub is not told there; the verdict and the exit code stand")
        return
    try:
        # A path that is no UTF-8 comes back as the bytes that it was.
        with open(name, "a", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(text)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        _warn(f"{variable} ({name}) cannot be written: {reason}; the verdict and the exit code stand")


def _warn(message: str) -> None:
    annotate("warning", "entropydx", message)
