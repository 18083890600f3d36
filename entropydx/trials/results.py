"""What the trials say: for each arm, its outcome over seeds and its change against the cause removed. Numpy only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from entropydx.errors import ConfigError
from entropydx.trials.arms import AS_IT_IS, Arm, Trial
from entropydx.types import Interval, Label

LEVEL = 0.95
CONTROL = {"training_collapse": "cause_removed", "inference_variance": "none"}
"""What the arms of a failure are compared with; `none` where the cause cannot be taken out beside the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A mean over seeds with its t interval."""

    value: float
    ci: Interval | None
    """None with fewer than two seeds, or where nothing was trained: one checkpoint has no spread over seeds. None also
    where all seeds give one value, of a share over a hundred prompts: that is no certainty about the next seed."""
    n: int
    """Seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm from one start."""

    start: str
    """`failed` or `midway`."""
    arm: Arm
    outcomes: dict[str, Effect]
    """Number of the independent check to its mean over seeds."""
    changes: dict[str, Effect]
    """The same, each seed less that of the arm that it is compared with; empty for the control itself. Of decoding
    only what it serves."""
    measured: dict[str, Effect]
    """Measurement of entropydx to its mean over the seeds in which it could be measured."""
    gained: Effect | None
    """The decisive outcome, each seed less that of the start's checkpoint untouched; None where it was not measured.
    That one was measured once: its own noise is in no interval."""
    before: str | None
    """What the independent check says of the failure in that checkpoint."""
    present: int
    """Seeds in which the independent check finds the failure present."""
    whole: int
    """Seeds in which it finds no failure, and nothing lost beside: `truth.judge` says healthy. A failure can be neither
    present nor gone, since its definition asks that the rest is kept."""
    named: int
    """Seeds in which entropydx names the failure."""
    n: int


def read_cells(folder: Path) -> list[dict[str, Any]]:
    """Return every cell of a directory of trials.

    Raises
    ------
    ConfigError
        There is none, or a file is none.
    """
    files = sorted(folder.glob("cells/*.json"))
    if not files:
        raise ConfigError(f"no trial has an outcome in {folder}", "run `entropydx trials run --out` into it")
    found = []
    for file in files:
        try:
            cell = json.loads(file.read_text(encoding="utf-8"))
            found.append({key: cell[key] for key in ("failure", "start", "arm", "seed", "check", "entropydx")})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{file} is no outcome of a trial: {error!r}", "delete it, and run the trial") from error
    return found


def read_base(folder: Path, trial: Trial) -> dict[str, float] | None:
    """Return the numbers of the independent check of a trial's baseline; None where the directory has none."""
    file = folder / "base" / f"{Path(trial.baseline).name}.json"
    if not file.is_file():
        return None
    numbers: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return numbers


def summarise(trial: Trial, cells: Sequence[dict[str, Any]]) -> list[Row]:
    """Return a row for each start and arm that has an outcome, in the trial's order."""
    own = [cell for cell in cells if cell["failure"] == trial.failure]
    rows = []
    for start, _ in trial.starts:
        by_arm = {
            arm.name: {c["seed"]: c for c in own if (c["start"], c["arm"]) == (start, arm.name)} for arm in trial.arms
        }
        untouched = by_arm[AS_IT_IS].get(0)
        rows += [
            _row(trial, start, arm, by_arm[arm.name], (by_arm[arm.against or control_of(trial)], untouched))
            for arm in trial.arms
            if by_arm[arm.name]
        ]
    return rows


def control_of(trial: Trial) -> str:
    """Return the arm that the others of a trial are compared with."""
    return CONTROL.get(trial.failure, "none")


def _row(
    trial: Trial,
    start: str,
    arm: Arm,
    cells: dict[int, dict[str, Any]],
    others: tuple[dict[int, dict[str, Any]], dict[str, Any] | None],
) -> Row:
    control, untouched = others

    def numbers(cell: dict[str, Any]) -> dict[str, float]:
        found: dict[str, float] = cell["check"]["numbers"]
        return found

    outcomes, changes, served = {}, {}, dict(arm.served)
    for name in trial.outcomes:
        own = served.get(name, name)
        values = [numbers(c)[own] for c in cells.values() if own in numbers(c)]
        pairs = [
            numbers(c)[own] - numbers(control[seed])[name]
            for seed, c in cells.items()
            if seed in control and own in numbers(c) and name in numbers(control[seed])
        ]
        if values:
            outcomes[name] = effect(values)
        if pairs and (name in served if served else arm.name != control_of(trial)):
            changes[name] = effect(pairs)
    measured = {
        name: effect([row["value"] for row in found])
        for name in trial.measured
        if (found := [c["entropydx"]["measurements"][name] for c in cells.values() if _has(c, name)])
    }
    decisive = trial.outcomes[0]
    own = served.get(decisive, decisive)
    gained = None
    if untouched is not None and not (arm.served and decisive not in served):
        since = [numbers(c)[own] - numbers(untouched)[decisive] for c in cells.values() if own in numbers(c)]
        gained = effect(since) if since else None
    return Row(
        start=start,
        arm=arm,
        outcomes=outcomes,
        changes=changes,
        measured=measured,
        gained=gained,
        before=None if untouched is None else untouched["check"]["truth"][trial.failure],
        present=sum(c["check"]["truth"][trial.failure] == "present" for c in cells.values()),
        whole=sum(c["check"]["label"] == Label.HEALTHY for c in cells.values()),
        named=sum(c["entropydx"]["failures"][trial.failure] == "present" for c in cells.values()),
        n=len(cells),
    )


def _has(cell: dict[str, Any], name: str) -> bool:
    return name in cell["entropydx"]["measurements"]


def effect(values: Sequence[float]) -> Effect:
    """Return the mean with Student's t interval over seeds, x ± t(n - 1) s / sqrt(n)."""
    n, mean = len(values), float(np.mean(values))
    if n < 2 or np.ptp(values) < 1e-12:
        return Effect(value=mean, ci=None, n=n)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Effect(value=mean, ci=(mean - half, mean + half), n=n)
