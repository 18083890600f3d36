"""The key-value cache of a batch: expanded from prompts to samples, grown in steps, compacted when rows end.

transformers' own `DynamicLayer` copies the whole cache at every token, which comes to dominate a step beyond a few
hundred positions; a layer with room to spare copies only now and then.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

STEP = 64
"""Positions by which a layer grows: the memory wasted at most, and one copy per so many tokens."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """A full-attention layer whose `keys` and `values`, (B, heads, T, dim), are views into larger buffers."""

    keys: Tensor
    values: Tensor
    _buffers: tuple[Tensor, Tensor]

    @classmethod
    def from_rows(cls, layer: DynamicLayer, rows: Tensor) -> GrowingLayer:
        """Return a new layer that holds the given rows of another, repeated as `rows` repeats them."""
        grown = cls()
        grown.lazy_initialization(layer.keys, layer.values)
        rows = rows.to(layer.keys.device)
        grown._buffers = _roomy(layer.keys[rows]), _roomy(layer.values[rows])
        grown._show(layer.keys.shape[-2])
        return grown

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append positions and return everything cached."""
        n_old = self.keys.shape[-2]
        n_new = n_old + key_states.shape[-2]
        if n_new > self._buffers[0].shape[-2]:
            extra = key_states.shape[-2]
            self._buffers = _roomy(self.keys, extra), _roomy(self.values, extra)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, n_old:n_new] = states
        self._show(n_new)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep the given rows."""
        index = beam_idx.to(self.keys.device)
        self._buffers = self._buffers[0][index], self._buffers[1][index]
        self._show(self.keys.shape[-2])

    def _show(self, n_positions: int) -> None:
        self.keys, self.values = (buffer[:, :, :n_positions] for buffer in self._buffers)


def _roomy(states: Tensor, extra: int = 0) -> Tensor:
    batch, heads, length, dim = states.shape
    buffer = states.new_empty((batch, heads, length + extra + STEP, dim))
    buffer[:, :, :length] = states
    return buffer


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
    for layer in cache.layers:
        if type(layer) is DynamicLayer:
            expanded.layers.append(GrowingLayer.from_rows(layer, rows))
            continue
        # Selecting rows replaces a layer's tensors and never writes into them, so copying the objects that hold
        # them is enough; linear-attention layers hold theirs in dictionaries.
        clone = copy.copy(layer)
        vars(clone).update({name: dict(value) for name, value in vars(layer).items() if isinstance(value, dict)})
        clone.reorder_cache(rows)
        expanded.layers.append(clone)
    return expanded
