"""Whether a completion depends on its prompt: template collapse, after RAGEN-2 (arXiv:2604.06268 [S]).

## What it measures
The first M <= 16 prompts x_j and the first completion z_i of each (its first 128 tokens), every z_i scored after every
x_j at temperature 1.
- `mutual_information`, nats per completion: I = mean_i [log p(z_i|x_i) - log (1/M) sum_j p(z_i|x_j)], <= ln M. It is 0
  when prompts do not matter.
- `mutual_information_share` = I / ln M, in (-inf, 1]; `per_token`, nats per token: the sum of the bracket over the sum
  of tokens.
- `retrieval_accuracy`, in [0, 1]: how often the completion's own prompt gives it the highest probability; m prompts
  within 1e-4 nats of each other (rounding of a float32 sum) share the place. Chance is 1/M.
The M prompts are a sample twice over: as rows (whose completion) and as columns (which alternatives). Resampling both
would put a prompt beside its own copy, from which nothing can tell it, and so pull every resample of a perfect model
below ln M; intervals therefore resample rows, with the M alternatives held fixed. I has a ceiling that most completions
of a healthy model reach, so that 16 of them may show no sign of the few that do not: the lower end is lowered to that
of a Bayesian bootstrap with one more prompt at 0, a bound on the mean of bounded values (Gaffke 2005 [M], proven for
special cases only). For prompts drawn anew, intervals of a nominal 98.75 % then covered the truth of simulated models
in 94 to 100 % of draws (slow test), and intervals of the change in 97 to 99 %.

## What confounds it
Healthy models sit near the ceiling ln M, where I cannot tell good from better: read `per_token` and the change. Copying
the prompt is dependence too. Prompts that resemble each other, or have the same answer, lower I whatever the model.
`mutual_information` in nats compares at equal M only. Completions drawn at another temperature are scored at 1 all the
same. How strongly I goes with performance is reported by a page of low confidence; no threshold is known.

## What it costs
Beyond the main draw: one forward pass over M² <= 256 passages of at most 128 tokens (and their prompts), for checkpoint
and baseline each, scored and not decoded. The paper's N² K passes are bounded by K = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log

import numpy as np
from scipy import special

from entropydx import stats
from entropydx.probes._scored import absent, noted
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Interval, Measurement, Missing, Requires, Samples

NAMES = ("mutual_information", "mutual_information_share", "per_token", "retrieval_accuracy")
TIE = 1e-4
"""nats"""
_SPACINGS = 40_000
"""Ten times the bootstrap's replicates: the bound is read far out in one tail."""
_Build = Callable[["Cross"], stats.Statistic]


@dataclass(frozen=True, slots=True, eq=False)
class Cross:
    """M completions, each scored after M prompts."""

    ids: tuple[str, ...]
    """The M prompts, in the order of their scores."""
    logprobs: FloatArray
    """(M, M) log p(z_i | x_j), nats."""
    n_tokens: FloatArray
    """(M,) scored tokens of z_i."""

    @classmethod
    def of(cls, samples: Samples) -> Cross | str:
        """Gather the scores of the cross pass, or return why there is nothing to measure."""
        reason = absent(samples, "cross")
        if reason is not None:
            return reason
        scores = {(s.source_id, s.prompt_id): s for s in samples.scores["cross"]}
        ids = tuple(dict.fromkeys(source for source, _ in scores))
        pairs = [[scores.get((i, j)) for j in ids] for i in ids]
        rows = [[s for s in row if s is not None] for row in pairs]
        n_held = sum(map(len, rows))
        if len(ids) < 2 or n_held < len(ids) ** 2:
            return (
                f"needs every completion after every one of 2 or more prompts, has {n_held} of {len(ids) ** 2} scores"
            )
        logprobs = np.array([[float(np.sum(s.logprobs, dtype=float)) for s in row] for row in rows])
        if not np.isfinite(logprobs).all():
            return "a score is not a finite number"
        if any(len({len(s.token_ids) for s in row}) > 1 for row in rows):
            # A pass ends at a token of probability 0: in a sum, the tokens behind it would count as certain.
            return "a completion could not be scored to its end after every prompt"
        return cls(ids, logprobs, np.array([float(len(row[0].token_ids)) for row in rows]))

    def ordered_as(self, ids: tuple[str, ...]) -> Cross | None:
        """Return the same scores in another order of the prompts; None when the prompts are not the same."""
        if sorted(ids) != sorted(self.ids):
            return None
        order = [self.ids.index(i) for i in ids]
        return Cross(ids, self.logprobs[np.ix_(order, order)], self.n_tokens[order])

    @property
    def information(self) -> FloatArray:
        """(M,) log p(z_i|x_i) - log (1/M) sum_j p(z_i|x_j), nats."""
        pooled = special.logsumexp(self.logprobs, axis=1) - log(len(self.ids))
        found: FloatArray = np.diag(self.logprobs) - pooled
        return found

    @property
    def hits(self) -> FloatArray:
        """(M,) 1 where the own prompt gives the highest probability, 1/m where m tie with it, 0 elsewhere."""
        near = self.logprobs >= self.logprobs.max(axis=1, keepdims=True) - TIE
        found: FloatArray = np.diag(near) / near.sum(axis=1)
        return found


class InputDependence:
    """Mutual information between prompts and completions, and retrieval of the prompt."""

    requires = Requires(scores=("cross",))

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return information, its share and its rate, and retrieval, with paired changes on the same prompts."""
        ours = Cross.of(samples)
        if isinstance(ours, str):
            return [Missing(name=f"input_dependence.{n}", reason=ours) for n in NAMES]
        theirs, why_none = self._baseline(ours, baseline)
        same = baseline is not None and _same(samples, baseline)
        population = stats.Population(n_prompts=len(ours.ids), seed=samples.params.seed, same=same)
        m = len(ours.ids)

        def row(name: str, unit: str, build: _Build, bounds: Interval, note: str | None = None) -> Measurement:
            base = None if theirs is None else build(theirs)
            found = population.estimate(f"input_dependence.{name}", unit, build(ours), base, bounds=bounds)
            return noted(noted(found, why_none), note)

        def information(name: str, unit: str, scale: float, build: _Build, note: str | None = None) -> Measurement:
            values = scale * ours.information
            found = row(name, unit, build, (min(0.0, float(values.min())), scale * log(m)), note)
            return _lowered(found, values, population.seed)

        return [
            information("mutual_information", "nats per completion", 1.0, _mean(1.0), f"at most ln {m} = {log(m):.3g}"),
            information("mutual_information_share", "share of ln M", 1 / log(m), _mean(1 / log(m))),
            information("per_token", "nats/token", 1 / max(ours.n_tokens.mean(), 1.0), _per_token),
            row("retrieval_accuracy", "share of completions", _retrieval, (0, 1), f"chance is 1/{m} = {1 / m:.3g}"),
        ]

    @staticmethod
    def _baseline(ours: Cross, baseline: Samples | None) -> tuple[Cross | None, str | None]:
        """Return the baseline's scores in our order, or the note that says why no change is given."""
        if baseline is None:
            return None, None
        theirs = Cross.of(baseline)
        if isinstance(theirs, str):
            return None, f"no change: the baseline's scores: {theirs}"
        aligned = theirs.ordered_as(ours.ids)
        return aligned, None if aligned else "no change: the baseline was scored on other prompts"


def _same(samples: Samples, baseline: Samples) -> bool:
    return samples.checkpoint.fingerprint == baseline.checkpoint.fingerprint and samples.params == baseline.params


def _mean(scale: float) -> _Build:
    return lambda cross: stats.mean_statistic(scale * cross.information)


def _per_token(cross: Cross) -> stats.Statistic:
    return stats.ratio_statistic(cross.information, cross.n_tokens)


def _retrieval(cross: Cross) -> stats.Statistic:
    return stats.mean_statistic(cross.hits)


def lower_bound(values: FloatArray, floor: float, seed: int) -> float:
    """Return a lower bound on the mean of values that are never below `floor`, at the tail of every interval.

    The values are weighted by uniform spacings, with one more value at the floor (Gaffke 2005). Where all values are
    equal it is the exact binomial bound between them and the floor.
    """
    sums = _spacings(len(values) + 1, seed) @ np.append(values, floor)
    return float(np.quantile(sums, stats.tail()))


@lru_cache(maxsize=4)
def _spacings(n: int, seed: int) -> FloatArray:
    """Return uniform spacings of the unit interval, (draws, n), each row summing to 1."""
    return np.random.Generator(np.random.Philox(key=seed)).dirichlet(np.ones(n), size=_SPACINGS)


def _lowered(found: Measurement, values: FloatArray, seed: int) -> Measurement:
    """Lower the interval's lower end to the bound that a ceiling and 16 prompts leave."""
    if isinstance(found, Missing) or found.ci is None:
        return found
    bound = lower_bound(values, min(0.0, float(values.min())), seed)
    return replace(found, ci=(min(found.ci[0], bound), found.ci[1]))


probe: Probe = InputDependence()
