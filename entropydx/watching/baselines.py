"""The first checkpoint of a run, kept for as long as the others are compared with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from entropydx import checkpoint
from entropydx.errors import RunStoreError
from entropydx.layouts import PICKLES
from entropydx.protocols import EngineOptions

KEPT = "baseline"


def kept(root: Path) -> Path | None:
    """Return the checkpoint that a watch has kept as its baseline, or None."""
    folder = root / KEPT
    found = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    return found[0] if found else None


def keep(path: Path, root: Path, options: EngineOptions) -> Path:
    """Keep the model of a checkpoint, and return where: trainers delete old checkpoints (`save_total_limit`).

    Its files are linked, which takes no room, where both directories are on one file system, and copied otherwise.
    Optimizer and random states stay behind.

    Raises
    ------
    CheckpointError
        The checkpoint has just been deleted.
    RunStoreError
        The file system has no room.
    """
    found = checkpoint.resolve(str(path), options)
    target, part = root / KEPT / path.name, root / KEPT / f".{path.name}.part"
    wanted = [f for f in sorted(found.directory.iterdir()) if f.is_file()]
    wanted = [f for f in wanted if f in found.weights or f.suffix not in PICKLES]
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for file in wanted:
            _link(file.resolve(), part / file.name)
        checkpoint.resolve(str(part), options)
        part.rename(target)
    except FileNotFoundError:
        checkpoint.resolve(str(path), options)
        raise
    except OSError as error:
        raise RunStoreError(f"cannot keep {path} in {root}: {error.strerror}", "give a --baseline") from error
    return target


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, to)
