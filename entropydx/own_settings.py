"""A remedy's settings beside the user's own: what differs, what is there already, and what would do nothing or harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from entropydx.trainers import BASE, CONFIGURATION, STAGE_OF, TRAINERS
from entropydx.training_config import (
    computed,
    effective,
    holds,
    processes,
    trainer_of,
    whole_groups,
)
from entropydx.types import Clash, Remedy, Setting, Training
from entropydx.types.remedies import SettingStatus

AT_LEAST = (
    "beta",
    "epsilon_high",
    "num_generations",
    "num_iterations",
    "temperature",
    "actor_rollout_ref.actor.clip_ratio_high",
    "actor_rollout_ref.actor.kl_loss_coef",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.rollout.temperature",
    "--algo.kl.init_coef",
    "--rollout.n_samples_per_prompt",
    "--rollout.temperature",
)
"""Keys of which more than the recommended value serves as well: the change would go the wrong way."""
CLIP = "--actor.eps_clip_low_high"
GROUPS, BATCH = "num_generations", "per_device_train_batch_size"
MORE = "more of it than is recommended serves as well"
WHOLE = "the batch holds whole groups already"
COMPUTED = "the file computes it"
BROKEN = (
    "TRL refuses to start where its batch of completions, per_device_train_batch_size x processes x "
    "steps_per_generation, holds no whole groups of num_generations; on one process this one does not"
)
PEERS = "its keys are of {}, and the file is of {}: they are not held against it"


def another_trainer(remedy: Remedy, training: Training) -> str | None:
    """Return the trainer that a remedy's settings are of, where it is not the file's own; None: they are, or may be.

    An SFT file is not asked what it says of a GRPO run's keys: the defaults of the one are not those of the other.
    """
    own, here = remedy.config.get(training.framework or ""), trainer_of(training)
    if not own or here is None or training.framework is None:
        return None
    tables = TRAINERS[training.framework]
    keys = {key for key in own if any(key in table for table in tables.values())} - BASE.keys()
    meant = next((name for name, table in tables.items() if keys <= table.keys()), here)
    if not keys or (STAGE_OF[meant] == STAGE_OF[here] and keys <= tables[here].keys() | training.config.keys()):
        return None
    return meant


def not_compared(remedy: Remedy, training: Training) -> str | None:
    """Return why a remedy's settings stand beside nothing of the file's; None: they do."""
    meant, here = another_trainer(remedy, training), trainer_of(training)
    if meant is None or here is None:
        return None
    why = PEERS.format(CONFIGURATION.get(meant, meant), CONFIGURATION.get(here, here))
    carried = {key: value for key, value in training.config.items() if key in BASE}
    there = replace(training, trainer=meant, config={**carried, **remedy.config[training.framework or ""]})
    if training.framework == "trl" and GROUPS in there.config and whole_groups(there, 1) is False:
        why += f"; its batch cannot go along: {BROKEN}"
    return why


def inapplicable(remedy: Remedy, training: Training) -> str | None:
    """Return why the file's own trainer cannot do it; None: it can, or another one would take over from it."""
    meant, here = another_trainer(remedy, training), trainer_of(training)
    if meant is None or here is None or (STAGE_OF[meant] == "rl" and STAGE_OF[here] != "rl"):
        return None
    return f"{CONFIGURATION.get(here, here)} has no key for it"


def clash_of(remedy: Remedy, training: Training) -> Clash | None:
    """Return the first setting of the user's beside which the remedy is inert or harmful, as the remedy leaves it."""
    framework = training.framework
    own = remedy.config.get(framework or "", {})
    if another_trainer(remedy, training) is not None:
        return None
    for clash in remedy.clashes:
        if clash.framework != framework or clash.key in own:
            continue
        there = _with(training, own)
        if clash.among is not None and effective(there, clash.among[0]) != clash.among[1]:
            continue
        if holds(there, clash.key, clash.op, clash.value):
            return clash
    return None


def _with(training: Training, own: Mapping[str, Any]) -> Training:
    """Return the training with a remedy's settings in place: TRL's `num_iterations` makes updates of its own."""
    factor = own.get("num_iterations")
    updates = training.updates_per_rollout
    current = effective(training, "num_iterations")
    if updates and current and isinstance(factor, int):
        updates = updates / current * max(factor, current)
    return replace(training, config={**training.config, **own}, updates_per_rollout=updates)


def settings_beside(remedy: Remedy, training: Training) -> tuple[Setting, ...]:
    """Return each of a remedy's settings for the user's framework beside the user's own."""
    framework = training.framework
    if framework is None or framework not in remedy.config or another_trainer(remedy, training) is not None:
        return ()
    own, clash = remedy.config[framework], clash_of(remedy, training)
    found = []
    for key, wanted in own.items():
        in_file = key in training.config
        current = effective(training, key)
        status, why = _status(key, wanted, current)
        if status != "already" and clash is not None:
            status, why = clash.effect, clash.why
        elif status != "already" and in_file and computed(training.config[key]):
            status, why, current = "unknown", COMPUTED, training.config[key]
        elif status == "change" and not in_file:
            status = "add"
        found.append(
            Setting(
                framework=framework,
                key=key,
                recommended=wanted,
                current=current,
                in_file=in_file,
                status=status,
                why=why,
            )
        )
    return tuple(_started(found, training) if framework == "trl" and GROUPS in own else found)


def _started(settings: list[Setting], training: Training) -> Iterator[Setting]:
    """Yield the settings as TRL's own rule of whole groups has them: which batch is enough hangs on the groups."""
    n_processes = processes(training)
    changed = {s.key: s.recommended for s in settings if s.status != "already" or s.key == BATCH}
    size = changed.pop(BATCH, None)
    suffices = whole_groups(_with(training, changed), n_processes)
    after = changed if suffices or size is None else {**changed, BATCH: size}
    broken = whole_groups(_with(training, after), n_processes) is False
    for setting in settings:
        if setting.key == BATCH and suffices and setting.status != "already":
            yield replace(setting, status="already", why=WHOLE)
        elif setting.key == GROUPS and broken:
            yield replace(setting, status="conflict", why="; ".join(w for w in (setting.why, BROKEN) if w))
        else:
            yield setting


def _status(key: str, wanted: Any, current: Any) -> tuple[SettingStatus, str]:
    """Return whether a value is there already, and why where it is not the same one."""
    if _same(wanted, current):
        return "already", ""
    if key in AT_LEAST and _is_number(current) and _is_number(wanted) and current > wanted:
        return "already", MORE
    if key == CLIP:
        low, high = _pair(wanted)
        own_low, own_high = _pair(current)
        if low is not None and low == own_low and high is not None and own_high is not None and own_high > high:
            return "already", MORE
    return "change", ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pair(value: Any) -> tuple[float | None, float | None]:
    """Return two bounds, of a list or of words."""
    parts = value.split() if isinstance(value, str) else value
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        return None, None
    return low, high


def _same(wanted: object, current: object) -> bool:
    """Return whether two values mean the same: a flag without a word is True, and two words are two numbers."""
    if wanted == "":
        return current is True
    if isinstance(wanted, str) and isinstance(current, list | tuple):
        return wanted.split() == [f"{value:g}" if isinstance(value, float | int) else str(value) for value in current]
    return bool(wanted == current)
