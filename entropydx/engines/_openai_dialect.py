"""What is asked of a server, and what it is learnt to understand: servers of one interface differ in their fields.

Every knob that shapes a draw is sent, so that a server's own defaults do not. What a server refuses is put otherwise,
or left out, one field at a time, until it answers; what is left out is told once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entropydx.engines._openai_http import RefusedError
from entropydx.errors import ConfigError, ContextError, EngineError
from entropydx.protocols import Progress
from entropydx.types import Prompt, SamplingParams

KNOBS: dict[str, tuple[Any, ...]] = {
    "top_k": (-1, 0),
    "min_p": (0.0,),
    "presence_penalty": (0.0,),
    "frequency_penalty": (0.0,),
    "repetition_penalty": (1.0,),
    "repeat_penalty": (1.0,),
    "typical_p": (1.0,),
    "mirostat": (0,),
    "mirostat_mode": (0,),
    "dry_multiplier": (0.0,),
    "xtc_probability": (0.0,),
    "dynatemp_range": (0.0,),
    "top_n_sigma": (-1.0,),
}
"""What shapes a draw in some server, with the values that turn it off: vLLM, SGLang and llama.cpp spell them variously
(read in vLLM 0.32's protocol.py and llama-cpp-python 0.3.36's types.py; the last four are llama.cpp's own server's)."""
EXTRAS: dict[str, str] = {
    "seed": "a repeated run draws other tokens, and checkpoint and baseline share no noise",
    "return_token_ids": "",
    "add_special_tokens": "",
    "skip_special_tokens": "",
}
"""What helps and can be missed, with what is lost without it."""
TOP_LOGPROBS = (20, 10, 5, 1, None)
"""Most likely tokens that are asked for: vLLM gives at most 20 unless told otherwise, OpenAI's /completions 5."""
CONTINUERS = frozenset({"vllm", "sglang"})
"""Servers, by what they call the owner of their models, that go on with an assistant's message that was begun."""
SEEDS = 2**31
_CONTEXT = re.compile(r"context (?:length|window|size)|exceeds? .*context|maximum .*(?:length|tokens)", re.IGNORECASE)
_TEMPLATE = re.compile(r"chat[ _]template\b", re.IGNORECASE)
_ONE_CHOICE = re.compile(r"one completion choice|(?<![\w\\])[\"'`]?n[\"'`]? (?:must|should|is not|>|!=)|\bbest_of\b")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as the model sees it."""

    ids: tuple[int, ...]
    text: str


def seed_of(seed: int, prompt_id: str, sample: int) -> int:
    """Return the seed of one completion, in [0, 2^31): the first one's, counted on.

    vLLM gives the j-th of n completions the request's seed plus j, so there the same tokens are drawn whether they are
    asked for together or one at a time.
    """
    digest = hashlib.sha256(f"{seed}\0{prompt_id}".encode()).digest()
    return (int.from_bytes(digest[:4], "little") + sample) % SEEDS


class Dialect:
    """What one server understands, and the requests that it therefore gets.

    Parameters
    ----------
    model, owner : str
        The model's name at the server, and whose the server says that it is.
    top : sequence of int or None
        How many most likely tokens to ask for, the most wanted first; None asks for no log-probabilities.
    progress : Progress
        Told of what is left out.
    """

    def __init__(self, model: str, owner: str, top: Sequence[int | None], progress: Progress) -> None:
        self._model, self._owner, self._progress = model, owner, progress
        self._top = list(top)
        self._knobs = {name: list(values) for name, values in KNOBS.items()}
        self._extras = dict(EXTRAS)
        self._limit = "max_tokens"
        self._untold: list[str] = []
        self.chats = True
        """Whether prompts go to /chat/completions, for the server to render."""
        self.takes_ids = True
        """Whether rendered prompts are sent as token ids."""
        self.takes_n = True
        """Whether several completions of a prompt come in one answer, each its own draw."""
        self.bos = ""
        """What the checkpoint's tokenizer begins a text with."""
        self._puts_bos = self._told_width = False

    @property
    def top(self) -> int | None:
        """How many most likely tokens are asked for."""
        return self._top[0]

    def body(
        self, prompt: Prompt, params: SamplingParams, samples: Sequence[int], rendered: Rendered | None
    ) -> dict[str, Any]:
        """Return a request for some samples of a prompt.

        Parameters
        ----------
        rendered : Rendered, optional
            The prompt as the model sees it; None lets the server render it.

        Raises
        ------
        EngineError
            The prompt cannot be put to this server.
        """
        found: dict[str, Any] = {
            "model": self._model,
            "n": len(samples),
            "temperature": params.temperature,
            "top_p": params.top_p,
            self._limit: params.max_new_tokens,
            "stream": False,
            **{name: values[0] for name, values in self._knobs.items()},
        }
        extras = {
            "seed": seed_of(params.seed, prompt.id, samples[0]),
            "return_token_ids": True,
            **({"add_special_tokens": False, "skip_special_tokens": False} if rendered is not None else {}),
        }
        found |= {name: value for name, value in extras.items() if name in self._extras}
        if rendered is not None or not self.chats:
            told = {} if self.top is None else {"logprobs": self.top}
            return found | {"prompt": _plain(prompt) if rendered is None else self._put(rendered)} | told
        told = {} if self.top is None else {"logprobs": True, "top_logprobs": self.top}
        return found | self._conversation(prompt, params) | told

    def _put(self, rendered: Rendered) -> str | list[int]:
        if self.takes_ids:
            return list(rendered.ids)
        return rendered.text.removeprefix(self.bos) if self._puts_bos else rendered.text

    def doubles_bos(self, rendered: Rendered, width: int) -> bool:
        """Return whether the server put a second BOS before a text, which is learnt: the next request has none.

        Parameters
        ----------
        width : int
            Tokens that the server makes of the prompt, 0 when it does not say.
        """
        if self.takes_ids or width in {0, len(rendered.ids)}:
            return False
        if width == len(rendered.ids) + 1 and self.bos and rendered.text.startswith(self.bos) and not self._puts_bos:
            self._puts_bos = True
            return True
        if not self._told_width:
            self._told_width = True
            self._progress.warn(
                f"the server makes {width} tokens of a prompt of which the checkpoint's tokenizer makes "
                f"{len(rendered.ids)}: it does not see what the scoring assumes"
            )
        return False

    def _conversation(self, prompt: Prompt, params: SamplingParams) -> dict[str, Any]:
        messages = [dict(m) for m in prompt.messages or ({"role": "user", "content": prompt.prompt or ""},)]
        found: dict[str, Any] = {"messages": messages}
        if params.thinking != "auto":
            found["chat_template_kwargs"] = {"enable_thinking": params.thinking == "on"}
        if prompt.prefill:
            if self._owner not in CONTINUERS:
                raise EngineError(
                    "the server is not known to go on with an answer that was begun",
                    "give the checkpoint's directory, so that prompts are rendered here",
                )
            messages.append({"role": "assistant", "content": prompt.prefill})
            found |= {"add_generation_prompt": False, "continue_final_message": True}
        return found

    # ── learning ──────────────────────────────────────────────────────────────────────────────────

    def learn(self, refusal: RefusedError, body: dict[str, Any]) -> bool:
        """Learn from a refused request; return whether the next one will be another.

        Raises
        ------
        ContextError
            The prompt does not fit, which no other wording mends.
        ConfigError
            The server does not take the thinking switch.
        """
        said = refusal.said
        if _CONTEXT.search(said):
            raise ContextError(refusal.message, "use a lower --max-new-tokens, or shorter prompts", ())
        if "chat_template_kwargs" in body and "chat_template_kwargs" in said:
            raise ConfigError("the server does not take the thinking switch", "use --thinking auto")
        return self._reworded(said, body) or self._dropped(said, body) or self._bare(refusal, body)

    def _reworded(self, said: str, body: dict[str, Any]) -> bool:
        """Learn another wording of what is needed."""
        if "logprobs" in said and body.get("logprobs"):
            self._fewer_logprobs(body.get("top_logprobs") or body["logprobs"])
        elif "max_completion_tokens" in said and self._limit in body:
            self._limit = "max_completion_tokens"
        elif "messages" in body and _TEMPLATE.search(said):
            self.chats = False
        elif body["n"] > 1 and _ONE_CHOICE.search(said):
            self.takes_n = False
        elif isinstance(body.get("prompt"), list) and re.search(r"\bprompt\b|valid string", said):
            self.takes_ids = False
        else:
            return False
        return True

    def _fewer_logprobs(self, asked: int) -> None:
        # Requests that were on their way when this was learnt learn nothing more.
        if self.top != asked:
            return
        self._top.pop(0)
        if self.top is None:
            self._untold.append("log-probabilities")

    def _dropped(self, said: str, body: dict[str, Any]) -> bool:
        """Leave out the first field that the answer names, or take its next value."""
        for name in (*KNOBS, *EXTRAS):
            if name in body and re.search(rf"(?<!\w){name}(?!\w)", said):
                self._drop(name, body[name])
                return True
        return False

    def _drop(self, name: str, refused: Any) -> None:
        values = self._knobs.get(name)
        if values is not None:
            if values[0] != refused:  # another request has learnt it
                return
            values.pop(0)
            if values:
                return
            del self._knobs[name]
        elif self._extras.pop(name, None) is None:
            return
        self._untold.append(name)

    def _bare(self, refusal: RefusedError, body: dict[str, Any]) -> bool:
        """Leave out everything that a server need not know, when it does not say what it dislikes."""
        known = [name for name in (*KNOBS, *EXTRAS) if name in body and name != "seed"]
        if refusal.status not in {400, 422} or not known:
            return False
        for name in known:
            self._knobs.pop(name, None)
            self._extras.pop(name, None)
        self._untold += known
        return True

    def tell(self) -> None:
        """Warn, once, of what was left out since the last time."""
        untold, self._untold = self._untold, []
        if knobs := [name for name in untold if name in KNOBS]:
            self._progress.warn(
                f"the server does not take {', '.join(knobs)}: whatever it sets there by itself shapes what is drawn"
            )
        for name in untold:
            if lost := EXTRAS.get(name):
                self._progress.warn(f"the server does not take {name}: {lost}")
        if "log-probabilities" in untold:
            self._progress.warn(
                "the server gives no log-probabilities: nothing of the entropies is known but what re-scoring finds "
                "(llama-cpp-python gives them with --logits_all true)"
            )


def _plain(prompt: Prompt) -> str:
    if prompt.prompt is None:
        raise EngineError(
            f"prompt '{prompt.id}' has chat messages, and the server's model has no chat template",
            "give the suite plain `prompt` texts, or serve the model with a chat template",
        )
    return prompt.prompt + prompt.prefill
