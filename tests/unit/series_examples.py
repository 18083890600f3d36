"""Diagnosed series built by hand: reports whose columns follow a planted shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from entropydx import trajectories
from entropydx.stats import CI_LEVEL
from entropydx.timeline import RATIOS, SCALES
from entropydx.trajectories import Stop
from entropydx.types import FailureAssessment, FloatArray, Label, MeasurementRow, Report, Trajectory
from tests.unit.report_examples import BASELINE, diagnosis, failures, healthy

Z = float(stats.norm.ppf((1 + CI_LEVEL) / 2))
N = 9
STEPS = tuple(20 * i for i in range(N))
HEALTHY, COLLAPSE = Label.HEALTHY, Label.TRAINING_COLLAPSE


def falling(onset: float, to: float, over: float = 40.0) -> FloatArray:
    """Return 1 until the step `onset`, then a geometric decline to `to` within `over` steps."""
    return np.exp(np.log(to) * np.clip((np.array(STEPS) - onset) / over, 0, 1))


def row(name: str, value: float, first: float, error: float) -> MeasurementRow:
    """Return a column's row with intervals of a standard error `error`; at the first point the change is exactly 0."""
    if not np.isfinite(value):
        return MeasurementRow(name=name, missing_reason="planted")
    reach, paired = Z * error, Z * error * (value != first)
    if name in RATIOS:
        return MeasurementRow(name=name, value=value, unit="x baseline", n=108, ci=(value - paired, value + paired))
    delta = value - first
    return MeasurementRow(
        name=name,
        value=value,
        unit="share",
        n=108,
        ci=(value - reach, value + reach),
        baseline=first,
        delta=delta,
        delta_ci=(delta - paired, delta + paired),
    )


def report(label: Label, rows: Sequence[MeasurementRow], fingerprint: str, *, suspected: bool = False) -> Report:
    """Return a report with that verdict and those measurements; `suspected` suspects a collapse."""
    none = FailureAssessment(status="undetermined", reason="suspected: EDX103 fired" if suspected else "untested")
    exit_code = 0 if label is HEALTHY else 3 if label is Label.INCONCLUSIVE else 1
    return replace(
        healthy(),
        exit_code=exit_code,
        checkpoint=replace(BASELINE, fingerprint=fingerprint, ref=fingerprint),
        baseline=replace(BASELINE, fingerprint="c0"),
        diagnosis=diagnosis(label, "low", "made up", runner_up=None, failures=failures(none)),
        measurements=tuple(rows),
    )


def series(
    columns: Mapping[str, FloatArray],
    labels: Sequence[Label],
    *,
    error: float = 0.005,
    steps: Sequence[int] | None = STEPS,
    suspected: bool = False,
    problems: Mapping[Path, str] | None = None,
) -> Trajectory:
    """Return the trajectory of checkpoints whose columns have these values, one per label."""
    stops, reports = [], []
    for i, label in enumerate(labels):
        name = f"checkpoint-{steps[i]}" if steps else f"c{i}"
        stops.append(Stop(ref=f"run/{name}", name=name, step=steps[i] if steps else None))
        # An error of a share; of a length in tokens it is a hundred times that.
        errors = {key: error * (100 if key == "instrument.completion_length" else 1) for key in columns}
        rows = [row(key, float(values[i]), float(values[0]), errors[key]) for key, values in columns.items()]
        reports.append(report(label, rows, f"c{i}", suspected=suspected))
    assert set(columns) <= set(SCALES)
    return trajectories.assemble(stops, reports, Path("series"), problems)


def collapsing() -> Trajectory:
    """Return a run that collapses after step 60: entropy from 60 on, length from 40, coverage from 80."""
    entropy = 0.6 * falling(60, 0.05)
    reward = 0.8 - 0.25 * np.exp(entropy)
    return series(
        {
            "token_entropy.mean": entropy,
            "token_entropy.seq_mean": entropy,
            "token_entropy.mean_ratio": entropy / entropy[0],
            "token_entropy.fork_mass_ratio": falling(60, 0.02),
            "format_mode.disagreement": 0.6 * falling(60, 0.05),
            "instrument.completion_length": 30 * falling(20, 0.5),
            "sampling_spread.pass_at_1": reward,
            "sampling_spread.coverage": 0.3 + 0.6 * falling(80, 0.3),
        },
        [HEALTHY] * 5 + [COLLAPSE] * 4,
    )


def broken() -> Trajectory:
    """Return a healthy run of which two checkpoints could not be diagnosed: one in between, and the newest."""
    run = Path("run")
    problems = {
        run / "checkpoint-180": "its weights are torn",
        run / "checkpoint-30": "run/checkpoint-30 is an empty directory",
    }
    return steady(problems=problems)


def steady(seed: int = 0, problems: Mapping[Path, str] | None = None) -> Trajectory:
    """Return a healthy run in which nothing moves but noise of a hundredth."""
    rng = np.random.default_rng(seed)
    columns = {
        "token_entropy.seq_mean": 0.6 + 0.01 * rng.normal(size=N),
        "token_entropy.mean_ratio": np.append(1.0, 1 + 0.01 * rng.normal(size=N - 1)),
        "instrument.completion_length": 30 + 0.3 * rng.normal(size=N),
        "sampling_spread.pass_at_1": 0.5 + 0.01 * rng.normal(size=N),
        "sampling_spread.coverage": 0.9 + 0.01 * rng.normal(size=N),
    }
    return series(columns, [HEALTHY] * N, error=0.01, problems=problems)
