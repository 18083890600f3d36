"""Training configurations of TRL, verl and OpenRLHF: what is recognised, and what follows from several settings."""

import json
from pathlib import Path

import pytest

from entropydx.errors import ConfigError
from entropydx.recommending import catalogue
from entropydx.training_config import holds, read_training, training_of, updates_per_rollout
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


def test_only_keys_of_the_catalogue_are_kept(tmp_path: Path) -> None:
    assert _read(tmp_path, "a.yaml", TRL).config == {"num_generations": 8, "beta": 0.0}


def test_openrlhf_keys_become_flags(tmp_path: Path) -> None:
    assert _read(tmp_path, "a.json", OPENRLHF).config["--actor.eps_clip_low_high"] == [0.2, 0.28]


@pytest.mark.parametrize(
    ("framework", "config", "updates"),
    [
        ("trl", {}, 1.0),
        ("trl", {"num_iterations": 2}, 2.0),
        ("trl", {"steps_per_generation": 8, "gradient_accumulation_steps": 2}, 4.0),
        ("trl", {"generation_batch_size": 64}, None),
        ("verl", {}, 4.0),  # 1,024 prompts of a rollout in mini-batches of 256
        ("verl", {"data.train_batch_size": 256}, 1.0),
        ("verl", {"actor_rollout_ref.actor.ppo_mini_batch_size": "${x}"}, None),
        ("openrlhf", {"--rollout.n_samples_per_prompt": 8}, 64.0),  # 1,024 x 8 samples in batches of 128
        ("openrlhf", {"--rollout.batch_size": 128}, 1.0),
    ],
)
def test_updates_per_rollout(framework: str, config: dict[str, object], updates: float | None) -> None:
    assert updates_per_rollout(framework, config) == updates


def test_a_setting_is_held_by_the_file_or_by_default_and_never_when_unknown() -> None:
    training = Training(stage="rl", source="", framework="trl", config={"beta": 0.1}, updates_per_rollout=None)
    assert holds("trl", training, "beta", ">", 0)
    assert holds("trl", training, "num_iterations", "<=", 1)
    assert not holds("trl", training, "updates_per_rollout", "<=", 1)
    assert not holds("trl", training, "epsilon_high", ">", 0.2)


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
    assert holds("trl", found, "entropy_coef", ">", 0)


BOMB = "a0: &a0 {b: 1, c: 2, d: 3}\n" + "".join(
    f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}\n" for i in range(1, 9)
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
    assert updates_per_rollout("trl", {"num_iterations": 10**400}) is None
    assert _read(tmp_path, "o.yaml", "- 'algorithm.x=a: b: c'\n- algorithm.adv_estimator=grpo\n").framework == "verl"
