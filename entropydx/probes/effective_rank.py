"""How many directions the hidden states of a completion spread over, and how that number grows along it.

## What it measures
With Z the final-norm, last-layer hidden states of the first t tokens of a completion, centred over the tokens, and q
the singular values of Z divided by their sum, the effective rank is ER = exp(-sum q ln q), in directions, from 1 to
min(t - 1, width). It is taken at t = s, 2s, 3s... (s is the stride, tokens; beyond 512 tokens, of the last 512 of the
t, as the authors do); its velocity is ERV_j = ER_j - mean(ER_0, ...,
ER_{j-1}) and its acceleration ERA_j = ERV_j - ERV_{j-1} (Huang et al. 2025, arXiv:2509.23808; formulas read in the
authors' code).

ER grows with length, so everything is compared at *matched* length: t* is the largest multiple of the stride that at
least half of the prompts reach in both checkpoints, and only prompts that reach it in both count. `rank` is ER at t*;
`velocity` and `acceleration` are the means of ERV_j (from two windows on) and ERA_j (from three on) up to t*. All are
means over prompts, of the first completion of each, and the change is paired by prompt. The note says what t* is.

The authors hold that the trade-off of exploration and exploitation is an artefact of token-level metrics, which hidden
states do not show, and shape advantages with rank and velocity. No level is known that tells a healthy checkpoint.

## What confounds it
The text: repetition and boilerplate have a low rank in any model. The width of the model and its precision. A
checkpoint that answers briefly is compared over few windows, or none. Prompts that reach t* are the longer ones.

## What it costs
Beyond the main draw: one forward pass over the first completion of up to 64 prompts, for checkpoint and baseline each
(64 of the N K completions of the main draw, scored and not decoded), and the singular values of every prefix of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from entropydx import stats
from entropydx.probes._paired import Paired, strata
from entropydx.probes._scored import absent, noted, own_prompt
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, IntArray, Measurement, Missing, Requires, Samples

UNIT = "directions"


def velocities(ranks: FloatArray) -> FloatArray:
    """Return ERV_1, ERV_2, ... of the effective ranks ER_0, ER_1, ... over the last axis, one entry fewer."""
    before = np.cumsum(ranks, axis=-1)[..., :-1] / np.arange(1, ranks.shape[-1])
    result: FloatArray = ranks[..., 1:] - before
    return result


def _mean_acceleration(ranks: FloatArray) -> FloatArray:
    result: FloatArray = np.diff(velocities(ranks), axis=-1).mean(axis=-1)
    return result


STATISTICS: dict[str, tuple[int, Callable[[FloatArray], FloatArray]]] = {
    "rank": (1, lambda ranks: ranks[..., -1]),
    "velocity": (2, lambda ranks: velocities(ranks).mean(axis=-1)),
    "acceleration": (3, _mean_acceleration),
}
"""Windows that are needed, and the value of one completion from its ranks up to t* (last axis)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """The ranks of N prompts up to t*, in windows of `stride` tokens; NaN for prompts that do not reach it."""

    stride: int
    n: int
    """Prompts that reach t*."""
    ours: FloatArray
    """(N, t* / stride)"""
    theirs: FloatArray | None
    note: str | None
    """Why there is no change."""


def _ranks(groups: tuple[Group, ...], samples: Samples) -> list[FloatArray | None]:
    """Return the effective ranks of every prompt's first scored completion; None where none was scored."""
    return [scores[0].effective_ranks if scores else None for scores in own_prompt(groups, samples.scores["hidden"])]


def _stride(samples: Samples) -> int:
    return samples.scores["hidden"][0].rank_stride


def _no_change(samples: Samples, baseline: Samples) -> str | None:
    """Return why the baseline's ranks cannot be compared, or None when they can."""
    reason = absent(baseline, "hidden")
    if reason is None and _stride(samples) != _stride(baseline):
        reason = f"the baseline's ranks lie {_stride(baseline)} tokens apart, the checkpoint's {_stride(samples)}"
    return reason


def _match(part: Paired, samples: Samples, baseline: Samples | None) -> _Matched:
    """Cut the ranks of checkpoint and baseline to the length that at least half of the scored prompts reach in both."""
    reason = None if baseline is None else _no_change(samples, baseline)
    ours = _ranks(part.groups, samples)
    theirs = None
    if baseline is not None and part.baseline is not None and reason is None:
        theirs = _ranks(part.baseline, baseline)
    reach = np.array(
        [-1 if a is None or b is None else min(len(a), len(b)) for a, b in zip(ours, theirs or ours, strict=True)],
        dtype=int,
    )
    scored = np.sort(reach[reach >= 0])
    windows = int(scored[len(scored) // 2]) if len(scored) else 0
    return _Matched(
        stride=_stride(samples),
        n=int(np.count_nonzero(reach >= windows)),
        ours=_cut(ours, reach, windows),
        theirs=None if theirs is None else _cut(theirs, reach, windows),
        note=None if reason is None else f"no change: {reason}",
    )


def _cut(ranks: list[FloatArray | None], reach: IntArray, windows: int) -> FloatArray:
    cut = np.full((len(ranks), windows), np.nan)
    for i, r in enumerate(ranks):
        if r is not None and reach[i] >= windows:
            cut[i] = r[:windows]
    return cut


class EffectiveRank:
    """Spread of the hidden states at matched length."""

    requires = Requires(scores=("hidden",))

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return rank, velocity and acceleration over all prompts."""
        reason = absent(samples, "hidden")
        if reason is not None:
            return [Missing(name=f"effective_rank.{name}", reason=reason) for name in STATISTICS]
        part = next(strata(samples, baseline, samples.params.seed))
        matched = _match(part, samples, baseline)
        return [self._one(part, matched, name) for name in STATISTICS]

    @staticmethod
    def _one(part: Paired, matched: _Matched, name: str) -> Measurement:
        needed, value = STATISTICS[name]
        windows = matched.ours.shape[1]
        if windows < needed:
            reason = (
                f"needs {needed} windows of {matched.stride} tokens in half of the prompts of checkpoint and baseline; "
                f"they reach {windows}"
            )
            return Missing(name=f"effective_rank.{name}", reason=reason)
        base = None if matched.theirs is None else stats.mean_statistic(value(matched.theirs))
        found = part.population.estimate(
            f"effective_rank.{name}", UNIT, stats.mean_statistic(value(matched.ours)), base, n=matched.n
        )
        note = f"at the first {windows * matched.stride} tokens, which {matched.n} prompts reach"
        return noted(noted(found, matched.note), note)


probe: Probe = EffectiveRank()
