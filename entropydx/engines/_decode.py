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
from entropydx.engines._layouts import Layout, Recorder, open_layout
from entropydx.engines._slots import Row, Slots, Start
from entropydx.engines._triton import draw_rows
from entropydx.logits import Draw
from entropydx.types import SamplingParams

REFILL_SHARE = 1 / 16
"""Free rows are filled once they are this share of the batch, so that the small cost of placing rows is shared."""
PREFILL_SHARE = 1 / 2
"""Prompts are prefilled for that share of the batch at once, when samples for fewer free rows are wanted: a prefill of
few tokens costs as much as one of many, and the prompts that wait hold less memory than the rows that run."""


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


Started = tuple[Prefix, list[int], list[Start]]
"""Samples to start: the prefill that has their prompts, the index of each one's prompt in it, and the samples."""


class _Waiting:
    """Samples whose prompts are prefilled, and the jobs behind them."""

    def __init__(self, forward: Forward, feed: Feed[Work], max_rows: int) -> None:
        self._forward, self._feed, self._ahead = forward, feed, int(PREFILL_SHARE * max_rows)
        self._ready: deque[_Prefilled] = deque()
        self.alignable = False
        """Whether samples of several prefills can be rows of one batch; known after the first."""

    def __bool__(self) -> bool:
        return bool(self._ready or self._feed)

    def take(self, n_rows: int) -> list[Started]:
        """Return samples to start, by their prefix, with the index of each one's prompt in it: one or more, at most B.

        Where rows of several prefills cannot stand side by side, they are of one.
        """
        taken: list[Started] = []
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
    record : Recorder, optional
        Of steps whose shapes stay: see `_layouts.Fixed`.
    """

    def __init__(
        self, model: Any, stop_ids: frozenset[int], params: SamplingParams, record: Recorder | None = None
    ) -> None:
        self._forward, self._params, self._record = Forward(model), params, record
        self._stop = torch.tensor(sorted(stop_ids), dtype=torch.long)

    @torch.inference_mode()
    def run(self, feed: Feed[Work], max_rows: int) -> Iterator[Row]:
        """Yield every sample of the jobs, each as soon as it ends, with at most `max_rows` decoded together.

        Where the cache allows it, samples start in rows that others have left; with linear attention, whose states
        have no columns, a batch of one prefill runs to its end before the next one starts.
        """
        waiting = _Waiting(self._forward, feed, max_rows)
        while waiting:
            yield from self._batch(waiting.take(max_rows), waiting, feed)

    def _batch(self, first: Sequence[Started], waiting: _Waiting, feed: Feed[Work]) -> Iterator[Row]:
        prefix, n_rows = first[0][0], sum(len(starts) for _, _, starts in first)
        n_columns = feed.width + self._params.max_new_tokens
        layout = open_layout(self._forward, prefix, n_rows, n_columns, self._record)
        slots = Slots(n_rows, self._params, self._stop, prefix.logits.device)
        del prefix
        return _Batch(layout, slots, self._params, feed).run(first, waiting)


class _Batch:
    """B rows with their cache; `run` goes on until all of them ended and, when they can be filled, nothing waits."""

    def __init__(self, layout: Layout, slots: Slots, params: SamplingParams, feed: Feed[Work]) -> None:
        self._layout, self._slots, self._params, self._feed = layout, slots, params, feed

    def run(self, first: Sequence[Started], waiting: _Waiting) -> Iterator[Row]:
        """Yield rows as they end."""
        yield from self._start(first)
        del first
        while True:
            yield from self._refill(waiting)
            if not self._slots.running.any():
                self._feed.ran(len(self._slots.running))
                return
            if not (self._layout.refills and waiting):
                self._compact()
            yield from self._step()

    def _refill(self, waiting: _Waiting) -> Iterator[Row]:
        while self._layout.refills and waiting:
            n_free, running = len(self._slots.free), self._slots.running
            if n_free < max(1, REFILL_SHARE * len(running)):
                return
            yield from self._start(waiting.take(n_free))

    def _start(self, taken: Sequence[Started]) -> Iterator[Row]:
        """Start samples in free rows: place their prompts, and draw their first tokens from the prefill's logits."""
        for prefix, places, starts in taken:
            rows = self._slots.free[: len(starts)]
            self._layout.place(rows, prefix, places, [s.width for s in starts])
            self._slots.start(rows, starts)
            step = self._draw(prefix.logits[torch.tensor(places, device=prefix.logits.device)], rows)
            yield from self._slots.record(rows, step)

    def _step(self) -> Iterator[Row]:
        rows = np.arange(len(self._slots.running))
        step = self._draw(self._layout.step(*self._slots.inputs()), rows)
        self._feed.ran(len(rows))
        yield from self._slots.record(rows, step)

    def _draw(self, logits: Tensor, rows: NDArray[np.int64]) -> Draw:
        # A step's logits live only inside this call and its caller's expression: one (B, V) at a time.
        return draw_rows(logits, self._slots.uniforms(rows), self._params.temperature, self._params.top_p)

    def _compact(self) -> None:
        rows = self._layout.leaving(self._slots.running)
        if rows is not None:
            self._layout.keep(rows)
            self._slots.keep(rows)
