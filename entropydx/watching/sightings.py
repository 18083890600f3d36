"""What lies in a run's directory at a poll, and which of it is complete.

A checkpoint counts when its model can be loaded (`checkpoint.resolve`: config, tokenizer, every shard, none shorter
than its header says), when the layout's own marker, which trainers write last, is there, and when no file of it has
changed for one poll. The markers, as of transformers 5.23, TRL 1.16, verl 0.9 and OpenRLHF 0.11:

- `checkpoint-N`: `Trainer._save_checkpoint` writes model, tokenizer, optimizer, scheduler and random states, and then
  `trainer_state.json`, which counts when it is whole.
- `global_step_N` with an `actor`: verl writes N to `latest_checkpointed_iteration.txt` when the step is whole, except
  with Megatron's `async_save`.
- OpenRLHF's `_hf` and everything else: none. Weights, config and tokenizer are written in this order, so what can be
  loaded and rests is whole.

Where a marker is usual and there is none, a checkpoint counts when it has rested for `SETTLED_S`.

The directory is polled: file systems that a cluster shares tell a machine nothing of what another one writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from entropydx import checkpoint
from entropydx.errors import CheckpointError
from entropydx.layouts import checkpoints_in, training_step, unconverted
from entropydx.protocols import EngineOptions

SETTLED_S = 60.0
"""As long as an NFS client may go on seeing old attributes of a directory or file (`acdirmax`, `acregmax`; nfs(5))."""
Marker = Literal["written", "pending", "missing"]
Files = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A checkpoint's directory at one moment."""

    path: Path
    step: int
    files: Files
    """Name, size and time of change of each, in order."""
    newest: float
    """Time of the latest change, seconds since the epoch."""
    marker: Marker
    problem: str | None
    """Why its model cannot be loaded; None: it can."""
    convert: str | None
    """The error with the command, for a model that has to be converted first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A checkpoint over several polls."""

    look: Look
    since: float
    """When it was first seen as it is now."""
    ready_at: float | None = None
    """When it was first seen complete."""

    @property
    def name(self) -> str:
        """Return its directory's name."""
        return self.look.path.name

    @property
    def waiting_for(self) -> str:
        """Return why it does not count, for a person."""
        if self.look.problem is not None:
            return self.look.problem
        if self.look.marker == "written":
            return "it is still being written"
        unwritten = "its trainer has not written that it is whole"
        return f"{unwritten}, and it changed less than a minute ago" if self.look.marker == "missing" else unwritten


def look_into(run: Path, options: EngineOptions) -> list[Look]:
    """Return what the checkpoints of a run look like now, by step; one that vanishes meanwhile is left out."""
    found = []
    for path in checkpoints_in(run):
        try:
            found.append(_look(path, options))
        except FileNotFoundError:
            continue
    return found


def _look(path: Path, options: EngineOptions) -> Look:
    files: Files = ()
    step = training_step(path)
    problem = convert = None
    try:
        files = _files(path)
        checkpoint.resolve(str(path), options)
    except (CheckpointError, OSError) as error:
        if not path.is_dir():
            raise FileNotFoundError(path) from error
        problem = " ".join(str(error).split())
        known = unconverted(path) if isinstance(error, CheckpointError) else None
        convert = None if known is None else " ".join(str(known).split())
    return Look(
        path=path,
        step=step[1] if step else 0,
        files=files,
        newest=max((time for _, _, time in files), default=0) / 1e9,
        marker=_marker(path),
        problem=problem,
        convert=convert,
    )


def _files(path: Path) -> Files:
    found = []
    for file in sorted(path.rglob("*")):
        if file.is_file():
            stat = file.stat()
            found.append((str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _marker(path: Path) -> Marker:
    if path.name.startswith("checkpoint-"):
        return _trainer_state(path / "trainer_state.json")
    if (path / "actor").is_dir():
        return _tracker(path.parent / "latest_checkpointed_iteration.txt", training_step(path))
    return "written"


def _trainer_state(file: Path) -> Marker:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError):  # a network file system may have lost it for now, or for good
        return "pending"
    return "written"


def _tracker(file: Path, step: tuple[str, int] | None) -> Marker:
    try:
        reached = re.search(r"\d+", file.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "pending"
    return "written" if reached and step and int(reached.group()) >= step[1] else "pending"


def track(
    before: Mapping[str, Sighting], looks: Iterable[Look], poll: float, now: float
) -> tuple[dict[str, Sighting], tuple[Sighting, ...]]:
    """Compare a poll with the one before it. Pure.

    Parameters
    ----------
    before : mapping
        What this function returned at the last poll, by name.
    poll : float
        Seconds without a change after which a checkpoint counts.
    now : float
        Seconds since the epoch.

    Returns
    -------
    seen : dict
        What is there now, by name.
    gone : tuple of Sighting
        What was complete at the last poll and is not there any more.
    """
    seen = {}
    for look in looks:
        known = before.get(look.path.name)
        same = known is not None and known.look.files == look.files
        since = min(known.since, now) if known is not None and same else now  # a clock may be set back
        rested = now - since >= poll
        whole = look.marker == "written" or (look.marker == "missing" and now - look.newest >= SETTLED_S)
        complete = rested and whole and (look.problem is None or look.convert is not None)
        ready_at = (known.ready_at if known is not None and known.ready_at is not None else now) if complete else None
        seen[look.path.name] = Sighting(look=look, since=since, ready_at=ready_at)
    gone = tuple(s for name, s in before.items() if name not in seen and s.ready_at is not None)
    return seen, gone


def lost_files(look: Look) -> bool:
    """Return whether files of a checkpoint have been deleted since it was looked at."""
    return any(not (look.path / name).exists() for name, _, _ in look.files)
