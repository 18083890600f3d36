"""Whether answers are computed or guessed: reuse, skipped work, early commitment, and what that costs on easy items.

Provenance as in the sources: [P] read in the paper, [N] in a third party's note of it, [M] recalled, [D] our own.

## What it measures
Every change is against the baseline on the same prompts. A prompt weighs the same however many samples it has.

*The answers.*
- `answer_reuse`, in [-1, 1]: the unbiased chance that completions of two *different* prompts state the same answer,
  less the same chance of their gold answers; 0: as varied as the truth. It is sum over i != j of w_i w_j (p_i . p_j -
  g_i . g_j), over the sum of w_i w_j: p_i the answer shares of prompt i, g_i its gold answer, w the weights of the
  bootstrap [D; no published definition of reuse was found].
- `top_answer_share`, in [-1, 1]: the share of the commonest answer over problems, less the gold's commonest [D]; the
  note names the three commonest.
- `repetition`: how often the final answer's string appears after its first time, per completion that states one.
- `distinct_2`, in (0, 1]: different adjacent pairs among the pairs of the first 100 words (characters, where the texts
  have no words) of a completion.

*The work.*
- `commit_position`, in [0, 1): where the final answer first appears, as a part of the text's characters.
- `forced_accuracy_0`, `_25`, `_50`, `_75`: pass@1 when the answer is forced after that percentage of the reasoning.
  `cot_gain` = pass@1 of the main draw on the same prompts less `forced_accuracy_0` (early answering, Lanham et al.
  2023, arXiv:2307.13702 [M]); near 0: the reasoning is not needed. `cot_gain_ratio` is that over pass@1, where pass@1
  is at least 0.1. Both are missing unless the main draw has temperature 1 and top_p 1, as the forced answers have.
- `step_density`: computations written per computation of the worked solution; `step_validity`: the share of written
  ones that are true; `share_without_work`: completions without one, where the worked solution has some. [D]

*The length*, in tokens with the stop token.
- `length_slope`: mean on hard over mean on easy prompts, 1 when length ignores difficulty; `length_correlation`:
  Spearman's, of a prompt's mean length with the computations in its worked solution (with the rank of its difficulty,
  where some have none); 0 when all lengths are equal. `length_ratio`: median over the baseline's; 510.7 to 45.7
  tokens, 0.09, *before* accuracy fell in arXiv:2605.28388 [N].

*The damage.*
- `easy_regression`, in [-1, 1]: change of pass@1 where the baseline solves at least 7/8. Selecting by the baseline's
  pass rate and comparing with that same rate shows a fall for any checkpoint, as luck does not repeat (regression to
  the mean). Here the even-numbered samples of the baseline select, and the odd-numbered ones of both are compared.

*The answer's tokens.*
- `span_entropy_contrast`: mean entropy on the stated answer over that on the tokens before it.
- `answer_kl_contrast`, nats/token: mean of ln p - ln p_baseline on the checkpoint's own answers, less the mean before
  them. Consensus rewards let the first rise sharply and the second slowly (arXiv:2608.03119 [N]). Missing unless
  the main draw has temperature 1 and top_p 1: it is no divergence otherwise.

## What confounds it
Length penalties, concise fine-tuning and non-thinking modes shorten soundly: ask whether easy items got worse. Small
answer spaces raise reuse for truth and model alike, and the priors of a weak model raise it a little: read the change.
The largest share leans upwards in small samples and in its interval; reuse does not. An answer of one or two characters
also stands in a text by chance (`30` as an operand), and a prompt that is restated holds it: positions compare models,
and say little alone. Easy tasks need no reasoning. A shorter text has a higher `distinct_2`. Steps are what the suite's
`checker` reads: prose, and reasoning in other notations, is none. Truncation hides answers. The families of a mixed
suite differ in length for reasons other than difficulty.

## What it costs
Beyond the main draw: four draws of at most 24 tokens with a quarter of the samples, for checkpoint and baseline each;
and, with a baseline, its forward pass over up to four of the checkpoint's K completions of every prompt (4/K of the
main draw's tokens, scored and not decoded).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from entropydx import stats
from entropydx.probes import _length, _work
from entropydx.probes._change import change
from entropydx.probes._conditions import FORCED
from entropydx.probes._drawn import absence, common, n_samples, off_policy
from entropydx.probes._paired import NO_BASELINE, Build, Paired, strata
from entropydx.probes._reuse import Answers
from entropydx.probes._scored import absent, noted, same_tokens
from entropydx.probes._votes import n_right
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, Interval, Measured, Measurement, Missing, Requires, Samples, Score, known

SHARE = "share of completions"
RATE = "share"
NOTHING = "no such prompt was sampled"
NO_ANSWER = "no completion states an answer"
NO_SPAN = "no completion has an answer that was located in its text"
NO_STEPS = "no completion was checked for computations"
NO_REFERENCE = "no prompt has a worked solution with a computation in it, or no completion was checked for them"
NO_TOKENS = "no completion has an answer whose tokens, and some before it, are known and measured"
EASY_RATE = 7 / 8
"""Pass rate of the baseline from which on an item is easy, 7 of 8 samples [D]."""
MIN_PASS = 0.1
"""pass@1 below which a gain is not divided by it [D]."""
DECISIVE = ("", "@easy", "@hard")
"""Strata of the rows that tell a shortcut from a hard task."""
Values = Callable[[tuple[Group, ...]], FloatArray]


def _pass_rates(groups: tuple[Group, ...]) -> FloatArray:
    """Return the share of accepted completions of every prompt, (N,)."""
    rates: FloatArray = n_right(groups) / np.array([len(g.completions) for g in groups], dtype=float)
    return rates


def _missing(part: Paired, name: str, reason: str) -> Missing:
    if not part.groups:
        reason = NOTHING if part.baseline is None else "no prompt in common with the baseline"
    return Missing(name=f"shortcutting.{name}{part.suffix}", reason=reason)


def _mean(part: Paired, name: str, unit: str, values: Values, reason: str, bounds: Interval | None) -> Measurement:
    """Estimate the mean over the prompts that define it, its change where both do; missing where none does."""
    if not np.isfinite(values(part.groups)).any():
        return _missing(part, name, reason)
    return part.mean_where_defined(f"shortcutting.{name}", unit, values, bounds=bounds)


def _part(groups: tuple[Group, ...], baseline: tuple[Group, ...] | None, like: Paired, suffix: str = "") -> Paired:
    """Return prompts, and the baseline's in the same order, as a population of their own."""
    population = stats.Population(n_prompts=len(groups), seed=like.population.seed, same=like.population.same)
    return Paired(suffix=suffix, groups=groups, baseline=baseline, population=population)


# ── answers ───────────────────────────────────────────────────────────────────────────────────────


def _answers(part: Paired) -> list[Measurement]:
    ours = Answers.of(part.groups)
    n = int(ours.present.sum())
    if n < 2:
        return [_missing(part, name, NO_ANSWER) for name in ("answer_reuse", "top_answer_share")]
    rows: dict[str, tuple[str, Build]] = {
        "answer_reuse": ("share of pairs, less the gold answers'", lambda groups: Answers.of(groups).reuse()),
        "top_answer_share": ("share, less the gold answers'", lambda groups: Answers.of(groups).top_share()),
    }
    return [
        part.estimate(f"shortcutting.{name}", unit, build, bounds=(-1, 1), n=n, note=ours.commonest())
        for name, (unit, build) in rows.items()
    ]


def _repetition(part: Paired) -> list[Measurement]:
    words = _work.in_words((*part.groups, *(part.baseline or ())))
    unit = f"share of pairs of {'words' if words else 'characters'}"
    distinct = _work.per_prompt(_work.distinct_2(words))
    return [
        _mean(part, "repetition", "times", _work.per_prompt(_work.repeats), NO_SPAN, None),
        _mean(part, "distinct_2", unit, distinct, "no completion has two words or characters", (0, 1)),
        _mean(part, "commit_position", "share of the text", _work.per_prompt(_work.commit_position), NO_SPAN, (0, 1)),
    ]


# ── computations ──────────────────────────────────────────────────────────────────────────────────


def _steps(part: Paired) -> list[Measurement]:
    n = int(np.count_nonzero(_work.step_counts(part.groups)[1]))
    without = _mean(part, "share_without_work", SHARE, _work.without_work, NO_REFERENCE, (0, 1))
    if n == 0:
        return [_missing(part, "step_density", NO_REFERENCE), without]
    # No bound is exact: it only gives a density that all prompts share an interval.
    most = max(map(_work.densest, (part.groups, part.baseline or ())))
    unit = "computations per computation of the worked solution"
    density: Build = lambda groups: stats.ratio_statistic(*_work.step_counts(groups))  # noqa: E731 - one use
    return [part.estimate("shortcutting.step_density", unit, density, bounds=(0, most), n=n), without]


def _validity(part: Paired) -> Measurement:
    checked = any(c.steps is not None for g in part.groups for c in g.completions)
    reason = "no completion writes a computation down" if checked else NO_STEPS
    return _mean(part, "step_validity", "share of computations", _work.validity, reason, (0, 1))


# ── length ────────────────────────────────────────────────────────────────────────────────────────


def _lengths(part: Paired) -> list[Measurement]:
    median: Build = lambda groups: stats.quantile_statistic(_length.lengths(groups), 0.5)  # noqa: E731 - one use
    note = "medians of whole numbers move in steps: the interval can have no width"
    return [_slope(part), _correlation(part), part.ratio("shortcutting.length_ratio", median, note)]


def _slope(part: Paired) -> Measurement:
    n = {level: _length.n_at(part.groups, level) for level in ("easy", "hard")}
    if min(n.values()) < 2:
        return _missing(part, "length_slope", f"needs 2 easy and 2 hard prompts, has {n['easy']} and {n['hard']}")
    return part.estimate("shortcutting.length_slope", "hard / easy", _length.slope, n=min(n.values()))


def _correlation(part: Paired) -> Measurement:
    demands, counted = _length.demands(part.groups)
    if len(set(demands)) < 2:
        return _missing(part, "length_correlation", f"all prompts ask for the same: {counted}")

    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        return _length.rank_correlation(demands, _length.mean_lengths(groups))

    found = part.estimate("shortcutting.length_correlation", "Spearman's rho", build, bounds=(-1, 1))
    return noted(found, f"against the {counted}")


# ── forced answers ────────────────────────────────────────────────────────────────────────────────


def _forced(percent: int, samples: Samples, baseline: Samples | None, whole: Paired) -> tuple[Paired, Paired] | Missing:
    """Return the forced draw and the main draw on the same prompts, or why there is none."""
    name = f"forced_{percent}"
    drawn = samples.conditions.get(name, ())
    theirs = () if baseline is None else baseline.conditions.get(name, ())
    if not drawn:
        return _missing(whole, f"forced_accuracy_{percent}", absence(samples, name))
    if not theirs or whole.baseline is None:
        forced, main = common(drawn, whole.groups)
        return _part(forced, None, whole), _part(main, None, whole)
    forced, main, base_forced, base_main = common(drawn, whole.groups, theirs, whole.baseline)
    return _part(forced, base_forced, whole), _part(main, base_main, whole)


def _forced_accuracies(samples: Samples, baseline: Samples | None, whole: Paired) -> list[Measurement]:
    found: list[Measurement] = []
    for percent in (round(100 * share) for share in FORCED):
        drawn = _forced(percent, samples, baseline, whole)
        if isinstance(drawn, Missing):
            found.append(drawn)
            continue
        forced = drawn[0]
        reason = "no prompt in common with the main draw"
        row = _mean(forced, f"forced_accuracy_{percent}", RATE, _pass_rates, reason, (0, 1))
        if baseline is not None and forced.baseline is None:
            row = noted(row, f"no change: of the baseline, {absence(baseline, f'forced_{percent}')}")
        found.append(row)
    return found


def _cot_gain(samples: Samples, baseline: Samples | None, whole: Paired) -> list[Measurement]:
    names = [f"cot_gain{suffix}" for suffix in DECISIVE] + ["cot_gain_ratio"]
    if whole.groups and (reason := off_policy(samples)) is not None:
        return [_missing(whole, name, reason) for name in names]
    drawn = _forced(0, samples, baseline, whole)
    if isinstance(drawn, Missing):
        return [_missing(whole, name, drawn.reason) for name in names]
    forced, main = drawn
    found = [_gain(forced, main, suffix) for suffix in DECISIVE]
    return [*found, _gain_ratio(forced, main)]


def _gains(forced: tuple[Group, ...], main: tuple[Group, ...]) -> FloatArray:
    return _pass_rates(main) - _pass_rates(forced)


def _gain(forced: Paired, main: Paired, suffix: str) -> Measurement:
    name = f"shortcutting.cot_gain{suffix}"
    kept = [not suffix or f"@{g.prompt.difficulty}" == suffix for g in main.groups]
    if not any(kept):
        return Missing(name=name, reason=f"no prompt {suffix or 'in common with the main draw'}")
    ours = _gains(forced.groups, main.groups)[kept]
    theirs = None
    if forced.baseline is not None and main.baseline is not None:
        theirs = stats.mean_statistic(_gains(forced.baseline, main.baseline)[kept])
    population = replace(main.population, n_prompts=len(ours))
    return population.estimate(name, RATE, stats.mean_statistic(ours), theirs, bounds=(-1, 1))


def _gain_ratio(forced: Paired, main: Paired) -> Measurement:
    """Return the part of pass@1 that the reasoning brings; undefined where there is hardly any to bring."""
    name, level = "cot_gain_ratio", _pass_rates(main.groups)
    if len(level) == 0 or level.mean() < MIN_PASS:
        return _missing(main, name, f"less than {MIN_PASS:g} of the answers are right, too few to divide by")

    def statistic(forced: tuple[Group, ...], main: tuple[Group, ...]) -> stats.Statistic:
        return stats.ratio_statistic(_gains(forced, main), _pass_rates(main))

    theirs = None
    if forced.baseline is not None and main.baseline is not None and _pass_rates(main.baseline).mean() >= MIN_PASS:
        theirs = statistic(forced.baseline, main.baseline)
    unit = "share of pass@1"
    return main.population.estimate(f"shortcutting.{name}", unit, statistic(forced.groups, main.groups), theirs)


# ── easy items ────────────────────────────────────────────────────────────────────────────────────


def _every_other(groups: tuple[Group, ...], first: int) -> tuple[Group, ...]:
    return tuple(replace(g, completions=g.completions[first::2]) for g in groups)


def _easy_regression(part: Paired) -> Measurement:
    name = f"shortcutting.easy_regression{part.suffix}"
    if not part.groups or part.baseline is None:
        return _missing(part, "easy_regression", NO_BASELINE)
    if (k := n_samples(part.groups, part.baseline)) < 2:
        return Missing(name=name, reason=f"needs 2 samples per prompt, to select by one and compare the other; has {k}")
    easy = _pass_rates(_every_other(part.baseline, 0)) >= EASY_RATE
    n = int(easy.sum())
    if n < 2:
        return Missing(name=name, reason=f"the baseline solves only {n} of {len(easy)} prompts in 7/8 of its samples")
    ours, theirs = (
        tuple(g for g, keep in zip(_every_other(groups, 1), easy, strict=True) if keep)
        for groups in (part.groups, part.baseline)
    )
    note = f"the {n} of {len(easy)} prompts that the baseline's even-numbered samples solve; odd-numbered ones compared"
    mean: Build = lambda groups: stats.mean_statistic(_pass_rates(groups))  # noqa: E731 - one use
    return change(_part(ours, theirs, part), name, RATE, mean, bounds=(0, 1), note=note)


# ── tokens of the answer ──────────────────────────────────────────────────────────────────────────


def _span_entropy(part: Paired) -> Measurement:
    def sums(groups: tuple[Group, ...]) -> FloatArray:
        told = [
            [(c, np.asarray(c.entropies, dtype=float)) for c in g.completions if c.entropies is not None]
            for g in groups
        ]
        return np.array([_work.span_sums(row) for row in told]).reshape(-1, 4)

    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        answer, before = _work.span_means(sums(groups))
        return lambda weights: stats.divide(answer(weights), before(weights))

    n = int(np.count_nonzero(sums(part.groups)[:, 1]))
    if n == 0:
        return _missing(part, "span_entropy_contrast", NO_TOKENS)
    return part.estimate("shortcutting.span_entropy_contrast", "answer / before it", build, n=n)


def _span_divergence(part: Paired, samples: Samples, baseline: Samples | None) -> Measurement:
    name = "answer_kl_contrast"
    if baseline is None or (reason := absent(baseline, "other") or off_policy(samples)):
        return _missing(part, name, NO_BASELINE if baseline is None else reason or "")
    sums = _log_ratios(part.groups, baseline.scores["other"])
    n = int(np.count_nonzero(sums[:, 1]))
    if n == 0:
        return _missing(part, name, NO_TOKENS)
    answer, before = _work.span_means(sums)
    ones = np.ones((1, len(sums)))
    note = f"{answer(ones)[0]:.3g} nats/token on the answer, {before(ones)[0]:.3g} before it"
    found = part.population.estimate(
        f"shortcutting.{name}", "nats/token", lambda weights: answer(weights) - before(weights), n=n, note=note
    )
    unsure = isinstance(found, Measured) and found.ci is None
    return noted(found, "no interval: every prompt gives the same value") if unsure else found


def _log_ratios(groups: tuple[Group, ...], scores: tuple[Score, ...]) -> FloatArray:
    """Return the sums of ln p - ln p_baseline on the checkpoint's completions, (N, 4) as in `span_sums`."""
    rows = [
        _work.span_sums(
            [(c, np.asarray(known(c.logprobs), dtype=float)[: len(s.logprobs)] - s.logprobs) for c, s in pairs]
        )
        for pairs in same_tokens(groups, scores)
    ]
    return np.array(rows).reshape(-1, 4)


# ── the probe ─────────────────────────────────────────────────────────────────────────────────────


class Shortcutting:
    """Guesses in place of work, and the harm that they do."""

    requires = Requires(
        grades=True,
        conditions=tuple(FORCED.values()),
        scores=("other",),
        parts={
            "grades": ("answer_reuse", "top_answer_share", "cot_gain", "cot_gain_ratio", "easy_regression"),
            "answers": ("answer_reuse", "top_answer_share", "repetition", "commit_position", "span_entropy_contrast"),
            "gold": ("answer_reuse", "top_answer_share"),
        },
    )

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return answers, work, length and damage over all prompts, and the decisive ones of some strata."""
        parts = {part.suffix: part for part in strata(samples, baseline, samples.params.seed)}
        whole = parts[""]
        at: Callable[[str], Paired] = partial(_stratum, parts)
        found: list[Measurement] = []
        for suffix in DECISIVE:
            found += [*_answers(at(suffix)), *_steps(at(suffix))]
        found += [_validity(whole), *_repetition(whole), *_lengths(whole)]
        found += [*_forced_accuracies(samples, baseline, whole), *_cot_gain(samples, baseline, whole)]
        found += [_easy_regression(at(suffix)) for suffix in ("", "@in", "@out")]
        return [*found, _span_entropy(whole), _span_divergence(whole, samples, baseline)]


def _stratum(parts: dict[str, Paired], suffix: str) -> Paired:
    """Return a stratum, empty where no prompt is of it."""
    return parts[suffix] if suffix in parts else _part((), None, parts[""], suffix)


probe: Probe = Shortcutting()
