"""The standing of one failure, by rows 1-5 of the table in docs/explanation/how-triage-works.md.

Two witnesses are heard: the rules, and the classifier where it has an opinion. The rules lead. The classifier alone
makes no failure present; with a suspicion of the rules, or with a rule that leans, it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from entropydx.classifier import NONE_SHIPPED, FailureOpinion
from entropydx.types import FAILURES, FailureAssessment, Finding, Label

UNTESTED = "untested"
COPIES = "instrument.temperature"
"""The measurement by which greedy sampling is told (EDX910)."""
UNKNOWN = "unknown"
"""How its reason begins where a tool does not say it; where no probe was asked, the protocol says it all the same."""
SUSPECTED = "suspected"
AGREES = 0.5
"""A probability from which the classifier is on the side of a rule that fired: likelier than not."""
SURE = 0.8
"""A probability from which the classifier is sure; argued in ADR 8, as are the other three."""
VERY_SURE = 0.95
UNLIKELY = 0.2
LEANS = 0.5
"""Strength of a rule whose weakest condition has its value at the threshold."""


def leans(finding: Finding) -> bool:
    """Return whether an undecided rule has every value beyond its threshold, and only intervals that are too wide."""
    return finding.status == "undecided" and finding.strength is not None and finding.strength > LEANS


@dataclass(frozen=True, slots=True)
class Hearing:
    """The findings of one run, by what they speak about."""

    findings: tuple[Finding, ...]

    def about(self, failure: Label, *, decisive: bool) -> list[Finding]:
        """Return the accusations of a failure."""
        return [f for f in self.findings if f.failure == failure and f.decisive == decisive and f.direction == "for"]

    def leading(self, failure: Label) -> list[Finding]:
        """Return the accusations that decide: the decisive rules, or the suspicions of a run that has none."""
        return self.about(failure, decisive=True) or self.about(failure, decisive=False)

    def accusing(self, failure: Label) -> list[Finding]:
        """Return the deciding accusations that fired, else those that lean, else the supporting ones that fired."""
        fired = [f for f in self.leading(failure) if f.status == "fired"]
        leaning = [f for f in self.leading(failure) if leans(f)]
        return fired or leaning or [f for f in self.about(failure, decisive=False) if f.status == "fired"]

    @property
    def instrument(self) -> list[Finding]:
        """Fired instrument findings, abnormal ones first."""
        return sorted(self._beside_failures(decisive=True), key=lambda f: (f.failure != Label.ABNORMAL, f.code))

    @property
    def blind(self) -> str:
        """Why it is unknown whether repeats were copies of one greedy text, which agree whatever the model is.

        Nothing may be cleared then. Empty when it is known.
        """
        told = (e for f in self.findings if f.status == "undecided" for e in f.evidence if e.measurement == COPIES)
        reasons = (e.missing_reason or "" for e in told)
        return next((f"the temperature is {reason}" for reason in reasons if reason.startswith(UNKNOWN)), "")

    @property
    def unexplained(self) -> list[Finding]:
        """Fired findings that name no cause and keep `healthy` from being said."""
        return self._beside_failures(decisive=False)

    def _beside_failures(self, *, decisive: bool) -> list[Finding]:
        fired = (f for f in self.findings if f.status == "fired" and f.failure not in FAILURES)
        return [f for f in fired if f.decisive == decisive]


def assess_by_rules(hearing: Hearing, failure: Label) -> FailureAssessment:
    """Return the standing that the rules alone give."""
    decisive = testable(hearing.about(failure, decisive=True))
    fired = [f for f in decisive if f.status == "fired"]
    if fired:
        severity = max((f.severity for f in fired if f.severity is not None), default=None)
        return FailureAssessment(status="present", severity=severity, reason=f"{fired[0].code} fired")
    if not decisive:
        return FailureAssessment(status="undetermined", reason=_suspicion(hearing, failure))
    if all(f.status == "clear" for f in decisive):
        if hearing.blind:
            return FailureAssessment(status="undetermined", reason=f"{UNTESTED}: {hearing.blind}")
        return FailureAssessment(status="absent", reason=f"{decisive[0].code} clear")
    return FailureAssessment(status="undetermined", reason=_why_open(decisive))


def testable(decisive: Sequence[Finding]) -> Sequence[Finding]:
    """Leave out the rules that lack what they are about, such as a deployment, where another rule has its own."""
    return [f for f in decisive if f.missing_input is None] or decisive


def assess(hearing: Hearing, failure: Label, opinion: FailureOpinion | None) -> FailureAssessment:
    """Return the standing that rules and classifier give together; without an opinion, that of the rules."""
    ruled = assess_by_rules(hearing, failure)
    if opinion is None or opinion.abstention == NONE_SHIPPED:
        return ruled
    if opinion.probability is None:
        return replace(ruled, reason=f"{ruled.reason}; the classifier abstains, {opinion.abstention}")
    if ruled.status == "present" and not _looks_at(opinion, hearing.accusing(failure)):
        return replace(ruled, reason=f"{ruled.reason}; the classifier does not look at what that rule saw")
    return _weigh(hearing, failure, replace(ruled, probability=opinion.probability), opinion)


def _weigh(hearing: Hearing, failure: Label, ruled: FailureAssessment, opinion: FailureOpinion) -> FailureAssessment:
    """Weigh the standing by the rules against a probability."""
    probability, told = opinion.probability or 0.0, f"the classifier gives {opinion.probability:.2f}"
    because = f"{told}{_because(opinion)}"
    if ruled.status == "present":
        return ruled if probability >= AGREES else replace(ruled, reason=f"{ruled.reason}; {because}")
    if probability >= SURE:
        return _sure(hearing, failure, ruled, told, because)
    if probability <= UNLIKELY and (calm := _calm(hearing, failure, ruled)):
        return replace(ruled, status="absent", reason=f"{calm[0].code} {calm[0].status}, and {told}")
    if ruled.reason.startswith(UNTESTED) and probability >= AGREES:
        # Not `untested` any more, which would let `healthy` be said beside it.
        return replace(ruled, reason=f"open: {because}; {ruled.reason}")
    plain = ruled.status == "absent" and probability < AGREES
    return ruled if plain else replace(ruled, reason=f"{ruled.reason}; {told}")


def _sure(hearing: Hearing, failure: Label, ruled: FailureAssessment, told: str, because: str) -> FailureAssessment:
    """Return present where a rule is a second witness, a suspicion that fired or any that leans; else suspected."""
    fired = [f for f in _suspicions(hearing, failure) if f.status == "fired"]
    leaning = [f for f in testable(hearing.leading(failure)) if leans(f)]
    if fired or leaning:
        how = f"{fired[0].code} fired" if fired else f"{leaning[0].code} leans (every value is beyond its threshold)"
        return replace(ruled, status="present", reason=f"{how}, and {told}")
    return replace(ruled, status="undetermined", reason=f"{SUSPECTED}: {because}, against: {ruled.reason}")


def _looks_at(opinion: FailureOpinion, findings: Sequence[Finding]) -> bool:
    """Return whether the classifier has a feature of a measurement that a rule judged."""
    features = {c.feature.rpartition(" ")[2] for c in opinion.contributions}
    judged = {e.measurement for f in findings for e in f.evidence}
    return not features or not judged or bool(features & judged)


def _calm(hearing: Hearing, failure: Label, ruled: FailureAssessment) -> Sequence[Finding]:
    """Return the rules that leave a failure open without pointing to it; none where one does, or lacks a number."""
    leading = testable(hearing.leading(failure))
    open_ = [f for f in leading if f.status == "undecided"]
    missing = any(e.missing_reason for f in open_ for e in f.evidence if e.status == "undecided")
    pointing = any(f.status == "fired" or leans(f) for f in leading)
    return [] if ruled.status != "undetermined" or missing or pointing else leading


def _suspicions(hearing: Hearing, failure: Label) -> list[Finding]:
    """Return the accusations of a failure that has no decisive rule in this run."""
    return [] if hearing.about(failure, decisive=True) else hearing.about(failure, decisive=False)


def _because(opinion: FailureOpinion) -> str:
    """Return the feature that moved the opinion most, in the direction that it went."""
    side = 1 if (opinion.probability or 0.0) >= AGREES else -1
    leading = [c for c in opinion.contributions if c.log_odds * side > 0]
    return f" (mostly for {leading[0].feature} = {leading[0].value:.3g})" if leading else ""


def _suspicion(hearing: Hearing, failure: Label) -> str:
    """Return what a run without a decisive rule can say of a failure: suspected, perhaps, or untested."""
    quiet = hearing.about(failure, decisive=False)
    for finding in quiet:
        if finding.status == "fired":
            return f"{SUSPECTED}: {finding.code} fired"
    if any(f.status == "undecided" for f in quiet):
        return _why_open(quiet)
    if not quiet:
        return f"{UNTESTED}: its probes are not in this version"
    return f"{UNTESTED}: needs a baseline ({quiet[0].code} saw no extreme case)"


def _why_open(findings: Sequence[Finding]) -> str:
    first = next(f for f in findings if f.status == "undecided")
    untestable = [f.missing_input for f in findings if f.missing_input is not None]
    if untestable:
        return f"{UNTESTED}: {untestable[0]}"
    missing = _all_missing(findings)
    if not missing:
        lacking = next((e.missing_reason for e in first.evidence if e.status == "undecided" and e.missing_reason), "")
        return f"{first.code} undecided: {lacking}{'; besides, ' * bool(lacking)}the intervals are too wide"
    # Where part of the pattern is there and the rest was not measured, `healthy` must not be said over it.
    if any(e.status == "fired" for f in findings for e in f.evidence):
        return f"{first.code} undecided: {missing}"
    return f"{UNTESTED}: {missing}"


def _all_missing(findings: Sequence[Finding]) -> str:
    """Return why the undecided findings are so, when it is missing evidence rather than wide intervals."""
    blocking = [e for f in findings if f.status == "undecided" for e in f.evidence if e.status == "undecided"]
    reasons = [e.missing_reason for e in blocking if e.missing_reason]
    return reasons[0] if reasons and len(reasons) == len(blocking) else ""
