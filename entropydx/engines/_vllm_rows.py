"""Draws and measures inside vLLM's sampler: which row of its batch is which completion, and what was drawn for it.

vLLM keeps its running requests in the rows of one batch, and tells a logits processor at every step which rows were
vacated, filled and moved. Each row that is ours takes its next token by the same draw as everywhere else (one uniform
of its own stream through the inverse CDF) or has it given, and what is kept is three numbers per token. This module
knows torch and nothing of vLLM, so that it can be tested without it. Shape letters: B rows, V vocabulary, S slots,
T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entropydx.engines._noise import uniform_stream
from entropydx.logits import Draw, draw, measure
from entropydx.types import FloatArray, IntArray

ARGUMENT = "entropydx"
"""Key of a request's `extra_args` under which its job travels."""
FIRST_SLOTS, FIRST_WIDTH = 64, 128
"""Completions and tokens that the buffers begin with; each doubles when it is passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One completion to draw, or one text to follow, as it travels to the engine's process."""

    key: str
    """Unique among all that the engine ever serves."""
    n_tokens: int
    """T at most."""
    seed: int = 0
    prompt_id: str = ""
    sample: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    end_id: int = 0
    """Token that a row with unusable logits is made to take; an end token frees it at once."""
    forced: tuple[int, ...] | None = None
    """(T,) the tokens to take, whatever the model thinks of them; None to draw."""

    def to_args(self) -> dict[str, Any]:
        """Return plain values that any serialiser can carry."""
        return asdict(self)

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> Job:
        """Return the job that `to_args` took apart."""
        forced = args["forced"]
        return cls(**{**args, "forced": None if forced is None else tuple(forced)})

    @property
    def manner(self) -> tuple[float, float] | None:
        """Temperature and top_p, or None when the tokens are given: rows of one manner are served together."""
        return (self.temperature, self.top_p) if self.forced is None else None


@dataclass(frozen=True, slots=True)
class Taken:
    """What was recorded of one completion."""

    token_ids: IntArray
    """(T,) int32."""
    logprobs: FloatArray
    """(T,) float32, nats, temperature 1; -Inf for an impossible token that was forced."""
    entropies: FloatArray
    """(T,) float32, nats, temperature 1; NaN from the first step whose logits held NaN or +Inf."""

    def to_bytes(self) -> bytes:
        """Return the three arrays one after another, 12 bytes a token."""
        return self.token_ids.tobytes() + self.logprobs.tobytes() + self.entropies.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Taken:
        """Return what `to_bytes` wrote."""
        third = len(data) // 3
        ids, *values = (data[i * third : (i + 1) * third] for i in range(3))
        logprobs, entropies = (np.frombuffer(v, dtype=np.float32).copy() for v in values)
        return cls(np.frombuffer(ids, dtype=np.int32).copy(), logprobs, entropies)


@dataclass(slots=True)
class _Request:
    """A job that was seen; it keeps its slot while it waits outside the batch, until its record is taken."""

    job: Job
    slot: int
    output: Sequence[int] = ()
    """vLLM's own, live list of the tokens so far: its length is the position to draw next."""
    inside: bool = True
    taken: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one manner, for as long as the batch does not change."""

    manner: tuple[float, float] | None
    requests: list[_Request]
    slots: NDArray[np.int64]
    rows: Tensor
    """(B',) on the device, rising."""
    end_ids: Tensor
    """(B',) on the device."""

    def positions(self) -> NDArray[np.int64]:
        return np.fromiter((len(r.output) for r in self.requests), dtype=np.int64, count=len(self.requests))


class Rows:
    """The rows of vLLM's batch that are ours.

    Parameters
    ----------
    device : torch.device
        Where the logits are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._requests: dict[str, _Request] = {}
        self._rows: dict[int, _Request] = {}
        self._parts: list[_Part] | None = []
        self._free = list(range(FIRST_SLOTS - 1, -1, -1))
        # Uniforms and given tokens stay on the host: a step needs one of them per row.
        self._uniforms: NDArray[np.float64] = np.zeros((FIRST_SLOTS, FIRST_WIDTH))
        self._forced: NDArray[np.int64] = np.zeros((FIRST_SLOTS, FIRST_WIDTH), dtype=np.int64)
        self._ids = torch.zeros((FIRST_SLOTS, FIRST_WIDTH), dtype=torch.int32, device=device)
        self._values = torch.zeros((2, FIRST_SLOTS, FIRST_WIDTH), device=device)
        self.most_rows = 0
        """Most rows served by one step so far."""

    def update(
        self,
        removed: Iterable[int],
        added: Iterable[tuple[int, Job | None, Sequence[int]]],
        moved: Iterable[tuple[int, int, bool]],
    ) -> None:
        """Follow a change of the batch; vacated rows come first, then filled ones, then moves.

        Parameters
        ----------
        removed : iterable of int
            Rows that nobody is in any more.
        added : iterable of (row, job, output)
            Who is in a row now, instead of whoever was; None for a request that is not ours. `output` is the live list
            of its tokens, empty unless it was here before.
        moved : iterable of (from, to, swap)
            A row that replaces another one, or changes places with it.
        """
        self._parts = None
        for row in removed:
            self._leave(row)
        for row, job, output in added:
            self._leave(row)
            if job is not None:
                self._rows[row] = self._enter(job, output)
        for start, end, swap in moved:
            if not swap:
                self._leave(end)
            pair = ((end, self._rows.pop(start, None)), (start, self._rows.pop(end, None)))
            self._rows.update({row: request for row, request in pair if request is not None})

    def apply(self, logits: Tensor) -> None:
        """Draw (or follow) one token for every row that is ours, record it, and leave it as the row's only maximum.

        Parameters
        ----------
        logits : Tensor
            (B, V) float32, raw; the other rows stay as they are.
        """
        if self._parts is None:
            self._parts = self._sorted_parts()
        self.most_rows = max(self.most_rows, len(self._rows))
        for part in self._parts:
            positions = part.positions()
            step = self._step(part, positions, logits)
            self._record(part, positions, step)
            _choose(logits, part, step)

    def take(self, asked: Iterable[tuple[str, int]]) -> list[Taken]:
        """Return the first tokens of finished completions, (key, T) each, and forget them."""
        requests = [(self._requests.pop(key), n) for key, n in asked]
        if not requests:
            return []
        slots = torch.tensor([r.slot for r, _ in requests], device=self._device)
        longest = max(n for _, n in requests)
        ids = self._ids[slots, :longest].cpu().numpy()
        values = self._values[:, slots, :longest].cpu().numpy()
        for request, _ in requests:
            self._release(request)
        return [
            Taken(ids[i, :n].copy(), values[0, i, :n].copy(), values[1, i, :n].copy())
            for i, (_, n) in enumerate(requests)
        ]

    def forget(self, keys: Iterable[str]) -> None:
        """Drop completions that nobody wants any more."""
        for key in keys:
            if (request := self._requests.pop(key, None)) is not None:
                self._release(request)

    def _leave(self, row: int) -> None:
        request = self._rows.pop(row, None)
        if request is not None:
            request.inside = False
            if request.taken:
                self._free.append(request.slot)

    def _release(self, request: _Request) -> None:
        # A finished request is still in its row until the next step: its slot must not be given away before.
        request.taken = True
        if not request.inside:
            self._free.append(request.slot)

    def _enter(self, job: Job, output: Sequence[int]) -> _Request:
        request = self._requests.get(job.key)
        if request is None:
            self._make_room(job.n_tokens)
            slot = self._free.pop()
            request = self._requests[job.key] = _Request(job, slot)
            if job.forced is None:
                noise = uniform_stream(job.seed, job.prompt_id, job.sample, job.n_tokens)
                self._uniforms[slot, : job.n_tokens] = noise
            else:
                self._forced[slot, : job.n_tokens] = job.forced
        request.output, request.inside = output, True
        return request

    def _make_room(self, n_tokens: int) -> None:
        n_slots, width = self._ids.shape
        more_slots, more_width = n_slots if not self._free else 0, 0
        while width + more_width < n_tokens:
            more_width += width + more_width
        if not more_slots and not more_width:
            return
        self._free += range(n_slots + more_slots - 1, n_slots - 1, -1)
        self._uniforms = np.pad(self._uniforms, ((0, more_slots), (0, more_width)))
        self._forced = np.pad(self._forced, ((0, more_slots), (0, more_width)))
        padding = (0, more_width, 0, more_slots)
        self._ids, self._values = (torch.nn.functional.pad(x, padding) for x in (self._ids, self._values))

    def _sorted_parts(self) -> list[_Part]:
        by_manner: dict[tuple[float, float] | None, list[int]] = {}
        for row in sorted(self._rows):
            by_manner.setdefault(self._rows[row].job.manner, []).append(row)
        return [self._part(manner, rows) for manner, rows in by_manner.items()]

    def _part(self, manner: tuple[float, float] | None, rows: list[int]) -> _Part:
        requests = [self._rows[row] for row in rows]
        slots = np.array([r.slot for r in requests])
        end_ids = torch.tensor([r.job.end_id for r in requests], device=self._device)
        return _Part(manner, requests, slots, torch.tensor(rows, device=self._device), end_ids)

    def _step(self, part: _Part, positions: NDArray[np.int64], logits: Tensor) -> Draw:
        own = logits if len(part.requests) == len(logits) else logits[part.rows]
        if part.manner is None:
            return measure(own, torch.from_numpy(self._forced[part.slots, positions]).to(self._device))
        uniforms = torch.from_numpy(self._uniforms[part.slots, positions]).to(self._device)
        return draw(own, uniforms, *part.manner)

    def _record(self, part: _Part, positions: NDArray[np.int64], step: Draw) -> None:
        where = (torch.from_numpy(part.slots).to(self._device), torch.from_numpy(positions).to(self._device))
        self._ids[where] = step.token_ids.to(torch.int32)
        self._values[0][where] = step.logprobs
        self._values[1][where] = step.entropies.masked_fill(~step.finite, torch.nan)


def _choose(logits: Tensor, part: _Part, step: Draw) -> None:
    """Make the drawn token the only maximum of its row; a row with unusable logits takes its end token."""
    bad = part.rows[~step.finite]
    if len(bad):
        logits[bad] = 0.0
    logits[part.rows, torch.where(step.finite, step.token_ids, part.end_ids)] = torch.inf
