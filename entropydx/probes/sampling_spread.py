"""How much quality changes when the same prompt is asked again.

## What it measures
`pass_at_k` (unbiased; Chen et al. 2021, arXiv:2107.03374) for every k up to K, and `pass_hat_k`, all k right
(arXiv:2406.12045), for k = 2, 4... up to K; `maj_at_n`, majority vote over all K with ties shared; `majority_gain` =
maj_at_n - pass_at_1, what voting would win; `g_pass_at_k` at tau 0.5, 0.75, 1 and `mg_pass_at_k` (arXiv:2412.13147) at
k = K/2 (from K = 4 on), and their `g_pass_ratio` (tau 1 over 0.5: 1 for a model that is either always or never right).
`within_variance` =
mean p(1-p) K/(K-1), `between_variance` corrected for it, `icc`, the one-way ICC(1). On the prompts whose majority is
right (`@majority_right`), `pass_at_1` is reliability where the model can. `answer_entropy` in nats over answers;
`wrong_agreement`, the unbiased chance that two wrong answers to a prompt agree. The change of a mean over part of the
prompts is over those that count for checkpoint and baseline alike.

## What confounds it
Extraction failures look like variance and truncation like failure: the instrument rules come first. Weak models vary
on what they half know, so compare with a baseline. "Right" means a grade of 1.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from entropydx import stats
from entropydx.probes._paired import Build, Paired, strata
from entropydx.probes._votes import n_right, per_prompt
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, IntArray, Measurement, Missing, Requires, Samples

SHARE = "share"


def powers_of_two(n: int) -> list[int]:
    """Return 1, 2, 4... up to n, and n itself."""
    return sorted({*(2**i for i in range(n.bit_length()) if 2**i <= n), n})


def _mean(values: Callable[[tuple[Group, ...]], FloatArray]) -> Build:
    return lambda groups: stats.mean_statistic(values(groups))


def _pass(k: int, estimator: Callable[[int, IntArray, int], FloatArray]) -> Build:
    return lambda groups: stats.mean_statistic(estimator(_n_samples(groups), n_right(groups), k))


def _g_pass(k: int, tau: float) -> Build:
    return _pass(k, lambda n, correct, k: stats.g_pass_at_k(n, correct, k, tau))


def _n_samples(groups: tuple[Group, ...]) -> int:
    return len(groups[0].completions)


def _within(groups: tuple[Group, ...]) -> FloatArray:
    return np.array([g.grades.var(ddof=1) for g in groups])


def _grade_means(groups: tuple[Group, ...]) -> FloatArray:
    return np.array([g.grades.mean() for g in groups])


def _between(groups: tuple[Group, ...]) -> stats.Statistic:
    """Variance of the prompt means, less what K samples of noise add to it."""
    means, within, k = _grade_means(groups), _within(groups), _n_samples(groups)

    def statistic(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        centre = weights @ means / total
        observed = (weights @ means**2 / total - centre**2) * total / (total - 1)
        corrected: FloatArray = observed - weights @ within / total / k
        return corrected

    return statistic


def _icc(groups: tuple[Group, ...]) -> stats.Statistic:
    """(MSB - MSW) / (MSB + (K-1) MSW) = between / (between + within) (Shrout & Fleiss 1979, ICC(1,1))."""
    between, within = _between(groups), stats.mean_statistic(_within(groups))

    def statistic(weights: FloatArray) -> FloatArray:
        b, w = between(weights), within(weights)
        return stats.divide(b, b + w)

    return statistic


def _majority_gain(groups: tuple[Group, ...]) -> stats.Statistic:
    return stats.mean_statistic(per_prompt(groups, "majority") - n_right(groups) / _n_samples(groups))


def _where_majority(
    right: bool, values: Callable[[tuple[Group, ...]], FloatArray]
) -> Callable[[tuple[Group, ...]], FloatArray]:
    def masked(groups: tuple[Group, ...]) -> FloatArray:
        kept = (per_prompt(groups, "majority") > 0.5) == right
        return np.where(kept, values(groups), np.nan)

    return masked


def _ratio(numerator: Build, denominator: Build) -> Build:
    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        over, under = numerator(groups), denominator(groups)
        return lambda weights: stats.divide(over(weights), under(weights))

    return build


class SamplingSpread:
    """Repeated-sampling quality: level, spread, agreement."""

    requires = Requires(
        n_samples=2,
        grades=True,
        single=("pass_at_1",),
        parts={
            "answers": (
                "maj_at_n",
                "majority_gain",
                "wrong_agreement",
                "answer_entropy",
                "pass_at_1@majority_right",
                "within_variance@majority_right",
            )
        },
    )

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return curves and spread over all prompts, and the main rows of every stratum."""
        found: list[Measurement] = []
        for part in strata(samples, baseline, samples.params.seed):
            if not part.groups:
                reason = "no prompt in common with the baseline"
                found.append(Missing(name=f"sampling_spread.pass_at_1{part.suffix}", reason=reason))
                continue
            found += self._main(part)
            if not part.suffix:
                found += [*self._curves(part), *self._variances(part), *self._agreement(part)]
        return found

    @staticmethod
    def _main(part: Paired) -> list[Measurement]:
        n = _n_samples(part.groups)
        rows: dict[str, Build] = {
            "pass_at_1": _pass(1, stats.pass_at_k),
            "maj_at_n": _mean(lambda groups: per_prompt(groups, "majority")),
            "coverage": _pass(n, stats.pass_at_k),
        }
        found = [part.estimate(f"sampling_spread.{name}", SHARE, row, bounds=(0, 1)) for name, row in rows.items()]
        found.append(part.estimate("sampling_spread.majority_gain", SHARE, _majority_gain, bounds=(-1, 1)))
        found.append(
            part.mean_where_defined(
                "sampling_spread.wrong_agreement",
                SHARE,
                lambda groups: per_prompt(groups, "wrong_agreement"),
                bounds=(0, 1),
            )
        )
        return found

    @staticmethod
    def _curves(part: Paired) -> list[Measurement]:
        n = _n_samples(part.groups)
        half = n // 2
        rows: dict[str, Build] = {}
        for k in range(2, n + 1):
            rows[f"pass_at_{k}"] = _pass(k, stats.pass_at_k)
        for k in powers_of_two(n)[1:]:
            rows[f"pass_hat_{k}"] = _pass(k, stats.pass_hat_k)
        if half > 1:
            for tau in (0.5, 0.75, 1.0):
                rows[f"g_pass_at_{half}_t{round(100 * tau)}"] = _g_pass(half, tau)
            rows[f"mg_pass_at_{half}"] = _pass(half, stats.mg_pass_at_k)
            rows["g_pass_ratio"] = _ratio(_g_pass(half, 1.0), _g_pass(half, 0.5))
        found = [part.estimate(f"sampling_spread.{name}", SHARE, row, bounds=(0, 1)) for name, row in rows.items()]
        if half < 2:
            # At k = 1 the ratio is 1 and mG-Pass an empty sum, whatever the model.
            found.append(Missing(name="sampling_spread.g_pass_ratio", reason=f"needs 4 samples per prompt, has {n}"))
        return found

    @staticmethod
    def _variances(part: Paired) -> list[Measurement]:
        return [
            part.estimate("sampling_spread.within_variance", "grade²", _mean(_within), bounds=(0, 0.5)),
            part.estimate("sampling_spread.between_variance", "grade²", _between),
            part.estimate("sampling_spread.icc", SHARE, _icc, bounds=(-1, 1)),
        ]

    @staticmethod
    def _agreement(part: Paired) -> list[Measurement]:
        found = [part.estimate("sampling_spread.answer_entropy", "nats", _mean(lambda g: per_prompt(g, "entropy")))]
        for holds, suffix in ((True, "majority_right"), (False, "majority_wrong")):
            entropy = _where_majority(holds, lambda g: per_prompt(g, "entropy"))
            found.append(part.mean_where_defined(f"sampling_spread.answer_entropy@{suffix}", "nats", entropy))
        reliability = _where_majority(True, lambda g: n_right(g) / _n_samples(g))
        spread = _where_majority(True, _within)
        able = "@majority_right"
        found.append(part.mean_where_defined(f"sampling_spread.pass_at_1{able}", SHARE, reliability, bounds=(0, 1)))
        found.append(
            part.mean_where_defined(f"sampling_spread.within_variance{able}", "grade²", spread, bounds=(0, 0.5))
        )
        return found


probe: Probe = SamplingSpread()
