"""The Triton kernels of `_triton.py`: importing this module needs Triton.

Triton reads a kernel's source, so every statement here must be in its language. Sums are in float64; sources of the
two-level inversion are `entropydx.logits`.
"""

import triton
import triton.language as tl


@triton.jit
def first_above(running, weights, target, index, size):  # type: ignore[no-untyped-def]
    """Return the first index whose running sum exceeds the target and whose weight is above zero."""
    # A scan in parallel may round two equal running sums apart, so the weight itself is looked at.
    above = tl.min(tl.where((running > target) & (weights > 0), index, size))
    last = tl.max(tl.where(weights > 0, index, 0))
    return tl.where(above < size, above, last)


@triton.jit  # type: ignore[untyped-decorator]
def reduce_blocks(logits, stride, parts, vocab, n_blocks, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write max x, Z = Σ w, Σ w d and the number of NaN and +Inf of one block; d = x - max x, w = exp d."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = part * block + tl.arange(0, block)
    x = tl.load(logits + row * stride + column, mask=column < vocab, other=-float("inf")).to(tl.float32)
    unusable = tl.sum(((x != x) | (x == float("inf"))).to(tl.int32))  # noqa: PLR0124 - NaN
    peak = tl.max(tl.where(x == x, x, -float("inf")))  # noqa: PLR0124
    shifted = tl.where(x > -float("inf"), x - peak, 0.0)
    weights = tl.where(x > -float("inf"), tl.exp(shifted), 0.0)
    out = parts + (row * n_blocks + part) * 4
    tl.store(out, peak.to(tl.float64))
    tl.store(out + 1, tl.sum(weights.to(tl.float64)))
    tl.store(out + 2, tl.sum((weights * shifted).to(tl.float64)))
    tl.store(out + 3, unusable.to(tl.float64))


@triton.jit  # type: ignore[untyped-decorator]
def combine_rows(  # type: ignore[no-untyped-def] # noqa: PLR0913, PLR0917
    logits, stride, parts, uniforms, token_ids, measured, finite,
    vocab, n_blocks, padded: tl.constexpr, block: tl.constexpr, eps: tl.constexpr,
):  # fmt: skip
    """Combine the blocks of one row: its entropy, its token by the inverse CDF, and the token's log-probability."""
    row = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, padded)
    source, inside = parts + (row * n_blocks + part) * 4, part < n_blocks
    peaks = tl.load(source, mask=inside, other=-float("inf"))
    peak = tl.max(peaks)
    below = tl.where(peaks > -float("inf"), peaks - peak, 0.0)
    scale = tl.where(peaks > -float("inf"), tl.exp(below.to(tl.float32)).to(tl.float64), 0.0)
    sums = tl.load(source + 1, mask=inside, other=0.0)
    weighted = tl.load(source + 2, mask=inside, other=0.0)
    unusable = tl.sum(tl.load(source + 3, mask=inside, other=0.0))
    total = tl.sum(scale * sums)
    log_total = tl.log(total)
    entropy = log_total - tl.sum(scale * (weighted + below * sums)) / total

    running = tl.cumsum(scale * sums, 0)
    target = tl.minimum(tl.load(uniforms + row).to(tl.float64), 1.0 - eps) * total
    chosen = first_above(running, scale * sums, target, part, padded)
    before = tl.sum(tl.where(part < chosen, scale * sums, 0.0))

    column = tl.minimum(chosen, n_blocks - 1) * block + tl.arange(0, block)
    x = tl.load(logits + row * stride + column, mask=column < vocab, other=-float("inf")).to(tl.float32)
    own = tl.max(tl.where(part == chosen, peaks, -float("inf"))).to(tl.float32)
    weights = tl.where(x > -float("inf"), tl.exp(x - own), 0.0).to(tl.float64)
    ratio = tl.sum(tl.where(part == chosen, scale, 0.0))
    token = first_above(tl.cumsum(weights, 0), weights, (target - before) / ratio, column, vocab)
    token = tl.minimum(tl.maximum(token, 0), vocab - 1)
    logit = tl.sum(tl.where(column == token, x, 0.0)).to(tl.float64)
    tl.store(token_ids + row, token.to(tl.int64))
    tl.store(measured + row * 2, (logit - peak - log_total).to(tl.float32))
    tl.store(measured + row * 2 + 1, tl.maximum(entropy, 0.0).to(tl.float32))
    tl.store(finite + row, ((unusable == 0) & (peak > -float("inf"))).to(tl.int8))
