"""Teacher-forced passes over given texts: log-probabilities, exact entropies and effective ranks, in chunks.

Each prompt is prefilled once for all of its passages of a batch, and the passages follow in chunks of positions with
the key-value cache, so logits are O(rows · chunk · V) and a (B, T, V) tensor never exists. Passages start in the same
column: prompts are padded on the left, passages on the right, where nothing reads what the padding gives.
Shape letters: B rows, T tokens of a passage, C positions of a chunk, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entropydx.engines._batches import Feed
from entropydx.engines._cache import expand
from entropydx.engines._forward import Forward
from entropydx.engines._ranks import effective_ranks
from entropydx.logits import measure
from entropydx.types import FloatArray, IntArray

MAX_ROWS = {"cpu": 16, "mps": 16, "cuda": 64}
"""A pass is wide already in its positions: more rows hardly raise tokens per second."""
CHUNK = 128
"""Most positions of one forward pass."""
CHUNK_LOGITS = {"cpu": 1 << 24, "mps": 1 << 24, "cuda": 1 << 27}
"""Most logits of one forward pass with all rows: 64 MiB in float32 on a CPU."""


def chunk_length(device_type: str, n_rows: int, vocab_size: int) -> int:
    """Return C, the positions of one chunk: as many as `CHUNK` and the logits' limit allow, at least 1."""
    limit = CHUNK_LOGITS.get(device_type, CHUNK_LOGITS["cpu"])
    return max(1, min(CHUNK, limit // (n_rows * vocab_size)))


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One passage: T token ids after a prompt."""

    index: int
    """Which passage of the call it is."""
    prompt_ids: tuple[int, ...]
    token_ids: IntArray
    """(T,) int32, T at least 1."""

    @property
    def n_rows(self) -> int:
        """One."""
        return 1

    @property
    def width(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt_ids)

    def without(self, done: AbstractSet[Hashable]) -> Text | None:
        """Return it unless its index is done."""
        return None if self.index in done else self


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a pass says of one passage, up to the first position that cannot be scored."""

    key: int
    """Index of its passage."""
    logprobs: FloatArray
    """(T,) float32, nats, temperature 1."""
    entropies: FloatArray
    """(T,) float32, nats, temperature 1."""
    effective_ranks: FloatArray | None
    """(T // stride,) float32, directions; None when none were asked for."""


class _Record:
    """(B, T + 1) buffers of what was scored, on the device; hidden states go to the host, (B, T, D), when wanted.

    The last column takes what follows a passage's last token, which nobody reads.
    """

    def __init__(self, texts: Sequence[Text], stride: int, device: torch.device) -> None:
        self._texts, self._stride = texts, stride
        longest = max(len(t.token_ids) for t in texts)
        shape = (len(texts), longest + 1)
        ids = np.zeros(shape, dtype=np.int64)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text.token_ids)] = text.token_ids
        self.ids = torch.from_numpy(ids).to(device)
        self._logprobs, self._entropies = (torch.zeros(shape, device=device) for _ in range(2))
        self._finite = torch.zeros(shape, dtype=torch.bool, device=device)
        self._states: FloatArray | None = None

    def write(self, slots: Tensor, start: int, logits: Tensor) -> None:
        """Measure the tokens from column `start` on by their logits, (B, C, V)."""
        stop = start + logits.shape[1]
        measured = measure(logits, self.ids[slots, start:stop])
        self._logprobs[slots, start:stop] = measured.logprobs
        self._entropies[slots, start:stop] = measured.entropies
        self._finite[slots, start:stop] = measured.finite

    def keep(self, slots: Tensor, start: int, states: Tensor) -> None:
        """Store the hidden states, (B, C, D), of the tokens from column `start` on."""
        if self._states is None:
            self._states = np.zeros((*self.ids.shape, states.shape[-1]), dtype=np.float32)
        self._states[slots.cpu().numpy(), start : start + states.shape[1]] = states.float().cpu().numpy()

    def read(self, slots: Tensor) -> Iterator[Scored]:
        """Yield the given rows."""
        columns = (c[slots].cpu().numpy() for c in (self._logprobs, self._entropies, self._finite))
        for slot, logprobs, entropies, finite in zip(slots.tolist(), *columns, strict=True):
            text = self._texts[slot]
            n_tokens = len(text.token_ids)
            n = _leading(finite[:n_tokens], np.isfinite(logprobs[:n_tokens]))
            ranks = None
            if self._states is not None:
                states = self._states[slot, :n]
                ranks = effective_ranks(states[: _leading(np.isfinite(np.abs(states).max(axis=1)))], self._stride)
            yield Scored(text.index, logprobs[:n].copy(), entropies[:n].copy(), ranks)


def _leading(*conditions: NDArray[np.bool_]) -> int:
    """Return how many positions come before the first one where a condition is false."""
    return int(np.append(np.logical_and.reduce(conditions), False).argmin())


class Scorer:
    """Scores batches of passages with one model.

    Parameters
    ----------
    model : PreTrainedModel
        A causal LM in eval mode whose forward takes `past_key_values`.
    chunk : int
        C, positions of one forward pass, at least 1.
    rank_stride : int
        Tokens between two effective ranks; 0 for none.

    Raises
    ------
    EngineError
        The model keeps no key-value cache.
    """

    def __init__(self, model: Any, chunk: int, rank_stride: int) -> None:
        self._forward, self._chunk, self._stride = Forward(model), chunk, rank_stride

    @torch.inference_mode()
    def run(self, feed: Feed[Text], max_rows: int) -> Iterator[Scored]:
        """Yield every passage, each after the chunk that it ends in; at most `max_rows` go together."""
        while batch := feed.take(max_rows):
            yield from self._batch(batch)

    def _batch(self, batch: Sequence[Text]) -> Iterator[Scored]:
        prompts = {text.prompt_ids: None for text in batch}
        prefix = self._forward.prefill(list(prompts))
        place = {prompt: i for i, prompt in enumerate(prompts)}
        rows = torch.tensor([place[text.prompt_ids] for text in batch], device=prefix.logits.device)
        record = _Record(batch, self._stride, prefix.logits.device)
        slots = torch.arange(len(batch), device=rows.device)  # where each row of the batch is recorded
        record.write(slots, 0, prefix.logits[rows, None])
        cache, mask = expand(prefix.cache, rows), prefix.mask[rows]
        del prefix
        yield from self._follow(record, slots, cache, mask, [len(text.token_ids) for text in batch])

    def _follow(
        self, record: _Record, slots: Tensor, cache: Any, prompt_mask: Tensor, sizes: Sequence[int]
    ) -> Iterator[Scored]:
        """Feed the passages; their last tokens only where hidden states are wanted, since no logits of theirs are."""
        n_prompt, n_tokens = prompt_mask.sum(-1), torch.tensor(sizes, device=slots.device)
        n_fed = n_tokens if self._stride else n_tokens - 1
        start = 0
        while True:
            done = n_fed[slots] <= start
            if done.any():
                yield from record.read(slots[done])
                if done.all():
                    return
                left = (~done).nonzero().squeeze(-1)
                cache.reorder_cache(left)
                slots = slots[left]
            stop = min(start + self._chunk, int(n_fed[slots].max()))
            # Padding on the right repeats a position, because a table of positions may end where the passage does.
            steps = torch.minimum(torch.arange(start, stop, device=slots.device), n_tokens[slots, None] - 1)
            mask = torch.nn.functional.pad(prompt_mask[slots], (0, stop), value=1)
            self._step(
                record, slots, start, (record.ids[slots, start:stop], mask, n_prompt[slots, None] + steps), cache
            )
            start = stop

    def _step(
        self, record: _Record, slots: Tensor, start: int, inputs: tuple[Tensor, Tensor, Tensor], cache: Any
    ) -> None:
        # One chunk's logits live only inside this call.
        logits, states = self._forward.every(*inputs, cache, hidden=bool(self._stride))
        record.write(slots, start + 1, logits)
        if states is not None:
            record.keep(slots, start, states)
