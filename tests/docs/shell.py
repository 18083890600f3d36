"""Commands in blocks: which there are, whether their options exist, and how to run them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from entropydx import plugins
from entropydx.cli import app
from tests.docs.blocks import ROOT

EXECUTABLES = str(Path(sys.executable).parent)
OPERATOR = re.compile(r"[();<>|&]+")
NAMES = {"engine": "engine", "format": "reporter", "probes": "probe"}
"""Option whose value is the name of a plugin, or several joined by commas, to the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What stands after a prompt, and the output that the page shows for it."""

    text: str
    output: tuple[str, ...] = ()


def session(text: str) -> list[Command]:
    """Return the commands of a console block: lines after `$ `, with what follows each."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        goes_on = found and not found[-1][1] and found[-1][0][-1].endswith("\\")
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif goes_on:
            found[-1][0].append(line)
        elif found:
            found[-1][1].append(line)
        elif line.strip():
            raise ValueError(f"a console block begins with '$ ', and this one with '{line}'")
    return [Command(text="\n".join(typed), output=tuple(shown)) for typed, shown in found]


def simple_commands(script: str) -> Iterator[list[str]]:
    """Yield the words of every simple command of a script, also of those that are quoted inside another's words."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        redirected = False
        for word in lexer:
            if redirected:
                redirected = False
            elif OPERATOR.fullmatch(word) and set(word) & set("<>"):
                redirected = True
            elif OPERATOR.fullmatch(word):
                yield from _with_nested(words)
                words = []
            elif words or not re.match(r"\w+=", word):
                words.append(word)
        yield from _with_nested(words)


def _with_nested(words: list[str]) -> Iterator[list[str]]:
    if words:
        yield words
    for word in words:
        if word.startswith("entropydx "):
            yield from simple_commands(word)


def check_script(script: str, *, names: bool = True) -> None:
    """Fail unless bash can parse it, and what it calls of this repository exists.

    Parameters
    ----------
    names : bool
        Whether plugins that it names must be there already; a page may install its own.

    Raises
    ------
    ValueError
        A command, option, extra, target or plugin does not exist.
    """
    parsed = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    if parsed.returncode:
        raise ValueError(parsed.stderr)
    for words in simple_commands(script):
        match words:
            case ["entropydx", *arguments]:
                check_call(arguments, names=names)
            case ["make", *targets]:
                _check_targets(targets)
            case ["pip", "install", *wanted] | ["python", "-m", "pip", "install", *wanted]:
                _check_extras(wanted)
            case ["python", script_file, *_] if script_file.endswith(".py") and not (ROOT / script_file).is_file():
                raise ValueError(f"there is no {script_file}")


def check_call(arguments: list[str], *, names: bool) -> None:
    """Parse the arguments of `entropydx` by the command line itself, without running anything."""
    command: Any = typer.main.get_command(app)
    path = ["entropydx"]
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        if name not in command.commands:
            raise ValueError(f"`{' '.join(path)}` has no command '{name}'")
        path.append(name)
        command = command.commands[name]
    try:
        context = command.make_context(" ".join(path), list(arguments))
    except typer.Exit:
        return
    except Exception as error:
        raise ValueError(f"`{' '.join([*path, *arguments])}`: {getattr(error, 'message', error)}") from error
    for option, kind in NAMES.items() if names else ():
        for name in str(context.params.get(option) or "").split(","):
            if name and name not in plugins.names(kind):
                raise ValueError(f"there is no {kind} '{name}'")


def _check_targets(targets: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            raise ValueError(f"the Makefile has no target '{target}'")


def _check_extras(wanted: list[str]) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for requirement in wanted:
        extras = re.fullmatch(r"(?:entropydx|\.)\[([\w,-]+)\].*", requirement)
        for extra in extras[1].split(",") if extras else []:
            if extra not in known:
                raise ValueError(f"entropydx has no extra '{extra}'")


class Folder:
    """Where the blocks of one page run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packages = path / "site-packages"
        for name in ("fixtures", "docs"):
            (path / name).symlink_to(ROOT / name)

    def run(self, text: str) -> tuple[int, str]:
        """Run one line, and return its exit code and all that it printed.

        `entropydx` alone runs in this process, since importing torch takes seconds; a line with other programs or pipes
        is bash's.
        """
        commands = list(simple_commands(text))
        plain = len(commands) == 1 and not OPERATOR.search(text) and "*" not in text
        if plain and commands[0][0] == "entropydx" and not re.match(r"\w+=", text):
            result = CliRunner().invoke(app, commands[0][1:], env={"COLUMNS": "100"})
            if result.exception and not isinstance(result.exception, SystemExit):
                raise result.exception
            return result.exit_code, result.output
        if plain and commands[0][:2] == ["pip", "install"]:
            text = (
                f"{text} --quiet --no-index --no-build-isolation --no-deps --target {shlex.quote(str(self.packages))}"
            )
        path = {
            "PATH": f"{EXECUTABLES}:{os.environ['PATH']}",
            "PYTHONPATH": f"{self.packages}:{ROOT}",
            "COLUMNS": "100",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.path,
            env={**os.environ, **path},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout
