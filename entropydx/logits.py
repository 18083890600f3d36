"""Exact entropies, log-probabilities and draws from next-token logits: float32, nats, rows in chunks.

Entropies and log-probabilities always describe the model at temperature 1 over the full vocabulary; temperature and
top_p only shape the draw. Shape letters: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CPU_CHUNK_ELEMENTS = 1 << 19
"""Most logits that are raised to float32 at once on a CPU (2 MiB): the temporaries stay in its cache."""
GPU_CHUNK_ELEMENTS = 1 << 24
"""The same elsewhere (64 MiB), where few large kernels are faster; either bounds memory whatever B and V are."""
BLOCK = 512
"""Tokens summed at the lower level of the inverse CDF, so that no running sum spans the whole vocabulary."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One decoding step of B rows."""

    token_ids: Tensor
    """(B,) int64."""
    logprobs: Tensor
    """(B,) float32 log-probability of each drawn token, nats, temperature 1."""
    entropies: Tensor
    """(B,) float32 entropy of each row, nats, temperature 1; in [0, ln V]."""
    finite: Tensor
    """(B,) bool; False where the row held NaN or +Inf, or only -Inf: its other entries mean nothing."""


def _row_chunks(rows: Tensor) -> Iterator[slice]:
    most = CPU_CHUNK_ELEMENTS if rows.device.type == "cpu" else GPU_CHUNK_ELEMENTS
    step = max(1, most // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        yield slice(start, min(start + step, rows.shape[0]))


def _entropy(logp: Tensor, p: Tensor) -> Tensor:
    # A masked token has p = 0 and log p = -inf; its contribution is the limit of p ln p, which is 0.
    negative: Tensor = torch.linalg.vecdot(p, logp.clamp_min(torch.finfo(logp.dtype).min))
    return -negative


def entropy_from_logits(logits: Tensor) -> Tensor:
    """Return the Shannon entropy of softmax(logits), in nats.

    Parameters
    ----------
    logits : Tensor
        (..., V), any float dtype. -Inf marks an impossible token. NaN or +Inf make the entropy NaN.

    Returns
    -------
    Tensor
        (...) float32, in [0, ln V]: H = -Σ p ln p, computed from a float32 log-softmax (shift-invariant).
    """
    flat = logits.reshape(-1, logits.shape[-1])
    out = torch.empty(flat.shape[0], dtype=torch.float32, device=logits.device)
    for rows in _row_chunks(flat):
        logp = torch.log_softmax(flat[rows].float(), dim=-1)
        out[rows] = _entropy(logp, logp.exp())
    return out.reshape(logits.shape[:-1])


def logprobs_from_logits(logits: Tensor, token_ids: Tensor) -> Tensor:
    """Return the log-probability of one token per position, in nats.

    Parameters
    ----------
    logits : Tensor
        (..., V), any float dtype.
    token_ids : Tensor
        (...) integers in [0, V).

    Returns
    -------
    Tensor
        (...) float32, at most 0.
    """
    flat, ids = logits.reshape(-1, logits.shape[-1]), token_ids.reshape(-1, 1).long()
    out = torch.empty(flat.shape[0], dtype=torch.float32, device=logits.device)
    for rows in _row_chunks(flat):
        chunk = flat[rows].float()
        out[rows] = chunk.gather(-1, ids[rows]).squeeze(-1) - chunk.logsumexp(-1)
    return out.reshape(token_ids.shape)


def measure(logits: Tensor, token_ids: Tensor) -> Draw:
    """Measure given tokens as `draw` measures those that it draws: one log-softmax for both numbers.

    Parameters
    ----------
    logits : Tensor
        (..., V), any float dtype. -Inf marks an impossible token.
    token_ids : Tensor
        (...) integers in [0, V).

    Returns
    -------
    Draw
        (...) each; an impossible token has log-probability -Inf. Rows with NaN or +Inf are flagged.
    """
    flat, ids = logits.reshape(-1, logits.shape[-1]), token_ids.reshape(-1).long()
    logprobs, entropies = (torch.empty(len(ids), dtype=torch.float32, device=logits.device) for _ in range(2))
    finite = torch.empty(len(ids), dtype=torch.bool, device=logits.device)
    for rows in _row_chunks(flat):
        logp = torch.log_softmax(flat[rows].float(), dim=-1)
        logprobs[rows] = logp.gather(-1, ids[rows, None]).squeeze(-1)
        entropies[rows] = _entropy(logp, logp.exp())
        finite[rows] = torch.isfinite(flat[rows].amax(-1))
    return Draw(token_ids, *(x.reshape(token_ids.shape) for x in (logprobs, entropies, finite)))


def top_p_weights(weights: Tensor, top_p: float) -> Tensor:
    """Zero every weight outside the nucleus: the smallest set of likeliest tokens whose mass reaches `top_p`.

    Parameters
    ----------
    weights : Tensor
        (B, V) probabilities.
    top_p : float
        In (0, 1]; 1 keeps everything. The likeliest token always stays.

    Returns
    -------
    Tensor
        (B, V), not renormalised. Source: Holtzman et al. 2020, arXiv:1904.09751, §3.1.
    """
    if top_p >= 1:
        return weights
    ordered, order = weights.sort(dim=-1, descending=True, stable=True)
    mass_before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(mass_before >= top_p * ordered.sum(-1, keepdim=True), 0.0)
    return torch.zeros_like(weights).scatter_(-1, order, ordered)


def _first_above(cumulative: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first index whose running sum exceeds the target, and what the target has left there.

    The target is held below the last running sum, so an index always exists; and because the running sum rises
    strictly at that index, its weight is never zero.
    """
    top = cumulative[:, -1] * (1 - torch.finfo(cumulative.dtype).eps)
    target = torch.minimum(target, top)
    index = (cumulative <= target[:, None]).sum(-1)
    before = torch.nn.functional.pad(cumulative, (1, 0)).gather(-1, index[:, None]).squeeze(-1)
    return index, target - before


def inverse_cdf(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Draw one token per row by inverting the cumulative distribution at a given uniform number.

    Two levels (blocks of 512 tokens, then the tokens of one block), each summed in double precision, so that
    rounding over a vocabulary of 150 thousand moves no boundary by more than about 1e-7 of the mass.

    Parameters
    ----------
    weights : Tensor
        (B, V) float32, non-negative, some positive in each row; need not sum to 1.
    uniforms : Tensor
        (B,) in [0, 1).

    Returns
    -------
    Tensor
        (B,) int64. A token of weight zero is never drawn.
    """
    double = torch.float32 if weights.device.type == "mps" else torch.float64
    n_rows, vocab = weights.shape
    blocks = torch.nn.functional.pad(weights, (0, -vocab % BLOCK)).view(n_rows, -1, BLOCK)
    cumulative = blocks.sum(-1, dtype=double).cumsum(-1)
    block, rest = _first_above(cumulative, uniforms.to(double) * cumulative[:, -1])
    inside = blocks[torch.arange(n_rows, device=weights.device), block].to(double).cumsum(-1)
    offset, _ = _first_above(inside, rest)
    return block * BLOCK + offset


def _draw_rows(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Draw:
    logits = logits.float()
    peak = logits.amax(-1)
    logp = torch.log_softmax(logits, dim=-1)
    weights = logp.exp()
    entropies = _entropy(logp, weights)
    if temperature == 0:
        token_ids = logits.argmax(-1)
    else:
        if temperature != 1:
            # The peak goes to 0 first, so that a very small temperature cannot overflow.
            weights = torch.softmax((logits - peak[:, None]) / temperature, dim=-1)
        token_ids = inverse_cdf(top_p_weights(weights, top_p), uniforms)
    logprobs = logp.gather(-1, token_ids[:, None]).squeeze(-1)
    # amax passes NaN on, so one number per row tells NaN, +Inf and "nothing is possible" from a usable row.
    return Draw(token_ids, logprobs, entropies, torch.isfinite(peak))


def draw(logits: Tensor, uniforms: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Draw:
    """Measure and sample one decoding step from the same log-softmax.

    Parameters
    ----------
    logits : Tensor
        (B, V), any float dtype. -Inf marks an impossible token.
    uniforms : Tensor
        (B,) in [0, 1): the one random number that each row consumes. Ignored when `temperature` is 0.
    temperature : float
        At least 0; 0 takes the likeliest token, the first one on a tie. Shapes the draw only.
    top_p : float
        In (0, 1], applied after the temperature. Shapes the draw only.

    Returns
    -------
    Draw
        A row with NaN or +Inf is flagged, never an exception, and does not disturb the other rows.
    """
    parts = [_draw_rows(logits[r], uniforms[r], temperature, top_p) for r in _row_chunks(logits)]
    if len(parts) == 1:
        return parts[0]
    return Draw(
        torch.cat([p.token_ids for p in parts]),
        torch.cat([p.logprobs for p in parts]),
        torch.cat([p.entropies for p in parts]),
        torch.cat([p.finite for p in parts]),
    )
