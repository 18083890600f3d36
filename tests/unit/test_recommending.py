"""Remedies are chosen by label, stage and measurement, held against the user's own settings, and never poison."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from entropydx.recommending import MAX_RECOMMENDATIONS, catalogue, choose, with_warnings
from entropydx.types import (
    FAILURES,
    Diagnosis,
    Evidence,
    FailureAssessment,
    Finding,
    Interval,
    Label,
    Measured,
    Measurement,
    Recommendation,
    Stage,
    Status,
    Training,
)

RL = Training(stage="rl", source="a test")


def _diagnosis(*present: Label, label: Label | None = None) -> Diagnosis:
    failures = {
        str(name): FailureAssessment(status="present" if name in present else "absent", severity=None)
        for name in FAILURES
    }
    verdict = label or present[0]
    return Diagnosis(
        label=verdict, confidence="high", runner_up=None, summary="", failures=failures, rules_label=verdict
    )


def _measured(name: str, value: float, ci: Interval) -> Measured:
    return Measured(name=name, value=value, ci=ci, unit="", n=100)


def _recommend(
    diagnosis: Diagnosis, measurements: Sequence[Measurement], training: Training | None
) -> tuple[Recommendation, ...]:
    return choose(diagnosis, measurements, training).recommendations


def _left_out(diagnosis: Diagnosis, measurements: Sequence[Measurement], training: Training | None) -> dict[str, str]:
    return {entry.id: entry.why for entry in choose(diagnosis, measurements, training).left_out}


def _ids(found: tuple[Recommendation, ...]) -> list[str]:
    return [r.id for r in found]


def _trl(**config: object) -> Training:
    updates = config.pop("updates", 1.0)
    assert isinstance(updates, float)
    return Training(stage="rl", source="a file", framework="trl", config=dict(config), updates_per_rollout=updates)


@pytest.mark.parametrize("label", FAILURES)
@pytest.mark.parametrize("stage", [None, "sft", "rl", "distillation"])
def test_at_most_three_each_for_the_label_and_none_contraindicated(label: Label, stage: Stage | None) -> None:
    found = _recommend(_diagnosis(label), (), replace(RL, stage=stage))
    assert 1 <= len(found) <= MAX_RECOMMENDATIONS
    for remedy in found:
        assert label in remedy.for_
        assert label not in remedy.contraindicated_for


def test_a_collapse_of_supervised_tuning_is_answered_by_an_earlier_checkpoint_and_no_clip_range() -> None:
    assert _ids(_recommend(_diagnosis(Label.TRAINING_COLLAPSE), (), replace(RL, stage="sft"))) == ["earlier_checkpoint"]


def test_what_is_poison_for_a_failure_beside_it_is_not_recommended() -> None:
    both = _diagnosis(Label.TRAINING_COLLAPSE, Label.INFERENCE_VARIANCE)
    assert not {"clip_cov", "kl_cov", "entropy_bonus"} & set(_ids(_recommend(both, (), RL)))


@pytest.mark.parametrize("label", [Label.HEALTHY, Label.INCONCLUSIVE, Label.ABNORMAL])
def test_nothing_is_recommended_where_no_failure_is_named(label: Label) -> None:
    assert _recommend(_diagnosis(label=label), (), RL) == ()


def _vote(gain: float, ci: Interval) -> list[Measurement]:
    slope = _measured("decoding.temperature_slope", 0.3, (0.2, 0.4))
    return [_measured("sampling_spread.majority_gain", gain, ci), slope]


def test_voting_comes_first_where_it_surely_wins_behind_others_where_nobody_knows_and_not_where_it_loses() -> None:
    variance = _diagnosis(Label.INFERENCE_VARIANCE)
    assert _ids(_recommend(variance, _vote(0.1, (0.05, 0.15)), None))[0] == "majority_vote"
    undecided = choose(variance, _vote(0.01, (-0.05, 0.07)), None)
    assert _ids(undecided.recommendations)[0] == "lower_temperature"
    assert {e.id: e.why for e in undecided.left_out}["majority_vote"] == "3 remedies come before it"
    assert "majority_vote" not in _ids(_recommend(variance, _vote(-0.1, (-0.15, -0.05)), None))


@pytest.mark.parametrize("label", FAILURES)
@pytest.mark.parametrize("stage", [None, "sft", "rl", "distillation"])
def test_every_remedy_of_the_label_is_recommended_or_left_out_with_a_reason(label: Label, stage: Stage | None) -> None:
    found = choose(_diagnosis(label), (), replace(RL, stage=stage))
    told = [*_ids(found.recommendations), *(entry.id for entry in found.left_out)]
    assert sorted(told) == sorted(r.id for r in catalogue() if label in r.for_)
    assert all(entry.why for entry in found.left_out)


def test_why_a_remedy_is_left_out() -> None:
    collapse = _diagnosis(Label.TRAINING_COLLAPSE)
    assert _left_out(collapse, (), replace(RL, stage="sft"))["kl_cov"] == (
        "it is for rl, and this checkpoint is of sft (a test)"
    )
    both = _diagnosis(Label.TRAINING_COLLAPSE, Label.INFERENCE_VARIANCE)
    assert _left_out(both, (), RL)["entropy_bonus"] == "it is wrong for inference variance, which is present"
    reasons = _left_out(collapse, (), RL)
    assert reasons["clip_cov"] == "kl_cov sets a key of it otherwise"
    assert reasons["entropy_bonus"] == "3 remedies come before it"
    losing = _left_out(_diagnosis(Label.INFERENCE_VARIANCE), _vote(-0.1, (-0.15, -0.05)), None)
    assert losing["majority_vote"] == (
        "its condition is not met: sampling_spread.majority_gain -0.1 [-0.15, -0.05] not > 0"
    )


def test_the_reason_names_the_measurement_with_its_interval() -> None:
    found = _recommend(_diagnosis(Label.INFERENCE_VARIANCE), _vote(0.1, (0.05, 0.15)), None)[0]
    assert "sampling_spread.majority_gain 0.1 [0.05, 0.15] > 0" in found.chosen_because


def _clip(training: Training) -> Recommendation:
    poor = [r for r in catalogue() if r.id == "clip_higher"]
    assert len(poor) == 1
    found = _recommend(_diagnosis(Label.TRAINING_COLLAPSE), (), training)
    return next(r for r in found if r.id == "clip_higher")


def test_settings_are_held_against_the_users_own() -> None:
    settings = {s.key: s for s in _clip(_trl(epsilon_high=0.28, num_iterations=1)).settings}
    assert settings["epsilon"].status == "already"
    assert not settings["epsilon"].in_file
    assert settings["epsilon_high"].status == "already"
    assert (settings["num_iterations"].status, settings["num_iterations"].current) == ("change", 1)


def test_a_remedy_that_would_do_nothing_beside_the_users_settings_says_so() -> None:
    verl = Training(stage="rl", source="a file", framework="verl", config={}, updates_per_rollout=1.0)
    found = _recommend(_diagnosis(Label.TRAINING_COLLAPSE), (), verl)
    assert _ids(found) == ["earlier_checkpoint", "clip_cov", "kl_with_reference_reset"]
    several = _recommend(_diagnosis(Label.TRAINING_COLLAPSE), (), replace(verl, updates_per_rollout=4.0))
    assert _ids(several) == ["earlier_checkpoint", "kl_cov", "kl_with_reference_reset"]  # two loss modes


def test_a_critics_advantage_makes_group_normalisation_inert() -> None:
    filtered = {"algorithm.filter_groups.enable": True, "algorithm.filter_groups.metric": "acc"}
    shortcutting = _diagnosis(Label.HARD_SAMPLE_SHORTCUTTING)
    critic = Training(stage="rl", source="a file", framework="verl", config=filtered, updates_per_rollout=4.0)
    assert _left_out(shortcutting, (), critic)["no_std_normalisation"].startswith("inert: verl divides no advantage")
    grouped = replace(critic, config={**filtered, "algorithm.adv_estimator": "grpo"})
    settings = {s.key: s.status for r in _recommend(shortcutting, (), grouped) for s in r.settings}
    assert settings["algorithm.norm_adv_by_std_in_grpo"] == "add"


def _openrlhf(estimator: str) -> Training:
    config = {
        "--algo.advantage.estimator": estimator,
        "--rollout.n_samples_per_prompt": 8,
        "--algo.dynamic_filtering_enable": True,
        "--algo.dynamic_filtering_range": [0.2, 0.8],
    }
    return Training(stage="rl", source="a file", framework="openrlhf", config=config, updates_per_rollout=8.0)


def test_openrlhfs_estimator_follows_the_users_own() -> None:
    """Where it divides by no group's standard deviation another remedy of the label has the place."""
    shortcutting = _diagnosis(Label.HARD_SAMPLE_SHORTCUTTING)
    assert "no_std_normalisation" in _ids(_recommend(shortcutting, (), _openrlhf("group_norm")))
    for estimator in ("gae", "reinforce", "rloo", "reinforce_baseline", "flash_reinforce"):
        found = _recommend(shortcutting, (), _openrlhf(estimator))
        assert len(found) == MAX_RECOMMENDATIONS
        assert "no_std_normalisation" not in _ids(found)
        why = _left_out(shortcutting, (), _openrlhf(estimator))["no_std_normalisation"]
        assert why.startswith(f"inert: OpenRLHF divides no advantage of {estimator} ")


def test_a_remedy_of_the_data_keeps_its_place_where_its_keys_do_nothing() -> None:
    one = replace(_openrlhf("gae"), config={})
    found = {r.id: r for r in _recommend(_diagnosis(Label.HARD_SAMPLE_SHORTCUTTING), (), one)}
    assert {s.status for s in found["difficulty_band"].settings} == {"conflict"}
    assert {s.why.rpartition(": ")[2] for s in found["difficulty_band"].settings} == {
        "draw more, or filter the data set beforehand"
    }


def test_of_a_file_of_two_trainers_comes_first_what_both_can_do() -> None:
    either = replace(_trl(), trainer="grpo_or_rloo")
    collapse = _diagnosis(Label.TRAINING_COLLAPSE)
    low = _measured("token_entropy.mean_ratio", 0.2, (0.1, 0.3))
    assert _ids(_recommend(collapse, [low], either)) == ["earlier_checkpoint", "kl_with_reference_reset", "clip_higher"]
    told = _left_out(collapse, [low], either)
    for name in ("fork_only_loss", "adaptive_entropy_target", "entropy_bonus"):
        assert told[name] == "RLOOConfig has no key for it, and the file may be of it"


def test_poison_in_the_users_file_is_named() -> None:
    bonus = _trl(entropy_coef=0.01)
    assert len(with_warnings(bonus, _diagnosis(Label.INFERENCE_VARIANCE)).warnings) == 1
    assert with_warnings(bonus, _diagnosis(Label.TRAINING_COLLAPSE)).warnings == ()
    cold = with_warnings(_trl(temperature=0.7), _diagnosis(Label.TRAINING_COLLAPSE)).warnings
    assert "temperature is 0.7" in cold[0]
    assert with_warnings(_trl(), _diagnosis(Label.TRAINING_COLLAPSE)).warnings == ()


def test_more_than_the_recommended_value_serves_as_well() -> None:
    settings = {s.key: s.status for s in _clip(_trl(num_iterations=4, updates=4.0)).settings}
    assert settings["num_iterations"] == "already"


def test_a_remedy_that_is_in_place_makes_room_for_another() -> None:
    there = _trl(epsilon_high=0.28, num_iterations=4, updates=4.0)
    collapse = _diagnosis(Label.TRAINING_COLLAPSE)
    assert "clip_higher" not in _ids(_recommend(collapse, (), there))
    assert _left_out(collapse, (), there)["clip_higher"] == "all of its settings are there already"
    assert _left_out(collapse, (), there)["kl_cov"] == "trl has no key for it"


def test_a_remedy_of_another_failure_that_would_deepen_this_one_is_named() -> None:
    variance = choose(_diagnosis(Label.INFERENCE_VARIANCE), (), None).contraindicated
    assert {"entropy_bonus", "kl_cov", "clip_higher"} <= {entry.id for entry in variance}
    assert {entry.why for entry in variance} >= {
        "for training collapse, and wrong for inference variance, which is present"
    }
    assert choose(_diagnosis(label=Label.HEALTHY), (), None).contraindicated == ()


def test_a_moving_teacher_is_named_where_it_is_the_default_of_the_trainer() -> None:
    overconfident = _diagnosis(Label.TEACHER_OVERCONFIDENCE)
    silent = replace(_trl(), stage="distillation", trainer="sdpo")
    assert len(with_warnings(silent, overconfident).warnings) == 1
    assert with_warnings(replace(silent, config={"teacher_model_kind": "base"}), overconfident).warnings == ()
    for other in ("sft", "distillation", "sdft", "self_distillation"):
        assert with_warnings(replace(silent, trainer=other), overconfident).warnings == ()
    assert with_warnings(_trl(), overconfident).warnings == ()


@pytest.mark.parametrize(
    ("framework", "key"),
    [
        ("trl", "entropy_coef"),
        ("verl", "actor_rollout_ref.actor.entropy_coeff"),
        ("openrlhf", "--actor.entropy_coef"),
    ],
)
def test_a_reward_for_the_loss_of_entropy_is_poison_for_a_collapse(framework: str, key: str) -> None:
    own = Training(stage="rl", source="a file", framework=framework, config={key: -0.001})
    assert f"{key} is -0.001" in with_warnings(own, _diagnosis(Label.TRAINING_COLLAPSE)).warnings[0]
    assert with_warnings(own, _diagnosis(Label.INFERENCE_VARIANCE)).warnings == ()


def _abnormal(measurement: str, status: Status = "fired") -> Finding:
    seen = Evidence(
        measurement=measurement,
        field="value",
        value=0.9,
        ci=(0.8, 1.0),
        op=">",
        threshold=0.5,
        unit="",
        source="a test",
        status=status,
        strength=1.0,
        n=9,
    )
    return Finding(
        code="EDX904",
        failure=Label.ABNORMAL,
        direction="for",
        status=status,
        strength=1.0,
        statement="",
        decisive=True,
        evidence=(seen,),
    )


def test_a_bonus_is_poison_for_an_entropy_that_exploded_and_for_nothing_else_that_is_abnormal() -> None:
    bonus, abnormal = _trl(entropy_coef=0.01), _diagnosis(label=Label.ABNORMAL)
    exploded = with_warnings(bonus, abnormal, [_abnormal("token_entropy.normalized")])
    assert "entropy_coef is 0.01" in exploded.warnings[0]
    assert with_warnings(_trl(), abnormal, [_abnormal("token_entropy.normalized")]).warnings == ()
    assert with_warnings(bonus, abnormal, [_abnormal("instrument.truncated_share")]).warnings == ()
    assert with_warnings(bonus, abnormal, [_abnormal("token_entropy.normalized", "clear")]).warnings == ()
    healthy = _diagnosis(label=Label.HEALTHY)
    assert with_warnings(bonus, healthy, [_abnormal("token_entropy.normalized")]).warnings == ()
