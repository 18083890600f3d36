"""What became of each failure between two runs, and whether what was done in between worked. Pure.

For each of the four failures three things are heard: the standing that either diagnosis gave it; the failure's decisive
rules on the later samples with the earlier ones as their baseline, and the reverse, so that a whole pattern has to come
in or to go; and the changes of the measurements that those rules look at. A single measurement makes no failure appear,
as a single one makes no diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entropydx import pipeline
from entropydx.contrasts import Sides
from entropydx.findings import thresholds
from entropydx.standing import UNTESTED, Hearing, assess_by_rules
from entropydx.types import (
    FAILURES,
    Answer,
    Delta,
    FailureAssessment,
    FailureChange,
    FailureDelta,
    Label,
    Measurement,
    Report,
    Rule,
    Status,
)

MENDED: tuple[FailureChange, ...] = ("resolved", "improved")
HARMED: tuple[FailureChange, ...] = ("worse", "appeared")
BY_CONSTRUCTION = "the same weights, drawn alike: every change is zero by construction"
_STATUS: dict[str, Status] = {"present": "fired", "absent": "clear", "undetermined": "undecided"}
SHOWN = 2
"""Measurements that a reason names."""


# ── one failure ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of one failure on both sides."""

    before: FailureAssessment
    after: FailureAssessment
    arose: FailureAssessment | None
    """By the decisive rules, of the later run with the earlier one as its baseline; None: they could not be asked."""
    receded: FailureAssessment | None
    """Of the earlier run with the later one as its baseline."""
    deltas: tuple[Delta, ...]
    """Of the measurements that the failure's decisive rules look at."""
    covered: frozenset[str] | None = None
    """Measurements of the rules behind `arose` and `receded`; None: all. Those of the deployment are not there."""
    unseen: bool = False
    """A measurement of the later run has no counterpart, so that what became of it is not known."""

    @property
    def still(self) -> bool:
        """Whether the whole pattern surely neither came in nor went, and nothing beside it moved."""
        return self.did_not_come and self.pattern(back=True) == "clear" and not self._beside(self.better)

    @property
    def did_not_come(self) -> bool:
        """Whether the whole pattern surely did not come in, and nothing beside it got worse or cannot be compared."""
        return self.pattern() == "clear" and not self.unseen and not self._beside(self.worse)

    def _beside(self, deltas: Sequence[Delta]) -> list[Delta]:
        return [d for d in deltas if self.covered and d.measurement not in self.covered]

    @property
    def better(self) -> list[Delta]:
        """The changes that surely go away from a threshold."""
        return [d for d in self.deltas if d.move == "better"]

    @property
    def worse(self) -> list[Delta]:
        """The changes that surely go towards one."""
        return [d for d in self.deltas if d.move == "worse"]

    @property
    def same(self) -> bool:
        """Whether every change of what the later run measured is surely smaller than its margin."""
        measured = [d for d in self.deltas if d.move is not None]
        return bool(measured) and not self.unseen and all(d.move == "same" for d in measured)

    def pattern(self, *, back: bool = False) -> Status | None:
        """Return whether the whole pattern came in (or went)."""
        found = self.receded if back else self.arose
        return None if found is None else _STATUS[found.status]


def became(e: Evidence) -> FailureChange:
    """Return what became of a failure, by the table in docs/reference/compare.md."""
    before, after = e.before.status, e.after.status
    arose, receded = e.pattern(), e.pattern(back=True)
    if before == "present":
        return _of_present(e)
    if arose == "fired":
        return "worse" if after == "absent" else "appeared"
    if after == "present":
        if before == "absent":
            return "appeared" if e.worse else "undecided"
        return "unchanged" if e.same else "undecided"
    settled = before == after == "absent" or e.still or e.same
    return "improved" if receded == "fired" else "unchanged" if settled else "undecided"


def _of_present(e: Evidence) -> FailureChange:
    up, down = e.pattern(back=True) == "fired", e.pattern() == "fired"
    if e.after.status == "absent":
        return "resolved" if e.better or up else "undecided"
    up, down = up or bool(e.better and not e.worse), down or bool(e.worse and not e.better)
    if up != down:
        return "improved" if up else "worse"
    return "unchanged" if e.same and not up else "undecided"


def failure_delta(failure: Label, e: Evidence, blamed: str | None, *, same: bool) -> FailureDelta:
    """Return what became of a failure, with the reason in one line.

    Parameters
    ----------
    blamed : str, optional
        Which instrument failed, and where: then nothing is said of a failure.
    same : bool
        Both runs hold the same completions.
    """
    change: FailureChange = "unchanged" if same else "undecided" if blamed else became(e)
    untested = e.after.reason.startswith(UNTESTED) and (e.arose is None or e.arose.reason.startswith(UNTESTED))
    tested = not untested or change != "undecided"
    ruled_out = e.after.status == "absent" or e.did_not_come or change in {*MENDED, "unchanged"}
    return FailureDelta(
        failure=failure,
        before=e.before.status,
        after=e.after.status,
        severity_before=e.before.severity,
        severity_after=e.after.severity,
        arose=None if blamed else e.pattern(),
        receded=None if blamed else e.pattern(back=True),
        change=change,
        reason=BY_CONSTRUCTION if same else blamed or (_reason(e, change) if tested else e.after.reason),
        tested=tested,
        harm_ruled_out=ruled_out and not blamed and change not in HARMED,
    )


def _reason(e: Evidence, change: FailureChange) -> str:
    said = f"{_standing('before', e.before)}, {_standing('after', e.after)}"
    if change in MENDED:
        why = _carried(e.better, "its whole pattern has gone")
    elif change in HARMED:
        why = _carried(e.worse, "its whole pattern has come in")
    elif change == "unchanged":
        pattern = "its pattern neither came in nor went" if e.still else ""
        why = "every change is smaller than its margin" if e.same else pattern
    else:
        why = _why_open(e)
    return f"{said}; {why}" if why else said


def _why_open(e: Evidence) -> str:
    if e.better and e.worse:
        told = _told([*e.better[:1], *e.worse[:1]])
        return f"some of its measurements got better and some worse: {told}"
    if {e.before.status, e.after.status} == {"present", "absent"}:
        return "but no measurement of its decisive rules surely moved that way"
    if e.after.status == "absent":
        return "whether there was less of it before cannot be told"
    moved = e.better or e.worse
    return f"no whole pattern surely came or went: {_told(moved)}" if moved else "no whole pattern surely came or went"


def _standing(when: str, standing: FailureAssessment) -> str:
    if standing.status == "undetermined":
        return f"{when}: {standing.reason or 'undetermined'}"
    severity = "" if standing.severity is None else f" (severity {standing.severity:.2f})"
    return f"{when}: {standing.status}{severity}"


def _carried(deltas: Sequence[Delta], otherwise: str) -> str:
    return _told(deltas) if deltas else otherwise


def _told(deltas: Sequence[Delta]) -> str:
    return ", ".join(f"{d.measurement} {change_words(d)}" for d in deltas[:SHOWN])


def change_words(d: Delta) -> str:
    """Return a change with its interval: `+0.12 [+0.05, +0.19]`, or `x0.10 [0.06, 0.13]`."""
    if d.change is None:
        return d.missing_reason or "missing"
    point, form = (f"x{d.change:.3g}", "{:.3g}") if d.scale == "ratio" else (f"{d.change:+.3g}", "{:+.3g}")
    return point if d.ci is None else f"{point} [{form.format(d.ci[0])}, {form.format(d.ci[1])}]"


# ── all four ──────────────────────────────────────────────────────────────────────────────────────


def relative(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules that one run is judged by with another as its baseline, and those that judge the instrument."""
    return [r for r in rules if r.scope == "with_baseline" or (r.failure not in FAILURES and r.scope == "always")]


def failure_deltas(two: Sides, deltas: Sequence[Delta], rules: Sequence[Rule]) -> tuple[FailureDelta, ...]:
    """Return what became of each of the four."""
    judged = relative(rules)
    forward, backward = (_heard(rows, judged) for rows in (two.forward, two.backward))
    blamed = _blamed(two.before.report, two.after.report)
    found = []
    for failure in FAILURES:
        evidence = Evidence(
            before=two.before.report.diagnosis.failures[failure],
            after=two.after.report.diagnosis.failures[failure],
            arose=None if forward is None else assess_by_rules(forward, failure),
            receded=None if backward is None else assess_by_rules(backward, failure),
            deltas=tuple(d for d in deltas if failure in d.about),
            covered=frozenset(t.measurement for r in judged if r.failure == failure for t in thresholds(r)),
            unseen=any(failure in d.about and _has_no_counterpart(d, two.after.report) for d in deltas),
        )
        found.append(failure_delta(failure, evidence, blamed, same=two.same))
    return tuple(found)


def _has_no_counterpart(change: Delta, after: Report) -> bool:
    return change.change is None and after.row(change.measurement).value is not None


def _heard(rows: Mapping[str, Measurement], judged: Sequence[Rule]) -> Hearing | None:
    if not rows:
        return None
    hearing = Hearing(pipeline.find(list(rows.values()), has_baseline=True, among=judged))
    return None if hearing.instrument else hearing


def _blamed(before: Report, after: Report) -> str | None:
    """Return which instrument failed in which run; None when none did."""
    for when, report in (("before", before), ("after", after)):
        fired = Hearing(report.findings).instrument
        if fired:
            return f"{when}, the instrument failed ({fired[0].code}): {fired[0].statement}"
    return None


# ── did it work? ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The answer of one pair."""

    answer: Answer
    verdict: str
    paid: tuple[str, ...]
    exit_code: int


def rule_on(before: Report, after: Report, failures: Sequence[FailureDelta], deltas: Sequence[Delta]) -> Ruling:
    """Return whether what was done between two runs mended what the first one had, and what it cost."""
    was, is_ = before.diagnosis.label, after.diagnosis.label
    wrecked = is_ == Label.ABNORMAL and was != Label.ABNORMAL
    harmed = [f"{f.failure.words} is {_IS[f.change]}" for f in failures if f.change in HARMED]
    if wrecked:
        harmed.insert(0, f"it is abnormal now: {after.diagnosis.summary}")
    lost = [f"{d.measurement} {change_words(d)}" for d in deltas if not d.about and d.move == "worse"]
    answer = _answer(before, after, failures)
    told = [f"{f.failure.words} is {became_words(f)}" for f in failures if f.before == "present"]
    told += [harm for harm in harmed if harm not in told] or _otherwise(answer, before, after, failures, told)
    price = f" Paid: {'; '.join(lost)}." if lost else ""
    open_ = any(f.tested and not f.harm_ruled_out for f in failures)
    return Ruling(
        answer=answer,
        verdict=f"{ANSWERS[answer]}: {', '.join(told)}.{price}",
        paid=(*harmed, *lost),
        exit_code=1 if harmed else 3 if answer == "cannot_be_told" or open_ else 0,
    )


def _otherwise(
    answer: Answer, before: Report, after: Report, failures: Sequence[FailureDelta], told: Sequence[str]
) -> list[str]:
    """Return what is said where no failure was diagnosed before and none did harm."""
    if Label.ABNORMAL in {before.diagnosis.label, after.diagnosis.label}:
        return [f"before it was abnormal, after it is {after.diagnosis.label.words}"]
    blamed = _blamed(before, after)
    if blamed is not None:
        return [blamed]
    if answer != "nothing_to_fix" or told:
        return []
    unsure = ", ".join(f.failure.words for f in failures if f.tested and not f.harm_ruled_out)
    harm = f"whether something got worse cannot be told of {unsure}" if unsure else "none appeared or got worse"
    untested = ", ".join(f.failure.words for f in failures if not f.tested)
    return [f"no failure was diagnosed before, and {harm}{'; untested: ' * bool(untested)}{untested}"]


def _answer(before: Report, after: Report, failures: Sequence[FailureDelta]) -> Answer:
    was, is_ = before.diagnosis.label, after.diagnosis.label
    if is_ == Label.ABNORMAL:
        return "no" if was == is_ else "made_it_worse"
    if was == Label.ABNORMAL:
        return "worked" if is_ == Label.HEALTHY else "partly"
    return "cannot_be_told" if _blamed(before, after) else _of_failures(failures)


def _of_failures(failures: Sequence[FailureDelta]) -> Answer:
    targets = [f for f in failures if f.before == "present"]
    became_ = {f.change for f in targets}
    harmed = any(f.change in HARMED for f in failures)
    if harmed and "resolved" not in became_:
        return "made_it_worse"
    if not targets:
        return "nothing_to_fix"
    if became_ == {"resolved"}:
        return "partly" if harmed else "worked"
    if became_ & set(MENDED):
        return "partly"
    return "no" if all(map(_still_there, targets)) else "cannot_be_told"


def _still_there(found: FailureDelta) -> bool:
    """Return whether a failure surely was not mended: it is diagnosed again, or nothing of it changed."""
    return found.change == "unchanged" or (found.change == "undecided" and found.after == "present")


def became_words(found: FailureDelta) -> str:
    """Return what became of a failure, as it stands behind "is"."""
    if found.change == "undecided" and _still_there(found):
        return "still there, and whether there is less of it cannot be told"
    return _IS[found.change]


ANSWERS: dict[Answer, str] = {
    "worked": "It worked",
    "partly": "It worked in part",
    "no": "It did not work",
    "made_it_worse": "It made it worse",
    "cannot_be_told": "It cannot be told whether it worked",
    "nothing_to_fix": "Nothing to fix",
}
"""Each answer to "did the fix work?", in words."""
_IS: dict[FailureChange, str] = {
    "resolved": "resolved",
    "improved": "better, and not gone",
    "unchanged": "unchanged",
    "worse": "worse",
    "appeared": "there now",
    "undecided": "undecided",
}
