"""The rows that are decoded together: whose they are, how far they are, and what they have drawn so far.

Shape letters: B rows, T the most tokens of a completion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entropydx.engines._noise import uniform_stream
from entropydx.logits import Draw
from entropydx.types import FinishReason, FloatArray, IntArray, SamplingParams


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


@dataclass(frozen=True, slots=True)
class Start:
    """A sample about to be drawn."""

    prompt_id: str
    sample: int
    width: int
    """Tokens of its prompt."""


class Slots:
    """(B, T) buffers on the device, and the progress of each row on the host; a row that ended can be used again.

    Parameters
    ----------
    n_rows : int
        B; all free.
    params : SamplingParams
        How it is drawn.
    stop_ids : Tensor
        (S,) tokens that end a completion.
    device : torch.device
        Of the logits.
    """

    def __init__(self, n_rows: int, params: SamplingParams, stop_ids: Tensor, device: torch.device) -> None:
        self._params, self._stop, self._device = params, stop_ids.to(device), device
        shape = (n_rows, params.max_new_tokens)
        self._token_ids = torch.zeros(shape, dtype=torch.int32, device=device)
        self._logprobs, self._entropies = (torch.zeros(shape, device=device) for _ in range(2))
        self._noise = torch.zeros(shape, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self._next = torch.zeros(n_rows, dtype=torch.long, device=device)
        self._owners = np.zeros(n_rows, dtype=object)
        self._n_drawn, self._prompts = (np.zeros(n_rows, dtype=np.int64) for _ in range(2))
        self.running: NDArray[np.bool_] = np.zeros(n_rows, dtype=bool)

    @property
    def free(self) -> NDArray[np.int64]:
        """Indices of the rows that nothing runs in."""
        return np.flatnonzero(~self.running)

    def start(self, rows: NDArray[np.int64], starts: Sequence[Start]) -> None:
        """Begin samples in the given rows."""
        params, names = self._params, [(s.prompt_id, s.sample) for s in starts]
        noise = np.stack([uniform_stream(params.seed, *name, params.max_new_tokens) for name in names])
        self._noise[self._index(rows)] = torch.from_numpy(noise).to(self._device, self._noise.dtype)
        for row, start in zip(rows, starts, strict=True):
            self._owners[row] = start
        self._prompts[rows] = [s.width for s in starts]
        self._n_drawn[rows], self.running[rows] = 0, True

    def uniforms(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the random number of each row's next token."""
        return self._noise[self._index(rows), self._index(self._column(rows))]

    def inputs(self) -> tuple[Tensor, Tensor, int]:
        """Return what a layout's step takes: (B, 1) tokens, the (B,) lengths with them, and the longest that runs."""
        lengths = self._prompts + self._n_drawn
        return self._next[:, None], self._index(lengths), int(lengths[self.running].max())

    def record(self, rows: NDArray[np.int64], step: Draw) -> Iterator[Row]:
        """Write what the given rows drew, and yield those that it ends; what ended rows draw is ignored."""
        index, column = self._index(rows), self._index(self._column(rows))
        self._token_ids[index, column] = step.token_ids.to(torch.int32)
        self._logprobs[index, column], self._entropies[index, column] = step.logprobs, step.entropies
        self._next[index] = step.token_ids
        stopped, finite = torch.stack([torch.isin(step.token_ids, self._stop), step.finite]).cpu().numpy()
        running = self.running[rows]
        self._n_drawn[rows] += running
        ended = running & (stopped | ~finite | (self._n_drawn[rows] == self._params.max_new_tokens))
        if ended.any():
            self.running[rows[ended]] = False
            yield from self._read(rows[ended], stopped[ended], finite[ended])

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all other rows."""
        index = self._index(rows)
        for name in ("_token_ids", "_logprobs", "_entropies", "_noise", "_next"):
            setattr(self, name, getattr(self, name)[index])
        for name in ("_owners", "_n_drawn", "_prompts", "running"):
            setattr(self, name, getattr(self, name)[rows])

    def _read(self, rows: NDArray[np.int64], stopped: NDArray[np.bool_], finite: NDArray[np.bool_]) -> Iterator[Row]:
        index, longest = self._index(rows), int(self._n_drawn[rows].max())
        columns = (c[index, :longest].cpu().numpy() for c in (self._token_ids, self._logprobs, self._entropies))
        for row, is_stop, ok, *values in zip(rows, stopped, finite, *columns, strict=True):
            n = int(self._n_drawn[row]) - (not ok)  # the last entry of a row that is not finite means nothing
            reason: Literal["stop", "length", "non_finite"] = "stop" if is_stop else "length"
            owner: Start = self._owners[row]
            ids, logprobs, entropies = (v[:n].copy() for v in values)
            yield Row(owner.prompt_id, owner.sample, ids, logprobs, entropies, reason if ok else "non_finite")

    def _column(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        # An ended row stays in the batch for a while, and its number of tokens may be T already.
        return np.minimum(self._n_drawn[rows], self._params.max_new_tokens - 1)

    def _index(self, values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
