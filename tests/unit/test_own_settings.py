"""A remedy's settings beside the user's own: the right direction, the right trainer, and a trainer that starts."""

from dataclasses import replace

import pytest

from entropydx.own_settings import (
    AS_GOOD,
    BROKEN,
    CLIP,
    COMPUTED,
    MORE,
    clash_of,
    inapplicable,
    not_compared,
    settings_beside,
)
from entropydx.recommending import find_remedy
from entropydx.remedies._policy_losses import SEQUENCE
from entropydx.remedies.hard_sample_shortcutting import DR_GRPO, ESTIMATOR, NO_GROUP, SAMPLES
from entropydx.reporters._remedies import setting_words
from entropydx.trainers import STAGE_OF
from entropydx.types import Remedy, Setting, Training


def _file(trainer: str = "grpo", framework: str = "trl", **config: object) -> Training:
    return Training(
        stage=STAGE_OF[trainer],
        source="a file",
        framework=framework,
        trainer=trainer,
        config=config,
        updates_per_rollout=2.0 if STAGE_OF[trainer] == "rl" else None,
    )


def _beside(remedy: str, training: Training) -> dict[str, Setting]:
    return {s.key: s for s in settings_beside(find_remedy(remedy), training)}


def _verl(**config: object) -> Training:
    return _file("ppo", "verl", **{f"actor_rollout_ref.{k.replace('__', '.')}": v for k, v in config.items()})


@pytest.mark.parametrize(
    ("remedy", "training", "key"),
    [
        ("rollout_temperature", _file(temperature=1.2), "temperature"),
        ("rollout_temperature", _verl(rollout__temperature=1.2), "actor_rollout_ref.rollout.temperature"),
        (
            "rollout_temperature",
            _file("ppo", "openrlhf", **{"--rollout.temperature": 1.2}),
            "--rollout.temperature",
        ),
        ("kl_with_reference_reset", _file(beta=0.04), "beta"),
        ("kl_with_reference_reset", _file("rloo"), "beta"),
        ("kl_with_reference_reset", _verl(actor__kl_loss_coef=0.01), "actor_rollout_ref.actor.kl_loss_coef"),
        ("kl_with_reference_reset", _file("ppo", "openrlhf"), "--algo.kl.init_coef"),
        ("clip_higher", _file(epsilon_high=0.4), "epsilon_high"),
        ("clip_higher", _verl(actor__clip_ratio_high=0.4), "actor_rollout_ref.actor.clip_ratio_high"),
        (
            "clip_higher",
            _file("ppo", "openrlhf", **{CLIP: [0.2, 0.4]}),
            CLIP,
        ),
        (
            "clip_higher",
            _file("ppo", "openrlhf", **{CLIP: "0.2 0.4"}),
            CLIP,
        ),
    ],
)
def test_who_is_past_the_value_is_not_sent_back(remedy: str, training: Training, key: str) -> None:
    found = _beside(remedy, training)[key]
    assert (found.status, found.why) == ("already", MORE)


@pytest.mark.parametrize(("key", "value"), AS_GOOD)
def test_another_value_that_serves_as_well_is_not_changed(key: str, value: str) -> None:
    training = _file("ppo", "openrlhf" if key.startswith("--") else "verl", **{key: value})
    found = _beside("kl_with_reference_reset", training)[key]
    assert (found.status, found.current, found.why) == ("already", value, AS_GOOD[key, value])


def test_who_is_short_of_the_value_is_sent_on() -> None:
    assert _beside("rollout_temperature", _file(temperature=0.7))["temperature"].status == "change"
    assert _beside("kl_with_reference_reset", _file(beta=0.0))["beta"].status == "change"
    assert _beside("clip_higher", _file())["epsilon_high"].status == "add"
    other = _file("ppo", "openrlhf", **{CLIP: [0.1, 0.4]})
    assert _beside("clip_higher", other)[CLIP].status == "change"
    assert _beside("clip_higher", _file("ppo", "openrlhf"))[CLIP].status == "add"


def _larger(**config: object) -> dict[str, Setting]:
    return _beside("larger_groups", _file(**{"scale_rewards": "none", **config}))


BATCH = "per_device_train_batch_size"


@pytest.mark.parametrize(
    ("config", "batch", "groups"),
    [
        ({}, "add", "add"),
        ({BATCH: 24}, "change", "add"),  # TRL: 24 is not divisible by 16
        ({BATCH: 32}, "already", "add"),
        ({BATCH: 16}, "already", "add"),
        ({BATCH: 2, "gradient_accumulation_steps": 16}, "already", "add"),
        ({BATCH: 2, "steps_per_generation": 8}, "already", "add"),
        ({BATCH: 4, "gradient_accumulation_steps": 2}, "change", "add"),
        ({BATCH: 24, "num_generations": 24}, "already", "already"),
        ({BATCH: 16, "num_generations": 24}, "already", "conflict"),
        ({"generation_batch_size": 24}, "add", "conflict"),
        ({"generation_batch_size": 64}, "already", "add"),
        ({BATCH: 4, "steps_per_generation": 2, "generation_batch_size": 64}, "already", "add"),  # of eight processes
        ({BATCH: "${x}"}, "unknown", "add"),
    ],
)
def test_trl_starts_with_the_batch_that_is_left(config: dict[str, object], batch: str, groups: str) -> None:
    found = _larger(**config)
    assert (found[BATCH].status, found["num_generations"].status) == (batch, groups)
    assert (BROKEN in found["num_generations"].why) == (groups == "conflict")


@pytest.mark.parametrize("size", [4, 6, 8, 16, 24, 32])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.filterwarnings("ignore")
def test_trls_own_configuration_agrees(size: int, steps: int, tmp_path: object) -> None:
    from trl import GRPOConfig

    found = _larger(**{BATCH: size, "gradient_accumulation_steps": steps})
    kept = size if found[BATCH].status == "already" else 16
    common = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "gradient_accumulation_steps": steps}
    assert GRPOConfig(num_generations=16, **{BATCH: kept}, **common).num_generations == 16
    if kept != size:
        with pytest.raises(ValueError, match="divisible by num_generations"):
            GRPOConfig(num_generations=16, **{BATCH: size}, **common)


def test_a_conflict_of_the_remedys_own_is_said_with_the_batch() -> None:
    found = _beside("larger_groups", _file(scale_rewards="group", generation_batch_size=24))
    assert found["num_generations"].status == "conflict"
    assert BROKEN in found["num_generations"].why
    assert found["num_generations"].why != BROKEN


def test_a_file_of_supervised_tuning_is_not_asked_about_the_keys_of_grpo() -> None:
    mix, sft = find_remedy("mix_grpo"), _file("sft", loss_type="nll")
    assert settings_beside(mix, sft) == ()
    assert inapplicable(mix, sft) is None
    said = not_compared(mix, sft)
    assert said is not None
    assert "its keys are of GRPOConfig, and the file is of SFTConfig" in said
    assert BROKEN not in said
    short = not_compared(mix, replace(sft, config={BATCH: 4}))
    assert short is not None
    assert BROKEN in short
    assert [s.status for s in settings_beside(mix, replace(_file(), stage="sft"))] == ["already", "add", "already"]


@pytest.mark.parametrize("trainer", ["sft", "distillation"])
def test_keys_of_self_distillation_are_of_no_use_to_another_trainer(trainer: str) -> None:
    frozen = find_remedy("frozen_teacher")
    assert inapplicable(frozen, replace(_file(trainer), stage="distillation")) is not None
    assert inapplicable(frozen, _file("sdpo")) is None
    assert _beside("frozen_teacher", _file("sdpo"))["teacher_model_kind"].current == "ema"
    assert _beside("frozen_teacher", _file("sdft"))["teacher_model_kind"].status == "already"
    explicit = _file("self_distillation", teacher_model_kind="ema")
    assert _beside("frozen_teacher", explicit)["teacher_model_kind"].status == "change"


def test_rloo_is_not_given_keys_that_it_does_not_have() -> None:
    rloo = _file("rloo")
    for name in ("entropy_bonus", "fork_only_loss", "no_std_normalisation"):
        assert inapplicable(find_remedy(name), rloo) == "RLOOConfig has no key for it"
    assert inapplicable(find_remedy("clip_higher"), rloo) is None
    assert _beside("clip_higher", rloo)["epsilon"].status == "already"


def test_what_the_file_computes_is_unknown_and_no_change() -> None:
    found = _beside("clip_higher", _file(epsilon_high="${x}"))["epsilon_high"]
    assert (found.status, found.current, found.why) == ("unknown", "${x}", COMPUTED)


def test_an_adapter_has_no_reference_to_reset() -> None:
    reset: Remedy = find_remedy("kl_with_reference_reset")
    clash = clash_of(reset, _file(use_peft=True))
    assert clash is not None
    assert clash.key == "use_peft"
    assert clash_of(reset, _file()) is None


@pytest.mark.parametrize("name", ["kl_cov", "clip_cov", "soft_clipping"])
def test_a_loss_that_verl_replaces_is_inert(name: str) -> None:
    bypass = {"algorithm.rollout_correction.bypass_mode": True}
    older = _file("ppo", "verl", **bypass, **{"trainer.use_v1": False})
    clash = clash_of(find_remedy(name), older)
    assert clash is not None
    assert clash.effect == "inert"
    assert "bypass mode" in clash.why
    assert clash_of(find_remedy("clip_higher"), replace(older, updates_per_rollout=1.0)) is None
    assert clash_of(find_remedy(name), replace(_file("ppo", "verl", **bypass), updates_per_rollout=1.0)) is None
    assert clash_of(find_remedy(name), _file("ppo", "verl")) is None


@pytest.mark.parametrize(("estimator", "divides"), [("grpo", True), ("rloo", False), ("gae", False)])
def test_larger_groups_conflict_with_a_division_that_is_made(estimator: str, divides: bool) -> None:
    config = {"algorithm.adv_estimator": estimator}
    training = Training(stage="rl", source="a file", framework="verl", trainer="ppo", config=config)
    clash = clash_of(find_remedy("larger_groups"), training)
    assert (clash is not None and clash.effect == "conflict") is divides


# ── OpenRLHF's dr_grpo is group_norm without its division, and no other estimator ─────────────────


def _openrlhf(**config: object) -> Training:
    return _file("ppo", "openrlhf", **{SAMPLES: 8, **config})


@pytest.mark.parametrize("estimator", [*DR_GRPO, None])
def test_dr_grpo_in_place_of_what_divides_by_no_group_is_another_change(estimator: str | None) -> None:
    """A file that is silent has a critic."""
    training = _openrlhf(**({} if estimator is None else {ESTIMATOR: estimator}))
    found = _beside("no_std_normalisation", training)[ESTIMATOR]
    assert (found.status, found.current) == ("inert", estimator or "gae")
    assert f"no advantage of {estimator or 'gae'} by its group's standard deviation" in found.why
    assert DR_GRPO[estimator or "gae"] in found.why


def test_dr_grpo_in_place_of_group_norm_is_the_change_that_is_meant() -> None:
    assert _beside("no_std_normalisation", _openrlhf(**{ESTIMATOR: "group_norm"}))[ESTIMATOR].status == "change"
    assert clash_of(find_remedy("no_std_normalisation"), _openrlhf(**{ESTIMATOR: "group_norm"})) is None
    assert _beside("no_std_normalisation", _openrlhf(**{ESTIMATOR: "dr_grpo"}))[ESTIMATOR].status == "already"
    assert _beside("no_std_normalisation", _openrlhf(**{ESTIMATOR: "${E}"}))[ESTIMATOR].status == "unknown"


def test_openrlhf_refuses_groups_of_one() -> None:
    one = _openrlhf(**{ESTIMATOR: "${E}", SAMPLES: 1})
    found = _beside("no_std_normalisation", one)[ESTIMATOR]
    assert (found.status, found.why.partition(" with ")[0]) == ("conflict", "OpenRLHF refuses to start dr_grpo")
    band = clash_of(find_remedy("difficulty_band"), replace(one, config={}))
    assert band is not None
    assert band.effect == "conflict"
    assert clash_of(find_remedy("difficulty_band"), _openrlhf()) is None


@pytest.mark.parametrize(("framework", "name"), [(f, name) for f, (_, names) in NO_GROUP.items() for name in names])
def test_larger_groups_do_nothing_where_no_groups_are_formed(framework: str, name: str) -> None:
    clash = clash_of(find_remedy("larger_groups"), _file("ppo", framework, **{NO_GROUP[framework][0]: name}))
    assert clash is not None
    assert clash.effect == "inert"


def test_verls_older_trainer_filters_nothing() -> None:
    assert clash_of(find_remedy("difficulty_band"), _file("ppo", "verl")) is None
    clash = clash_of(find_remedy("difficulty_band"), _file("ppo", "verl", **{"trainer.use_v1": False}))
    assert clash is not None
    assert clash.effect == "inert"


# ── bounds of a clip that is not there, or is another ─────────────────────────────────────────────

LOSS = "actor_rollout_ref.actor.policy_loss.loss_mode"


@pytest.mark.parametrize("remedy", ["clip_higher", "clip_low"])
@pytest.mark.parametrize(
    ("training", "effect"),
    [
        (_file(importance_sampling_level="sequence", epsilon=3e-4, epsilon_high=4e-4), "conflict"),
        (_file(loss_type="sapo"), "inert"),
        (_file(loss_type="vespo"), "inert"),
        (_file(loss_type="cispo"), "conflict"),
        (_file("ppo", "verl", **{LOSS: "gspo"}), "conflict"),
        (_file("ppo", "verl", **{LOSS: "dppo_tv"}), "conflict"),
        (_file("ppo", "verl", **{LOSS: "kl_cov"}), "inert"),
        (_file("ppo", "verl", **{LOSS: "sapo"}), "inert"),
        (_file("ppo", "openrlhf", **{"--actor.policy_loss_type": "gspo"}), "conflict"),
        (_file(), None),
        (_file("rloo"), None),
        (_file("ppo", "verl"), None),
        (_file("ppo", "openrlhf"), None),
    ],
)
def test_bounds_of_a_token_are_none_of_a_sequence_or_of_a_loss_without_a_clip(
    remedy: str, training: Training, effect: str | None
) -> None:
    clash = clash_of(find_remedy(remedy), training)
    assert (clash and clash.effect) == effect


def test_gspos_own_bounds_are_not_thrown_away() -> None:
    gspo = _file(importance_sampling_level="sequence", epsilon=3e-4, epsilon_high=4e-4)
    found = _beside("clip_higher", gspo)
    assert {(found[key].status, found[key].why) for key in ("epsilon", "epsilon_high")} == {("conflict", SEQUENCE)}
    for name in ("soft_clipping", "no_std_normalisation"):
        clash = clash_of(find_remedy(name), gspo)
        assert clash is not None
        assert clash.key == "importance_sampling_level"


# ── a file that may be of two trainers ────────────────────────────────────────────────────────────


def test_what_is_said_of_a_file_of_two_trainers_holds_for_both() -> None:
    """Of RLOO a KL of 0.05 is the default, and more than the 0.001; of GRPO it is 0."""
    either = _file("grpo_or_rloo")
    found = _beside("kl_with_reference_reset", either)
    assert (found["beta"].status, found["beta"].current) == ("unknown", None)
    assert setting_words(found["beta"]) == (
        "? beta=0.001: the file is silent, and the default is 0.0 of GRPOConfig and 0.05 of RLOOConfig"
    )
    for key in ("sync_ref_model", "ref_model_sync_steps", "ref_model_mixup_alpha"):
        assert found[key] == _beside("kl_with_reference_reset", _file("grpo"))[key]
    said = _beside("kl_with_reference_reset", _file("grpo_or_rloo", beta=0.0))["beta"]
    assert (said.status, said.current) == ("change", 0.0)


def test_a_default_that_differs_and_is_short_for_both_is_to_be_added() -> None:
    found = _beside("larger_groups", _file("grpo_or_rloo", scale_rewards="none"))["num_generations"]
    assert setting_words(found) == (
        "+ num_generations=16: the file is silent, and the default is 8 of GRPOConfig and 2 of RLOOConfig"
    )


def test_what_is_in_conflict_for_one_of_two_trainers_is_so_for_the_file() -> None:
    either = _file("grpo_or_rloo")
    clash = clash_of(find_remedy("larger_groups"), either)
    assert clash is not None
    assert clash.why.startswith("if it is GRPOConfig: divided by the group's standard deviation")
    found = _beside("larger_groups", either)["num_generations"]
    assert (found.status, found.current) == ("conflict", 8)
    assert found.why.startswith("if it is GRPOConfig: ")
    same = clash_of(find_remedy("clip_higher"), replace(either, config={"use_peft": True, "num_iterations": 1}))
    assert same is None


@pytest.mark.parametrize("name", ["entropy_bonus", "fork_only_loss", "no_std_normalisation"])
def test_a_key_of_one_of_two_trainers_is_not_held_against_the_file(name: str) -> None:
    either = _file("grpo_or_rloo")
    remedy = find_remedy(name)
    assert inapplicable(remedy, either) == "RLOOConfig has no key for it, and the file may be of it"
    assert settings_beside(remedy, either) == ()
    said = not_compared(remedy, either)
    assert said is not None
    assert "the file is of GRPOConfig or RLOOConfig" in said


def test_self_distillation_has_the_keys_that_both_have() -> None:
    silent = _file("self_distillation")
    assert inapplicable(find_remedy("frozen_teacher"), silent) is None
    assert _beside("frozen_teacher", silent)["teacher_model_kind"].status == "unknown"
    assert inapplicable(find_remedy("strip_thinking"), silent) == (
        "SDFTConfig has no key for it, and the file may be of it"
    )


@pytest.mark.parametrize("trainer", ["async_grpo", "a2po"])
def test_other_trainers_of_rl_are_not_given_grpos_keys(trainer: str) -> None:
    for name in ("entropy_bonus", "kl_with_reference_reset", "no_std_normalisation"):
        assert inapplicable(find_remedy(name), _file(trainer)) is not None
    assert _beside("rollout_temperature", _file(trainer))["temperature"].status == "already"
