"""Several checkpoints in one go: which there are, what each is called, and the workers that they share."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from entropydx import checkpoint, opening
from entropydx.config import RunConfig
from entropydx.errors import CheckpointError, ConfigError, RunStoreError
from entropydx.fleet import Fleet
from entropydx.layouts import training_step
from entropydx.protocols import EngineOptions, Progress

MODEL_FILES = ("config.json", "adapter_config.json")
"""A directory with one of them is a checkpoint, or means to be one."""
NOT_KEYED = {
    *("checkpoint", "baseline", "run_dir", "device", "batch_rows", "cuda_graphs", "workers", "ray"),
    *("suite_source", "budget", "tokens", "adaptive"),
    *("train_config", "stage"),
}
"""Settings that do not make another series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One checkpoint of a series, before it is diagnosed."""

    ref: str
    name: str
    """Unique in the series, and fit for a directory."""
    step: int | None


class Titled:
    """A `Progress` that says which checkpoint it is about."""

    def __init__(self, inner: Progress, title: str) -> None:
        self._inner, self._title = inner, title

    def start(self, stage: str, total: int | None) -> None:
        """Begin a stage of this checkpoint."""
        self._inner.start(f"{self._title}: {stage}", total)

    def advance(self, n: int = 1, note: str = "") -> None:
        """Pass it on."""
        self._inner.advance(n, note)

    def warn(self, message: str) -> None:
        """Pass it on with the checkpoint's name."""
        self._inner.warn(f"{self._title}: {message}")


class Crew:
    """The workers that several diagnoses share; a context manager, which ends them.

    Parameters
    ----------
    config : RunConfig
        Says which workers; where it asks for none there are none.
    """

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._fleet: Fleet | None = None

    def fleet(self) -> Fleet | None:
        """Return the workers for the next diagnosis: new ones when the last one lost some."""
        if self._fleet is not None and self._fleet.n_lost:
            self._fleet.close()
            self._fleet = None
        if self._fleet is None:
            self._fleet = opening.hire(self._config)
        return self._fleet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._fleet is not None:
            self._fleet.close()


def identity(ref: str) -> str:
    """Return what two spellings of one checkpoint have in common."""
    return os.path.abspath(ref) if Path(ref).exists() else str(Path(ref))


def check_told_once(refs: Sequence[str]) -> None:
    """Raise a ConfigError when a checkpoint is named twice, however it is spelt."""
    same = Counter(map(identity, refs))
    repeated = next((ref for ref in refs if same[identity(ref)] > 1), None)
    if repeated is not None:
        raise ConfigError(f"{repeated} is given twice", "name every checkpoint once")


def named(ref: str) -> Path:
    """Return a path whose last part is a name: of `.` and `..` that of the directory."""
    path = Path(ref)
    return path if path.name not in {"", ".."} else Path(os.path.abspath(ref))


def complete(children: Sequence[Path], options: EngineOptions) -> tuple[list[Path], dict[Path, str]]:
    """Return the children that can be loaded, and why each of the others cannot.

    Raises
    ------
    CheckpointError
        None can be loaded; of the last one.
    """
    kept: list[Path] = []
    problems: dict[Path, str] = {}
    problem: CheckpointError | None = None
    for child in children:
        try:
            checkpoint.resolve(str(child), options)
        except CheckpointError as error:
            problems[child] = " ".join(str(error).split())
            problem = error
        else:
            kept.append(child)
    if not kept and problem is not None:
        raise problem
    return kept, problems


def short_names(refs: Sequence[str]) -> list[str]:
    """Return a short unique name for each: the part that carries the step, else the last one, else more of the path."""
    paths = [named(ref) for ref in refs]
    steps = [training_step(path) for path in paths]
    short = [step[0] if step else path.name for path, step in zip(paths, steps, strict=True)]
    counts = Counter(short)
    longer = [name if counts[name] == 1 else str(path).strip("/") for name, path in zip(short, paths, strict=True)]
    plain = [re.sub(r"[^\w.-]+", "-", name) for name in longer]
    counts = Counter(plain)
    return [name if counts[name] == 1 else f"{name}-{i}" for i, name in enumerate(plain)]


def digest(config: RunConfig, first: str) -> str:
    """Return a name for the series that more checkpoints of it do not change."""
    home = str(Path(first).resolve().parent)
    settings = {key: value for key, value in asdict(config).items() if key not in NOT_KEYED}
    text = json.dumps([home, config.baseline, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def richest(done: Sequence[Path]) -> Path | None:
    """Return the run that drew most of the baseline: some stop early, or before the baseline's turn."""
    drawn = {run: sum(file.stat().st_size for file in run.glob("samples-baseline*.jsonl")) for run in done}
    return max(done, key=lambda run: drawn[run], default=None)


def write_document(path: Path, text: str) -> None:
    """Write the document of a series or a sweep into its directory.

    Raises
    ------
    RunStoreError
        It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunStoreError(f"cannot write {path}: {error.strerror}", "make room, and run the same command") from error
