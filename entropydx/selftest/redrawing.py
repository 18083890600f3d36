"""The committed organisms sampled afresh: whether the verdict depends on the draw, the machine or the libraries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from entropydx import pipeline
from entropydx.cases import Case, load_cases
from entropydx.classifier import Classifier
from entropydx.config import Settings, resolve
from entropydx.errors import ConfigError
from entropydx.lineup import Titled
from entropydx.protocols import Progress, Silent
from entropydx.selftest.judging import is_own_baseline, judge
from entropydx.types import Label, Redrawn

ORGANISMS = Path("fixtures") / "organisms"
"""Where the committed checkpoints are, below the root of a checkout."""
RUNS = Path("entropydx-runs") / "selftest"
"""Where the runs are kept: the same command draws only what is missing."""


def redraw(
    cases: Path, *, seed: int, organisms: Path = ORGANISMS, runs: Path = RUNS, progress: Progress | None = None
) -> tuple[Redrawn, ...]:
    """Diagnose every committed organism that is a labelled case again, under another seed.

    Parameters
    ----------
    seed : int
        Of the suite's items and of the sampling noise; one that the cases were not drawn with.
    organisms : Path
        Checkpoints by the names of the cases; a case whose checkpoint or baseline is not there is left out with a
        remark.

    Raises
    ------
    ConfigError
        No case has its checkpoint there, or the seed is one of the cases'.
    EntropydxError
        A diagnosis could not run; what was drawn before is kept.
    """
    progress = progress or Silent()
    known = load_cases(cases)
    if seed in {draw.seed for case in known for draw in case.draws}:
        raise ConfigError(f"the cases were drawn with seed {seed}", "give --full a seed that is new to them")
    there = _there(known, organisms, progress)
    if not there:
        raise ConfigError(f"no checkpoint in {organisms} is a labelled case", "run it in a checkout of entropydx")
    before = _labels(there)
    return tuple(_redrawn(case, before[case.name], organisms, runs / f"{case.name}-{seed}", progress) for case in there)


def _there(cases: Sequence[Case], organisms: Path, progress: Progress) -> list[Case]:
    found = []
    for case in cases:
        if not (organisms / case.name).is_dir():
            continue
        if (organisms / case.baseline).is_dir():
            found.append(case)
        else:
            progress.warn(f"{case.name} is left out: its baseline {case.baseline} is not in {organisms}")
    return found


def _labels(cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
    """Return what the stored draws are called, with the baseline where the case has another one than itself."""
    labels: dict[str, list[str]] = defaultdict(list)
    for verdict in judge(cases, Classifier.load(), Silent()):
        scope = "without_baseline" if is_own_baseline(verdict.case) else "with_baseline"
        if verdict.reading == "in_sample" and verdict.scope == scope:
            labels[verdict.case.name].append(verdict.label)
    return {name: tuple(said) for name, said in labels.items()}


def _redrawn(case: Case, before: tuple[str, ...], organisms: Path, run: Path, progress: Progress) -> Redrawn:
    baseline = None if is_own_baseline(case) else str(organisms / case.baseline)
    seed = int(run.name.rpartition("-")[2])
    settings = Settings(baseline=baseline, seed=seed, run_dir=str(run))
    report = pipeline.diagnose(resolve(str(organisms / case.name), settings), Titled(progress, case.name))
    now = str(report.diagnosis.label)
    return Redrawn(
        case=case.name, truth=case.label, before=before, now=now, flipped=now not in {*before, Label.INCONCLUSIVE}
    )
