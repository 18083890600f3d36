"""What is asked of a checkpoint beside the main draw: other ways of drawing, and texts that are scored.

A probe names them in its `Requires`; the union over the probes is drawn once, and lies in `Samples.conditions` and
`Samples.scores` under the same names. Shape letters as in `samples`: T tokens of one text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropydx.types.inputs import Prompt
from entropydx.types.labels import FloatArray, IntArray

Given = Literal["prompt", "solution", "reasoning"]
ScorePass = Literal["reference", "other", "cross", "hidden"]
"""The texts that are scored by a teacher-forced pass.

| name      | text                                                            | scored after                      |
|-----------|-----------------------------------------------------------------|-----------------------------------|
| reference | the suite's worked solution of every prompt                     | its own prompt                    |
| other     | the first completions of every prompt by the *other* checkpoint | its own prompt                    |
| cross     | the first completion of each of the first prompts               | every one of those prompts        |
| hidden    | the checkpoint's own first completions, with effective ranks    | its own prompt                    |
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawCondition:
    """One more way of drawing from the same prompts, with the same noise; two with one name must be equal."""

    name: str
    """Letters, digits and underscores; names the file of the run directory too."""
    given: Given = "prompt"
    """What stands before the completion: the prompt alone, the prompt with its worked solution in it (`guided`), or the
    prompt, a part of the reasoning of the checkpoint's own first completion, and the cue of the answer."""
    share: float = 0.0
    """Part of the reasoning that is given, in [0, 1]; only with `given="reasoning"`."""
    temperature: float | None = None
    """None: the main draw's, so that what is given is all that differs from it."""
    top_p: float | None = None
    """None: the main draw's."""
    deployment: bool = False
    """Temperature and top_p are those that the model is deployed with; skipped when these are the main draw's own."""
    prompt_share: float = 1.0
    """Part of the suite's prompts that is drawn, its first ones."""
    max_prompts: int | None = None
    sample_share: float = 0.5
    """Part of the main draw's K; at least 2 are drawn, and one when the temperature is 0."""
    max_new_tokens: int | None = None
    """Token limit where it is below the main draw's."""
    batch_rows: int = 0
    """Rows decoded together; 0 lets the engine choose."""
    baseline: bool = True
    """Whether the baseline is drawn under it too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passage:
    """A text to score after a prompt: token ids as another checkpoint drew them, or plain text."""

    prompt: Prompt
    source_id: str
    """The prompt whose completion or reference the text is; not `prompt.id` in a cross pass."""
    sample_index: int
    token_ids: IntArray | None = None
    text: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells the passages of one pass apart."""
        return self.prompt.id, self.source_id, self.sample_index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """What one teacher-forced pass over a passage says of its T tokens."""

    prompt_id: str
    source_id: str
    sample_index: int
    token_ids: IntArray
    """(T,) the tokens that were scored."""
    logprobs: FloatArray
    """(T,) log-probability of each token given what stands before it, nats, temperature 1."""
    entropies: FloatArray
    """(T,) entropy of each next-token distribution, nats, temperature 1, full vocabulary."""
    effective_ranks: FloatArray | None = None
    """(W,) effective rank of the hidden states of the first s, 2s, ... tokens; None when none were asked for."""
    rank_stride: int = 0
    """s, tokens between two entries of `effective_ranks`."""

    @property
    def key(self) -> tuple[str, str, int]:
        """The key of its passage."""
        return self.prompt_id, self.source_id, self.sample_index
