"""How far the policy has moved: its entropy off its own text, and its divergence from the baseline.

## What it measures
Entropy per token (nats, full vocabulary, temperature 1, mean over tokens) on two texts that are not the checkpoint's
own: `baseline_text`, the baseline's first completions (up to four a prompt), whose change is against the baseline's own
entropy *on the same tokens*; `reference_text`, the suite's worked solutions. `off_on_ratio_baseline` and
`off_on_ratio_reference` divide these by the entropy on the checkpoint's own completions (`token_entropy.mean`), over
the same prompts.
The ratio of off-policy to on-policy entropy of one post-trained model is about 3 to 4, that of a base model about 1
(arXiv:2605.25459: the gap is in the abstract; the single figures were read in a note on it). A ratio far above that may
be extra sharpening: a derived reading that no paper has tested.

`reference_perplexity` = exp(mean of -log pi(token)) on the worked solutions, in [1, inf). On traces of another model it
was 8.76 for a base model and 14.91 after long RL (ProRL; read in a note, not in the paper): a feature, not a threshold.

`kl_to_baseline` = mean over tokens of log pi(token) - log base(token) on the checkpoint's own text, in nats/token: the
unbiased Monte-Carlo estimate of KL(pi || base) per token. `kl_from_baseline` is the mirror image on the baseline's
text, KL(base || pi). The divergences are >= 0, a finite sample of them may come out slightly below 0, and is not
clipped. Divergences and ratios hold only for completions drawn at temperature 1 and top_p 1, and are missing otherwise.
The ratios and the perplexity are given in and out of domain too (`@in`, `@out`).

## What confounds it
A worked solution in another format, or written by a stronger author, raises off-policy entropy and perplexity whatever
the training did: read the change against the baseline. Short solutions in a fixed notation have few undecided tokens.
Per-token numbers of two tokenizers do not compare, and get no change. Log probabilities of the decode loop and of a
scoring pass differ by rounding, more so in 16-bit arithmetic: a divergence of that size is none. A pass ends at the
first token that has probability 0, so that an infinite perplexity or divergence shows as a finite one. The KL is a mean
over tokens, so long completions weigh more.

## What it costs
Beyond the main draw: one forward pass over every worked solution and, with a baseline, one over up to four of the
other's K completions of every prompt, for checkpoint and baseline each (4/K of the main draw's tokens, scored and not
decoded).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropydx import stats
from entropydx.probes._drawn import off_policy
from entropydx.probes._paired import NO_BASELINE, Paired, strata
from entropydx.probes._scored import (
    Tokens,
    absent,
    joined,
    n_present,
    noted,
    own_prompt,
    same_tokens,
    token_mean,
    where_both,
)
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, Measurement, Missing, Requires, Samples, Score, known

UNIT = "nats/token"
STRATA = ("", "@in", "@out")
RATIO = "off_on_ratio_reference"
OTHER_TOKENS = "no change: the two tokenizers cut the text into different tokens"


def _own(groups: tuple[Group, ...]) -> Tokens:
    return [joined(known(c.entropies) for c in g.completions) for g in groups]


def _reference(groups: tuple[Group, ...], samples: Samples) -> list[list[Score]]:
    return own_prompt(groups, samples.scores["reference"])


def _entropies(scored: list[list[Score]]) -> Tokens:
    return [joined(s.entropies for s in scores) for scores in scored]


def _surprisals(scored: list[list[Score]]) -> Tokens:
    """-log pi of every token, nats."""
    return [joined(-s.logprobs for s in scores) for scores in scored]


def _quotient(off: Tokens, on: Tokens) -> stats.Statistic:
    """Mean entropy off the policy over that on it, over the prompts that have both."""
    over, under = (token_mean(tokens) for tokens in where_both(off, on))
    return lambda weights: stats.divide(over(weights), under(weights))


def _exponential(statistic: stats.Statistic) -> stats.Statistic:
    def exponential(weights: FloatArray) -> FloatArray:
        result: FloatArray = np.exp(statistic(weights))
        return result

    return exponential


ON_REFERENCES: dict[str, tuple[str, Callable[[list[list[Score]], tuple[Group, ...]], stats.Statistic]]] = {
    "reference_text": (UNIT, lambda scored, _: token_mean(_entropies(scored))),
    RATIO: ("x on-policy", lambda scored, groups: _quotient(_entropies(scored), _own(groups))),
    "reference_perplexity": ("perplexity", lambda scored, _: _exponential(token_mean(_surprisals(scored)))),
}
"""Unit, and statistic of the scored solutions and the prompts' own completions."""


class PolicyGap:
    """Entropy on the policy's own text against others', and its divergence from the baseline."""

    requires = Requires(entropies=True, scores=("reference", "other"))

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return levels and divergences over all prompts; ratios and perplexity in and out of domain too."""
        found: list[Measurement] = []
        for part in strata(samples, baseline, samples.params.seed):
            if part.suffix not in STRATA:
                continue
            found += self._on_baseline_text(part, samples, baseline)
            found += self._on_references(part, samples, baseline)
            if not part.suffix:
                found.append(self._to_baseline(part, samples, baseline))
                found.append(self._from_baseline(part, samples, baseline))
        return found

    @staticmethod
    def _on_baseline_text(part: Paired, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        level, ratio = "policy_gap.baseline_text", f"policy_gap.off_on_ratio_baseline{part.suffix}"
        reason = NO_BASELINE if baseline is None else absent(samples, "other")
        if part.baseline is None or reason is not None:
            names = [ratio] if part.suffix else [level, ratio]
            return [Missing(name=name, reason=reason or NO_BASELINE) for name in names]
        pairs = same_tokens(part.baseline, samples.scores["other"])
        ours = [joined(s.entropies for _, s in texts) for texts in pairs]
        n, population = n_present(ours), part.population
        wrong_draw = off_policy(samples)
        quotient: Measurement = (
            Missing(name=ratio, reason=wrong_draw)
            if wrong_draw is not None
            else population.estimate(ratio, "x on-policy", _quotient(ours, _own(part.groups)), n=n)
        )
        if part.suffix:
            return [quotient]
        theirs = [joined(known(c.entropies)[: len(s.entropies)] for c, s in texts) for texts in pairs]
        return [population.estimate(level, UNIT, token_mean(ours), token_mean(theirs), n=n), quotient]

    @staticmethod
    def _on_references(part: Paired, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        names = [n for n in ON_REFERENCES if not (part.suffix and n == "reference_text")]
        reason = absent(samples, "reference")
        if reason is not None:
            return [Missing(name=f"policy_gap.{name}{part.suffix}", reason=reason) for name in names]
        ours = _reference(part.groups, samples)
        theirs, note = _reference_of_baseline(part, samples, baseline)
        if theirs is not None:
            ours, theirs = where_both(ours, theirs)
        wrong_draw = off_policy(samples)
        return [
            Missing(name=f"policy_gap.{name}{part.suffix}", reason=wrong_draw)
            if wrong_draw is not None and name == RATIO
            else noted(
                part.population.estimate(
                    f"policy_gap.{name}{part.suffix}",
                    ON_REFERENCES[name][0],
                    ON_REFERENCES[name][1](ours, part.groups),
                    None if theirs is None else ON_REFERENCES[name][1](theirs, part.baseline or ()),
                    n=n_present(_entropies(ours)),
                ),
                note,
            )
            for name in names
        ]

    @staticmethod
    def _to_baseline(part: Paired, samples: Samples, baseline: Samples | None) -> Measurement:
        name = "policy_gap.kl_to_baseline"
        if baseline is None:
            return Missing(name=name, reason=NO_BASELINE)
        reason = absent(baseline, "other") or off_policy(samples)
        if reason is not None:
            return Missing(name=name, reason=reason)
        return _divergence(name, part, part.groups, baseline)

    @staticmethod
    def _from_baseline(part: Paired, samples: Samples, baseline: Samples | None) -> Measurement:
        name = "policy_gap.kl_from_baseline"
        if baseline is None or part.baseline is None:
            return Missing(name=name, reason=NO_BASELINE)
        reason = absent(samples, "other") or off_policy(baseline)
        if reason is not None:
            return Missing(name=name, reason=reason)
        return _divergence(name, part, part.baseline, samples)


def _divergence(name: str, part: Paired, drawn: tuple[Group, ...], scorer: Samples) -> Measurement:
    """Estimate the mean of log p - log q over the tokens that p drew and `scorer`, q, has scored."""
    differences = [
        joined(known(c.logprobs)[: len(s.logprobs)] - s.logprobs for c, s in texts)
        for texts in same_tokens(drawn, scorer.scores["other"])
    ]
    return part.population.estimate(name, UNIT, token_mean(differences), n=n_present(differences))


def _reference_of_baseline(
    part: Paired, samples: Samples, baseline: Samples | None
) -> tuple[list[list[Score]] | None, str | None]:
    """Return the baseline's scores of the worked solutions; or None, and why they give no change."""
    if baseline is None or part.baseline is None:
        return None, None
    reason = absent(baseline, "reference")
    if reason is not None:
        return None, f"no change: {reason}"
    if samples.checkpoint.tokenizer_sha != baseline.checkpoint.tokenizer_sha:
        return None, OTHER_TOKENS
    return _reference(part.baseline, baseline), None


probe: Probe = PolicyGap()
