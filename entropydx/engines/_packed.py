"""Linear layers of a model on a CPU with weights in the blocked layout of oneDNN's matrix kernels.

torch hands float32 products to MKL, which lays the weights out anew at every call and, on processors of other makers,
does not use their widest vectors. oneDNN does both once and for all: 1.25 times the speed at 64 rows and 1.7 times at
16 on an AMD EPYC, at the same float32 accuracy (`benchmarks/README.md`). The operators are those that torch's inductor
emits for frozen models; they are not public, so each shape is tried before it is used, and left alone where it fails.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LEAST_WEIGHTS = 1 << 17
"""Weights from which packing pays: below, a call's own cost of some 15 microseconds is more than it saves."""
TYPICAL_ROWS = 64
"""Rows that the layout is chosen for; other numbers of rows use the same layout."""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Largest difference of a packed product, relative to its largest entry: rounding in another order of summation."""


class PackedLinear(nn.Module):
    """Stands for a `torch.nn.Linear` whose weights are packed; without gradients.

    Parameters
    ----------
    linear : nn.Linear
        On a CPU.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TYPICAL_ROWS)

    @property
    def weight(self) -> Tensor:
        """The (out, in) weights, unpacked anew at each call: for architectures that read them."""
        dense: Tensor = self._packed.to_dense()
        return dense

    @property
    def n_bytes(self) -> int:
        """What the packed weights take."""
        return int(self._packed.numel() * self._packed.element_size())

    def forward(self, states: Tensor) -> Tensor:
        """Return states · weightᵀ + bias, (..., out)."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(states, self._packed, self.bias, "none", [], "")
        return product


def pack(model: Any) -> None:
    """Replace the linear layers of a model in place where that is possible: on a CPU, in float32 or bfloat16.

    Only large layers of exactly the class `nn.Linear` are replaced; adapters, quantised layers and experts that are
    held in one tensor stay as they are. A weight that is shared with the embeddings is kept for them.
    """
    if not torch._C._has_mkldnn:
        return
    usable: dict[tuple[Any, ...], bool] = {}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is not nn.Linear or child.weight.numel() < LEAST_WEIGHTS:
                continue
            kind = (child.weight.device, child.weight.dtype, *child.weight.shape, child.bias is None)
            if kind not in usable:
                usable[kind] = _works(child)
            if usable[kind]:
                _replace(parent, name, child)


def weight_bytes(model: Any) -> int:
    """Return how many bytes a model's weights take, packed ones included."""
    packed = sum(m.n_bytes for m in model.modules() if isinstance(m, PackedLinear))
    dense: int = sum(p.numel() * p.element_size() for p in model.parameters())
    return packed + dense


def _replace(parent: nn.Module, name: str, linear: nn.Linear) -> None:
    packed = PackedLinear(linear)
    packed.train(linear.training)
    setattr(parent, name, packed)


@torch.inference_mode()
def _works(linear: nn.Linear) -> bool:
    """Tell whether packed products of this shape are right, for one row and for several."""
    tolerance = TOLERANCE.get(linear.weight.dtype)
    if tolerance is None or linear.weight.device.type != "cpu":
        return False
    states = torch.linspace(-1, 1, 3 * linear.in_features, dtype=linear.weight.dtype).view(3, -1)
    wanted = linear(states)
    try:
        packed = PackedLinear(linear)
        products = torch.cat([packed(states[:1]), packed(states[None, 1:])[0]])
    except (RuntimeError, AttributeError):
        return False
    difference = (products - wanted).abs().max()
    return bool(difference <= tolerance * wanted.abs().max())
