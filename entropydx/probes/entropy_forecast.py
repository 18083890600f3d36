"""Whether entropy would fall if training went on from here, told from the suite's own grades.

For a softmax policy one step along the policy gradient changes a state's entropy by dH = -eta Cov(log pi, pi A) (Cui et
al. 2025, arXiv:2505.22617, Theorem 1 [P]); one along the natural gradient by dH = -eta Cov(log pi, A) (derived and
checked here). The authors' token score is the second, and so is what is measured: the first needs many samples of one
state, which text never gives. A policy that is surest where it is right loses entropy.

## What it measures
Over all tokens i of the main draw, A_i = (r - mean r) / std r of its prompt's K grades (std with K - 1, as TRL and
verl; 0 in a group whose grades are equal; no epsilon), the token score Cov_i = (log pi_i - mean) (A_i - mean) [P].
- `covariance`, nats: the mean of Cov_i. Positive: entropy would fall.
- `predicted_change` = -covariance, nats per unit of eta. eta is unknown: only sign and relative size speak.
- `share_top_002`, `share_top_02`, `share_top_2`, in [0, 1]: the part of all positive Cov_i that the top 0.02 %, 0.2 %
  and 2 % of the tokens carry; the note of the last names the eight token types that carry most of it.
- `mean_top_2`, nats: mean Cov_i of the top 2 %. Qwen2.5-7B at step 1: top 0.02 % 5.654, 0.2 % 3.112, 2 % 1.385, 20 %
  0.351, all 0.003 [N, matches the paper's Table 1].
- `degenerate_groups`, in [0, 1]: prompts whose K grades are all equal, which give no gradient at all. At a chance p of
  being right it is p^K + (1 - p)^K, so half of the groups are degenerate about p*(K) = 1 - 2^(-1/K), 0.083 at K = 8
  (arXiv:2606.18487 [P abstract]).

## What confounds it
The suite's grades are not the training reward, nor its prompts the training prompts. Log-probabilities are pooled over
positions of different difficulty, as the authors pool them. Clipping, KL, an entropy bonus and the optimiser's own
scaling are not in the theorem. Long completions have more tokens, so they weigh more. In the intervals of the top
shares the token scores are those of the whole batch.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from entropydx import stats
from entropydx.probes._drawn import n_samples, off_policy
from entropydx.probes._paired import Paired, strata
from entropydx.protocols import Probe
from entropydx.types import Completion, FloatArray, Group, Measurement, Missing, Requires, Samples, known

TAILS = {"share_top_002": 0.0002, "share_top_02": 0.002, "share_top_2": 0.02, "mean_top_2": 0.02}
"""Measurement to its part of the tokens."""
N_TYPES = 8
"""Token types that the note names."""
_RANK_BINS = 512
COVARIANCES = ("covariance", "predicted_change")
NO_ADVANTAGE = "no prompt has both better and worse grades, so there is no advantage and no gradient to forecast from"


NO_LOGPROBS = "the engine did not tell the log-probability of every token"


def advantages(grades: FloatArray) -> FloatArray:
    """Return (r - mean) / std with Bessel's correction, (K,); zeros when all K grades are equal."""
    if len(grades) < 2 or np.ptp(grades) == 0:
        return np.zeros(len(grades))
    scaled: FloatArray = (grades - grades.mean()) / grades.std(ddof=1)
    return scaled


def _sound(group: Group) -> list[tuple[Completion, float]]:
    """Return the completions whose log-probabilities are all finite, each with its advantage."""
    pairs = zip(group.completions, advantages(group.grades), strict=True)
    return [(c, float(a)) for c, a in pairs if c.n_tokens and c.logprobs is not None and np.isfinite(c.logprobs).all()]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The sound completions of N prompts, each with its advantage, which every token of it has."""

    rows: list[list[tuple[Completion, float]]]

    @classmethod
    def of(cls, groups: tuple[Group, ...]) -> Batch:
        """Gather the completions of every prompt."""
        return cls([_sound(g) for g in groups])

    @property
    def n_tokens(self) -> int:
        """Tokens of all prompts."""
        return sum(c.n_tokens for row in self.rows for c, _ in row)

    @property
    def has_advantage(self) -> bool:
        """Whether any completion is better or worse than the others of its prompt."""
        return any(a != 0 for row in self.rows for _, a in row)

    @property
    def means(self) -> tuple[float, float]:
        """Mean log-probability and mean advantage over the tokens."""
        n, x, y, _ = self._sums(0.0).sum(axis=0)
        return float(x / n), float(y / n)

    def scores(self) -> list[FloatArray]:
        """Return Cov_i of every token, by prompt, nats."""
        level, advantage = self.means
        nothing = np.array([], dtype=float)
        return [
            np.concatenate(
                [nothing, *((np.asarray(known(c.logprobs), float) - level) * (a - advantage) for c, a in row)]
            )
            for row in self.rows
        ]

    def _sums(self, level: float) -> FloatArray:
        """Return tokens, and over them the sums of x = log pi - level, of A, and of x A, by prompt, (N, 4)."""
        sums = np.zeros((len(self.rows), 4))
        for i, row in enumerate(self.rows):
            for c, a in row:
                x = float((np.asarray(known(c.logprobs), dtype=float) - level).sum())
                sums[i] += (c.n_tokens, x, c.n_tokens * a, x * a)
        return sums

    def covariance(self, sign: float = 1.0) -> stats.Statistic:
        """Return the covariance of log pi with A, times `sign`, as a function of prompt weights."""
        n, x_sum, y_sum, product = self._sums(self.means[0]).T

        def statistic(weights: FloatArray) -> FloatArray:
            total = weights @ n
            means = [stats.divide(weights @ part, total) for part in (product, x_sum, y_sum)]
            return sign * (means[0] - means[1] * means[2])

        return statistic


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The token scores of a batch from the top: n in all, in B ranges of score, each a few per cent longer in rank."""

    ordered: FloatArray
    """(n,) all scores, highest first, nats."""
    counts: FloatArray
    """(N, B) tokens of every prompt in every range, highest range first."""
    sums: FloatArray
    """(N, B) the sum of their scores."""
    positive: FloatArray
    """(N, B) the sum of their positive scores."""

    @classmethod
    def of(cls, batch: Batch) -> Tail:
        """Sort the scores once; ranges are as fine at the very top as there are tokens."""
        scores = batch.scores()
        ordered = np.concatenate(scores)
        ordered.sort()
        ordered = ordered[::-1]
        ranks = np.unique(np.geomspace(1, len(ordered), _RANK_BINS).astype(int))
        starts = np.unique(ordered[ranks - 1])
        n_bins = len(starts) + 1

        def by_range(prompt: FloatArray, values: FloatArray) -> FloatArray:
            totals = np.bincount(np.searchsorted(starts, prompt, side="right"), values, minlength=n_bins)
            return totals[::-1].astype(float)

        return cls(
            ordered,
            np.stack([by_range(s, np.ones(len(s))) for s in scores]),
            np.stack([by_range(s, s) for s in scores]),
            np.stack([by_range(s, np.maximum(s, 0.0)) for s in scores]),
        )

    def mean_top(self, share: float) -> stats.Statistic:
        """Return the mean score of the top `share` of tokens, as a function of prompt weights."""
        top, n_tokens = self._top_sum(share, self.ordered, self.sums), self.counts.sum(axis=1)
        return lambda weights: stats.divide(top(weights), share * (weights @ n_tokens))

    def share_of_positive(self, share: float) -> stats.Statistic:
        """Return the part of all positive scores that the top `share` of tokens carries, likewise."""
        top, total = self._top_sum(share, np.maximum(self.ordered, 0.0), self.positive), self.positive.sum(axis=1)
        return lambda weights: stats.divide(top(weights), weights @ total)

    def _top_sum(self, share: float, ordered: FloatArray, sums: FloatArray) -> stats.Statistic:
        """Return the sum over the top share of tokens: exact at weights of one, else within a range in proportion."""
        target = share * len(ordered)
        whole = int(target)
        exact = ordered[:whole].sum() + (target - whole) * ordered[min(whole, len(ordered) - 1)]

        def statistic(weights: FloatArray) -> FloatArray:
            if len(weights) == 1 and np.all(weights == 1):
                return np.array([exact])
            before = np.zeros((len(weights), 1))
            reached = np.hstack([before, np.cumsum(weights @ self.counts, axis=1)])
            collected = np.hstack([before, np.cumsum(weights @ sums, axis=1)])
            wanted, rows = share * reached[:, -1], np.arange(len(weights))
            end = np.maximum(np.argmax(reached >= wanted[:, None], axis=1), 1)
            inside = stats.divide(wanted - reached[rows, end - 1], reached[rows, end] - reached[rows, end - 1])
            found: FloatArray = collected[rows, end - 1] + inside * (collected[rows, end] - collected[rows, end - 1])
            return found

        return statistic


def _pieces(completion: Completion) -> list[str]:
    """Return the text of every token; the stop token, which writes none, is `<end>`."""
    ends = [int(i) for i in completion.offsets] if completion.offsets is not None else []
    texts = [completion.text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [t or ("<end>" if i == len(texts) - 1 else "<part>") for i, t in enumerate(texts)]


def carriers(batch: Batch, lowest: float) -> str:
    """Return the token types that carry most of the positive scores of at least `lowest`, in words."""
    rows = [pair for row in batch.rows for pair in row]
    if any(c.offsets is None for c, _ in rows):
        return "the tokens are not named: the engine gave no offsets"
    level, advantage = batch.means
    carried: dict[str, float] = defaultdict(float)
    for completion, a in rows:
        scores = (np.asarray(known(completion.logprobs), dtype=float) - level) * (a - advantage)
        kept = np.flatnonzero((scores >= lowest) & (scores > 0))
        pieces = _pieces(completion) if len(kept) else []
        for t in kept:
            carried[pieces[t]] += float(scores[t])
    total = sum(carried.values())
    most = sorted(carried.items(), key=lambda item: (-item[1], item[0]))[:N_TYPES]
    return "carried by " + ", ".join(f"{piece!r} {value / total:.0%}" for piece, value in most)


class EntropyForecast:
    """The covariance that drives the policy's entropy under further training on these grades."""

    requires = Requires(n_samples=2, grades=True)

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the covariance and its tail over all prompts, and the degenerate groups of every stratum."""
        found: list[Measurement] = []
        for part in strata(samples, baseline, samples.params.seed):
            found.append(self._degenerate(part))
            if not part.suffix:
                untold = None if samples.known_logprobs else NO_LOGPROBS
                found += self._forecast(part, off_policy(samples) or untold)
        return found

    @staticmethod
    def _degenerate(part: Paired) -> Measurement:
        name = "entropy_forecast.degenerate_groups"
        if not part.groups:
            return Missing(name=name + part.suffix, reason="no prompt was sampled")
        if n_samples(part.groups) < 2:
            return Missing(name=name + part.suffix, reason="needs 2 samples of every prompt, has 1")
        return part.estimate(
            name,
            "share of prompts",
            lambda groups: stats.mean_statistic(np.array([float(np.ptp(g.grades) == 0) for g in groups])),
            bounds=(0, 1),
        )

    def _forecast(self, part: Paired, wrong_draw: str | None) -> list[Measurement]:
        ours = Batch.of(part.groups)
        reason = wrong_draw
        if reason is None and not ours.has_advantage:
            reason = NO_ADVANTAGE if part.groups else "no prompt was sampled"
        if reason is not None:
            return [Missing(name=f"entropy_forecast.{n}", reason=reason) for n in (*COVARIANCES, *TAILS)]
        theirs = None if part.baseline is None else Batch.of(part.baseline)
        if theirs is not None and not theirs.has_advantage:
            theirs = None
        return [*self._covariances(part, ours, theirs), *self._tails(part, ours, theirs)]

    @staticmethod
    def _covariances(part: Paired, ours: Batch, theirs: Batch | None) -> list[Measurement]:
        def row(name: str, unit: str, sign: float, note: str) -> Measurement:
            base = None if theirs is None else theirs.covariance(sign)
            return part.population.estimate(f"entropy_forecast.{name}", unit, ours.covariance(sign), base, note=note)

        return [
            row("covariance", "nats", 1, "above 0: entropy would fall if training went on with these grades"),
            row("predicted_change", "nats per unit of eta", -1, "eta is unknown: only sign and relative size speak"),
        ]

    @staticmethod
    def _tails(part: Paired, ours: Batch, theirs: Batch | None) -> list[Measurement]:
        own, base = Tail.of(ours), None if theirs is None else Tail.of(theirs)
        found: list[Measurement] = []
        for row, share in TAILS.items():
            name, needed = f"entropy_forecast.{row}", round(1 / share)
            if ours.n_tokens < needed:
                found.append(Missing(name=name, reason=f"needs {needed} tokens, the batch has {ours.n_tokens}"))
                continue
            against = None if base is None or len(base.ordered) < needed else base
            if row == "mean_top_2":
                theirs_top = None if against is None else against.mean_top(share)
                found.append(part.population.estimate(name, "nats", own.mean_top(share), theirs_top))
                continue
            lowest = float(own.ordered[int(share * ours.n_tokens) - 1])
            found.append(
                part.population.estimate(
                    name,
                    "share of positive covariance",
                    own.share_of_positive(share),
                    None if against is None else against.share_of_positive(share),
                    bounds=(0, 1),
                    note=carriers(ours, lowest) if row == "share_top_2" else None,
                )
            )
        return found


probe: Probe = EntropyForecast()
