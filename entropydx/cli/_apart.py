"""Where documents may not go: over each other, over what a command reads, or over what a run is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from entropydx.errors import ConfigError

DOCUMENTS = ("json", "html", "csv", "junit", "gitlab", "log")
"""Arguments that name a file to be written."""
RUN_FILES = re.compile(
    r"(run|report)\.json|lock|(samples|scores)-.+\.jsonl|(completions|tokens)-.+\.parquet|\..+\.tmp", re.IGNORECASE
)
"""Files of a run directory (`store`)."""
SERIES_FILES = ("trajectory.json", "sweep.json", "comparison.json")
"""What a directory of several runs holds beside them."""
WEIGHTS = (".safetensors", ".gguf", ".bin")


def check_apart(arguments: Mapping[str, Any]) -> None:
    """Refuse documents that would overwrite each other, an input or a run's data, before anything is drawn.

    Links and other spellings of one place are one place. What is no ordinary file, such as /dev/null, may be named
    twice.

    Parameters
    ----------
    arguments : mapping
        Of the command, by name.

    Raises
    ------
    ConfigError
        One would; the message names both.
    """
    documents = {f"--{name}": Path(arguments[name]) for name in DOCUMENTS if arguments.get(name) not in {None, "-"}}
    documents = {flag: path for flag, path in documents.items() if path.is_file() or not path.exists()}
    for (first, ours), (second, theirs) in combinations(documents.items(), 2):
        if _same(ours, theirs):
            raise ConfigError(f"{first} and {second} would both be written to {theirs}", "give each a file of its own")
    inputs = [path for name, value in arguments.items() if name not in DOCUMENTS for path in _paths(value)]
    run_dir = arguments.get("run_dir")
    for flag, path in documents.items():
        _check_run(flag, path, None if run_dir is None else Path(run_dir))
        for read in inputs:
            if _is_part(path, read):
                what = f"a file of {read}" if read.is_dir() else str(read)
                raise ConfigError(f"{flag} {path} would overwrite {what}, which is read", "name another file")


def _check_run(flag: str, path: Path, run_dir: Path | None) -> None:
    """Refuse a file of a run, or of the directory that this command puts its runs into."""
    place = path.resolve()
    own = run_dir is not None and _same(place.parent, run_dir)
    run = RUN_FILES.fullmatch(place.name) and (own or (place.parent / "run.json").is_file())
    # The document of a series is in its directory anyway: `--json` writes the same there.
    series = own and place.name in SERIES_FILES and flag != "--json"
    if run or series:
        raise ConfigError(
            f"{flag} {path} would overwrite {place.name} of the run in {place.parent}",
            "give the document another name, or another directory",
        )


def _paths(value: Any) -> Iterator[Path]:
    """Yield what an argument may name on the disk."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, str | Path):
            yield Path(item).expanduser()


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one place, which need not exist yet."""
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


def _is_part(path: Path, read: Path) -> bool:
    """Return whether a file is what is read, or belongs to the checkpoint that is read."""
    try:
        if read.is_dir():
            from entropydx.checkpoint import TEXT_FILES

            belongs = path.name in TEXT_FILES or path.suffix in WEIGHTS
            return belongs and path.is_file() and _same(path.resolve().parent, read)
        return read.is_file() and _same(path, read)
    except OSError:  # a name that is too long for a file, or a directory that may not be looked into
        return False
