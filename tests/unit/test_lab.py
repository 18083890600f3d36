"""The lab: its recipes as data, what makes a run, and what the check makes of an organism."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from entropydx.cases import from_json
from entropydx.organisms import find_recipe, recipes
from entropydx.organisms.doses import EditDose, GRPODose, PretrainDose, SFTDose
from entropydx.organisms.lab import Lab, in_runs
from entropydx.organisms.mechanisms import BASES, MECHANISMS, lab_recipes
from entropydx.organisms.truth import judge, judge_failures
from entropydx.types import FAILURES, Label

CASES = Path(__file__).parents[2] / "fixtures/cases/tiny"
SOUND = {
    "pass@1": 0.6, "pass@1/in": 0.6, "pass@1/out": 0.6, "pass@1/easy": 0.95, "pass@1/easy/in": 0.95,
    "pass@16": 0.9, "pass@16/in": 0.9, "majority": 0.65, "majority_gain": 0.05, "agreement_when_wrong/in": 0.3,
    "steps_written": 1.0, "largest_answer": 0.02, "overconfidence/out": 0.05, "answer_missing": 0.0, "stopped": 1.0,
}  # fmt: skip


def present(numbers):
    return {str(f) for f, standing in judge_failures(numbers, SOUND).items() if standing == "present"}


def test_every_failure_has_three_mechanisms_on_three_bases():
    for failure in FAILURES:
        own = [m for m in MECHANISMS if m.aim == failure]
        assert len(own) >= 3
        assert len({base for m in own for base in m.bases}) >= 3
    assert len({find_recipe(base.name).dose.architecture for base in BASES}) == 3
    assert len({find_recipe(base.name).dose.tokenizer for base in BASES}) == 3
    assert len({find_recipe(base.name).suite for base in BASES}) == 3


def test_recipes_have_names_of_their_own_and_parents_that_come_first():
    names = [recipe.name for recipe in recipes()]
    assert max(Counter(names).values()) == 1
    for i, recipe in enumerate(recipes()):
        for needed in filter(None, (recipe.parent, recipe.baseline)):
            assert needed in names[:i]
            assert find_recipe(needed).suite == recipe.suite


def test_doses_of_one_mechanism_differ_and_stand_together():
    seen = []
    for recipe in lab_recipes():
        if (key := (recipe.name.rsplit("-", 1)[0])) not in seen[-1:]:
            assert key not in seen
            seen.append(key)
    doses = [recipe.dose for recipe in lab_recipes() if recipe.name.startswith("grid-guided")]
    assert [dose.steps for dose in doses] == [10, 30, 200]


def test_no_dose_of_a_run_sees_other_data_than_the_longest():
    # `problems` cuts a set to what the steps use, and demonstrations without a number are as many as the steps use.
    for recipe in lab_recipes():
        if isinstance(recipe.dose, GRPODose):
            assert recipe.dose.n_problems <= recipe.dose.steps * recipe.dose.prompts_per_step, recipe.name
            assert recipe.dose.schedule == "constant"
        if isinstance(recipe.dose, SFTDose):
            assert recipe.dose.n_demonstrations is not None
            assert recipe.dose.schedule == "constant"


def test_a_run_is_what_differs_in_its_updates_alone():
    grid = [recipe for recipe in lab_recipes() if recipe.name.startswith("grid-")]
    runs = {tuple(recipe.name for recipe in run) for run in in_runs(grid)}
    assert ("grid-guided-1", "grid-guided-2", "grid-guided-3") in runs
    assert ("grid-noise-1",) in runs  # another noise is another run
    assert ("grid-under-trained-1",) in runs  # a schedule that ends is no stage of a longer one
    assert sum(len(run) for run in runs) == len(grid)
    assert all(len(run) == 1 for run in in_runs([r for r in grid if isinstance(r.dose, EditDose | PretrainDose)]))


def test_nothing_lost_is_sound():
    assert judge(SOUND, SOUND, Label.TRAINING_COLLAPSE) == (Label.HEALTHY, dict.fromkeys(map(str, FAILURES), "absent"))


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"pass@16/in": 0.75, "pass@16": 0.75, "agreement_when_wrong/in": 0.8}, "training_collapse"),
        ({"pass@1": 0.4, "pass@1/in": 0.4, "majority_gain": 0.22, "majority": 0.62}, "inference_variance"),
        ({"pass@1/easy/in": 0.5, "steps_written": 0.4}, "hard_sample_shortcutting"),
        ({"pass@1/easy/in": 0.5, "largest_answer": 0.4}, "hard_sample_shortcutting"),
        ({"pass@1/out": 0.3, "overconfidence/out": 0.35}, "teacher_overconfidence"),
        ({"deployed/pass@1": 0.4, "deployed/majority": 0.64, "deployed/majority_gain": 0.24}, "inference_variance"),
    ],
)  # fmt: skip
def test_each_failure_is_known_by_its_effect_alone(changes, failure):
    assert present(SOUND | changes) == {failure}
    assert judge(SOUND | changes, SOUND, "healthy")[0] == failure


@pytest.mark.parametrize(
    "changes",
    [
        {"agreement_when_wrong/in": 0.9},  # sure, and nothing is out of reach
        {"pass@16/in": 0.7},  # weaker, and not sure
        {"pass@1": 0.2, "majority": 0.2},  # weaker, and a vote does not help
        {"pass@1/easy/in": 0.5},  # easy items lost, the work is written
        {"pass@1/out": 0.3},  # lost outside, and unsure there
        {"pass@1/out": 0.3, "pass@1/in": 0.3, "overconfidence/out": 0.35},  # lost everywhere
    ],
)
def test_half_of_an_effect_is_no_failure(changes):
    assert present(SOUND | changes) == set()


def test_between_the_bars_is_unclear_and_broken_text_is_abnormal():
    faint = SOUND | {"pass@16/in": 0.84, "agreement_when_wrong/in": 0.45}
    assert judge(faint, SOUND, "training_collapse")[0] == "unclear"
    assert judge_failures(faint, SOUND)[Label.TRAINING_COLLAPSE] == "unclear"
    assert judge(SOUND | {"answer_missing": 0.6}, SOUND, "healthy")[0] == Label.ABNORMAL
    assert judge(SOUND | {"stopped": 0.2}, SOUND, "healthy")[0] == Label.ABNORMAL


def test_of_two_failures_the_one_that_was_meant_gives_the_label():
    both = SOUND | {"pass@16/in": 0.7, "agreement_when_wrong/in": 0.8, "pass@1/out": 0.3, "overconfidence/out": 0.4}
    assert judge(both, SOUND, "teacher_overconfidence")[0] == "teacher_overconfidence"
    assert judge(both, SOUND, "training_collapse")[0] == "training_collapse"


def test_committed_cases_say_what_their_checks_say():
    for path in CASES.glob("*.json"):
        case = from_json(path.read_text())
        recipe = find_recipe(case.name)
        own = {key: value for key, value in case.check.items() if not key.startswith("base/")}
        base = {key.removeprefix("base/"): value for key, value in case.check.items() if key.startswith("base/")}
        assert judge(own, base, recipe.label) == (case.label, case.truth), case.name
        assert (case.aim, case.recipe) == (recipe.label, recipe.mechanism or recipe.cause)
        assert case.dose == pytest.approx(recipe.rank, abs=1e-4)
        assert case.why == recipe.why


@pytest.mark.slow
def test_growing_an_organism_again_gives_its_case_again(tmp_path):
    recipe = find_recipe("chain-quantised-2")
    lab = Lab(
        organisms=tmp_path / "organisms",
        runs=tmp_path / "runs",
        cases=tmp_path / "cases",
        parents=CASES.parents[1] / "organisms",
        seeds=(0,),
    )
    (grown,) = lab.grow([recipe])
    committed = from_json((CASES / f"{recipe.name}.json").read_text())
    first = [draw for draw in committed.draws if draw.seed == 0]
    again = from_json((tmp_path / "cases" / f"{recipe.name}.json").read_text())
    assert replace(again, draws=()) == replace(committed, draws=())
    assert list(again.draws) == first
    record = json.loads((tmp_path / "organisms" / recipe.name / "organism.json").read_text())
    assert record["check"]["label"] == grown.label
