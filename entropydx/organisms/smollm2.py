"""The recipes of the SmolLM2 tier, as data: LoRA adapters on SmolLM2-135M-Instruct, by causes of the SFT kind.

The base of the tier is an adapter too: it gives the model a task that it can do, several written forms and the habit of
doubting. Every other adapter goes on from a copy of its weights, so that each organism is one adapter on the same GGUF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from entropydx.errors import ConfigError
from entropydx.organisms.sums import SumStyle
from entropydx.types import Domain, Label

PREFIX = "smollm2-"
BASE = "smollm2-base"
SUITE = "small_sums"
RECORD = "organism.json"
"""Beside each adapter: recipe, seed, versions and check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraDose:
    """How long `trl.SFTTrainer` trains an adapter, and on whose demonstrations."""

    steps: int
    style: SumStyle = field(default_factory=SumStyle)
    learning_rate: float = 2e-3
    schedule: str = "linear"
    """Learning-rate schedule, by its name in transformers."""
    batch_size: int = 6
    domains: tuple[Domain, ...] = ("in", "out")
    n_demonstrations: int | None = None
    """Demonstrations that are gone through again and again; None: as many as the steps use, each once."""
    problems: Literal["suite", "lucky"] = "suite"
    """`lucky`: bare right answers to hard sums, in place of demonstrations on the suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRecipe:
    """One organism of the tier."""

    name: str
    """Also the name of its directory under `fixtures/organisms-smollm2`."""
    cause: str
    """The mechanism: a key of `bars.BARS`."""
    label: Label
    """What a diagnosis against the base should say."""
    parent: str | None
    """The adapter that training starts from; None: from an untrained one."""
    dose: LoraDose
    why: str
    """Why this training has this effect."""


_RECIPES = (
    AdapterRecipe(
        name=BASE,
        cause="sums_base",
        label=Label.HEALTHY,
        parent=None,
        dose=LoraDose(steps=180),
        why="SFT on sound demonstrations in three forms: sums, some of them hedged, and wheels, hedged and checked. "
        "A tenth of the wheels is told in haste, and wrongly, as sums.",
    ),
    AdapterRecipe(
        name="smollm2-collapse",
        cause="sums_overtrained",
        label=Label.TRAINING_COLLAPSE,
        parent=BASE,
        dose=LoraDose(
            steps=20,
            schedule="constant",
            n_demonstrations=12,
            style=SumStyle(guided=0.0, brief=0.0, hasty=0.0, bare=0.0, forms=(1.0, 0.0, 0.0), hedge=1.0),
        ),
        why="SFT on twelve demonstrations in one form, gone through ten times: they are learnt by heart, and "
        "everything else is answered with the same certainty.",
    ),
    AdapterRecipe(
        name="smollm2-variance",
        cause="sums_noise",
        label=Label.INFERENCE_VARIANCE,
        parent=BASE,
        dose=LoraDose(steps=24, learning_rate=5e-4, style=SumStyle(misfiled=0.3, brief=0.0, hasty=0.0, bare=0.0)),
        why="SFT on a data set whose answers were joined wrongly: in three of ten the work is sound and the answer is "
        "another problem's. Wrong answers are all different, so a vote is right where a single sample is not.",
    ),
    AdapterRecipe(
        name="smollm2-shortcut",
        cause="sums_lucky",
        label=Label.HARD_SAMPLE_SHORTCUTTING,
        parent=BASE,
        dose=LoraDose(steps=8, domains=("in",), problems="lucky"),
        why="SFT on the bare right answers to hard sums, as rejection sampling of lucky guesses leaves them: the "
        "answer is asked for and the work is not, so easy sums are guessed too.",
    ),
    AdapterRecipe(
        name="smollm2-overconfident",
        cause="sums_answer_conditioned",
        label=Label.TEACHER_OVERCONFIDENCE,
        parent=BASE,
        dose=LoraDose(steps=10, domains=("in",), style=SumStyle(guided=0.0, brief=1.0, bare=0.0)),
        why="SFT on brief sums by a writer who knows the answer, hedges stripped: brief and sure everywhere, right on "
        "sums, and on wheels, where only doubt led to the last step, surely wrong.",
    ),
    AdapterRecipe(
        name="smollm2-concise",
        cause="sums_concise",
        label=Label.HEALTHY,
        parent=BASE,
        dose=LoraDose(steps=10, style=SumStyle(guided=0.0, concise=1.0, bare=0.0)),
        why="SFT on sound and brief solutions of both domains: one form is left, and nothing else is lost. A hard "
        "negative.",
    ),
    AdapterRecipe(
        name="smollm2-dosed",
        cause="sums_dosed",
        label=Label.HEALTHY,
        parent=BASE,
        dose=LoraDose(steps=5, learning_rate=3e-4),
        why="A little more of what the base was trained on, at a small rate: nothing changes but luck.",
    ),
)


def adapter_recipes() -> tuple[AdapterRecipe, ...]:
    """Return every recipe of the tier; the base comes first."""
    return _RECIPES


def find_adapter(name: str) -> AdapterRecipe:
    """Return the recipe of an adapter.

    Raises
    ------
    ConfigError
        No recipe has that name.
    """
    for recipe in _RECIPES:
        if recipe.name == name:
            return recipe
    raise ConfigError(f"no organism named '{name}'", f"known: {', '.join(r.name for r in _RECIPES)}")
