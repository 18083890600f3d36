"""Where each drawn token stands in the text of its completion."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from entropydx.chat import Decoder
from entropydx.types import IntArray

UNKNOWN = "\ufffd"
"""What decoders write for bytes that are no character, or not yet one."""
MOST_BYTES = 4
"""Of one character in UTF-8: a token that waits longer than that many tokens for its end does not wait for one."""
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_alphabet() -> dict[str, int]:
    """Return the byte that each character of a byte-level BPE token stands for (GPT-2's table)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(rest)}


_BYTES = _byte_alphabet()


class Offsets:
    """Finds the characters of each token in linear time.

    A token's bytes are known by its id, so those of a completion are decoded one token after another and compared with
    its text. Where the two differ (a decoder that looks at neighbours), each token is decoded in a window of the last
    few, as in streaming.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Of the checkpoint.
    decode : Decoder
        What the texts were decoded with.
    """

    def __init__(self, tokenizer: Any, decode: Decoder) -> None:
        self._tokenizer, self._decode = tokenizer, decode
        self._added = getattr(tokenizer, "added_tokens_decoder", {})
        self._pieces: dict[int, bytes] = {}

    def __call__(self, token_ids: Sequence[int], text: str) -> IntArray:
        """Return how many characters of the text are written once each token is.

        Parameters
        ----------
        token_ids : sequence of int
            (T,) of the completion.
        text : str
            What they were decoded to.

        Returns
        -------
        ndarray
            (T,) int32, never falling; len(text) from the last token that leaves text on. Special tokens that the text
            drops have no width. A token that ends inside a character stands before it.
        """
        kept = np.array([i not in self._decode.dropped for i in token_ids], dtype=bool)
        visible = [i for i, is_kept in zip(token_ids, kept, strict=True) if is_kept]
        ends = self._by_bytes(visible, text)
        if ends is None:
            ends = self._by_windows(visible, text)
        ends[-1:] = [len(text)] * bool(visible)
        offsets: IntArray = np.array([0, *ends], dtype=np.int32)[np.cumsum(kept)]
        return offsets

    def _by_bytes(self, token_ids: Sequence[int], text: str) -> list[int] | None:
        """Return the ends of the tokens, or None when their bytes do not come to the text."""
        stream = codecs.getincrementaldecoder("utf-8")("replace")
        written = [stream.decode(self._piece(i)) for i in token_ids]
        joined = "".join(written) + stream.decode(b"", True)
        stripped = len(joined) - len(text)  # decoders of SentencePiece vocabularies take the first space away
        if stripped < 0 or joined[stripped:] != text or joined[:stripped].strip():
            return None
        lengths = np.cumsum([len(part) for part in written]) - stripped
        return [int(n) for n in lengths.clip(min=0)]

    def _piece(self, token_id: int) -> bytes:
        if token_id not in self._pieces:
            # Decoded twice, because a decoder may treat the start of a text unlike the rest.
            once, twice = self._decode([token_id]), self._decode([token_id, token_id])
            own = self._token_bytes(token_id) if UNKNOWN in twice else None
            self._pieces[token_id] = twice[len(once) :].encode() if own is None else own
        return self._pieces[token_id]

    def _token_bytes(self, token_id: int) -> bytes | None:
        """Return the bytes of a token that is only a part of a character, or None when its name does not tell."""
        name = self._tokenizer.convert_ids_to_tokens(token_id)
        if token_id in self._added or not name:
            return None
        if match := _BYTE_TOKEN.fullmatch(name):
            return bytes.fromhex(match[1])
        return bytes(_BYTES[c] for c in name) if all(c in _BYTES for c in name) else None

    def _by_windows(self, token_ids: Sequence[int], text: str) -> list[int]:
        ends, n, start, read = [0], 0, 0, 0
        for t in range(1, len(token_ids) + 1):
            known, new = (self._decode(list(token_ids[start:end])) for end in (read, t))
            certain = new.rstrip(UNKNOWN)
            ends.append(max(ends[-1], min(n + len(certain) - len(known), len(text))))
            if (certain == new and len(new) > len(known)) or t - read >= MOST_BYTES:
                n += max(0, len(new) - len(known))
                start, read = read, t
        return ends[1:]
