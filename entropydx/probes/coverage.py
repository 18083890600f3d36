"""What the checkpoint can still reach in many tries, against its baseline: coverage, support, variety at equal length.

## What it measures
With pass@k the unbiased estimate of Chen et al. 2021 (arXiv:2107.03374) for k = 1..K on the prompts that both have
(the curve itself at powers of two is `sampling_spread.pass_at_*`), changes are checkpoint minus baseline:
- `delta_at_1`, `delta_at_max` (k = K), `area_delta` (mean over k on a logarithmic grid, the integral of the change over
  ln k, divided by ln K): shares in [-1, 1], paired. RL that only sharpens raises the first and lowers the second.
- `crossing_k`, in 1..K: the smallest k at which the baseline's curve lies above. 1 when it lies above from the start.
  In the interval a resample whose curves do not cross counts as K + 1. Base models overtake at k of tens to hundreds
  (arXiv:2504.13837 [P README]), 128 to 1024 [N]: mostly beyond the K of a diagnosis, and then this is missing.
- Support (arXiv:2507.14843 [N]): a prompt is reached when one of K completions is right. With P reached by both, S by
  the baseline only, E by the checkpoint only: `support_retention` SRR = P/(P+S), `net_discovery` NDR = E/(P+E),
  `net_support_change` NSCR = (E-S)/(P+S+E) in [-1, 1]. `newly_reached` = E over the prompts that the baseline does not
  reach. SRR .93 to .99, NDR up to .04 and NSCR -.01 to -.06 is normal RL with verifiable rewards [N].
- `correct_diversity`, `wrong_diversity`, in [0, 1]: of two right (wrong) completions of a prompt, the mean distance of
  their texts, 1 - Jaccard of the sets of adjacent words, numbers and marks (this project's choice), over the pairs that
  differ in length by at most 20 % of the longer. The change is over the prompts on which both have such a pair.

## What confounds it
"Reached in K" is itself a draw: of two equal models with chance p on a prompt SRR is not 1 but
E[(1-(1-p)^K)²] / E[1-(1-p)^K] under independent noise, so read SRR next to its interval and at equal K only. A
crossing of two curves that nearly coincide is noise: its note says how many resamples cross. Saturated tasks have
neither shrinkage nor discovery. Chance: with a small answer space any model reaches everything. A change of format
alone is a distance. Label coverage loss, not capability loss: K is far below the k at which papers dispute it.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from entropydx import stats
from entropydx.probes._change import change
from entropydx.probes._diversity import pairwise_distance
from entropydx.probes._drawn import first
from entropydx.probes._paired import NO_BASELINE, Build, Paired, strata
from entropydx.probes._votes import n_right
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, Interval, Measurement, Missing, Requires, Samples

SHARE = "share"
AGAINST_BASELINE = (
    *("delta_at_1", "delta_at_max", "area_delta", "crossing_k"),
    *("support_retention", "net_discovery", "net_support_change", "newly_reached"),
)
DIVERSITIES = {"correct_diversity": True, "wrong_diversity": False}
_SAME = 1e-9
"""Difference of two pass@k below which rounding decides."""


def curve(groups: tuple[Group, ...], max_k: int) -> FloatArray:
    """Return pass@k of every prompt for k = 1..max_k, (N, max_k)."""
    n, right = len(groups[0].completions), n_right(groups)
    return np.stack([stats.pass_at_k(n, right, k) for k in range(1, max_k + 1)], axis=1)


def log_grid(max_k: int) -> FloatArray:
    """Return weights (max_k,) that sum to one and integrate over ln k by the trapezoid rule; max_k >= 2."""
    steps = np.diff(np.log(np.arange(1, max_k + 1)))
    weights: FloatArray = np.append(steps, 0.0) + np.insert(steps, 0, 0.0)
    weights /= weights.sum()
    return weights


def _pass(k: int) -> Build:
    return lambda groups: stats.mean_statistic(stats.pass_at_k(len(groups[0].completions), n_right(groups), k))


def _area(max_k: int) -> Build:
    return lambda groups: stats.mean_statistic(curve(groups, max_k) @ log_grid(max_k))


def _lengths(part: Paired) -> int:
    """Return K: the number of completions that every prompt has for both."""
    return min(len(g.completions) for g in (*part.groups, *(part.baseline or ())))


def _crossing(part: Paired, max_k: int) -> Measurement:
    """Return the smallest k at which the baseline's mean pass@k exceeds the checkpoint's."""
    name = "coverage.crossing_k"
    changes = curve(part.groups, max_k) - curve(part.baseline or (), max_k)

    def statistic(weights: FloatArray) -> FloatArray:
        below = stats.divide(weights @ changes, weights.sum(axis=1, keepdims=True)) < -_SAME
        return np.where(below.any(axis=1), 1.0 + np.argmax(below, axis=1), max_k + 1.0)

    if statistic(np.ones((1, len(changes))))[0] > max_k:
        return Missing(name=name, reason=f"the curves do not cross up to K = {max_k}")
    crossed = np.mean(statistic(stats.bootstrap_weights(len(changes), part.population.seed)) <= max_k)
    note = f"the curves cross in {crossed:.0%} of resamples; {max_k + 1} in the interval means that they do not"
    return part.population.estimate(name, "samples", statistic, bounds=(1, max_k + 1), note=note)


def _support(part: Paired, max_k: int) -> list[Measurement]:
    """Return what is kept, lost and found of the prompts that are reached in K tries."""
    ours, theirs = (n_right(first(groups, max_k)) > 0 for groups in (part.groups, part.baseline or ()))
    kept, lost, found, neither = ours & theirs, ~ours & theirs, ours & ~theirs, ~ours & ~theirs
    gained = found.astype(float)
    rows: dict[str, tuple[FloatArray, NDArray[np.bool_], Interval, str]] = {
        "support_retention": (kept.astype(float), kept | lost, (0, 1), "the baseline reaches no prompt"),
        "net_discovery": (gained, kept | found, (0, 1), "the checkpoint reaches no prompt"),
        "net_support_change": (gained - lost, kept | lost | found, (-1, 1), "neither reaches a prompt"),
        "newly_reached": (gained, found | neither, (0, 1), "the baseline reaches every prompt"),
    }
    measured: list[Measurement] = []
    for row, (over, among, bounds, reason) in rows.items():
        name, n = f"coverage.{row}", int(among.sum())
        if n == 0:
            measured.append(Missing(name=name, reason=reason))
            continue
        statistic = stats.ratio_statistic(over, among.astype(float))
        measured.append(part.population.estimate(name, "share of prompts", statistic, bounds=bounds, n=n))
    return measured


def _distances(right: bool) -> Callable[[tuple[Group, ...]], FloatArray]:
    """Return a function from groups to the mean distance of two right (or wrong) completions, (N,) with NaN."""

    def values(groups: tuple[Group, ...]) -> FloatArray:
        texts = [[c.text for c in g.completions if c.grade is not None and (c.grade >= 1) == right] for g in groups]
        return np.array([pairwise_distance(t) for t in texts], dtype=float)

    return values


class Coverage:
    """Coverage in many tries, support, and variety of right and of wrong completions."""

    requires = Requires(n_samples=2, grades=True)

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the changes against the baseline, and the two diversities with or without one."""
        part = next(strata(samples, baseline, samples.params.seed))
        if not part.groups:
            reason = "no prompt was sampled" if not samples.groups else "no prompt in common with the baseline"
            return [Missing(name=f"coverage.{n}", reason=reason) for n in (*AGAINST_BASELINE, *DIVERSITIES)]
        diversities = [
            part.mean_where_defined(f"coverage.{name}", "distance", _distances(right), bounds=(0, 1))
            for name, right in DIVERSITIES.items()
        ]
        return [*self._against(part), *diversities]

    @staticmethod
    def _against(part: Paired) -> list[Measurement]:
        max_k = _lengths(part)
        reason = NO_BASELINE if part.baseline is None else f"needs 2 samples of every prompt, has {max_k}"
        if part.baseline is None or max_k < 2:
            return [Missing(name=f"coverage.{n}", reason=reason) for n in AGAINST_BASELINE]
        return [
            change(part, "coverage.delta_at_1", SHARE, _pass(1), bounds=(0, 1)),
            change(part, "coverage.delta_at_max", SHARE, _pass(max_k), bounds=(0, 1), note=f"k = {max_k}"),
            change(part, "coverage.area_delta", SHARE, _area(max_k), bounds=(0, 1)),
            _crossing(part, max_k),
            *_support(part, max_k),
        ]


probe: Probe = Coverage()
