"""The measured draw of `entropydx.logits.draw` as two Triton kernels: one pass over the vocabulary on a CUDA device.

The first kernel reduces each block of a row's logits to four numbers; the second combines a row's blocks, picks the
block that the uniform number falls into, and reads that block again. Nothing of size (B, V) is written.
Shape letters: B rows, V vocabulary, N = ceil(V / BLOCK) blocks.
"""

from __future__ import annotations

import subprocess
import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from entropydx.logits import Draw, draw

BLOCK = 4096
"""Logits of one program: enough of them to fill a device with 64 rows, few enough for registers."""
TOLERANCE = 1e-4
"""Nats by which the kernels may differ from the eager draw."""
EPS = 2.0**-52
"""As in the eager draw: a target stays below the last running sum, so that a token always exceeds it."""


def draw_rows(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Draw:
    """Return what `entropydx.logits.draw` returns, by the kernels where they serve and eagerly elsewhere.

    They serve on CUDA with Triton, at temperature 1 without a nucleus, once they have agreed with the eager draw on
    the device.
    """
    if logits.is_cuda and temperature == 1 and top_p >= 1 and _agrees(str(logits.device)):
        return fused_draw(logits, uniforms)
    return draw(logits, uniforms, temperature, top_p)


@cache
def _agrees(device: str) -> bool:
    """Tell whether the kernels compile on a device and equal the eager draw on it; warn once when they do not."""
    if find_spec("triton") is None:
        return False
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn((8, 3 * BLOCK + 7), generator=generator)).to(device)
    uniforms = torch.rand(8, generator=generator, dtype=torch.float64).to(device)
    try:
        fused, eager = fused_draw(logits, uniforms), draw(logits, uniforms)
    except (RuntimeError, AttributeError, TypeError, OSError, subprocess.SubprocessError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"Triton does not work on {device}, so draws are slower: {reason}", RuntimeWarning, stacklevel=2)
        return False
    same = torch.equal(fused.token_ids, eager.token_ids)
    same &= torch.allclose(fused.entropies, eager.entropies, rtol=0, atol=TOLERANCE)
    same &= torch.allclose(fused.logprobs, eager.logprobs, rtol=0, atol=TOLERANCE)
    if not same:
        warnings.warn(f"Triton is wrong on {device}, so it is not used", RuntimeWarning, stacklevel=2)
    return same


def fused_draw(logits: Tensor, uniforms: Tensor) -> Draw:
    """Measure and sample one decoding step at temperature 1.

    Parameters
    ----------
    logits : Tensor
        (B, V), any float dtype, unit stride along V. -Inf marks an impossible token.
    uniforms : Tensor
        (B,) float64 in [0, 1).

    Returns
    -------
    Draw
        As `entropydx.logits.draw`, whose sums in float64 these are as well: tokens differ where a uniform number
        falls within about 1e-7 of a boundary.
    """
    # Triton comes with CUDA builds of torch only, so it is imported here.
    import triton  # noqa: PLC0415

    from entropydx.engines._triton_kernels import combine_rows, reduce_blocks  # noqa: PLC0415

    n_rows, vocab = logits.shape
    n_blocks = triton.cdiv(vocab, BLOCK)
    device = logits.device
    parts = torch.empty((n_rows, n_blocks, 4), dtype=torch.float64, device=device)
    token_ids = torch.empty(n_rows, dtype=torch.int64, device=device)
    measured = torch.empty((n_rows, 2), dtype=torch.float32, device=device)
    finite = torch.empty(n_rows, dtype=torch.int8, device=device)
    if n_rows:
        reduce_blocks[(n_rows, n_blocks)](logits, logits.stride(0), parts, vocab, n_blocks, BLOCK)
        combine_rows[(n_rows,)](
            logits, logits.stride(0), parts, uniforms, token_ids, measured, finite,
            vocab, n_blocks, triton.next_power_of_2(n_blocks), BLOCK, EPS,
        )  # fmt: skip
    return Draw(token_ids, measured[:, 0], measured[:, 1], finite.bool())
