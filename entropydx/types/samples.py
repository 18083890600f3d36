"""What an engine draws.

Entropies and log-probabilities are in nats, over the full vocabulary, at temperature 1, whatever temperature sampled.
Shape letters: N prompts, K completions of one prompt, T tokens of one completion, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from entropydx.types.imports import ImportSource
from entropydx.types.inputs import CheckpointInfo, LoggedParams, Prompt, SamplingParams
from entropydx.types.labels import FinishReason, FloatArray, IntArray
from entropydx.types.passes import DrawCondition, Score, ScorePass

if TYPE_CHECKING:
    import pandas as pd


Array = TypeVar("Array", FloatArray, IntArray)
Need = Literal["grades", "answers", "gold", "endings"]
"""What samples may lack that were drawn by another tool.

| need    | what it is                                                 |
|---------|------------------------------------------------------------|
| grades  | every completion is graded                                 |
| answers | the answer that a completion states was looked for         |
| gold    | the right answer of every prompt                           |
| endings | whether a completion ended by itself or at the token limit |
"""

EPISTEMIC_MARKERS = (
    "wait", "hmm", "perhaps", "maybe", "actually", "alternatively", "seems", "might", "likely", "check",
)  # fmt: skip
"""The ten words of arXiv:2603.24472, in the order of its authors' script; a lexicon of the user replaces them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """One sampled completion. The stop token, when there is one, is the last of T."""

    token_ids: IntArray | None
    """(T,); None where another tool wrote no tokens down."""
    logprobs: FloatArray | None
    """(T,) log-probability of each sampled token, nats, temperature 1; None when the engine could not tell."""
    entropies: FloatArray | None
    """(T,) entropy of each next-token distribution, nats, temperature 1; None when the engine could not tell: then
    `entropy_low` and `entropy_high` may say between what it lies."""
    text: str
    finish_reason: FinishReason
    """stop: an end token was drawn; length: the token limit came first; non_finite: the logits held NaN or Inf;
    unknown: another tool did not say."""
    answer: str | None = None
    """The extracted answer; None when none could be found, or before grading."""
    grade: float | None = None
    """In [0, 1]; None before grading."""
    offsets: IntArray | None = None
    """(T,) characters of `text` that are written once each token is: token t is `text[offsets[t - 1]:offsets[t]]`."""
    answer_span: tuple[int, int] | None = None
    """Characters of `text` that are the stated answer; None when there is none, or before grading."""
    steps: tuple[bool, ...] | None = None
    """Whether each computation that the text writes down is true; None before grading, or when nothing checks it."""
    entropy_low: FloatArray | None = None
    """(T,) what each entropy is at least, nats; None where entropies are exact, or where nothing is known of them."""
    entropy_high: FloatArray | None = None
    """(T,) what each entropy is at most, nats; None likewise, and when the size of the vocabulary is unknown."""

    @property
    def n_tokens(self) -> int:
        """T; the words between white space where the tokens are unknown, see `Samples.length_unit`."""
        return len(self.text.split()) if self.token_ids is None else len(self.token_ids)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """The K completions of one prompt. Never flattened: the prompt is the unit of every interval."""

    prompt: Prompt
    completions: tuple[Completion, ...]
    n_prompt_tokens: int = 0
    n_reference_steps: int | None = None
    """Computations in the prompt's worked solution; None before grading, or without a solution."""

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
    params: SamplingParams | LoggedParams
    groups: tuple[Group, ...]
    conditions: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)
    """What was drawn beside them, by the name of its `DrawCondition`; prompts keep their ids."""
    scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """Texts that were scored, by the name of their `ScorePass`."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why a condition or a pass that was required is not there, by its name."""
    lexicon: tuple[str, ...] = EPISTEMIC_MARKERS
    """The epistemic markers that are counted."""
    imported: ImportSource | None = None
    """The tool that drew them, where it was not entropydx."""

    @property
    def n_samples(self) -> int:
        """K, the fewest completions of a prompt; 0 when there is no prompt."""
        return min((len(g.completions) for g in self.groups), default=0)

    @property
    def length_unit(self) -> Literal["tokens", "words"]:
        """What `Completion.n_tokens` counts."""
        known = all(c.token_ids is not None for g in self.groups for c in g.completions)
        return "tokens" if known else "words"

    @property
    def known_grades(self) -> bool:
        """Whether every completion is graded."""
        return all(c.grade is not None for g in self.groups for c in g.completions)

    @property
    def known_answers(self) -> bool:
        """Whether the stated answers were looked for: a completion without one then states none."""
        return self.imported is None or self.imported.answers_from is not None

    @property
    def known_gold(self) -> bool:
        """Whether every prompt has its gold answer."""
        return all(g.prompt.answer for g in self.groups)

    @property
    def known_endings(self) -> bool:
        """Whether it is known of every completion how it ended."""
        return all(c.finish_reason != "unknown" for g in self.groups for c in g.completions)

    @property
    def exact_entropies(self) -> bool:
        """Whether the exact entropy of every token of the main draw is known."""
        return all(c.entropies is not None for g in self.groups for c in g.completions)

    @property
    def known_logprobs(self) -> bool:
        """Whether the log-probability of every token of the main draw is known."""
        return all(c.logprobs is not None for g in self.groups for c in g.completions)

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

    def to_frame(self) -> pd.DataFrame:
        """Return one row per completion: its prompt's stratum, its text, answer, grade, length and mean entropy."""
        import pandas as pd  # noqa: PLC0415 - only notebooks need it

        return pd.DataFrame(
            {
                "prompt_id": g.prompt.id,
                "family": g.prompt.family,
                "difficulty": g.prompt.difficulty,
                "domain": g.prompt.domain,
                "sample_index": index,
                "text": c.text,
                "finish_reason": c.finish_reason,
                "answer": c.answer,
                "gold": g.prompt.answer or None,
                "grade": c.grade,
                "n_tokens": c.n_tokens,
                "mean_entropy": float(np.mean(c.entropies)) if c.n_tokens and c.entropies is not None else None,
            }
            for g in self.groups
            for index, c in enumerate(g.completions)
        )

    def tokens_to_frame(self) -> pd.DataFrame:
        """Return one row per known token: position, token id, log-probability and entropy, nats; null is unknown."""
        import pandas as pd  # noqa: PLC0415

        drawn = [(n, i, c) for n, g in enumerate(self.groups) for i, c in enumerate(g.completions)]
        rows = [(n, i, c) for n, i, c in drawn if c.token_ids is not None]
        lengths = [c.n_tokens for _, _, c in rows]
        if not rows:
            return pd.DataFrame()
        # Categories: a string for each of tens of millions of tokens would be most of the frame.
        codes = np.repeat([n for n, _, _ in rows], lengths)
        ids = pd.Categorical.from_codes(codes, pd.Index([g.prompt.id for g in self.groups]))
        return pd.DataFrame(
            {
                "prompt_id": ids,
                "sample_index": np.repeat(np.array([index for _, index, _ in rows], dtype=np.int32), lengths),
                "position": np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
                "token_id": np.concatenate([known(c.token_ids) for _, _, c in rows]),
                "logprob": np.concatenate([_or_null(c.logprobs, c.n_tokens) for _, _, c in rows]),
                "entropy": np.concatenate([_or_null(c.entropies, c.n_tokens) for _, _, c in rows]),
            }
        )


def known(values: Array | None) -> Array:
    """Return what an engine told of a completion's tokens.

    Raises
    ------
    ValueError
        It told nothing: `Samples.exact_entropies`, `known_logprobs` and `length_unit` say so before.
    """
    if values is None:
        raise ValueError("these samples do not tell it: ask Samples.exact_entropies, known_logprobs or length_unit")
    return values


def _or_null(values: FloatArray | None, n_tokens: int) -> FloatArray:
    return np.full(n_tokens, np.nan, dtype=np.float32) if values is None else values


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires:
    """What a probe needs from the samples; the union over the probes is the sampling plan.

    What samples lack is no error: `measuring` makes missing what needs it, everything of the probe unless `parts` names
    the statistics that do.
    """

    n_samples: int = 1
    """Fewest completions of one prompt."""
    entropies: bool = False
    """Exact full-vocabulary entropies."""
    grades: bool = False
    """Graded answers."""
    parts: Mapping[Need, tuple[str, ...]] = field(default_factory=dict)
    """The statistics that have a need, where it is not everything of the probe: `maj_at_n`, or with the stratum."""
    single: tuple[str, ...] = ()
    """Statistics that one completion is enough for, below `n_samples`: means, which stay when each is there twice."""
    conditions: tuple[DrawCondition, ...] = ()
    """Further ways of drawing."""
    scores: tuple[ScorePass, ...] = ()
    """Texts to score."""

    def __or__(self, other: Requires) -> Requires:
        return Requires(
            n_samples=max(self.n_samples, other.n_samples),
            entropies=self.entropies or other.entropies,
            grades=self.grades or other.grades,
            conditions=tuple(dict.fromkeys(self.conditions + other.conditions)),
            scores=tuple(dict.fromkeys(self.scores + other.scores)),
        )
