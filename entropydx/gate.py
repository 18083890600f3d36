"""A policy held against a report: the one function behind the terminal page, the JSON document and the exit code.

Every comparison is one of intervals, in three values (`findings.compare`): a bound fails when the whole interval is
beyond it, passes when none of it is, and is otherwise undecided, which the policy says what it means. What was not
measured never passes silently.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from entropydx import __version__
from entropydx.findings import Measurements, compare
from entropydx.policy import ORDER, Bound, Outcome, Policy, Regression
from entropydx.reporters._words import decimals, estimate
from entropydx.runs import NO_CHANGE, Changes, to_measurement
from entropydx.standing import UNTESTED, Hearing
from entropydx.triage import confidence, prompts_needed
from entropydx.types import (
    FAILURES,
    GATE_VERSION,
    CheckKind,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    Gate,
    GateCheck,
    GateVerdict,
    Label,
    Measured,
    Measurement,
    Op,
    Report,
    Threshold,
    Tool,
)

EXITS: dict[GateVerdict, int] = {"failed": 1, "inconclusive": 3, "warned": 0, "passed": 0}
"""Verdict to exit code, the worst verdict first."""
VERDICTS: dict[Outcome, GateVerdict] = {
    "fail": "failed",
    "inconclusive": "inconclusive",
    "warn": "warned",
    "pass": "passed",
}
LIMITS: dict[str, tuple[Op, str, str, str]] = {
    "min": ("<", "below the minimum", "at least the minimum", "across the minimum"),
    "max": (">", "above the maximum", "at most the maximum", "across the maximum"),
    "max_drop": ("<", "beyond the allowed drop of", "within the allowed drop of", "across the allowed drop of"),
    "max_rise": (">", "beyond the allowed rise of", "within the allowed rise of", "across the allowed rise of"),
}
"""Key to the side that fails, and the words for failed, passed and undecided."""
NO_REPORT = "there is no report to compare with: give one with --against, or as `against` in the policy"
HOW_WORDS = {
    "baseline": "paired, as the report states it against its baseline",
    "paired": "paired, on the prompts of both runs",
    "independent": "from the intervals of the two reports, as if their prompts were not the same",
    "not_comparable": "not comparable",
}


# ── the verdict ───────────────────────────────────────────────────────────────────────────────────


def decide(
    report: Report, policy: Policy | None = None, *, against: Changes | None = None, source: str | None = None
) -> Gate:
    """Return the verdict of a policy on a report. Pure but for the time that it carries.

    Parameters
    ----------
    policy : Policy, optional
        None: the default one, which gives the exit code of `entropydx diagnose`.
    against : Changes, optional
        How the report differs from the one that regressions are measured against (`runs.changes`).
    source : str, optional
        The file of the report.
    """
    policy = policy or Policy()
    # What is quoted (a third party's reason for a missing number) may have lines of its own.
    checks = tuple(replace(check, reason=" ".join(check.reason.split())) for check in _checks(report, policy, against))
    verdict = next(v for v in EXITS if v == "passed" or any(c.verdict == v for c in checks))
    return Gate(
        schema_version=GATE_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=EXITS[verdict],
        verdict=verdict,
        reasons=_reasons(checks, verdict, report),
        checks=checks,
        policy=policy.source,
        policy_sha=policy.sha,
        label=report.diagnosis.label,
        confidence=report.diagnosis.confidence,
        summary=report.diagnosis.summary,
        checkpoint=report.checkpoint.ref,
        fingerprint=report.checkpoint.fingerprint,
        report=source,
        against=None if against is None else against.ref,
        against_how=None if against is None else _how(against, report),
    )


def _how(against: Changes, report: Report) -> str:
    words = HOW_WORDS[against.how] + (f": {against.reason}" if against.reason else "")
    return f"{words}; it is the same checkpoint" if against.fingerprint == report.checkpoint.fingerprint else words


def _reasons(checks: Sequence[GateCheck], verdict: GateVerdict, report: Report) -> tuple[str, ...]:
    if verdict != "passed":
        return tuple(dict.fromkeys(c.reason for c in checks if c.verdict == verdict))
    untested = [f.words for f in FAILURES if report.diagnosis.failures[f].reason.startswith(UNTESTED)]
    return (f"all {len(checks)} checks passed{'; untested: ' * bool(untested)}{', '.join(untested)}",)


def _checks(report: Report, policy: Policy, against: Changes | None) -> Iterator[GateCheck]:
    yield from (_failure_check(report, policy, failure) for failure in FAILURES)
    yield _abnormal_check(report, policy)
    yield _inconclusive_check(report, policy)
    itself = report.baseline is not None and report.baseline.fingerprint == report.checkpoint.fingerprint
    # Against itself every change is zero, which says nothing.
    rows = [replace(row, delta=None, delta_ci=None) if itself else row for row in report.measurements]
    measurements = {row.name: to_measurement(row) for row in rows}
    for bound in policy.bounds:
        yield from _limit_checks(bound, measurements)
    for regression in policy.regression:
        yield from _regression_checks(regression, against)


# ── what the diagnosis says ───────────────────────────────────────────────────────────────────────


def _failure_check(report: Report, policy: Policy, failure: Label) -> GateCheck:
    """Return what the policy makes of one failure, whether it is the primary label or not."""
    standing, asked = report.diagnosis.failures[failure], failure in policy.asked
    verdict: GateVerdict = "passed"
    if standing.status == "present":
        sure = _confidence(report.diagnosis, report.findings, failure)
        reason = f"{failure.words} is present ({sure} confidence): {standing.reason}{_first_number(report, failure)}"
        verdict, remark = _present(policy, failure, sure)
        return _check("failure", failure, verdict, reason + remark)
    if standing.status == "absent":
        return _check("failure", failure, "passed", f"{failure.words} is absent: {standing.reason}")
    untested = standing.reason.startswith(UNTESTED)
    if Hearing(report.findings).instrument:
        reason = report.diagnosis.summary
    else:
        reason = standing.reason if untested else f"open: {standing.reason}"
        reason = f"{failure.words} is {reason}"
    if asked:
        outcome = policy.untested if untested else policy.inconclusive
        if failure in policy.require and outcome in {"pass", "warn"}:
            outcome, reason = "inconclusive", f"{reason}; the policy requires it to be tested and absent"
        verdict = VERDICTS[outcome]
    return _check("failure", failure, verdict, reason + ("" if asked else "; the policy does not ask about it"))


def _confidence(diagnosis: Diagnosis, findings: Sequence[Finding], label: Label) -> Confidence:
    """Return the confidence of the primary label, or that of a failure beside it by the same rules."""
    if label == diagnosis.label:
        return diagnosis.confidence
    return confidence(Hearing(tuple(findings)), label, diagnosis.failures)


def _first_number(report: Report, failure: Label) -> str:
    """Return the first comparison that accuses, with its interval; "" where none has one."""
    accusing = (e for f in Hearing(report.findings).accusing(failure) for e in f.evidence)
    for e in accusing:
        if e.status != "clear" and e.value is not None:
            places = decimals(e.value, e.ci, e.threshold)
            change = "the change of " if e.field == "delta" else ""
            side = "below" if e.op == "<" else "above"
            numbers = estimate(e.value, e.ci, places, signed=e.field == "delta")
            return f"; {change}{e.measurement} is {numbers}, and accuses {side} {e.threshold:g}"
    return ""


def _present(policy: Policy, label: Label, sure: Confidence) -> tuple[GateVerdict, str]:
    """Return what it means that a failure is present, or the checkpoint abnormal, with a remark on why."""
    if label in policy.warn:
        return "warned", ""
    if label not in {*policy.fail, *policy.require}:
        return "passed", "; the policy lets it pass"
    if ORDER.index(sure) < ORDER.index(policy.min_confidence):
        remark = f"; the policy fails it from {policy.min_confidence} confidence on"
        required = f"{remark}, and requires it to be absent"
        return ("inconclusive", required) if label in policy.require else ("warned", remark)
    return "failed", ""


def _abnormal_check(report: Report, policy: Policy) -> GateCheck:
    if report.diagnosis.label != Label.ABNORMAL:
        return _check("label", Label.ABNORMAL, "passed", "the checkpoint is not called abnormal")
    verdict, remark = _present(policy, Label.ABNORMAL, report.diagnosis.confidence)
    return _check("label", Label.ABNORMAL, verdict, report.diagnosis.summary + remark)


def _inconclusive_check(report: Report, policy: Policy) -> GateCheck:
    """Return whether the diagnosis could be made at all; a single failure that is open is a check of its own."""
    diagnosis, hearing = report.diagnosis, Hearing(report.findings)
    standings = [diagnosis.failures[failure].reason for failure in policy.asked]
    if standings and all(reason.startswith(UNTESTED) for reason in standings):
        # Nothing that was asked about was tested: no policy turns that into a pass.
        verdict: GateVerdict = "failed" if policy.inconclusive == "fail" else "inconclusive"
        return _check(
            "label", Label.INCONCLUSIVE, verdict, "none of the failures that the policy asks about was tested"
        )
    if diagnosis.label == Label.INCONCLUSIVE and (hearing.instrument or hearing.unexplained):
        return _check("label", Label.INCONCLUSIVE, VERDICTS[policy.inconclusive], diagnosis.summary)
    remark = "; what is open in it is a check of its own" if diagnosis.label == Label.INCONCLUSIVE else ""
    return _check("label", Label.INCONCLUSIVE, "passed", f"the diagnosis could be made{remark}")


def _check(kind: CheckKind, label: Label, verdict: GateVerdict, reason: str) -> GateCheck:
    return GateCheck(name=f"{kind}.{label}", kind=kind, verdict=verdict, reason=reason)


# ── bounds and regressions ────────────────────────────────────────────────────────────────────────


def is_settled(policy: Policy, measurements: Measurements, changed: Measurements | None = None) -> bool:
    """Return whether more prompts would not change the verdict for the sake of bounds and allowed regressions.

    That is when one of them is broken already, or when no interval lies across one.

    Parameters
    ----------
    changed : mapping, optional
        The measurements with their change against the report that the gate compares with; None when there is none.
    """
    parts: list[tuple[Bound | Regression, Measurements]] = [(bound, measurements) for bound in policy.bounds]
    parts += [(regression, changed) for regression in policy.regression if changed is not None]
    compared = [evidence for part, among in parts for _, evidence in _compared(part, among)]
    broken = any(evidence.status == "fired" for evidence in compared)
    return broken or not any(e.status == "undecided" and e.missing_reason is None for e in compared)


def has_failed(policy: Policy, diagnosis: Diagnosis, findings: Sequence[Finding]) -> bool:
    """Return whether a failure, or what makes the checkpoint abnormal, fails the policy whatever its bounds say."""
    present = [f for f in FAILURES if diagnosis.failures[f].status == "present"]
    present += [Label.ABNORMAL] * (diagnosis.label == Label.ABNORMAL)
    return any(_present(policy, label, _confidence(diagnosis, findings, label))[0] == "failed" for label in present)


def _compared(part: Bound | Regression, measurements: Measurements) -> Iterator[tuple[str, Evidence]]:
    """Yield the key of every limit, and how the measurement compares with it."""
    for key, limit in part.limits.items():
        if limit is not None:
            threshold = Threshold(
                measurement=part.measurement,
                op=LIMITS[key][0],
                value=0.0 - limit if key == "max_drop" else limit,
                source="the policy",
                field=part.on,
            )
            yield key, _explained(compare(threshold, measurements), measurements.get(part.measurement))


def _explained(evidence: Evidence, measurement: Measurement | None) -> Evidence:
    """Return a comparison with the measurement's own word on why it has no change, where it has one."""
    note = (measurement.note or "") if isinstance(measurement, Measured) else ""
    if evidence.value is not None or not note.startswith(NO_CHANGE):
        return evidence
    return replace(evidence, missing_reason=note.removeprefix(NO_CHANGE))


def _limit_checks(
    part: Bound | Regression, measurements: Measurements, whom: str = "the baseline"
) -> Iterator[GateCheck]:
    kind: CheckKind = "bound" if isinstance(part, Bound) else "regression"
    infix = ".delta" if kind == "bound" and part.on == "delta" else ""
    what = part.measurement if part.on == "value" else f"the change of {part.measurement} against {whom}"
    for key, evidence in _compared(part, measurements):
        verdict, reason = _judged(part, evidence, what, _words(key, evidence))
        if part.measurement not in measurements:
            reason += _nearest(part.measurement, measurements)
        yield GateCheck(
            name=f"{kind}.{part.measurement}{infix}.{key}",
            kind=kind,
            verdict=verdict,
            reason=reason,
            measurement=part.measurement,
            value=evidence.value,
            ci=evidence.ci,
            op=evidence.op,
            limit=evidence.threshold,
        )


def _words(key: str, evidence: Evidence) -> dict[str, str]:
    """Return what a status means for a limit, in words that end in the number as the policy has it."""
    _, fired, clear, undecided = LIMITS[key]
    number = abs(evidence.threshold) if key.startswith("max_") else evidence.threshold
    said = {"fired": fired, "clear": clear, "undecided": undecided, "missing": undecided.removeprefix("across ")}
    return {status: f"{words} {number:g}" for status, words in said.items()}


def _judged(
    part: Bound | Regression, evidence: Evidence, what: str, words: Mapping[str, str]
) -> tuple[GateVerdict, str]:
    """Return the verdict of one limit and its reason."""
    if evidence.value is None or evidence.ci is None:
        outcome: Outcome = "warn" if part.undecided == "pass" else part.undecided
        return VERDICTS[outcome], f"{what} cannot be held against {words['missing']}: {evidence.missing_reason}"
    places = decimals(evidence.value, evidence.ci, evidence.threshold)
    numbers = f"{what} is {estimate(evidence.value, evidence.ci, places, signed=part.on == 'delta')}"
    if evidence.status == "fired":
        return "failed", f"{numbers}, all of it {words['fired']}"
    if evidence.status == "clear":
        return "passed", f"{numbers}, {words['clear']}"
    needed = prompts_needed(evidence)
    more = f"about {needed} prompts (now {evidence.n}) would decide it"
    more = more if needed is not None else "it sits there, and no affordable number of prompts would decide it"
    return VERDICTS[part.undecided], f"{numbers}, {words['undecided']}: {more}"


def _nearest(name: str, measurements: Measurements) -> str:
    near = difflib.get_close_matches(name, measurements, n=1)
    return f"; the nearest that the report has is {near[0]}" if near else ""


def _regression_checks(regression: Regression, against: Changes | None) -> Iterator[GateCheck]:
    if against is not None and not against.reason:
        yield from _limit_checks(regression, against.rows, against.ref)
        return
    reason = NO_REPORT if against is None else f"{against.ref} does not compare: {against.reason}"
    for check in _limit_checks(regression, {}):
        yield replace(check, reason=f"the change of {regression.measurement} is not known: {reason}")
