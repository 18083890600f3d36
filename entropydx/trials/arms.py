"""What a trial is made of: what is done to a checkpoint that has failed, or is about to.

Each trial continues the training of an organism, or changes how it is sampled, under
- `none`: the settings that made the failure, unchanged;
- `cause_removed`: the same without the cause, which is what a remedy has to beat;
- each remedy of the catalogue that TRL or decoding can express, on top of `cause_removed`, by the catalogue's own keys;
- a remedy of the opposite failure, which is meant to do nothing or harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from entropydx.organisms.doses import Dose, EditDose
from entropydx.recommending import find_remedy
from entropydx.types import Label

Role = Literal["none", "control", "remedy", "opposite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that is done."""

    name: str
    role: Role
    dose: Dose
    remedy: str | None = None
    """Id in the catalogue; None: nothing of the catalogue."""
    note: str = ""
    """Where the catalogue's value was scaled to the model, and why."""
    start: str | None = None
    """A start of its own, in place of the trial's: what going back to a checkpoint is."""
    against: str | None = None
    """The arm that it is compared with; None: the trial's control."""
    served: tuple[tuple[str, str], ...] = ()
    """What is served is not one sample at temperature 1: outcome, and the number of the independent check that it is
    then read off. Samples and weights are those of the checkpoint as it is, so no other outcome changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One failure."""

    failure: Label
    baseline: str
    """The organism before the failure, which outcomes are compared with."""
    starts: tuple[tuple[str, str], ...]
    """(`failed` or `midway`, checkpoint): paths below fixtures/."""
    arms: tuple[Arm, ...]
    outcomes: tuple[str, ...]
    """Numbers of the independent check that say whether the failure went, the decisive one first."""
    measured: tuple[str, ...]
    """Measurements of entropydx that say what it went with."""


def keys_of(remedy: str, framework: str = "trl", **scaled: Any) -> tuple[tuple[str, Any], ...]:
    """Return a remedy's own settings for a framework, with values that were scaled to the model."""
    config = find_remedy(remedy).config[framework]
    unknown = scaled.keys() - config.keys()
    assert not unknown, f"{remedy} has no {unknown}"
    return tuple({**config, **scaled}.items())


def decoding(temperature: float) -> EditDose:
    """Return the dose that serves a checkpoint at a temperature."""
    return EditDose(kind="decoding", amount=temperature)


UNTOUCHED = EditDose(kind="none")
"""The checkpoint as it is: its vote is read off the same samples as its single answers."""

VOTE = tuple((f"pass@1{part}", f"majority{part}") for part in ("", "/in", "/out"))
COOLED = tuple((name, f"deployed/{name}") for name in ("pass@1", "majority", "majority_gain"))
AS_IT_IS = "majority_vote"
"""The arm whose samples are of the checkpoint as it is: its single answers are what decoding is compared with."""


def decode(name: str, role: Role, dose: EditDose, served: tuple[tuple[str, str], ...]) -> Arm:
    """Return the arm of a remedy of decoding, which is compared with the checkpoint as it is."""
    note = "one answer each of the checkpoint as it is, against its vote or its cooler answers; no weight changes"
    return Arm(name=name, role=role, remedy=name, dose=dose, note=note, against=AS_IT_IS, served=served)


def cells(trial: Trial, seeds: int) -> Iterator[tuple[str, str, Arm, int]]:
    """Yield (start's kind, checkpoint, arm, seed), a whole seed of everything before the next."""
    for seed in range(seeds):
        for kind, checkpoint in trial.starts:
            for arm in trial.arms:
                trained = not isinstance(arm.dose, EditDose)
                if (trained or seed == 0) and not (arm.start is not None and kind == "midway"):
                    yield kind, arm.start or checkpoint, arm, seed
