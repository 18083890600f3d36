"""The key-value cache of a batch whose rows come and go.

Every row ends in the last column, so a batch looks to the model like prompts padded on the left, whatever each row's
progress: a new row is written into the last columns of one that ended, and columns that no running row reaches are cut
off on the left. transformers' own `DynamicLayer` copies the whole cache at every token, which comes to dominate a step
beyond a few hundred positions; layers with room to spare copy only now and then.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

STEP = 64
"""Positions by which a layer grows: the memory wasted at most, and one copy per so many tokens."""


class AlignedLayer(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """An attention layer whose `keys` and `values`, (B, heads, W, dim), are views into larger buffers.

    A layer with a sliding window keeps all W columns as well, and shows the model the last ones of them: W then means
    the same in all layers, and a window never saves memory that a new, longer row would not need again.

    Parameters
    ----------
    like : DynamicLayer
        What heads, dimensions, dtype, device and window are taken from.
    n_rows : int
        B; every row is empty, W = 0.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, like: DynamicLayer, n_rows: int) -> None:
        super().__init__()
        self.lazy_initialization(like.keys, like.values)
        self._window: int | None = getattr(like, "sliding_window", None)
        self.is_sliding = self._window is not None
        self._buffers = tuple(
            states.new_zeros((n_rows, states.shape[1], STEP, states.shape[3])) for states in (like.keys, like.values)
        )
        self._show(0, 0)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append columns and return what the new ones may look at."""
        n_new, stop = key_states.shape[-2], self._stop
        if stop + n_new > self._buffers[0].shape[-2]:
            self._move(0, n_new)
            stop = self._stop
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, stop : stop + n_new] = states
        self._show(self._start, stop + n_new)
        if self._window is None:
            return self.keys, self.values
        seen = self._window - 1 + n_new
        return self.keys[:, :, -seen:], self.values[:, :, -seen:]

    def get_seq_length(self) -> int:
        """Return W."""
        return self._stop - self._start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many columns `update` returns, and how many of W come before them."""
        width = self.get_seq_length()
        hidden = 0 if self._window is None else max(width - self._window + 1, 0)
        return width - hidden + query_length, hidden

    def get_max_length(self) -> int:
        """Return the window, or -1 for none."""
        return -1 if self._window is None else self._window

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep the given rows."""
        index = beam_idx.to(self.keys.device)
        self._buffers = tuple(buffer[index] for buffer in self._buffers)
        self._show(self._start, self._stop)

    def trim(self, width: int) -> None:
        """Cut columns off on the left, down to `width`."""
        self._show(max(self._start, self._stop - width), self._stop)

    def place(self, rows: Tensor, source: DynamicLayer, source_rows: Tensor, width: int) -> None:
        """Replace rows by others that reach at most `width` columns back, widening the layer when it is narrower."""
        if width > self._stop - self._start:
            self._widen(width)
        rows, source_rows = rows.to(self.keys.device), source_rows.to(self.keys.device)
        for shown, states in ((self.keys, source.keys), (self.values, source.values)):
            n = min(width, states.shape[-2])
            # Zeros, because a mask does not hide NaN: 0 * NaN is NaN.
            shown[rows, :, : shown.shape[-2] - n] = 0
            shown[rows, :, shown.shape[-2] - n :] = states[source_rows, :, states.shape[-2] - n :]

    def _widen(self, width: int) -> None:
        if self._stop < width:
            self._move(width - (self._stop - self._start), 0)
        start = self._stop - width
        for buffer in self._buffers:
            buffer[:, :, start : self._start] = 0
        self._show(start, self._stop)

    def _move(self, left: int, right: int) -> None:
        """Copy what is shown into new buffers with room on both sides."""
        start, stop = left, left + self._stop - self._start
        moved = []
        for shown in (self.keys, self.values):
            n_rows, heads, _, dim = shown.shape
            buffer = shown.new_zeros((n_rows, heads, stop + right + STEP, dim))
            buffer[:, :, start:stop] = shown
            moved.append(buffer)
        self._buffers = tuple(moved)
        self._show(start, stop)

    def _show(self, start: int, stop: int) -> None:
        self._start, self._stop = start, stop
        self.keys, self.values = (buffer[:, :, start:stop] for buffer in self._buffers)


class FixedLayer(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """An attention layer of rows that start in the first column, in buffers that never move.

    Parameters
    ----------
    like : DynamicLayer
        What heads, dimensions, dtype and device are taken from.
    n_rows, n_columns : int
        Of the buffers.
    """

    def __init__(self, like: DynamicLayer, n_rows: int, n_columns: int) -> None:
        super().__init__()
        self.lazy_initialization(like.keys, like.values)
        self._buffers = tuple(
            states.new_zeros((n_rows, states.shape[1], n_columns, states.shape[3]))
            for states in (like.keys, like.values)
        )

    def point(self, rows: Tensor, columns: Tensor, n_columns: int) -> None:
        """Say where the next token of each row goes, (B,) rows and columns, and how many columns the model sees."""
        self._rows, self._columns = rows, columns
        self.keys, self.values = (buffer[: len(rows), :, :n_columns] for buffer in self._buffers)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write one token of each row, and return the columns that the model sees."""
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[self._rows, :, self._columns] = states[:, :, 0]
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return how many columns the model sees."""
        return int(self.keys.shape[-2])

    def place(self, rows: Tensor, source: DynamicLayer, source_rows: Tensor, widths: Tensor, longest: int) -> None:
        """Replace rows by the last `widths` columns of other ones, `longest` at most."""
        columns = torch.arange(longest, device=widths.device)
        inside = columns < widths[:, None]
        for buffer, states in zip(self._buffers, (source.keys, source.values), strict=True):
            taken = (states.shape[-2] - widths)[:, None] + torch.where(inside, columns, 0)
            picked = states[source_rows[:, None], :, taken].transpose(1, 2)
            buffer[rows] = 0  # what another row left there may be NaN, which a mask does not hide
            buffer[rows, :, :longest] = torch.where(inside[:, None, :, None], picked, 0)

    def gather(self, rows: Tensor) -> None:
        """Move rows to the front, in this order."""
        for buffer in self._buffers:
            buffer[: len(rows)] = buffer[rows]


def is_alignable(cache: Any) -> bool:
    """Tell whether rows of other prefills can be placed beside those of a cache: attention layers only."""
    kinds = (DynamicLayer, DynamicSlidingWindowLayer)
    return all(type(layer) in kinds and layer.is_initialized for layer in cache.layers)


def is_fixable(cache: Any, n_columns: int) -> bool:
    """Tell whether the layers of an alignable cache see all of `n_columns` columns: no sliding window is as short."""
    windows = (getattr(layer, "sliding_window", None) for layer in cache.layers)
    return all(window is None or window > n_columns for window in windows)


def aligned(cache: Any, n_rows: int) -> Any:
    """Return a cache of B empty rows for the model that another cache is of."""
    empty = copy.copy(cache)
    empty.layers = [AlignedLayer(layer, n_rows) for layer in cache.layers]
    return empty


def place(cache: Any, rows: Tensor, source: Any, source_rows: Tensor, width: int) -> None:
    """Replace rows of a cache of `AlignedLayer` by rows of another one.

    Parameters
    ----------
    cache : transformers.Cache
        Made by `aligned`.
    rows : Tensor
        (n,) which rows are replaced.
    source : transformers.Cache
        Of P prompts that were padded on the left.
    source_rows : Tensor
        (n,) indices in [0, P); repeats give the samples of one prompt.
    width : int
        Tokens of the longest of these prompts.
    """
    for layer, other in zip(cache.layers, source.layers, strict=True):
        layer.place(rows, other, source_rows, width)


def trim(cache: Any, width: int) -> None:
    """Cut the columns before the last `width` off a cache of `AlignedLayer`."""
    for layer in cache.layers:
        layer.trim(width)


def expand(cache: Any, rows: Tensor) -> Any:
    """Return a cache that holds the given rows of another one, which is left as it is.

    Parameters
    ----------
    cache : transformers.Cache
        Of P prompts.
    rows : Tensor
        (B,) indices in [0, P); repeats give the samples of one prompt.

    Returns
    -------
    transformers.Cache
        Of B rows. Full-attention layers grow in steps; sliding-window and linear-attention layers stay what they are.
    """
    expanded = copy.copy(cache)
    expanded.layers = []
    everything = torch.arange(len(rows))
    for layer in cache.layers:
        if type(layer) is DynamicLayer and layer.is_initialized:
            grown = AlignedLayer(layer, len(rows))
            grown.place(everything, layer, rows, layer.keys.shape[-2])
            expanded.layers.append(grown)
            continue
        # Selecting rows replaces a layer's tensors and never writes into them, so copying the objects that hold
        # them is enough; linear-attention layers hold theirs in dictionaries.
        clone = copy.copy(layer)
        vars(clone).update({name: dict(value) for name, value in vars(layer).items() if isinstance(value, dict)})
        clone.reorder_cache(rows)
        expanded.layers.append(clone)
    return expanded
