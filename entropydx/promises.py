"""Whether a remedy did what it promised, by the changes between the run before it and the run after it. Pure.

A promise to rise or to fall is what the remedy is for; one not to fall, or not to rise, is what it leaves alone. By the
interval of the change, `null` being no change:

- rises: kept when the interval lies above null, broken when it lies below, not seen where it holds null or lies within
  the margin (a sure trifle is not what was promised); falls likewise.
- does not fall: kept when the interval lies above the margin's lower end, broken when it lies below null, else not
  seen; does not rise likewise.
- unmeasured: there is no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from entropydx.comparing import HARMED, became_words, change_words
from entropydx.types import (
    Course,
    Delta,
    FailureDelta,
    Held,
    Label,
    Promise,
    PromiseOutcome,
    PromiseStatus,
    Remedy,
    RemedyOutcome,
)

AIMS: tuple[Course, ...] = ("rises", "falls")
UP: tuple[Course, ...] = ("rises", "does_not_fall")
HELD: dict[Held, str] = {
    "kept": "It did what it promised",
    "partly": "It did a part of what it promised",
    "no": "It did not do what it promised",
    "cannot_be_told": "Whether it did what it promised cannot be told",
    "nothing_promised": "It promises nothing that is measured between two runs",
}
SAID: dict[PromiseStatus, str] = {
    "kept": "kept",
    "broken": "broken",
    "not_seen": "not seen",
    "unmeasured": "unmeasured",
}


def judged(remedy: Remedy, deltas: Iterable[Delta]) -> tuple[Held, tuple[PromiseOutcome, ...]]:
    """Return whether a remedy did what it promised, and what became of every promise.

    Parameters
    ----------
    deltas : iterable of Delta
        The changes from before to after; a promise about a measurement that is not among them is unmeasured.
    """
    by_name = {d.measurement: d for d in deltas}
    outcomes = tuple(_outcome(p, by_name.get(p.measurement) or _absent(p.measurement)) for p in remedy.promises)
    return _held(outcomes), outcomes


def _absent(name: str) -> Delta:
    return Delta(measurement=name, about=(), missing_reason="it was not measured")


def _outcome(promise: Promise, change: Delta) -> PromiseOutcome:
    status = _status(promise.direction, change)
    return PromiseOutcome(
        measurement=promise.measurement,
        direction=promise.direction,
        source=promise.source,
        status=status,
        reason=_reason(promise.direction, status, change),
        delta=change,
    )


def _status(course: Course, change: Delta) -> PromiseStatus:
    if change.change is None:
        return "unmeasured"
    if change.ci is None:
        return "not_seen"
    null = 1.0 if change.scale == "ratio" else 0.0
    low, high = (end - null for end in change.ci)
    floor, ceiling = (0.0, 0.0) if change.margin is None else (end - null for end in change.margin)
    if course not in UP:  # what falls is what rises in a mirror
        low, high, floor, ceiling = -high, -low, -ceiling, -floor
    if course in AIMS:
        trifle = floor < low and high < ceiling
        return "not_seen" if trifle or low <= 0 <= high else "kept" if low > 0 else "broken"
    within = low > floor if change.margin is not None else low >= 0
    return "kept" if within else "broken" if high < 0 else "not_seen"


def _reason(course: Course, status: PromiseStatus, change: Delta) -> str:
    if status == "unmeasured":
        return change.missing_reason or "it was not measured"
    if change.ci is None:
        return f"{change_words(change)}: it has no interval"
    if status != "not_seen":
        return change_words(change)
    if course in AIMS:
        why = "smaller than its margin" if change.move == "same" else "the interval holds no change"
    else:
        why = f"a {'fall' if course in UP else 'rise'} is not ruled out"
    return f"{change_words(change)}: {why}"


def _held(outcomes: Sequence[PromiseOutcome]) -> Held:
    """Return the answer over all promises, by the table in docs/reference/compare.md."""
    if not outcomes:
        return "nothing_promised"
    if all(o.delta.basis == "construction" for o in outcomes):
        return "cannot_be_told"  # one draw against itself shows no remedy
    every = {o.status for o in outcomes}
    aims = [o for o in outcomes if o.direction in AIMS] or list(outcomes)  # one that only protects is judged by that
    found = {o.status for o in aims}
    if found == {"kept"}:
        return "partly" if "broken" in every else "kept"
    if "kept" in found:
        return "partly"
    nothing = all(o.status == "not_seen" and o.delta.move == "same" for o in aims)
    return "no" if "broken" in every or nothing else "cannot_be_told"


def account(
    remedy: Remedy, deltas: Iterable[Delta], failures: Sequence[FailureDelta], labels: tuple[Label, Label]
) -> RemedyOutcome:
    """Return what a remedy did: its promises, the failures that it is for, and those that it must not be used for.

    Parameters
    ----------
    labels : tuple of Label
        The verdict before and the one after.
    """
    held, outcomes = judged(remedy, deltas)
    targets = [f for f in failures if f.failure in remedy.for_ and f.before == "present"]
    was = {f.failure for f in failures if f.before == "present"} | {labels[0]}
    is_ = {f.failure for f in failures if f.change in HARMED or f.after == "present"} | {labels[1]}
    against_before, against_after = (tuple(x for x in remedy.contraindicated_for if x in there) for there in (was, is_))
    told = [
        _of_promises(remedy, held, outcomes),
        _of_targets(remedy, targets),
        _of_harm(against_before, "was diagnosed before"),
        _of_harm(against_after, "is there after"),
    ]
    return RemedyOutcome(
        remedy=remedy.id,
        title=remedy.title,
        held=held,
        verdict=" ".join(sentence for sentence in told if sentence),
        promises=outcomes,
        targets={f.failure.value: f.change for f in targets},
        contraindicated_before=against_before,
        contraindicated_after=against_after,
    )


def _of_promises(remedy: Remedy, held: Held, outcomes: Sequence[PromiseOutcome]) -> str:
    if held == "nothing_promised":
        return f"{HELD[held]}{': ' if remedy.unmeasured else ''}{remedy.unmeasured}."
    parts = []
    for status, word in SAID.items():
        names = [o.measurement for o in outcomes if o.status == status]
        if names:
            parts.append(f"{word}: {', '.join(names)}")
    told = "; ".join(parts)
    return f"{HELD[held]}. {told[:1].upper()}{told[1:]}."


def _of_targets(remedy: Remedy, targets: Sequence[FailureDelta]) -> str:
    if targets:
        return f"Of what it is for, {', '.join(f'{f.failure.words} is {became_words(f)}' for f in targets)}."
    return f"It is for {', '.join(x.words for x in remedy.for_)}, which was not diagnosed before."


def _of_harm(found: Sequence[Label], when: str) -> str:
    return f"It must not be used for {', '.join(x.words for x in found)}, which {when}." if found else ""
