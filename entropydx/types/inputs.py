"""What goes in: prompts, how they are sampled, which checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from entropydx.types.labels import Difficulty, Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSpec:
    """How an answer is found in a completion and compared with the gold answer."""

    type: str = "exact"
    """A name of `entropydx.verifiers`: exact, numeric, math, choice or regex."""
    extract: str | None = None
    """Regular expression; the first group of its *last* match is the answer. None: the verifier's own convention."""
    tolerance: float = 0.0
    """Absolute tolerance of `numeric`, in the unit of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One item of a suite."""

    id: str
    """Unique within the suite; keys the sampling noise."""
    prompt: str | None = None
    """Plain text, or None when `messages` is given."""
    messages: tuple[Mapping[str, str], ...] | None = None
    """Chat messages, each with `role` and `content`, or None when `prompt` is given."""
    answer: str
    """Gold answer; empty where samples were imported without one."""
    verifier: VerifierSpec = VerifierSpec()
    domain: Domain = "in"
    difficulty: Difficulty = "medium"
    guess_rate: float | None = None
    """Chance level of a blind guess, in [0, 1]; None when unknown."""
    reference: str | None = None
    """A worked solution."""
    guided: str | None = None
    """The prompt with its worked solution in it; None: the solution is put after the prompt in plain words."""
    answer_cue: str | None = None
    """What a completion writes right before its answer; None: read off the reference, else the usual `Answer: `."""
    checker: str = "arithmetic"
    """Which plugin tells true computations from false ones in a completion; see `entropydx list checker`."""
    prefill: str = ""
    """Text that the completion is made to begin with; it is not part of the completion."""
    family: str = "unnamed"
    """The generator or data set that it came from."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Unknown fields of the record, kept as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How every prompt is sampled. No field is ever left to a model's generation_config."""

    n_samples: int
    """K, completions of each prompt."""
    max_new_tokens: int
    temperature: float = 1.0
    """0 means greedy."""
    top_p: float = 1.0
    seed: int = 0
    thinking: Literal["auto", "on", "off"] = "auto"
    """The chat template's `enable_thinking` switch; auto leaves the template's own default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedParams:
    """How another tool sampled, as far as it says; None is unknown."""

    n_samples: int
    """K, completions of each prompt."""
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int = 0
    """Of the intervals; that of the tool's samples is unknown."""
    thinking: Literal["auto", "on", "off"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """What was diagnosed, as it stands in the report."""

    ref: str
    """As the user named it."""
    path: str
    """Where it was read."""
    fingerprint: str
    """sha256 over config, tokenizer and weight files; of a server's model without them, over what it says of it; of an
    imported one, over the files of the tool."""
    architecture: str
    n_parameters: int
    """0 when a server does not say."""
    dtype: str
    """The dtype that it was run in."""
    format: str
    """hf, peft, gguf, synthetic, server: known by its name alone, or imported: known by another tool's files alone."""
    quantized: bool = False
    """Weights were stored in fewer than 16 bits."""
    chat_template_sha: str | None = None
    vocab_size: int = 0
    """V, the width of the logits; 0 when a server does not say."""
    tokenizer_sha: str | None = None
    """sha256 over the vocabulary; token ids of one checkpoint mean the same to another only where it is equal."""
