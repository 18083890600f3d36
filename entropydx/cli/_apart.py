"""Where documents may not go: over each other, over what a command reads, or over what a run is made of."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from entropydx.config import CONFIG_FILE, PYPROJECT
from entropydx.errors import ConfigError, remedy
from entropydx.store import MANIFEST, REPORT

DOCUMENTS = ("json", "html", "csv", "junit", "gitlab", "log")
"""Arguments that name a file to be written."""
READ = (
    *("checkpoint", "checkpoints", "path", "run", "runs", "target", "cases", "baseline", "base_model", "suite"),
    *("lexicon", "config", "policy", "train_config", "trajectory", "against", "tokenizer"),
)
"""Arguments that may name a file or a directory to be read; the others are words, numbers and patterns."""
RUN_FILES = re.compile(
    r"(run|report)\.json|lock|(samples|scores)-.+\.jsonl|(completions|tokens)-.+\.parquet|\..+\.tmp", re.IGNORECASE
)
"""Files of a run directory (`store`)."""
SERIES_FILES = ("trajectory.json", "sweep.json", "comparison.json")
"""What a directory of several runs holds beside them."""
SERIES = {"checkpoints", "csv", "log", "full"}
"""Arguments of the commands whose `--run-dir` holds several runs, and is none itself."""
REPORTING = {"checkpoint", "path", "runs"}
"""Arguments of the commands whose `--json` is the `report.json` of their run, to the byte."""
OURS = re.compile(
    rb'\s*\{\s*"(schema|quality)_version":\s*"[^"]*",\s*("tool":\s*\{\s*"name":\s*"entropydx"|"at":)'
    rb'|.*<testsuites name="entropydx"'
    rb'|\s*\[\s*(\]\s*\Z|\{\s*"description":.*"check_name":\s*"entropydx\.)'
    rb"|\s*<!doctype html>.* \xc2\xb7 entropydx</title>"
    rb"|name,ref,label,confidence,|before_name,after_name,measurement,"
    rb"|\s*\Z",
    re.DOTALL,
)
"""How our documents begin: JSON, JUnit, GitLab's, the page and the two tables; or one that a full disk left empty."""
HEAD = 16384
"""Bytes in which that is found."""


def check_apart(arguments: Mapping[str, Any]) -> None:
    """Refuse documents that would overwrite each other, an input or a run's data, before anything is drawn.

    Of a directory that is read every file counts that is there and that is no document of ours. Links and other
    spellings of one place are one place. What is no ordinary file, such as /dev/null, may be named twice.

    Parameters
    ----------
    arguments : mapping
        Of the command, by name.

    Raises
    ------
    ConfigError
        One would, and the message names both; or a document's place is a link to itself.
    """
    documents = {f"--{name}": Path(arguments[name]) for name in DOCUMENTS if arguments.get(name) not in {None, "-"}}
    for path in documents.values():
        _check_loop(path)
    documents = {flag: path for flag, path in documents.items() if path.is_file() or not path.exists()}
    for (first, ours), (second, theirs) in combinations(documents.items(), 2):
        if _same(ours, theirs):
            raise ConfigError(f"{first} and {second} would both be written to {theirs}", "give each a file of its own")
    inputs = [path for name in READ for path in _paths(arguments.get(name))]
    for flag, path in documents.items():
        _check_run(flag, path, arguments)
        for read in inputs:
            if _is_part(path, read):
                what = f"a file of {read}" if read.is_dir() else str(read)
                raise ConfigError(f"{flag} {path} would overwrite {what}, which is read", "name another file")
        for settings in (CONFIG_FILE, PYPROJECT):
            if path.is_file() and _same(path, Path(settings)):
                raise ConfigError(f"{flag} {path} would overwrite {settings}, a settings file", "name another file")


def _check_loop(path: Path) -> None:
    """Refuse a link that leads to itself, which some versions of python fail on later."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConfigError(f"cannot write {path}: {error.strerror}", remedy(error)) from error


def _check_run(flag: str, path: Path, arguments: Mapping[str, Any]) -> None:
    """Refuse a file of a run, or of the directory that this command puts its runs into."""
    place = _real(path)
    run_dir = arguments.get("run_dir")
    own = run_dir is not None and _same(place.parent, Path(run_dir))
    series = not SERIES.isdisjoint(arguments)
    if own and flag == "--json" and place.name == REPORT and _gives_report(arguments):
        return
    run = RUN_FILES.fullmatch(place.name) and ((own and not series) or _is_run(place))
    # The document of a series is in its directory anyway: `--json` writes the same there.
    if run or (own and place.name in SERIES_FILES and flag != "--json"):
        raise ConfigError(
            f"{flag} {path} would overwrite {place.name} of the run in {place.parent}",
            "give the document another name, or another directory",
        )


def _gives_report(arguments: Mapping[str, Any]) -> bool:
    """Return whether `--json` writes what the command puts into its run directory as `report.json` anyway."""
    reports = not REPORTING.isdisjoint(arguments) and SERIES.isdisjoint(arguments)
    return reports and not arguments.get("exit_zero")  # which changes the exit code in the one and not in the other


def _is_run(place: Path) -> bool:
    """Return whether a file would lie in a run directory: other tools, and users of ours, have a `run.json` as well."""
    manifest = place.parent / MANIFEST
    try:
        if not manifest.is_file():
            return False
        found = json.loads(manifest.read_bytes())
    except OSError:  # what may not be read may be a run's
        return place.is_file()
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "store_version" in found and isinstance(found.get("key"), dict)


def _paths(value: Any) -> Iterator[Path]:
    """Yield what an argument may name on the disk."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, str | Path):
            yield Path(os.path.expanduser(item))  # pathlib's own raises for the `~name` of nobody


def _real(path: Path) -> Path:
    """Return where a path leads, without an error at a link to itself."""
    return Path(os.path.realpath(path))


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one place, which need not exist yet."""
    try:
        return one.samefile(other)
    except OSError:
        return _real(one) == _real(other)


def _is_part(path: Path, read: Path) -> bool:
    """Return whether a file that is there is what is read, or lies below it and is no document of ours."""
    try:
        if not path.is_file():
            return False
        if read.is_dir():
            # As it is spelt, too: a checkpoint of a series, or a file of a checkpoint, may be a link to elsewhere.
            above = {*_real(path).parents, *Path(os.path.abspath(path)).parents}
            return any(_same(parent, read) for parent in above) and not _is_ours(path)
        return read.is_file() and _same(path, read)
    except OSError:  # a name that is too long for a file, or a directory that may not be looked into
        return False


def _is_ours(path: Path) -> bool:
    """Return whether a file is a document that a command wrote there before."""
    try:
        with path.open("rb") as file:
            return OURS.match(file.read(HEAD)) is not None
    except OSError:
        return False
