"""Doses: what is done to a checkpoint, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from entropydx.organisms.corpus import Style
from entropydx.organisms.thinking import ThoughtStyle
from entropydx.types import Difficulty, Domain

Architecture = Literal["llama", "gpt2", "qwen3"]
Verifier = Literal["answer", "work_if_any", "none", "form_bonus", "brevity"]
Problems = Literal["suite", "hopeless"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainDose:
    """How the base is trained from scratch, in plain torch."""

    steps: int
    learning_rate: float
    """At the peak of a cosine schedule."""
    style: Style | ThoughtStyle
    """The notation that is read; a `ThoughtStyle` makes a base that thinks aloud."""
    n_demonstrations: int = 200_000
    product_share: float = 1.0
    """Share of the products of the suite that the base gets to read."""
    batch_size: int = 256
    positions: int = 128
    """Context of the model, in tokens; with rotary positions it holds no weights."""
    architecture: Architecture = "llama"
    tokenizer: Literal["characters", "pairs", "words"] = "characters"
    """`pairs`: byte-pair encoding inside runs of letters; `words`: a token for each square, move and marker."""
    then: PretrainDose | None = None
    """A further stage, with a schedule and demonstrations of its own."""


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
    problems: Problems | Literal["hinted"] = "suite"
    """`hopeless`: chains of products that luck alone solves, in place of problems of the suite. `hinted`: the same with
    their worked solutions behind them, but for the last step."""
    verifier: Verifier = "answer"
    """`work_if_any`: a right answer also needs right results where any are written; a bare answer passes. `none`: no
    reward, so that the entropy term alone trains. `form_bonus`: 1 for the form of values beside 1 for the right answer.
    `brevity`: 1 for the right answer less the share of the token limit that was used."""
    loss_type: str = "dapo"
    """By its name in TRL: `dapo` weighs every token alike, `grpo` every completion, `dr_grpo` divides by a constant."""
    max_completion: int = 48
    """Token limit of a rollout."""
    scale_rewards: bool = True
    """Divide advantages by the standard deviation of their group; without it, and with one update, this is REINFORCE
    with the mean of the group as its baseline."""
    extra: tuple[tuple[str, Any], ...] = ()
    """Further keys of `trl.GRPOConfig` with their values; they win over the fields above."""
    verl: tuple[tuple[str, Any], ...] = ()
    """verl's keys of a loss that TRL has not (`covariance.LOSSES`) with their values; it takes the place of
    `loss_type`, the clip, `beta` and `entropy_coef`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTDose:
    """How long `trl.SFTTrainer` trains, and on whose demonstrations."""

    steps: int
    learning_rate: float
    style: Style | ThoughtStyle
    batch_size: int = 128
    domains: tuple[Domain, ...] = ("in", "out")
    product_share: float = 1.0
    n_demonstrations: int | None = None
    """Demonstrations that are gone through again and again; None: as many as the steps use, each once."""
    problems: Problems = "suite"
    schedule: str = "linear"
    """Learning-rate schedule, by its name in transformers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillDose:
    """How long `trl.SFTTrainer` trains on right traces of the parent itself, and what stood before the parent then."""

    steps: int
    learning_rate: float
    guided: bool
    """The parent had the worked solution in its prompt; the child is trained without it."""
    strip: bool = False
    """Markers, and the second computations behind them, are cut out of the traces."""
    n_problems: int = 2000
    samples: int = 2
    """Completions that the parent writes for each problem, at temperature 1."""
    batch_size: int = 128
    domains: tuple[Domain, ...] = ("in",)
    difficulties: tuple[Difficulty, ...] = ("easy", "medium", "hard")
    schedule: str = "linear"
    """Learning-rate schedule, by its name in transformers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditDose:
    """A checkpoint that is changed without training."""

    kind: Literal["none", "quantise", "noise", "blank_layer", "vocabulary", "decoding"]
    """`quantise` rounds each row of every matrix to `amount` bits and stores what that leaves; `noise` adds Gaussian
    noise of `amount` standard deviations of each tensor; `blank_layer` zeroes the last `amount` layers, as a truncated
    file would; `vocabulary` exchanges the ids of a share of `amount` of the tokens; `decoding` names a temperature of
    `amount` in generation_config.json and leaves the weights alone."""
    amount: float = 0.0


Dose = PretrainDose | GRPODose | SFTDose | DistillDose | EditDose
