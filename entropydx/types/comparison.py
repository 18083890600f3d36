"""Checkpoints held against one of them: exactly the JSON document of `entropydx compare`.

The first one is *before*; every other one is *after*, in a pair with it. `delta` is always after minus before, and a
ratio is always after divided by before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from entropydx.types.evidence import Interval, Status
from entropydx.types.labels import Label
from entropydx.types.remedies import Course
from entropydx.types.report import Confidence, Presence, Tool

if TYPE_CHECKING:
    import pandas as pd

COMPARISON_VERSION = "1.0"
Pairing = Literal["noise", "prompts", "none"]
"""noise: the same prompts drawn with the same noise; prompts: the same prompts, other noise; none: two estimates that
are put together as if they were independent."""
Basis = Literal["paired", "stated", "independent", "construction"]
"""paired: both runs' samples measured side by side; stated: the later report's own change against its baseline, which
is the earlier checkpoint; independent: from the two intervals; construction: the same draws, so that it is zero."""
Scale = Literal["difference", "ratio"]
Move = Literal["better", "worse", "same", "moved", "open"]
"""better, worse: the interval lies on one side of no change; same: it lies inside the margin, whether or not it holds
no change; moved: on one side, of a measurement that is good or bad in neither direction; open: none of these."""
FailureChange = Literal["resolved", "improved", "unchanged", "worse", "appeared", "undecided"]
Answer = Literal["worked", "partly", "no", "made_it_worse", "cannot_be_told", "nothing_to_fix"]
PromiseStatus = Literal["kept", "broken", "not_seen", "unmeasured"]
"""broken: it surely went the other way; not_seen: the interval holds no change, or lies within the margin."""
Held = Literal["kept", "partly", "no", "cannot_be_told", "nothing_promised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One of the checkpoints."""

    name: str
    """Unique in the comparison."""
    source: str
    """The run directory or the report file that it was read from, or that was made for it."""
    ref: str
    """The checkpoint, as its report names it."""
    fingerprint: str
    baseline: str | None
    """What its own diagnosis compared it with."""
    label: Label
    confidence: Confidence
    has_samples: bool
    """Whether its samples are at hand, and not only its report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One headline measurement, before and after; everything from `before` to `move` is None where it is missing."""

    measurement: str
    about: tuple[Label, ...]
    """The failures whose decisive rules look at it; empty: an outcome that every comparison shows."""
    unit: str | None = None
    before: float | None = None
    after: float | None = None
    scale: Scale = "difference"
    """Whether `change` is after minus before, or after divided by before."""
    change: float | None = None
    ci: Interval | None = None
    """At the pair's `level`."""
    margin: Interval | None = None
    """Changes that count as none: half of the way from no change to the rule's threshold, on both sides."""
    worse: Literal["lower", "higher"] | None = None
    """The direction in which the rule's threshold lies; None: neither is good or bad by itself."""
    move: Move | None = None
    basis: Basis | None = None
    n: int = 0
    """Prompts behind the change."""
    missing_reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDelta:
    """What became of one of the four failures."""

    failure: Label
    before: Presence
    """As the diagnosis before gave it."""
    after: Presence
    severity_before: float | None
    severity_after: float | None
    arose: Status | None
    """The failure's decisive rules on the later samples with the earlier ones as the baseline: fired when its whole
    pattern has come in between the two. None where the samples are not at hand or the instrument failed."""
    receded: Status | None
    """The same with the two exchanged: fired when the whole pattern has gone."""
    change: FailureChange
    reason: str
    """One line, with the measurements that carry it."""
    tested: bool
    """False: the later run and the comparison both lack what it takes to test it; then it decides no exit code."""
    harm_ruled_out: bool
    """Whether it surely did not get worse: it is absent after, or its pattern surely did not come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseOutcome:
    """One promise of a remedy, and what became of it."""

    measurement: str
    direction: Course
    source: str
    """What the promise rests on."""
    status: PromiseStatus
    reason: str
    """The change with its interval, and what it says; where it is unmeasured, why."""
    delta: Delta


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyOutcome:
    """Whether the remedy that was tried between two runs did what it promised."""

    remedy: str
    """Its id in the catalogue."""
    title: str
    held: Held
    """The table is in docs/reference/compare.md."""
    verdict: str
    """The same in sentences, with what became of the failures that it is for and against."""
    promises: tuple[PromiseOutcome, ...]
    targets: dict[str, FailureChange]
    """The failures that it is for and that were present before, and what became of each; empty: it was tried where
    nothing of its kind had been diagnosed."""
    contraindicated_before: tuple[Label, ...]
    """What it must not be used for, and was diagnosed before all the same."""
    contraindicated_after: tuple[Label, ...]
    """What it must not be used for, and appeared, got worse, or is what the later run is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One checkpoint against the first one."""

    before: str
    """Name of the first run."""
    after: str
    answer: Answer
    """Whether what was done in between mended what the first one had."""
    verdict: str
    """The same in a sentence."""
    paid: tuple[str, ...]
    """What got worse on the way: an outcome that was lost, a failure that appeared or got worse."""
    exit_code: int
    pairing: Pairing
    level: float
    """Of every interval of `deltas`."""
    family: int
    """How many headline measurements share the error rate (Bonferroni), those that a remedy promises included."""
    failures: tuple[FailureDelta, ...]
    """The four, always in the same order."""
    deltas: tuple[Delta, ...]
    notes: tuple[str, ...]
    """What to know when reading it."""
    promise: RemedyOutcome | None = None
    """Of the remedy that `--remedy` names; None: none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The whole document."""

    schema_version: str
    tool: Tool
    created_at: str
    exit_code: int
    """1: in a pair something got worse or appeared; else 3: of a pair it cannot be told; else 0."""
    runs: tuple[ComparedRun, ...]
    """As they were given: the first one is *before*."""
    pairs: tuple[Pair, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per pair and headline measurement; intervals and margins as two columns each."""
        import pandas as pd  # noqa: PLC0415 - only notebooks need it

        return pd.DataFrame(_row(pair, delta) for pair in self.pairs for delta in pair.deltas)


def _row(pair: Pair, delta: Delta) -> dict[str, object]:
    ends = {"ci": delta.ci or (None, None), "margin": delta.margin or (None, None)}
    return {
        "before_name": pair.before,
        "after_name": pair.after,
        "measurement": delta.measurement,
        "about": ", ".join(delta.about),
        "before": delta.before,
        "after": delta.after,
        "scale": delta.scale,
        "change": delta.change,
        **{f"{name}_{side}": x for name, pair_ in ends.items() for side, x in zip(("low", "high"), pair_, strict=True)},
        "move": delta.move,
        "basis": delta.basis,
        "unit": delta.unit,
        "n": delta.n,
        "missing_reason": delta.missing_reason,
    }
