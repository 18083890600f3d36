"""Why a verdict is wrong, in a line: the comparisons that decided for it, or kept the right one from being given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from entropydx.findings import all_of, any_of
from entropydx.selftest.judging import Verdict
from entropydx.triage import UNTESTED
from entropydx.types import AnyOf, Condition, Evidence, Finding, Label, Rule

MAX_SHOWN = 3
"""Comparisons in a line."""


def misled(verdict: Verdict, rules: Mapping[str, Rule]) -> str:
    """Return the cause of a wrong verdict.

    Parameters
    ----------
    verdict : Verdict
        Whose label is not the truth of its case.
    rules : mapping of str to Rule
        By code.
    """
    label = verdict.diagnosis.label
    accusing = [f for f in verdict.findings if f.status == "fired" and f.decisive and f.direction == "for"]
    for finding in accusing:
        if finding.failure in {label, Label.ABNORMAL, Label.INCONCLUSIVE}:
            return _line(finding, rules)
    if label not in {Label.INCONCLUSIVE, Label.HEALTHY}:
        return _stated(verdict, label)
    if verdict.truth in verdict.diagnosis.failures:
        return _unseen(verdict, Label(verdict.truth), rules)
    if label == Label.HEALTHY:
        return "no rule about the instrument, and none about unexplained losses, fired"
    return _unsure(verdict, rules)


def _unseen(verdict: Verdict, failure: Label, rules: Mapping[str, Rule]) -> str:
    """Return what kept a failure that is there from being seen."""
    about = [f for f in verdict.findings if f.failure == failure and f.direction == "for"]
    quiet = [f for f in about if f.decisive and f.status != "fired"] or [f for f in about if f.status != "fired"]
    suspicions = [f"{f.code} fired, which is a suspicion" for f in about if f.status == "fired" and not f.decisive]
    return "; ".join([*(_line(f, rules) for f in quiet[:1]), *suspicions[:1], _stated(verdict, failure)])


def _unsure(verdict: Verdict, rules: Mapping[str, Rule]) -> str:
    """Return what kept `healthy` from being said of a sound checkpoint, or `abnormal` of a broken one."""
    loose = [f for f in verdict.findings if f.status == "fired" and f.failure == Label.INCONCLUSIVE]
    if loose:
        return _line(loose[0], rules)
    by_code = {f.code: f for f in verdict.findings}
    for failure, assessment in verdict.diagnosis.failures.items():
        if assessment.status == "undetermined" and not assessment.reason.startswith(UNTESTED):
            named = next((by_code[w] for w in assessment.reason.split() if w in by_code), None)
            return f"{Label(failure).words}: {_line(named, rules) if named else assessment.reason}"
    reasons = dict.fromkeys(assessment.reason for assessment in verdict.diagnosis.failures.values())
    return f"no failure could be tested ({'; '.join(reasons)})"


def _stated(verdict: Verdict, failure: Label) -> str:
    probability = verdict.probability(failure)
    if probability is None:
        return f"the classifier abstains on {failure.words} ({verdict.opinion.failures[failure].abstention})"
    return f"the classifier gives {failure.words} {probability:.2f}"


def _line(finding: Finding, rules: Mapping[str, Rule]) -> str:
    """Return a finding as `CODE status: the comparisons that made it so`."""
    made_so = list(_deciding(finding, rules[finding.code]))
    shown = "; ".join(made_so[:MAX_SHOWN])
    more = f"; and {len(made_so) - MAX_SHOWN} more" if len(made_so) > MAX_SHOWN else ""
    return f"{finding.code} {finding.status}: {shown}{more}"


def _deciding(finding: Finding, rule: Rule) -> Iterator[str]:
    """Yield the comparisons that made the status what it is; a rule is `all of when, none of unless`."""
    if finding.missing_input is not None:
        yield finding.missing_input
        return
    place = 0
    for condition in [*rule.when, *rule.unless]:
        evidence = finding.evidence[place : place + _size(condition)]
        place += len(evidence)
        status = (any_of if isinstance(condition, AnyOf) else all_of)(e.status for e in evidence)
        excuse = place > sum(map(_size, rule.when))
        if excuse and status == "fired" and finding.status == "clear":
            yield from (f"excused by {_comparison(e)}" for e in evidence if e.status == status)
        elif status == finding.status and not (excuse and status != "undecided"):
            yield from (_comparison(e) for e in evidence if e.status == status)


def _size(condition: Condition) -> int:
    return len(condition.options) if isinstance(condition, AnyOf) else 1


def _comparison(evidence: Evidence) -> str:
    what = evidence.measurement + (" change" if evidence.field == "delta" else "")
    if evidence.value is None or evidence.ci is None:
        return f"{what} missing ({evidence.missing_reason})"
    low, high = evidence.ci
    how = {"fired": "", "clear": "not ", "undecided": "not surely "}[evidence.status]
    side = "below" if evidence.op == "<" else "above"
    return f"{what} {evidence.value:.3g} [{low:.3g}, {high:.3g}] {how}{side} {evidence.threshold:g}"
