"""The decode loop: each prompt is prefilled once, and its samples start wherever a row is free.

A row that ends makes room for the next sample, of the same prompt or of the next one, while the others go on: no row
waits for the longest. Each step's logits are reduced on the device: memory is O(B·V) plus the key-value cache, and no
(B, T, V) tensor ever exists.
Shape letters: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entropydx.engines import _cache
from entropydx.engines._batches import Feed
from entropydx.engines._forward import Forward, Prefix
from entropydx.engines._slots import Row, Slots, Start
from entropydx.engines._triton import draw_rows
from entropydx.logits import Draw
from entropydx.types import SamplingParams

REFILL_SHARE = 1 / 16
"""Free rows are filled once they are this share of the batch, so that the small cost of placing rows is shared."""
PREFILL_SHARE = 1 / 2
"""Prompts are prefilled for that share of the batch at once, when samples for fewer free rows are wanted: a prefill of
few tokens costs as much as one of many, and the prompts that wait hold less memory than the rows that run."""
COMPACT_SHARE = 1 / 8
"""With nothing left to start, ended rows leave the batch once they are this share of it: one compaction costs about as
much as one step's cache traffic, so rarer would waste forward passes and more often would waste copies."""


@dataclass(frozen=True, slots=True)
class Work:
    """The outstanding samples of one prompt."""

    prompt_id: str
    token_ids: list[int]
    samples: tuple[int, ...]
    """Sample indices still to be drawn."""

    @property
    def n_rows(self) -> int:
        """One for every sample."""
        return len(self.samples)

    @property
    def width(self) -> int:
        """Tokens of the prompt."""
        return len(self.token_ids)

    def without(self, done: AbstractSet[Hashable]) -> Work | None:
        """Return what is left when these (prompt id, sample) are done; None when nothing is."""
        left = tuple(s for s in self.samples if (self.prompt_id, s) not in done)
        return replace(self, samples=left) if left else None


@dataclass(slots=True)
class _Prefilled:
    """Prompts that went through the model together, and their samples still to be started."""

    prefix: Prefix
    starts: deque[tuple[int, Start]]
    """With the index of each one's prompt in the prefix."""


class _Waiting:
    """Samples whose prompts are prefilled, and the jobs behind them."""

    def __init__(self, forward: Forward, feed: Feed[Work], max_rows: int) -> None:
        self._forward, self._feed, self._ahead = forward, feed, int(PREFILL_SHARE * max_rows)
        self._ready: deque[_Prefilled] = deque()
        self.alignable = False
        """Whether samples of several prefills can be rows of one batch; known after the first."""

    def __bool__(self) -> bool:
        return bool(self._ready or self._feed)

    def take(self, n_rows: int) -> list[tuple[Prefix, list[int], list[Start]]]:
        """Return samples to start, by their prefix, with the index of each one's prompt in it: one or more, at most B.

        Where rows of several prefills cannot stand side by side, they are of one.
        """
        taken: list[tuple[Prefix, list[int], list[Start]]] = []
        while n_rows and self and (self.alignable or not taken):
            if not self._ready:
                self._prefill(n_rows)
            first = self._ready[0]
            n = min(n_rows, len(first.starts))
            places, starts = zip(*(first.starts.popleft() for _ in range(n)), strict=True)
            taken.append((first.prefix, list(places), list(starts)))
            n_rows -= n
            if not first.starts:
                self._ready.popleft()
        return taken

    def _prefill(self, n_rows: int) -> None:
        works = self._feed.take(max(n_rows, self._ahead) if self.alignable else n_rows, over=self.alignable)
        prefix = self._forward.prefill([w.token_ids for w in works])
        self.alignable = _cache.is_alignable(prefix.cache)
        starts = ((i, Start(w.prompt_id, s, w.width)) for i, w in enumerate(works) for s in w.samples)
        self._ready.append(_Prefilled(prefix, deque(starts)))


class Decoder:
    """Runs one model; holds what does not change between batches.

    Parameters
    ----------
    model : PreTrainedModel
        A causal LM in eval mode whose forward takes `past_key_values`.
    stop_ids : frozenset of int
        Tokens that end a completion.
    params : SamplingParams
        How to draw.
    """

    def __init__(self, model: Any, stop_ids: frozenset[int], params: SamplingParams) -> None:
        self._forward, self._params = Forward(model), params
        self._stop = torch.tensor(sorted(stop_ids), dtype=torch.long)

    @torch.inference_mode()
    def run(self, feed: Feed[Work], max_rows: int) -> Iterator[Row]:
        """Yield every sample of the jobs, each as soon as it ends, with at most `max_rows` decoded together.

        Where the cache allows it, samples start in rows that others have left; with linear attention, whose states
        have no columns, a batch of one prefill runs to its end before the next one starts.
        """
        waiting = _Waiting(self._forward, feed, max_rows)
        while waiting:
            yield from _Batch(self._forward, self._params, self._stop, feed).run(waiting, max_rows)


class _Batch:
    """B rows with their cache; `run` goes on until all of them ended and, when they can be filled, nothing waits."""

    def __init__(self, forward: Forward, params: SamplingParams, stop_ids: Tensor, feed: Feed[Work]) -> None:
        self._forward, self._params, self._stop, self._feed = forward, params, stop_ids, feed

    def run(self, waiting: _Waiting, max_rows: int) -> Iterator[Row]:
        """Yield rows as they end."""
        first = waiting.take(max_rows)
        n_rows = sum(len(starts) for _, _, starts in first)
        self._slots = Slots(n_rows, self._params, self._stop, first[0][0].logits.device)
        self._fills = waiting.alignable
        self._open(first, n_rows)
        yield from self._start(first)
        del first
        while True:
            yield from self._refill(waiting)
            if not self._slots.running.any():
                self._feed.ran(len(self._slots.running))
                return
            if not (self._fills and waiting):
                self._compact()
            yield from self._step()

    def _open(self, taken: Sequence[tuple[Prefix, list[int], list[Start]]], n_rows: int) -> None:
        prefix, places, _ = taken[0]
        if self._fills:
            self._cache, self._width = _cache.aligned(prefix.cache, n_rows), 0
        else:
            self._cache, self._width = _cache.expand(prefix.cache, torch.tensor(places)), prefix.mask.shape[1]

    def _refill(self, waiting: _Waiting) -> Iterator[Row]:
        while self._fills and waiting:
            n_free, running = len(self._slots.free), self._slots.running
            if n_free < max(1, REFILL_SHARE * len(running)):
                return
            yield from self._start(waiting.take(n_free))

    def _start(self, taken: Sequence[tuple[Prefix, list[int], list[Start]]]) -> Iterator[Row]:
        """Start samples in free rows: place their prompts, and draw their first tokens from the prefill's logits."""
        for prefix, places, starts in taken:
            rows = self._slots.free[: len(starts)]
            source_rows = torch.tensor(places, device=prefix.logits.device)
            if self._fills:
                longest = max(s.width for s in starts)
                self._width = max(self._width, longest)
                _cache.place(self._cache, torch.from_numpy(rows), prefix.cache, source_rows, longest)
            self._slots.start(rows, starts)
            step = self._draw(prefix.logits[source_rows], rows)
            yield from self._slots.record(rows, step)

    def _step(self) -> Iterator[Row]:
        slots = self._slots
        if self._fills:
            self._width = slots.width - 1
            _cache.trim(self._cache, self._width)
        self._width += 1
        rows = np.arange(len(slots.running))
        step = self._draw(self._forward.last(*slots.inputs(self._width), self._cache), rows)
        self._feed.ran(len(rows))
        yield from slots.record(rows, step)

    def _draw(self, logits: Tensor, rows: NDArray[np.int64]) -> Draw:
        # A step's logits live only inside this call and its caller's expression: one (B, V) at a time.
        return draw_rows(logits, self._slots.uniforms(rows), self._params.temperature, self._params.top_p)

    def _compact(self) -> None:
        running = self._slots.running
        if (~running).sum() >= COMPACT_SHARE * len(running):
            rows = np.flatnonzero(running)
            self._cache.reorder_cache(torch.from_numpy(rows))
            self._slots.keep(rows)
