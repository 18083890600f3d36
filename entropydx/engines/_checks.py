"""What is refused before a token is drawn or scored: parameters out of range, prompts and texts that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entropydx.engines._decode import Work
from entropydx.engines._score import Text
from entropydx.errors import ConfigError, ContextError, EngineError
from entropydx.types import Passage, SamplingParams


def check_params(params: SamplingParams) -> None:
    """Raise a ConfigError when a sampling parameter is out of its range."""
    wrong = {
        "n_samples must be at least 1": params.n_samples < 1,
        "max_new_tokens must be at least 1": params.max_new_tokens < 1,
        "temperature must be 0 or more": not params.temperature >= 0,
        "top_p must be in (0, 1]": not 0 < params.top_p <= 1,
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigError(message)


def passage_name(passage: Passage) -> str:
    """Return how an error speaks of a passage."""
    return f"the text of '{passage.source_id}' after prompt '{passage.prompt.id}'"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model can take in."""

    context: int
    """Positions."""
    vocab_size: int

    def check_prompts(self, work: Sequence[Work], max_new_tokens: int) -> None:
        """Raise when a prompt with its completion passes the context (ContextError) or has unknown tokens."""
        too_long = [i for i, w in enumerate(work) if w.width + max_new_tokens > self.context]
        if too_long:
            item = work[too_long[0]]
            room = self.context - item.width
            what = f"prompt '{item.prompt_id}' has {item.width} tokens"
            if room < 1:
                raise ContextError(
                    f"{what}, which leaves no room for an answer in the model's context of {self.context}",
                    "shorten the prompt, or leave it out of the suite",
                    too_long,
                )
            raise ContextError(
                f"{what}, and with {max_new_tokens} new ones it passes the model's context of {self.context}",
                f"use --max-new-tokens {room} or less, or a shorter prompt",
                too_long,
            )
        for item in work:
            self._check_ids(f"prompt '{item.prompt_id}'", max(item.token_ids))

    def check_passages(self, passages: Sequence[Passage], texts: Sequence[Text]) -> None:
        """Raise when a prompt with its text passes the context (ContextError) or has unknown tokens."""
        too_long = [t.index for t in texts if t.width + len(t.token_ids) > self.context]
        if too_long:
            text = texts[too_long[0]]
            raise ContextError(
                f"{passage_name(passages[text.index])} has {len(text.token_ids)} tokens, and with the prompt's "
                f"{text.width} it passes the model's context of {self.context}",
                "score a shorter text, or leave the prompt out",
                too_long,
            )
        for text in texts:
            largest = max(*text.prompt_ids, *text.token_ids.tolist(), 0)
            self._check_ids(passage_name(passages[text.index]), largest)

    def _check_ids(self, what: str, largest: int) -> None:
        if largest >= self.vocab_size:
            raise EngineError(
                f"{what} has token {largest}, and the model has {self.vocab_size}",
                "the tokenizer belongs to another model: copy the right one into the checkpoint",
            )
