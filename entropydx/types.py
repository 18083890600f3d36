"""Every record that crosses a stage, in pipeline order. Frozen, keyword-only, no behaviour beyond access.

Shape letters: N prompts, K completions of one prompt, T tokens of one completion, V vocabulary.
Entropies and log-probabilities are in nats, over the full vocabulary, at temperature 1, whatever temperature sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

Domain = Literal["in", "out"]
Difficulty = Literal["easy", "medium", "hard"]
FinishReason = Literal["stop", "length", "non_finite"]
Role = Literal["checkpoint", "baseline"]


class Label(StrEnum):
    """The seven outcomes of a diagnosis."""

    TRAINING_COLLAPSE = "training_collapse"
    INFERENCE_VARIANCE = "inference_variance"
    HARD_SAMPLE_SHORTCUTTING = "hard_sample_shortcutting"
    TEACHER_OVERCONFIDENCE = "teacher_overconfidence"
    HEALTHY = "healthy"
    ABNORMAL = "abnormal"
    INCONCLUSIVE = "inconclusive"


FAILURES: tuple[Label, ...] = (
    Label.TRAINING_COLLAPSE,
    Label.INFERENCE_VARIANCE,
    Label.HARD_SAMPLE_SHORTCUTTING,
    Label.TEACHER_OVERCONFIDENCE,
)
"""The four failures that can be diagnosed; they may co-occur."""


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────


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
    """Gold answer."""
    verifier: VerifierSpec = VerifierSpec()
    domain: Domain = "in"
    difficulty: Difficulty = "medium"
    guess_rate: float | None = None
    """Chance level of a blind guess, in [0, 1]; None when unknown."""
    reference: str | None = None
    """A worked solution."""
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
class CheckpointInfo:
    """What was diagnosed, as it stands in the report."""

    ref: str
    """As the user named it."""
    path: str
    """Where it was read."""
    fingerprint: str
    """sha256 over config, tokenizer and weight files."""
    architecture: str
    n_parameters: int
    dtype: str
    """The dtype that it was run in."""
    format: str
    """hf, peft, gguf or synthetic."""
    quantized: bool = False
    """Weights were stored in fewer than 16 bits."""
    chat_template_sha: str | None = None
    vocab_size: int = 0
    """V, the width of the logits."""


# ── samples ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """One sampled completion. The stop token, when there is one, is the last of T."""

    token_ids: IntArray
    """(T,)"""
    logprobs: FloatArray
    """(T,) log-probability of each sampled token, nats, temperature 1."""
    entropies: FloatArray
    """(T,) entropy of each next-token distribution, nats, temperature 1."""
    text: str
    finish_reason: FinishReason
    """stop: an end token was drawn; length: the token limit came first; non_finite: the logits held NaN or Inf."""
    answer: str | None = None
    """The extracted answer; None when none could be found, or before grading."""
    grade: float | None = None
    """In [0, 1]; None before grading."""

    @property
    def n_tokens(self) -> int:
        """T."""
        return len(self.token_ids)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """The K completions of one prompt. Never flattened: the prompt is the unit of every interval."""

    prompt: Prompt
    completions: tuple[Completion, ...]
    n_prompt_tokens: int = 0

    @property
    def grades(self) -> FloatArray:
        """(K,) grades; a completion that was never graded is an error of the caller."""
        return np.array([c.grade for c in self.completions], dtype=float)

    @property
    def answers(self) -> list[str | None]:
        """K extracted answers."""
        return [c.answer for c in self.completions]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Everything drawn from one checkpoint under one protocol."""

    checkpoint: CheckpointInfo
    params: SamplingParams
    groups: tuple[Group, ...]

    def strata(self) -> Iterator[tuple[str, tuple[Group, ...]]]:
        """Yield `("", all)`, then `("@easy", ...)`, `("@in", ...)` for every stratum that has a prompt."""
        yield "", self.groups
        for difficulty in ("easy", "medium", "hard"):
            part = tuple(g for g in self.groups if g.prompt.difficulty == difficulty)
            if part:
                yield f"@{difficulty}", part
        for domain in ("in", "out"):
            part = tuple(g for g in self.groups if g.prompt.domain == domain)
            if part:
                yield f"@{domain}", part


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires:
    """What a probe needs from the samples; the union over the probes is the sampling plan."""

    n_samples: int = 1
    """Fewest completions of one prompt."""
    entropies: bool = False
    """Exact full-vocabulary entropies."""
    grades: bool = False
    """Graded answers."""

    def __or__(self, other: Requires) -> Requires:
        return Requires(
            n_samples=max(self.n_samples, other.n_samples),
            entropies=self.entropies or other.entropies,
            grades=self.grades or other.grades,
        )


# ── measurements ──────────────────────────────────────────────────────────────────────────────────

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number with its interval, and with the paired change against the baseline when there is one."""

    name: str
    """`probe.statistic[@stratum]`"""
    value: float
    unit: str
    n: int
    """Prompts behind the number."""
    ci: Interval | None
    """Prompt-clustered interval at the report's `protocol.ci_level`; None when `note` says why."""
    baseline: float | None = None
    delta: float | None = None
    """value - baseline, over the prompts that both have."""
    delta_ci: Interval | None = None
    note: str | None = None
    """Why there is no interval, or what to know when reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A number that could not be measured; never 0, never NaN, never health."""

    name: str
    reason: str


Measurement = Measured | Missing


# ── findings ──────────────────────────────────────────────────────────────────────────────────────

Status = Literal["fired", "clear", "undecided"]
Direction = Literal["for", "against"]
Field = Literal["value", "delta"]
Op = Literal["<", ">"]
Scope = Literal["with_baseline", "without_baseline", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One comparison of a measurement's interval with a sourced number."""

    measurement: str
    op: Op
    value: float
    source: str
    """Where the number comes from: a paper with its provenance, or labelled cases."""
    field: Field = "value"
    """Compare the value, or its paired change against the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """A disjunction inside a rule's conjunction."""

    options: tuple[Threshold, ...]


Condition = Threshold | AnyOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Severity:
    """A linear scale from a measurement to [0, 1]."""

    measurement: str
    at_zero: float
    """The value at which severity is 0."""
    at_one: float
    """The value at which severity is 1."""
    field: Field = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule is a value; the docstring of its file is its documentation."""

    code: str
    """EDX1xx collapse, 2xx variance, 3xx shortcutting, 4xx overconfidence, 9xx the instrument."""
    failure: Label
    """The failure that it speaks about; for an instrument rule `abnormal` or `inconclusive`."""
    direction: Direction
    title: str
    """The pattern in a few words, as a statement that can be true or false."""
    when: tuple[Condition, ...]
    """All must hold."""
    unless: tuple[Condition, ...] = ()
    """None may hold."""
    scope: Scope = "always"
    decisive: bool = False
    """A fired decisive rule makes its failure present; clear decisive rules make it absent."""
    severity: Severity | None = None
    settle: str = ""
    """What the user can do when the rule stays undecided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One comparison as it came out."""

    measurement: str
    field: Field
    value: float | None
    ci: Interval | None
    op: Op
    threshold: float
    unit: str
    source: str
    status: Status
    strength: float
    """0 the interval is wholly on the other side, 0.5 the value is at the threshold, 1 it is wholly beyond."""
    n: int
    missing_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule applied to the measurements."""

    code: str
    failure: Label
    direction: Direction
    status: Status
    strength: float
    """In [0, 1], of the weakest necessary condition."""
    statement: str
    decisive: bool
    evidence: tuple[Evidence, ...]
    severity: float | None = None
    settle: str = ""


# ── diagnosis and report: exactly the JSON document, schema_version 1.0 ───────────────────────────

SCHEMA_VERSION = "1.0"
Confidence = Literal["high", "medium", "low"]
Presence = Literal["present", "absent", "undetermined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureAssessment:
    """The standing of one of the four failures."""

    status: Presence
    probability: float | None = None
    """Calibrated probability; None when no classifier spoke."""
    severity: float | None = None
    """In [0, 1]; None when the failure is not present."""
    reason: str = ""
    """Why, in a few words; `untested` when its inputs or probes are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The verdict."""

    label: Label
    confidence: Confidence
    runner_up: Label | None
    summary: str
    failures: dict[str, FailureAssessment]
    rules_label: Label
    classifier_label: Label | None = None
    agreement: bool | None = None
    """Whether rules and classifier agree; None when the classifier did not speak."""
    would_settle_it: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the samples were drawn and the intervals made."""

    suite: str
    suite_sha: str
    n_prompts: int
    n_samples: int
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    engine: str
    scoring: str
    """Where the entropies come from: `in_loop` is exact, full vocabulary."""
    device: str
    versions: dict[str, str]
    suite_source: str = "flag"
    """flag, config, checkpoint or default."""
    budget: str = "custom"
    thinking: str = "auto"
    chat_template: bool = False
    """Whether prompts went through the tokenizer's chat template."""
    ci_level: float = 0.95
    """Confidence level of every interval in the report."""
    batch_rows: int = 0
    """Largest number of rows decoded together; 0 when nothing was sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementRow:
    """One measurement as it stands in the report; a missing one has a `missing_reason` and no value."""

    name: str
    value: float | None = None
    unit: str | None = None
    n: int = 0
    ci: Interval | None = None
    baseline: float | None = None
    delta: float | None = None
    delta_ci: Interval | None = None
    missing_reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A change that a user can make; one entry of the catalogue under `entropydx/remedies/`."""

    id: str
    title: str
    why: str
    for_: tuple[Label, ...]
    contraindicated_for: tuple[Label, ...]
    config: dict[str, dict[str, Any]]
    """Framework (`trl`, `verl`, `openrlhf`, `decoding`) to its real keys and values."""
    versions: dict[str, str]
    """Framework to the releases whose keys were read."""
    evidence: tuple[str, ...]
    references: tuple[str, ...]


Recommendation = Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sample that shows what a number means."""

    about: str
    """The measurement or rule code that it illustrates."""
    prompt_id: str
    sample_index: int
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the run took."""

    tokens_generated: int
    tokens_scored: int
    wall_s: float
    tokens_per_s: float | None
    """None when nothing was drawn in this run."""
    peak_memory_bytes: int | None
    stopped_early: bool = False
    rounds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Who wrote the report."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole document; `entropydx schema` prints its JSON Schema."""

    schema_version: str
    tool: Tool
    created_at: str
    exit_code: int
    checkpoint: CheckpointInfo
    baseline: CheckpointInfo | None
    protocol: Protocol
    diagnosis: Diagnosis
    measurements: tuple[MeasurementRow, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    examples: tuple[Example, ...]
    cost: Cost
