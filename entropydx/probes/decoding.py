"""How quality and its spread depend on the temperature, the batch, and the sampling of the deployment.

## What it measures
On the same prompts, with the same number of samples and the same noise at every temperature above 0:
- `accuracy_at_0`, `_30`, `_60`, `_100`: pass@1 at temperature 0, 0.3, 0.6, 1.
- `spread_at_30`, `_60`, `_100`: within-prompt variance of the grade V_w = mean p(1-p) K/(K-1), grade², in [0, 0.5];
  `spread_at_0` is 0 by construction, since greedy decoding draws one text.
- `temperature_slope`, grade² per unit of temperature: the least-squares slope of V_w over the four temperatures, per
  prompt, then averaged. Large: the spread is made by decoding [D].
- `cooling_gain` = accuracy at 0.6 less accuracy at 1, in [-1, 1], paired.
- `greedy_repeatability`, in [0, 1]: of the first prompts, how many have the same greedy tokens alone and in a batch, up
  to the shorter token limit; `greedy_agreement_prefix`: the mean share of the longer text before the first difference.
  Below 1 at temperature 0 the numerics differ with the batch [D]: one 235B model gave 80 texts in 1,000 identical
  requests, all alike for 102 tokens [N].
- `spread_deployment`, `pass_at_1_deployment`, `majority_gain_deployment` (majority vote less pass@1) under the sampling
  that the model is deployed with, and each less the main draw's on the same prompts and samples, `..._change`.

## What confounds it
A checkpoint that is sure of everything has no slope; a weak one has spread at any temperature on what it half knows.
Low temperature repeats itself on small models, and a repetition that runs into the token limit counts as wrong. One
third of the prompts makes wide intervals; the numerics rest on at most 8. Agreement on one machine says nothing of
another engine or batch size.

## What it costs
Beyond the main draw: a third of the prompts greedily, one sample each; at temperatures 0.3 and 0.6 a third of the
prompts and half of the samples, 1/6 of the main draw each; at the deployment's, where there is one, half of the samples
of every prompt; and 8 prompts greedily, up to 128 tokens, one row at a time. For the checkpoint alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from entropydx import stats
from entropydx.probes._change import change
from entropydx.probes._conditions import COOLER, DEPLOYMENT, GREEDY, GREEDY_ALONE
from entropydx.probes._drawn import absence, common, first, n_samples, off_policy
from entropydx.probes._paired import Build, Paired
from entropydx.probes._votes import n_right, per_prompt
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, Interval, Measured, Measurement, Missing, Requires, Samples, known

NOTHING = "no prompt was sampled"
CONDITIONS = {0: GREEDY.name, **{round(100 * t): c.name for t, c in COOLER.items()}}
"""Temperature in hundredths to the condition that was drawn at it; the main draw is at 100."""
MAIN = 100
PERCENT = (*sorted(CONDITIONS), MAIN)
MAX_VARIANCE = 0.5
"""Largest unbiased variance of grades in [0, 1], at K = 2."""
Series = dict[int, tuple[Group, ...]]
"""Groups of the same prompts by temperature in hundredths."""


def _right_shares(groups: tuple[Group, ...]) -> FloatArray:
    shares: FloatArray = n_right(groups) / np.array([len(g.completions) for g in groups])
    return shares


def _variances(groups: tuple[Group, ...]) -> FloatArray:
    return np.array([g.grades.var(ddof=1) if len(g.completions) > 1 else np.nan for g in groups])


def _accuracy(groups: tuple[Group, ...]) -> stats.Statistic:
    return stats.mean_statistic(_right_shares(groups))


def _spread(groups: tuple[Group, ...]) -> stats.Statistic:
    return stats.mean_statistic(_variances(groups))


def _majority_gain(groups: tuple[Group, ...]) -> stats.Statistic:
    return stats.mean_statistic(per_prompt(groups, "majority") - _right_shares(groups))


def _part(samples: Samples, groups: tuple[Group, ...], against: tuple[Group, ...] | None = None) -> Paired:
    population = stats.Population(n_prompts=len(groups), seed=samples.params.seed)
    return Paired(suffix="", groups=groups, baseline=against, population=population)


def series(samples: Samples) -> tuple[Series, dict[int, str]]:
    """Return what was drawn at each temperature, on the prompts and samples that all have, and why the rest was not.

    Returns
    -------
    series : dict
        Groups by temperature in hundredths; those above 0 have the same number of completions.
    reasons : dict
        Why a temperature is not there.
    """
    drawn: Series = {p: samples.conditions.get(name, ()) for p, name in CONDITIONS.items()}
    reasons = {p: absence(samples, name) for p, name in CONDITIONS.items() if not drawn[p]}
    wrong_draw = off_policy(samples) if samples.groups else NOTHING
    if wrong_draw is None:
        drawn[MAIN] = samples.groups
    else:
        reasons[MAIN] = wrong_draw
    held = {p: groups for p, groups in sorted(drawn.items()) if groups}
    aligned = dict(zip(held, common(*held.values()), strict=True)) if held else {}
    k = n_samples(*(groups for p, groups in aligned.items() if p > 0))
    return {p: first(groups, k) if p > 0 else groups for p, groups in aligned.items()}, reasons


def slopes(drawn: Mapping[int, tuple[Group, ...]]) -> FloatArray:
    """Return each prompt's least-squares slope of V_w on temperature, (N,) grade² per unit of temperature."""
    variances = np.stack([_variances(g) if p > 0 else np.zeros(len(g)) for p, g in drawn.items()])
    found: FloatArray = _slope_weights(tuple(drawn)) @ variances
    return found


def _slope_weights(percent: tuple[int, ...]) -> FloatArray:
    centred = np.array(percent) / 100 - np.mean(percent) / 100
    weights: FloatArray = centred / (centred @ centred)
    return weights


def _levels(samples: Samples, drawn: Series, reasons: Mapping[int, str]) -> list[Measurement]:
    """Return accuracy and spread at every temperature."""
    found: list[Measurement] = []
    for p in PERCENT:
        accuracy, spread = f"decoding.accuracy_at_{p}", f"decoding.spread_at_{p}"
        if p in reasons:
            found += [Missing(name=name, reason=reasons[p]) for name in (accuracy, spread)]
            continue
        part = _part(samples, drawn[p])
        found.append(part.estimate(accuracy, "share", _accuracy, bounds=(0, 1)))
        found.append(_no_spread(spread, len(drawn[p])) if p == 0 else _spread_row(part, spread))
    return found


def _spread_row(part: Paired, name: str) -> Measurement:
    if n_samples(part.groups) == 1:
        return Missing(name=name, reason="needs 2 samples of every prompt, has 1")
    return part.estimate(name, "grade²", _spread, bounds=(0, MAX_VARIANCE))


def _no_spread(name: str, n: int) -> Measurement:
    if n == 0:
        return Missing(name=name, reason="no prompt that was drawn at every temperature")
    note = "0 by construction: greedy decoding draws one text; whether it does is greedy_repeatability"
    return Measured(name=name, value=0.0, unit="grade²", n=n, ci=(0.0, 0.0), note=note)


def _trends(samples: Samples, drawn: Series, reasons: Mapping[int, str]) -> list[Measurement]:
    """Return the slope of the spread over all four temperatures, and the gain of cooling from 1 to 0.6."""
    slope, gain, cool = "decoding.temperature_slope", "decoding.cooling_gain", 60
    missing = next((reasons[p] for p in PERCENT if p in reasons), None)
    if missing is None and n_samples(*(drawn[p] for p in PERCENT if p > 0)) == 1:
        missing = "needs 2 samples of every prompt, has 1"
    found: list[Measurement] = []
    if missing is not None:
        found.append(Missing(name=slope, reason=missing))
    else:
        part, weights = _part(samples, drawn[MAIN]), _slope_weights(tuple(drawn))[1:]
        bounds: Interval = (MAX_VARIANCE * weights[weights < 0].sum(), MAX_VARIANCE * weights[weights > 0].sum())
        statistic = stats.mean_statistic(slopes(drawn))
        found.append(part.population.estimate(slope, "grade²/temperature", statistic, bounds=bounds))
    lacking = next((reasons[p] for p in (cool, MAIN) if p in reasons), None)
    if lacking is not None:
        return [*found, Missing(name=gain, reason=lacking)]
    note = "accuracy at temperature 0.6 less that at 1, same prompts and noise"
    part = _part(samples, drawn[cool], drawn[MAIN])
    return [*found, change(part, gain, "share", _accuracy, bounds=(0, 1), note=note)]


def agreement(batched: Group, alone: Group, limit: int) -> tuple[float, float]:
    """Return whether two greedy texts are the same up to `limit` tokens, and the part of them that is."""
    a, b = (known(g.completions[0].token_ids)[:limit] for g in (batched, alone))
    shorter, longer = sorted((len(a), len(b)))
    differs = np.flatnonzero(a[:shorter] != b[:shorter])
    prefix = int(differs[0]) if len(differs) else shorter
    return float(prefix == longer), prefix / longer if longer else 1.0


def _repeatability(samples: Samples) -> list[Measurement]:
    """Return whether one row and a batch give the same greedy text."""
    names = {"greedy_repeatability": "share of prompts", "greedy_agreement_prefix": "share of tokens"}
    draws = [samples.conditions.get(c.name, ()) for c in (GREEDY, GREEDY_ALONE)]
    lacking = [c.name for c, groups in zip((GREEDY, GREEDY_ALONE), draws, strict=True) if not groups]
    if lacking:
        return [Missing(name=f"decoding.{n}", reason=absence(samples, lacking[0])) for n in names]
    batched, alone = common(*draws)
    limits = (samples.params.max_new_tokens, GREEDY_ALONE.max_new_tokens)
    limit = min((n for n in limits if n is not None), default=sys.maxsize)
    pairs = np.array([agreement(a, b, limit) for a, b in zip(batched, alone, strict=True)]).reshape(-1, 2)
    population = _part(samples, batched).population
    return [
        population.estimate(f"decoding.{name}", unit, stats.mean_statistic(pairs[:, i]), bounds=(0, 1))
        for i, (name, unit) in enumerate(names.items())
    ]


def _deployment(samples: Samples) -> list[Measurement]:
    """Return quality under the deployment's sampling, and its change against the main draw."""
    rows: dict[str, tuple[str, Build, Interval]] = {
        "spread_deployment": ("grade²", _spread, (0, MAX_VARIANCE)),
        "pass_at_1_deployment": ("share", _accuracy, (0, 1)),
        "majority_gain_deployment": ("share", _majority_gain, (-1, 1)),
    }
    drawn = samples.conditions.get(DEPLOYMENT.name, ())
    names = [f"decoding.{n}{suffix}" for n in rows for suffix in ("", "_change")]
    if not drawn:
        return [Missing(name=name, reason=absence(samples, DEPLOYMENT.name)) for name in names]
    deployed, main = common(drawn, samples.groups)
    k = n_samples(deployed, main)
    if k < 2:
        return [Missing(name=name, reason="needs 2 samples of every prompt, in the main draw too") for name in names]
    wrong_draw = off_policy(samples)
    part = _part(samples, first(deployed, k))
    against = _part(samples, part.groups, first(main, k))
    note = f"less the main draw's, same prompts, first {k} samples of each"
    found: list[Measurement] = []
    for name, (unit, build, bounds) in rows.items():
        found.append(part.estimate(f"decoding.{name}", unit, build, bounds=bounds))
        changed = f"decoding.{name}_change"
        if wrong_draw is not None:
            found.append(Missing(name=changed, reason=wrong_draw))
        else:
            found.append(change(against, changed, unit, build, bounds=bounds, note=note))
    return found


class Decoding:
    """Temperature, batch and deployment."""

    requires = Requires(n_samples=2, grades=True, conditions=(GREEDY, *COOLER.values(), GREEDY_ALONE, DEPLOYMENT))

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return levels and trends over temperature, repeatability, and the deployment; the checkpoint's alone."""
        drawn, reasons = series(samples)
        return [
            *_levels(samples, drawn, reasons),
            *_trends(samples, drawn, reasons),
            *_repeatability(samples),
            *_deployment(samples),
        ]


probe: Probe = Decoding()
