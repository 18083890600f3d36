"""How sure the model is, how often it is right, and what lies between the two, in domain and out of it.

## What it measures
Two confidences. *Vote*, one per prompt: `modal_share`, the share of the commonest answer among the K samples that state
one. *Span*, one per completion: `span_probability`, exp of the mean log-probability (temperature 1) of the tokens that
write the stated answer. Both in [0, 1].

- `confidence_when_wrong`: mean modal share where the commonest answer is wrong; `span_probability_when_wrong`: mean
  span probability over wrong completions.
- `overconfidence` = confidence of the vote - its correctness, in [-1, 1]. The share of the winner of K noisy shares
  overstates its probability; so the answer is chosen on one half of a prompt's samples and its share is read on the
  other, halves swapped and averaged, which is unbiased for that answer, a vote over K/2 samples.
  `span_overconfidence` = span probability - accuracy over the completions that have a span.
- `overconfidence_out_minus_in`: the gap between these gaps; `domain_gap` = accuracy in domain - out of it. Their
  changes against the baseline are what a teacher's confidence would leave behind: right in domain, surely wrong outside
  (arXiv:2603.24472 reports the accuracies; to set confidence against them, and this confidence, is a choice of ours).
- `brier` (Brier 1950) and `ece` of the span probability over completions, `modal_brier` and `modal_ece` of the modal
  share over prompts. ECE: at most 10 equal-mass bins, each squared gap less its noise as in Kumar et al. (2019,
  arXiv:1909.10155), here over distinct prompts (a generalisation of ours). `auroc`: the chance that a right completion
  has the higher span probability than a wrong one, ties half; 0.5 says nothing, 1 tells all.

Everything over all prompts and `@in`, `@out`. "Right" means a grade of 1.

## What confounds it
Miscalibration is not specific: ordinary reinforcement learning from verifiable rewards itself makes models very
overconfident (arXiv:2601.13284, arXiv:2507.16806), so `ece` and `brier` alone name no failure: read the asymmetry of
the domains, and changes. The modal share has K levels and an upward bias: compare it at equal K only. A small answer
space, a temperature below 1 and easy prompts raise every confidence. A span probability is that of the answer *after*
its reasoning, which may already have decided it: long reasoning brings it near 1. The change of `confidence_when_wrong`
is over the prompts on which checkpoint and baseline are both wrong. The interval of `ece` lies high where the model is
calibrated: its bins cannot be negative.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from entropydx import calibration, stats
from entropydx.probes._paired import Build, Paired, strata
from entropydx.probes._scored import noted
from entropydx.probes._spans import answer_tokens
from entropydx.probes._votes import NONE, RIGHT, Votes, category
from entropydx.protocols import Probe
from entropydx.types import Completion, FloatArray, Group, Measured, Measurement, Missing, Requires, Samples

SHARE = "share"
STRATA = ("", "@in", "@out")
NO_DOMAIN = {
    "@in": "the suite has no in-domain prompts; mark those of the training domain with `domain: in`",
    "@out": "the suite has no out-of-domain prompts; some with `domain: out` would tell whether the confidence is"
    " misplaced outside the training domain only",
}
NO_SPAN = (
    "no completion whose answer's tokens are known: no answer stands in the text, or the engine gives no offsets or "
    "log-probabilities"
)
NOTHING_DRAWN = "nothing was drawn"
NO_COMMON = "no prompt in common with the baseline"
HALVES = "the answer is chosen on one half of a prompt's samples and read on the other"


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What one prompt's completions say of confidence; NaN where there is too little."""

    modal_share: float
    modal_right: float
    """Chance that the vote is right, ties shared."""
    when_wrong: float
    """The modal share, where no answer that ties for the vote is right."""
    overconfidence: float
    """Held-out confidence of the vote less its correctness."""
    accuracy: float
    span_probability: FloatArray
    """(M,) of the completions whose answer's tokens are known."""
    span_right: FloatArray
    """(M,) 1 where such a completion is right, else 0."""

    @classmethod
    def of(cls, group: Group) -> Traits:
        """Read a prompt's completions."""
        votes = Votes.of(group)
        answers = [a for c in group.completions if (a := category(c)) != NONE]
        counts = [n for a, n in votes.counts.items() if a != NONE]
        share = max(counts) / len(answers) if answers else np.nan
        confidence, correctness = calibration.split_half_vote(answers, RIGHT)
        spans = [(p, float(category(c) == RIGHT)) for c in group.completions if (p := span_probability(c)) is not None]
        return cls(
            modal_share=share,
            modal_right=votes.majority if answers else np.nan,
            when_wrong=share if votes.majority == 0 else np.nan,
            overconfidence=confidence - correctness,
            accuracy=votes.n_right / votes.n,
            span_probability=np.array([p for p, _ in spans]),
            span_right=np.array([r for _, r in spans]),
        )


def span_probability(completion: Completion) -> float | None:
    """Return exp(mean log-probability) of the answer's tokens, in [0, 1]; None when unknown or not finite."""
    tokens = answer_tokens(completion)
    if tokens is None or completion.logprobs is None:
        return None
    mean = float(np.mean(np.asarray(completion.logprobs, dtype=float)[tokens]))
    return float(np.exp(mean)) if np.isfinite(mean) else None


Read = Callable[[Traits], float]
SpanStatistic = Callable[[list[FloatArray], list[FloatArray]], stats.Statistic]


class _Rows:
    """The measurements of one stratum, over traits that are read once."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.traits: Mapping[Group, Traits] = {g: Traits.of(g) for g in groups}

    def values(self, read: Read) -> Callable[[tuple[Group, ...]], FloatArray]:
        """Return the function that reads one number per prompt, (N,)."""
        return lambda groups: np.array([read(self.traits[g]) for g in groups], dtype=float)

    def spans(self, statistic: SpanStatistic) -> Build:
        """Return the function that makes a statistic from span probabilities and outcomes."""
        return lambda groups: statistic(
            [self.traits[g].span_probability for g in groups], [self.traits[g].span_right for g in groups]
        )

    def modal(self, statistic: SpanStatistic) -> Build:
        """Return the function that makes a statistic from modal shares and the votes' outcomes."""

        def build(groups: tuple[Group, ...]) -> stats.Statistic:
            voted = [(t, int(np.isfinite(t.modal_share))) for t in (self.traits[g] for g in groups)]
            shares = [np.full(known, t.modal_share) for t, known in voted]
            return statistic(shares, [np.full(known, t.modal_right) for t, known in voted])

        return build

    def stratum(self, part: Paired) -> list[Measurement]:
        """Return every row of one stratum."""
        return [*self._votes(part), *self._spans(part)]

    def _votes(self, part: Paired) -> list[Measurement]:
        levels = f"the share of the vote has {len(part.groups[0].completions)} levels and is biased upwards"
        answered = int(np.isfinite(self.values(lambda t: t.modal_share)(part.groups)).sum())
        rows = [
            noted(self._mean(part, "modal_share", lambda t: t.modal_share, (0, 1)), levels),
            self._mean(part, "confidence_when_wrong", lambda t: t.when_wrong, (0, 1)),
            noted(self._mean(part, "overconfidence", lambda t: t.overconfidence, (-1, 1)), HALVES),
        ]
        for name, statistic in {"brier": calibration.brier_statistic, "ece": calibration.ece_statistic}.items():
            build = self.modal(statistic)
            found = part.estimate(f"confidence.modal_{name}", SHARE, build, bounds=(0, 1), n=answered)
            rows.append(noted(found, levels))
        return rows

    def _mean(self, part: Paired, name: str, read: Read, bounds: tuple[float, float]) -> Measurement:
        found = part.mean_where_defined(f"confidence.{name}", SHARE, self.values(read), bounds=bounds)
        if isinstance(found, Missing) and len(part.groups) > 1:
            return replace(found, reason=_VOTE_REASONS[name])
        return found

    def _spans(self, part: Paired) -> list[Measurement]:
        spans = [self.traits[g] for g in part.groups]
        behind = sum(len(t.span_right) > 0 for t in spans)
        outcomes = np.concatenate([t.span_right for t in spans])
        rows: list[Measurement] = []
        for name, (statistic, bounds) in _SPAN_ROWS.items():
            full = f"confidence.{name}"
            reason = _span_reason(name, outcomes)
            if reason is not None:
                rows.append(Missing(name=full + part.suffix, reason=reason))
                continue
            n = sum(bool((t.span_right < 1).any()) for t in spans) if name == _WHEN_WRONG else behind
            rows.append(part.estimate(full, SHARE, self.spans(statistic), bounds=bounds, n=n))
        return rows

    def gaps(self, part: Paired) -> list[Measurement]:
        """Return the two contrasts between the domains."""
        return [
            self._contrast(part, "overconfidence_out_minus_in", lambda t: t.overconfidence, "out", HALVES),
            self._contrast(part, "domain_gap", lambda t: t.accuracy, "in", None),
        ]

    def _contrast(self, part: Paired, name: str, read: Read, first: str, note: str | None) -> Measurement:
        """Return the mean over the domain `first` less the other's; the change over prompts that define both."""
        domains = np.array([g.prompt.domain for g in part.groups])
        ours = self.values(read)(part.groups)
        bounds = (-2.0, 2.0) if name.startswith("over") else (-1.0, 1.0)

        def contrast(values: FloatArray) -> stats.Statistic:
            over = stats.mean_statistic(np.where(domains == first, values, np.nan))
            under = stats.mean_statistic(np.where(domains == first, np.nan, values))
            return lambda weights: over(weights) - under(weights)

        def estimate(values: FloatArray, base: FloatArray | None) -> Measurement:
            theirs = None if base is None else contrast(base)
            return part.population.estimate(
                f"confidence.{name}", SHARE, contrast(values), theirs, bounds=bounds, n=int(np.isfinite(values).sum())
            )

        found = noted(estimate(ours, None), note)
        if part.baseline is None or isinstance(found, Missing):
            return found
        theirs = self.values(read)(part.baseline)
        both = np.isfinite(ours) & np.isfinite(theirs)
        paired = estimate(np.where(both, ours, np.nan), np.where(both, theirs, np.nan))
        if isinstance(paired, Missing) or not isinstance(found, Measured):
            return found
        return replace(found, baseline=paired.baseline, delta=paired.delta, delta_ci=paired.delta_ci)


def _mean_span(confidences: list[FloatArray], outcomes: list[FloatArray]) -> stats.Statistic:
    sums, sizes = _totals(confidences, [np.ones(len(y)) for y in outcomes])
    return stats.ratio_statistic(sums, sizes)


def _mean_wrong_span(confidences: list[FloatArray], outcomes: list[FloatArray]) -> stats.Statistic:
    sums, sizes = _totals(confidences, [1.0 - (y >= 1) for y in outcomes])
    return stats.ratio_statistic(sums, sizes)


def _span_excess(confidences: list[FloatArray], outcomes: list[FloatArray]) -> stats.Statistic:
    excess = [c - y for c, y in zip(confidences, outcomes, strict=True)]
    sums, sizes = _totals(excess, [np.ones(len(y)) for y in outcomes])
    return stats.ratio_statistic(sums, sizes)


def _totals(values: Sequence[FloatArray], kept: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    sums = np.array([float(v @ k) for v, k in zip(values, kept, strict=True)])
    return sums, np.array([float(k.sum()) for k in kept])


_WHEN_WRONG = "span_probability_when_wrong"
_SPAN_ROWS: dict[str, tuple[SpanStatistic, tuple[float, float]]] = {
    "span_probability": (_mean_span, (0, 1)),
    _WHEN_WRONG: (_mean_wrong_span, (0, 1)),
    "span_overconfidence": (_span_excess, (-1, 1)),
    "brier": (calibration.brier_statistic, (0, 1)),
    "ece": (calibration.ece_statistic, (0, 1)),
    "auroc": (calibration.auroc_statistic, (0, 1)),
}
_VOTE_REASONS = {
    "modal_share": "no completion states an answer",
    "confidence_when_wrong": "no prompt whose commonest answer is wrong",
    "overconfidence": "no prompt with two completions that state an answer",
}
_VOTE_ROWS = (*_VOTE_REASONS, "modal_brier", "modal_ece")
_GAPS = ("overconfidence_out_minus_in", "domain_gap")


def _span_reason(name: str, outcomes: FloatArray) -> str | None:
    """Return why a span row is undefined, None when it is defined."""
    if len(outcomes) == 0:
        return NO_SPAN
    if name == _WHEN_WRONG and outcomes.min() >= 1:
        return "no wrong completion whose answer's tokens are known"
    if name == "auroc" and outcomes.min() == outcomes.max():
        return f"all completions are {'right' if outcomes[0] else 'wrong'}: there is nothing to tell apart"
    return None


def _absence(samples: Samples, suffix: str, part: Paired | None) -> str | None:
    """Return why a stratum has no rows, None when it has."""
    if not samples.groups:
        return NOTHING_DRAWN
    if part is None:
        return NO_DOMAIN[suffix]
    return None if part.groups else NO_COMMON


class Confidence:
    """Confidence against correctness, of votes and of answer spans."""

    requires = Requires(
        n_samples=2,
        grades=True,
        single=("domain_gap",),
        parts={"answers": (*_VOTE_ROWS, *_SPAN_ROWS, "overconfidence_out_minus_in")},
    )

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the rows over all prompts and in each domain, and the contrasts between the domains."""
        parts = {p.suffix: p for p in strata(samples, baseline, samples.params.seed) if p.suffix in STRATA}
        rows = _Rows(g for s in (samples, baseline) if s is not None for g in s.groups)
        found: list[Measurement] = []
        for suffix in STRATA:
            reason = _absence(samples, suffix, parts.get(suffix))
            if reason is None:
                found += rows.stratum(parts[suffix])
            else:
                names = (*_VOTE_ROWS, *_SPAN_ROWS)
                found += [Missing(name=f"confidence.{name}{suffix}", reason=reason) for name in names]
        absent = next((r for s in STRATA if (r := _absence(samples, s, parts.get(s))) is not None), None)
        if absent is not None:
            return [*found, *(Missing(name=f"confidence.{name}", reason=absent) for name in _GAPS)]
        return [*found, *rows.gaps(parts[""])]


probe: Probe = Confidence()
