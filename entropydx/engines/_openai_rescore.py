"""Completions that a server drew, scored with the checkpoint's own weights on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from entropydx.chat import Renderer
from entropydx.engines._checks import Limits
from entropydx.engines._hf_model import LocalModel
from entropydx.engines._openai_answer import Drawn
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import Completion, Passage, Prompt, SamplingParams

FAR = 0.3
"""nats; a mean difference of log-probabilities beyond this is another model. The same weights in bfloat16 differ from
themselves by 0.03 on average and by 0.23 at most (measured, docs/adr/0012)."""
ENOUGH = 200
"""Tokens before the two are compared."""


class _OnlyLoading:
    """A `Progress` that shows the loading of the weights; scoring goes on inside the bar of the sampling."""

    def __init__(self, inner: Progress) -> None:
        self._inner, self.drawing = inner, False

    def start(self, stage: str, total: int | None) -> None:
        """Pass on what does not happen for every prompt."""
        if not self.drawing:
            self._inner.start(stage, total)

    def advance(self, n: int = 1, note: str = "") -> None:
        """Likewise."""
        if not self.drawing:
            self._inner.advance(n, note)

    def warn(self, message: str) -> None:
        """Pass on."""
        self._inner.warn(message)


class Rescorer(LocalModel):
    """The checkpoint under a server, which renders its prompts and says what its own weights make of the tokens."""

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        self._shown = _OnlyLoading(progress)
        super().__init__(ref, options, self._shown)
        self._n_recut = self._n_seen = 0
        self._differences: list[float] = []
        self._told_far = False

    @property
    def limits(self) -> Limits:
        """What the model can take in."""
        return self._limits

    @property
    def bos(self) -> str:
        """The token that begins texts, in words; empty when there is none."""
        return str(self._tokenizer.bos_token or "")

    def renderer(self, thinking: Literal["auto", "on", "off"]) -> Renderer:
        """Return what turns prompts into what the model sees."""
        return Renderer(self._tokenizer, thinking)

    def completions(self, prompt: Prompt, drawn: Sequence[Drawn], params: SamplingParams) -> tuple[Completion, ...]:
        """Return the completions of one prompt with exact log-probabilities and entropies of their tokens.

        The tokens are those that the server drew, where it tells their ids, or texts that name them; else its text is
        cut into tokens anew, which gives the usual cut of the same text. The end token, which some servers leave out,
        is put back. A completion ends before the first token that the weights cannot score; see `HfEngine.score`.
        """
        self._shown.drawing = self._model is not None
        self._load()
        self._shown.drawing = True
        try:
            ids = [self._with_end(self._token_ids(d), d) for d in drawn]
            passages = [
                Passage(prompt=prompt, source_id=prompt.id, sample_index=k, token_ids=np.array(row, dtype=np.int32))
                for k, row in enumerate(ids)
            ]
            scores = {s.sample_index: s for s in self.score(passages, 0, params.thinking)}
        finally:
            self._shown.drawing = False
        found = []
        for k, (row, d) in enumerate(zip(ids, drawn, strict=True)):
            score = scores[k]
            whole = len(score.logprobs) == len(row)
            kept = row[: len(score.logprobs)]
            text = self._text(kept)
            if params.temperature == 1 and params.top_p == 1:
                self._compare(d, score.logprobs)
            found.append(
                Completion(
                    token_ids=score.token_ids,
                    logprobs=score.logprobs,
                    entropies=score.entropies,
                    text=text,
                    finish_reason=d.finish_reason if whole else "non_finite",
                    offsets=self._offsets(kept, text),
                )
            )
        return tuple(found)

    def tell(self) -> None:
        """Warn of texts that had to be cut into tokens anew, since the last time."""
        if self._n_recut:
            self._shown.warn(
                f"{self._n_recut} of {self._n_seen} completions were cut into tokens anew, because the server does not "
                "say which it drew: their entropies are those of the usual cut of the same text"
            )
        self._n_recut = self._n_seen = 0

    # ── which tokens ──────────────────────────────────────────────────────────────────────────────

    def _token_ids(self, drawn: Drawn) -> list[int]:
        self._n_seen += 1
        if drawn.token_ids is not None:
            return list(drawn.token_ids)
        usual: list[int] = self._tokenizer(drawn.text, add_special_tokens=False)["input_ids"]
        if drawn.tokens is None:
            # A server that tells the number alone is believed where the numbers agree, the end token counted or not.
            self._n_recut += drawn.n_tokens not in {None, len(usual), len(usual) + 1}
            return usual
        pieces = [t.piece.decode("utf-8", "replace") for t in drawn.tokens]
        if self._pieces(usual) in (pieces, pieces[:-1]):
            return usual
        own = [self._tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces]
        drawn_ids = [ids[0] for ids in own if len(ids) == 1]
        if len(drawn_ids) == len(pieces) and self._text(drawn_ids) == drawn.text:
            return drawn_ids
        self._n_recut += 1
        return usual

    def _pieces(self, token_ids: Sequence[int]) -> list[str]:
        return [str(self._tokenizer.decode([i])) for i in token_ids]

    def _with_end(self, token_ids: list[int], drawn: Drawn) -> list[int]:
        stops = self._stop_ids()
        if drawn.finish_reason != "stop" or not stops or (token_ids[-1:] and token_ids[-1] in stops):
            return token_ids
        own: Any = self._tokenizer.eos_token_id
        return [*token_ids, own if own in stops else min(stops)]

    # ── the same model ────────────────────────────────────────────────────────────────────────────

    def _compare(self, drawn: Drawn, logprobs: Any) -> None:
        """Warn, once, when the server's log-probabilities are not those of the weights."""
        if self._told_far or drawn.tokens is None or not 0 <= len(logprobs) - len(drawn.tokens) <= 1:
            return
        pairs = zip(drawn.tokens, logprobs, strict=False)
        self._differences += [abs(t.logprob - float(x)) for t, x in pairs if t.logprob is not None]
        if len(self._differences) < ENOUGH:
            return
        mean = float(np.mean(self._differences))
        self._differences.clear()
        if mean > FAR:
            self._told_far = True
            self._shown.warn(
                f"the server's log-probabilities differ from those of {self._info.path} by {mean:.2g} nats per token: "
                "it serves another model, other precision, or renders prompts otherwise"
            )
