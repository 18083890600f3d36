"""The written table, row by row."""

import pytest

from entropydx.triage import UNTESTED, exit_code, triage
from entropydx.types import Evidence, Finding, Label, Status

COLLAPSE, VARIANCE = Label.TRAINING_COLLAPSE, Label.INFERENCE_VARIANCE


def _evidence(status: Status, missing: str | None = None, value: float = 0.35) -> Evidence:
    return Evidence(
        measurement="a.b",
        field="value",
        value=None if missing else value,
        ci=None if missing else (0.2, 0.5),
        op="<",
        threshold=0.3,
        unit="",
        source="test",
        status=status,
        strength=0.5,
        n=40,
        missing_reason=missing,
    )


def _finding(
    failure: Label,
    status: Status,
    *,
    code: str = "EDX1",
    decisive: bool = True,
    severity: float | None = None,
    strength: float = 0.5,
    evidence: tuple[Evidence, ...] = (),
) -> Finding:
    return Finding(
        code=code,
        failure=failure,
        direction="for",
        status=status,
        strength=strength,
        statement=f"{code} says so",
        decisive=decisive,
        evidence=evidence,
        severity=severity,
        settle=f"settle {code}",
    )


def test_all_tested_failures_clear_is_healthy_with_the_untested_beside_it() -> None:
    diagnosis = triage([_finding(COLLAPSE, "clear"), _finding(VARIANCE, "clear")], has_baseline=True)
    assert diagnosis.label == Label.HEALTHY
    assert diagnosis.failures["training_collapse"].status == "absent"
    assert diagnosis.failures["teacher_overconfidence"].reason.startswith(UNTESTED)
    assert "Untested" in diagnosis.summary
    assert diagnosis.confidence == "low"


def test_nothing_tested_is_never_healthy() -> None:
    assert triage([], has_baseline=True).label == Label.INCONCLUSIVE


def test_a_fired_rule_is_present_at_low_confidence_without_a_classifier() -> None:
    diagnosis = triage([_finding(COLLAPSE, "fired", severity=0.8), _finding(VARIANCE, "clear")], has_baseline=True)
    assert (diagnosis.label, diagnosis.confidence) == (COLLAPSE, "low")
    assert diagnosis.failures["training_collapse"].severity == 0.8
    assert diagnosis.failures["training_collapse"].probability is None
    assert diagnosis.classifier_label is None
    assert diagnosis.agreement is None


def test_the_most_severe_present_failure_is_the_label() -> None:
    both = [_finding(COLLAPSE, "fired", severity=0.2), _finding(VARIANCE, "fired", code="EDX2", severity=0.9)]
    diagnosis = triage(both, has_baseline=True)
    assert diagnosis.label == VARIANCE
    assert diagnosis.runner_up == COLLAPSE
    assert diagnosis.failures["training_collapse"].status == "present"


@pytest.mark.parametrize("label", [Label.ABNORMAL, Label.INCONCLUSIVE])
def test_the_instrument_is_blamed_first(label: Label) -> None:
    findings = [_finding(COLLAPSE, "fired", severity=1.0), _finding(label, "fired", code="EDX9")]
    diagnosis = triage(findings, has_baseline=True)
    assert diagnosis.label == label
    assert {a.status for a in diagnosis.failures.values()} == {"undetermined"}
    assert diagnosis.would_settle_it[0] == "settle EDX9"


def test_abnormal_outranks_inconclusive() -> None:
    findings = [
        _finding(Label.INCONCLUSIVE, "fired", code="EDX901"),
        _finding(Label.ABNORMAL, "fired", code="EDX903"),
    ]
    assert triage(findings, has_baseline=True).label == Label.ABNORMAL


def test_a_loss_that_no_tested_failure_explains_is_not_health() -> None:
    loss = _finding(Label.INCONCLUSIVE, "fired", code="EDX909", decisive=False)
    cleared = [_finding(COLLAPSE, "clear"), _finding(VARIANCE, "clear")]
    diagnosis = triage([*cleared, loss], has_baseline=True)
    assert diagnosis.label == Label.INCONCLUSIVE
    assert diagnosis.failures["training_collapse"].status == "absent", "what was cleared stays cleared"
    assert diagnosis.summary.startswith("EDX909 says so")
    assert "settle EDX909" in diagnosis.would_settle_it
    explained = triage([_finding(COLLAPSE, "fired", severity=0.5), loss], has_baseline=True)
    assert explained.label == COLLAPSE


def test_an_undecided_instrument_does_not_block() -> None:
    findings = [_finding(Label.INCONCLUSIVE, "undecided", code="EDX9"), _finding(VARIANCE, "clear")]
    assert triage(findings, has_baseline=True).label == Label.HEALTHY


def test_a_suspicion_is_undetermined_and_blocks_healthy() -> None:
    findings = [_finding(COLLAPSE, "fired", decisive=False), _finding(VARIANCE, "clear", code="EDX2")]
    diagnosis = triage(findings, has_baseline=False)
    assert diagnosis.label == Label.INCONCLUSIVE
    assert diagnosis.failures["training_collapse"].reason == "suspected: EDX1 fired"
    assert diagnosis.runner_up == COLLAPSE


def test_wide_intervals_are_inconclusive_and_say_how_many_prompts_would_decide() -> None:
    findings = [_finding(COLLAPSE, "undecided", evidence=(_evidence("undecided"),)), _finding(VARIANCE, "clear")]
    diagnosis = triage(findings, has_baseline=True)
    assert diagnosis.label == Label.INCONCLUSIVE
    # Half-width 0.15 at 40 prompts, 0.05 from the threshold: nine times the prompts, and a tenth more.
    assert any("about 397 prompts (now 40)" in advice for advice in diagnosis.would_settle_it)


def test_missing_evidence_is_untested_and_does_not_block() -> None:
    missing = _finding(COLLAPSE, "undecided", evidence=(_evidence("undecided", "no references"),))
    diagnosis = triage([missing, _finding(VARIANCE, "clear", code="EDX2")], has_baseline=True)
    assert diagnosis.failures["training_collapse"].reason == "untested: no references"
    assert diagnosis.label == Label.HEALTHY


def test_no_baseline_leaves_collapse_untested_and_asks_for_one() -> None:
    quiet = _finding(COLLAPSE, "clear", code="EDX102", decisive=False)
    diagnosis = triage([quiet, _finding(VARIANCE, "clear", code="EDX202")], has_baseline=False)
    assert diagnosis.label == Label.HEALTHY
    assert "baseline" in diagnosis.failures["training_collapse"].reason
    assert any("--baseline" in advice for advice in diagnosis.would_settle_it)


@pytest.mark.parametrize(
    ("label", "code"),
    [(Label.HEALTHY, 0), (COLLAPSE, 1), (VARIANCE, 1), (Label.ABNORMAL, 1), (Label.INCONCLUSIVE, 3)],
)
def test_exit_codes(label: Label, code: int) -> None:
    assert exit_code(label) == code


def test_half_of_a_pattern_with_the_rest_missing_is_not_left_out_of_health() -> None:
    half = _finding(COLLAPSE, "undecided", evidence=(_evidence("fired"), _evidence("undecided", missing="no answers")))
    diagnosis = triage([half, _finding(VARIANCE, "clear", code="EDX2")], has_baseline=True)
    assert diagnosis.label == Label.INCONCLUSIVE
    assert diagnosis.failures["training_collapse"].reason == "EDX1 undecided: no answers"


def test_a_suspicion_that_is_undecided_is_not_left_out_of_health() -> None:
    perhaps = _finding(COLLAPSE, "undecided", code="EDX102", decisive=False, evidence=(_evidence("undecided"),))
    diagnosis = triage([perhaps, _finding(VARIANCE, "clear", code="EDX202")], has_baseline=False)
    assert diagnosis.label == Label.INCONCLUSIVE
    assert diagnosis.failures["training_collapse"].reason == "EDX102 undecided: the intervals are too wide"
