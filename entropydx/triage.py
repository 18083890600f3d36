"""Findings to a diagnosis, by the written table of docs/explanation/how-triage-works.md.

0. An instrument rule fired: `abnormal` or `inconclusive`; the instrument is blamed first.
1. A failure's decisive rule fired and the classifier agrees: present, high confidence.
2. Fired, and the classifier differs or does not speak: present, low confidence.
3. No decisive rule fired, but a suspicion did (or the classifier is sure): undetermined, "suspected".
4. Every decisive rule of the failure is clear: absent.
5. Otherwise undetermined: `untested` when it has no decisive rule in this run or its inputs are missing.

The label is the present failure of highest severity; `healthy` when every tested failure is absent, at least one was
tested, none is suspected, and nothing got worse that they do not explain; else `inconclusive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entropydx.types import FAILURES, Confidence, Diagnosis, Evidence, FailureAssessment, Finding, Label

UNTESTED = "untested"
SUSPECTED = "suspected"
MEANING = {
    Label.TRAINING_COLLAPSE: "the policy stopped exploring: entropy, forks, formats and answer diversity are gone",
    Label.INFERENCE_VARIANCE: "it can, but not reliably: the same prompt gives wildly different quality",
    Label.HARD_SAMPLE_SHORTCUTTING: "RL on near-impossible items taught guesses and skipped work, and it leaked",
    Label.TEACHER_OVERCONFIDENCE: "distilled from a teacher that knew the answer: sure, brief, wrong out of domain",
    Label.HEALTHY: "none of the tested failures, with the power to have seen them",
    Label.ABNORMAL: "clearly broken, and none of the four failures",
    Label.INCONCLUSIVE: "the evidence cannot decide; the report says what would",
}
"""What each label claims."""


@dataclass(frozen=True, slots=True)
class _Case:
    """The findings of one run, by what they speak about."""

    findings: tuple[Finding, ...]

    def about(self, failure: Label, *, decisive: bool) -> list[Finding]:
        return [f for f in self.findings if f.failure == failure and f.decisive == decisive and f.direction == "for"]

    def support(self, failure: Label) -> float:
        """Strength of the strongest accusation of a failure, 0 when nothing accuses it."""
        accusing = self.about(failure, decisive=True) or self.about(failure, decisive=False)
        return max((f.strength for f in accusing), default=0.0)

    @property
    def instrument(self) -> list[Finding]:
        """Fired instrument findings, abnormal ones first."""
        return sorted(self._beside_failures(decisive=True), key=lambda f: (f.failure != Label.ABNORMAL, f.code))

    @property
    def unexplained(self) -> list[Finding]:
        """Fired findings that name no cause and keep `healthy` from being said."""
        return self._beside_failures(decisive=False)

    def _beside_failures(self, *, decisive: bool) -> list[Finding]:
        fired = (f for f in self.findings if f.status == "fired" and f.failure not in FAILURES)
        return [f for f in fired if f.decisive == decisive]


def assess_failure(case: _Case, failure: Label) -> FailureAssessment:
    """Return the standing of one failure by rows 1-5."""
    decisive = case.about(failure, decisive=True)
    fired = [f for f in decisive if f.status == "fired"]
    if fired:
        severity = max((f.severity for f in fired if f.severity is not None), default=None)
        return FailureAssessment(status="present", severity=severity, reason=f"{fired[0].code} fired")
    if not decisive:
        return FailureAssessment(status="undetermined", reason=_suspicion(case, failure))
    if all(f.status == "clear" for f in decisive):
        return FailureAssessment(status="absent", reason=f"{decisive[0].code} clear")
    return FailureAssessment(status="undetermined", reason=_why_open(decisive))


def _suspicion(case: _Case, failure: Label) -> str:
    """Return what a run without a decisive rule can say of a failure: suspected, perhaps, or untested."""
    quiet = case.about(failure, decisive=False)
    for finding in quiet:
        if finding.status == "fired":
            return f"{SUSPECTED}: {finding.code} fired"
    if any(f.status == "undecided" for f in quiet):
        return _why_open(quiet)
    if not quiet:
        return f"{UNTESTED}: its probes are not in this version"
    return f"{UNTESTED}: needs a baseline ({quiet[0].code} saw no extreme case)"


def _why_open(findings: Sequence[Finding]) -> str:
    code = next(f.code for f in findings if f.status == "undecided")
    untestable = [f.missing_input for f in findings if f.missing_input is not None]
    if untestable:
        return f"{UNTESTED}: {untestable[0]}"
    missing = _all_missing(findings)
    if not missing:
        return f"{code} undecided: the intervals are too wide"
    # Where part of the pattern is there and the rest was not measured, `healthy` must not be said over it.
    if any(e.status == "fired" for f in findings for e in f.evidence):
        return f"{code} undecided: {missing}"
    return f"{UNTESTED}: {missing}"


def _all_missing(findings: Sequence[Finding]) -> str:
    """Return why the undecided findings are so, when it is missing evidence rather than wide intervals."""
    blocking = [e for f in findings if f.status == "undecided" for e in f.evidence if e.status == "undecided"]
    reasons = [e.missing_reason for e in blocking if e.missing_reason]
    return reasons[0] if reasons and len(reasons) == len(blocking) else ""


def _primary(case: _Case, failures: dict[str, FailureAssessment]) -> Label:
    if case.instrument:
        return case.instrument[0].failure
    present = [f for f in FAILURES if failures[f].status == "present"]
    if present:
        return max(present, key=lambda f: failures[f].severity or 0.0)
    tested = [f for f in FAILURES if not failures[f].reason.startswith(UNTESTED)]
    if tested and not case.unexplained and all(failures[f].status == "absent" for f in tested):
        return Label.HEALTHY
    return Label.INCONCLUSIVE


def _runner_up(case: _Case, label: Label) -> Label | None:
    """Return the most supported other failure; None when nothing speaks for any."""
    others = [f for f in FAILURES if f != label]
    best = max(others, key=case.support)
    return best if case.support(best) > 0 else None


def _confidence(case: _Case, label: Label) -> Confidence:
    """Return high only with a classifier that agrees (none ships yet), or for breakage that no other doubt clouds."""
    doubted = any(f.failure != Label.ABNORMAL for f in case.instrument)
    return "high" if label == Label.ABNORMAL and not doubted else "low"


def _summary(case: _Case, label: Label, failures: dict[str, FailureAssessment]) -> str:
    if case.instrument:
        return f"{case.instrument[0].statement}; nothing is said about the model until that is mended."
    untested = [f.words for f in FAILURES if failures[f].reason.startswith(UNTESTED)]
    beside = f" Untested: {', '.join(untested)}." if untested else ""
    if label in FAILURES:
        accusing = next(f for f in case.about(label, decisive=True) if f.status == "fired")
        return f"{accusing.statement}.{beside}"
    if label == Label.HEALTHY:
        cleared = [f.words for f in FAILURES if failures[f].status == "absent"]
        return f"Tested and cleared: {', '.join(cleared)}.{beside}"
    if case.unexplained:
        return f"{case.unexplained[0].statement}, and no tested failure explains it.{beside}"
    open_ = [f"{f.words} ({failures[f].reason})" for f in FAILURES if failures[f].status == "undetermined"]
    return f"The evidence cannot decide: {'; '.join(open_)}."


def _more_prompts(evidence: Evidence) -> str | None:
    """Return how many prompts would move the interval off the threshold if the value stayed where it is."""
    if evidence.value is None or evidence.ci is None:
        return None
    reach = max(evidence.value - evidence.ci[0], evidence.ci[1] - evidence.value)
    distance = abs(evidence.value - evidence.threshold)
    what = f"{evidence.measurement}{' change' if evidence.field == 'delta' else ''}"
    if distance * 10 < reach:
        return f"{what} sits on its threshold {evidence.threshold:g}: no affordable number of prompts would decide it"
    needed = int(evidence.n * (reach / distance) ** 2 * 1.1) + 1
    return f"about {needed} prompts (now {evidence.n}) would decide {what} against {evidence.threshold:g}"


def _would_settle(case: _Case, label: Label, has_baseline: bool) -> tuple[str, ...]:
    advice: list[str] = [f.settle for f in case.instrument if f.settle]
    if label == Label.INCONCLUSIVE and not case.instrument:
        advice += [f.settle for f in case.unexplained if f.settle]
    for finding in case.findings:
        if finding.direction != "for" or finding.status != "undecided" or case.instrument:
            continue
        if finding.decisive and finding.settle:
            advice.append(finding.settle)
        if finding.decisive:
            open_ = (e for e in finding.evidence if e.status == "undecided")
            advice += [a for a in map(_more_prompts, open_) if a]
    if not has_baseline:
        advice.append(
            "give the checkpoint before the suspected training with --baseline: "
            "every failure but inference variance needs one"
        )
    if label not in {Label.ABNORMAL}:
        unseen = [f.words for f in FAILURES if not [x for x in case.findings if x.failure == f]]
        if unseen:
            advice.append(f"nothing in this version tests {' or '.join(unseen)}")
    return tuple(dict.fromkeys(advice))


def triage(findings: Sequence[Finding], *, has_baseline: bool) -> Diagnosis:
    """Return the diagnosis that the table gives for the findings of one run.

    Parameters
    ----------
    findings : sequence of Finding
        Every rule in scope, applied.
    has_baseline : bool
        Whether the run was compared with a baseline.
    """
    case = _Case(tuple(findings))
    if case.instrument:
        blamed = case.instrument[0]
        failures = {
            str(f): FailureAssessment(status="undetermined", reason=f"the instrument: {blamed.code} fired")
            for f in FAILURES
        }
    else:
        failures = {str(f): assess_failure(case, f) for f in FAILURES}
    label = _primary(case, failures)
    return Diagnosis(
        label=label,
        confidence=_confidence(case, label),
        runner_up=None if case.instrument else _runner_up(case, label),
        summary=_summary(case, label, failures),
        failures=failures,
        rules_label=label,
        would_settle_it=_would_settle(case, label, has_baseline),
    )


def exit_code(label: Label) -> int:
    """Return 0 for healthy, 1 for a failure or abnormal, 3 for inconclusive."""
    return {Label.HEALTHY: 0, Label.INCONCLUSIVE: 3}.get(label, 1)
