"""What a server answered, whichever of the interface's several shapes it is in.

Chat answers hold their log-probabilities as a list of tokens, completions as parallel lists with one table of the most
likely tokens per position, and llama.cpp's own server gives completions the chat's shape.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entropydx.engines._openai_bounds import entropy_bounds
from entropydx.errors import EngineError
from entropydx.types import Completion, FinishReason, FloatArray, IntArray

FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
}
UNKNOWN_TOKEN = -1
"""Id of a token of which nothing is known but that it was drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a server tells of one token."""

    piece: bytes
    """What it writes; special tokens may write what the text leaves out."""
    logprob: float | None
    likely: tuple[float, ...] = ()
    """Log-probabilities of the most likely tokens, its own among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One completion, as a server tells it."""

    text: str
    finish_reason: FinishReason
    tokens: tuple[Told, ...] | None
    """(T,) None when no log-probabilities came."""
    token_ids: tuple[int, ...] | None
    """(T,) None when the server gives none."""
    n_tokens: int | None
    """T; None when the server says nothing that tells it."""


def read_choices(answer: Any) -> tuple[list[Drawn], int]:
    """Return the completions of an answer in the order of their index, and the tokens of the prompt (0: not told).

    Raises
    ------
    EngineError
        The answer is not one, or a completion was broken off.
    """
    try:
        choices = sorted(answer["choices"], key=lambda c: c.get("index") or 0)
        usage = answer.get("usage") or {}
        alone = usage.get("completion_tokens") if len(choices) == 1 else None
        if not choices:
            raise EngineError("the server answers with no completion", "is it OpenAI-compatible?")
        return [_choice(c, alone) for c in choices], int(usage.get("prompt_tokens") or 0)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise EngineError(
            f"the server's answer is none: {type(error).__name__} {error}", "is it OpenAI-compatible?"
        ) from error


def _choice(choice: Mapping[str, Any], n_tokens: int | None) -> Drawn:
    reason = choice.get("finish_reason")
    if reason not in FINISHED:
        raise EngineError(
            f"the server broke a completion off: finish_reason is '{reason}'", "run the same command again"
        )
    message = choice.get("message")
    text = choice["text"] if message is None else _message(message)
    tokens, ids = _tokens(choice.get("logprobs")), choice.get("token_ids")
    if ids is not None:
        n_tokens = len(ids)
    elif tokens is not None:
        n_tokens = len(tokens)
    if tokens is not None and len(tokens) != n_tokens:
        tokens = None
    return Drawn(
        text=text,
        finish_reason=FINISHED[reason],
        tokens=tokens,
        token_ids=None if ids is None else tuple(map(int, ids)),
        n_tokens=n_tokens,
    )


def _message(message: Mapping[str, Any]) -> str:
    """Return what the model wrote; a server that sorts the reasoning out gets it put back."""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    content = message.get("content") or ""
    return f"<think>{reasoning}</think>{content}" if reasoning else content


def _tokens(logprobs: Mapping[str, Any] | None) -> tuple[Told, ...] | None:
    if not logprobs:
        return None
    if logprobs.get("content") is not None:
        return tuple(map(_of_chat, logprobs["content"]))
    if logprobs.get("tokens") is None:
        return None
    values = logprobs.get("token_logprobs") or [None] * len(logprobs["tokens"])
    tables = logprobs.get("top_logprobs") or [None] * len(logprobs["tokens"])
    return tuple(
        Told(piece=token.encode(), logprob=value, likely=_with_own({**(table or {}), token: value}.values()))
        for token, value, table in zip(logprobs["tokens"], values, tables, strict=True)
    )


def _of_chat(token: Mapping[str, Any]) -> Told:
    own = token.get("logprob")
    likely = token.get("top_logprobs") or ()
    same = any(t["token"] == token["token"] and t["logprob"] == own for t in likely)
    values = [t["logprob"] for t in likely] + ([] if same else [own])
    piece = token["token"].encode() if token.get("bytes") is None else bytes(token["bytes"])
    return Told(piece=piece, logprob=own, likely=_with_own(values))


def _with_own(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values if v is not None)


# ── without the weights ───────────────────────────────────────────────────────────────────────────


def completion_of(drawn: Drawn, n_asked: int | None, vocab_size: int, *, at_one: bool) -> Completion:
    """Return a completion from nothing but what the server tells.

    Token ids are the server's; where it gives none they are a hash of what each token writes (the same in every run),
    or -1 where that is unknown too.

    Parameters
    ----------
    n_asked : int or None
        Most likely tokens that were asked for.
    vocab_size : int
        V, 0 when unknown.
    at_one : bool
        Whether temperature and top_p are 1: only then is it sure that the told log-probabilities are the policy's own,
        because some servers tell them after the temperature.

    Raises
    ------
    EngineError
        The server does not say how many tokens a completion has.
    """
    if drawn.n_tokens is None:
        raise EngineError(
            "the server says neither what tokens it drew nor how many", "it must give `usage` or logprobs"
        )
    told = drawn.tokens if at_one else None
    logprobs = None if told is None else [t.logprob for t in told]
    known = logprobs is not None and None not in logprobs
    low, high = _bounds(told, n_asked, vocab_size) if told is not None and known and n_asked else (None, None)
    return Completion(
        token_ids=_ids(drawn),
        logprobs=np.array(logprobs, dtype=np.float32) if known else None,
        entropies=None,
        entropy_low=low,
        entropy_high=high,
        text=drawn.text,
        finish_reason=drawn.finish_reason,
        offsets=None if drawn.tokens is None else offsets([t.piece for t in drawn.tokens], drawn.text),
    )


def _ids(drawn: Drawn) -> IntArray:
    if drawn.token_ids is not None:
        return np.array(drawn.token_ids, dtype=np.int32)
    if drawn.tokens is not None:
        return np.array([zlib.crc32(t.piece) & 0x7FFFFFFF for t in drawn.tokens], dtype=np.int32)
    return np.full(drawn.n_tokens or 0, UNKNOWN_TOKEN, dtype=np.int32)


def _bounds(tokens: Sequence[Told], n_asked: int, vocab_size: int) -> tuple[FloatArray, FloatArray | None]:
    """Return the bounds of every token's entropy, (T,) nats each; the upper ones None when V is unknown."""
    # A server may give fewer than it was asked for, without a word.
    n_given = min(n_asked, max((len(t.likely) for t in tokens), default=0))
    pairs = [entropy_bounds(t.likely, cap_of(t, n_given), vocab_size) for t in tokens]
    high = np.array([h for _, h in pairs], dtype=np.float32) if vocab_size else None
    return np.array([low for low, _ in pairs], dtype=np.float32), high


def cap_of(token: Told, n_given: int) -> float | None:
    """Return the log-probability that no untold token passes, None when it cannot be told.

    It is that of the last of the `n_given` likeliest, where all of these are there. Servers that keep them in a table
    by their text lose one of two that are written alike: then the table is short, or is filled up by the token that was
    drawn, which is then the least of them.
    """
    values = list(token.likely)
    if len(values) > n_given and token.logprob is not None:
        values.remove(token.logprob)
        return min(values)
    short = len(values) < n_given or token.logprob is None or token.logprob <= min(values)
    return None if short else min(values)


def offsets(pieces: Sequence[bytes], text: str) -> IntArray | None:
    """Return the characters of `text` that are written once each token is, (T,); None when they do not come to it.

    Special tokens at the end, which the text leaves out, have no width.
    """
    stream = codecs.getincrementaldecoder("utf-8")("replace")
    found, n = [], 0
    for piece in pieces:
        written = stream.decode(piece)
        if text.startswith(written, n):
            n += len(written)
        elif n < len(text):
            return None
        found.append(n)
    return np.array(found, dtype=np.int32) if n == len(text) else None
