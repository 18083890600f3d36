"""A remedy is held to what the catalogue says that it does: promise by promise, and over all of them."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest

import entropydx
from entropydx import pipeline
from entropydx.contrasts import RATIO, delta, headlines, promised, sides
from entropydx.engines._profiles import PROFILES
from entropydx.errors import PluginNotFoundError
from entropydx.promises import AIMS, HELD, SAID, account, judged
from entropydx.recommending import catalogue, find_remedy
from entropydx.reporters._comparison import ComparisonReporter
from entropydx.types import (
    Course,
    Delta,
    FailureDelta,
    Held,
    Interval,
    Label,
    Measured,
    Missing,
    Pair,
    Promise,
    PromiseOutcome,
    PromiseStatus,
    Remedy,
    RemedyOutcome,
)
from tests.unit.samples import samples, votes
from tests.unit.test_compare import QUICK, ROOT, four, row, run_of

MARGIN = (-0.1, 0.1)
COLLAPSE, VARIANCE = Label.TRAINING_COLLAPSE, Label.INFERENCE_VARIANCE


def _change(ci: Interval | None, name: str = "m", margin: Interval | None = MARGIN) -> Delta:
    inside = ci is not None and margin is not None and margin[0] < ci[0] and ci[1] < margin[1]
    value = 0.0 if ci is None else sum(ci) / 2
    return Delta(measurement=name, about=(), change=value, ci=ci, margin=margin, move="same" if inside else "open")


def _remedy(**promises: Course) -> Remedy:
    made = tuple(Promise(measurement=name, direction=course, source="a test") for name, course in promises.items())
    return replace(find_remedy("kl_cov"), promises=made, unmeasured="" if made else "of a test")


def _one(course: Course, change: Delta) -> PromiseOutcome:
    _, (outcome,) = judged(_remedy(m=course), [change])
    return outcome


# ── one promise ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ci", "rises", "does_not_fall"),
    [
        ((0.2, 0.4), "kept", "kept"),
        ((0.05, 0.4), "kept", "kept"),
        ((0.02, 0.08), "not_seen", "kept"),  # sure, and a trifle
        ((-0.05, 0.05), "not_seen", "kept"),  # surely no more than a trifle
        ((-0.08, -0.02), "not_seen", "kept"),  # a sure trifle downwards
        ((-0.05, 0.4), "not_seen", "kept"),
        ((-0.3, 0.4), "not_seen", "not_seen"),
        ((-0.4, -0.05), "broken", "broken"),
        ((-0.4, -0.2), "broken", "broken"),
        (None, "not_seen", "not_seen"),
    ],
)
def test_a_promise_by_the_interval_of_the_change_and_its_mirror(
    ci: Interval | None, rises: PromiseStatus, does_not_fall: PromiseStatus
) -> None:
    assert _one("rises", _change(ci)).status == rises
    assert _one("does_not_fall", _change(ci)).status == does_not_fall
    mirrored = None if ci is None else (-ci[1], -ci[0])
    assert _one("falls", _change(mirrored)).status == rises
    assert _one("does_not_rise", _change(mirrored)).status == does_not_fall


def test_without_a_margin_every_sure_change_counts_and_staying_means_not_the_least_fall() -> None:
    assert _one("rises", _change((0.001, 0.002), margin=None)).status == "kept"
    assert _one("does_not_fall", _change((0.0, 0.2), margin=None)).status == "kept"
    assert _one("does_not_fall", _change((-0.001, 0.2), margin=None)).status == "not_seen"


def test_a_quotient_is_held_against_one() -> None:
    twice = Delta(measurement="m", about=(), scale="ratio", change=2.0, ci=(1.5, 2.5), margin=(0.84, 1.2))
    assert _one("rises", twice).status == "kept"
    assert _one("rises", replace(twice, ci=(0.2, 0.5))).status == "broken"
    assert _one("rises", replace(twice, ci=(0.9, 1.1), move="same")).status == "not_seen"
    assert _one("does_not_fall", replace(twice, ci=(0.9, 1.1))).status == "kept"
    assert _one("does_not_fall", replace(twice, ci=(0.8, 1.1))).status == "not_seen"


def test_what_was_not_measured_is_unmeasured_with_the_reason_and_never_kept() -> None:
    for course in ("rises", "falls", "does_not_fall", "does_not_rise"):
        outcome = _one(course, Delta(measurement="m", about=(), missing_reason="no prompt is out of domain"))
        assert (outcome.status, outcome.reason) == ("unmeasured", "no prompt is out of domain")
        assert _one(course, _change((0.2, 0.4), name="another")).status == "unmeasured"


# ── all promises of a remedy ──────────────────────────────────────────────────────────────────────

UP, DOWN, OPEN, TRIFLE = (0.2, 0.4), (-0.4, -0.2), (-0.3, 0.3), (-0.05, 0.05)


@pytest.mark.parametrize(
    ("aims", "guards", "held"),
    [
        ([UP, UP], [UP], "kept"),
        ([UP, UP], [OPEN], "kept"),  # a loss that is not ruled out is named, and decides nothing
        ([UP, UP], [DOWN], "partly"),
        ([UP, OPEN], [], "partly"),
        ([UP, None], [], "partly"),
        ([UP, DOWN], [], "partly"),
        ([DOWN, OPEN], [UP], "no"),
        ([OPEN], [DOWN], "no"),
        ([TRIFLE, TRIFLE], [UP], "no"),
        ([TRIFLE, OPEN], [UP], "cannot_be_told"),
        ([TRIFLE, None], [], "cannot_be_told"),
        ([None], [UP], "cannot_be_told"),  # a remedy that does nothing keeps what it leaves alone
        ([], [UP, TRIFLE], "kept"),
        ([], [UP, OPEN], "partly"),
        ([], [OPEN, None], "cannot_be_told"),
        ([], [DOWN, OPEN], "no"),
        ([], [], "nothing_promised"),
    ],
)
def test_over_all_promises(aims: list[Interval | None], guards: list[Interval | None], held: Held) -> None:
    made: dict[str, Course] = {f"a{i}": "rises" for i in range(len(aims))}
    made |= {f"g{i}": "does_not_fall" for i in range(len(guards))}
    changes = [_change(ci, name) for name, ci in zip(made, [*aims, *guards], strict=True) if ci is not None]
    found, outcomes = judged(_remedy(**made), changes)
    assert found == held
    assert [o.measurement for o in outcomes] == list(made)


def test_one_draw_against_itself_shows_no_remedy() -> None:
    nothing = replace(_change((0.0, 0.0)), basis="construction")
    assert judged(_remedy(m="does_not_fall"), [nothing])[0] == "cannot_be_told"
    assert judged(_remedy(m="rises"), [nothing])[0] == "cannot_be_told"


def _account(remedy: Remedy, failures: list[FailureDelta], was: Label, is_: Label) -> RemedyOutcome:
    return account(remedy, [_change(UP)], failures, (was, is_))


def test_the_failure_that_it_is_for_and_those_that_it_must_not_be_used_for() -> None:
    remedy = _remedy(m="rises")
    assert remedy.for_ == (COLLAPSE,)
    assert remedy.contraindicated_for == (VARIANCE, Label.ABNORMAL)
    quiet = ("unchanged",) * 2
    mended = _account(remedy, four("resolved", "unchanged", *quiet), COLLAPSE, Label.HEALTHY)
    assert (mended.held, mended.targets) == ("kept", {"training_collapse": "resolved"})
    assert (mended.contraindicated_before, mended.contraindicated_after) == ((), ())
    assert mended.verdict == ("It did what it promised. Kept: m. Of what it is for, training collapse is resolved.")
    harm = _account(remedy, four("resolved", "appeared", *quiet), COLLAPSE, VARIANCE)
    assert harm.contraindicated_after == (VARIANCE,)
    assert "must not be used for inference variance, which is there after" in harm.verdict
    wrecked = _account(
        remedy, four("undecided", *("undecided",) * 3, before=["present", *("absent",) * 3]), COLLAPSE, Label.ABNORMAL
    )
    assert wrecked.contraindicated_after == (Label.ABNORMAL,)
    present = ["absent", "present", "absent", "absent"]
    wrong = _account(remedy, four("unchanged", "unchanged", *quiet, before=present), VARIANCE, VARIANCE)
    assert (wrong.targets, wrong.contraindicated_before) == ({}, (VARIANCE,))
    assert "It is for training collapse, which was not diagnosed before." in wrong.verdict
    assert "must not be used for inference variance, which was diagnosed before" in wrong.verdict


# ── the catalogue ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("remedy", [pytest.param(r, id=r.id) for r in catalogue()])
def test_every_remedy_promises_something_or_says_why_nothing_shows(remedy: Remedy) -> None:
    assert bool(remedy.promises) != bool(remedy.unmeasured)
    names = [p.measurement for p in remedy.promises]
    assert len(set(names)) == len(names)
    for promise in remedy.promises:
        assert promise.source
        assert not promise.source.endswith(".")


def test_no_remedy_promises_to_feed_the_failure_that_it_is_for() -> None:
    """Where the rules of a failure draw a line, a remedy for it promises to go away from that line, or to stay."""
    known = {h.measurement: h for h in headlines(pipeline.rules())}
    away = {"lower": ("rises", "does_not_fall"), "higher": ("falls", "does_not_rise"), None: ()}
    told = 0
    for remedy in catalogue():
        for promise in remedy.promises:
            headline = known.get(promise.measurement)
            if headline is not None and set(headline.about) & set(remedy.for_):
                assert promise.direction in away[headline.worse], (remedy.id, promise.measurement)
                told += 1
    assert told > 15


def test_every_promised_measurement_is_one_that_a_probe_makes_and_quotients_are_of_the_baseline() -> None:
    groups = [votes(i, 2, ["2", "3"]) for i in range(12)]
    strata = [("in", "easy"), ("in", "hard"), ("out", "medium")]
    groups = [
        replace(g, prompt=replace(g.prompt, domain=domain, difficulty=difficulty))  # type: ignore[arg-type]
        for g, (domain, difficulty) in zip(groups, strata * 4, strict=True)
    ]
    one, other = (samples(groups, fingerprint=f) for f in "ab")
    names = {promise.measurement for remedy in catalogue() for promise in remedy.promises}
    probes = pipeline.chosen_probes(",".join(sorted({name.partition(".")[0] for name in names})))
    found = {m.name: m for m in pipeline.measure(probes, one, other)}
    alone = {m.name: m for m in pipeline.measure(probes, one, None)}
    assert names <= found.keys()
    for name in names:
        if name.endswith(RATIO):
            assert isinstance(alone[name], Missing), name
            measured = found[name]
            assert not isinstance(measured, Measured) or measured.unit == "x baseline", name


def test_an_unknown_remedy_names_the_nearest() -> None:
    assert find_remedy("kl_cov").id == "kl_cov"
    with pytest.raises(PluginNotFoundError) as refused:
        find_remedy("kl-cov")
    assert refused.value.hint == "did you mean 'kl_cov'?"


# ── between two runs ──────────────────────────────────────────────────────────────────────────────


def test_the_arithmetic_may_differ_between_two_draws_of_the_same_weights() -> None:
    name = "decoding.greedy_repeatability"
    groups = [votes(i, 2, ["2", "3"]) for i in range(4)]
    before, after = (run_of(groups, rows=[row(name, value, 0.05)]) for value in (0.5, 1.0))
    (headline,) = promised(find_remedy("batch_invariant_inference"), ())
    found = delta(headline, sides(before, after, 0.95, {"decoding"}, pairs=True))
    assert (found.basis, found.change) == ("independent", pytest.approx(0.5))
    assert judged(find_remedy("batch_invariant_inference"), [found])[0] == "kept"


@pytest.mark.parametrize(
    ("cooler", "held"), [((0.6, 0.05, 0.02), "kept"), ((0.6, 0.14, 0.09), "partly"), ((0.4, 0.25, 0.2), "no")]
)
def test_one_policy_served_in_two_ways_is_held_to_what_cooling_promises(
    cooler: tuple[float, float, float], held: Held
) -> None:
    """Of two reports with intervals of +- 0.02 a change is known to +- 0.02 x sqrt 2 (MOVER)."""
    names = ("pass_at_1_deployment_change", "spread_deployment", "majority_gain_deployment")
    groups = [votes(i, 2, ["2", "3"]) for i in range(4)]
    warm = (0.5, 0.15, 0.1)
    before, after = (
        run_of(
            groups,
            rows=[row(f"decoding.{name}", value, 0.02) for name, value in zip(names, values, strict=True)],
            deploy_temperature=temperature,
            ci_level=0.95,
        )
        for values, temperature in ((warm, 1.0), (cooler, 0.6))
    )
    remedy = find_remedy("lower_temperature")
    two = sides(before, after, 0.95, {"decoding"}, pairs=True)
    deltas = [delta(h, two) for h in promised(remedy, headlines(pipeline.rules()))]
    assert [d.change for d in deltas] == pytest.approx([c - w for c, w in zip(cooler, warm, strict=True)])
    ci = deltas[0].ci
    assert ci is not None
    assert (ci[1] - ci[0]) / 2 == pytest.approx(0.02 * 2**0.5)
    assert judged(remedy, deltas)[0] == held


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a comparison of a collapsed, a healthy and a noisy policy."""
    folder = tmp_path_factory.mktemp("promises") / "c"
    refs = ("synthetic:collapsed", "synthetic:healthy", "synthetic:noisy")
    entropydx.compare(*refs, remedy="kl_cov", **QUICK, baseline="synthetic:twin", run_dir=str(folder))
    return folder


@cache
def _pair(root: Path, before: str, after: str, remedy: str) -> Pair:
    (pair,) = entropydx.compare(root / f"synthetic-{before}", root / f"synthetic-{after}", remedy=remedy).pairs
    return pair


def _promise(pair: Pair, name: str) -> PromiseOutcome:
    assert pair.promise is not None
    return next(p for p in pair.promise.promises if p.measurement == name)


def test_the_entropy_that_a_profile_was_given_is_what_the_promise_is_held_against(root: Path) -> None:
    """The true quotient of the two mean entropies, in closed form, lies in the interval."""
    truth = PROFILES["healthy"].mean_entropy / PROFILES["collapsed"].mean_entropy
    forth = _promise(_pair(root, "collapsed", "healthy", "kl_cov"), "token_entropy.mean_ratio")
    back = _promise(_pair(root, "healthy", "collapsed", "kl_cov"), "token_entropy.mean_ratio")
    assert forth.delta.ci is not None
    assert forth.delta.ci[0] < truth < forth.delta.ci[1]
    assert (forth.status, back.status) == ("kept", "broken")


def test_the_answer_about_the_remedy_stands_beside_the_answer_about_the_fix(root: Path) -> None:
    document = json.loads((root / "comparison.json").read_text())
    assert [p["promise"]["remedy"] for p in document["pairs"]] == ["kl_cov"] * 2
    pair = _pair(root, "collapsed", "healthy", "kl_cov")
    assert pair.promise is not None
    assert (pair.answer, pair.promise.targets) == ("worked", {"training_collapse": "resolved"})
    back = _pair(root, "healthy", "collapsed", "kl_cov")
    assert back.promise is not None
    assert (back.answer, back.promise.held, back.promise.targets) == ("made_it_worse", "no", {})
    noisy = _pair(root, "healthy", "noisy", "kl_cov")
    assert noisy.promise is not None
    assert noisy.promise.contraindicated_after == (VARIANCE,)


def test_a_remedy_that_promises_what_no_rule_looks_at_widens_the_family(root: Path) -> None:
    runs = [root / f"synthetic-{name}" for name in ("collapsed", "healthy")]
    (plain,) = entropydx.compare(*runs).pairs
    assert plain.promise is None
    pair = _pair(root, "collapsed", "healthy", "kl_with_reference_reset")
    assert (pair.family, len(pair.deltas)) == (plain.family + 1, plain.family)
    assert pair.level == pytest.approx(1 - 0.05 / pair.family)
    assert _promise(pair, "format_mode.disagreement").delta.basis == "paired"
    assert _pair(root, "collapsed", "healthy", "kl_cov").level == plain.level


def test_the_page_says_it_all_within_its_width(root: Path) -> None:
    for remedy, said in (("kl_cov", "kept"), ("majority_vote", "it promises nothing that shows here")):
        compared = entropydx.compare(root / "synthetic-collapsed", root / "synthetic-healthy", remedy=remedy)
        for width in (60, 100):
            page = ComparisonReporter(width=width).render(compared)
            assert max(map(len, page.splitlines())) <= width
            assert f"The remedy: {remedy}" in page
            assert said in " ".join(page.split())
            assert compared.pairs[0].promise is not None
            promises = compared.pairs[0].promise.promises
            assert page.count("promised: ") == len(promises)
            for promise in promises:
                assert f"{promise.measurement} {promise.direction.replace('_', ' ')}" in page


def test_every_field_and_word_stands_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "compare.md").read_text()
    for record in (RemedyOutcome, PromiseOutcome):
        for field in fields(record):
            assert f"`{field.name}`" in page, f"{record.__name__}.{field.name}"
    for word in (*HELD, *SAID, *AIMS, "does_not_fall", "does_not_rise"):
        assert f"`{word}`" in page


def test_an_unknown_remedy_is_one_line_and_exit_2_before_anything_is_drawn(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = ["compare", "synthetic:collapsed", "synthetic:healthy", "--engine", "synthetic", "--remedy", "clip_hihger"]
    line = [sys.executable, "-m", "entropydx", *call]
    result = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.strip() == "entropydx: no remedy named 'clip_hihger' (did you mean 'clip_higher'?)"
    assert list(tmp_path.iterdir()) == []
