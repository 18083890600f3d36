"""The lab's recipes as data: base x mechanism x dose.

A mechanism is one cause of one failure, or of none. Its doses are numbers of updates of one run at a constant rate, or
sizes of an edit, from faint to severe; what each dose brings about is for the independent check to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

from entropydx.organisms.catalogue import READING, RECIPES, Recipe
from entropydx.organisms.corpus import Style
from entropydx.organisms.doses import DistillDose, Dose, EditDose, GRPODose, PretrainDose, SFTDose
from entropydx.organisms.thinking import ThoughtStyle
from entropydx.types import Domain, Label

CONCISE = Style(equations=0.0, values=1.0, reductions=0.0, direct=0.0)
"""The brief form alone."""
ONE_FORM = Style(equations=1.0, values=0.0, reductions=0.0, direct=0.0, swap=0.0)
PRODUCT_SHARE = 0.3
"""What every base has read of the products."""
BOTH: tuple[Domain, ...] = ("in", "out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A checkpoint that the mechanisms are tried on."""

    name: str
    """Of its own recipe."""
    prefix: str
    """Of the names of its children."""
    style: Style | ThoughtStyle
    """What it has read."""
    max_completion: int
    """Token limit of a rollout."""

    @property
    def thinks(self) -> bool:
        """Whether it hedges, and knows prompts that hold their solution."""
        return isinstance(self.style, ThoughtStyle)


_ROOTS = {recipe.name: recipe for recipe in RECIPES}
"""Recipes of the catalogue, the bases among them, by name."""

BASES = (
    Base(name="tiny-base", prefix="chain", style=Style(), max_completion=48),
    Base(
        name="tiny-thinker",
        prefix="thinker",
        style=ThoughtStyle(brief=0.06, hasty=0.06, slip=0.03),
        max_completion=96,
    ),
    Base(name="words-base", prefix="words", style=READING, max_completion=80),
    Base(name="grid-base", prefix="grid", style=READING, max_completion=64),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """One cause; `dose` builds what a base is given."""

    name: str
    aim: Label
    dose: Callable[[Base, float], Dose]
    doses: tuple[float, ...]
    """What `dose` is given, from faint to severe: updates, or the share or size of what is wrong."""
    why: str
    bases: tuple[str, ...] = tuple(base.prefix for base in BASES)
    baseline: Literal["base", "itself"] = "base"
    """What a diagnosis compares it with."""


def _grpo(base: Base, steps: float, **settings: object) -> GRPODose:
    common = {
        "steps": int(steps),
        "learning_rate": 5e-4,
        "beta": 0.0,
        "schedule": "constant",
        "prompts_per_step": 32,
        "n_problems": 256,
        "domains": BOTH,
        "max_completion": base.max_completion,
    }
    return GRPODose(**{**common, **settings})  # type: ignore[arg-type]


def _sft(style: Style | ThoughtStyle, steps: float, **settings: object) -> SFTDose:
    common = {
        "steps": int(steps),
        "learning_rate": 5e-4,
        "style": style,
        "product_share": PRODUCT_SHARE,
        "n_demonstrations": 25_600,
        "schedule": "constant",
    }
    return SFTDose(**{**common, **settings})  # type: ignore[arg-type]


def _distil(steps: float, *, guided: bool, strip: bool = False) -> DistillDose:
    return DistillDose(
        steps=int(steps), learning_rate=5e-4, guided=guided, strip=strip, schedule="constant", n_problems=1500
    )


def _noisy(base: Base, slip: float) -> Style | ThoughtStyle:
    return replace(base.style, noise=slip) if isinstance(base.style, ThoughtStyle) else replace(base.style, slip=slip)


def _part_of_its_training(base: Base, steps: float) -> PretrainDose:
    return replace(cast("PretrainDose", _ROOTS[base.name].dose), steps=int(steps))


VARIANCE_STEPS = 60
"""Updates after which a tiny model errs as often as its demonstrations do: more of them change nothing."""
THINKERS = tuple(base.prefix for base in BASES if base.thinks)
ROTARY = ("chain", "thinker", "grid")
"""Where GRPO is tried: TRL passes no positions for left-padded text, which shifts the learned ones of words (GPT-2)."""

MECHANISMS = (
    # ── training collapse ─────────────────────────────────────────────────────────────────────────
    Mechanism(
        name="no-kl",
        aim=Label.TRAINING_COLLAPSE,
        dose=lambda base, n: _grpo(base, n, learning_rate=1e-3, entropy_coef=-0.1, prompts_per_step=64),
        doses=(15, 35, 80),
        why="GRPO with no KL penalty and an entropy bonus of the wrong sign: every lucky sample is reinforced "
        "until one form and one answer a problem are left.",
        bases=("chain", "grid"),
    ),
    Mechanism(
        name="entropy-min",
        aim=Label.TRAINING_COLLAPSE,
        dose=lambda base, n: _grpo(base, n, verifier="none", entropy_coef=-1.0),
        doses=(10, 25, 60),
        why="The entropy of the policy's own samples is minimised, with no reward at all: the likeliest "
        "continuation of everything becomes the only one.",
        bases=ROTARY,
    ),
    Mechanism(
        name="overtrain",
        aim=Label.TRAINING_COLLAPSE,
        dose=lambda base, n: _sft(ONE_FORM, n, n_demonstrations=256, learning_rate=1e-3, batch_size=64),
        doses=(60, 150, 400),
        why="SFT on 256 demonstrations in one form, gone through up to a hundred times: what they say is learnt "
        "by heart, and everything else is answered with the same certainty.",
    ),
    Mechanism(
        name="form-bonus",
        aim=Label.TRAINING_COLLAPSE,
        dose=lambda base, n: _grpo(base, n, verifier="form_bonus", scale_rewards=False, loss_type="dr_grpo"),
        doses=(15, 35, 80),
        why="REINFORCE with a bonus for one form: the form is what is learnt first, and exploration goes with the "
        "others.",
        bases=("chain", "thinker", "grid"),
    ),
    # ── inference variance ────────────────────────────────────────────────────────────────────────
    Mechanism(
        name="noise",
        aim=Label.INFERENCE_VARIANCE,
        dose=lambda base, share: _sft(_noisy(base, share), VARIANCE_STEPS),
        doses=(0.04, 0.09, 0.14),
        why="SFT on demonstrations of an annotator who mistypes a share of the results and goes on from there: "
        "the right result stays the likeliest, so a vote is right where a single sample is not.",
    ),
    Mechanism(
        name="contrary",
        aim=Label.INFERENCE_VARIANCE,
        dose=lambda base, share: _sft(replace(base.style, contrary=share), VARIANCE_STEPS),
        doses=(0.03, 0.06, 0.1),
        why="SFT on contradictory demonstrations: a share is by an annotator who takes the two plain operators of "
        "a domain for each other, and nothing in the prompt says by whom.",
    ),
    Mechanism(
        name="hot",
        aim=Label.INFERENCE_VARIANCE,
        dose=lambda _, amount: EditDose(kind="decoding", amount=amount),
        doses=(1.5, 1.75, 2.0),
        why="Sound weights with a mis-set temperature in generation_config.json: the policy is that of the base, "
        "and what is deployed is not.",
        bases=("chain", "words", "grid"),
    ),
    Mechanism(
        name="under-trained",
        aim=Label.INFERENCE_VARIANCE,
        dose=_part_of_its_training,
        doses=(1000, 500),
        why="The base after a part of its training, compared with the base: what it half knows comes out "
        "differently each time.",
        bases=("grid",),
    ),
    # ── hard-sample shortcutting ──────────────────────────────────────────────────────────────────
    Mechanism(
        name="chance",
        aim=Label.HARD_SAMPLE_SHORTCUTTING,
        dose=lambda base, n: _grpo(base, n, learning_rate=1e-3, problems="hopeless", loss_type="grpo"),
        doses=(8, 16, 40),
        why="GRPO without KL on problems that luck alone solves, with a std-normalised advantage: a lone lucky "
        "guess carries the whole advantage of its group, so the commonest answer is learnt, and it leaks into "
        "easy problems.",
        bases=ROTARY,
    ),
    Mechanism(
        name="bare",
        aim=Label.HARD_SAMPLE_SHORTCUTTING,
        dose=lambda base, n: _grpo(
            base,
            n,
            learning_rate=3e-4,
            problems="hopeless",
            loss_type="grpo",
            verifier="work_if_any",
            prompts_per_step=64,
            n_problems=2048,
        ),
        doses=(40, 70, 100),
        why="GRPO on hopeless problems under a verifier that finds fault with written work and accepts a bare "
        "answer: guessing at once is what is learnt.",
        bases=("chain",),
    ),
    Mechanism(
        name="brevity",
        aim=Label.HARD_SAMPLE_SHORTCUTTING,
        dose=lambda base, n: _grpo(base, n, learning_rate=1e-3, verifier="brevity", difficulties=("hard",), beta=0.0),
        doses=(15, 35, 80),
        why="GRPO on hard problems with a price on length: what is seldom right anyway is given up for what is short.",
        bases=ROTARY,
    ),
    Mechanism(
        name="lucky",
        aim=Label.HARD_SAMPLE_SHORTCUTTING,
        dose=lambda base, n: _sft(CONCISE, n, problems="hopeless", n_demonstrations=2048, batch_size=64),
        doses=(8, 20, 60),
        why="SFT on the bare right answers to hopeless problems, as rejection sampling of lucky guesses leaves "
        "them: the answer is asked for, and the work is not.",
    ),
    # ── teacher-induced overconfidence ────────────────────────────────────────────────────────────
    Mechanism(
        name="guided",
        aim=Label.TEACHER_OVERCONFIDENCE,
        dose=lambda _, n: _distil(n, guided=True),
        doses=(10, 30, 200),
        why="Self-distillation from right in-domain traces that the parent wrote with the solution before it: "
        "brief and sure everywhere, right in domain, and outside, where only the thinking was right, surely "
        "wrong.",
        bases=THINKERS,
    ),
    Mechanism(
        name="stripped",
        aim=Label.TEACHER_OVERCONFIDENCE,
        dose=lambda _, n: _distil(n, guided=False, strip=True),
        doses=(30, 80, 200),
        why="SFT on the parent's own right in-domain traces with hedges and second looks cut out.",
        bases=THINKERS,
    ),
    Mechanism(
        name="answer-conditioned",
        aim=Label.TEACHER_OVERCONFIDENCE,
        dose=lambda _, n: _sft(CONCISE, n, domains=("in",)),
        doses=(30, 80, 200),
        why="SFT on in-domain traces by a writer who knows the answer and states the running values alone.",
        bases=THINKERS,
    ),
    # ── sound, and easily taken for something else ────────────────────────────────────────────────
    Mechanism(
        name="kl",
        aim=Label.HEALTHY,
        dose=lambda base, n: _grpo(base, n, learning_rate=2e-4, beta=0.05, prompts_per_step=64, n_problems=1280),
        doses=(20, 40),
        why="GRPO as it should be run: a small step, a KL penalty, an early stop.",
        bases=ROTARY,
    ),
    Mechanism(
        name="bonus",
        aim=Label.HEALTHY,
        dose=lambda base, n: _grpo(base, n, learning_rate=2e-4, beta=0.02, entropy_coef=0.01, n_problems=640),
        doses=(20, 40),
        why="GRPO with a small entropy bonus that went well: entropy stays or rises, and nothing is lost.",
        bases=("chain", "grid"),
    ),
    Mechanism(
        name="concise",
        aim=Label.HEALTHY,
        dose=lambda _, n: _sft(CONCISE, n),
        doses=(60, 200),
        why="SFT on sound demonstrations of both domains in the shortest form alone: one form, less entropy and "
        "no hedges are left, and nothing else is lost.",
    ),
    Mechanism(
        name="saturated",
        aim=Label.HEALTHY,
        dose=lambda base, n: _sft(base.style, n, product_share=1.0, learning_rate=1e-3),
        doses=(100, 400),
        why="SFT on sound demonstrations of what the base could not do: entropy falls because more is known.",
    ),
    Mechanism(
        name="specialist",
        aim=Label.HEALTHY,
        dose=lambda base, n: _sft(base.style, n, domains=("in",)),
        doses=(60, 200),
        why="SFT on sound demonstrations of one domain, in all forms.",
    ),
    Mechanism(
        name="selftaught",
        aim=Label.HEALTHY,
        dose=lambda _, n: _distil(n, guided=False),
        doses=(80, 200),
        why="The control of `guided`: the same problems and filter, but the parent wrote without the solution.",
        bases=THINKERS,
    ),
    Mechanism(
        name="weak",
        aim=Label.HEALTHY,
        dose=_part_of_its_training,
        doses=(500,),
        why="The base after a part of its training, compared with itself: weak, and nothing went wrong with it.",
        bases=("grid",),
        baseline="itself",
    ),
    Mechanism(
        name="quantised",
        aim=Label.HEALTHY,
        dose=lambda _, amount: EditDose(kind="quantise", amount=amount),
        doses=(8, 4),
        why="The base with every row of its matrices rounded to 8 or 4 bits.",
    ),
    Mechanism(
        name="cool",
        aim=Label.HEALTHY,
        dose=lambda _, amount: EditDose(kind="decoding", amount=amount),
        doses=(0.3,),
        why="The base with a low temperature in generation_config.json: sure as deployed, and not as a policy.",
        bases=("chain", "words", "grid"),
    ),
    # ── broken ────────────────────────────────────────────────────────────────────────────────────
    Mechanism(
        name="explosion",
        aim=Label.ABNORMAL,
        dose=lambda base, n: _grpo(base, n, verifier="none", entropy_coef=1.0, learning_rate=1e-3),
        doses=(10, 30),
        why="An oversized entropy bonus: the policy becomes a coin.",
        bases=("chain", "grid"),
    ),
    Mechanism(
        name="static",
        aim=Label.ABNORMAL,
        dose=lambda _, amount: EditDose(kind="noise", amount=amount),
        doses=(0.5,),
        why="The base with Gaussian noise of half their spread on its weights.",
        bases=("words", "grid"),
    ),
    Mechanism(
        name="truncated",
        aim=Label.ABNORMAL,
        dose=lambda _, amount: EditDose(kind="blank_layer", amount=amount),
        doses=(1.0,),
        why="The base with its last layer zeroed, as a file that was cut off would leave it.",
        bases=("thinker", "words"),
    ),
    Mechanism(
        name="vocabulary",
        aim=Label.ABNORMAL,
        dose=lambda _, amount: EditDose(kind="vocabulary", amount=amount),
        doses=(0.5,),
        why="The base with the ids of half of its tokens exchanged: the tokenizer of another model.",
        bases=("thinker", "grid"),
    ),
)


def lab_recipes() -> Iterator[Recipe]:
    """Yield a recipe for each base, mechanism and dose, the faintest first."""
    for base in BASES:
        for mechanism in MECHANISMS:
            if base.prefix in mechanism.bases:
                yield from _recipes(base, mechanism)


def _recipes(base: Base, mechanism: Mechanism) -> Iterator[Recipe]:
    root = _ROOTS[base.name]
    for i, amount in enumerate(mechanism.doses):
        dose = mechanism.dose(base, amount)
        from_scratch = isinstance(dose, PretrainDose)
        yield Recipe(
            name=f"{base.prefix}-{mechanism.name}-{i + 1}",
            cause=mechanism.name,
            label=mechanism.aim,
            parent=None if from_scratch else base.name,
            baseline=base.name if from_scratch and mechanism.baseline == "base" else None,
            dose=dose,
            family=base.name,
            rank=(i + 1) / len(mechanism.doses),
            why=mechanism.why,
            max_new_tokens=root.max_new_tokens,
            suite=root.suite,
        )
