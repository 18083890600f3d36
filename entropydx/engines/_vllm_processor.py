"""What runs inside vLLM's workers: a thin shell around `Rows`; loaded by vLLM itself, by its name.

The logits processor sees raw logits (vLLM calls those that may change the argmax before temperature and penalties, for
greedy rows too); the worker extension hands out what it recorded, through vLLM's own calls to its workers, so it works
alike in one process, with an engine process of its own and with tensor parallelism.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.distributed.parallel_state import get_tp_group
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from entropydx.engines._vllm_rows import ARGUMENT, Job, Rows

_ROWS: dict[str, Rows] = {}
"""The rows of every engine of this process, by the id of its configuration."""


class Recorder(LogitsProcessor):  # type: ignore[misc] # vLLM is not installed where this is checked
    """Draws the next token of our requests, and records it with its log-probability and the exact entropy."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._rows = _ROWS[vllm_config.instance_id] = Rows(device)

    def is_argmax_invariant(self) -> bool:
        """Return False: it decides which token is the likeliest."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow a change of the batch."""
        if batch_update is None:
            return
        self._rows.update(
            batch_update.removed,
            [(row, _job(params), output) for row, params, _, output in batch_update.added],
            [(start, end, how == MoveDirectionality.SWAP) for start, end, how in batch_update.moved],
        )

    def apply(self, logits: Tensor) -> Tensor:
        """Draw for our rows; `logits` is (B, V) float32, changed in place."""
        self._rows.apply(logits)
        return logits


def _job(params: Any) -> Job | None:
    arguments = (params.extra_args or {}).get(ARGUMENT)
    return None if arguments is None else Job.from_args(arguments)


class Handover:
    """Methods that vLLM adds to its workers (`worker_extension_cls`)."""

    vllm_config: Any

    def entropydx_take(self, asked: list[tuple[str, int]], forgotten: list[str]) -> tuple[list[bytes], int] | None:
        """Return the records of the (key, T) asked for and the most rows so far; None from all ranks but one.

        Every rank of a tensor-parallel group samples alike, so the first one speaks for all; with pipeline parallelism
        only the last stage samples.
        """
        rows = _ROWS.get(self.vllm_config.instance_id)
        if rows is None:
            return None
        rows.forget(forgotten)
        taken = rows.take(asked)
        return ([t.to_bytes() for t in taken], rows.most_rows) if get_tp_group().rank_in_group == 0 else None

    def entropydx_close(self) -> None:
        """Drop the buffers."""
        _ROWS.pop(self.vllm_config.instance_id, None)
