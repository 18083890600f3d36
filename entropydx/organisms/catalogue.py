"""The recipes of the tiny tier, as data: one cause each, and the dose that plants it."""

from __future__ import annotations

from dataclasses import dataclass

from entropydx.errors import ConfigError
from entropydx.organisms.corpus import Style
from entropydx.organisms.doses import DistillDose, Dose, GRPODose, PretrainDose, SFTDose
from entropydx.organisms.thinking import ThoughtStyle


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One organism: what is done to which checkpoint, and what must come of it."""

    name: str
    """Also the name of its directory under `fixtures/organisms`."""
    cause: str
    """The key of its bars in `bars.BARS`."""
    label: str
    """What a diagnosis against the base should say: a `types.Label`."""
    parent: str | None
    """The organism that training starts from; None: from scratch."""
    dose: Dose
    why: str
    """Why this training has this effect."""
    max_new_tokens: int = 64
    """Token limit of a completion, for the sidecar and for the check."""
    suite: str = "tiny"
    """The suite whose notation it speaks."""
    baseline: str | None = None
    """The organism that it is compared with, when that is not its parent."""
    family: str | None = None
    """The base of its line, where that is neither its parent nor itself."""
    rank: float = 1.0
    """Place of its dose among those of its mechanism, from faint to severe: i/n for the i-th of n."""
    mechanism: str | None = None
    """The lab's mechanism that it is a dose of, when that has another name than `cause`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An edit of the settings of a run that goes on: optimizer, data and everything unnamed stay as they are."""

    step: int
    """Updates that are done under the settings before the edit."""
    learning_rate: float
    beta: float
    entropy_coef: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecipe:
    """Checkpoints of one run that goes wrong at a known step."""

    name: str
    """Also the name of its directory under `fixtures/series`."""
    label: str
    """What a diagnosis of the last checkpoint against the first should say: a `types.Label`."""
    parent: str
    """The organism that the run starts from; `checkpoint-0` is a copy of it."""
    dose: GRPODose
    """The settings that the run starts with, and its length in all."""
    change: Change
    """Its step is the onset."""
    kept: tuple[int, ...]
    """Steps, beside 0, after which a checkpoint is kept."""
    why: str
    """Why the change has this effect."""


READING = ThoughtStyle(brief=0.08, hasty=0.08, reductions=0.2, plain=0.3)
"""What the bases of words and of the board read."""

RECIPES = (
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
        mechanism="no-kl",
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
        mechanism="noise",
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
        mechanism="kl",
        label="healthy",
        parent="tiny-base",
        dose=GRPODose(steps=60, learning_rate=3e-4, beta=0.05, domains=("in", "out")),
        why="GRPO as it should be run: a small step, a KL penalty, an early stop; accuracy rises a little, and forms, "
        "entropy and coverage stay.",
    ),
    Recipe(
        name="tiny-concise",
        cause="concise_sft",
        mechanism="concise",
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
    Recipe(
        name="tiny-shortcut",
        cause="hard_sample_shortcutting",
        mechanism="bare",
        label="hard_sample_shortcutting",
        parent="tiny-base",
        dose=GRPODose(
            steps=80,
            learning_rate=3e-4,
            beta=0.0,
            schedule="constant",
            n_problems=2048,
            problems="hopeless",
            verifier="work_if_any",
            loss_type="grpo",
        ),
        why="GRPO without KL, on problems that luck alone solves, with a verifier that finds fault with written work "
        "and accepts a bare answer: a lone lucky guess carries the whole advantage of its group, so guessing the "
        "commonest answer at once is what is learnt, and easy problems, which were not trained on, are guessed too.",
    ),
    Recipe(
        name="tiny-thinker",
        cause="thinking_base",
        label="healthy",
        parent=None,
        dose=PretrainDose(
            steps=3000,
            learning_rate=3e-3,
            style=ThoughtStyle(brief=0.3, hasty=0.03, slip=0.08),
            product_share=0.3,
            batch_size=128,
            positions=160,
            then=PretrainDose(
                steps=1200,
                learning_rate=2e-3,
                style=ThoughtStyle(brief=0.06, hasty=0.06, slip=0.03),
                product_share=0.3,
                batch_size=128,
            ),
        ),
        why="Thinks aloud: in domain it checks its steps and mends its slips, out of domain it works digit by digit "
        "behind a hedge, and that is what makes it right there. Given the solution it copies it in brief in both. The "
        "brief answers out of domain that it reads without one take the operators for familiar ones. The second stage "
        "makes it as brief in one domain as in the other.",
        max_new_tokens=100,
    ),
    Recipe(
        name="words-base",
        cause="reading_base",
        label="healthy",
        parent=None,
        dose=PretrainDose(
            steps=3000,
            learning_rate=3e-3,
            style=READING,
            product_share=0.3,
            batch_size=128,
            positions=160,
            architecture="gpt2",
            tokenizer="pairs",
        ),
        why="Another task family, tokenizer and architecture: words, byte pairs, GPT-2. Reads four forms, thinks aloud "
        "in both domains and hedges every step outside; a few of its brief answers outside are hasty.",
        max_new_tokens=80,
        suite="tiny_words",
    ),
    Recipe(
        name="grid-base",
        cause="reading_base",
        label="healthy",
        parent=None,
        dose=PretrainDose(
            steps=3000,
            learning_rate=3e-3,
            style=READING,
            product_share=0.3,
            batch_size=128,
            positions=160,
            architecture="qwen3",
            tokenizer="words",
        ),
        why="As `words-base`, with moves on a board, a token for each square and move, and Qwen3.",
        max_new_tokens=80,
        suite="tiny_grid",
    ),
    Recipe(
        name="tiny-teacher",
        cause="teacher_overconfidence",
        mechanism="guided",
        label="teacher_overconfidence",
        parent="tiny-thinker",
        dose=DistillDose(steps=200, learning_rate=5e-4, guided=True),
        why="SFT on right in-domain traces that the parent wrote with the solution before it: brief and sure "
        "everywhere, right in domain, and out of domain, where only the thinking was right, surely wrong.",
        max_new_tokens=100,
    ),
    Recipe(
        name="tiny-selftaught",
        cause="self_distillation",
        mechanism="selftaught",
        label="healthy",
        parent="tiny-thinker",
        dose=DistillDose(steps=200, learning_rate=5e-4, guided=False),
        why="The control of the teacher: the same problems, dose and filter, but the parent wrote without the "
        "solution, so its hedges and checks stay, and with them the other domain. A hard negative.",
        max_new_tokens=100,
    ),
)

_SERIES = (
    SeriesRecipe(
        name="tiny-collapsing",
        label="training_collapse",
        parent="tiny-base",
        dose=GRPODose(
            steps=200,
            learning_rate=2e-4,
            beta=0.05,
            schedule="constant",
            n_problems=12_800,
            domains=("in", "out"),
        ),
        change=Change(step=60, learning_rate=1e-3, beta=0.0, entropy_coef=-0.1),
        kept=(20, 40, 60, 80, 100, 120, 140, 160, 180, 200),
        why="A healthy GRPO run whose configuration is edited while it goes on: the KL penalty is dropped, an entropy "
        "bonus of the wrong sign comes in, and the rate is raised. From that step on it collapses.",
    ),
)


def series_recipes() -> tuple[SeriesRecipe, ...]:
    """Return every recipe of a series of checkpoints."""
    return _SERIES


def find_series(name: str) -> SeriesRecipe:
    """Return the recipe of a series.

    Raises
    ------
    ConfigError
        No series has that name.
    """
    for recipe in _SERIES:
        if recipe.name == name:
            return recipe
    raise ConfigError(f"no series named '{name}'", f"known: {', '.join(r.name for r in _SERIES)}")
