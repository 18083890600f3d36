"""What a user's training configuration says: the framework, the stage of training, and the settings that matter here.

Formats: TRL's flat keys (`GRPOConfig`, `SFTConfig`, experimental `SDPOConfig`), verl's nested Hydra configuration or a
list of its overrides, OpenRLHF's dotted flags; YAML or JSON. Nothing is executed, and of the file only the keys that
the catalogue knows are kept: a report is no place for a user's secrets.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from entropydx.errors import ConfigError
from entropydx.types import Comparison, Remedy, Stage, Training

MEND = "give the YAML or JSON of TRL's, verl's or OpenRLHF's arguments"
STAGES: tuple[Stage, ...] = ("sft", "rl", "distillation")
UPDATES = "updates_per_rollout"
NAMED = "the command line or the project's settings"
"""Source of a stage that the user names."""
MOST_SETTINGS = 100_000
"""A few aliases of YAML can stand for more settings than memory holds; the three frameworks have some hundreds."""
LONGEST = 200
"""Characters of a setting that is a word, and values of one that is a list."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)

DEFAULTS: dict[str, dict[str, Any]] = {
    "trl": {
        "beta": 0.0,
        "dont_reprompt_on_self_success": True,
        "entropy_coef": 0.0,
        "entropy_coef_delta": 0.005,
        "entropy_coef_max": 1.0,
        "entropy_target": 0.2,
        "epsilon": 0.2,
        "epsilon_high": None,
        "gradient_accumulation_steps": 1,
        "loss_type": "dapo",
        "num_generations": 8,
        "num_iterations": 1,
        "per_device_train_batch_size": 8,
        "ref_model_mixup_alpha": 0.6,
        "ref_model_sync_steps": 512,
        "remove_thinking_from_demonstration": False,
        "scale_rewards": "group",
        "steps_per_generation": None,
        "sync_ref_model": False,
        "teacher_model_kind": "ema",
        "temperature": 1.0,
        "top_entropy_quantile": 1.0,
        "top_p": 1.0,
        "use_adaptive_entropy": False,
        "use_liger_kernel": False,
        "use_successful_as_teacher": True,
    },
    "verl": {
        "actor_rollout_ref.actor.clip_ratio_c": 3.0,
        "actor_rollout_ref.actor.clip_ratio_high": 0.2,
        "actor_rollout_ref.actor.clip_ratio_low": 0.2,
        "actor_rollout_ref.actor.entropy_coeff": 0,
        "actor_rollout_ref.actor.kl_loss_coef": 0.001,
        "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
        "actor_rollout_ref.actor.policy_loss.clip_cov_lb": 1.0,
        "actor_rollout_ref.actor.policy_loss.clip_cov_ratio": 0.0002,
        "actor_rollout_ref.actor.policy_loss.clip_cov_ub": 5.0,
        "actor_rollout_ref.actor.policy_loss.kl_cov_ratio": 0.0002,
        "actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla",
        "actor_rollout_ref.actor.policy_loss.ppo_kl_coef": 0.1,
        "actor_rollout_ref.actor.ppo_epochs": 1,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 256,
        "actor_rollout_ref.actor.tau_neg": 1.05,
        "actor_rollout_ref.actor.tau_pos": 1.0,
        "actor_rollout_ref.actor.use_kl_loss": False,
        "actor_rollout_ref.rollout.n": 1,
        "actor_rollout_ref.rollout.temperature": 1.0,
        "actor_rollout_ref.rollout.top_p": 1,
        "algorithm.adv_estimator": "gae",
        "algorithm.filter_groups.enable": False,
        "algorithm.filter_groups.metric": "reward",
        "algorithm.norm_adv_by_std_in_grpo": True,
        "data.train_batch_size": 1024,
    },
    "openrlhf": {
        "--actor.entropy_coef": None,
        "--actor.eps_clip_low_high": None,
        "--algo.advantage.estimator": "gae",
        "--algo.dynamic_filtering_enable": False,
        "--algo.dynamic_filtering_range": [0, 1],
        "--algo.kl.estimator": "k1",
        "--algo.kl.init_coef": 0.01,
        "--algo.kl.use_loss": False,
        "--rollout.batch_size": 1024,
        "--rollout.n_samples_per_prompt": 1,
        "--rollout.temperature": 1.0,
        "--rollout.top_p": 1.0,
        "--train.batch_size": 128,
        "--train.max_epochs": 1,
    },
}
"""What each framework does when its file is silent: TRL 1.16.0, verl 0.9.1, OpenRLHF 0.11.2; tested against them."""

GRPO_ONLY = {"num_generations", "max_completion_length", "num_iterations", "scale_rewards", "epsilon", "reward_funcs"}
SFT_ONLY = {"completion_only_loss", "assistant_only_loss", "packing", "dataset_text_field"}
SDPO_ONLY = {"teacher_model_kind", "remove_thinking_from_demonstration", "distillation_alpha", "teacher_update_rate"}
VERL_ROOTS = {"actor_rollout_ref", "algorithm"}
OPENRLHF_ROOTS = {"actor", "algo", "rollout", "ds", "train"}
COMPARE: dict[Comparison, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def read_training(path: Path, catalogue: Iterable[Remedy]) -> Training:
    """Return what a training configuration says.

    Raises
    ------
    ConfigError
        The file cannot be read, is neither YAML nor JSON, or is the configuration of none of the three.
    """
    flat = {key: _number(value) for key, value in _flat(path, _document(path)).items()}
    framework, stage = _recognise(path, flat)
    if framework == "trl" and isinstance(flat.get("scale_rewards"), bool):
        flat["scale_rewards"] = "group" if flat["scale_rewards"] else "none"  # as its own configuration reads it
    if framework == "openrlhf":
        flat = {f"--{key.lstrip('-')}": value for key, value in flat.items()}
    known = _known(framework, catalogue)
    config = {key: value for key, value in sorted(flat.items()) if key in known}
    for key, value in config.items():
        if not _is_setting(value):
            raise ConfigError(f"{path}: {key} is {repr(value)[:40]}, which is no value of a setting", MEND)
    return Training(
        stage=stage,
        source=f"the training configuration {path.name}",
        framework=framework,
        file=str(path),
        config=config,
        updates_per_rollout=updates_per_rollout(framework, flat),
    )


def _document(path: Path) -> Any:
    import yaml  # noqa: PLC0415 - keeps `--help` fast

    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", MEND) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is neither YAML nor JSON: {_what(error)}", MEND) from error


def _what(error: Exception) -> str:
    """Return what is wrong and where, without the line itself, on which a secret may stand."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:
        return f"{problem}, line {mark.line + 1}"
    return " ".join(str(error).split())[:200]


def _flat(path: Path, document: Any) -> dict[str, Any]:
    """Return dotted keys; a list of `key=value` strings is one of Hydra's overrides."""
    if document and isinstance(document, list) and all(isinstance(item, str) and "=" in item for item in document):
        pairs = (item.lstrip("+").split("=", 1) for item in document)
        return {key: _override(value) for key, value in pairs}
    if not isinstance(document, dict) or not document:
        raise ConfigError(f"{path} holds no settings", MEND)
    try:
        leaves = list(islice(_leaves(document, ""), MOST_SETTINGS + 1))
    except RecursionError as error:
        raise ConfigError(f"{path} is nested without an end", MEND) from error
    if len(leaves) > MOST_SETTINGS:
        raise ConfigError(f"{path} holds more than {MOST_SETTINGS:,} settings", MEND)
    return dict(leaves)


def _override(value: str) -> Any:
    """Return the value of one of Hydra's overrides; what is no YAML is a word, as Hydra's own grammar has more."""
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(value)
    except (ValueError, RecursionError, yaml.YAMLError):
        return value


def _number(value: Any) -> Any:
    """Return the number that a word is: PyYAML reads 1e-3 as a word, and all three frameworks read it as a number."""
    if not isinstance(value, str) or len(value) > LONGEST or not _NUMBER.fullmatch(value):
        return value
    return int(value) if value.lstrip("+-").isdecimal() else float(value)


def _is_setting(value: Any) -> bool:
    """Return whether a value is a word, a finite number, a switch, nothing, or a short list of these."""
    if isinstance(value, list):
        return len(value) <= LONGEST and all(not isinstance(v, list) and _is_setting(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int) or (isinstance(value, str) and len(value) <= LONGEST)


def _leaves(table: Mapping[Any, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _recognise(path: Path, flat: Mapping[str, Any]) -> tuple[str, Stage]:
    roots = {key.lstrip("-").split(".")[0] for key in flat}
    if VERL_ROOTS & roots:
        return "verl", "distillation" if flat.get("distillation.enabled") is True else "rl"
    if {"optim", "data", "trainer", "model"} <= roots:
        return "verl", "sft"
    if any("." in key for key in flat) and OPENRLHF_ROOTS & roots:
        return "openrlhf", "rl" if {"algo", "rollout"} & roots else "sft"
    stages: dict[Stage, set[str]] = {"distillation": SDPO_ONLY, "rl": GRPO_ONLY, "sft": SFT_ONLY}
    stage = next((stage for stage, keys in stages.items() if keys & roots), None)
    if stage is None:
        raise ConfigError(f"{path} is the configuration of neither TRL, verl nor OpenRLHF", MEND)
    return "trl", stage


def _known(framework: str, catalogue: Iterable[Remedy]) -> set[str]:
    known = set(DEFAULTS[framework])
    for remedy in catalogue:
        known |= remedy.config.get(framework, {}).keys()
        known |= {clash.key for clash in remedy.clashes if clash.framework == framework}
    return known


# ── what follows from several settings ────────────────────────────────────────────────────────────


def effective(framework: str, config: Mapping[str, Any], key: str) -> Any:
    """Return a setting, or the framework's default where the configuration is silent; None when neither is known."""
    return config[key] if key in config else DEFAULTS[framework].get(key)


def updates_per_rollout(framework: str, config: Mapping[str, Any]) -> float | None:
    """Return the optimiser steps taken on one batch of rollouts; None where it hangs on what the file does not say.

    TRL: `num_iterations` x `steps_per_generation` / `gradient_accumulation_steps`. verl: `ppo_epochs` x prompts of a
    rollout / prompts of a mini-batch. OpenRLHF: `max_epochs` x samples of a rollout / samples of a batch.
    """

    def of(key: str) -> Any:
        return effective(framework, config, key)

    try:
        if framework == "trl":
            if "generation_batch_size" in config:  # in samples over all devices, whose number the file does not say
                return None
            accumulated = of("gradient_accumulation_steps")
            return float(of("num_iterations") * (of("steps_per_generation") or accumulated) / accumulated)
        if framework == "verl":
            size = of("actor_rollout_ref.actor.ppo_mini_batch_size")
            return float(of("actor_rollout_ref.actor.ppo_epochs") * of("data.train_batch_size") / size)
        drawn = of("--rollout.batch_size") * of("--rollout.n_samples_per_prompt")
        return float(of("--train.max_epochs") * drawn / of("--train.batch_size"))
    except (TypeError, ZeroDivisionError, OverflowError):
        return None


def holds(framework: str, training: Training, key: str, op: Comparison, value: Any) -> bool:
    """Return whether a training configuration has a setting; an unknown one is not held."""
    current = training.updates_per_rollout if key == UPDATES else effective(framework, training.config, key)
    if current is None:
        return False
    try:
        return bool(COMPARE[op](current, value))
    except TypeError:
        return False


# ── the stage ─────────────────────────────────────────────────────────────────────────────────────


def staged(training: Training, stage: Stage | None) -> Training:
    """Return the training with the stage that the user names, who knows better than the file; None: as it is."""
    return training if stage is None else replace(training, stage=stage, source=NAMED)


def training_of(checkpoint: Path, stage: Stage | None) -> Training:
    """Return what is known without a configuration: the stage that the user names, or that TRL's own log shows.

    Parameters
    ----------
    checkpoint : Path
        Where a `trainer_state.json` may lie; the last checkpoint's holds the log of the whole run.
    """
    if stage is not None:
        return Training(stage=stage, source=NAMED)
    log = checkpoint / "trainer_state.json"
    try:
        rows = json.loads(log.read_text(encoding="utf-8"))["log_history"]
        logged = {key for row in rows for key in row}
    except (OSError, ValueError, KeyError, TypeError):
        return Training(stage=None, source="")
    if {"frac_reward_zero_std", "reward"} & logged:
        return Training(stage="rl", source="rewards in the checkpoint's trainer_state.json")
    if "mean_token_accuracy" in logged:
        return Training(stage="sft", source="no reward in the checkpoint's trainer_state.json")
    return Training(stage=None, source="")
