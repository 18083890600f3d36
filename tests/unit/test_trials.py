"""The trials: what is tried is the catalogue's own, and what is said of it follows from the outcomes."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from entropydx.errors import ConfigError
from entropydx.organisms.doses import EditDose, GRPODose
from entropydx.protocols import Silent
from entropydx.recommending import catalogue
from entropydx.trials import TRIALS, Trial, cells, find_trial, read_cells, summarise, table
from entropydx.trials.conclusions import conclude
from entropydx.trials.designs import MIDWAY, UNTRIED
from entropydx.trials.results import control_of, effect
from entropydx.trials.running import Place, _is_there, run
from entropydx.trials.table import measured_table
from entropydx.types import FAILURES

REMEDIES = {r.id: r for r in catalogue()}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda t: str(t.failure))
def test_a_trial_has_a_control_the_remedies_of_its_failure_and_one_of_another(trial: Trial) -> None:
    names = [arm.name for arm in trial.arms]
    assert len(set(names)) == len(names)
    assert {"none", control_of(trial)} <= set(names)
    for arm in trial.arms:
        if arm.role == "remedy":
            assert arm.remedy is not None
            assert trial.failure in REMEDIES[arm.remedy].for_, arm.name
        if arm.role == "opposite":
            assert arm.remedy is not None
            assert trial.failure not in REMEDIES[arm.remedy].for_, arm.name
    assert {arm.role for arm in trial.arms} >= {"none", "remedy", "opposite"}


def test_every_failure_is_tried() -> None:
    assert {trial.failure for trial in TRIALS} == set(FAILURES)
    assert find_trial("healthy") is None


def test_a_remedy_is_tried_or_it_is_said_why_not() -> None:
    tried = {arm.remedy for trial in TRIALS for arm in trial.arms if arm.role == "remedy"}
    assert tried | UNTRIED.keys() == REMEDIES.keys()
    assert not tried & UNTRIED.keys()


def test_an_arm_of_grpo_sets_the_catalogues_own_keys_and_says_where_a_value_was_scaled() -> None:
    seen = 0
    for arm in (arm for trial in TRIALS for arm in trial.arms):
        if not isinstance(arm.dose, GRPODose):
            continue
        for framework, settings in (("trl", dict(arm.dose.extra)), ("verl", dict(arm.dose.verl))):
            if settings:
                assert arm.remedy is not None
                own = REMEDIES[arm.remedy].config[framework]
                assert settings.keys() == own.keys()
                assert arm.note or settings == own, f"{arm.name} changes a value and does not say so"
                seen += 1
    assert seen >= 10


def test_starts_are_shipped_or_can_be_grown() -> None:
    for trial in TRIALS:
        for place in [*(checkpoint for _, checkpoint in trial.starts), trial.baseline]:
            assert place in MIDWAY or (ROOT / "fixtures" / place / "config.json").is_file(), place


def test_trained_arms_have_every_seed_and_the_others_one() -> None:
    trial = TRIALS[0]
    found = list(cells(trial, 3))
    assert len(found) == len({(kind, arm.name, seed) for kind, _, arm, seed in found})
    for arm in trial.arms:
        seeds = [seed for kind, _, a, seed in found if a == arm and kind == "failed"]
        assert seeds == ([0] if isinstance(arm.dose, EditDose) else [0, 1, 2])


def test_an_effect_is_the_mean_with_students_interval() -> None:
    found = effect([0.2, 0.4, 0.6])
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=0.2 / 3**0.5)
    assert found.value == pytest.approx(0.4)
    assert found.ci == pytest.approx((low, high))
    assert effect([0.5]).ci is None
    assert effect([0.5, 0.5, 0.5]).ci is None, "three equal seeds are no certainty about the fourth"


def _cell(trial: Trial, start: str, arm: str, seed: int, value: float, truth: str, status: str) -> dict[str, Any]:
    return {
        "failure": str(trial.failure),
        "start": start,
        "arm": arm,
        "seed": seed,
        "check": {
            "numbers": {trial.outcomes[0]: value},
            "truth": {str(trial.failure): truth},
            "label": {"absent": "healthy", "unclear": "unclear"}.get(truth, str(trial.failure)),
        },
        "entropydx": {
            "failures": {str(trial.failure): status},
            "measurements": {trial.measured[0]: {"value": value, "ci": [value - 0.1, value + 0.1]}},
        },
    }


def test_changes_are_paired_by_seed_with_the_control() -> None:
    trial = replace(TRIALS[1], outcomes=TRIALS[1].outcomes[:1])
    control = [_cell(trial, "failed", "none", s, v, "present", "present") for s, v in enumerate((0.1, 0.2, 0.3))]
    mended = [
        _cell(trial, "failed", "clean_labels", s, v, t, "absent")
        for s, (v, t) in enumerate([(0.29, "absent"), (0.4, "unclear"), (0.51, "present")])
    ]
    rows = {row.arm.name: row for row in summarise(trial, control + mended)}
    change = rows["clean_labels"].changes[trial.outcomes[0]]
    assert change.value == pytest.approx(0.2)
    assert change.ci == pytest.approx(stats.t.interval(0.95, 2, loc=0.2, scale=0.01 / 3**0.5))
    assert rows["none"].changes == {}
    assert (rows["none"].present, rows["none"].whole) == (3, 0)
    assert (rows["clean_labels"].present, rows["clean_labels"].whole, rows["clean_labels"].named) == (1, 1, 0)
    assert rows["clean_labels"].gained is None
    text = table(trial, list(rows.values()))
    assert "+0.200 [+0.175, +0.225]" in text
    assert rows["clean_labels"].measured == {trial.measured[0]: effect([0.29, 0.4, 0.51])}
    assert "| failed | clean_labels | 0.400 [0.127, 0.673] | - |" in measured_table(trial, list(rows.values()))
    assert "| - | 1/3 | 1/3 | 0/3 |" in text


def test_what_is_served_is_read_off_the_vote_or_the_cooler_answers_of_the_checkpoint_as_it_is() -> None:
    trial = TRIALS[1]
    numbers = {"pass@1": 0.4, "majority": 0.6, "majority_gain": 0.2, "token_entropy": 0.1, "pass@16": 0.9}
    vote = _cell(trial, "failed", "majority_vote", 0, 0.4, "present", "present")
    vote["check"]["numbers"] = numbers
    cool = _cell(trial, "failed", "lower_temperature", 0, 0.4, "present", "present")
    cool["check"]["numbers"] = {**numbers, "deployed/pass@1": 0.55}
    noisy = _cell(trial, "failed", "none", 0, 0.1, "present", "present")
    rows = {row.arm.name: row for row in summarise(trial, [noisy, vote, cool])}
    # Not against the checkpoint that was trained on, which has got worse by itself.
    assert rows["majority_vote"].changes["pass@1"].value == pytest.approx(0.2)
    assert rows["lower_temperature"].changes["pass@1"].value == pytest.approx(0.15)
    assert "token_entropy" not in rows["majority_vote"].changes
    said = {c.remedy: c.sentence for c in conclude(trial, list(rows.values()))}
    assert "pass@1 +0.20 against one answer" in said["majority_vote"]
    assert "still present" not in said["lower_temperature"]


def test_the_best_is_the_remedy_that_ends_highest_and_is_better_than_its_control() -> None:
    trial = replace(TRIALS[1], outcomes=TRIALS[1].outcomes[:1])

    def seeds(arm: str, *values: float) -> list[dict[str, Any]]:
        return [_cell(trial, "failed", arm, s, v, "absent", "absent") for s, v in enumerate(values)]

    control = seeds("none", 0.1, 0.2, 0.3)
    opposite = [*seeds("GRPO, plain", 0.1, 0.2, 0.25), *seeds("clip_higher", 0.7, 0.7, 0.7)]
    for mended, best in (((0.3, 0.41, 0.5), True), ((0.1, 0.2, 0.3), False), ((0.0, 0.9, 0.0), False)):
        rows = summarise(trial, [*control, *opposite, *seeds("clean_labels", *mended)])
        found = {c.remedy: c for c in conclude(trial, rows)}
        assert found["clean_labels"].best is best
        assert found["clean_labels"].sentence.endswith("it ended highest.") is best


def test_better_than_going_on_with_the_cause_but_not_than_before_is_not_better() -> None:
    trial = replace(TRIALS[1], outcomes=TRIALS[1].outcomes[:1])
    control = [_cell(trial, "failed", "none", s, v, "present", "present") for s, v in enumerate((0.1, 0.1, 0.1))]
    mended = [_cell(trial, "failed", "clean_labels", s, v, "unclear", "absent") for s, v in enumerate((0.3, 0.3, 0.31))]
    for before, verdict in ((0.1, "better"), (0.3, "no change seen"), (0.5, "worse")):
        untouched = _cell(trial, "failed", "majority_vote", 0, before, "present", "present")
        rows = {row.arm.name: row for row in summarise(trial, [*control, *mended, untouched])}
        gained = rows["clean_labels"].gained
        assert gained is not None
        assert gained.value == pytest.approx(0.91 / 3 - before)
        found = {c.remedy: c for c in conclude(trial, list(rows.values()))}["clean_labels"]
        assert found.verdict == verdict
        assert "present in 0 of 3, and the checkpoint whole in 0" in found.sentence


def test_an_outcome_of_another_dose_is_run_again(tmp_path: Path) -> None:
    arm = next(arm for arm in TRIALS[0].arms if arm.name == "entropy_bonus")
    file = tmp_path / "cell.json"
    assert not _is_there(file, arm)
    dose = asdict(arm.dose)
    file.write_text(json.dumps({"dose": dose}))
    assert _is_there(file, arm)
    file.write_text(json.dumps({"dose": {key: value for key, value in dose.items() if key != "verl"}}))
    assert _is_there(file, arm), "a field that came later and says nothing changes nothing"
    file.write_text(json.dumps({"dose": {**dose, "learning_rate": 1.0}}))
    assert not _is_there(file, arm)


def test_every_arm_is_compared_with_one_that_is_there() -> None:
    for trial in TRIALS:
        names = {arm.name for arm in trial.arms}
        assert {arm.against for arm in trial.arms} - {None} <= names
        for arm in trial.arms:
            against = next(a for a in trial.arms if a.name == (arm.against or control_of(trial)))
            alike = type(arm.dose) is type(against.dose)
            assert alike or arm.role in {"none", "control", "remedy"}, f"{arm.name}: another training is its control"


def test_outcomes_that_are_not_there_or_damaged_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no trial has an outcome"):
        read_cells(tmp_path)
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a.json").write_text(json.dumps({"failure": "x"}))
    with pytest.raises(ConfigError, match="is no outcome of a trial"):
        read_cells(tmp_path)


@pytest.mark.slow
def test_a_cell_is_run_once_and_holds_what_both_judges_found(tmp_path: Path) -> None:
    trial = find_trial("inference_variance")
    assert trial is not None
    vote = tuple(arm for arm in trial.arms if arm.name == "majority_vote")
    trial = replace(trial, arms=vote, starts=trial.starts[:1])
    place = Place(fixtures=ROOT / "fixtures", out=tmp_path)
    (file,) = run(trial, place, 1, Silent())
    written = file.stat().st_mtime_ns
    (cell,) = read_cells(tmp_path)
    assert (cell["check"]["label"], cell["entropydx"]["label"]) == ("inference_variance", "inference_variance")
    assert cell["entropydx"]["measurements"]["sampling_spread.majority_gain"]["value"] > 0.1
    assert list(run(trial, place, 1, Silent())) == [file]
    assert file.stat().st_mtime_ns == written
    (row,) = summarise(trial, read_cells(tmp_path))
    assert row.changes["pass@1"].value == pytest.approx(cell["check"]["numbers"]["majority_gain"])
