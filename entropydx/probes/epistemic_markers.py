"""Words that voice doubt: how many, whether minds change after them, and what is left of them beside the solution.

## What it measures
Markers are `wait, hmm, perhaps, maybe, actually, alternatively, seems, might, likely, check`, the ten words of
arXiv:2603.24472 (read in its authors' script), or the user's lexicon. Two counts: `substring`, lower-case substrings as
that script counts, so that `unlikely`, `waiting`, `checked` count, and `word`, whole markers only.

- `count_substring`, `count_word`: markers per completion. `density_substring`, `density_word`: markers per 1,000
  tokens. `share_with_marker`: completions with at least one whole marker. `count_ratio`, `density_ratio`: whole markers
  against the baseline's. The paper's DeepSeek-R1-Distill-7B writes 182.5 markers in 13,054 tokens, and 8.8 in 1,873
  with the solution in its prompt (figures from a note on the paper): 14.0 and 4.7 per 1,000, so the count falls far
  more (÷20.7) than the density; read both.
- `self_correction_rate`: of the completions with a whole marker, the share that changes its mind across one: the answer
  that it states before the marker, by the suite's verifier, is not its final answer, or the same computation gets
  another result behind it (`37+05=41;wait37+05=42;`). `recovered_rate`: of those, the share whose final answer is
  right.
- Against the same prompts with the worked solution in them (condition `guided`, the first samples of both):
  `guided_marker_ratio`, whole markers without the solution / with it; `guided_length_ratio`, the same of tokens (÷7.0
  in the paper's model); `guided_marker_drop`, the share with a marker without the solution less that with it;
  `guided_accuracy`. A student that has taken over the style of a solution-guided teacher should show ratios near 1, and
  a drop near 0: a proposal of ours that no paper has tested.

## What confounds it
Models that never hedged (instruct models without thinking) have nothing to lose: ratios are then missing, and a drop of
0 says nothing. Reinforcement learning trims the markers of over-verbose models legitimately; length penalties and
prompts that ask for brevity do too. The default lexicon is English; code and chemistry have few markers; `check` and
`likely` also stand where nothing is in doubt. Words are a proxy for voiced uncertainty (arXiv:2603.15500). A change of
mind in other words than equations and stated answers is not seen, so the rate is a lower bound.

## What it costs
Beyond the main draw: the condition `guided`, half of the prompts with a quarter of the samples (1/8 of the main draw),
for checkpoint and baseline each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from entropydx import lexicon, stats
from entropydx.probes._conditions import GUIDED
from entropydx.probes._drawn import absence, common, first, n_samples, off_policy
from entropydx.probes._paired import NO_BASELINE, Build, Paired, strata
from entropydx.probes._scored import noted
from entropydx.probes._self_correction import corrects_itself
from entropydx.protocols import Probe
from entropydx.types import Completion, FloatArray, Group, Measurement, Missing, Prompt, Requires, Samples

STRATA = ("", "@in", "@out")
COUNT, SHARE = "markers/completion", "share of completions"
TOP = 5
"""Markers that the note of the count names."""
NOTHING_DRAWN = "nothing was drawn"
NO_STRATUM = {"@in": "the suite has no in-domain prompts", "@out": "the suite has no out-of-domain prompts"}
NO_COMMON = "no prompt in common with the baseline"
BASELINE_NEVER = "the baseline never hedges, so there is nothing to lose"
NEVER = "the checkpoint never hedges without the solution: there is nothing to compare"
GUIDED_NEVER = "no marker is left with the solution in the prompt: the ratio has no bound; read guided_marker_drop"
EVERYWHERE = ("count_substring", "count_word", "share_with_marker")
OVERALL = (
    "density_substring",
    "density_word",
    "count_ratio",
    "density_ratio",
    "self_correction_rate",
    "recovered_rate",
)
WITH_SOLUTION = ("guided_marker_ratio", "guided_length_ratio", "guided_marker_drop", "guided_accuracy")


@dataclass(frozen=True, slots=True)
class Hedges:
    """What one prompt's completions say of doubt, summed over them."""

    substrings: int = 0
    words: int = 0
    tokens: int = 0
    completions: int = 0
    marked: int = 0
    """Completions with a whole marker."""
    changed: int = 0
    """Of those, the ones that change their mind."""
    recovered: int = 0
    """Of those, the right ones."""
    right: int = 0
    found: Counter[str] = field(default_factory=Counter)
    """Whole markers by their name."""

    @classmethod
    def of(cls, group: Group, markers: tuple[str, ...]) -> Hedges:
        """Count over a prompt's completions."""
        return sum((_hedges(group.prompt, c, markers) for c in group.completions), start=cls())

    def __add__(self, other: Hedges) -> Hedges:
        return Hedges(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def _hedges(prompt: Prompt, completion: Completion, markers: tuple[str, ...]) -> Hedges:
    text = lexicon.normalise(completion.text)
    spans = lexicon.marker_spans(text, markers)
    changed = bool(spans) and corrects_itself(prompt, completion, text, spans)
    right = completion.grade is not None and completion.grade >= 1
    return Hedges(
        substrings=lexicon.substring_count(text, markers),
        words=len(spans),
        tokens=completion.n_tokens,
        completions=1,
        marked=int(bool(spans)),
        changed=int(changed),
        recovered=int(changed and right),
        right=int(right),
        found=Counter(marker for _, _, marker in spans),
    )


class _Rows:
    """The measurements of one stratum, over hedges that are counted once."""

    def __init__(self, groups: Iterable[Group], markers: tuple[str, ...]) -> None:
        self.hedges: Mapping[Group, Hedges] = {g: Hedges.of(g, markers) for g in groups}

    def sums(self, groups: tuple[Group, ...], name: str) -> FloatArray:
        """Return one sum per prompt, (N,)."""
        return np.array([getattr(self.hedges[g], name) for g in groups], dtype=float)

    def per(self, numerator: str, denominator: str, factor: float = 1.0) -> Build:
        """Return the function that makes a ratio of sums."""
        return lambda groups: stats.ratio_statistic(
            factor * self.sums(groups, numerator), self.sums(groups, denominator)
        )

    def everywhere(self, part: Paired) -> list[Measurement]:
        """Return the rows of every stratum."""
        counts = [
            part.estimate(f"epistemic_markers.count_{kind}", COUNT, self.per(f"{kind}s", "completions"))
            for kind in ("substring", "word")
        ]
        share = self.per("marked", "completions")
        return [
            counts[0],
            noted(counts[1], self._top(part)),
            part.estimate("epistemic_markers.share_with_marker", SHARE, share, bounds=(0, 1)),
        ]

    def _top(self, part: Paired) -> str:
        total = sum((self.hedges[g].found for g in part.groups), start=Counter())
        ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        return "most frequent: " + ", ".join(f"{m} {n:,}" for m, n in ranked) if ranked else "no marker at all"

    def overall(self, part: Paired) -> list[Measurement]:
        """Return the rows over all prompts."""
        found = [
            part.estimate(
                f"epistemic_markers.density_{kind}",
                f"markers/1,000 {part.length_unit}",
                self.per(f"{kind}s", "tokens", 1000.0),
                per_token=True,
            )
            for kind in ("substring", "word")
        ]
        return [*found, *self._ratios(part), *self._changes(part)]

    def _ratios(self, part: Paired) -> list[Measurement]:
        rows = {"count_ratio": "completions", "density_ratio": "tokens"}
        names = {name: f"epistemic_markers.{name}" for name in rows}
        reason = NO_BASELINE if part.baseline is None else None
        if part.baseline is not None and not self.sums(part.baseline, "words").any():
            reason = BASELINE_NEVER
        if reason is not None:
            return [Missing(name=name, reason=reason) for name in names.values()]
        return [
            part.ratio(names[n], self.per("words", per), bounds=self._range(part, per), per_token=per == "tokens")
            for n, per in rows.items()
        ]

    def _range(self, part: Paired, per: str) -> tuple[float, float]:
        """Return 0 and the most markers that any prompt of the two has.

        No bound is exact: a marker may stand in every place of a text. It gives an interval where none is left.
        """
        each = (
            stats.divide(self.sums(groups, "words"), self.sums(groups, per))
            for groups in (part.groups, part.baseline or ())
        )
        return 0.0, max(float(np.nanmax(rates, initial=0.0)) for rates in each)

    def _changes(self, part: Paired) -> list[Measurement]:
        rows = {
            "self_correction_rate": ("changed", "marked", "no completion has a marker"),
            "recovered_rate": ("recovered", "changed", "no completion changes its mind after a marker"),
        }
        found: list[Measurement] = []
        for name, (numerator, denominator, reason) in rows.items():
            behind = int(np.count_nonzero(self.sums(part.groups, denominator)))
            build = self.per(numerator, denominator)
            row = part.estimate(f"epistemic_markers.{name}", SHARE, build, bounds=(0, 1), n=behind)
            found.append(row if behind else Missing(name=row.name, reason=reason))
        return found


class _Guided:
    """Completions without and with the solution, on the same prompts."""

    def __init__(self, samples: Samples, baseline: Samples | None) -> None:
        ours = samples.conditions[GUIDED.name]
        theirs = () if baseline is None else baseline.conditions.get(GUIDED.name, ())
        draws = [samples.groups, ours]
        if baseline is not None and theirs:
            draws += [baseline.groups, theirs]
        lined_up = common(*draws)
        k = n_samples(*lined_up)
        plain, guided, *base = (first(groups, k) for groups in lined_up)
        self.k, self.n = k, len(plain)
        self.rows = _Rows((g for groups in (plain, guided, *base) for g in groups), samples.lexicon)
        self.ours, self.theirs = (plain, guided), tuple(base)
        self.population = replace(next(strata(samples, baseline, samples.params.seed)).population, n_prompts=self.n)

    def measure(self) -> list[Measurement]:
        """Return the four rows of the comparison."""
        if not self.n:
            return _missing(WITH_SOLUTION, NO_COMMON)
        words, plain_words = (self.rows.sums(groups, "words").sum() for groups in reversed(self.ours))
        reason = NEVER if not plain_words else GUIDED_NEVER if not words else None
        name = "epistemic_markers.guided_marker_ratio"
        if reason is None:
            marker_ratio = self._estimate(name, "x guided", self._quotient("words"))
        else:
            marker_ratio = Missing(name=name, reason=reason)
        drop = self._estimate("epistemic_markers.guided_marker_drop", SHARE, self._drop, bounds=(-1, 1))
        never = "the checkpoint never hedges without the solution, so its drop says nothing; its change may"
        return [
            marker_ratio,
            self._estimate("epistemic_markers.guided_length_ratio", "x guided", self._quotient("tokens")),
            drop if plain_words else noted(drop, never),
            self._estimate("epistemic_markers.guided_accuracy", SHARE, self._accuracy, bounds=(0, 1)),
        ]

    def _estimate(
        self, name: str, unit: str, build: Callable[..., stats.Statistic], bounds: tuple[float, float] | None = None
    ) -> Measurement:
        theirs = build(*self.theirs) if self.theirs else None
        found = self.population.estimate(name, unit, build(*self.ours), theirs, bounds=bounds)
        return noted(found, f"{self.n} prompts, the first {self.k} samples without and with the solution")

    def _quotient(self, name: str) -> Callable[..., stats.Statistic]:
        def build(plain: tuple[Group, ...], guided: tuple[Group, ...]) -> stats.Statistic:
            # Both have k completions of every prompt, so the ratio of sums is the ratio of means.
            return stats.ratio_statistic(self.rows.sums(plain, name), self.rows.sums(guided, name))

        return build

    def _drop(self, plain: tuple[Group, ...], guided: tuple[Group, ...]) -> stats.Statistic:
        share = self.rows.per("marked", "completions")
        without, with_solution = share(plain), share(guided)
        return lambda weights: without(weights) - with_solution(weights)

    def _accuracy(self, plain: tuple[Group, ...], guided: tuple[Group, ...]) -> stats.Statistic:
        return self.rows.per("right", "completions")(guided)


def _missing(names: Iterable[str], reason: str, suffix: str = "") -> list[Measurement]:
    return [Missing(name=f"epistemic_markers.{name}{suffix}", reason=reason) for name in names]


class EpistemicMarkers:
    """How much doubt a model voices, and what it does with it."""

    requires = Requires(
        grades=True,
        conditions=(GUIDED,),
        parts={
            "grades": ("recovered_rate", "guided_accuracy"),
            "answers": ("self_correction_rate", "recovered_rate"),
            "gold": ("self_correction_rate", "recovered_rate"),
        },
    )

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return counts and shares of every domain, densities, changes of mind, and the comparison with guidance."""
        found: list[Measurement] = []
        parts = {p.suffix: p for p in strata(samples, baseline, samples.params.seed) if p.suffix in STRATA}
        rows = _Rows((g for s in (samples, baseline) if s is not None for g in s.groups), samples.lexicon)
        for suffix in STRATA:
            part = parts.get(suffix)
            names = (*EVERYWHERE, *OVERALL) if not suffix else EVERYWHERE
            if not samples.groups:
                found += _missing(names, NOTHING_DRAWN, suffix)
            elif part is None or not part.groups:
                found += _missing(names, NO_STRATUM[suffix] if part is None else NO_COMMON, suffix)
            else:
                found += rows.everywhere(part)
                found += rows.overall(part) if not suffix else []
        return [*found, *self._guided(samples, baseline)]

    @staticmethod
    def _guided(samples: Samples, baseline: Samples | None) -> list[Measurement]:
        reason = off_policy(samples)
        if not samples.conditions.get(GUIDED.name):
            reason = absence(samples, GUIDED.name)
        if not samples.groups:
            reason = NOTHING_DRAWN
        if reason is not None:
            return _missing(WITH_SOLUTION, reason)
        return _Guided(samples, baseline).measure()


probe: Probe = EpistemicMarkers()
