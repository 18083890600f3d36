"""How the rows of a batch lie in the key-value cache: one interface, three layouts.

- `Joined`: rows of one prefill beside each other, for models whose states have no columns; nothing is refilled.
- `Aligned`: every row ends in the last column; columns come and go with the longest running row.
- `Fixed`: every row starts in the first column, in buffers that never move, so that a step can be recorded once and
  replayed (`_graphs.py`).

Shape letters: B rows, P prompts of a prefill, W columns, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entropydx.engines import _cache
from entropydx.engines._forward import Forward, Prefix
from entropydx.engines._memory import is_out_of_memory

COMPACT_SHARE = 1 / 8
"""With nothing left to start, ended rows leave the batch once they are this share of it: one compaction costs about as
much as one step's cache traffic, so rarer would waste forward passes and more often would waste copies."""
BUCKET = 128
"""Columns by which a fixed step widens: each width and number of rows is recorded once."""
ALIGNMENT = 16
"""Columns that the widest step is a multiple of: torch would copy a mask of another width at every step."""
FEW_ROWS = 8
"""Batches of so many fixed rows are not halved: a step of one row takes as long."""
TOLERANCE = {torch.float32: 1e-3}
"""Largest distance in total variation between the next-token distributions of two layouts."""
HALF_TOLERANCE = 0.05
"""The same in 16 bits, where kernels that add in another order differ by some hundredths on flat distributions."""

COMPARED = 8
"""Most rows whose distributions are compared."""

Step = Callable[[], Tensor]
"""A decode step that reads and writes tensors at fixed addresses alone, and returns the (B, V) logits."""
Recorder = Callable[[Step], Step]
"""Takes a step and returns one that does the same to the same tensors."""


class Layout(Protocol):
    """The cache of B rows, and the step that extends each of them by a token."""

    refills: bool
    """Whether a row that ended can be given to another sample."""

    def place(self, rows: NDArray[np.int64], prefix: Prefix, places: Sequence[int], widths: Sequence[int]) -> None:
        """Write prompts of a prefill into rows: prompt `places[i]`, of `widths[i]` tokens, into `rows[i]`."""
        ...

    def step(self, ids: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Return the (B, V) logits after one more token for each row.

        Parameters
        ----------
        ids : Tensor
            (B, 1) that token.
        lengths : Tensor
            (B,) tokens of each row, that one included.
        longest : int
            The most of them among the rows that run; what comes of the others is not used.
        """
        ...

    def leaving(self, running: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        """Return the rows to go on with where it pays to drop the others, else None."""
        ...

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all other rows."""
        ...


class _Columns:
    """What layouts have in common in which all rows end in the last column."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._cache: Any = None

    def _last(self, ids: Tensor, lengths: Tensor, n_columns: int) -> Tensor:
        mask = torch.arange(n_columns, device=lengths.device) >= n_columns - lengths[:, None]
        return self._forward.last(ids, mask.long(), lengths[:, None] - 1, self._cache)

    def leaving(self, running: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        """Drop rows that ended once they are a share of the batch."""
        return np.flatnonzero(running) if (~running).sum() >= COMPACT_SHARE * len(running) else None

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Select rows of every layer."""
        self._cache.reorder_cache(torch.from_numpy(rows))


class Joined(_Columns):
    """The rows of one prefill, never refilled: for linear attention and convolutions, whose states have no columns."""

    refills = False

    def place(self, rows: NDArray[np.int64], prefix: Prefix, places: Sequence[int], widths: Sequence[int]) -> None:
        """Take all rows of the batch from one prefill."""
        del rows, widths
        self._cache, self._width = _cache.expand(prefix.cache, torch.tensor(places)), prefix.mask.shape[1]

    def step(self, ids: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Append a column."""
        del longest
        self._width += 1
        return self._last(ids, lengths, self._width)


class Aligned(_Columns):
    """Rows that come and go, each ending in the last column.

    Parameters
    ----------
    forward : Forward
        Of the model.
    like : Prefix
        Whose cache says what the layers are.
    n_rows : int
        B.
    """

    refills = True

    def __init__(self, forward: Forward, like: Prefix, n_rows: int) -> None:
        super().__init__(forward)
        self._cache = _cache.aligned(like.cache, n_rows)

    def place(self, rows: NDArray[np.int64], prefix: Prefix, places: Sequence[int], widths: Sequence[int]) -> None:
        """Write prompts into the last columns of their rows."""
        _cache.place(self._cache, torch.from_numpy(rows), prefix.cache, torch.tensor(places), max(widths))

    def step(self, ids: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Cut columns that no running row reaches, and append one."""
        _cache.trim(self._cache, longest - 1)
        return self._last(ids, lengths, longest)


class _Static:
    """The tensors of fixed rows, all at addresses that stay, and the step that reads and writes nothing else.

    Apart from `Fixed`, so that the steps, which hold it, do not hold whatever holds them.
    """

    def __init__(self, forward: Forward, like: Prefix, n_rows: int, n_columns: int) -> None:
        device = like.logits.device
        self._forward = forward
        self.layers = [_cache.FixedLayer(layer, n_rows, n_columns) for layer in like.cache.layers]
        self._cache = copy.copy(like.cache)
        self._cache.layers = self.layers
        self.ids = torch.zeros((n_rows, 1), dtype=torch.long, device=device)
        self.lengths = torch.ones(n_rows, dtype=torch.long, device=device)
        self._rows, self._columns = (torch.arange(n, device=device) for n in (n_rows, n_columns))

    def extend(self, n_rows: int, n_columns: int) -> Tensor:
        """Return the logits of the first rows after their next token; they see the first columns."""
        lengths = self.lengths[:n_rows]
        mask = self._columns[:n_columns] < lengths[:, None]
        for layer in self.layers:
            layer.point(self._rows[:n_rows], lengths - 1, n_columns)
        return self._forward.last(self.ids[:n_rows], mask[:, None, None], lengths[:, None] - 1, self._cache)


class Fixed:
    """Rows that start in the first column of buffers that never move.

    A step is recorded for each number of rows and columns that comes up.

    Parameters
    ----------
    forward : Forward
        Of the model.
    like : Prefix
        Whose cache says what the layers are.
    n_rows : int
        B at most.
    n_columns : int
        The most tokens that a row can have.
    record : Recorder
        Of steps.
    """

    refills = True

    def __init__(self, forward: Forward, like: Prefix, n_rows: int, n_columns: int, record: Recorder) -> None:
        self._record = record
        self._n_rows, self._n_columns = n_rows, -(-n_columns // ALIGNMENT) * ALIGNMENT
        self._static = _Static(forward, like, n_rows, self._n_columns)
        self._steps: dict[tuple[int, int], Step] = {}

    def place(self, rows: NDArray[np.int64], prefix: Prefix, places: Sequence[int], widths: Sequence[int]) -> None:
        """Write prompts into the first columns of their rows."""
        device = self._static.ids.device
        index, source_rows, counts = (torch.tensor(v, device=device) for v in (rows, places, widths))
        for layer, source in zip(self._static.layers, prefix.cache.layers, strict=True):
            layer.place(index, source, source_rows, counts, max(widths))

    def step(self, ids: Tensor, lengths: Tensor, longest: int) -> Tensor:
        """Run the recorded step for the columns that running rows reach; the next one overwrites its logits."""
        static = self._static
        static.ids[: self._n_rows], static.lengths[: self._n_rows] = ids, lengths
        key = self._n_rows, min(-(-longest // BUCKET) * BUCKET, self._n_columns)
        if key not in self._steps:
            self._steps[key] = self._record(lambda: static.extend(*key))
        return self._steps[key]()

    def leaving(self, running: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        """Halve the batch when half of it has ended, so that few numbers of rows are recorded."""
        n = -(-len(running) // 2)
        if len(running) <= FEW_ROWS or running.sum() > n:
            return None
        return np.concatenate([np.flatnonzero(running), np.flatnonzero(~running)])[:n]

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Move the given rows to the front."""
        index = torch.from_numpy(rows).to(self._static.ids.device)
        for layer in self._static.layers:
            layer.gather(index)
        self._n_rows = len(rows)
        self._steps.clear()  # those of more rows


def open_layout(forward: Forward, prefix: Prefix, n_rows: int, n_columns: int, record: Recorder | None) -> Layout:
    """Return an empty layout for the model that a prefill came from.

    Parameters
    ----------
    n_rows : int
        B.
    n_columns : int
        The most tokens that a row can have.
    record : Recorder, optional
        Takes the fixed layout where the model's kind of cache allows it and it gives the logits that the others give.
    """
    if not _cache.is_alignable(prefix.cache):
        return Joined(forward)
    if record is not None and _serves(forward, prefix, n_columns):
        return Fixed(forward, prefix, n_rows, n_columns, record)
    return Aligned(forward, prefix, n_rows)


def _serves(forward: Forward, prefix: Prefix, n_columns: int) -> bool:
    """Tell whether a model may have fixed rows: tried on two of them, against aligned ones."""
    if not (forward.takes_any_mask and _cache.is_fixable(prefix.cache, n_columns)):
        return False
    try:
        fixed = Fixed(forward, prefix, 2, n_columns, lambda step: step)
        return _agree(fixed, Aligned(forward, prefix, 2), prefix)
    except Exception as error:  # whatever a model's own code raises on a mask that it does not know
        if is_out_of_memory(error):
            raise
        return False


def _agree(one: Layout, other: Layout, prefix: Prefix) -> bool:
    """Tell whether two layouts give the same next-token distributions after a prefill's longest and shortest prompt."""
    widths = prefix.mask.sum(-1).tolist()
    places = [widths.index(max(widths)), widths.index(min(widths))]
    ids = prefix.logits[places].argmax(-1, keepdim=True)
    chosen = [widths[p] for p in places]
    lengths = torch.tensor(chosen, device=ids.device) + 1
    found = []
    for layout in (one, other):
        layout.place(np.arange(2), prefix, places, chosen)
        found.append(layout.step(ids, lengths, max(chosen) + 1))
    return alike(*found)


def alike(one: Tensor, other: Tensor) -> bool:
    """Tell whether two (B, V) logits are those of the same distributions, as far as the dtype can tell.

    Of many rows the first are looked at. Where both are NaN, as in rows that ended by it, they are alike.
    """
    p, q = (logits[:COMPARED].float().softmax(-1) for logits in (one, other))
    distances = (p - q).abs().sum(-1) / 2
    unusable = p.isnan().any(-1) & q.isnan().any(-1)
    return bool((unusable | (distances <= TOLERANCE.get(one.dtype, HALF_TOLERANCE))).all())
