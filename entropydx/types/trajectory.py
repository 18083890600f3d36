"""What a series of checkpoints of one training run says: exactly the JSON document of `entropydx trajectory`.

`x` is the training step where every checkpoint carries one, else the checkpoint's place in the series, from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from entropydx.types.evidence import Interval
from entropydx.types.inputs import CheckpointInfo
from entropydx.types.labels import Label
from entropydx.types.report import Confidence, MeasurementRow, Protocol, Tool

if TYPE_CHECKING:
    import pandas as pd

TRAJECTORY_VERSION = "1.1"
Axis = Literal["step", "checkpoint"]
Scale = Literal["log", "linear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryPoint:
    """One checkpoint of the series."""

    name: str
    """Unique in the series: the directory's own name where that is enough."""
    ref: str
    """As the engine was given it."""
    step: int | None
    """Training step, read off the name; None when some name of the series carries none."""
    fingerprint: str
    run_dir: str
    """Where its samples and its report are."""
    label: Label
    confidence: Confidence
    exit_code: int
    columns: tuple[MeasurementRow, ...]
    """The same measurements for every point, in the same order; changes are against the series' baseline."""

    def column(self, name: str) -> MeasurementRow:
        """Return the measurement of that name."""
        return next(row for row in self.columns if row.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutCheckpoint:
    """A checkpoint of the run directory that is no point of the series."""

    name: str
    """Its directory's name."""
    ref: str
    """Its path."""
    step: int | None
    """Training step, read off the name; None: it carries none, so the series has no place for it."""
    newer: bool
    """Its step is higher than that of every checkpoint that was diagnosed."""
    reason: str
    """Why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPoint:
    """A later checkpoint, as the law fitted on the earlier ones predicts it."""

    name: str
    predicted: float
    interval: Interval
    """Prediction interval, simultaneous over the held-out points."""
    observed: float
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """R = b - a e^H (arXiv:2505.22617): R the pass@1 as a fraction, H the entropy in nats; of one run, never universal.

    Every number is None where nothing was fitted; `why` says the reason.
    """

    holds: bool | None
    """None: it cannot be told."""
    why: str
    n: int
    """Points fitted."""
    level: float
    """Confidence level of the intervals."""
    a: float | None = None
    a_ci: Interval | None = None
    b: float | None = None
    b_ci: Interval | None = None
    ceiling: float | None = None
    """b - a: the pass@1 at which all entropy is spent; on these prompts."""
    ceiling_ci: Interval | None = None
    headroom: float | None = None
    """a (e^H - 1) at the last point: the ceiling less the pass@1 that the law gives it."""
    headroom_ci: Interval | None = None
    r_squared: float | None = None
    residual_sd: float | None = None
    """Of pass@1 about the fit, n - 2 degrees of freedom."""
    held_out: tuple[HeldOutPoint, ...] = ()
    """The second half, predicted from the first."""
    held_out_rmse: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Where one column left its level: flat, then a ramp, then flat."""

    column: str
    scale: Scale
    """Whether the shape was fitted to the value or to its logarithm."""
    at: float
    """x at which the ramp starts."""
    ci: Interval
    """Profile-likelihood interval of `at`."""
    last_before: str
    """The last checkpoint that is not on the ramp yet."""
    first_after: str
    before: float
    """Level before, in the column's unit."""
    after: float
    """Level at the end of the series, as fitted."""
    explained: float
    """Share of the column's variance that the shape explains, in [0, 1]."""
    p_value: float
    """Permutation p-value of the shape against no change at all."""
    significant: bool
    """After Holm's correction over the columns of the series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """When it began."""

    failure: Label | None
    """What the last checkpoint is diagnosed with; None: a change, and no failure."""
    suspected: bool
    """The failure is suspected and not diagnosed."""
    change: ChangePoint
    """Of the column that shows this failure best."""
    first_diagnosed: str | None
    """The first checkpoint with the failure's label, after which none has any other verdict; None when none has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """When a column first moved against the baseline, and stayed moved to the end."""

    column: str
    direction: Literal["fell", "rose"]
    name: str
    """The first checkpoint whose change is surely on the side where the series ends and at least a fifth of the final
    one, as are all later ones."""
    x: float
    lead: float | None
    """x of `outcome` less `x`: positive when this column moved first; None when no outcome fell."""
    outcome: str | None
    """The outcome (pass@1 or coverage) that fell first; None when none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """The whole document."""

    schema_version: str
    tool: Tool
    created_at: str
    exit_code: int
    """Of the last checkpoint's diagnosis; 2 when a newer one could not be diagnosed."""
    summary: str
    """When it began, what moved first, and where to go back, in sentences."""
    axis: Axis
    """What x is."""
    baseline: CheckpointInfo
    baseline_is_first: bool
    """The baseline is the first point, whose changes are then zero by definition."""
    protocol: Protocol
    points: tuple[TrajectoryPoint, ...]
    law: LawFit
    changes: tuple[ChangePoint, ...]
    """Of every column that has one to fit, significant or not."""
    onset: Onset | None
    onset_note: str
    """What the onset rests on, or why none is given."""
    movements: tuple[Movement, ...]
    """In the order in which they happened."""
    precursors: tuple[str, ...]
    """Columns that moved before the outcome fell."""
    last_healthy: str | None
    """The latest checkpoint that was diagnosed as healthy."""
    go_back_to: str | None
    """The latest healthy one that is not past the onset; None when there is nothing to go back from, or none."""
    notes: tuple[str, ...]
    """What to know when reading it."""
    left_out: tuple[LeftOutCheckpoint, ...] = ()
    """Checkpoints of the run directory that are no points, by step; those without a step last."""

    @property
    def undiagnosed(self) -> LeftOutCheckpoint | None:
        """Return the newest checkpoint of the run where it is one that could not be diagnosed."""
        return max((c for c in self.left_out if c.newer), key=lambda c: c.step or 0, default=None)

    @property
    def x(self) -> tuple[float, ...]:
        """Position of every point on the axis."""
        return tuple(float(i if p.step is None else p.step) for i, p in enumerate(self.points))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per checkpoint: verdict, and value, interval, change and its interval of every column."""
        import pandas as pd  # noqa: PLC0415 - only notebooks need it

        rows = []
        for x, point in zip(self.x, self.points, strict=True):
            row = {"name": point.name, "x": x, "label": point.label.value, "confidence": point.confidence}
            for column in point.columns:
                low, high = column.ci or (None, None)
                delta_low, delta_high = column.delta_ci or (None, None)
                row |= {
                    column.name: column.value,
                    f"{column.name}.low": low,
                    f"{column.name}.high": high,
                    f"{column.name}.delta": column.delta,
                    f"{column.name}.delta_low": delta_low,
                    f"{column.name}.delta_high": delta_high,
                }
            rows.append(row)
        return pd.DataFrame(rows)
