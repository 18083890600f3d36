"""Run trials: continue a checkpoint under one arm, and measure what came of it twice, by entropydx and independently.

A cell is one failure, start, arm and seed; its outcome is one JSON file, so what is there is not run again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from entropydx import pipeline, store
from entropydx.config import load_sidecar, resolve, settings
from entropydx.errors import ConfigError
from entropydx.organisms.catalogue import Recipe
from entropydx.organisms.examine import measure_all
from entropydx.organisms.growing import quiet, train_run, versions
from entropydx.organisms.truth import judge
from entropydx.protocols import Progress
from entropydx.trials.arms import Arm, Trial, cells
from entropydx.trials.designs import MIDWAY
from entropydx.types import FAILURES, Report

N_CHECK_PROMPTS = 192
"""Prompts of the independent check, 16 samples each: the standard error of pass@1 over them is about 0.03, and the
same prompts are asked of every arm."""
MEASURED = (
    "token_entropy.mean",
    "token_entropy.mean_ratio",
    "token_entropy.fork_mass_ratio",
    "format_mode.effective_number",
    "sampling_spread.pass_at_1",
    "sampling_spread.majority_gain",
    "sampling_spread.coverage",
    "sampling_spread.wrong_agreement",
    "sampling_spread.within_variance",
    "coverage.support_retention",
    "shortcutting.easy_regression",
    "shortcutting.step_density",
    "confidence.overconfidence@out",
)
"""What a cell keeps of entropydx's report, beside the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where trials read and write."""

    fixtures: Path
    """Holds `organisms/` and `series/`."""
    out: Path
    """Cells go to `cells/`, what is grown midway to `midway/`, the baselines' checks and samples to `base/`."""

    def checkpoint(self, name: str) -> Path:
        """Return where a checkpoint of a trial is."""
        return (self.out if name in MIDWAY else self.fixtures) / name

    def cell(self, trial: Trial, kind: str, arm: Arm, seed: int) -> Path:
        """Return the file of a cell."""
        plain = arm.name.replace(", ", "-").replace(" ", "-")
        return self.out / "cells" / f"{trial.failure}-{kind}-{plain}-{seed}.json"


def run(trial: Trial, place: Place, seeds: int, progress: Progress) -> Iterator[Path]:
    """Run every cell of a trial that has no outcome yet, or one of another dose, and yield its file.

    Raises
    ------
    ConfigError
        A checkpoint that the trial starts from is not there.
    """
    quiet()
    base = _baseline(trial, place, progress)
    for kind, checkpoint, arm, seed in cells(trial, seeds):
        file = place.cell(trial, kind, arm, seed)
        if not _is_there(file, arm):
            start = _checkpoint(checkpoint, place, progress)
            with tempfile.TemporaryDirectory() as folder:
                child = Path(folder) / "child"
                _train(start, arm.dose, seed, child, progress)
                told = {
                    "failure": str(trial.failure),
                    "start": kind,
                    "checkpoint": checkpoint,
                    "seed": seed,
                    **_described(arm),
                    "check": _check(child, trial, base, progress),
                    "entropydx": _summary(_diagnose(child, place, trial, seed, progress)),
                    "versions": versions(),
                }
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        yield file


def _is_there(file: Path, arm: Arm) -> bool:
    """Return whether a cell has its outcome, under the dose that the arm has now."""
    if not file.exists():
        return False
    done: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["dose"]
    wanted: dict[str, Any] = json.loads(json.dumps(asdict(arm.dose)))
    return done == {key: value for key, value in wanted.items() if key in done or value}


def _checkpoint(checkpoint: str, place: Place, progress: Progress) -> Path:
    """Return where a checkpoint is, grown first when it is one midway."""
    folder = place.checkpoint(checkpoint)
    if checkpoint not in MIDWAY:
        if folder.is_dir():
            return folder
        raise ConfigError(f"{folder} is not there", "name the directory that holds organisms/ and series/: --fixtures")
    parent, dose = MIDWAY[checkpoint]
    with _alone(folder):
        if not folder.is_dir():
            _train(place.checkpoint(parent), dose, 0, folder, progress)
    return folder


def _alone(path: Path) -> FileLock:
    """Return a lock on what trials share, for runs side by side: the first makes it, and the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{path}.lock")


def _train(parent: Path, dose: Any, seed: int, out: Path, progress: Progress) -> None:
    """Continue a checkpoint by a dose, into `out`."""
    spoken = load_sidecar(str(parent))
    assert spoken.suite is not None
    assert spoken.max_new_tokens is not None
    recipe = Recipe(
        name=out.name,
        cause="trial",
        label="unclear",
        parent=parent.name,
        dose=dose,
        why="",
        max_new_tokens=spoken.max_new_tokens,
        suite=spoken.suite,
    )
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    train_run([(recipe, part)], parent, seed, progress)
    part.rename(out)


def _baseline(trial: Trial, place: Place, progress: Progress) -> dict[str, float]:
    """Return the independent numbers of the baseline, measured once for all trials."""
    folder = _checkpoint(trial.baseline, place, progress)
    kept = place.out / "base" / f"{folder.name}.json"
    with _alone(kept):
        if not kept.exists():
            progress.start(f"check {folder.name}", 1)
            kept.write_text(json.dumps(measure_all(folder, N_CHECK_PROMPTS)))
            progress.advance()
    numbers: dict[str, float] = json.loads(kept.read_text())
    return numbers


def _described(arm: Arm) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "role": arm.role,
        "remedy": arm.remedy,
        "note": arm.note,
        "trainer": type(arm.dose).__name__.removesuffix("Dose").lower(),
        "dose": asdict(arm.dose),
    }


def _check(child: Path, trial: Trial, base: dict[str, float], progress: Progress) -> dict[str, Any]:
    """Return what the independent check says of a child."""
    progress.start("independent check", 1)
    numbers = measure_all(child, N_CHECK_PROMPTS)
    progress.advance()
    label, truth = judge(numbers, base, str(trial.failure))
    return {"label": str(label), "truth": truth, "n_prompts": N_CHECK_PROMPTS, "numbers": numbers}


def _diagnose(child: Path, place: Place, trial: Trial, seed: int, progress: Progress) -> Report:
    """Diagnose a child against the trial's baseline, whose samples are drawn once for each seed."""
    baseline = place.checkpoint(trial.baseline)
    own = place.out / "base" / f"{baseline.name}-{seed}"
    with _alone(own):
        if not (own / store.REPORT).is_file():
            # Whole, since every child stops where its own failures are decided.
            flags = {"seed": seed, "adaptive": False, "run_dir": str(own)}
            pipeline.diagnose(resolve(str(baseline), settings(flags, "the trial")), progress)
    flags = {"seed": seed, "baseline": str(baseline), "run_dir": str(child.with_name("run"))}
    return pipeline.diagnose(resolve(str(child), settings(flags, "the trial")), progress, own)


def _summary(report: Report) -> dict[str, Any]:
    rows = {name: report.row(name) for name in MEASURED}
    return {
        "label": str(report.diagnosis.label),
        "confidence": report.diagnosis.confidence,
        "failures": {str(f): report.diagnosis.failures[f].status for f in FAILURES},
        "measurements": {name: {"value": r.value, "ci": r.ci} for name, r in rows.items() if r.value is not None},
    }
