"""From a prompt record to the token ids that the model sees: chat template, BOS and thinking switch."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal

from entropydx.errors import CheckpointError, ConfigError, EngineError
from entropydx.types import Prompt

THINK_TAGS = ("<think>", "</think>", "[THINK]", "[/THINK]", "<|begin_of_thought|>", "<|end_of_thought|>")
"""Kept in decoded text even where a tokenizer calls them special: probes must tell reasoning from the answer."""


def chat_template(tokenizer: Any) -> str | None:
    """Return the text of the tokenizer's (default) chat template, or None when it has none.

    Raises
    ------
    CheckpointError
        It has several named templates and none is called "default".
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        raise CheckpointError(
            "the tokenizer has several chat templates and no default one",
            "name one 'default' in tokenizer_config.json or ship a chat_template.jinja",
        ) from error


def template_sha(template: str | None) -> str | None:
    """Return the sha256 of a template's text, or None for no template."""
    return None if template is None else hashlib.sha256(template.encode()).hexdigest()


def tokenizer_sha(tokenizer: Any) -> str:
    """Return the sha256 of a tokenizer's vocabulary, its tokens sorted, each with its id."""
    return hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()


class Renderer:
    """Turns prompts into token ids, always in the same way for one tokenizer.

    With a chat template the prompt becomes a user message (or its `messages` are taken as they are) and the template
    is rendered with its generation prompt; without one the plain text goes in as it is. The prompt's `prefill` comes
    last. Either way there is exactly one BOS when the tokenizer puts one before plain text, and never two; no EOS is
    appended.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Of the checkpoint.
    thinking : {"auto", "on", "off"}
        The template's `enable_thinking` switch; auto leaves the template's own default.

    Raises
    ------
    ConfigError
        `thinking` is on or off and the template does not know `enable_thinking`.
    """

    def __init__(self, tokenizer: Any, thinking: Literal["auto", "on", "off"] = "auto") -> None:
        self.tokenizer = tokenizer
        self.template = chat_template(tokenizer)
        self._variables: dict[str, bool] = {}
        if thinking != "auto":
            if not re.search(r"\benable_thinking\b", self.template or ""):
                what = (
                    "has no chat template" if self.template is None else "has a chat template without enable_thinking"
                )
                raise ConfigError(f"--thinking {thinking}: the checkpoint {what}", "use --thinking auto")
            self._variables["enable_thinking"] = thinking == "on"
        bos = tokenizer.bos_token_id
        self._bos = bos if bos is not None and tokenizer("a")["input_ids"][:1] == [bos] else None

    def text(self, prompt: Prompt) -> str:
        """Return the text that is tokenised, which ends in the prompt's `prefill`.

        Raises
        ------
        EngineError
            The prompt has messages and there is no template, or the template refuses it.
        """
        if self.template is None:
            if prompt.prompt is None:
                raise EngineError(
                    f"prompt '{prompt.id}' has chat messages, and the checkpoint has no chat template",
                    "give the suite plain `prompt` texts, or a tokenizer with a chat template",
                )
            return prompt.prompt + prompt.prefill
        from jinja2.exceptions import TemplateError  # noqa: PLC0415 - comes with transformers' chat support

        messages = [dict(m) for m in prompt.messages or ({"role": "user", "content": prompt.prompt or ""},)]
        try:
            rendered = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **self._variables
            )
        except TemplateError as error:
            raise EngineError(f"prompt '{prompt.id}': the chat template refuses it: {error}") from error
        return str(rendered) + prompt.prefill

    def token_ids(self, prompt: Prompt) -> list[int]:
        """Return the prompt's token ids, (T_prompt,), at least one.

        Raises
        ------
        EngineError
            As `text`, or the prompt comes to no token at all.
        """
        ids = list(self.tokenizer(self.text(prompt), add_special_tokens=False)["input_ids"])
        if self._bos is not None and ids[:1] != [self._bos]:
            ids.insert(0, self._bos)
        if not ids:
            raise EngineError(f"prompt '{prompt.id}' is empty, and the tokenizer adds no BOS")
        return ids

    def passage_ids(self, text: str) -> list[int]:
        """Return the token ids, (T,), of a text that goes on after a prompt.

        It is tokenised by itself, without special tokens, so that they are the same after whatever prompt.
        """
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


class Decoder:
    """Turns drawn token ids into text: special tokens are dropped, thinking tags stay even where they are special."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        special = {i for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        self.dropped = frozenset(special - {i for i, token in added.items() if token.content in THINK_TAGS})
        """Token ids that leave no text."""

    def __call__(self, token_ids: list[int]) -> str:
        """Return the text of one completion."""
        kept = [i for i in token_ids if i not in self.dropped]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))
