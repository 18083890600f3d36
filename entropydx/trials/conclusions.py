"""What the trials say of each remedy, in a sentence that a recommendation carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from entropydx.trials.arms import Trial
from entropydx.trials.designs import PLAIN_GRPO, TWO_UPDATES
from entropydx.trials.results import Effect, Row, control_of

AGAINST = {
    "none": "going on as before",
    "cause_removed": "the cause taken out alone",
    TWO_UPDATES: "the cause taken out alone, at two updates a rollout",
    PLAIN_GRPO: "plain GRPO",
}
"""What an arm is compared with, in words."""
FORMER = {"failed": "the failed checkpoint", "midway": "the checkpoint midway"}
STARTS = {"failed": "from the failed organism", "midway": "from a checkpoint midway"}
BEST = " Of all remedies tried against this failure it ended highest."
NOISE = 0.05
"""Of the check of the untouched checkpoint: about two standard errors over its 96 to 192 prompts of 16 samples. It was
measured once, so no interval over seeds holds it."""
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
    """Of the decisive outcome, of which more is better. Better: above the control by its interval, and above the
    checkpoint as it was, by its interval and by `NOISE`; worse: below either so. Better than going on with the cause is
    not enough."""
    best: bool
    """No other remedy ended so high from the failed organism, and it is better, or served and above its control."""
    sentence: str


def conclude(trial: Trial, rows: Sequence[Row]) -> list[Conclusion]:
    """Return what is concluded of every arm of a catalogue's remedy; of several arms of one, each."""
    decisive = trial.outcomes[0]
    concluded = [
        row
        for row in rows
        if row.arm.remedy is not None and row.arm.role != "control" and decisive in row.changes
        if row.arm.served or row.changes[decisive].n >= SEEDS
    ]
    best = _best(concluded, decisive)
    return [
        Conclusion(
            failure=str(trial.failure),
            remedy=row.arm.remedy,
            role=row.arm.role,
            start=row.start,
            verdict=_verdict(row, decisive),
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
        if row.changes[decisive].value > 0 and _verdict(row, decisive) in ("better", "one checkpoint")
    ]
    return max(able, key=lambda row: row.outcomes[decisive].value, default=None)


def to_json(conclusions: Sequence[Conclusion]) -> list[dict[str, Any]]:
    """Return them as plain values, for the file that the package ships."""
    return [asdict(conclusion) for conclusion in conclusions]


def _verdict(row: Row, decisive: str) -> Verdict:
    told = [(row.changes[decisive], 0.0), *([] if row.gained is None else [(row.gained, NOISE)])]
    if any(effect.n < 2 for effect, _ in told):
        return "one checkpoint"
    if any(effect.ci is not None and effect.ci[1] < 0 and effect.value < -noise for effect, noise in told):
        return "worse"
    above = (effect.ci is not None and effect.ci[0] > 0 and effect.value > noise for effect, noise in told)
    return "better" if all(above) else "no change seen"


def _sentence(trial: Trial, row: Row, change: Effect) -> str:
    start = STARTS[row.start] if row.arm.start is None else "from the checkpoint before the failure"
    decisive, against = trial.outcomes[0], AGAINST.get(row.arm.against or control_of(trial), row.arm.against)
    if row.arm.served:
        return (
            f"Tried on an organism, {start}: {decisive} {change.value:+.2f} against one answer at temperature 1 (one "
            "checkpoint, so no interval; docs/explanation/trials.md)."
        )
    variant = "" if row.arm.name == row.arm.remedy else f' as "{row.arm.name}"'
    since = "" if row.gained is None else f", {_signed(row.gained)} against {FORMER[row.start]} as it was"
    before = "" if row.before is None else f" (before: {row.before})"
    return (
        f"Tried on an organism{variant}, {start} ({change.n} seeds): {decisive} {_signed(change)} against {against}"
        f"{since}; the failure{before} is then present in {row.present} of {row.n}, and the checkpoint whole in "
        f"{row.whole} (docs/explanation/trials.md)."
    )


def _signed(change: Effect) -> str:
    interval = "" if change.ci is None else f" [{change.ci[0]:+.2f}, {change.ci[1]:+.2f}]"
    return f"{change.value:+.2f}{interval}"
