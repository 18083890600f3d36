"""What a user can change: the catalogue's entries, and those that a report recommends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from entropydx.types.evidence import Condition
from entropydx.types.labels import Label

Stage = Literal["sft", "rl", "distillation"]
"""Of training: supervised tuning, reinforcement learning, distillation from a teacher that knew the answer."""
Comparison = Literal["==", "!=", "<", "<=", ">", ">="]
SettingStatus = Literal["add", "change", "already", "inert", "conflict", "unknown"]
Course = Literal["rises", "falls", "does_not_fall", "does_not_rise"]
"""Of a measurement, from the run before a remedy to the run after it. The first two are what the remedy is for; the
others are what it leaves as it is, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A setting in a user's own training configuration beside which a remedy does nothing, or does harm."""

    framework: str
    key: str
    """The framework's own key, or `updates_per_rollout`, which is worked out of several. One that the remedy sets
    itself is asked as the file has it, every other one as the remedy leaves it."""
    op: Comparison
    value: Any
    effect: Literal["inert", "conflict"]
    why: str
    among: tuple[str, Any] | None = None
    """A further key and the value that it has; None: the one setting is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a remedy is meant to do to one measurement."""

    measurement: str
    """As `probe.statistic[@stratum]`."""
    direction: Course
    source: str
    """What it rests on, as firmly as that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One recommended setting beside the one that the user's training configuration has."""

    framework: str
    key: str
    recommended: Any
    current: Any
    """What the file says, or the framework's own default when it is silent; None when neither is known."""
    in_file: bool
    """Whether the file sets the key."""
    status: SettingStatus
    """add: the file is silent and the default differs; change: it says otherwise; already: nothing to do; inert: it
    would do nothing beside another setting; conflict: it works against another setting; unknown: the file works it
    out when it is read, or may be of two trainers on which it hangs."""
    why: str = ""
    """Of one that is inert, in conflict or unknown, of one that is there already without being the same, and of one
    whose default differs between two trainers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Advice:
    """What the catalogue and a report say alike of one change."""

    id: str
    title: str
    why: str
    """The mechanism."""
    for_: tuple[Label, ...]
    contraindicated_for: tuple[Label, ...]
    config: dict[str, dict[str, Any]]
    """Framework (`trl`, `verl`, `openrlhf`, `decoding`) to its real keys and values."""
    versions: dict[str, str]
    """Framework to the releases that have these keys; the last named is the one that they are tested against."""
    inert_when: str = ""
    """When it changes nothing; empty: it always does something."""
    expected: str = ""
    """The effect to expect, as firmly as it is known."""
    watch: tuple[str, ...] = ()
    """What tells whether it works, measurements of entropydx first."""
    stop_when: str = ""
    """When to give it up."""
    evidence: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy(_Advice):
    """One entry of the catalogue under `entropydx/remedies/`."""

    order: int
    """Among those that fit, the lowest first; the trials and the literature decide it."""
    stages: tuple[Stage, ...] = ()
    """Of the training that made the checkpoint; empty: any."""
    when: tuple[Condition, ...] = ()
    """What must be measured for it: it comes first where all have fired, and is left out where one is clear."""
    clashes: tuple[Clash, ...] = ()
    promises: tuple[Promise, ...] = ()
    """What `entropydx compare --remedy` holds it to."""
    by_hand: bool = False
    """It can be done beside a framework that has no key for it, to the data for one."""
    unmeasured: str = ""
    """Why nothing that it does shows between two runs; said where `promises` is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(_Advice):
    """A remedy that was chosen for a report."""

    chosen_because: str = ""
    """The label, the stage and the measurements that chose it."""
    settings: tuple[Setting, ...] = ()
    """Beside the user's own training configuration, where one was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A remedy of the catalogue that a report does not recommend."""

    id: str
    title: str
    why: str
    """A contraindication, the stage of training, a condition that is clear, a framework without a key for it, a key
    that another remedy sets otherwise, or its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is recommended for a report, and what is not."""

    recommendations: tuple[Recommendation, ...]
    """At most three, the best first."""
    left_out: tuple[LeftOut, ...]
    """The others for the label."""
    contraindicated: tuple[LeftOut, ...]
    """Remedies of other failures that are wrong for one that is present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is known of the training that made the checkpoint."""

    stage: Stage | None
    """None: nothing tells."""
    source: str
    """Where that comes from, in words; empty when nothing tells."""
    framework: str | None = None
    """trl, verl or openrlhf; None: no training configuration was given."""
    trainer: str | None = None
    """Whose defaults count: of TRL grpo, rloo, grpo_or_rloo (the file does not tell), async_grpo, a2po, sft, sdpo,
    sdft, self_distillation (one of these two) or distillation, of verl and OpenRLHF ppo or sft; None: no training
    configuration was given."""
    assumed: str = ""
    """What was assumed of a file that does not tell all of it, and what would tell; empty: nothing was."""
    file: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """Those of the file's settings that the catalogue knows, by the framework's own keys."""
    updates_per_rollout: float | None = None
    """Optimiser steps taken on one batch of rollouts; None: the configuration does not say."""
    warnings: tuple[str, ...] = ()
    """Settings of the file that are poison for what was diagnosed, a sentence each."""
