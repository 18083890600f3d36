"""What the trials say of each remedy, in a sentence that a recommendation carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from entropydx.trials.arms import PLAIN_GRPO, TWO_UPDATES, Trial
from entropydx.trials.results import Effect, Row, control_of

AGAINST = {
    "none": "going on as before",
    "cause_removed": "the cause taken out alone",
    TWO_UPDATES: "the cause taken out alone, at two updates a rollout",
    PLAIN_GRPO: "plain GRPO",
}
"""What an arm is compared with, in words."""
BEST = " Of the remedies tried there, it came out highest."
SEEDS = 3
"""Fewest trainings that a conclusion is drawn from."""
Verdict = Literal["better", "worse", "no change seen", "one checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One arm from one start against its control."""

    failure: str
    remedy: str
    role: str
    start: str
    verdict: Verdict
    """Of the decisive outcome, of which more is better: its interval lies above 0, below it, or holds it."""
    best: bool
    """From the failed organism no other remedy tried left the decisive outcome so high, and it is no worse than its
    control."""
    sentence: str


def conclude(trial: Trial, rows: Sequence[Row]) -> list[Conclusion]:
    """Return what is concluded of every arm of a catalogue's remedy; of several arms of one, each."""
    decisive = trial.outcomes[0]
    concluded = [
        row
        for row in rows
        if row.arm.remedy is not None and row.arm.role != "control" and decisive in row.changes
        if row.arm.served or row.n >= SEEDS
    ]
    best = _best(concluded, decisive)
    return [
        Conclusion(
            failure=str(trial.failure),
            remedy=row.arm.remedy,
            role=row.arm.role,
            start=row.start,
            verdict=_verdict(row.changes[decisive]),
            best=row is best,
            sentence=_sentence(trial, row, row.changes[decisive]) + (BEST if row is best else ""),
        )
        for row in concluded
        if row.arm.remedy is not None
    ]


def _best(rows: Sequence[Row], decisive: str) -> Row | None:
    """Return the remedy that left the decisive outcome highest; None where none is better than its control."""
    able = [
        row
        for row in rows
        if row.start == "failed" and row.arm.role == "remedy"
        if row.changes[decisive].value > 0 and _verdict(row.changes[decisive]) in ("better", "one checkpoint")
    ]
    return max(able, key=lambda row: row.outcomes[decisive].value, default=None)


def to_json(conclusions: Sequence[Conclusion]) -> list[dict[str, Any]]:
    """Return them as plain values, for the file that the package ships."""
    return [asdict(conclusion) for conclusion in conclusions]


def _verdict(change: Effect) -> Verdict:
    if change.ci is None:
        return "one checkpoint"
    return "better" if change.ci[0] > 0 else "worse" if change.ci[1] < 0 else "no change seen"


def _sentence(trial: Trial, row: Row, change: Effect) -> str:
    start = "from the failed organism" if row.start == "failed" else "from a checkpoint midway"
    interval = "" if change.ci is None else f" [{change.ci[0]:+.2f}, {change.ci[1]:+.2f}]"
    seeds = f"{row.n} seeds" if row.n > 1 else "one seed, so no interval"
    against = AGAINST.get(row.arm.against or control_of(trial), row.arm.against)
    if row.arm.served:
        return (
            f"Tried on an organism, {start}: {trial.outcomes[0]} {change.value:+.2f} against one answer at temperature "
            "1 (one checkpoint, so no interval; docs/explanation/trials.md)."
        )
    return (
        f"Tried on an organism, {start} ({seeds}): {trial.outcomes[0]} {change.value:+.2f}{interval} against "
        f"{against}; the failure is then still present in {round(row.still * row.n)} of {row.n} "
        "(docs/explanation/trials.md)."
    )
