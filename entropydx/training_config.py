"""What a user's training configuration says: the framework, the stage of training, and the settings that matter here.

Formats: TRL's flat keys (`GRPOConfig`, `SFTConfig`, `DistillationConfig`, experimental `SDPOConfig`), verl's nested
Hydra configuration or a list of its overrides, OpenRLHF's dotted flags; as YAML, JSON, or the shell or Python script
that a training was started with. Nothing is executed, and of the file only the keys that the catalogue knows are kept:
a report is no place for a user's secrets.
"""

from __future__ import annotations

import json
import math
import operator
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from entropydx.errors import ConfigError
from entropydx.settings_file import LONGEST, MEND, Settings, read_settings
from entropydx.trainers import DEFAULTS, OLD_OPENRLHF, STAGE_OF, STARTED, TRAINERS, preference, recognised
from entropydx.trl_keys import CLASSES, TRAINING, assumed, candidates
from entropydx.types import Comparison, Remedy, Stage, Training

STAGES: tuple[Stage, ...] = ("sft", "rl", "distillation")
UPDATES = "updates_per_rollout"
NAMED = "the command line or the project's settings"
"""Source of a stage that the user names."""
HOPS = 20
"""Of one interpolation to the next, before a file is taken to go round in a circle."""
BYPASS, BYPASS_LOSS = "algorithm.rollout_correction.bypass_mode", "algorithm.rollout_correction.loss_type"
LEAVE = "leave it out: what hangs on no training is recommended all the same"
TELL = "add a key of its trainer's own, or leave it out and say --stage sft, rl or distillation"
SHORT = reprlib.Repr()
"""For an error: a few aliases of YAML can stand for a text that memory does not hold."""
SHORT.maxlevel = 1
_REFERENCE = re.compile(r"\$\{(?:oc\.select:\s*([\w.]+)\s*(?:,[^{}]*)?|([\w.]+))\}")
"""Another key of the same file, as OmegaConf writes it."""
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
        The file cannot be read, has no settings, or is the configuration of none of the three.
    """
    read = read_settings(path)
    flat = read.flat
    framework, trainer, stage, guess = _recognise(path, read)
    known = _known(framework, catalogue)
    dashes = "--" if framework == "openrlhf" else ""
    follows = framework == "verl" or not read.script  # `${beta}` of TRL's scripts is a variable, and no key
    told = {f"{dashes}{key.lstrip('-')}": _followed(flat, key) if follows else flat[key] for key in flat}
    config = {key: value for key, value in sorted(told.items()) if key in known}
    if framework == "trl" and isinstance(config.get("scale_rewards"), bool):
        config["scale_rewards"] = "group" if config["scale_rewards"] else "none"  # as its own configuration reads it
    for key, value in config.items():
        if not _is_setting(value):
            said = "a number without an end" if isinstance(value, int) else SHORT.repr(value)[:40]
            raise ConfigError(f"{path}: {key} is {said}, which is no value of a setting", MEND)
    training = Training(
        stage=stage,
        source=f"the training configuration {path.name}",
        framework=framework,
        trainer=trainer,
        assumed="; ".join(said for said in (guess, read.unseen) if said),
        file=str(path),
        config=config,
    )
    return replace(training, updates_per_rollout=updates_per_rollout(training))


def _is_setting(value: Any) -> bool:
    """Return whether a value is a word, a finite number, a switch, nothing, or a short list of these."""
    if isinstance(value, list):
        return len(value) <= LONGEST and all(not isinstance(v, list) and _is_setting(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return value.bit_length() <= LONGEST * 8
    return value is None or (isinstance(value, str) and len(value) <= LONGEST)


def computed(value: Any) -> bool:
    """Return whether a value is one that the framework works out when it reads the file: an interpolation."""
    return isinstance(value, str) and "${" in value


def _followed(flat: Mapping[str, Any], key: str) -> Any:
    """Return a setting, or that of the key of the same file which it names; an interpolation of all else stays."""
    value = flat[key]
    for _ in range(HOPS):
        found = _REFERENCE.fullmatch(value) if isinstance(value, str) and len(value) <= LONGEST else None
        if found is None:
            break
        name = found[1] or found[2]
        up = len(name) - len(name.lstrip("."))
        key = ".".join([*key.split(".")[:-up], name[up:]]) if up else name
        if key not in flat:
            break
        value = flat[key]
    return value


def _recognise(path: Path, read: Settings) -> tuple[str, str, Stage, str]:
    """Return framework, trainer and stage, and what was assumed: by what the file names, else by its keys."""
    keys = {key.lstrip("-") for key in read.flat}
    starts = {STARTED.get(name) for name in read.trainers}
    if len(starts) > 1:
        several = f"{path} starts several trainings, {', '.join(read.trainers)}"
        raise ConfigError(several, "give the command of the one that made the checkpoint")
    (named,) = starts or {None}
    found = recognised(read.flat)
    open_ = candidates(keys, read.flat.get("loss_type"))
    if len(keys & OLD_OPENRLHF) > 1 and (found is None or found[0] == "openrlhf"):
        raise ConfigError(f"{path} is of OpenRLHF before 0.11, whose flags have other names", "give those of 0.11")
    if named is None and (starts or preference(read.flat)):
        raise ConfigError(f"{path} is of preference tuning or of a reward model, and no remedy is for these", LEAVE)
    certain = not CLASSES.keys().isdisjoint(read.trainers)
    if named is not None and (certain or found is None or found[0] != named[0] or named[1] in open_):
        return *named, STAGE_OF[named[1]], ""
    if found is not None:
        return *found, assumed(found[1], open_) if found[0] == "trl" else ""
    if open_:
        raise ConfigError(f"{path} has keys of GRPO and RLOO and of preference tuning alike, and none that tells", TELL)
    if len(keys & TRAINING) > 1:
        raise ConfigError(f"{path} has keys of a training, and none that tells which trainer it is for", TELL)
    raise ConfigError(f"{path} is the configuration of neither TRL, verl nor OpenRLHF", MEND)


def _known(framework: str, catalogue: Iterable[Remedy]) -> set[str]:
    known = set(DEFAULTS[framework])
    for remedy in catalogue:
        known |= remedy.config.get(framework, {}).keys()
        known |= {clash.key for clash in remedy.clashes if clash.framework == framework}
    return known


# ── what follows from several settings ────────────────────────────────────────────────────────────


def trainer_of(training: Training) -> str | None:
    """Return the trainer that the file is of; of a report that does not name it, the first one of the stage."""
    if training.framework is None or training.trainer is not None:
        return training.trainer
    if training.stage == "sft":
        return "sft"
    return "distillation" if (training.framework, training.stage) == ("trl", "distillation") else first(training)


def first(training: Training) -> str:
    """Return the trainer of the framework that most remedies are for."""
    return next(iter(TRAINERS[training.framework or "trl"]))


def effective(training: Training, key: str) -> Any:
    """Return a setting, or the trainer's default where the file is silent; None when neither is known."""
    if key in training.config:
        value = training.config[key]
        return None if computed(value) else value
    name = trainer_of(training)
    return None if name is None else TRAINERS[training.framework or "trl"].get(name, {}).get(key)


def updates_per_rollout(training: Training) -> float | None:
    """Return the optimiser steps taken on one batch of rollouts; None: no rollouts, or it hangs on what is not said.

    TRL: `num_iterations` x batches of a rollout / `gradient_accumulation_steps`. verl: `ppo_epochs` x prompts of a
    rollout / prompts of a mini-batch. OpenRLHF: `max_epochs` x samples of a rollout / samples of a batch.
    """

    def of(key: str) -> Any:
        return effective(training, key)

    try:
        if training.framework == "trl":
            return float(of("num_iterations") * _batches(training) / of("gradient_accumulation_steps"))
        if training.framework == "verl":
            size = of("actor_rollout_ref.actor.ppo_mini_batch_size")
            return float(of("actor_rollout_ref.actor.ppo_epochs") * of("data.train_batch_size") / size)
        drawn = of("--rollout.batch_size") * of("--rollout.n_samples_per_prompt")
        return float(of("--train.max_epochs") * drawn / of("--train.batch_size"))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _batches(training: Training) -> Any:
    """Return how many batches of a device TRL draws at once; None: the file names samples, but not the processes."""
    steps, drawn = (training.config.get(key) for key in ("steps_per_generation", "generation_batch_size"))
    if computed(steps) or computed(drawn):
        return None
    if steps or not drawn:
        return steps or effective(training, "gradient_accumulation_steps")
    return 1 if drawn == effective(training, "per_device_train_batch_size") else None  # then there is one process


def processes(training: Training) -> int:
    """Return how many processes TRL's file was written by, as far as its derived values tell; else 1."""
    config = training.config
    drawn, steps = config.get("generation_batch_size"), config.get("steps_per_generation")
    size = effective(training, "per_device_train_batch_size")
    if not (_is_count(drawn) and _is_count(steps) and _is_count(size)):
        return 1
    return max(1, drawn // (size * steps))


def whole_groups(training: Training, n_processes: int) -> bool | None:
    """Return whether TRL's batch of completions holds whole groups, without which it refuses to start; None: unknown.

    As its own configuration checks it. A dumped file has the samples and the steps, the one worked out of the other.
    """
    groups, drawn = effective(training, "num_generations"), training.config.get("generation_batch_size")
    if drawn is None or training.config.get("steps_per_generation"):
        size, steps = effective(training, "per_device_train_batch_size"), _batches(training)
        drawn = size * steps * n_processes if _is_count(size) and _is_count(steps) else None
    return drawn % groups == 0 if _is_count(groups) and _is_count(drawn) else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and value > 0


def replaces_loss(training: Training) -> bool:
    """Return whether verl puts a loss of its own in place of the file's: its older trainer does, in its bypass mode."""
    return effective(training, BYPASS) is True and effective(training, "trainer.use_v1") is False


def clips_in_bypass(training: Training) -> bool:
    """Return whether the loss that verl uses in its bypass mode clips."""
    return not replaces_loss(training) or effective(training, BYPASS_LOSS) == "ppo_clip"


def holds(training: Training, key: str, op: Comparison, value: Any) -> bool:
    """Return whether a training configuration has a setting; an unknown one is not held."""
    if key == UPDATES and effective(training, BYPASS) is True and clips_in_bypass(training):
        return False  # verl's old log-probs are the rollout engine's then: the ratio is not 1, however few the updates
    current = training.updates_per_rollout if key == UPDATES else effective(training, key)
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
