"""A comparison: what counts as a change, what became of each failure, and whether the fix worked."""

import itertools
import json
import math
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

import entropydx
from entropydx import comparing, comparisons, contrasts, pipeline, plugins, stats
from entropydx.comparing import Evidence, became, failure_delta, rule_on
from entropydx.contrasts import delta, headlines, move, sides
from entropydx.document import to_json
from entropydx.errors import ConfigError
from entropydx.protocols import Silent
from entropydx.reporters._comparison import ComparisonReporter
from entropydx.runs import Run, open_run
from entropydx.types import (
    FAILURES,
    Compared,
    ComparedRun,
    Delta,
    FailureAssessment,
    FailureDelta,
    Label,
    Measured,
    MeasurementRow,
    Missing,
    Pair,
)
from tests.unit.report_examples import collapsed, truncated
from tests.unit.samples import samples, votes

ROOT = Path(__file__).parents[2]
ORGANISMS = ROOT / "fixtures" / "organisms"
RULES = pipeline.rules()
HEADS = {h.measurement: h for h in headlines(RULES)}
PASS_AT_1 = HEADS["sampling_spread.pass_at_1"]
QUICK = {
    "engine": "synthetic",
    "suite": "tiny",
    "prompts": 36,
    "samples": 6,
    "probes": "token_entropy,sampling_spread,format_mode,coverage",
}


class Heard(Silent):
    """Keeps stages and remarks."""

    def __init__(self):
        self.stages, self.remarks = [], []

    def start(self, stage, total):
        self.stages.append(stage)

    def warn(self, message):
        self.remarks.append(message)


def run_of(groups, *, fingerprint="f", seed=0, with_samples=True, rows=(), baseline=None, **protocol):
    """A run of hand-made groups, whose report is an example's but for what is said."""
    drawn = samples(groups, fingerprint=fingerprint, seed=seed)
    report = collapsed()
    fixed = {"suite": "s", "suite_sha": "0" * 64, "n_prompts": len(groups), "n_planned": len(groups), "seed": seed}
    report = replace(
        report,
        checkpoint=replace(drawn.checkpoint, ref=fingerprint),
        baseline=None if baseline is None else replace(drawn.checkpoint, fingerprint=baseline, ref=baseline),
        protocol=replace(report.protocol, **fixed, n_samples=drawn.params.n_samples, **protocol),
        measurements=tuple(rows),
    )
    return Run(path=Path(fingerprint), report=report, samples={"checkpoint": drawn} if with_samples else {})


# ── which measurements, which way, how much ───────────────────────────────────────────────────────


def test_the_headlines_are_the_accusing_conditions_of_the_decisive_rules_and_the_outcomes():
    assert {n for n, h in HEADS.items() if not h.about} == {
        "sampling_spread.pass_at_1",
        "sampling_spread.coverage",
        "token_entropy.mean",
    }
    for failure in FAILURES:
        assert [h for h in HEADS.values() if failure in h.about], failure
    # Conditions that tell one failure from another are met by no change at all, and are about nothing that got worse.
    assert "sampling_spread.maj_at_n" not in HEADS
    assert "sampling_spread.pass_at_1@in" not in HEADS


def test_directions_and_margins_are_those_of_the_rules():
    assert HEADS["token_entropy.mean_ratio"].worse == "lower"
    assert HEADS["sampling_spread.wrong_agreement"].worse == "higher"
    assert HEADS["shortcutting.easy_regression"].worse == "lower"
    assert HEADS["confidence.overconfidence@out"].worse == "higher"
    assert HEADS["token_entropy.mean"].worse is None
    assert HEADS["token_entropy.mean"].margin is None
    # Half of the way: of 0.15 and 0.30 the nearer, of a quotient in its logarithm, of a share kept from 1.
    assert HEADS["sampling_spread.wrong_agreement"].margin == pytest.approx((-0.075, 0.075))
    assert HEADS["token_entropy.mean_ratio"].margin == pytest.approx((math.sqrt(0.7), 1 / math.sqrt(0.7)))
    assert HEADS["coverage.support_retention"].margin == pytest.approx((-0.025, 0.025))
    assert PASS_AT_1.margin == pytest.approx((-0.025, 0.025))


def test_what_is_measured_against_a_baseline_alone_is_known_as_such():
    """The two lists of contrasts hold exactly the headlines that have no value without a baseline."""
    rng = np.random.default_rng(1)
    groups = [votes(i, int(n), ["2"] * (4 - int(n))) for i, n in enumerate(rng.integers(0, 5, 24))]
    one, other = (samples(groups, fingerprint=f) for f in "ab")
    probes = {n.partition(".")[0] for n in HEADS} - {"decoding"}
    chosen = {name: pipeline.chosen_probes(name)[name] for name in probes}
    alone = {m.name: m for m in pipeline.measure(chosen, one, None)}
    against = {m.name: m for m in pipeline.measure(chosen, one, other)}
    for name in set(HEADS) & set(against):
        relational = HEADS[name].ratio or name in contrasts.AGAINST_ITSELF
        if isinstance(against[name], Measured):
            assert isinstance(alone[name], Missing) == relational, name
            assert (against[name].unit == "x baseline") == HEADS[name].ratio, name


@pytest.mark.parametrize(
    ("ci", "expected"),
    [
        ((-0.2, -0.1), "worse"),
        ((0.01, 0.2), "better"),
        ((-0.2, 0.1), "open"),
        ((-0.02, 0.01), "same"),
        ((-0.02, -0.01), "same"),  # sure, and a trifle
        ((-0.2, -0.01), "worse"),
        ((0.0, 0.0), "same"),
        (None, "open"),
    ],
)
def test_a_change_is_where_its_interval_lies(ci, expected):
    assert move(PASS_AT_1, ci) == expected
    mirrored = replace(PASS_AT_1, worse="higher")
    swapped = {"worse": "better", "better": "worse"}
    assert move(mirrored, ci) == swapped.get(expected, expected)


def test_a_quotient_is_compared_with_one():
    ratio = HEADS["token_entropy.mean_ratio"]
    found = [move(ratio, ci) for ci in ((0.2, 0.5), (1.1, 3.0), (0.9, 1.1), (0.5, 1.1), (1.0, 1.0))]
    assert found == ["worse", "better", "same", "open", "same"]
    assert move(HEADS["token_entropy.mean"], (0.1, 0.2)) == "moved"


# ── the numbers ───────────────────────────────────────────────────────────────────────────────────


def test_a_paired_change_is_the_mean_change_of_the_prompts_with_the_interval_of_its_bootstrap():
    before = run_of([votes(i, 1, ["2"] * 3) for i in range(20)], fingerprint="a")
    # Half of the prompts gain two of four samples: the mean gain is 0.25.
    after = run_of([votes(i, 1 + 2 * (i % 2), ["2"] * (3 - 2 * (i % 2))) for i in range(20)], fingerprint="b")
    two = sides(before, after, 0.95, {"sampling_spread"}, pairs=True)
    found = delta(PASS_AT_1, two)
    assert (found.before, found.after, found.change) == pytest.approx((0.25, 0.5, 0.25))
    assert (found.basis, found.move, found.n) == ("paired", "better", 20)
    # The mean of 20 values that are 0 or 0.5 with equal counts: half of a binomial share, expanded as in `stats`.
    with stats.at_level(0.95):
        tail = stats.tail_probability(20)
    share = scipy_stats.binom(20, 0.5)
    assert found.ci == pytest.approx((share.ppf(tail) / 40, share.ppf(1 - tail) / 40), abs=0.0251)
    backward = two.backward["sampling_spread.pass_at_1"]
    assert backward.delta == pytest.approx(-0.25)


def row(name, value, half, **more):
    return MeasurementRow(name=name, value=value, ci=(value - half, value + half), unit="share", n=50, **more)


GROUPS = [votes(i, 2, ["2"] * 2) for i in range(4)]
NAME = PASS_AT_1.measurement


def test_two_reports_give_the_interval_of_two_independent_estimates():
    before = run_of(GROUPS, fingerprint="a", with_samples=False, rows=[row(NAME, 0.6, 0.03)], ci_level=0.9)
    after = run_of(GROUPS, fingerprint="b", with_samples=False, rows=[row(NAME, 0.4, 0.04)], ci_level=0.9)
    found = delta(PASS_AT_1, sides(before, after, 0.9, (), pairs=True))
    assert (found.basis, found.move) == ("independent", "worse")
    assert found.change == pytest.approx(-0.2)
    assert found.ci == pytest.approx((-0.25, -0.15))  # hypot(0.03, 0.04)
    # At another level each side grows with the normal quantile.
    wider = delta(PASS_AT_1, sides(before, after, 0.99, (), pairs=True))
    factor = scipy_stats.norm.ppf(0.995) / scipy_stats.norm.ppf(0.95)
    assert wider.ci == pytest.approx((-0.2 - 0.05 * factor, -0.2 + 0.05 * factor))


def test_levels_of_two_reports_that_differ_are_brought_to_one():
    before = run_of(GROUPS, fingerprint="a", with_samples=False, rows=[row(NAME, 0.6, 0.03)], ci_level=0.9)
    z = scipy_stats.norm.ppf
    after = run_of(
        GROUPS, fingerprint="b", with_samples=False, rows=[row(NAME, 0.4, 0.04 * z(0.995) / z(0.95))], ci_level=0.99
    )
    found = delta(PASS_AT_1, sides(before, after, 0.9, (), pairs=True))
    assert found.ci == pytest.approx((-0.25, -0.15))


def test_a_later_report_whose_baseline_is_the_earlier_checkpoint_states_the_change_itself():
    stated = row(NAME, 0.4, 0.1, baseline=0.6, delta=-0.2, delta_ci=(-0.21, -0.19))
    before = run_of(GROUPS, fingerprint="a", with_samples=False, rows=[row(NAME, 0.6, 0.1)], ci_level=0.9)
    after = run_of(GROUPS, fingerprint="b", baseline="a", with_samples=False, rows=[stated], ci_level=0.9)
    found = delta(PASS_AT_1, sides(before, after, 0.9, (), pairs=True))
    assert (found.basis, found.ci) == ("stated", (-0.21, -0.19))


def test_what_is_about_a_change_compares_over_one_baseline_only():
    name = "shortcutting.easy_regression"
    head, ratio = HEADS[name], HEADS["token_entropy.mean_ratio"]

    def one(fingerprint, value, quotient, baseline):
        rows = [row(name, value, 0.03), replace(row(ratio.measurement, quotient, 0), ci=(quotient / 2, quotient * 2))]
        return run_of(GROUPS, fingerprint=fingerprint, baseline=baseline, with_samples=False, rows=rows, ci_level=0.9)

    before = one("a", -0.3, 0.2, "base")
    two = sides(before, one("b", -0.1, 0.8, "base"), 0.9, (), pairs=True)
    assert delta(head, two).change == pytest.approx(0.2)
    found = delta(ratio, two)
    spread = 2 ** math.sqrt(2)  # two independent factors of 2
    assert (found.scale, found.change) == ("ratio", pytest.approx(4.0))
    assert found.ci == pytest.approx((4 / spread, 4 * spread))
    other = sides(before, one("b", -0.1, 0.8, "elsewhere"), 0.9, (), pairs=True)
    assert delta(head, other).change is None
    assert "one baseline" in delta(ratio, other).missing_reason


def test_a_quotient_is_brought_to_another_level_in_its_logarithm_and_one_of_zero_is_drawn():
    name = "epistemic_markers.count_ratio"
    head, z = HEADS[name], scipy_stats.norm.ppf

    def stated(value, ci):
        ratio = MeasurementRow(name=name, value=value, ci=ci, unit="x baseline", n=50)
        before = run_of(GROUPS, fingerprint="a", with_samples=False, ci_level=0.9)
        after = run_of(GROUPS, fingerprint="b", baseline="a", with_samples=False, rows=[ratio], ci_level=0.9)
        found = delta(head, sides(before, after, 0.99, (), pairs=True))
        return before, after, found

    *_, found = stated(0.2, (0.02, 0.5))
    factor = z(0.995) / z(0.95)
    assert found.ci == pytest.approx((0.2 * 0.1**factor, 0.2 * 2.5**factor))
    for zero in ((0.0, 0.0), (0.0, 0.4)):
        before, after, found = stated(0.0, zero)
        assert found.ci[0] == 0.0
        assert f"{name}  after / before" in ComparisonReporter().render(comparisons.compared({"a": before, "b": after}))


def test_one_draw_against_itself_is_zero_by_construction_and_a_new_draw_is_not():
    one = run_of(GROUPS, rows=[row(NAME, 0.5, 0.1)])
    found = delta(PASS_AT_1, sides(one, one, 0.95, {"sampling_spread"}, pairs=True))
    assert (found.change, found.ci, found.basis, found.move) == (0.0, (0.0, 0.0), "construction", "same")
    other = run_of(GROUPS, rows=[row(NAME, 0.5, 0.1)], seed=1)
    assert not sides(one, other, 0.95, {"sampling_spread"}, pairs=True).same


def test_the_same_weights_in_another_precision_are_another_draw():
    one = run_of(GROUPS, rows=[row(NAME, 0.5, 0.1)])
    drawn = one.samples["checkpoint"]
    half = replace(drawn.checkpoint, dtype="bfloat16")
    groups = tuple(votes(i, 2 + i % 2, ["2"] * (2 - i % 2)) for i in range(4))
    other = Run(
        path=one.path,
        report=replace(one.report, checkpoint=half),
        samples={"checkpoint": replace(drawn, checkpoint=half, groups=groups)},
    )
    two = sides(one, other, 0.95, {"sampling_spread"}, pairs=True)
    found = delta(PASS_AT_1, two)
    assert (found.basis, found.change) == ("paired", pytest.approx(0.125))
    assert found.ci[1] > 0.125


def test_of_one_policy_deployed_in_two_ways_only_the_deployment_changes():
    name = "decoding.majority_gain_deployment"
    one, other = (
        run_of(GROUPS, rows=[row(NAME, 0.5, 0.1), row(name, gain, 0.01)], deploy_temperature=t, ci_level=0.95)
        for t, gain in ((1.5, 0.4), (0.3, 0.1))
    )
    two = sides(one, other, 0.95, {"sampling_spread"}, pairs=True)
    assert (two.same_policy, two.same) == (True, False)
    assert delta(PASS_AT_1, two).basis == "construction"
    assert delta(HEADS["coverage.support_retention"], two).basis == "construction"
    found = delta(HEADS[name], two)
    assert (found.basis, found.move, found.change) == ("independent", "better", pytest.approx(-0.3))


def test_what_moved_beside_the_patterns_is_not_called_unchanged():
    """Patterns are asked of the rules with a baseline; a rule about the deployment is not among them."""
    still = known(U, U, "better", arose=A, receded=A)
    assert became(still) == "unchanged"
    assert became(replace(still, covered=frozenset({"m.0"}))) == "unchanged"
    assert became(replace(still, covered=frozenset({"m.1"}))) == "undecided"


def test_two_draws_of_one_policy_are_called_better_or_worse_no_more_often_than_the_level_says():
    """A/A: of 150 pairs of draws at the same chances, at most the 99.9th percentile of a binomial of 5 %."""
    rng = np.random.default_rng(7)
    chances = rng.beta(1.5, 1.5, 40)
    level, wrong, repeats = 0.95, 0, 150

    def drawn(name):
        right = rng.binomial(8, chances)
        return samples([votes(i, int(n), ["2"] * (8 - int(n))) for i, n in enumerate(right)], fingerprint=name)

    def rates(of):
        return np.array([np.mean([c.grade for c in g.completions]) for g in of.groups])

    with stats.at_level(level):
        for _ in range(repeats):
            a, b = rates(drawn("a")), rates(drawn("b"))
            measured = stats.Population(n_prompts=40).estimate(
                NAME, "share", stats.mean_statistic(b), stats.mean_statistic(a), bounds=(0, 1)
            )
            wrong += move(replace(PASS_AT_1, distance=None), measured.delta_ci) in {"better", "worse"}
    assert wrong <= scipy_stats.binom(repeats, 1 - level).ppf(0.999)


# ── what became of a failure ──────────────────────────────────────────────────────────────────────


def standing(status, reason=""):
    return FailureAssessment(status=status, reason=reason)


def moved(*moves):
    return tuple(Delta(measurement=f"m.{i}", about=(FAILURES[0],), change=0.1, move=m) for i, m in enumerate(moves))


def known(before, after, *moves, arose="undetermined", receded="undetermined"):
    pattern = [None if x is None else standing(x) for x in (arose, receded)]
    return Evidence(
        before=standing(before), after=standing(after), arose=pattern[0], receded=pattern[1], deltas=moved(*moves)
    )


P, A, U = "present", "absent", "undetermined"


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        # Gone: the verdict alone is not enough, something must surely have moved.
        (known(P, A, "better"), "resolved"),
        (known(P, A, "better", "worse"), "resolved"),
        (known(P, A, "open", receded=P), "resolved"),
        (known(P, A, "open"), "undecided"),
        (known(P, A, "worse"), "undecided"),
        # Still there, or perhaps.
        (known(P, P, "better", "open"), "improved"),
        (known(P, P, "worse", "open"), "worse"),
        (known(P, P, "better", "worse"), "undecided"),
        (known(P, P, "same", "same"), "unchanged"),
        (known(P, P, "same", "open"), "undecided"),
        (known(P, U, "better"), "improved"),
        (known(P, U, "open"), "undecided"),
        (known(P, P, "open", arose=P), "worse"),
        # Not there before: a whole pattern, or a verdict and a measurement.
        (known(A, P, "worse"), "appeared"),
        (known(A, P, "open", arose=P), "appeared"),
        (known(A, P, "open"), "undecided"),
        (known(A, A, "worse"), "unchanged"),
        (known(A, A, "open", arose=None, receded=None), "unchanged"),
        (known(A, A, "worse", arose=P), "worse"),
        (known(A, U, "worse"), "undecided"),
        (known(A, U, "worse", arose=P), "appeared"),
        # Nobody knows how it was.
        (known(U, P, "worse"), "undecided"),
        (known(U, P, "worse", arose=P), "appeared"),
        (known(U, U, "open"), "undecided"),
        (known(U, U, "same"), "unchanged"),
        (known(U, U, "open", arose=A, receded=A), "unchanged"),
        (known(U, A, "better", receded=P), "improved"),
        (known(U, A, "better"), "undecided"),
        (known(U, U), "undecided"),
    ],
)
def test_what_became_of_a_failure(evidence, expected):
    assert became(evidence) == expected


def test_a_number_of_the_later_run_that_cannot_be_compared_keeps_a_failure_open():
    """A deployment that only the later run has: nobody knows whether it got worse."""
    name = "decoding.majority_gain_deployment"
    was = run_of(GROUPS, fingerprint="a", rows=[row(NAME, 0.5, 0.1)], ci_level=0.95)
    is_ = run_of(GROUPS, fingerprint="a", rows=[row(NAME, 0.5, 0.1), row(name, 0.3, 0.2)], deploy_temperature=3.0)
    two = sides(was, is_, 0.95, {"sampling_spread"}, pairs=True)
    deltas = [delta(h, two) for h in headlines(RULES)]
    missing = next(d for d in deltas if d.measurement == name)
    assert missing.missing_reason.startswith("before, ")
    about = tuple(d for d in deltas if Label.INFERENCE_VARIANCE in d.about)
    evidence = Evidence(
        before=standing(A), after=standing(U, "EDX204 undecided"), arose=standing(A), receded=standing(A), deltas=about
    )
    assert became(evidence) == "unchanged"
    open_ = replace(evidence, unseen=True)
    found = failure_delta(Label.INFERENCE_VARIANCE, open_, None, same=False)
    assert (found.change, found.harm_ruled_out) == ("undecided", False)
    diagnosis = is_.report.diagnosis
    failures = {**diagnosis.failures, Label.INFERENCE_VARIANCE: standing(U, "EDX204 undecided")}
    undetermined = replace(is_.report, diagnosis=replace(diagnosis, failures=failures))
    whole = comparing.failure_deltas(replace(two, after=replace(is_, report=undetermined)), deltas, RULES)
    found = next(f for f in whole if f.failure == Label.INFERENCE_VARIANCE)
    assert (found.change, found.harm_ruled_out) == ("undecided", False)


def test_what_got_worse_beside_the_patterns_is_no_harm_ruled_out():
    worse = replace(known(U, U, "worse", arose=A, receded=A), covered=frozenset({"m.1"}))
    assert not failure_delta(FAILURES[1], worse, None, same=False).harm_ruled_out


def test_exchanging_before_and_after_mirrors_what_became():
    mirror = {"resolved": "appeared", "appeared": "resolved", "improved": "worse", "worse": "improved"}
    swap = {"better": "worse", "worse": "better"}
    for before, after in ((P, P), (A, P), (P, A), (A, A)):
        for moves in (("better",), ("worse",), ("open",), ("same",)):
            there = became(known(before, after, *moves))
            back = became(known(after, before, *(swap.get(m, m) for m in moves)))
            assert back == mirror.get(there, there), (before, after, moves)


def test_a_failed_instrument_says_nothing_of_a_failure_and_the_same_draws_everything():
    evidence = known(P, U, "better")
    blamed = failure_delta(FAILURES[0], evidence, "after, the instrument failed (EDX901): cut off", same=False)
    assert (blamed.change, blamed.harm_ruled_out, blamed.arose) == ("undecided", False, None)
    assert "instrument" in blamed.reason
    same = failure_delta(FAILURES[0], evidence, None, same=True)
    assert (same.change, same.reason) == ("unchanged", comparing.BY_CONSTRUCTION)


def test_an_untested_failure_decides_no_exit_code_and_harm_is_ruled_out_where_it_is_absent_after():
    untested = standing(U, "untested: the suite has no prompts in the stratum @out")
    nothing = Evidence(before=untested, after=untested, arose=untested, receded=untested, deltas=())
    found = failure_delta(FAILURES[3], nothing, None, same=False)
    assert (found.change, found.tested, found.harm_ruled_out) == ("undecided", False, False)
    gone = failure_delta(FAILURES[0], known(U, A, "open"), None, same=False)
    assert (gone.change, gone.tested, gone.harm_ruled_out) == ("undecided", True, True)


# ── did it work? ──────────────────────────────────────────────────────────────────────────────────


def four(*changes, before=None, after=("absent",) * 4):
    before = before or ["present" if c in {"resolved", "improved"} else "absent" for c in changes]
    return [
        FailureDelta(
            failure=f,
            before=b,
            after=a,
            severity_before=None,
            severity_after=None,
            arose=None,
            receded=None,
            change=c,
            reason="",
            tested=True,
            harm_ruled_out=c not in {"worse", "appeared", "undecided"},
        )
        for f, c, b, a in zip(FAILURES, changes, before, after, strict=True)
    ]


def labelled(label):
    report = collapsed()
    return replace(report, diagnosis=replace(report.diagnosis, label=label))


H, C, X, I = Label.HEALTHY, Label.TRAINING_COLLAPSE, Label.ABNORMAL, Label.INCONCLUSIVE  # noqa: E741
QUIET = ("unchanged",) * 3


@pytest.mark.parametrize(
    ("was", "is_", "failures", "answer", "code"),
    [
        (C, H, four("resolved", *QUIET), "worked", 0),
        (C, C, four("improved", *QUIET), "partly", 0),
        (C, C, four("unchanged", *QUIET, before=[P, A, A, A]), "no", 0),
        (C, I, four("undecided", *QUIET, before=[P, A, A, A]), "cannot_be_told", 3),
        (C, I, four("undecided", *QUIET, before=[P, A, A, A], after=[U, A, A, A]), "cannot_be_told", 3),
        (C, C, four("undecided", *QUIET, before=[P, A, A, A], after=[P, A, A, A]), "no", 3),
        (C, C, four("worse", *QUIET, before=[P, A, A, A]), "made_it_worse", 1),
        (C, Label.INFERENCE_VARIANCE, four("resolved", "appeared", *QUIET[:2]), "partly", 1),
        (C, C, four("improved", "appeared", *QUIET[:2]), "made_it_worse", 1),
        (C, C, four("resolved", "unchanged", *QUIET[:2], before=[P, P, A, A]), "partly", 0),
        (C, I, four("resolved", "undecided", *QUIET[:2]), "worked", 3),
        (H, H, four("unchanged", *QUIET), "nothing_to_fix", 0),
        (H, C, four("appeared", *QUIET), "made_it_worse", 1),
        (I, I, four("undecided", *QUIET), "nothing_to_fix", 3),
        (C, X, four(*["undecided"] * 4, before=[P, A, A, A]), "made_it_worse", 1),
        (X, H, four(*["undecided"] * 4, before=[U] * 4), "worked", 3),
        (X, C, four(*["undecided"] * 4, before=[U] * 4), "partly", 3),
        (X, X, four(*["undecided"] * 4, before=[U] * 4), "no", 3),
    ],
)
def test_did_it_work(was, is_, failures, answer, code):
    ruling = rule_on(labelled(was), labelled(is_), failures, ())
    assert (ruling.answer, ruling.exit_code) == (answer, code)


def test_the_price_is_named_and_a_lost_outcome_alone_fails_nothing():
    lost = Delta(
        measurement=NAME, about=(), change=-0.08, ci=(-0.12, -0.04), move="worse", scale="difference", worse="lower"
    )
    ruling = rule_on(labelled(C), labelled(H), four("resolved", *QUIET), (lost,))
    assert ruling.exit_code == 0
    assert ruling.paid == (f"{NAME} -0.08 [-0.12, -0.04]",)
    assert ruling.verdict == f"It worked: training collapse is resolved. Paid: {NAME} -0.08 [-0.12, -0.04]."
    harm = rule_on(labelled(H), labelled(C), four("appeared", *QUIET), ())
    assert harm.paid == ("training collapse is there now",)
    assert harm.verdict == "It made it worse: training collapse is there now."
    quiet = rule_on(labelled(H), labelled(H), four("unchanged", *QUIET), ())
    assert quiet.verdict == "Nothing to fix: no failure was diagnosed before, and none appeared or got worse."


def test_where_the_instrument_failed_it_cannot_be_told():
    ruling = rule_on(truncated(), labelled(H), four(*["undecided"] * 4, before=[U] * 4), ())
    assert (ruling.answer, ruling.exit_code) == ("cannot_be_told", 3)
    assert "before, the instrument failed" in ruling.verdict


# ── runs of the synthetic engine ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A healthy, a collapsed and a noisy policy, diagnosed for a comparison, with what was heard and its directory."""
    root, heard = tmp_path_factory.mktemp("compare") / "c", Heard()
    refs = ("synthetic:healthy", "synthetic:collapsed", "synthetic:noisy")
    settings = {**QUICK, "baseline": "synthetic:twin", "run_dir": str(root)}
    return entropydx.compare(*refs, progress=heard, **settings), heard, root


def changes(pair: Pair) -> dict[str, str]:
    return {f.failure.value: f.change for f in pair.failures}


def test_what_the_profiles_were_given_is_what_appears(found):
    compared, _, root = found
    assert [p.after for p in compared.pairs] == ["synthetic-collapsed", "synthetic-noisy"]
    first, second = compared.pairs
    assert changes(first)["training_collapse"] == "appeared"
    assert changes(second)["inference_variance"] == "appeared"
    assert [p.answer for p in compared.pairs] == ["made_it_worse"] * 2
    assert compared.exit_code == 1
    assert sum(c in {"appeared", "worse"} for p in compared.pairs for c in changes(p).values()) == 2
    assert first.pairing == "noise"
    assert first.level == pytest.approx(1 - 0.05 / first.family)
    assert first.family == len(first.deltas) == len(HEADS)
    assert json.loads((root / "comparison.json").read_text()) == json.loads(to_json(compared))


def test_the_baseline_is_drawn_once_and_the_same_command_draws_nothing(found):
    _, heard, root = found
    drawn = [s for s in heard.stages if s.endswith("sampling synthetic:twin")]
    assert [s.partition(",")[0] for s in drawn] == ["synthetic-healthy"]
    again = Heard()
    settings = {**QUICK, "baseline": "synthetic:twin", "run_dir": str(root)}
    entropydx.compare("synthetic:healthy", "synthetic:collapsed", progress=again, **settings)
    assert not [s for s in again.stages if "sampling synthetic" in s]


def test_the_other_way_round_the_collapse_is_resolved(found):
    _, _, root = found
    compared = entropydx.compare(root / "synthetic-collapsed", root / "synthetic-healthy")
    (pair,) = compared.pairs
    assert (pair.answer, pair.exit_code, changes(pair)["training_collapse"]) == ("worked", 0, "resolved")
    entropy = next(d for d in pair.deltas if d.measurement == "token_entropy.mean_ratio")
    forth = next(d for d in found[0].pairs[0].deltas if d.measurement == "token_entropy.mean_ratio")
    assert entropy.change == pytest.approx(1 / forth.change)


def test_reports_alone_agree_in_direction_and_are_wider(found):
    _, _, root = found
    names = ("synthetic-healthy", "synthetic-collapsed")
    (alone,) = entropydx.compare(*(root / n / "report.json" for n in names)).pairs
    paired = found[0].pairs[0]
    assert (alone.pairing, alone.answer) == ("none", paired.answer)
    both = [(a, p) for a, p in zip(alone.deltas, paired.deltas, strict=True) if a.ci and p.ci and p.basis == "paired"]
    assert len(both) > 5
    for a, p in both:
        assert a.basis == "independent"
        width = [math.log(d.ci[1] / d.ci[0]) if d.scale == "ratio" else d.ci[1] - d.ci[0] for d in (a, p)]
        if a.measurement in {"sampling_spread.pass_at_1", "sampling_spread.coverage", "sampling_spread.pass_at_1@out"}:
            assert width[0] > width[1], a.measurement
        if "worse" in {a.move, p.move}:
            assert "better" not in {a.move, p.move}, a.measurement
    assert [f.arose for f in alone.failures] == [None] * 4


def test_one_checkpoint_against_a_copy_of_its_run_is_unchanged_by_construction(found, tmp_path):
    _, _, root = found
    copy = tmp_path / "copy.json"
    copy.write_text((root / "synthetic-collapsed" / "report.json").read_text())
    (pair,) = entropydx.compare(root / "synthetic-collapsed", copy).pairs
    assert (pair.answer, pair.exit_code) == ("no", 0)
    assert set(changes(pair).values()) == {"unchanged"}
    assert {d.change for d in pair.deltas if d.change is not None} <= {0.0, 1.0}
    assert comparing.BY_CONSTRUCTION in pair.notes[0]


def test_a_checkpoint_beside_a_run_is_drawn_like_it(found, tmp_path):
    _, _, root = found
    settings = {"engine": "synthetic", "baseline": "synthetic:twin", "run_dir": str(tmp_path / "c")}
    (pair,) = entropydx.compare(root / "synthetic-healthy", "synthetic:noisy", **settings).pairs
    assert pair.pairing == "noise"
    assert changes(pair)["inference_variance"] == "appeared"


def test_other_seeds_of_a_built_in_suite_are_independent_and_of_the_same_prompts_paired(found, tmp_path):
    _, _, root = found
    settings = {**QUICK, "adaptive": False, "baseline": "synthetic:twin", "seed": 1}
    entropydx.diagnose("synthetic:healthy", **settings, run_dir=str(tmp_path / "other"))
    (pair,) = entropydx.compare(root / "synthetic-healthy", tmp_path / "other").pairs
    assert pair.pairing == "none"
    assert not {"worse", "appeared", "improved", "resolved"} & set(changes(pair).values())
    assert any("Other seeds" in note for note in pair.notes)
    one = open_run(root / "synthetic-healthy")
    reseeded = replace(one.report, protocol=replace(one.report.protocol, seed=5))
    (pair,) = comparisons.compared({"a": one, "b": replace(one, report=reseeded)}).pairs
    assert pair.pairing == "prompts"


def test_what_does_not_compare_is_refused_with_the_field_that_differs(found, tmp_path):
    _, _, root = found
    run = open_run(root / "synthetic-healthy")

    def against(**protocol):
        other = replace(run.report, protocol=replace(run.report.protocol, **protocol))
        return {"a": run, "b": replace(run, report=other)}

    for name, value in (("temperature", 0.5), ("n_samples", 4), ("max_new_tokens", 7), ("top_p", 0.9)):
        with pytest.raises(ConfigError, match=f"a and b do not compare: {name} differs"):
            comparisons.compared(against(**{name: value}))
    # The prompts of both are at hand, and the same, whatever the order that the sha was taken in.
    (pair,) = comparisons.compared(against(suite="./other.jsonl", suite_sha="1" * 64, seed=3)).pairs
    assert pair.pairing == "prompts"
    run = replace(run, samples={})
    for other in ({"suite_sha": "1" * 64}, {"suite": "./other.jsonl", "suite_sha": "1" * 64, "seed": 3}):
        with pytest.raises(ConfigError, match="the prompts differ"):
            comparisons.compared(against(**other))
    with pytest.raises(ConfigError, match="one run compares with nothing"):
        entropydx.compare(root / "synthetic-healthy")
    with pytest.raises(ConfigError, match="given twice"):
        entropydx.compare(root / "synthetic-healthy", root / "synthetic-healthy")


def test_settings_that_change_nothing_are_remarked_on(found):
    _, _, root = found
    heard = Heard()
    entropydx.compare(root / "synthetic-healthy", root / "synthetic-noisy", progress=heard, samples=9)
    assert heard.remarks == ["nothing is drawn, so --samples changes nothing"]


def test_the_frame_has_a_row_for_every_change(found):
    frame = found[0].to_frame()
    assert len(frame) == 2 * len(HEADS)
    first = found[0].pairs[0].deltas[0]
    assert (frame.loc[0, "ci_low"], frame.loc[0, "ci_high"]) == first.ci
    assert frame.loc[0, "after_name"] == "synthetic-collapsed"


def test_no_level_finer_than_the_runs_own_is_undercut(found):
    """A run that stopped at an early look has wider intervals than the comparison asks for; these are then taken."""
    _, _, root = found
    runs = {name: open_run(root / f"synthetic-{name}") for name in ("healthy", "noisy")}
    strict = replace(runs["noisy"].report, protocol=replace(runs["noisy"].report.protocol, ci_level=0.9999))
    (pair,) = comparisons.compared({**runs, "noisy": replace(runs["noisy"], report=strict)}).pairs
    assert pair.level == 0.9999


# ── the page and the reference ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [60, 100, 140])
def test_the_page_keeps_its_width_and_says_the_answer_first(found, width):
    page = ComparisonReporter(width=width).render(found[0])
    assert max(map(len, page.splitlines())) <= width
    lines = [line for line in page.splitlines() if line]
    assert "Did it work? no, it is worse" in lines[1]
    drawn = [line for line in lines if "●" in line and "● change" not in line]
    assert len(drawn) == sum(d.ci is not None for p in found[0].pairs for d in p.deltas)
    for text in ("appeared", "exit code 1", "Bonferroni", "token_entropy.mean_ratio"):
        assert text in page
    assert all(ord(c) < 128 for c in ComparisonReporter(width=width, ascii=True).render(found[0]))


def test_hostile_text_moves_no_cursor(found):
    compared = found[0]
    pair = replace(compared.pairs[0], verdict="a\x1b[2Jb", after="x\x1b")
    runs = (compared.runs[0], replace(compared.runs[1], name="x\x1b"))
    assert "\x1b" not in ComparisonReporter().render(replace(compared, runs=runs, pairs=(pair,)))


def test_every_field_stands_in_the_reference():
    page = (ROOT / "docs" / "reference" / "compare.md").read_text()
    for record in (Compared, ComparedRun, Pair, FailureDelta, Delta):
        for field in fields(record):
            assert f"`{field.name}`" in page, f"{record.__name__}.{field.name}"
    for word in ("resolved", "improved", "unchanged", "worse", "appeared", "undecided", *comparing.ANSWERS):
        assert f"`{word}`" in page


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def _run(*args, cwd, without_torch=False):
    paths = [*([str(ROOT / "tests" / "e2e" / "no_torch")] if without_torch else []), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "entropydx", "compare", *map(str, args)]
    return subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=540)


def test_the_command_writes_the_document_and_the_table_and_exits_by_what_got_worse(found, tmp_path):
    _, _, root = found
    runs = [root / f"synthetic-{name}" / "report.json" for name in ("healthy", "collapsed")]
    result = _run(*runs, "--json", "c.json", "--csv", "t.csv", cwd=tmp_path, without_torch=True)
    document = json.loads((tmp_path / "c.json").read_text())
    assert result.returncode == document["exit_code"] == 1, result.stderr
    assert "Did it work? no, it is worse" in result.stdout
    assert document["runs"][0]["has_samples"] is False
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + len(HEADS)
    refused = _run(runs[0], ORGANISMS / "tiny-base", "--samples", "0", cwd=tmp_path)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.slow
def test_organisms_collapse_appears_after_the_base_and_is_resolved_in_the_healthy_one(tmp_path):
    names = ("tiny-base", "tiny-collapse", "tiny-healthy")
    args = [ORGANISMS / n for n in names]
    size = ("--prompts", "72", "--samples", "8", "--probes", "token_entropy,sampling_spread,coverage,shortcutting")
    result = _run(*args, "--baseline", args[0], "--device", "cpu", "--run-dir", "c", *size, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    first, second = entropydx.compare(*(tmp_path / "c" / n for n in names)).pairs
    assert changes(first)["training_collapse"] == "appeared"
    assert second.exit_code == 0
    (fixed,) = entropydx.compare(tmp_path / "c" / "tiny-collapse", tmp_path / "c" / "tiny-healthy").pairs
    assert (fixed.answer, changes(fixed)["training_collapse"]) == ("worked", "resolved")


@pytest.mark.slow
def test_two_draws_of_one_synthetic_policy_rarely_get_worse(tmp_path):
    """A/A on the same prompts with other noise: four draws of a sound and of a collapsed policy, every ordered pair."""
    suite = tmp_path / "suite.jsonl"
    names = ("id", "prompt", "answer", "domain", "difficulty", "reference", "family", "guess_rate")
    with suite.open("w") as file:
        for prompt in plugins.load("suite", "tiny").prompts(0, 36):
            verifier = {"type": prompt.verifier.type, "extract": prompt.verifier.extract}
            file.write(json.dumps({**{n: getattr(prompt, n) for n in names}, "verifier": verifier}) + "\n")
    settings = {**QUICK, "suite": str(suite), "adaptive": False, "baseline": "synthetic:twin"}
    pairs = []
    for policy in ("healthy", "collapsed"):
        runs = []
        for seed in range(4):
            entropydx.diagnose(f"synthetic:{policy}", **settings, seed=seed, run_dir=str(tmp_path / f"{policy}-{seed}"))
            runs.append(open_run(tmp_path / f"{policy}-{seed}"))
        for before, after in itertools.permutations(runs, 2):
            pairs += comparisons.compared({"a": before, "b": after}).pairs
    assert {p.pairing for p in pairs} == {"prompts"}
    measured = [d for p in pairs for d in p.deltas if d.move is not None]
    moves = sum(d.move in {"better", "worse", "moved"} for d in measured)
    assert sum(p.exit_code == 1 for p in pairs) <= scipy_stats.binom(len(pairs), 0.05).ppf(0.999)
    assert moves <= scipy_stats.binom(len(measured), 1 - pairs[0].level).ppf(0.999)
    # The failure that is there is diagnosed every time, and never said to be mended.
    assert {p.answer for p in pairs[len(pairs) // 2 :]} == {"no"}


def test_the_names_of_quotients_are_those_of_their_unit() -> None:
    """`g_pass_ratio` and `cot_gain_ratio` are shares of one checkpoint, whatever their names end in."""
    document = json.loads((ROOT / "docs" / "examples" / "tiny-collapse.json").read_text(encoding="utf-8"))
    known = [m for m in document["measurements"] if m["unit"] is not None and "@" not in m["name"]]
    assert {m["name"] for m in known if m["unit"] == contrasts.TIMES} == {
        m["name"] for m in known if m["name"].endswith(contrasts.RATIO)
    }
