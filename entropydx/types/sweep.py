"""Many checkpoints diagnosed one by one, side by side: exactly the JSON document of `entropydx sweep`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entropydx.types.labels import Label
from entropydx.types.report import Confidence, MeasurementRow, Tool

if TYPE_CHECKING:
    import pandas as pd

SWEEP_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEntry:
    """One checkpoint of the sweep; when it could not run everything but `name`, `ref`, `exit_code`, `error` is None."""

    name: str
    """Unique in the sweep: the directory's own name where that is enough."""
    ref: str
    """As the engine was given it."""
    exit_code: int
    """What `entropydx diagnose` of it alone gives."""
    error: str | None = None
    """Why it could not run, in one line."""
    run_dir: str | None = None
    """Where its samples are."""
    report: str | None = None
    """The file of its report."""
    fingerprint: str | None = None
    label: Label | None = None
    confidence: Confidence | None = None
    severity: float | None = None
    """Of the failure that the label names, in [0, 1]; None: the label names none of the four."""
    probability: float | None = None
    """Of that failure, where it is calibrated."""
    runner_up: Label | None = None
    pass_at_1: MeasurementRow | None = None
    """`sampling_spread.pass_at_1`, a fraction."""
    entropy: MeasurementRow | None = None
    """`token_entropy.mean`, nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The whole document."""

    schema_version: str
    tool: Tool
    created_at: str
    exit_code: int
    """2: a checkpoint could not run; else 1: one has a failure or is abnormal; else 3: one is inconclusive; else 0."""
    baseline: str | None
    """What every checkpoint was compared with."""
    entries: tuple[SweepEntry, ...]
    """The worst first; those that could not run last."""

    def to_frame(self) -> pd.DataFrame:
        """Return one row per checkpoint in this order; of pass@1 and entropy the value and the ends of its interval."""
        import pandas as pd  # noqa: PLC0415 - only notebooks need it

        return pd.DataFrame(
            {
                "name": e.name,
                "ref": e.ref,
                "label": None if e.label is None else e.label.value,
                "confidence": e.confidence,
                "severity": e.severity,
                "probability": e.probability,
                **_columns("pass_at_1", e.pass_at_1),
                **_columns("entropy", e.entropy),
                "runner_up": None if e.runner_up is None else e.runner_up.value,
                "exit_code": e.exit_code,
                "error": e.error,
                "report": e.report,
            }
            for e in self.entries
        )


def _columns(name: str, row: MeasurementRow | None) -> dict[str, float | None]:
    low, high = (None if row is None else row.ci) or (None, None)
    return {name: None if row is None else row.value, f"{name}_low": low, f"{name}_high": high}
