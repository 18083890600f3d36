"""What the trials found best is what a report recommends, or it says why not."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from entropydx import pipeline
from entropydx.cases import Case, load_cases
from entropydx.recommending import MAX_RECOMMENDATIONS, catalogue, choose
from entropydx.types import FAILURES, Choice, Label, Stage, Training

ROOT = Path(__file__).parents[2]


@cache
def _trials() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads((ROOT / "entropydx/data/trials.json").read_text(encoding="utf-8")))


def _best(failure: Label) -> str:
    return next(row["remedy"] for row in _trials() if row["failure"] == failure and row["best"])


@cache
def _named(
    framework: str | None = None, stages: tuple[tuple[Label, Stage], ...] = ()
) -> tuple[tuple[Case, Label, Choice], ...]:
    """Return the labelled cases whose diagnosis is one of the failures, with what their report recommends."""
    found = []
    for case in load_cases(ROOT / "fixtures" / "cases"):
        judged = pipeline.judge(case.draws[0].measurements, has_baseline=True)
        label = judged.diagnosis.label
        if label in FAILURES:
            stage = dict(stages).get(label, "rl")
            given = None if framework is None else Training(stage=stage, source="a test", framework=framework)
            found.append((case, label, choose(judged.diagnosis, judged.measurements, given)))
    return tuple(found)


@pytest.mark.parametrize("failure", FAILURES)
def test_the_trials_found_a_remedy_that_works_for_every_failure(failure: Label) -> None:
    assert sum(row["best"] for row in _trials() if row["failure"] == failure) == 1


def test_every_organism_is_recommended_what_the_trials_found_best_or_it_says_why_not() -> None:
    counted: Counter[str] = Counter()
    for case, label, choice in _named():
        best = _best(label)
        if best in {r.id for r in choice.recommendations}:
            counted[label] += 1
        else:
            why = next(entry.why for entry in choice.left_out if entry.id == best)
            assert why != f"{MAX_RECOMMENDATIONS} remedies come before it", f"{case.name}: {best} has lost its place"
    assert all(counted[failure] >= 10 for failure in FAILURES), counted


@pytest.mark.parametrize("framework", ["trl", "verl", "openrlhf"])
def test_a_training_configuration_does_not_push_the_best_out(framework: str) -> None:
    """What is done to the data, or to the choice of a checkpoint, needs no key of the user's framework."""
    stages: dict[Label, Stage] = {Label.TEACHER_OVERCONFIDENCE: "distillation" if framework == "trl" else "sft"}
    for _, label, choice in _named(framework, tuple(stages.items())):
        assert _best(label) in {r.id for r in choice.recommendations}, (label, choice.left_out)


def test_the_order_of_the_catalogue_does_not_contradict_the_trials() -> None:
    """A remedy that the trials saw fail does not stand before one that they saw work, for one stage of training."""
    order = {remedy.id: remedy for remedy in catalogue()}
    for failure in FAILURES:
        rows = [r for r in _trials() if (r["failure"], r["role"], r["start"]) == (failure, "remedy", "failed")]
        works = {r["remedy"] for r in rows if r["verdict"] in ("better", "one checkpoint")}
        fails = {r["remedy"] for r in rows if r["verdict"] in ("worse", "no change seen")} - works
        for good in works:
            for bad in fails:
                assert order[good].order < order[bad].order, f"{failure}: {bad} stands before {good}"


def test_every_tried_remedy_quotes_its_trials() -> None:
    for case, label, choice in _named():
        for remedy in choice.recommendations:
            told = [r["sentence"] for r in _trials() if (r["failure"], r["remedy"]) == (label, remedy.id)]
            assert set(told) <= set(remedy.evidence), case.name
