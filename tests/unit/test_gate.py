"""A policy held against reports: the verdict in three values, one reason a line, and nothing that passes silently."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from entropydx import document, gate, gating, pipeline, runs
from entropydx.cases import load_cases
from entropydx.config import Settings, resolve
from entropydx.errors import ConfigError, RunStoreError
from entropydx.gate import decide, is_settled
from entropydx.policy import Bound, Outcome, Policy, Regression
from entropydx.reporters._gate import GateReporter
from entropydx.runs import Changes, Run, changes
from entropydx.types import (
    FAILURES,
    FailureAssessment,
    Gate,
    GateCheck,
    GateVerdict,
    Interval,
    Label,
    Measured,
    MeasurementRow,
    Missing,
    Report,
)
from tests.unit import report_examples

CASES = Path(__file__).parents[2] / "fixtures" / "cases"
COLLAPSE, VARIANCE, SHORTCUT, OVERCONFIDENT = FAILURES
PASS = "sampling_spread.pass_at_1"
OUTCOMES: dict[Outcome, GateVerdict] = {
    "pass": "passed",
    "warn": "warned",
    "inconclusive": "inconclusive",
    "fail": "failed",
}


def _check(found: Gate, name: str) -> GateCheck:
    (check,) = [check for check in found.checks if check.name == name]
    return check


def _with(report: Report, *rows: MeasurementRow, **standings: FailureAssessment) -> Report:
    failures = {**report.diagnosis.failures, **standings}
    diagnosis = replace(report.diagnosis, failures=failures)
    return replace(report, measurements=rows or report.measurements, diagnosis=diagnosis)


def _row(value: float | None, ci: Interval | None, n: int = 100, **fields: object) -> MeasurementRow:
    return MeasurementRow(name=PASS, value=value, ci=ci, unit="share", n=n, **fields)  # type: ignore[arg-type]


# ── the default policy ────────────────────────────────────────────────────────────────────────────


@cache
def _reports() -> tuple[Report, ...]:
    """Return the hand-made reports, and the judgements of labelled cases, with their baseline and without."""
    return (*(build() for build in report_examples.EXAMPLES.values()), *_judged())


def _judged() -> Iterator[Report]:
    for case in load_cases(CASES)[::6]:
        for has_baseline, measurements in ((True, case.draws[0].measurements), (False, case.draws[0].alone)):
            judged = pipeline.judge(measurements, has_baseline=has_baseline)
            yield replace(report_examples.healthy(), diagnosis=judged.diagnosis, findings=judged.findings)


def test_the_default_policy_gives_the_exit_code_of_diagnose_for_all_seven_labels() -> None:
    seen = Counter[Label]()
    for report in _reports():
        found = decide(report)
        assert found.exit_code == pipeline.exit_code(report.diagnosis.label), (report.diagnosis, found.reasons)
        seen[report.diagnosis.label] += 1
    assert set(seen) == set(Label), seen


def test_the_worst_check_is_the_verdict_and_its_reasons_are_each_one_line() -> None:
    order = ["failed", "inconclusive", "warned", "passed"]
    for report in _reports():
        found = decide(report)
        assert found.verdict == min((check.verdict for check in found.checks), key=order.index)
        assert len({check.name for check in found.checks}) == len(found.checks)
        assert found.reasons
        assert len(set(found.reasons)) == len(found.reasons)
        assert not [reason for reason in found.reasons if "\n" in reason]
        if found.verdict != "passed":
            assert set(found.reasons) == {c.reason for c in found.checks if c.verdict == found.verdict}


# ── labels ────────────────────────────────────────────────────────────────────────────────────────


def test_a_failure_below_the_confidence_that_is_asked_for_warns() -> None:
    sure = report_examples.collapsed()
    name = f"failure.{COLLAPSE}"
    assert _check(decide(sure, Policy(min_confidence="high")), name).verdict == "failed"
    unsure = replace(sure, diagnosis=replace(sure.diagnosis, confidence="medium"))
    found = _check(decide(unsure, Policy(min_confidence="high")), name)
    assert (found.verdict, decide(unsure, Policy(min_confidence="high")).exit_code) == ("warned", 0)
    assert "from high confidence on" in found.reason
    assert _check(decide(unsure, Policy(min_confidence="medium")), name).verdict == "failed"
    required = _check(decide(unsure, Policy(min_confidence="high", require=(COLLAPSE,))), name)
    assert required.verdict == "inconclusive", "what must be absent does not pass because it is only likely"


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        (Policy(), "failed"),
        (Policy(fail=(), warn=(COLLAPSE,)), "warned"),
        (Policy(fail=(VARIANCE,)), "passed"),
        (Policy(fail=(VARIANCE,), require=(COLLAPSE,)), "failed"),
    ],
)
def test_what_a_present_failure_means_is_the_policys(policy: Policy, verdict: GateVerdict) -> None:
    assert _check(decide(report_examples.collapsed(), policy), f"failure.{COLLAPSE}").verdict == verdict


def test_a_failure_beside_the_primary_label_fails_too() -> None:
    beside = FailureAssessment(status="present", severity=0.3, reason="EDX301 fired")
    report = _with(report_examples.collapsed(), **{SHORTCUT: beside})
    found = decide(report, Policy(fail=(SHORTCUT,)))
    assert found.verdict == "failed"
    assert found.reasons[0].startswith("hard sample shortcutting is present (low confidence): EDX301 fired")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_open_failure_is_what_inconclusive_means(outcome: Outcome) -> None:
    open_ = FailureAssessment(status="undetermined", reason="EDX201 undecided: the intervals are too wide")
    report = _with(report_examples.healthy(), **{VARIANCE: open_})
    assert decide(report, Policy(inconclusive=outcome)).verdict == OUTCOMES[outcome]
    assert decide(report, Policy(inconclusive=outcome, fail=(COLLAPSE,))).verdict == "passed", "it was not asked about"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_untested_failure_is_what_untested_means_unless_it_is_required(outcome: Outcome) -> None:
    untested = FailureAssessment(status="undetermined", reason="untested: no out-of-domain prompts")
    tested = FailureAssessment(status="absent", reason="EDX101 clear")
    report = _with(report_examples.healthy(), **dict.fromkeys(FAILURES, tested) | {OVERCONFIDENT: untested})
    found = decide(report, Policy(untested=outcome))
    assert found.verdict == OUTCOMES[outcome]
    assert "untested" in " ".join(found.reasons)
    required = decide(report, Policy(untested=outcome, require=(OVERCONFIDENT,)))
    assert required.verdict == ("failed" if outcome == "fail" else "inconclusive")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_policy_about_what_was_not_tested_never_passes(outcome: Outcome) -> None:
    untested = FailureAssessment(status="undetermined", reason="untested: no out-of-domain prompts")
    report = _with(report_examples.healthy(), **{OVERCONFIDENT: untested})
    found = decide(report, Policy(fail=(OVERCONFIDENT,), inconclusive=outcome))
    assert found.exit_code == (1 if outcome == "fail" else 3)
    assert any("none of the failures that the policy asks about was tested" in reason for reason in found.reasons)


def test_a_failed_instrument_is_one_reason() -> None:
    found = decide(report_examples.truncated())
    assert (found.verdict, len(found.reasons)) == ("inconclusive", 1)
    assert found.reasons == (report_examples.truncated().diagnosis.summary,)


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limits", "ci", "verdict", "words"),
    [
        ({"min": 0.5}, (0.3, 0.45), "failed", "all of it below the minimum 0.5"),
        ({"min": 0.5}, (0.55, 0.7), "passed", "at least the minimum 0.5"),
        ({"min": 0.5}, (0.45, 0.6), "inconclusive", "across the minimum 0.5"),
        ({"min": 0.5}, (0.5, 0.5), "passed", "at least"),
        ({"max": 0.5}, (0.55, 0.7), "failed", "all of it above the maximum 0.5"),
        ({"max": 0.5}, (0.3, 0.45), "passed", "at most the maximum 0.5"),
        ({"max": 0.5}, (0.45, 0.6), "inconclusive", "across the maximum 0.5"),
    ],
)
def test_a_bound_is_held_against_the_whole_interval(
    limits: dict[str, float], ci: Interval, verdict: GateVerdict, words: str
) -> None:
    report = _with(report_examples.healthy(), _row(sum(ci) / 2, ci))
    found = decide(report, Policy(bounds=(Bound(measurement=PASS, **limits),)))
    check = _check(found, f"bound.{PASS}.{next(iter(limits))}")
    assert (check.verdict, check.limit, check.ci) == (verdict, 0.5, ci)
    assert words in check.reason
    assert found.verdict == verdict


def test_a_bound_across_says_how_many_prompts_would_decide_it() -> None:
    # reach 0.12, distance 0.06: 4 times the prompts, and a tenth more.
    report = _with(report_examples.healthy(), _row(0.56, (0.44, 0.68), n=50))
    (reason,) = decide(report, Policy(bounds=(Bound(measurement=PASS, min=0.5),))).reasons
    assert reason.startswith(f"{PASS} is 0.56 [0.44, 0.68], across the minimum 0.5: about 22")
    assert reason.endswith(" prompts (now 50) would decide it")
    near = _with(report_examples.healthy(), _row(0.501, (0.4, 0.6)))
    (reason,) = decide(near, Policy(bounds=(Bound(measurement=PASS, min=0.5),))).reasons
    assert "no affordable number of prompts" in reason


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_is_undecided_or_missing_is_the_policys_and_missing_never_passes(outcome: Outcome) -> None:
    policy = Policy(bounds=(Bound(measurement=PASS, min=0.5, undecided=outcome),))
    wide = _with(report_examples.healthy(), _row(0.55, (0.45, 0.65)))
    assert decide(wide, policy).verdict == OUTCOMES[outcome]
    missing = MeasurementRow(name=PASS, missing_reason="no prompt has\n a verifier")
    flat = _row(1.0, None, note="no interval: every prompt gives the same value")
    for row, words in ((missing, "no prompt has a verifier"), (flat, "every prompt gives the same value")):
        found = decide(_with(report_examples.healthy(), row), policy)
        assert found.verdict == ("warned" if outcome == "pass" else OUTCOMES[outcome])
        check = _check(found, f"bound.{PASS}.min")
        assert words in check.reason
        assert (check.value, check.ci) == (None, None)


def test_a_name_that_the_report_does_not_have_is_inconclusive_with_the_nearest() -> None:
    report = _with(report_examples.healthy(), _row(0.9, (0.8, 0.95)))
    found = decide(report, Policy(bounds=(Bound(measurement="sampling_spread.pass_at_l", min=0.5),)))
    assert found.exit_code == 3
    assert f"the nearest that the report has is {PASS}" in found.reasons[0]


def test_a_change_against_the_baseline_is_bounded_and_one_against_itself_is_none() -> None:
    report = _with(report_examples.healthy(), _row(0.6, (0.5, 0.7), baseline=0.7, delta=-0.1, delta_ci=(-0.15, -0.05)))
    policy = Policy(bounds=(Bound(measurement=PASS, on="delta", min=-0.02),))
    found = decide(report, policy)
    assert (found.verdict, found.checks[-1].name) == ("failed", f"bound.{PASS}.delta.min")
    assert found.reasons == (
        f"the change of {PASS} against the baseline is -0.100 [-0.150, -0.050], all of it below the minimum -0.02",
    )
    assert decide(replace(report, baseline=report.checkpoint), policy).verdict == "inconclusive"
    alone = _with(report_examples.healthy(), _row(0.6, (0.5, 0.7)))
    assert decide(alone, policy).verdict == "inconclusive"


# ── regressions ───────────────────────────────────────────────────────────────────────────────────


def _changed(delta: float, ci: Interval) -> Changes:
    row = Measured(name=PASS, value=0.6, unit="share", n=50, ci=(0.5, 0.7), baseline=0.5, delta=delta, delta_ci=ci)
    return Changes(how="paired", ref="main", fingerprint="f" * 64, rows={PASS: row})


@pytest.mark.parametrize(
    ("limits", "delta", "ci", "verdict", "words"),
    [
        ({"max_drop": 0.03}, -0.1, (-0.15, -0.05), "failed", "all of it beyond the allowed drop of 0.03"),
        ({"max_drop": 0.03}, 0.1, (0.05, 0.15), "passed", "within the allowed drop of 0.03"),
        ({"max_drop": 0.03}, -0.02, (-0.05, 0.01), "inconclusive", "across the allowed drop of 0.03"),
        ({"max_drop": 0}, 0.0, (0.0, 0.0), "passed", "within the allowed drop of 0"),
        ({"max_rise": 0.03}, 0.1, (0.05, 0.15), "failed", "all of it beyond the allowed rise of 0.03"),
        ({"max_rise": 0.03}, -0.1, (-0.15, -0.05), "passed", "within the allowed rise of 0.03"),
        ({"max_rise": 0.03}, 0.02, (-0.01, 0.05), "inconclusive", "across the allowed rise of 0.03"),
    ],
)
def test_a_regression_is_held_against_the_whole_change(
    limits: dict[str, float], delta: float, ci: Interval, verdict: GateVerdict, words: str
) -> None:
    policy = Policy(regression=(Regression(measurement=PASS, **limits),))
    found = decide(report_examples.healthy(), policy, against=_changed(delta, ci))
    check = _check(found, f"regression.{PASS}.{next(iter(limits))}")
    assert (found.verdict, check.verdict, check.value, check.ci) == (verdict, verdict, delta, ci)
    assert words in check.reason
    assert "against main" in check.reason
    assert (found.against, found.against_how) == ("main", "paired, on the prompts of both runs")


def test_nothing_to_compare_with_and_what_does_not_compare_are_inconclusive_with_the_reason() -> None:
    policy = Policy(regression=(Regression(measurement=PASS, max_drop=0.1),))
    assert "give one with --against" in decide(report_examples.healthy(), policy).reasons[0]
    other = Changes(how="not_comparable", ref="main", fingerprint="", reason="n_samples differs: 8, and 16")
    found = decide(report_examples.healthy(), policy, against=other)
    assert found.exit_code == 3
    assert found.reasons == (f"the change of {PASS} is not known: main does not compare: n_samples differs: 8, and 16",)


def test_more_prompts_are_drawn_for_what_lies_across_and_not_for_what_is_missing() -> None:
    def measured(ci: Interval | None) -> dict[str, Measured | Missing]:
        return {PASS: Measured(name=PASS, value=0.5, unit="", n=20, ci=ci)}

    policy = Policy(bounds=(Bound(measurement=PASS, min=0.5),))
    assert not is_settled(policy, measured((0.4, 0.6)))
    assert is_settled(policy, measured((0.6, 0.7)))
    assert is_settled(policy, measured((0.2, 0.3)))
    assert is_settled(policy, measured(None))
    assert is_settled(policy, {})
    two = Policy(bounds=(*policy.bounds, Bound(measurement=PASS, max=0.3)))
    assert is_settled(two, measured((0.4, 0.6))), "it fails already"
    regression = Policy(regression=(Regression(measurement=PASS, max_drop=0.03),))
    assert is_settled(regression, {})
    assert not is_settled(regression, {}, _changed(0.0, (-0.1, 0.1)).rows)


def test_a_policy_that_a_failure_has_failed_needs_no_more_prompts() -> None:
    collapsed, sound = report_examples.collapsed(), report_examples.healthy()
    unsure = replace(collapsed.diagnosis, confidence="low")
    for policy, diagnosis, failed in (
        (Policy(), collapsed.diagnosis, True),
        (Policy(), sound.diagnosis, False),
        (Policy(), report_examples.non_finite().diagnosis, True),
        (Policy(fail=(VARIANCE,)), collapsed.diagnosis, False),
        (Policy(min_confidence="high"), unsure, False),
    ):
        assert gate.has_failed(policy, diagnosis, collapsed.findings) is failed


# ── two runs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of closed-form policies: two of one truth, one that is worse, one with a baseline."""
    root = tmp_path_factory.mktemp("runs")
    settings = {"engine": "synthetic", "suite": "tiny", "prompts": 40, "samples": 6, "probes": "sampling_spread"}
    wanted = {
        "healthy": ("synthetic:healthy", {}),
        "twin": ("synthetic:twin", {}),
        "shortcut": ("synthetic:shortcut", {"baseline": "synthetic:healthy"}),
        "longer": ("synthetic:healthy", {"max_new_tokens": 32}),
    }
    for name, (ref, more) in wanted.items():
        pipeline.diagnose(resolve(ref, Settings(**settings, **more, adaptive=False, run_dir=str(root / name))))
    return {name: root / name for name in wanted}


def _open(path: Path) -> Run:
    return runs.open_run(path)


def test_two_runs_are_paired_prompt_by_prompt_and_two_reports_are_not(drawn: dict[str, Path]) -> None:
    ours, theirs = _open(drawn["twin"]), _open(drawn["healthy"])
    paired = changes(ours, theirs, [PASS])
    # The oracle: the same two checkpoints in one run, one the baseline of the other.
    together = drawn["twin"].parent / "together"
    settings = Settings(engine="synthetic", suite="tiny", prompts=40, samples=6, probes="sampling_spread")
    settings = replace(settings, baseline="synthetic:healthy", adaptive=False, run_dir=str(together))
    row = pipeline.diagnose(resolve("synthetic:twin", settings)).row(PASS)
    found = paired.rows[PASS]
    assert isinstance(found, Measured)
    assert paired.how == "paired"
    assert (found.value, found.delta, found.delta_ci) == (row.value, row.delta, row.delta_ci)
    alone = changes(ours, Run(path=theirs.path, report=theirs.report), [PASS])
    wide = alone.rows[PASS]
    assert isinstance(wide, Measured)
    assert alone.how == "independent"
    assert wide.delta == pytest.approx(found.delta, abs=1e-5)  # a report has 6 digits
    assert wide.delta_ci is not None and found.delta_ci is not None  # noqa: PT018 - for mypy
    assert wide.delta_ci[0] < found.delta_ci[0] < found.delta_ci[1] < wide.delta_ci[1]


def test_a_report_whose_baseline_is_the_other_checkpoint_states_the_change_itself(drawn: dict[str, Path]) -> None:
    ours = _open(drawn["shortcut"])
    found = changes(ours, _open(drawn["longer"]), [PASS])
    assert found.how == "baseline", "the same checkpoint, whatever it was drawn with over there"
    assert found.rows[PASS] == runs.to_measurement(ours.report.row(PASS))


def test_runs_that_were_drawn_otherwise_do_not_compare(drawn: dict[str, Path]) -> None:
    found = changes(_open(drawn["twin"]), _open(drawn["longer"]))
    assert (found.how, found.rows) == ("not_comparable", {})
    assert "max_new_tokens" in found.reason


def test_a_number_about_the_baseline_does_not_compare_where_the_two_reports_have_different_ones(
    drawn: dict[str, Path],
) -> None:
    ours, name = _open(drawn["shortcut"]).report, "coverage.support_retention"
    kept = MeasurementRow(name=name, value=0.9, unit="share of prompts", n=40, ci=(0.8, 1.0))
    ours = replace(ours, measurements=(*ours.measurements, kept))
    assert ours.baseline is not None
    elsewhere = replace(ours.checkpoint, fingerprint="e" * 64)
    theirs = replace(ours, checkpoint=elsewhere)
    other = replace(theirs, baseline=replace(ours.baseline, fingerprint="f" * 64))
    here = Path("report.json")
    same, found = (
        changes(Run(path=here, report=ours), Run(path=here, report=r), [name, PASS]) for r in (theirs, other)
    )
    assert (same.how, found.how) == ("independent", "independent")
    assert getattr(same.rows[name], "delta", None) == 0.0
    assert getattr(found.rows[PASS], "delta", None) == 0.0
    policy = Policy(regression=(Regression(measurement=name, max_drop=0.5),))
    check = decide(ours, policy, against=found).checks[-1]
    assert check.verdict == "inconclusive"
    assert "the two reports have different ones" in check.reason


def test_a_files_prompts_are_paired_under_another_seed_though_their_order_differs(tmp_path: Path) -> None:
    lines = [{"id": f"p{i}", "prompt": f"{i}+1=", "answer": str(i + 1), "reference": f"={i + 1}"} for i in range(12)]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, lines)))
    settings = Settings(engine="synthetic", suite=str(tmp_path / "s.jsonl"), samples=4, probes="sampling_spread")
    for seed in (0, 1):
        here = replace(settings, seed=seed, run_dir=str(tmp_path / f"run-{seed}"))
        pipeline.diagnose(resolve("synthetic:healthy", here))
    ours, theirs = (_open(tmp_path / f"run-{seed}") for seed in (0, 1))
    assert ours.report.protocol.suite_sha != theirs.report.protocol.suite_sha
    found = changes(ours, theirs, [PASS])
    row = found.rows[PASS]
    assert (found.how, isinstance(row, Measured) and row.n) == ("paired", 12)
    reports = changes(Run(path=ours.path, report=ours.report), Run(path=theirs.path, report=theirs.report), [PASS])
    assert reports.how == "not_comparable", "a digest alone does not tell that they are the same"


def test_what_does_not_compare_across_tokenizers_or_baselines() -> None:
    entropy = Measured(name="token_entropy.mean", value=1.0, unit="nats/token", n=9, ci=(0.9, 1.1))
    for unit, words in (("nats/token", "different tokenizers"), ("nats/word", "the other in nats/word")):
        found = runs.independent_change(entropy, replace(entropy, unit=unit), tokens_compare=False)
        assert isinstance(found, Measured)
        assert (found.delta, found.delta_ci) == (None, None)
        assert words in (found.note or "")
    ratio = replace(entropy, name="token_entropy.mean_ratio", unit="x baseline")
    stated = replace(entropy, delta=0.1, delta_ci=(0.0, 0.2))
    for row, compares in ((ratio, False), (stated, True)):
        found = runs.independent_change(row, row, tokens_compare=True, two_baselines=True)
        assert isinstance(found, Measured)
        assert (found.delta == 0) is compares
    absent = runs.independent_change(entropy, Missing(name=entropy.name, reason="not drawn"), tokens_compare=True)
    assert "not drawn" in (getattr(absent, "note", None) or "")


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [60, 100])
def test_the_page_fits_says_every_reason_and_shows_nothing_hostile(width: int) -> None:
    report = _with(report_examples.healthy(), _row(0.56, (0.44, 0.68)))
    report = replace(report, checkpoint=replace(report.checkpoint, ref="runs/\x1b[2J\n" + "x" * 200))
    found = decide(report, Policy(bounds=(Bound(measurement=PASS, min=0.5),)), source="run/report.json")
    page = GateReporter(width=width, ascii=True).render(found)
    assert page.isascii()
    assert "\x1b" not in page
    assert max(map(len, page.splitlines())) <= width
    flat = " ".join(page.replace("|", " ").split())
    assert "GATE INCONCLUSIVE" in flat
    assert found.reasons[0] in flat
    assert "exit code 3: inconclusive" in flat
    zero = GateReporter(width=width).render(replace(found, exit_code=0))
    assert "--exit-zero" in zero


# ── from beginning to end ─────────────────────────────────────────────────────────────────────────


def test_a_stored_run_and_its_report_get_one_verdict_and_one_document(drawn: dict[str, Path]) -> None:
    policy = Policy(
        bounds=(Bound(measurement=PASS, min=0.05),),
        regression=(Regression(measurement=PASS, max_drop=0.3),),
        against=str(drawn["healthy"]),
    )
    path = drawn["shortcut"]
    one, run = gating.gate_stored(path, policy)
    other, _ = gating.gate_stored(path / "report.json", policy)
    assert one.verdict == other.verdict == "failed"
    assert (one.report, one.against_how) == (str(path / "report.json"), gate.HOW_WORDS["baseline"])
    assert replace(one, created_at="") == replace(other, created_at="")
    written = json.loads(document.to_json(one))
    assert (written["verdict"], written["exit_code"], written["reasons"]) == ("failed", 1, list(one.reasons))
    assert written["policy_sha"] == policy.sha
    page = GateReporter().render(one)
    for words in ("GATE FAILED", "exit code 1: failed", PASS, *(check.name for check in one.checks)):
        assert words in page
    assert run.report.diagnosis.label == one.label


def test_a_gate_draws_on_until_its_bounds_are_decided(tmp_path: Path) -> None:
    settings = Settings(engine="synthetic", suite="tiny", prompts=108, samples=8, probes="sampling_spread")
    plain = pipeline.diagnose(resolve("synthetic:healthy", replace(settings, run_dir=str(tmp_path / "plain"))))
    assert plain.cost.stop == "decided"
    row = plain.row(PASS)
    assert row.ci is not None
    bound = Bound(measurement=PASS, min=round(row.ci[0] + 0.02, 3))  # inside the interval of that look
    assert decide(plain, Policy(bounds=(bound,))).verdict == "inconclusive"
    config = resolve("synthetic:healthy", replace(settings, run_dir=str(tmp_path / "gated")))
    found, run = gating.gate_checkpoint(config, Policy(bounds=(bound,)))
    assert run.report.protocol.n_prompts > plain.protocol.n_prompts
    ended = run.report.protocol.n_prompts == 108
    assert found.verdict in ({"passed", "inconclusive"} if ended else {"passed"})


def test_a_name_that_the_run_will_not_give_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    config = resolve("synthetic:healthy", Settings(engine="synthetic", suite="tiny", run_dir=str(tmp_path / "r")))
    policy = Policy(bounds=(Bound(measurement="sampling_spread.pass_at_I", min=0.1),), source="p.toml")
    with pytest.raises(ConfigError, match=r"did you mean 'sampling_spread.pass_at_\d'"):
        gating.gate_checkpoint(config, policy)
    assert not (tmp_path / "r").exists()
    left_out = replace(config, probes="token_entropy")
    with pytest.raises(ConfigError, match="no probe of this run measures"):
        gating.gate_checkpoint(left_out, Policy(bounds=(Bound(measurement=PASS, min=0.1),)))


def test_what_cannot_be_read_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    policy = Policy(regression=(Regression(measurement=PASS, max_drop=0.1),), against=str(tmp_path / "nowhere"))
    config = resolve("synthetic:healthy", Settings(engine="synthetic", suite="tiny", run_dir=str(tmp_path / "r")))
    with pytest.raises(ConfigError, match="neither a run directory nor a report file"):
        gating.gate_checkpoint(config, policy)
    with pytest.raises(ConfigError, match="allows no regression"):
        gating.with_against(Policy(), "x")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "run.json").write_text("{}")
    with pytest.raises(RunStoreError):
        gating.gate_stored(tmp_path / "part", Policy())
