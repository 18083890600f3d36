"""Training configurations of TRL, verl and OpenRLHF: what is recognised, and what follows from several settings."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from entropydx.errors import ConfigError
from entropydx.recommending import catalogue
from entropydx.remedies.hard_sample_shortcutting import ESTIMATOR, SAMPLES
from entropydx.trainers import STAGE_OF
from entropydx.training_config import effective, holds, read_training, training_of, updates_per_rollout
from entropydx.types import Training

TRL = "num_generations: 8\nbeta: 0.0\nhub_token: secret\n"
VERL = "actor_rollout_ref:\n  actor:\n    clip_ratio_high: 0.28\n    policy_loss: {loss_mode: kl_cov}\n"
OPENRLHF = '{"actor.eps_clip_low_high": [0.2, 0.28], "algo.kl.init_coef": 0.0, "rollout.batch_size": 128}'
OVERRIDES = "- actor_rollout_ref.actor.ppo_epochs=2\n- +algorithm.norm_adv_by_std_in_grpo=False\n"


def _read(folder: Path, name: str, text: str) -> Training:
    (folder / name).write_text(text)
    return read_training(folder / name, catalogue())


@pytest.mark.parametrize(
    ("name", "text", "framework", "stage"),
    [
        ("a.yaml", TRL, "trl", "rl"),
        ("a.yaml", "packing: true\nlearning_rate: 1e-5\n", "trl", "sft"),
        ("a.yaml", "teacher_model_kind: ema\nnum_generations: 8\n", "trl", "distillation"),
        ("a.yaml", "teacher_model_name_or_path: x\nmax_completion_length: 512\nbeta: 1.0\n", "trl", "distillation"),
        ("a.yaml", "algorithm: grpo\nnum_generations: 8\n", "trl", "rl"),
        ("a.yaml", "loss_type: dr_grpo\nbeta: 0.04\nuse_vllm: true\n", "trl", "rl"),
        ("a.yaml", "beta: 0.04\nuse_vllm: true\n", "trl", "rl"),
        ("a.yaml", "max_length: 2048\nnum_train_epochs: 3\nlearning_rate: 1e-5\n", "trl", "sft"),
        ("overrides.yaml", OVERRIDES + "- ~reward_model\n- ~critic.model=x\n", "verl", "rl"),
        ("a.yaml", VERL, "verl", "rl"),
        ("a.yaml", VERL + "distillation: {enabled: true}\n", "verl", "distillation"),
        ("a.yaml", "model: {path: x}\ndata: {train_files: y}\noptim: {lr: 1}\ntrainer: {n: 1}\n", "verl", "sft"),
        ("overrides.yaml", OVERRIDES, "verl", "rl"),
        ("a.json", OPENRLHF, "openrlhf", "rl"),
        ("a.json", '{"train.batch_size": 8, "ds.zero_stage": 2}', "openrlhf", "sft"),
    ],
)
def test_the_framework_and_the_stage_are_recognised(
    tmp_path: Path, name: str, text: str, framework: str, stage: str
) -> None:
    found = _read(tmp_path, name, text)
    assert (found.framework, found.stage) == (framework, stage)


@pytest.mark.parametrize(
    "text",
    [
        "train: {num_generations: 8, batch_size: 4}\nmodel: {path: x}\n",
        "algorithm: {name: grpo}\nactor: {lr: 1}\n",
        "actor: {lr: 1}\nrollout: {n: 8}\n",
        "max_length: 3\nname: x\n",
        "optim: {lr: 1}\ndata: {path: x}\ntrainer: {n: 1}\nmodel: {path: x}\n",
        "loss_type: sigmoid\nlearning_rate: 1e-5\n",
        "- ~reward_model\n",
    ],
)
def test_a_word_that_anybody_may_use_is_no_framework(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"neither TRL, verl nor OpenRLHF|holds no settings"):
        _read(tmp_path, "a.yaml", text)


@pytest.mark.parametrize(
    "text",
    [
        "max_length: 1024\nbeta: 0.1\n",
        "loss_type: sigmoid\nbeta: 0.1\nlearning_rate: 1e-6\n",
        "desirable_weight: 1.0\n",
        "ds: {zero_stage: 2}\n",
    ],
)
def test_preference_tuning_is_named_and_not_taken_for_another_stage(tmp_path: Path, text: str) -> None:
    beside = "data.chosen_key: chosen\n" if "ds" in text else ""
    with pytest.raises(ConfigError, match="preference tuning"):
        _read(tmp_path, "a.yaml", text + beside)


def test_only_keys_of_the_catalogue_are_kept(tmp_path: Path) -> None:
    assert _read(tmp_path, "a.yaml", TRL).config == {"num_generations": 8, "beta": 0.0}


def test_openrlhf_keys_become_flags(tmp_path: Path) -> None:
    assert _read(tmp_path, "a.json", OPENRLHF).config["--actor.eps_clip_low_high"] == [0.2, 0.28]


def _held(framework: str, trainer: str, config: dict[str, object]) -> Training:
    return Training(stage=STAGE_OF[trainer], source="", framework=framework, trainer=trainer, config=config)


@pytest.mark.parametrize(
    ("framework", "trainer", "config", "updates"),
    [
        ("trl", "grpo", {}, 1.0),
        ("trl", "rloo", {"num_iterations": 2}, 2.0),
        ("trl", "grpo_or_rloo", {"num_iterations": 2}, 2.0),
        ("trl", "async_grpo", {}, None),
        ("trl", "sdpo", {"steps_per_generation": 8, "gradient_accumulation_steps": 2}, 4.0),
        ("trl", "grpo", {"generation_batch_size": 64}, None),
        ("trl", "grpo", {"generation_batch_size": None, "gradient_accumulation_steps": 4}, 1.0),
        ("trl", "grpo", {"generation_batch_size": 64, "steps_per_generation": 8}, 8.0),
        ("trl", "grpo", {"generation_batch_size": 8}, 1.0),  # as large as one device's batch: there is one process
        ("trl", "grpo", {"generation_batch_size": "${x}"}, None),
        ("trl", "grpo", {"steps_per_generation": "${x}"}, None),
        ("trl", "sft", {"gradient_accumulation_steps": 4}, None),
        ("trl", "distillation", {}, None),
        ("verl", "ppo", {}, 4.0),  # 1,024 prompts of a rollout in mini-batches of 256
        ("verl", "ppo", {"data.train_batch_size": 256}, 1.0),
        ("verl", "ppo", {"actor_rollout_ref.actor.ppo_mini_batch_size": "${x}"}, None),
        ("verl", "sft", {"data.train_batch_size": 256}, None),
        ("openrlhf", "ppo", {"--rollout.n_samples_per_prompt": 8}, 64.0),  # 1,024 x 8 samples in batches of 128
        ("openrlhf", "ppo", {"--rollout.batch_size": 128}, 1.0),
        ("openrlhf", "sft", {"--train.batch_size": 128, "--train.max_epochs": 2}, None),
    ],
)
def test_updates_per_rollout(framework: str, trainer: str, config: dict[str, object], updates: float | None) -> None:
    assert updates_per_rollout(_held(framework, trainer, config)) == updates


def test_a_setting_is_held_by_the_file_or_by_default_and_never_when_unknown() -> None:
    training = _held("trl", "grpo", {"beta": 0.1, "scale_rewards": "${x}"})
    assert holds(training, "beta", ">", 0)
    assert holds(training, "num_iterations", "<=", 1)
    assert not holds(training, "updates_per_rollout", "<=", 1)
    assert not holds(training, "epsilon_high", ">", 0.2)
    assert not holds(training, "scale_rewards", "!=", "none")


@pytest.mark.parametrize(
    ("framework", "trainer", "key", "default"),
    [
        ("trl", "grpo", "beta", 0.0),
        ("trl", "rloo", "beta", 0.05),
        ("trl", "rloo", "num_generations", 2),
        ("trl", "rloo", "entropy_coef", None),
        ("trl", "grpo_or_rloo", "beta", None),
        ("trl", "grpo_or_rloo", "epsilon", 0.2),
        ("trl", "grpo_or_rloo", "entropy_coef", None),
        ("trl", "sft", "num_generations", None),
        ("trl", "sft", "loss_type", "nll"),
        ("trl", "distillation", "beta", None),
        ("trl", "sdpo", "teacher_model_kind", "ema"),
        ("trl", "sdft", "teacher_model_kind", "base"),
        ("trl", "self_distillation", "teacher_model_kind", None),
        ("verl", "ppo", "data.train_batch_size", 1024),
        ("verl", "sft", "data.train_batch_size", None),
    ],
)
def test_a_silent_file_has_its_own_trainers_default(framework: str, trainer: str, key: str, default: object) -> None:
    assert effective(_held(framework, trainer, {}), key) == default


def test_a_report_of_before_has_the_default_of_its_stage() -> None:
    old = _held("trl", "grpo", {})
    assert effective(replace(old, trainer=None), "num_generations") == 8
    assert effective(replace(old, trainer=None, stage="sft"), "num_generations") is None
    assert effective(replace(old, trainer=None, stage="distillation"), "teacher_model_kind") is None
    assert effective(replace(old, trainer=None, framework="verl"), "algorithm.adv_estimator") == "gae"


def test_with_the_rollout_engines_log_probs_one_update_is_not_one_of_ratio_one() -> None:
    verl = replace(_held("verl", "ppo", {}), updates_per_rollout=1.0)
    assert holds(verl, "updates_per_rollout", "<=", 1)
    bypass = {"algorithm.rollout_correction.bypass_mode": True}
    assert not holds(replace(verl, config=bypass), "updates_per_rollout", "<=", 1)
    other = {**bypass, "algorithm.rollout_correction.loss_type": "reinforce"}
    assert not holds(replace(verl, config=other), "updates_per_rollout", "<=", 1)  # which the newer trainer ignores
    assert holds(replace(verl, config={**other, "trainer.use_v1": False}), "updates_per_rollout", "<=", 1)


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("${data.n}", 16),
        ("${oc.select:data.n,4}", 16),
        ("${oc.select:data.m,4}", "${oc.select:data.m,4}"),
        ("${..actor.m}", 3),
        ("${.top}", 5),
        ("${data.twice}", 16),
        ("${data.round}", "${data.round}"),
        ("${oc.env:N}", "${oc.env:N}"),
        ("n${data.n}", "n${data.n}"),
    ],
)
def test_an_interpolation_is_followed_inside_the_file(tmp_path: Path, wanted: str, value: object) -> None:
    text = (
        f'actor_rollout_ref: {{rollout: {{n: "{wanted}", top: 5}}, actor: {{m: 3}}}}\n'
        'data: {n: 16, twice: "${data.n}", round: "${data.round}"}\n'
    )
    assert _read(tmp_path, "a.yaml", text).config["actor_rollout_ref.rollout.n"] == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "just: words\n", "neither TRL, verl nor OpenRLHF"),
        ("a.yaml", "", "holds no settings"),
        ("a.yaml", "- 1\n- 2\n", "holds no settings"),
        ("a.json", "{", "neither YAML nor JSON"),
        ("a.yaml", "a: [", "neither YAML nor JSON"),
        ("a.yaml", "!!python/object/apply:os.system ['true']\n", "neither YAML nor JSON"),
    ],
)
def test_a_file_that_is_none_of_the_three_is_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _read(tmp_path, name, text)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_training(tmp_path / "none.yaml", catalogue())


def _state(folder: Path, **row: object) -> None:
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 1, **row}]}))


def test_the_trainers_own_log_tells_the_stage(tmp_path: Path) -> None:
    assert training_of(tmp_path, None).stage is None
    _state(tmp_path, reward=0.5, frac_reward_zero_std=0.1)
    assert training_of(tmp_path, None).stage == "rl"
    _state(tmp_path, mean_token_accuracy=0.9, entropy=1.2)
    assert training_of(tmp_path, None).stage == "sft"
    assert training_of(tmp_path, "distillation").stage == "distillation"
    _state(tmp_path, loss=1.0)
    assert training_of(tmp_path, None).stage is None


def test_a_word_that_is_a_number_to_the_frameworks_is_one(tmp_path: Path) -> None:
    """PyYAML reads 1e-3 as a word; OmegaConf and transformers' parser make a float of it."""
    found = _read(tmp_path, "a.yaml", 'num_generations: "8"\nentropy_coef: 5e-3\nbeta: 1e-3\nscale_rewards: false\n')
    assert found.config == {"num_generations": 8, "entropy_coef": 0.005, "beta": 0.001, "scale_rewards": "none"}
    assert holds(found, "entropy_coef", ">", 0)


BOMB = "a0: &a0 {b: 1, c: 2, d: 3}\n" + "".join(
    f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}\n" for i in range(1, 9)
)
LISTS = (
    "a0: &a0 [1, 2, 3]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    + "temperature: *a8\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("num_generations: 8\n" + BOMB, "more than 100,000 settings"),
        ("num_generations: 8\na: &a\n  b: *a\n", "nested without an end"),
        ("num_generations: 8\ntemperature: .nan\n", "temperature is nan"),
        ("num_generations: 8\ntemperature: 2020-01-01\n", "no value of a setting"),
        ("num_generations: 8\ntemperature: &a [*a]\n", "no value of a setting"),
        (f"num_generations: 8\nloss_type: {'x' * 300}\n", "no value of a setting"),
        ("num_generations: 8\n" + LISTS, "temperature is .*no value of a setting"),
        (f"num_generations: 0x{'f' * 5000}\n", "no value of a setting"),
    ],
)
def test_what_no_report_can_hold_is_refused_before_anything_is_drawn(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _read(tmp_path, "a.yaml", text)


def test_an_error_does_not_quote_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2") as caught:
        _read(tmp_path, "a.yaml", "num_generations: 8\nhub_token: secret: x\n")
    assert "secret" not in str(caught.value)


def test_numbers_without_a_meaning_give_no_count_of_updates(tmp_path: Path) -> None:
    assert _read(tmp_path, "a.yaml", f"num_iterations: 1{'0' * 190}\nepsilon: 0.2\n").updates_per_rollout is not None
    assert updates_per_rollout(_held("trl", "grpo", {"num_iterations": 10**400})) is None
    assert _read(tmp_path, "o.yaml", "- 'algorithm.x=a: b: c'\n- algorithm.adv_estimator=grpo\n").framework == "verl"


def test_a_file_of_two_trainers_says_what_was_assumed_and_what_would_tell(tmp_path: Path) -> None:
    found = _read(tmp_path, "a.yaml", TRL)
    assert found.trainer == "grpo_or_rloo"
    assert found.assumed.startswith("read as of GRPOConfig or RLOOConfig")
    for key, trainer in (("top_entropy_quantile: 1.0", "grpo"), ("normalize_advantages: false", "rloo")):
        assert key in found.assumed
        told = _read(tmp_path, "a.yaml", f"{TRL}{key}\n")
        assert (told.trainer, told.assumed) == (trainer, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model_name_or_path: x\ndataset_name: y\nlearning_rate: 1e-5\n", "none that tells which trainer it is for"),
        ("sync_ref_model: true\nbeta: 0.1\nlearning_rate: 1e-5\n", "of GRPO and RLOO and of preference tuning alike"),
        ("use_vllm: true\nmax_new_tokens: 64\nbeta: 0.1\n", "is of preference tuning"),
        ("advantage_estimator: group_norm\nn_samples_per_prompt: 8\n", "OpenRLHF before 0.11"),
    ],
)
def test_a_file_that_does_not_tell_says_what_would(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _read(tmp_path, "a.yaml", text)


PPO = "python3 -m openrlhf.cli.train_ppo_ray \\\n  --algo.advantage.estimator rloo \\\n  --rollout.n_samples_per_prompt"


@pytest.mark.parametrize(
    ("name", "text", "trainer", "config"),
    [
        ("run.sh", f"{PPO} 8\n", ("openrlhf", "ppo"), {ESTIMATOR: "rloo", "--rollout.n_samples_per_prompt": 8}),
        (
            "run.slurm",
            f"{PPO} ${{N:-8}} --actor.eps_clip_low_high 0.2 0.27\n",
            ("openrlhf", "ppo"),
            {
                ESTIMATOR: "rloo",
                "--rollout.n_samples_per_prompt": 8,
                "--actor.eps_clip_low_high": [0.2, 0.27],
            },
        ),
        ("run", f"#!/bin/bash\n{PPO} $1\n", ("openrlhf", "ppo"), {ESTIMATOR: "rloo", SAMPLES: "${1}"}),
        (
            "list",
            "algorithm.adv_estimator=grpo\n+actor_rollout_ref.rollout.n=5\n",
            ("verl", "ppo"),
            {"algorithm.adv_estimator": "grpo", "actor_rollout_ref.rollout.n": 5},
        ),
        ("run.sh", "trl rloo --num-generations 4 --beta 5e-2\n", ("trl", "rloo"), {"num_generations": 4, "beta": 0.05}),
        ("run.sh", "trl grpo --learning_rate 1e-5\n", ("trl", "grpo"), {}),
        ("run.sh", "python -m verl.trainer.sft_trainer data.train_files=x\n", ("verl", "sft"), {}),
        (
            "a.py",
            "GRPOConfig(beta=0.1, scale_rewards=False)\n",
            ("trl", "grpo"),
            {"beta": 0.1, "scale_rewards": "none"},
        ),
        ("a.py", "a = trl.RLOOConfig(num_generations=4)\n", ("trl", "rloo"), {"num_generations": 4}),
        (
            "a.py",  # the class counts, whatever a key of the user's own is called
            "class Mine(RLOOConfig):\n    top_entropy_quantile: float = 0.2\na = Mine()\n",
            ("trl", "rloo"),
            {"top_entropy_quantile": 0.2},
        ),
    ],
)
def test_the_script_that_starts_a_training_is_read_as_its_configuration(
    tmp_path: Path, name: str, text: str, trainer: tuple[str, str], config: dict[str, object]
) -> None:
    found = _read(tmp_path, name, text)
    assert (found.framework, found.trainer) == trainer
    assert found.config == config
    assert found.assumed == ""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.sh", "ls\n", "holds no settings"),
        ("a.sh", "accelerate launch grpo.py --config recipes/a.yaml\n", "takes its settings from recipes/a.yaml"),
        ("a.sh", "trl sft --packing\ntrl grpo --beta 0.1\n", "starts several trainings, grpo, sft"),
        ("a.sh", "deepspeed --module openrlhf.cli.train_dpo --ds.zero_stage 3\n", "is of preference tuning"),
        (
            "a.sh",
            "python3 -m openrlhf.cli.train_ppo_ray --n_samples_per_prompt 8 --init_kl_coef 0\n",
            "OpenRLHF before 0.11",
        ),
        ("a.py", "DPOConfig(beta=0.1)\n", "is of preference tuning"),
        ("a.py", "print(\n", "is no Python, line 1"),
        ("a.yaml", "\udcff", "is no text"),
        ("a.txt", "word " * 300_000, "is longer than a script"),
        ("a.yaml", "word " * 30_000, "is longer than a script"),
    ],
)
def test_a_script_that_tells_nothing_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=said):
        read_training(tmp_path / name, catalogue())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.sh",
            "python3 -m verl.trainer.main_ppo --config-name mine algorithm.adv_estimator=grpo\n",
            "what mine sets",
        ),
        ("a.py", "GRPOConfig(beta=0.1, **more)\n", r"what \*\* adds to it"),
        ("a.py", "class Mine(GRPOConfig):\n    beta: float = 0.1\n", "what the command line gives"),
    ],
)
def test_settings_that_stand_elsewhere_are_said_to(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert re.match(f"{said}.* is not seen: where this file is silent", _read(tmp_path, name, text).assumed)


def test_verls_own_configuration_is_its_defaults(tmp_path: Path) -> None:
    text = "python3 -m verl.trainer.main_ppo --config-name='ppo_megatron_trainer.yaml' algorithm.adv_estimator=grpo\n"
    assert _read(tmp_path, "a.sh", text).assumed == ""


def test_a_secret_of_a_script_is_not_kept(tmp_path: Path) -> None:
    found = _read(tmp_path, "a.sh", f"export WANDB_API_KEY=secret\n{PPO} 8 --logger.wandb.key secret\n")
    assert found.config == {ESTIMATOR: "rloo", SAMPLES: 8}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.sh", "trl grpo --beta 0.4 --epsilon $beta\n"),
        ("a.py", "def f(beta):\n    GRPOConfig(beta=0.4, epsilon=beta)\n"),
    ],
)
def test_a_variable_of_a_script_is_no_key_of_the_same_name(tmp_path: Path, name: str, text: str) -> None:
    assert _read(tmp_path, name, text).config == {"beta": 0.4, "epsilon": "${beta}"}
