"""Findings and the classifier's opinion to a diagnosis, by the table of docs/explanation/how-triage-works.md.

0. An instrument rule fired: `abnormal` or `inconclusive`; the instrument is blamed first, the classifier says nothing.
1. A failure's decisive rule fired and the classifier agrees: present; high confidence where it is sure, else medium.
2. Fired, and the classifier differs or does not speak: present, low confidence, both shown.
3. No decisive rule fired, but a suspicion did or the classifier is sure: undetermined, "suspected". Two witnesses make
   it present at low confidence, medium where the classifier gives 0.95 or more: a sure classifier and a rule that leans
   (every value beyond its threshold, and an interval that is too wide), or, without a baseline, where a failure has no
   decisive rule, a suspicion that fired.
4. Every decisive rule of the failure is clear: absent. Also where they are undecided, or only suspicions, when none
   fired, none leans, and the classifier gives it little.
5. Otherwise undetermined: `untested` when it has no decisive rule in this run or its inputs are missing.

The label is the present failure of highest severity times probability; `healthy` when every tested failure is absent,
at least one was tested, none is suspected, and nothing got worse that they do not explain; else `inconclusive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entropydx.classifier import Opinion
from entropydx.findings import NO_PROBE
from entropydx.standing import (
    AGREES,
    SURE,
    SUSPECTED,
    UNLIKELY,
    UNTESTED,
    VERY_SURE,
    Hearing,
    assess,
    assess_by_rules,
    leans,
    testable,
)
from entropydx.types import FAILURES, Confidence, Diagnosis, Evidence, FailureAssessment, Finding, Label

__all__ = ["MEANING", "SUSPECTED", "UNTESTED", "confidence", "exit_code", "prompts_needed", "triage"]

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


WORTH_A_WORD = 0.1
"""Strength times probability from which a runner-up is named: half of what leaves a failure unlikely."""
NEAR = 0.5
"""How much of a bound of the instrument may lie between it and a value that is near it: half, so that not one bad
completion is far from a bound of 10 % however few the prompts are."""
Standings = Mapping[str, FailureAssessment]
"""The standing of each failure, by the label's value."""


def _primary(hearing: Hearing, standings: Standings) -> Label:
    if hearing.instrument:
        return hearing.instrument[0].failure
    present = [f for f in FAILURES if standings[f].status == "present"]
    if present:
        return max(present, key=lambda f: _weight(standings[f]))
    tested = [f for f in FAILURES if not standings[f].reason.startswith(UNTESTED)]
    if tested and not hearing.unexplained and all(standings[f].status == "absent" for f in tested):
        return Label.HEALTHY
    return Label.INCONCLUSIVE


def _weight(standing: FailureAssessment) -> float:
    """Return severity times probability; a factor that is not known counts as a half."""
    severity, probability = (0.5 if x is None else x for x in (standing.severity, standing.probability))
    return severity * probability


def _runner_up(hearing: Hearing, label: Label, standings: Standings) -> Label | None:
    """Return the most supported other failure; None when little speaks for any.

    A rule that could not be measured supports nobody. Where the classifier says nothing the rules speak alone.
    """

    def support(failure: Label) -> float:
        probability = standings[failure].probability
        strengths = (f.strength for f in hearing.leading(failure) if f.strength is not None)
        return max(strengths, default=0.0) * (1.0 if probability is None else probability)

    best = max((f for f in FAILURES if f != label), key=support)
    return best if support(best) > WORTH_A_WORD else None


def confidence(hearing: Hearing, label: Label, standings: Standings) -> Confidence:
    """Return how far both witnesses carry the label; `inconclusive` claims nothing, and is always low."""
    if label == Label.ABNORMAL:
        return "low" if any(f.failure != Label.ABNORMAL for f in hearing.instrument) else "high"
    if label == Label.HEALTHY:
        return _confidence_in_health(hearing, standings)
    probability = standings[label].probability if label in FAILURES else None
    if probability is None or probability < AGREES:
        return "low"
    if any(f.status == "fired" for f in hearing.about(label, decisive=True)):
        return "high" if probability >= SURE else "medium"
    return "medium" if probability >= VERY_SURE else "low"


def _confidence_in_health(hearing: Hearing, standings: Standings) -> Confidence:
    """Return high only where rules cleared every failure and the classifier gives each little."""
    by_rules = (testable(hearing.about(f, decisive=True)) for f in FAILURES)
    if not all(rules and all(r.status == "clear" for r in rules) for rules in by_rules):
        return "low"
    known = [p for f in FAILURES if (p := standings[f].probability) is not None]
    if len(known) == len(FAILURES) and max(known) <= UNLIKELY:
        return "high"
    return "medium" if known and max(known) < AGREES else "low"


def _agreement(ruled: Standings, opinion: Opinion | None) -> bool | None:
    """Return whether both are on one side about every failure that both decided; None when there is no such failure."""
    if opinion is None:
        return None
    decided = [f for f in FAILURES if ruled[f].status != "undetermined" and opinion.probability(f) is not None]
    sides = [(ruled[f].status == "present") == ((opinion.probability(f) or 0.0) >= AGREES) for f in decided]
    return all(sides) if sides else None


def _summary(hearing: Hearing, label: Label, standings: Standings) -> str:
    if hearing.instrument:
        return f"{hearing.instrument[0].statement}; nothing is said about the model until that is mended."
    untested = [f.words for f in FAILURES if standings[f].reason.startswith(UNTESTED)]
    beside = f" Untested: {', '.join(untested)}." if untested else ""
    if label in FAILURES:
        return f"{hearing.accusing(label)[0].statement}.{_second_witness(hearing, label, standings)}{beside}"
    if label == Label.HEALTHY:
        cleared = [f.words for f in FAILURES if standings[f].status == "absent"]
        return f"Tested and cleared: {', '.join(cleared)}.{_highest(standings)}{beside}"
    if hearing.unexplained:
        return f"{hearing.unexplained[0].statement}, and no tested failure explains it.{beside}"
    open_ = [f"{f.words} ({standings[f].reason})" for f in FAILURES if standings[f].status == "undetermined"]
    return f"The evidence cannot decide: {'; '.join(open_)}."


def _second_witness(hearing: Hearing, label: Label, standings: Standings) -> str:
    """Return what the classifier adds to a failure that is present."""
    probability = standings[label].probability
    if probability is None:
        return ""
    if probability < AGREES:
        return f" The classifier differs: it gives this {probability:.2f}; the rules are followed."
    deciding = hearing.accusing(label)[0]
    if deciding.status == "fired" and deciding.decisive:
        return f" The classifier agrees ({probability:.2f})."
    sure = f"the classifier is sure ({probability:.2f}): two witnesses"
    sure += "" if hearing.about(label, decisive=True) else ", but no baseline to compare with"
    if deciding.status == "fired":
        return f" A suspicion, and {sure}."
    wide = list(dict.fromkeys(named(e) for e in deciding.evidence if e.status == "undecided"))
    of = f" of {', '.join(wide)}" if wide else ""
    too_wide = f"the interval{of} is" if len(wide) == 1 else f"the intervals{of} are"
    but = f"every value is beyond its threshold, but {too_wide} too wide for the rule alone"
    return f" {deciding.code} leans: {but}; {sure}."


def _highest(standings: Standings) -> str:
    """Return the largest probability of any failure, and who it is of."""
    known = {f: p for f in FAILURES if (p := standings[f].probability) is not None}
    if not known:
        return ""
    worst = max(known, key=lambda f: known[f])
    return f" The classifier gives none of them more than {known[worst]:.2f} ({worst.words})."


def prompts_needed(evidence: Evidence) -> int | None:
    """Return how many prompts would move the interval off the threshold if the value stayed where it is.

    Intervals shrink as 1/sqrt(n), and where all prompts agree, so that the value is an end of its interval, as 1/n; a
    tenth is added. None: there is no interval, or the value sits so near its threshold (a tenth of the interval's
    reach) that no affordable number of prompts would decide it.
    """
    if evidence.value is None or evidence.ci is None:
        return None
    reach = max(evidence.value - evidence.ci[0], evidence.ci[1] - evidence.value)
    distance = abs(evidence.value - evidence.threshold)
    power = 1 if evidence.value in evidence.ci else 2
    return None if distance * 10 < reach else int(evidence.n * (reach / distance) ** power * 1.1) + 1


def named(evidence: Evidence) -> str:
    """Return the measurement's name, and whether its change is meant."""
    return f"{evidence.measurement}{' change' if evidence.field == 'delta' else ''}"


def _more_prompts(evidence: Evidence) -> str | None:
    if evidence.value is None or evidence.ci is None:
        return None
    what = named(evidence)
    needed = prompts_needed(evidence)
    if needed is None:
        return f"{what} sits on its threshold {evidence.threshold:g}: no affordable number of prompts would decide it"
    return f"about {needed} prompts (now {evidence.n}) would decide {what} against {evidence.threshold:g}"


def _is_alone(standing: FailureAssessment) -> bool:
    """Return whether only the classifier suspects."""
    return standing.reason.startswith(SUSPECTED) and (standing.probability or 0.0) >= SURE


def _second_look(failure: Label, standing: FailureAssessment) -> str:
    return (
        f"the classifier is sure of {failure.words} ({standing.probability:.2f}) and no rule found it: read samples, "
        "and ask with more prompts"
    )


def _would_settle(hearing: Hearing, label: Label, standings: Standings, has_baseline: bool) -> tuple[str, ...]:
    """Return what would settle what is open, each once: first the instrument, or the rule that the label rests on.

    Where the instrument is at fault no other rule is asked what it needs.
    """
    advice: list[str] = [f.settle for f in hearing.instrument if f.settle]
    if label == Label.ABNORMAL:
        return tuple(dict.fromkeys(advice))
    if not hearing.instrument:
        leaning = [f for f in hearing.accusing(label) if leans(f)] if label in FAILURES else []
        unexplained = [f.settle for f in hearing.unexplained if f.settle and label == Label.INCONCLUSIVE]
        advice += [*unexplained, *(a for f in leaning for a in _for_rule(f))]
    if not has_baseline:
        advice.append(
            "give the checkpoint before the suspected training with --baseline: "
            "without one all failures but inference variance rest on a suspicion and the classifier"
        )
    if not hearing.instrument:
        advice += [a for failure in FAILURES for f in _undecided(hearing, failure) for a in _for_rule(f)]
        advice += _for_instrument([f for f in hearing.findings if _is_open(f) and f.failure not in FAILURES])
        advice += [_second_look(f, standings[f]) for f in FAILURES if _is_alone(standings[f])]
    unseen = [f.words for f in FAILURES if not [x for x in hearing.findings if x.failure == f]]
    if unseen:
        advice.append(f"nothing in this version tests {' or '.join(unseen)}")
    return tuple(dict.fromkeys(advice))


def _is_open(finding: Finding) -> bool:
    """Return whether an accusation that decides is undecided."""
    return finding.direction == "for" and finding.status == "undecided" and finding.decisive


def _undecided(hearing: Hearing, failure: Label) -> list[Finding]:
    """Return the rules that would decide a failure and do not; one that is left out of account needs nothing."""
    return [f for f in testable(hearing.about(failure, decisive=True)) if _is_open(f)]


def _for_rule(finding: Finding) -> list[str]:
    """Return what would decide a rule: what its author says, unless it was never asked, and more prompts."""
    open_ = [e for e in finding.evidence if e.status == "undecided"]
    if any(e.missing_reason == NO_PROBE for e in open_):
        return ["leave --probes out: what the rules look at was not measured"]
    own = [finding.settle] if finding.decisive and finding.settle else []
    return [*own, *(a for a in map(_more_prompts, open_) if a)]


def _for_instrument(undecided: Sequence[Finding]) -> list[str]:
    """Return what the undecided rules of the instrument need.

    What would mend the instrument is said only where a value is near its bound; else more prompts clear the rule.
    """
    near = [f for f in undecided if any(map(_is_near, f.evidence))]
    far = [f for f in undecided if f not in near]
    needed = {f.code: n for f in far if (n := max((prompts_needed(e) or 0 for e in _across(f)), default=0))}
    advice = [a for f in near for a in _for_rule(f)]
    if needed:
        now = max(e.n for f in far for e in _across(f))
        codes = ", ".join(needed)
        advice.append(f"about {max(needed.values())} prompts (now {now}) would clear {codes}, to which nothing points")
    return advice


def _across(finding: Finding) -> list[Evidence]:
    """Return the measured comparisons whose interval lies across the threshold."""
    return [e for e in finding.evidence if e.status == "undecided" and e.value is not None]


def _is_near(evidence: Evidence) -> bool:
    """Return whether an undecided value is beyond its bound, or near it."""
    if evidence.value is None or evidence.status != "undecided":
        return False
    over = evidence.value - evidence.threshold if evidence.op == ">" else evidence.threshold - evidence.value
    return over > 0 or -over < NEAR * abs(evidence.threshold)


def triage(findings: Sequence[Finding], *, has_baseline: bool, opinion: Opinion | None = None) -> Diagnosis:
    """Return the diagnosis that the table gives for the findings of one run.

    Parameters
    ----------
    findings : sequence of Finding
        Every rule in scope, applied.
    has_baseline : bool
        Whether the run was compared with a baseline.
    opinion : Opinion, optional
        The classifier's; without one the rules decide alone, at low confidence.
    """
    hearing = Hearing(tuple(findings))
    if hearing.instrument:
        opinion, blamed = None, hearing.instrument[0]
        reason = f"the instrument: {blamed.code} fired"
        ruled = {str(f): FailureAssessment(status="undetermined", reason=reason) for f in FAILURES}
        standings = ruled
    else:
        ruled = {str(f): assess_by_rules(hearing, f) for f in FAILURES}
        standings = {str(f): assess(hearing, f, opinion.failures[f] if opinion else None) for f in FAILURES}
    label = _primary(hearing, standings)
    return Diagnosis(
        label=label,
        confidence=confidence(hearing, label, standings),
        runner_up=None if hearing.instrument else _runner_up(hearing, label, standings),
        summary=_summary(hearing, label, standings),
        failures=standings,
        rules_label=_primary(hearing, ruled),
        classifier_label=opinion.label() if opinion else None,
        agreement=_agreement(ruled, opinion),
        would_settle_it=_would_settle(hearing, label, standings, has_baseline),
    )


def exit_code(label: Label) -> int:
    """Return 0 for healthy, 1 for a failure or abnormal, 3 for inconclusive."""
    return {Label.HEALTHY: 0, Label.INCONCLUSIVE: 3}.get(label, 1)
