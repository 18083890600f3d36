"""Per-token entropy of the next-token distribution, on the checkpoint's own samples.

H_t = logsumexp(z_t) - sum_v softmax(z_t)_v z_tv in nats, full vocabulary, temperature 1 whatever temperature sampled.
The stop token's position counts (it is a decision of the policy); prompt positions do not.

## What it measures
`mean` over tokens, `seq_mean` over completions (Cui et al. 2025, arXiv:2505.22617, eq. 5), `p50`, `p80`, `p95`, the
share below 0.01 nats and above 0.672 nats (the two landmarks of Wang et al. 2025, arXiv:2506.01939, read on Qwen3-8B:
model- and domain-specific, so features and never verdicts), `fork_share`: tokens above the *baseline's* 80th
percentile (0.20 for the baseline itself), `fork_mass_ratio`: the entropy on those tokens, per token, against the
baseline's, `mean_ratio` to the baseline, and `normalized`: mean / ln V, 1 for a uniform model.

## What confounds it
Easy prompts, short answers, boilerplate, a temperature other than 1 at sampling, truncation, and post-training in
general. Compare with a baseline on the same prompts.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from entropydx import stats
from entropydx.probes._paired import NO_BASELINE, Paired, strata
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, Interval, Measurement, Missing, Requires, Samples, known

NEAR_ZERO = 0.01
"""nats; half of the tokens of Qwen3-8B lie below it (arXiv:2506.01939)."""
FORK_LANDMARK = 0.672
"""nats; the 80th percentile of Qwen3-8B (arXiv:2506.01939)."""
FORK_QUANTILE = 0.8
QUANTILES = {"p50": 0.5, "p80": FORK_QUANTILE, "p95": 0.95}
UNIT = "nats/token"


def entropies(group: Group) -> FloatArray:
    """Return the entropies of all tokens of a group, (sum of T,) nats."""
    return np.concatenate([np.asarray(known(c.entropies), dtype=float) for c in group.completions])


def _token_mean(groups: tuple[Group, ...], per: float = 1.0) -> stats.Statistic:
    tokens = [entropies(g) for g in groups]
    return stats.ratio_statistic(np.array([t.sum() / per for t in tokens]), np.array([float(len(t)) for t in tokens]))


def _sequence_mean(groups: tuple[Group, ...]) -> stats.Statistic:
    means = [[float(np.mean(known(c.entropies))) for c in g.completions if c.n_tokens] for g in groups]
    return stats.mean_statistic(np.array([np.mean(m) if m else np.nan for m in means]))


def _share(keep: Callable[[FloatArray], NDArray[np.bool_]]) -> Callable[[tuple[Group, ...]], stats.Statistic]:
    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        tokens = [entropies(g) for g in groups]
        kept = np.array([float(np.count_nonzero(keep(t))) for t in tokens])
        return stats.ratio_statistic(kept, np.array([float(len(t)) for t in tokens]))

    return build


def _mass(fork: float) -> Callable[[tuple[Group, ...]], stats.Statistic]:
    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        tokens = [entropies(g) for g in groups]
        above = np.array([t[t > fork].sum() for t in tokens])
        return stats.ratio_statistic(above, np.array([float(len(t)) for t in tokens]))

    return build


def _quantile(q: float) -> Callable[[tuple[Group, ...]], stats.Statistic]:
    return lambda groups: stats.quantile_statistic([entropies(g) for g in groups], q)


def _bounds(samples: Samples, baseline: Samples | None) -> Interval | None:
    """Return between what the entropy of a token lies, 0 and ln V; None where the vocabulary's size is not told."""
    largest = max(s.checkpoint.vocab_size for s in (samples, baseline) if s is not None)
    return (0.0, float(np.log(largest))) if largest > 1 else None


class TokenEntropy:
    """How undecided the policy is at each token."""

    requires = Requires(entropies=True)

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the levels over all prompts, and mean, ratio and fork share of every stratum."""
        found: list[Measurement] = []
        bounds = _bounds(samples, baseline)
        for part in strata(samples, baseline, samples.params.seed):
            found += self._stratum(part, bounds)
            if not part.suffix:
                found += self._overall(part, samples.checkpoint.vocab_size)
        return found

    def _stratum(self, part: Paired, bounds: Interval | None) -> list[Measurement]:
        return [
            part.estimate("token_entropy.mean", UNIT, _token_mean, per_token=True),
            part.ratio("token_entropy.mean_ratio", _token_mean, bounds=bounds),
            *self._forks(part, bounds),
        ]

    def _overall(self, part: Paired, vocab_size: int) -> list[Measurement]:
        found = [part.estimate("token_entropy.seq_mean", UNIT, _sequence_mean, per_token=True)]
        for name, q in QUANTILES.items():
            found.append(part.estimate(f"token_entropy.{name}", UNIT, _quantile(q), per_token=True))
        for name, keep in {
            "share_near_zero": lambda h: h < NEAR_ZERO,
            "share_above_fork_landmark": lambda h: h > FORK_LANDMARK,
        }.items():
            found.append(
                part.estimate(f"token_entropy.{name}", "share of tokens", _share(keep), bounds=(0, 1), per_token=True)
            )
        found.append(self._normalized(part, vocab_size))
        return found

    @staticmethod
    def _normalized(part: Paired, vocab_size: int) -> Measurement:
        name = "token_entropy.normalized"
        if vocab_size < 2:
            return Missing(name=name, reason="the engine did not report the vocabulary's size")

        def build(groups: tuple[Group, ...]) -> stats.Statistic:
            return _token_mean(groups, np.log(vocab_size))

        return part.estimate(name, "share of ln V", build, bounds=(0, 1), per_token=True)

    @staticmethod
    def _forks(part: Paired, bounds: Interval | None) -> list[Measurement]:
        """Return the share of fork tokens, and the entropy on them as a ratio to the baseline's."""
        share, mass = "token_entropy.fork_share", "token_entropy.fork_mass_ratio"
        pooled = None if part.baseline is None else np.concatenate([np.array([]), *map(entropies, part.baseline)])
        if pooled is None or len(pooled) == 0 or part.apart is not None:
            why = part.apart or "the baseline produced no tokens"
            reason = NO_BASELINE if pooled is None else why
            return [Missing(name=name + part.suffix, reason=reason) for name in (share, mass)]
        fork = float(np.quantile(pooled, FORK_QUANTILE))
        note = f"forks lie above {fork:.3g} nats, the baseline's 80th percentile, held fixed in the interval"
        counted = part.estimate(share, "share of tokens", _share(lambda h: h > fork), bounds=(0, 1), note=note)
        return [counted, part.ratio(mass, _mass(fork), note, bounds=bounds)]


probe: Probe = TokenEntropy()
