"""The decode loop: prefill once, expand the cache to every sample, reduce each step's logits on the device.

Memory is O(B·V) for one step's logits plus the key-value cache; no (B, T, V) tensor ever exists.
Shape letters: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entropydx.engines._cache import expand
from entropydx.engines._forward import Forward
from entropydx.engines._noise import uniform_stream
from entropydx.logits import Draw, draw
from entropydx.types import FinishReason, FloatArray, IntArray, SamplingParams

COMPACT_SHARE = 1 / 8
"""Ended rows leave the batch once they are this share of it: one compaction costs about as much as one step's
cache traffic, so rarer would waste forward passes and more often would waste copies."""


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


@dataclass(frozen=True, slots=True)
class Row:
    """One finished completion."""

    prompt_id: str
    sample: int
    token_ids: IntArray
    """(T,) int32."""
    logprobs: FloatArray
    """(T,) float32, nats, temperature 1."""
    entropies: FloatArray
    """(T,) float32, nats, temperature 1."""
    finish_reason: FinishReason

    @property
    def key(self) -> tuple[str, int]:
        """Which sample of which prompt it is."""
        return self.prompt_id, self.sample


class _Record:
    """(B, T) buffers of what was drawn, on the device; rows are read out when they end."""

    def __init__(self, owners: Sequence[tuple[str, int]], n_tokens: int, device: torch.device) -> None:
        self.owners = owners
        shape = (len(owners), n_tokens)
        self.token_ids = torch.zeros(shape, dtype=torch.int32, device=device)
        self.logprobs = torch.zeros(shape, device=device)
        self.entropies = torch.zeros(shape, device=device)

    def read(self, slots: Tensor, n_tokens: int, reasons: Sequence[FinishReason]) -> Iterator[Row]:
        """Yield the first `n_tokens` of the given rows; a non-finite row loses its last, unusable entry."""
        columns = (self.token_ids, self.logprobs, self.entropies)
        ids, logprobs, entropies = (c[slots, :n_tokens].cpu().numpy() for c in columns)
        for i, (slot, reason) in enumerate(zip(slots.tolist(), reasons, strict=True)):
            n = n_tokens - (reason == "non_finite")
            prompt_id, sample = self.owners[slot]
            values = (ids[i, :n].copy(), logprobs[i, :n].copy(), entropies[i, :n].copy())
            yield Row(prompt_id, sample, *values, reason)


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
    def run(self, batch: Sequence[Work], max_rows: int) -> Iterator[Row]:
        """Yield every outstanding sample of a batch of prompts, each as soon as it ends.

        The prompts are prefilled once, together; when their samples are more than `max_rows`, the same prefix serves
        one slice of samples after another.
        """
        prefix = self._forward.prefill([w.token_ids for w in batch])
        owners = [(index, sample) for index, work in enumerate(batch) for sample in work.samples]
        for start in range(0, len(owners), max_rows):
            part = owners[start : start + max_rows]
            rows = torch.tensor([index for index, _ in part], device=prefix.logits.device)
            names = [(batch[index].prompt_id, sample) for index, sample in part]
            cache = expand(prefix.cache, rows)
            if start + max_rows >= len(owners):
                prefix.cache = None
            yield from self._decode(cache, prefix.logits[rows], prefix.mask[rows], names)

    def _noise(self, names: Sequence[tuple[str, int]], device: torch.device) -> Tensor:
        n = self._params.max_new_tokens
        noise = np.stack([uniform_stream(self._params.seed, prompt, sample, n) for prompt, sample in names])
        return torch.from_numpy(noise).to(device, torch.float32 if device.type == "mps" else torch.float64)

    def _draw(self, logits: Tensor, uniforms: Tensor) -> Draw:
        return draw(logits, uniforms, self._params.temperature, self._params.top_p)

    def _decode(
        self, cache: Any, logits: Tensor, prompt_mask: Tensor, names: Sequence[tuple[str, int]]
    ) -> Iterator[Row]:
        params, device, n_rows = self._params, logits.device, len(names)
        record, noise = _Record(names, params.max_new_tokens, device), self._noise(names, device)
        stop, prompt_width = self._stop.to(device), prompt_mask.shape[1]
        mask = torch.nn.functional.pad(prompt_mask, (0, params.max_new_tokens), value=1)
        lengths = prompt_mask.sum(-1)
        slots = torch.arange(n_rows, device=device)  # where each row of the batch is recorded
        running = torch.ones(n_rows, dtype=torch.bool, device=device)
        step = self._draw(logits, noise[:, 0])
        del logits  # each later step's logits live only inside that step: one (B, V) at a time
        for t in range(params.max_new_tokens):
            record.token_ids[slots, t] = step.token_ids.to(torch.int32)
            record.logprobs[slots, t], record.entropies[slots, t] = step.logprobs, step.entropies
            stopped = torch.isin(step.token_ids, stop)
            ended = running & (stopped | ~step.finite | (t + 1 == params.max_new_tokens))
            if ended.any():
                reasons = _reasons(step.finite[ended], stopped[ended])
                yield from record.read(slots[ended], t + 1, reasons)
                running &= ~ended
            n_running = int(running.sum())
            if n_running == 0:
                return
            token_ids = step.token_ids
            if len(slots) - n_running >= COMPACT_SHARE * len(slots):
                keep = running.nonzero().squeeze(-1)
                cache.reorder_cache(keep)
                slots, token_ids, running = slots[keep], token_ids[keep], running[keep]
            width = prompt_width + t + 1
            inputs = token_ids[:, None], mask[slots, :width], (lengths[slots] + t)[:, None]
            step = self._draw(self._forward.last(*inputs, cache), noise[slots, t + 1])


def _reasons(finite: Tensor, stopped: Tensor) -> list[FinishReason]:
    return [
        "non_finite" if not ok else "stop" if stop else "length"
        for ok, stop in zip(finite.tolist(), stopped.tolist(), strict=True)
    ]
