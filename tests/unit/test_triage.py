"""The written table, row by row."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from entropydx import pipeline
from entropydx import triage as module
from entropydx.classifier import NONE_SHIPPED, Contribution, FailureOpinion, Opinion
from entropydx.standing import VERY_SURE
from entropydx.triage import SUSPECTED, UNTESTED, exit_code, prompts_needed, triage
from entropydx.types import FAILURES, Evidence, Finding, Label, Status

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
    strength: float | None = 0.5,
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


@pytest.mark.parametrize("has_baseline", [True, False])
def test_where_nothing_was_measured_nobody_is_the_runner_up(has_baseline: bool) -> None:
    findings = pipeline.find([], has_baseline=has_baseline)
    diagnosis = triage(findings, has_baseline=has_baseline)
    assert (diagnosis.label, diagnosis.runner_up) == (Label.INCONCLUSIVE, None)
    assert "leave --probes out: what the rules look at was not measured" in diagnosis.would_settle_it
    assert not any("--max-new-tokens" in advice for advice in diagnosis.would_settle_it)


def test_a_rule_without_its_number_is_passed_over_for_one_that_has_it() -> None:
    gone = _finding(COLLAPSE, "undecided", strength=None, evidence=(_evidence("undecided", "not there"),))
    measured = _finding(VARIANCE, "undecided", code="EDX2", strength=0.3, evidence=(_evidence("undecided"),))
    assert triage([gone, measured], has_baseline=True).runner_up == VARIANCE
    assert triage([gone, replace(measured, strength=0.1)], has_baseline=True).runner_up is None


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


def test_what_is_missing_is_named_beside_intervals_that_are_too_wide() -> None:
    parts = (_evidence("undecided"), _evidence("undecided", missing="no entropies"))
    open_ = _finding(COLLAPSE, "undecided", code="EDX101", evidence=parts)
    diagnosis = triage([open_, _finding(VARIANCE, "clear", code="EDX202")], has_baseline=True)
    expected = "EDX101 undecided: no entropies; besides, the intervals are too wide"
    assert diagnosis.failures["training_collapse"].reason == expected


def test_a_suspicion_that_is_undecided_is_not_left_out_of_health() -> None:
    perhaps = _finding(COLLAPSE, "undecided", code="EDX102", decisive=False, evidence=(_evidence("undecided"),))
    diagnosis = triage([perhaps, _finding(VARIANCE, "clear", code="EDX202")], has_baseline=False)
    assert diagnosis.label == Label.INCONCLUSIVE
    assert diagnosis.failures["training_collapse"].reason == "EDX102 undecided: the intervals are too wide"


# ── with a classifier ─────────────────────────────────────────────────────────────────────────────


def _opinion(default: float | None = 0.05, **known: float | None) -> Opinion:
    def one(probability: float | None) -> FailureOpinion:
        if probability is None:
            return FailureOpinion(probability=None, abstention="missing: a.b (not there)")
        part = Contribution(feature="a.b", value=0.5, log_odds=1.0 if probability >= 0.5 else -1.0)
        return FailureOpinion(probability=probability, contributions=(part,))

    return Opinion(failures={str(f): one(known.get(f, default)) for f in FAILURES})


def _decisive(**statuses: Status) -> list[Finding]:
    """A decisive finding for each failure, clear unless named."""
    return [_finding(f, statuses.get(f, "clear"), code=f"EDX{i}01", severity=0.5) for i, f in enumerate(FAILURES, 1)]


def _quiet(**statuses: Status) -> list[Finding]:
    """A suspicion for each failure, clear unless named: what a run without a baseline has."""
    return [_finding(f, statuses.get(f, "clear"), code=f"EDX{i}02", decisive=False) for i, f in enumerate(FAILURES, 1)]


@pytest.mark.parametrize(
    ("probability", "confidence"), [(0.97, "high"), (0.8, "high"), (0.79, "medium"), (0.5, "medium")]
)
def test_row_1_a_fired_rule_that_the_classifier_shares(probability: float, confidence: str):
    diagnosis = triage(
        _decisive(training_collapse="fired"), has_baseline=True, opinion=_opinion(training_collapse=probability)
    )
    assert (diagnosis.label, diagnosis.confidence) == (COLLAPSE, confidence)
    assert diagnosis.failures["training_collapse"].probability == probability
    assert (diagnosis.rules_label, diagnosis.classifier_label, diagnosis.agreement) == (COLLAPSE, COLLAPSE, True)
    assert f"The classifier agrees ({probability:.2f})" in diagnosis.summary


def test_row_2_a_fired_rule_that_the_classifier_does_not_share():
    diagnosis = triage(_decisive(training_collapse="fired"), has_baseline=True, opinion=_opinion(training_collapse=0.3))
    assert (diagnosis.label, diagnosis.confidence, diagnosis.agreement) == (COLLAPSE, "low", False)
    assert diagnosis.classifier_label == Label.HEALTHY
    assert "The classifier differs: it gives this 0.30" in diagnosis.summary
    assert diagnosis.failures["training_collapse"].reason == (
        "EDX101 fired; the classifier gives 0.30 (mostly for a.b = 0.5)"
    )


def test_row_2_a_fired_rule_on_which_the_classifier_abstains():
    diagnosis = triage(
        _decisive(training_collapse="fired"), has_baseline=True, opinion=_opinion(training_collapse=None)
    )
    assert (diagnosis.label, diagnosis.confidence) == (COLLAPSE, "low")
    standing = diagnosis.failures["training_collapse"]
    assert (standing.probability, standing.status) == (None, "present")
    assert standing.reason == "EDX101 fired; the classifier abstains, missing: a.b (not there)"
    assert diagnosis.classifier_label is None


@pytest.mark.parametrize("status", ["clear", "undecided"])
def test_row_3_the_classifier_alone_only_suspects(status: Status):
    diagnosis = triage(_decisive(training_collapse=status), has_baseline=True, opinion=_opinion(training_collapse=0.8))
    standing = diagnosis.failures["training_collapse"]
    assert (diagnosis.label, standing.status) == (Label.INCONCLUSIVE, "undetermined")
    assert standing.reason.startswith(f"{SUSPECTED}: the classifier gives 0.80 (mostly for a.b = 0.5), against: EDX101")
    assert exit_code(diagnosis.label) == 3, "never 1 alone"
    assert diagnosis.confidence == "low"
    assert any("no rule found it" in advice for advice in diagnosis.would_settle_it)
    assert diagnosis.agreement is (status == "undecided")


def test_row_3_below_sure_the_clear_rule_holds():
    diagnosis = triage(_decisive(), has_baseline=True, opinion=_opinion(training_collapse=0.79))
    assert (diagnosis.label, diagnosis.confidence) == (Label.HEALTHY, "low")
    assert diagnosis.agreement is False
    assert diagnosis.failures["training_collapse"].reason == "EDX101 clear; the classifier gives 0.79"
    assert "more than 0.79 (training collapse)" in diagnosis.summary


@pytest.mark.parametrize(("probability", "confidence"), [(0.8, "low"), (0.94, "low"), (0.95, "medium")])
def test_row_3b_without_a_baseline_two_witnesses_convict(probability: float, confidence: str):
    findings = _quiet(training_collapse="fired")
    diagnosis = triage(findings, has_baseline=False, opinion=_opinion(training_collapse=probability))
    assert (diagnosis.label, diagnosis.confidence) == (COLLAPSE, confidence)
    standing = diagnosis.failures["training_collapse"]
    assert (standing.status, standing.severity) == ("present", None)
    assert diagnosis.rules_label == Label.INCONCLUSIVE
    assert "two witnesses, but no baseline" in diagnosis.summary


@pytest.mark.parametrize(
    "page", ["README.md", "docs/explanation/limits.md", "docs/explanation/how-triage-works.md", "entropydx/triage.py"]
)
def test_the_pages_say_from_where_confidence_without_a_baseline_is_medium(page: str):
    text = " ".join((Path(module.__file__).parents[1] / page).read_text(encoding="utf-8").split())
    said = rf"low confidence[,(\s]+(at )?medium where (the classifier|it) gives {VERY_SURE:g} or more"
    assert re.search(said, text), f"{page} says otherwise"


def test_row_3b_one_witness_is_not_enough():
    unsure = triage(_quiet(training_collapse="fired"), has_baseline=False, opinion=_opinion(training_collapse=0.79))
    assert (unsure.label, unsure.failures["training_collapse"].status) == (Label.INCONCLUSIVE, "undetermined")
    assert unsure.failures["training_collapse"].reason == f"{SUSPECTED}: EDX102 fired; the classifier gives 0.79"
    silent = triage(_quiet(training_collapse="fired"), has_baseline=False, opinion=_opinion(training_collapse=None))
    assert silent.label == Label.INCONCLUSIVE
    quiet = triage(_quiet(), has_baseline=False, opinion=_opinion(training_collapse=0.99))
    assert quiet.failures["training_collapse"].reason.startswith(f"{SUSPECTED}: the classifier gives 0.99")
    assert quiet.label == Label.INCONCLUSIVE
    against = [*_quiet(training_collapse="fired"), _finding(COLLAPSE, "clear", code="EDX101")]
    decided = triage(against, has_baseline=True, opinion=_opinion(training_collapse=0.99))
    assert decided.failures["training_collapse"].status == "undetermined", (
        "a decisive rule that is clear stands against"
    )


@pytest.mark.parametrize(
    ("known", "confidence"),
    [
        ({}, "high"),
        ({"training_collapse": 0.2}, "high"),
        ({"training_collapse": 0.21}, "medium"),
        ({"training_collapse": None}, "medium"),
        ({"training_collapse": 0.5}, "low"),
        (dict.fromkeys(FAILURES), "low"),
    ],
)
def test_row_4_health_is_as_sure_as_its_weakest_failure(known: dict[str, float | None], confidence: str):
    diagnosis = triage(_decisive(), has_baseline=True, opinion=_opinion(**known))
    assert (diagnosis.label, diagnosis.confidence) == (Label.HEALTHY, confidence)


def test_row_4_with_something_untested_health_is_never_sure():
    diagnosis = triage(_decisive()[:-1], has_baseline=True, opinion=_opinion())
    assert (diagnosis.label, diagnosis.confidence) == (Label.HEALTHY, "low")
    assert diagnosis.failures["teacher_overconfidence"].reason.startswith(UNTESTED)


@pytest.mark.parametrize(("probability", "status"), [(0.2, "absent"), (0.21, "undetermined"), (None, "undetermined")])
def test_row_4_without_a_baseline_both_witnesses_clear(probability: float | None, status: str):
    diagnosis = triage(_quiet(), has_baseline=False, opinion=_opinion(training_collapse=probability))
    standing = diagnosis.failures["training_collapse"]
    assert standing.status == status
    assert standing.reason.startswith("EDX102 clear, and the classifier gives 0.20" if status == "absent" else UNTESTED)
    assert (diagnosis.label, diagnosis.confidence) == (Label.HEALTHY, "low")


@pytest.mark.parametrize("findings", [_decisive, _quiet])
@pytest.mark.parametrize(("probability", "status"), [(0.2, "absent"), (0.21, "undetermined"), (None, "undetermined")])
def test_row_4_an_undecided_rule_that_does_not_lean_and_little_probability(findings, probability, status):
    diagnosis = triage(
        findings(training_collapse="undecided"),
        has_baseline=findings is _decisive,
        opinion=_opinion(training_collapse=probability),
    )
    assert diagnosis.failures["training_collapse"].status == status
    expected = Label.HEALTHY if status == "absent" else Label.INCONCLUSIVE
    assert (diagnosis.label, diagnosis.confidence) == (expected, "low")


def _leaning(code: str, *, decisive: bool) -> Finding:
    return replace(_finding(COLLAPSE, "undecided", code=code, decisive=decisive), strength=0.51)


def test_row_3b_a_rule_that_leans_is_a_second_witness():
    findings = [_leaning("EDX101", decisive=True), *_decisive()[1:]]
    sure = triage(findings, has_baseline=True, opinion=_opinion(training_collapse=0.8))
    assert (sure.label, sure.confidence, exit_code(sure.label)) == (COLLAPSE, "low", 1)
    assert sure.failures["training_collapse"].reason.startswith("EDX101 leans (every value is beyond its threshold)")
    assert "EDX101 leans: every value is beyond its threshold, but the intervals are too wide" in sure.summary
    unsure = triage(findings, has_baseline=True, opinion=_opinion(training_collapse=0.79))
    assert unsure.failures["training_collapse"].status == "undetermined"
    unlikely = triage(findings, has_baseline=True, opinion=_opinion(training_collapse=0.1))
    assert unlikely.failures["training_collapse"].status == "undetermined", "a rule that leans is not cleared"


def test_a_rule_without_its_essential_input_is_left_out_where_another_has_its_own():
    untestable = replace(_finding(VARIANCE, "undecided", code="EDX204"), missing_input="no deployment was drawn")
    diagnosis = triage([*_decisive(), untestable], has_baseline=True, opinion=_opinion())
    assert (diagnosis.label, diagnosis.confidence) == (Label.HEALTHY, "high")
    fired = replace(untestable, status="fired", missing_input=None)
    assert triage([*_decisive(), fired], has_baseline=True, opinion=_opinion()).label == VARIANCE


@pytest.mark.parametrize("label", [Label.ABNORMAL, Label.INCONCLUSIVE])
def test_row_0_where_the_instrument_is_blamed_the_classifier_says_nothing(label: Label):
    findings = [*_decisive(training_collapse="fired"), _finding(label, "fired", code="EDX9")]
    diagnosis = triage(findings, has_baseline=True, opinion=_opinion(0.99))
    assert diagnosis.label == label
    assert {a.probability for a in diagnosis.failures.values()} == {None}
    assert (diagnosis.classifier_label, diagnosis.agreement) == (None, None)


def test_severity_times_probability_gives_the_label():
    both = [_finding(COLLAPSE, "fired", severity=0.5), _finding(VARIANCE, "fired", code="EDX2", severity=0.9)]
    diagnosis = triage(
        both, has_baseline=True, opinion=_opinion(training_collapse=0.9, inference_variance=0.3)
    )  # 0.45 and 0.27
    assert (diagnosis.label, diagnosis.runner_up) == (COLLAPSE, VARIANCE)
    assert diagnosis.rules_label == VARIANCE


def test_no_shipped_classifier_is_as_none_asked():
    silent = FailureOpinion(probability=None, abstention=NONE_SHIPPED)
    empty = Opinion(failures={str(f): silent for f in FAILURES})
    findings = _decisive(training_collapse="fired")
    assert triage(findings, has_baseline=True, opinion=empty) == triage(findings, has_baseline=True)


def test_a_loss_that_nothing_explains_still_keeps_health_from_being_said():
    loss = _finding(Label.INCONCLUSIVE, "fired", code="EDX909", decisive=False)
    assert triage([*_decisive(), loss], has_baseline=True, opinion=_opinion()).label == Label.INCONCLUSIVE


def test_health_is_not_said_beside_a_failure_that_is_untested_and_likely():
    likely = triage(_quiet(), has_baseline=False, opinion=_opinion(training_collapse=0.5))
    assert likely.label == Label.INCONCLUSIVE
    assert likely.failures["training_collapse"].reason.startswith("open: the classifier gives 0.50")
    unlikely = triage(_quiet(), has_baseline=False, opinion=_opinion(training_collapse=0.49))
    assert unlikely.label == Label.HEALTHY
    assert unlikely.failures["training_collapse"].reason.startswith(UNTESTED)


def test_a_rule_about_what_the_classifier_does_not_look_at_is_not_contradicted_by_it():
    evidence = replace(_evidence("fired"), measurement="decoding.majority_gain_deployment")
    fired = _finding(VARIANCE, "fired", code="EDX204", evidence=(evidence,))
    diagnosis = triage([*_decisive(), fired], has_baseline=True, opinion=_opinion(inference_variance=0.01))
    standing = diagnosis.failures["inference_variance"]
    assert (diagnosis.label, standing.status, standing.probability) == (VARIANCE, "present", None)
    assert standing.reason == "EDX204 fired; the classifier does not look at what that rule saw"


def test_a_number_that_is_missing_is_not_cleared_by_the_classifier():
    gone = replace(_evidence("undecided"), value=None, ci=None, missing_reason="no probe measured it")
    findings = [replace(_finding(COLLAPSE, "undecided", code="EDX102", decisive=False), evidence=(gone,))]
    diagnosis = triage(findings, has_baseline=False, opinion=_opinion(training_collapse=0.05))
    assert diagnosis.failures["training_collapse"].status == "undetermined"
    assert diagnosis.label == Label.INCONCLUSIVE


# ── what would settle it ──────────────────────────────────────────────────────────────────────────


def _rate(value: float, upper: float, n: int, name: str = "instrument.truncation_rate") -> Evidence:
    """A rate held against 10 %, whose interval lies across it."""
    plain = _evidence("undecided", value=value)
    return replace(plain, measurement=name, ci=(0.0, upper), op=">", threshold=0.1, n=n)


def _instrument(*rates: Evidence) -> list[Finding]:
    return [
        _finding(Label.INCONCLUSIVE, "undecided", code=f"EDX90{i}", strength=0.1, evidence=(rate,))
        for i, rate in enumerate(rates, 1)
    ]


def test_a_suspicion_that_leans_says_so_and_what_would_decide_it():
    wide, decided = _evidence("undecided", value=0.28), replace(_evidence("fired"), measurement="c.d")
    leaning = replace(_leaning("EDX102", decisive=False), evidence=(wide, decided))
    findings = [leaning, *_quiet()[1:]]
    diagnosis = triage(findings, has_baseline=False, opinion=_opinion(training_collapse=0.99))
    assert (diagnosis.label, diagnosis.confidence) == (COLLAPSE, "medium")
    assert diagnosis.summary.startswith(
        "EDX102 says so. EDX102 leans: every value is beyond its threshold, but the interval of a.b is too wide for "
        "the rule alone; the classifier is sure (0.99): two witnesses, but no baseline to compare with."
    )
    twice = replace(leaning, evidence=(wide, replace(wide, threshold=0.35), decided))  # one measurement, two thresholds
    assert triage([twice, *_quiet()[1:]], has_baseline=False, opinion=_opinion(training_collapse=0.99)).summary == (
        diagnosis.summary
    )
    # Reach 0.22 at 40 prompts, 0.02 from the threshold: 121 times the prompts, and a tenth more.
    first, second = diagnosis.would_settle_it[:2]
    assert first.startswith("a.b sits on its threshold 0.3")
    assert "--baseline" in second
    far = replace(leaning, evidence=(_evidence("undecided", value=0.25), decided))
    diagnosis = triage([far, *_quiet()[1:]], has_baseline=False, opinion=_opinion(training_collapse=0.99))
    assert diagnosis.would_settle_it[0] == "about 1101 prompts (now 40) would decide a.b against 0.3"


def test_a_decisive_rule_that_leans_comes_first_in_what_would_settle_it():
    leaning = replace(
        _leaning("EDX201", decisive=True), failure=VARIANCE, evidence=(_evidence("undecided", value=0.2),)
    )
    open_ = _finding(COLLAPSE, "undecided", code="EDX101", strength=0.1, evidence=(_evidence("undecided"),))
    diagnosis = triage([open_, leaning], has_baseline=True, opinion=_opinion(inference_variance=0.9))
    assert diagnosis.label == VARIANCE
    assert diagnosis.would_settle_it[0] == "settle EDX201"
    assert "settle EDX101" in diagnosis.would_settle_it


def test_a_clean_run_is_not_told_to_mend_its_instrument():
    clean = _instrument(*(_rate(0.0, 0.102, 54, name) for name in ("i.cut", "i.unread", "i.leak")))
    diagnosis = triage([*_decisive(), *clean], has_baseline=True, opinion=_opinion())
    assert (diagnosis.label, diagnosis.confidence) == (Label.HEALTHY, "high")
    assert diagnosis.would_settle_it == (
        "about 61 prompts (now 54) would clear EDX901, EDX902, EDX903, to which nothing points",
    )


@pytest.mark.parametrize(("value", "near"), [(0.0, False), (0.049, False), (0.051, True), (0.12, True)])
def test_an_instrument_that_is_near_its_bound_is_to_be_mended(value: float, near: bool):
    diagnosis = triage([*_decisive(), *_instrument(_rate(value, 0.2, 54))], has_baseline=True, opinion=_opinion())
    assert diagnosis.label == Label.HEALTHY
    assert ("settle EDX901" in diagnosis.would_settle_it) == near


def test_where_the_instrument_is_broken_only_that_is_to_be_mended():
    broken = _finding(Label.ABNORMAL, "fired", code="EDX903")
    gone = _finding(
        Label.INCONCLUSIVE, "undecided", code="EDX902", strength=None, evidence=(_evidence("undecided", "-"),)
    )
    findings = [broken, gone, *_instrument(_rate(0.09, 0.3, 20)), *_quiet(training_collapse="undecided")]
    assert triage(findings, has_baseline=False).would_settle_it == ("settle EDX903",)


def test_a_rule_that_is_left_out_of_account_asks_for_nothing():
    untestable = replace(_finding(VARIANCE, "undecided", code="EDX204"), missing_input="no deployment was drawn")
    diagnosis = triage([*_decisive(), untestable], has_baseline=True, opinion=_opinion())
    assert diagnosis.would_settle_it == ()
    alone = triage([*_decisive()[:1], untestable, *_decisive()[2:]], has_baseline=True, opinion=_opinion())
    assert "settle EDX204" in alone.would_settle_it


def test_where_all_prompts_agree_the_interval_shrinks_with_the_prompts():
    # The exact binomial interval of no prompt of n ends at 1 - 0.00625 ** (1 / n): 0.191 at 24, under 0.1 from 49 on.
    upper = 1 - 0.00625 ** (1 / 24)
    needed = prompts_needed(_rate(0.0, upper, 24))
    assert needed is not None
    assert 49 <= needed <= 54
    assert 1 - 0.00625 ** (1 / needed) < 0.1
