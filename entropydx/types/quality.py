"""What the selftest says of the tool itself: figures, each with an interval or a reason for having none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropydx.types.evidence import Interval, Op, Scope
from entropydx.types.report import Tool

QUALITY_VERSION = "1.0"
Reading = Literal["in_sample", "leave_one_base_out", "leave_one_recipe_out"]
"""Which coefficients the classifier judged a case with: all cases', or those fitted without its base or recipe."""
READING_WORDS: dict[Reading, str] = {
    "in_sample": "in sample",
    "leave_one_base_out": "leave one base out",
    "leave_one_recipe_out": "leave one recipe out",
}
SCOPE_WORDS: dict[Scope, str] = {"with_baseline": "with a baseline", "without_baseline": "without a baseline"}
"""Both as a person writes them, in bars and pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number about verdicts, with its interval over groups of cases (one recipe on one base each)."""

    value: float | None
    """None where `note` says why there is none."""
    ci: Interval | None
    """At 95 %; None where `note` says why."""
    n: int
    """Verdicts, pairs or cases that are counted."""
    groups: int
    """Independent groups behind them."""
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """How well one label is given."""

    label: str
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeAlarms:
    """Sound cases of one recipe, and what was said of them."""

    recipe: str
    aim: str
    """The label that the recipe is meant to bring about: a failure where the dose was too small."""
    n: int
    """Verdicts."""
    healthy: int
    alarms: int
    """A failure or `abnormal` was named."""
    inconclusive: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScore:
    """How well two look-alikes are told apart."""

    labels: tuple[str, str]
    accuracy: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The verdicts of one scope and reading."""

    scope: Scope
    reading: Reading
    truths: tuple[str, ...]
    """Rows of the matrix."""
    verdicts: tuple[str, ...]
    """Columns of the matrix."""
    matrix: tuple[tuple[int, ...], ...]
    macro_f1: Figure
    """Over the four failures and `healthy`; an inconclusive verdict is a miss."""
    macro_f1_unseen: Figure
    """Of the bases that no threshold of a rule was set on."""
    labels: tuple[LabelScore, ...]
    inconclusive: Figure
    false_alarms: Figure
    """Share of sound cases that a failure or `abnormal` is named for."""
    alarms: tuple[RecipeAlarms, ...]
    pairs: tuple[PairScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleScore:
    """One rule against what the independent checks say of its failure."""

    code: str
    failure: str
    direction: str
    decisive: bool
    scope: Scope
    n: int
    """Verdicts in which the rule spoke."""
    fired: int
    undecided: int
    precision: Figure
    """Of the fired ones, how many are right."""
    recall: Figure
    """Of those that it should fire on, on how many it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierScore:
    """The classifier alone on one failure."""

    failure: str
    scope: Scope
    reading: Reading
    spoke: Figure
    """Share of draws on which it does not abstain."""
    precision: Figure
    recall: Figure
    """Over all draws on which the failure is present, abstentions included as misses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Probabilities of one range, and how often the failure was there."""

    low: float
    high: float
    stated: float | None
    """Mean of the probabilities; None in an empty bin."""
    observed: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationScore:
    """Stated probabilities against what the checks say."""

    failure: str
    """`all` pools the four."""
    scope: Scope
    reading: Reading
    brier: Figure
    """Mean of (probability - truth)², in [0, 1] (Brier 1950)."""
    skill: Figure
    """1 - Brier / Brier of always stating the share of present ones; at most 1, 0 is no better than that."""
    bins: tuple[Bin, ...]
    """Of the four together; a single failure has too few cases for ten of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """The same checkpoint judged again under another seed."""

    scope: Scope
    reading: Reading
    flips: Figure
    """Share of the pairs of draws that name two different labels, neither of them inconclusive."""
    wavering: Figure
    """Share of the pairs of which exactly one is inconclusive."""
    flipped: tuple[str, ...]
    """The cases with a flip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfComparison:
    """Checkpoints that are their own baseline."""

    reading: Reading
    accused: Figure
    """Share of the sound ones that a failure or `abnormal` is named for."""
    changed: Figure
    """Share whose label is another one than without a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseSeries:
    """The cases of one recipe on one base, from the smallest dose to the largest."""

    base: str
    recipe: str
    n: int
    """Cases."""
    silent: int
    """Further cases, of which the tool says nothing about this failure."""
    rho: float
    """Spearman's; 0 where the severity is the same at every dose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseResponse:
    """Whether a larger dose looks more severe."""

    failure: str
    scope: Scope
    rho: Figure
    """Mean over the series, weighted by their numbers of cases."""
    series: tuple[DoseSeries, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A verdict that the independent check contradicts."""

    case: str
    scope: Scope
    truth: str
    verdict: str
    n: int
    """Draws with this verdict."""
    of: int
    """Draws of the case."""
    planted: str
    """The case's own `why`."""
    misled: str
    """The evidence that decided, or that kept from deciding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVerdicts:
    """What was said of one case, a verdict for each draw; the classifier never saw its base."""

    case: str
    base: str
    recipe: str
    dose: float
    truth: str
    with_baseline: tuple[str, ...]
    """Empty where the case is its own baseline."""
    without_baseline: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarResult:
    """One thing that the tool must show."""

    name: str
    op: Op
    """`>`: at least the limit; `<`: at most."""
    limit: float
    source: str
    figure: Figure
    met: bool | None
    """Of the point value; None where there is none."""
    why: str = ""
    """What it is missed by: the verdicts, recipes or cases behind it; empty where it is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrawn:
    """A committed organism, sampled afresh and diagnosed again."""

    case: str
    truth: str
    before: tuple[str, ...]
    """What its draws are called, by the same rules and coefficients."""
    now: str
    flipped: bool
    """Whether `now` is another label than all of `before`, inconclusive apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The whole document of `entropydx selftest`; nothing in it changes unless cases, rules or coefficients do."""

    quality_version: str
    tool: Tool
    cases_sha: str
    """Of the names, labels and measurements of the cases."""
    tiers: dict[str, int]
    """Tier to its number of cases."""
    bases: dict[str, int]
    recipes: dict[str, int]
    truths: dict[str, int]
    n_draws: int
    n_groups: int
    """Pairs of a base and a recipe: what every interval resamples."""
    tuned_on: tuple[str, ...]
    """Bases whose organisms the thresholds of the rules were set on."""
    outcomes: tuple[Outcome, ...]
    rules: tuple[RuleScore, ...]
    classifier: tuple[ClassifierScore, ...]
    calibration: tuple[CalibrationScore, ...]
    repeats: tuple[Repeats, ...]
    against_itself: tuple[SelfComparison, ...]
    doses: tuple[DoseResponse, ...]
    mistakes: tuple[Mistake, ...]
    cases: tuple[CaseVerdicts, ...]
    bars: tuple[BarResult, ...]
    redrawn: tuple[Redrawn, ...] = ()
    """Of `--full`; the committed document has none, because sampling is not the same on every machine."""
