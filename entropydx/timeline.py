"""The diagnosed checkpoints of one run, in order: the law, when the failure began, what moved first, where to go back.

Pure: records in, records out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from entropydx import series
from entropydx.types import (
    FAILURES,
    Axis,
    ChangePoint,
    FloatArray,
    Interval,
    Label,
    LawFit,
    MeasurementRow,
    Movement,
    Onset,
    Scale,
    TrajectoryPoint,
)

LAW_ENTROPY = "token_entropy.seq_mean"
"""H of the law: the mean over completions of their mean entropy, as arXiv:2505.22617 has it (eq. 5)."""
REWARD = "sampling_spread.pass_at_1"
COVERAGE = "sampling_spread.coverage"
RATIO, FORKS = "token_entropy.mean_ratio", "token_entropy.fork_mass_ratio"
LENGTH = "instrument.completion_length"
EASY, OUT, ABLE = f"{REWARD}@easy", f"{REWARD}@out", f"{REWARD}@majority_right"
GAIN, AGREEMENT = "sampling_spread.majority_gain", "sampling_spread.wrong_agreement"
FORMAT = "format_mode.disagreement"

SCALES: Mapping[str, Scale] = {
    "token_entropy.mean": "log",
    LAW_ENTROPY: "log",
    RATIO: "log",
    FORKS: "log",
    FORMAT: "linear",
    LENGTH: "log",
    REWARD: "linear",
    COVERAGE: "linear",
    GAIN: "linear",
    AGREEMENT: "linear",
    ABLE: "linear",
    EASY: "linear",
    OUT: "linear",
}
"""The columns of a series, in the order shown, and the scale on which each one's shape is fitted."""
RATIOS = (RATIO, FORKS)
"""Columns that are relative to the baseline themselves: no change is 1."""
CHANGES = tuple(name for name in SCALES if name not in {"token_entropy.mean", LAW_ENTROPY})
"""Columns in which a change is looked for: of the three levels of entropy only the paired one."""
OUTCOMES = (REWARD, COVERAGE)
"""What a user loses; the rest can only be a sign of it."""
ONSET_COLUMNS: Mapping[Label, tuple[str, ...]] = {
    Label.TRAINING_COLLAPSE: (RATIO, FORKS, COVERAGE),
    Label.INFERENCE_VARIANCE: (ABLE, GAIN, REWARD),
    Label.HARD_SAMPLE_SHORTCUTTING: (EASY, LENGTH, REWARD),
    Label.TEACHER_OVERCONFIDENCE: (OUT, RATIO, REWARD),
    Label.ABNORMAL: (RATIO, REWARD, LENGTH),
}
"""The columns that a failure is about, the most telling first."""
SURE = 0.05
"""Largest p-value that is called significant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Points on an axis."""

    points: tuple[TrajectoryPoint, ...]
    x: tuple[float, ...]
    """Increasing."""
    ci_level: float
    """Of the intervals of the columns."""

    def rows(self, name: str) -> list[MeasurementRow]:
        """Return one column."""
        return [p.column(name) for p in self.points]

    def measured(self, name: str) -> int:
        """Return at how many points a column has a number."""
        return sum(row.value is not None for row in self.rows(name))

    def standard_error(self, ci: Interval) -> float:
        """Return the standard error behind an interval, taken as normal."""
        return (ci[1] - ci[0]) / 2 / float(stats.norm.ppf((1 + self.ci_level) / 2))

    def noise(self, name: str, scale: Scale) -> float:
        """Return the standard error of one point about its neighbours, on a scale.

        Points share prompts and noise, so it is that of the *paired* change against the baseline, over the square root
        of the two that it is a change between; the median over the points. Without one, 0: the spread then speaks.
        """
        errors = []
        for row in self.rows(name):
            paired = row.ci if name in RATIOS else row.delta_ci
            if row.value is None or paired is None or paired[0] == paired[1]:
                continue
            size = row.value if scale == "log" else 1.0
            errors.append(self.standard_error(paired) / size / np.sqrt(2))
        return float(np.median(errors)) if errors else 0.0


# ── the law ───────────────────────────────────────────────────────────────────────────────────────


def law(line: Timeline) -> LawFit:
    """Return the entropy law of the points that have both numbers."""
    both = [
        (p.name, h.value, r.value)
        for p, h, r in zip(line.points, line.rows(LAW_ENTROPY), line.rows(REWARD), strict=True)
        if h.value is not None and r.value is not None
    ]
    names = [name for name, _, _ in both]
    entropy, reward = (np.array([entry[i] for entry in both], dtype=float) for i in (1, 2))
    return series.fit_law(entropy, reward, names, line.noise(REWARD, "linear"))


# ── change points ─────────────────────────────────────────────────────────────────────────────────


def changes(line: Timeline) -> tuple[ChangePoint, ...]:
    """Return the change point of every column that has one to fit, with Holm's correction over the columns."""
    found = [c for name in CHANGES if (c := _change(line, name, SCALES[name])) is not None]
    significant = series.holm([c.p_value for c in found], SURE)
    return tuple(replace(c, significant=sure) for c, sure in zip(found, significant, strict=True))


def _change(line: Timeline, name: str, scale: Scale) -> ChangePoint | None:
    kept = [(i, row.value) for i, row in enumerate(line.rows(name)) if row.value is not None]
    values: FloatArray = np.array([value for _, value in kept], dtype=float)
    if len(values) < series.MIN_POINTS or (scale == "log" and values.min() <= 0):
        return None
    y = np.log(values) if scale == "log" else values
    change = series.change_point([line.x[i] for i, _ in kept], y, line.noise(name, scale))
    if change is None:
        return None
    names = [line.points[i].name for i, _ in kept]
    before, after = (np.exp(level) if scale == "log" else level for level in (change.before, change.after))
    return ChangePoint(
        column=name,
        scale=scale,
        at=change.at,
        ci=change.ci,
        last_before=names[change.last_before],
        first_after=names[change.last_before + 1],
        before=float(before),
        after=float(after),
        explained=change.explained,
        p_value=change.p_value,
        significant=False,
    )


# ── when it began ─────────────────────────────────────────────────────────────────────────────────


def failed(label: Label) -> bool:
    """Return whether a label says that something is wrong."""
    return label in FAILURES or label is Label.ABNORMAL


def first_diagnosed(points: Sequence[TrajectoryPoint], failure: Label) -> str | None:
    """Return the first checkpoint that is diagnosed with `failure` and after which none has any other verdict.

    An inconclusive one in between is no other verdict.
    """
    first = None
    for point in reversed(points):
        if point.label not in {failure, Label.INCONCLUSIVE}:
            break
        first = point.name if point.label == failure else first
    return first


def onset(line: Timeline, found: Sequence[ChangePoint], suspected: Label | None) -> tuple[Onset | None, str]:
    """Return when what the last checkpoint has began, and a sentence on what that rests on.

    The onset is the change point of the column that the failure is about. Without a failure only a change that is
    significant among all columns is told, and is called a change.

    Parameters
    ----------
    suspected : Label, optional
        The failure that the last diagnosis suspects without naming it.
    """
    label = line.points[-1].label
    failure = label if failed(label) else suspected
    if failure is None:
        sure = [c for c in found if c.significant]
        if not sure:
            return None, _nothing(line, found)
        change = min(sure, key=lambda c: (c.p_value, -c.explained))
        note = f"no failure is diagnosed; {change.column} changed (p = {change.p_value:.2g}), which need not be bad"
        return Onset(failure=None, suspected=False, change=change, first_diagnosed=None), note
    about = [c for name in ONSET_COLUMNS[failure] for c in found if c.column == name]
    if not about:
        columns = ONSET_COLUMNS[failure]
        needed = f"a change point needs {series.MIN_POINTS} or more points that differ in {', '.join(columns)}"
        return None, f"{needed}, has {max(line.measured(name) for name in columns)}"
    change = next((c for c in about if c.p_value <= SURE), about[0])
    doubt = "" if change.p_value <= SURE else "; not told apart from chance by the shape alone"
    began = Onset(
        failure=failure,
        suspected=not failed(label),
        change=change,
        first_diagnosed=first_diagnosed(line.points, failure),
    )
    return began, f"change point of {change.column}, p = {change.p_value:.2g}{doubt}"


def _nothing(line: Timeline, found: Sequence[ChangePoint]) -> str:
    if len(line.points) < series.MIN_POINTS:
        return f"no failure is diagnosed, and a change point needs {series.MIN_POINTS} points, has {len(line.points)}"
    if max(line.measured(name) for name in CHANGES) < series.MIN_POINTS:
        return f"no failure is diagnosed, and no column was measured at {series.MIN_POINTS} points"
    if not found:
        return "no failure is diagnosed, and no column changes at all"
    least = min(c.p_value for c in found)
    return f"no failure is diagnosed, and no column changes significantly (smallest p = {least:.2g} of {len(found)})"


# ── what moved first ──────────────────────────────────────────────────────────────────────────────


def _against_baseline(row: MeasurementRow) -> tuple[float, Interval] | None:
    """Return a column's change against the baseline with its interval; that of a ratio is against 1."""
    if row.name in RATIOS and row.value is not None and row.ci is not None:
        return row.value - 1, (row.ci[0] - 1, row.ci[1] - 1)
    return None if row.delta is None or row.delta_ci is None else (row.delta, row.delta_ci)


def movements(line: Timeline) -> tuple[Movement, ...]:
    """Return when each column left the baseline's level for good, in the order in which they did.

    The outcome is pass@1 or coverage, whichever fell first.
    """
    since = {
        name: moved
        for name in CHANGES
        if (moved := series.moved_since([_against_baseline(row) for row in line.rows(name)])) is not None
    }
    fallen = [(since[name][0], name) for name in OUTCOMES if name in since and not since[name][1]]
    outcome = min(fallen) if fallen else None
    return tuple(
        Movement(
            column=name,
            direction="rose" if rose else "fell",
            name=line.points[i].name,
            x=line.x[i],
            lead=None if outcome is None else line.x[outcome[0]] - line.x[i],
            outcome=None if outcome is None else outcome[1],
        )
        for name, (i, rose) in sorted(since.items(), key=lambda item: item[1][0])
    )


def precursors(moved: Sequence[Movement]) -> tuple[str, ...]:
    """Return the columns that moved before the outcome fell; an outcome is not its own sign."""
    return tuple(m.column for m in moved if m.column not in OUTCOMES and m.lead is not None and m.lead > 0)


# ── where to go back ──────────────────────────────────────────────────────────────────────────────


def last_healthy(points: Sequence[TrajectoryPoint]) -> str | None:
    """Return the latest checkpoint that was diagnosed as healthy."""
    return next((p.name for p in reversed(points) if p.label is Label.HEALTHY), None)


def go_back_to(points: Sequence[TrajectoryPoint], began: Onset | None, *, baseline_is_first: bool) -> str | None:
    """Return the latest healthy checkpoint that is not past the onset.

    A checkpoint can still be called healthy while it is already on its way. When no healthy one lies before the onset,
    the first point is returned if it is the baseline and has no failure of its own: nothing that the series compares
    with is better.
    """
    if not failed(points[-1].label):
        return None
    names = [p.name for p in points]
    limit = len(points) - 1 if began is None else names.index(began.change.last_before)
    healthy = last_healthy(points[: limit + 1])
    return healthy or (names[0] if baseline_is_first and not failed(points[0].label) else None)


# ── in words ──────────────────────────────────────────────────────────────────────────────────────


def summary(
    line: Timeline, axis: Axis, began: Onset | None, note: str, moved: Sequence[Movement], back: str | None
) -> str:
    """Return the sentences that a reader needs first."""
    label = line.points[-1].label
    said = [_began(line, axis, began, note)]
    first = next((m for m in moved if m.column in precursors(moved)), None)
    if first is not None and first.lead is not None:
        lead = f"{first.lead:.7g} {axis}{'s' * (first.lead != 1)}"
        said.append(f"{first.column} {first.direction} {lead} before {first.outcome} fell.")
    if back is not None:
        said.append(f"Go back to {back}.")
    elif failed(label):
        said.append("No checkpoint of the series is known to be healthy: go back to before it.")
    return " ".join(said)


def _began(line: Timeline, axis: Axis, began: Onset | None, note: str) -> str:
    label = line.points[-1].label
    if began is None:
        first = first_diagnosed(line.points, label) if failed(label) else None
        where = "" if first is None else f"{label.words.capitalize()} is first diagnosed at {first}. "
        return f"{where}{note[:1].upper()}{note[1:]}."
    change = began.change
    between = f"between {change.last_before} and {change.first_after} ({interval_words(line.x, axis, change)})"
    if began.failure is None:
        return f"{change.column} changed {between}; no failure is diagnosed."
    name = began.failure.words
    if began.suspected:
        return f"{name.capitalize()} is suspected, not diagnosed; it would have begun {between}."
    return f"{name.capitalize()} began {between}; it is first diagnosed at {began.first_diagnosed}."


def interval_words(x: Sequence[float], axis: Axis, change: ChangePoint) -> str:
    """Return where a change lies on the axis, with its interval, in words."""
    low, high = change.ci
    before = ", or before the series" if low <= x[0] else ""
    return f"{axis} {change.at:.7g}, {100 * series.LEVEL:g}% interval {low:.7g} to {high:.7g}{before}"
