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


def _double(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _block_sums(weights: Tensor) -> Tensor:
    """Return the sums of the blocks of 512 tokens, (B, ceil(V / 512)), in double precision."""
    vocab = weights.shape[1]
    whole, double = vocab - vocab % BLOCK, _double(weights.device)
    sums: Tensor = weights[:, :whole].reshape(len(weights), -1, BLOCK).sum(-1, dtype=double)
    if whole == vocab:
        return sums
    return torch.cat([sums, weights[:, whole:].sum(-1, dtype=double)[:, None]], dim=1)


@dataclass(frozen=True, slots=True)
class _Row:
    """What B rows are measured from, exponentiated once: with d = x - max x, w = exp d and Z = Σ w."""

    peak: Tensor
    """(B,) max x. amax passes NaN on, so it tells NaN, +Inf and "nothing is possible" from a usable row."""
    shifted: Tensor
    """(B, V) d, float32."""
    weights: Tensor
    """(B, V) w, float32, in [0, 1]."""
    sums: Tensor
    """(B, blocks) of w, double."""

    @classmethod
    def of(cls, logits: Tensor) -> _Row:
        """Exponentiate (B, V) logits of any float dtype."""
        peak = logits.amax(-1).float()
        shifted = logits.float() - peak[:, None]
        weights = shifted.exp()
        return cls(peak, shifted, weights, _block_sums(weights))

    def logprobs(self, token_ids: Tensor) -> Tensor:
        """Return (B,) d - ln Z of one token per row, nats."""
        return (self.shifted.gather(-1, token_ids[:, None]).squeeze(-1) - self.sums.sum(-1).log()).float()

    def entropies(self) -> Tensor:
        """Return (B,) H = ln Z - Σ w d / Z, nats; `shifted` loses its infinities."""
        total = self.sums.sum(-1)
        # A masked token has weight 0 and logit -inf; its contribution is the limit of p ln p, which is 0.
        weighted = torch.linalg.vecdot(self.weights, self.shifted.clamp_min_(torch.finfo(torch.float32).min))
        entropies: Tensor = (total.log() - weighted / total).clamp_min(0)
        return entropies.float()


def entropy_from_logits(logits: Tensor) -> Tensor:
    """Return the Shannon entropy of softmax(logits), in nats.

    Parameters
    ----------
    logits : Tensor
        (..., V), any float dtype. -Inf marks an impossible token. NaN or +Inf make the entropy NaN.

    Returns
    -------
    Tensor
        (...) float32, in [0, ln V]: H = -Σ p ln p, computed from float32 exponentials (shift-invariant).
    """
    flat = logits.reshape(-1, logits.shape[-1])
    out = torch.empty(flat.shape[0], dtype=torch.float32, device=logits.device)
    for rows in _row_chunks(flat):
        out[rows] = _Row.of(flat[rows]).entropies()
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
    """Measure given tokens as `draw` measures those that it draws: from the same exponentials.

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
        row = _Row.of(flat[rows])
        logprobs[rows], finite[rows] = row.logprobs(ids[rows]), torch.isfinite(row.peak)
        entropies[rows] = row.entropies()
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


def _invert(weights: Tensor, sums: Tensor, uniforms: Tensor) -> Tensor:
    cumulative, vocab = sums.cumsum(-1), weights.shape[1]
    block, rest = _first_above(cumulative, uniforms.to(sums.dtype) * cumulative[:, -1])
    columns = block[:, None] * BLOCK + torch.arange(BLOCK, device=weights.device)
    inside = weights.gather(-1, columns.clamp_max(vocab - 1)).to(sums.dtype).masked_fill(columns >= vocab, 0)
    offset, _ = _first_above(inside.cumsum(-1), rest)
    return block * BLOCK + offset


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
    return _invert(weights, _block_sums(weights), uniforms)


def _draw_rows(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Draw:
    row = _Row.of(logits)
    if temperature == 0:
        token_ids = logits.argmax(-1)
    elif temperature == 1 and top_p >= 1:
        token_ids = _invert(row.weights, row.sums, uniforms)
    else:
        # The peak is at 0, so that a very small temperature cannot overflow.
        weights = row.weights if temperature == 1 else torch.softmax(row.shifted / temperature, dim=-1)
        token_ids = inverse_cdf(top_p_weights(weights, top_p), uniforms)
    return Draw(token_ids, row.logprobs(token_ids), row.entropies(), torch.isfinite(row.peak))


def draw(logits: Tensor, uniforms: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Draw:
    """Measure and sample one decoding step from the same exponentials.

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
