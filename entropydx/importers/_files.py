"""Which files of a directory are read and how a report names them, and what rows of samples have in common."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from entropydx.importers._reading import refuse

Found = TypeVar("Found")
NO_SAMPLES = "its answers are log-likelihoods of given choices: there are no samples to diagnose"
MANY_TEXTS = "a row holds all samples of a document, so no column holds the answer that each states"


def one_file(path: Path, files: Sequence[Path], what: str) -> Path:
    """Return the one file that a path names.

    Raises
    ------
    ImportFileError
        None is there, or several are.
    """
    if not files:
        refuse(str(path), f"no {what} is there", "name the file")
    if len(files) > 1:
        some = ", ".join(names(path, files[:5]))
        refuse(str(path), f"{len(files)} files are there, and one is imported at a time", f"name one of: {some}")
    return files[0]


def by_step(path: Path, steps: Mapping[int, Found], wanted: int | None, last: int | None = None) -> Found:
    """Return what a directory has of the wanted training step; of `last`, or else the last one, when none is wanted.

    Raises
    ------
    ImportFileError
        It has no such step.
    """
    step = wanted if wanted is not None else max(steps) if last is None else last
    if step not in steps:
        refuse(str(path), f"no step {step}", f"steps: {', '.join(map(str, sorted(steps)[:20]))}")
    return steps[step]


def names(path: Path, files: Iterable[Path | None]) -> tuple[str, ...]:
    """Return files as they are named in a report: relative to the directory that the user named, or to the file's."""
    base = path if path.is_dir() else path.parent
    return tuple(Path(os.path.relpath(file, base)).as_posix() for file in files if file is not None)


def with_reasoning(reasoning: str | None, text: str) -> str:
    """Return a text behind its reasoning, in the tags that extraction knows, where the tool keeps the two apart."""
    return text if not reasoning else f"<think>\n{reasoning}\n</think>\n{text}"
