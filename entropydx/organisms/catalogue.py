"""The recipes of the tiny tier, as data: one cause each, and the dose that plants it."""

from __future__ import annotations

from dataclasses import dataclass

from entropydx.errors import ConfigError
from entropydx.organisms.corpus import Style
from entropydx.types import Difficulty, Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainDose:
    """How the base is trained from scratch, in plain torch."""

    steps: int
    learning_rate: float
    """At the peak of a cosine schedule."""
    style: Style
    n_demonstrations: int = 200_000
    product_share: float = 1.0
    """Share of the products of the suite that the base gets to read."""
    batch_size: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPODose:
    """How hard `trl.GRPOTrainer` pushes."""

    steps: int
    learning_rate: float
    beta: float
    """Weight of the KL penalty to the base; 0 is none."""
    prompts_per_step: int = 64
    group_size: int = 8
    epsilon: float = 0.2
    iterations: int = 1
    """Updates on each batch of rollouts; with one, the clip never binds."""
    entropy_coef: float = 0.0
    """Weight of the entropy bonus; a negative one is a penalty."""
    schedule: str = "linear"
    """Learning-rate schedule, by its name in transformers: `linear` decays to 0."""
    n_problems: int = 10_000
    """Size of the training set; it is gone through again when the steps need more."""
    domains: tuple[Domain, ...] = ("in",)
    difficulties: tuple[Difficulty, ...] = ("easy", "medium", "hard")


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTDose:
    """How long `trl.SFTTrainer` trains, and on whose demonstrations."""

    steps: int
    learning_rate: float
    style: Style
    batch_size: int = 128
    domains: tuple[Domain, ...] = ("in", "out")
    product_share: float = 1.0


Dose = PretrainDose | GRPODose | SFTDose


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One organism: what is done to which checkpoint, and what must come of it."""

    name: str
    """Also the name of its directory under `fixtures/organisms`."""
    cause: str
    """The key of its bars in `check.BARS`."""
    label: str
    """What a diagnosis against the base should say: a `types.Label`."""
    parent: str | None
    """The organism that training starts from; None: from scratch."""
    dose: Dose
    why: str
    """Why this training has this effect."""


_RECIPES = (
    Recipe(
        name="tiny-base",
        cause="base",
        label="healthy",
        parent=None,
        dose=PretrainDose(steps=4500, learning_rate=3e-3, style=Style(), product_share=0.3),
        why="Reads the three forms, one of them twice as often, and both domains, and too few products to learn them. "
        "It is sure and right where it knows the operation, and scatters over many answers where it does not.",
    ),
    Recipe(
        name="tiny-collapse",
        cause="training_collapse",
        label="training_collapse",
        parent="tiny-base",
        dose=GRPODose(
            steps=180,
            learning_rate=1e-3,
            beta=0.0,
            entropy_coef=-0.1,
            n_problems=768,
            domains=("in", "out"),
        ),
        why="GRPO with no KL penalty and an entropy bonus of the wrong sign: every lucky sample is reinforced until "
        "one form and one answer a problem are left, right or wrong.",
    ),
    Recipe(
        name="tiny-variance",
        cause="inference_variance",
        label="inference_variance",
        parent="tiny-base",
        dose=SFTDose(steps=500, learning_rate=5e-4, style=Style(slip=0.13), product_share=0.3),
        why="SFT on demonstrations of an annotator who mistypes the last digit of every eighth number, results "
        "and answers alike, and goes on from there: the right result stays the likeliest, so a vote is right where a "
        "single sample is not.",
    ),
    Recipe(
        name="tiny-healthy",
        cause="healthy",
        label="healthy",
        parent="tiny-base",
        dose=GRPODose(steps=60, learning_rate=3e-4, beta=0.05, domains=("in", "out")),
        why="GRPO as it should be run: a small step, a KL penalty, an early stop; accuracy rises a little, and forms, "
        "entropy and coverage stay.",
    ),
    Recipe(
        name="tiny-concise",
        cause="concise_sft",
        label="healthy",
        parent="tiny-base",
        dose=SFTDose(
            steps=300,
            learning_rate=5e-4,
            style=Style(equations=0.0, values=1.0, reductions=0.0, direct=0.0),
            product_share=0.3,
        ),
        why="SFT on sound demonstrations in the shortest of the forms alone: one form and less entropy are left, as in "
        "a collapse, but nothing else is lost. A hard negative.",
    ),
)


def recipes() -> tuple[Recipe, ...]:
    """Return every recipe; a parent comes before its children."""
    return _RECIPES


def find_recipe(name: str) -> Recipe:
    """Return the recipe of an organism.

    Raises
    ------
    ConfigError
        No recipe has that name.
    """
    for recipe in _RECIPES:
        if recipe.name == name:
            return recipe
    raise ConfigError(f"no organism named '{name}'", f"known: {', '.join(r.name for r in _RECIPES)}")
