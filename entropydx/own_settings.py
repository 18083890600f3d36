"""A remedy's settings beside the user's own: what differs, what is there already, and what would do nothing or harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from entropydx.trainers import BASE, STAGE_OF, TRAINERS
from entropydx.training_config import (
    computed,
    effective,
    holds,
    processes,
    trainer_of,
    whole_groups,
)
from entropydx.trl_keys import CONFIGURATION, EITHER
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
AS_GOOD = {
    ("--algo.kl.estimator", "k2"): "as a loss OpenRLHF advises k2 or k3",
    ("actor_rollout_ref.actor.kl_loss_type", "k3"): "it is another name of it",
}
"""A key and a value that serves as well as the recommended one, to why (read in the sources)."""
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
WORST: tuple[SettingStatus, ...] = ("conflict", "inert")
"""Of two trainers that a file may be of, what is said for one is said for the file."""


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


def readings(training: Training) -> tuple[Training, ...]:
    """Return the training as of each trainer that its file may be of."""
    names = EITHER.get(trainer_of(training) or "", ())
    return tuple(replace(training, trainer=name) for name in names) or (training,)


def not_compared(remedy: Remedy, training: Training) -> str | None:
    """Return why a remedy's settings stand beside nothing of the file's; None: they do."""
    each = [(read, another_trainer(remedy, read)) for read in readings(training)]
    meant, here = next((m for _, m in each if m is not None), None), trainer_of(training)
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
    each = readings(training)
    for read in each:
        meant, here = another_trainer(remedy, read), trainer_of(read)
        if meant is not None and here is not None and (STAGE_OF[meant] != "rl" or STAGE_OF[here] == "rl"):
            has_none = f"{CONFIGURATION.get(here, here)} has no key for it"
            return has_none if len(each) == 1 else f"{has_none}, and the file may be of it"
    return None


def clash_of(remedy: Remedy, training: Training) -> Clash | None:
    """Return the first setting of the user's beside which the remedy is inert or harmful, as the remedy leaves it."""
    each = readings(training)
    found = [(read, _clash(remedy, read)) for read in each]
    first = next(((read, clash) for read, clash in found if clash is not None), None)
    if first is None:
        return None
    read, clash = first
    everywhere = all(other is not None for _, other in found)
    return clash if everywhere else replace(clash, why=f"{_as(read)}: {clash.why}")


def _as(read: Training) -> str:
    return f"if it is {CONFIGURATION[read.trainer or '']}"


def _clash(remedy: Remedy, training: Training) -> Clash | None:
    framework = training.framework
    own = remedy.config.get(framework or "", {})
    if another_trainer(remedy, training) is not None:
        return None
    for clash in remedy.clashes:
        if clash.framework != framework:
            continue
        there = training if clash.key in own else _with(training, own)
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
    each = readings(training)
    beside = [_beside(remedy, read) for read in each]
    if len(each) == 1 or not all(beside):
        return beside[0] if len(each) == 1 else ()
    return tuple(_for_both(settings, each) for settings in zip(*beside, strict=True))


def _for_both(settings: Sequence[Setting], each: Sequence[Training]) -> Setting:
    """Return what is said of a setting whose file may be of two trainers: what holds for both, or that it differs."""
    if len({(s.status, s.why, repr(s.current)) for s in settings}) == 1:
        return settings[0]
    worst = next((i for status in WORST for i, s in enumerate(settings) if s.status == status), None)
    if worst is not None:
        why = settings[worst].why
        return replace(settings[worst], why=why if why.startswith("if it is") else f"{_as(each[worst])}: {why}")
    defaults = " and ".join(
        f"{s.current!r} of {CONFIGURATION[read.trainer or '']}" for s, read in zip(settings, each, strict=True)
    )
    status = settings[0].status if len({s.status for s in settings}) == 1 else "unknown"
    return replace(settings[0], status=status, current=None, why=f"the default is {defaults}")


def _beside(remedy: Remedy, training: Training) -> tuple[Setting, ...]:
    framework = training.framework
    if framework is None or framework not in remedy.config or another_trainer(remedy, training) is not None:
        return ()
    own, clash = remedy.config[framework], _clash(remedy, training)
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
    if isinstance(current, str) and (key, current) in AS_GOOD:
        return "already", AS_GOOD[key, current]
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
