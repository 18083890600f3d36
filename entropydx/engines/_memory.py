"""How many rows fit, and telling "out of memory" from other failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

MAX_ROWS = {"cpu": 64, "mps": 64, "cuda": 512}
"""More rows hardly raise tokens per second: beyond these a step's time grows with its rows."""
SHARE = 0.6
"""Part of the free memory that a batch may plan for; prefill activations and fragmentation need the rest."""
BESIDE = 1.5
"""Free memory, in sizes of a model's weights, with which a second one of that size is loaded and run beside it."""
CPU_MESSAGES = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that an allocator, on any device, ran dry."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        any(m in text for m in CPU_MESSAGES) or "MPS backend out of memory" in text
    )


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes, the tightest GPU's when there are several; None when unknown."""
    if device.type == "cuda":
        return min(torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count()))
    if device.type == "cpu":
        return _free_host_bytes()
    return None


def leaves_room(device: torch.device, weight_bytes: int) -> bool:
    """Tell whether another model of so many bytes would fit beside what is loaded; False when the memory is unknown."""
    free = free_bytes(device)
    return free is not None and free >= BESIDE * weight_bytes


def _free_host_bytes() -> int | None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdigit():
        # A container is killed, not refused, when it passes its own limit.
        free = min(free, int(text) - int(used.read_text()))
    return max(free, 0)


def cache_bytes(config: Any, n_positions: int, itemsize: int) -> int:
    """Return the bytes of keys and values that a model with full attention keeps of so many positions."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * int(text.num_hidden_layers) * int(heads) * int(head_dim) * n_positions * itemsize


def bytes_per_row(config: Any, vocab_size: int, n_positions: int, itemsize: int) -> int:
    """Return about what one row of a batch needs at its longest, in bytes.

    Twice the key-value cache (a copy exists while it grows or is compacted) and six float32 vectors over the
    vocabulary (logits, log-softmax, probabilities and the temporaries of the draw).
    """
    return 2 * cache_bytes(config, n_positions, itemsize) + 6 * 4 * vocab_size


def auto_rows(device: torch.device, row_bytes: int) -> int:
    """Return how many rows to decode together: as many as are of use and fit into the free memory, at least 1."""
    cap, free = MAX_ROWS.get(device.type, 64), free_bytes(device)
    return cap if free is None else max(1, min(cap, int(SHARE * free / row_bytes)))
