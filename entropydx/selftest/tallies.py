"""Verdicts counted: confusion, false alarms, rules, probabilities, repeats, doses, each as a record with intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np

from entropydx import scoring
from entropydx.cases import UNCLEAR
from entropydx.selftest.judging import SCOPES, Verdict, is_own_baseline
from entropydx.types import (
    FAILURES,
    CalibrationScore,
    ClassifierScore,
    DoseResponse,
    DoseSeries,
    Figure,
    Label,
    LabelScore,
    Outcome,
    PairScore,
    Reading,
    RecipeAlarms,
    Repeats,
    Rule,
    RuleScore,
    Scope,
    SelfComparison,
)

SCORED = tuple(str(label) for label in (*FAILURES, Label.HEALTHY))
"""The labels of the macro-F1."""
TRUTHS = (*SCORED, str(Label.ABNORMAL), UNCLEAR)
VERDICTS = (*SCORED, str(Label.ABNORMAL), str(Label.INCONCLUSIVE))
ALARMS = frozenset(VERDICTS) - {str(Label.HEALTHY), str(Label.INCONCLUSIVE)}
PAIRS = (
    (str(Label.TRAINING_COLLAPSE), str(Label.TEACHER_OVERCONFIDENCE)),
    (str(Label.HARD_SAMPLE_SHORTCUTTING), str(Label.INFERENCE_VARIANCE)),
)
"""Look-alikes: both narrow; both scattered."""
TUNED_ON = ("tiny-base", "tiny-thinker", "words-base", "grid-base")
"""Bases whose organisms the thresholds of the rules were set on: on them the rules are judged in sample."""
MIN_DOSES = 3
"""Cases that a series of doses needs."""
LIKELY = 0.5
"""The probability from which the classifier counts as naming a failure."""


def compared(verdicts: Iterable[Verdict], scope: Scope, reading: Reading) -> list[Verdict]:
    """Return the verdicts of a scope and reading; of a checkpoint against itself, only those without the baseline."""
    return [
        v
        for v in verdicts
        if v.scope == scope and v.reading == reading and not (scope == "with_baseline" and is_own_baseline(v.case))
    ]


def share(verdicts: Sequence[Verdict], hit: Callable[[Verdict], bool], none: str) -> Figure:
    """Return the share of verdicts with a property; `none` says why there is none where there are no verdicts."""
    if not verdicts:
        return Figure(value=None, ci=None, n=0, groups=0, note=none)
    return scoring.rate([hit(v) for v in verdicts], [v.group for v in verdicts])


# ── the combined verdict ──────────────────────────────────────────────────────────────────────────


def outcome(verdicts: Sequence[Verdict], scope: Scope, reading: Reading) -> Outcome:
    """Return how the verdicts of one scope and reading compare with the truth; `unclear` cases are only counted."""
    mine = compared(verdicts, scope, reading)
    known = [v for v in mine if v.truth != UNCLEAR]
    sound = [v for v in known if v.truth == Label.HEALTHY]
    truths = tuple(t for t in TRUTHS if any(v.truth == t for v in mine))
    counts = scoring.confusion([v.truth for v in mine], [v.label for v in mine], truths, VERDICTS)
    return Outcome(
        scope=scope,
        reading=reading,
        truths=truths,
        verdicts=VERDICTS,
        matrix=counts,
        macro_f1=_f1(known, SCORED),
        macro_f1_unseen=_f1([v for v in known if v.case.base not in TUNED_ON], SCORED),
        labels=tuple(_label_score(known, label) for label in SCORED),
        inconclusive=share(known, lambda v: v.label == Label.INCONCLUSIVE, "no case"),
        false_alarms=share(sound, lambda v: v.label in ALARMS, "no sound case"),
        alarms=_alarms(sound),
        pairs=tuple(_pair(known, pair) for pair in PAIRS),
    )


def _f1(verdicts: Sequence[Verdict], labels: Sequence[str]) -> Figure:
    statistic = scoring.f1_statistic([v.truth for v in verdicts], [v.label for v in verdicts], labels)
    return scoring.estimate(statistic, [v.group for v in verdicts])


def _label_score(known: Sequence[Verdict], label: str) -> LabelScore:
    given = [v for v in known if v.label == label]
    there = [v for v in known if v.truth == label]
    return LabelScore(
        label=label,
        precision=share(given, lambda v: v.truth == label, "never given"),
        recall=share(there, lambda v: v.label == label, "no such case"),
        f1=_f1(known, [label]),
    )


def _alarms(sound: Sequence[Verdict]) -> tuple[RecipeAlarms, ...]:
    by_recipe: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in sound:
        by_recipe[verdict.case.recipe, verdict.case.aim].append(verdict)
    rows = [
        RecipeAlarms(
            recipe=recipe,
            aim=aim,
            n=len(mine),
            healthy=sum(v.label == Label.HEALTHY for v in mine),
            alarms=sum(v.label in ALARMS for v in mine),
            inconclusive=sum(v.label == Label.INCONCLUSIVE for v in mine),
        )
        for (recipe, aim), mine in by_recipe.items()
    ]
    return tuple(sorted(rows, key=lambda r: (r.aim != Label.HEALTHY, r.recipe, r.aim)))


def _pair(known: Sequence[Verdict], pair: tuple[str, str]) -> PairScore:
    among = [v for v in known if v.truth in pair]
    return PairScore(labels=pair, accuracy=share(among, lambda v: choice(v, pair) == v.truth, "no such case"))


def choice(verdict: Verdict, pair: tuple[str, str]) -> str | None:
    """Return which of two look-alikes is named: the verdict's label where it is one, else the likelier; None: neither.

    Where the classifier abstains on one of the two, or gives both the same probability, neither is named: a miss.
    """
    if verdict.label in pair:
        return verdict.label
    first, second = (verdict.probability(label) for label in pair)
    if first is None or second is None or first == second:
        return None
    return pair[0] if first > second else pair[1]


# ── rules and classifier ──────────────────────────────────────────────────────────────────────────


def rule_scores(verdicts: Sequence[Verdict], rules: Sequence[Rule]) -> tuple[RuleScore, ...]:
    """Return precision and recall of every rule in every scope that it speaks in."""
    mine = {scope: compared(verdicts, scope, "in_sample") for scope in SCOPES}
    scores = []
    for rule in rules:
        for scope in SCOPES:
            speaks = [(v, s) for v in mine[scope] if (s := _status(v, rule.code)) is not None]
            if speaks:
                scores.append(_rule_score(rule, scope, speaks))
    return tuple(scores)


def _status(verdict: Verdict, code: str) -> str | None:
    return next((f.status for f in verdict.findings if f.code == code), None)


def _rule_score(rule: Rule, scope: Scope, speaks: Sequence[tuple[Verdict, str]]) -> RuleScore:
    judged = [(v, status, right) for v, status in speaks if (right := should_fire(rule, v)) is not None]
    fired = [(v, right) for v, status, right in judged if status == "fired"]
    due = [(v, status) for v, status, right in judged if right]
    nothing = "names no failure" if not judged else "never fired"
    return RuleScore(
        code=rule.code,
        failure=str(rule.failure),
        direction=rule.direction,
        decisive=rule.decisive,
        scope=scope,
        n=len(speaks),
        fired=sum(status == "fired" for _, status in speaks),
        undecided=sum(status == "undecided" for _, status in speaks),
        precision=_share_of(fired, lambda right: right, nothing),
        recall=_share_of(due, lambda status: status == "fired", "no such case" if judged else nothing),
    )


def _share_of(pairs: Sequence[tuple[Verdict, object]], hit: Callable[[object], object], none: str) -> Figure:
    if not pairs:
        return Figure(value=None, ci=None, n=0, groups=0, note=none)
    return scoring.rate([bool(hit(what)) for _, what in pairs], [v.group for v, _ in pairs])


def should_fire(rule: Rule, verdict: Verdict) -> bool | None:
    """Return whether the check says what the rule says; None where the check is unclear or the rule names nothing."""
    if rule.failure == Label.ABNORMAL:
        return None if verdict.truth == UNCLEAR else verdict.truth == Label.ABNORMAL
    truth = verdict.case.truth.get(str(rule.failure), UNCLEAR)
    if truth == UNCLEAR:
        return None
    return (truth == "present") == (rule.direction == "for")


def classifier_scores(verdicts: Sequence[Verdict], scope: Scope, reading: Reading) -> tuple[ClassifierScore, ...]:
    """Return precision and recall of the classifier alone, at a probability of one half."""
    mine = compared(verdicts, scope, reading)
    return tuple(_classifier_score(mine, str(f), scope, reading) for f in FAILURES)


def _classifier_score(mine: Sequence[Verdict], failure: str, scope: Scope, reading: Reading) -> ClassifierScore:
    known = [v for v in mine if v.case.policy_truth[failure] != UNCLEAR]
    named = [v for v in known if (v.probability(failure) or 0.0) >= LIKELY]
    there = [v for v in known if v.case.truth[failure] == "present"]
    return ClassifierScore(
        failure=failure,
        scope=scope,
        reading=reading,
        spoke=share(known, lambda v: v.probability(failure) is not None, "no case"),
        precision=share(named, lambda v: v.case.truth[failure] == "present", "never named"),
        recall=share(there, lambda v: (v.probability(failure) or 0.0) >= LIKELY, "no such case"),
    )


def calibration(verdicts: Sequence[Verdict], scope: Scope, reading: Reading) -> tuple[CalibrationScore, ...]:
    """Return Brier score and reliability of every failure's probabilities, and of all of them together."""
    mine = compared(verdicts, scope, reading)
    stated = {
        str(f): [
            (p, v.case.truth[f] == "present", v.group)
            for v in mine
            if v.case.policy_truth[f] != UNCLEAR and (p := v.probability(f)) is not None
        ]
        for f in FAILURES
    }
    stated = {"all": [row for rows in stated.values() for row in rows], **stated}
    return tuple(_calibration(name, scope, reading, rows) for name, rows in stated.items())


def _calibration(
    name: str, scope: Scope, reading: Reading, rows: Sequence[tuple[float, bool, tuple[str, str]]]
) -> CalibrationScore:
    probabilities, outcomes, groups = [p for p, _, _ in rows], [y for _, y, _ in rows], [g for _, _, g in rows]
    return CalibrationScore(
        failure=name,
        scope=scope,
        reading=reading,
        brier=scoring.brier(probabilities, outcomes, groups),
        skill=scoring.brier_skill(probabilities, outcomes, groups),
        bins=scoring.reliability(probabilities, outcomes, groups) if name == "all" else (),
    )


# ── repeats and doses ─────────────────────────────────────────────────────────────────────────────


def repeats(verdicts: Sequence[Verdict], scope: Scope, reading: Reading) -> Repeats:
    """Return how often two draws of one case, which differ in the seed of the sampling alone, get different labels."""
    by_case: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in compared(verdicts, scope, reading):
        by_case[verdict.case.name].append(verdict)
    pairs = [pair for mine in by_case.values() for pair in combinations(mine, 2)]
    groups = [a.group for a, _ in pairs]
    differ = [a.label != b.label for a, b in pairs]
    unsure = [Label.INCONCLUSIVE in {a.label, b.label} for a, b in pairs]
    flips = [d and not u for d, u in zip(differ, unsure, strict=True)]
    none = Figure(value=None, ci=None, n=0, groups=0, note="no case was drawn twice")
    return Repeats(
        scope=scope,
        reading=reading,
        flips=scoring.rate(flips, groups) if pairs else none,
        wavering=scoring.rate([d and u for d, u in zip(differ, unsure, strict=True)], groups) if pairs else none,
        flipped=tuple(sorted({a.case.name for (a, _), flip in zip(pairs, flips, strict=True) if flip})),
    )


def against_itself(verdicts: Sequence[Verdict], reading: Reading) -> SelfComparison:
    """Return what is said of checkpoints that are compared with themselves."""
    mine = [v for v in verdicts if v.reading == reading and is_own_baseline(v.case)]
    alone = {(v.case.name, v.seed): v.label for v in mine if v.scope == "without_baseline"}
    both = [v for v in mine if v.scope == "with_baseline"]
    none = "no case is its own baseline"
    return SelfComparison(
        reading=reading,
        accused=share([v for v in both if v.truth == Label.HEALTHY], lambda v: v.label in ALARMS, none),
        changed=share(both, lambda v: v.label != alone[v.case.name, v.seed], none),
    )


def severity(verdict: Verdict, failure: str) -> float | None:
    """Return how severe a failure looks, in [0, 2], or None where nothing was said of it.

    1 + severity where it is present, else the classifier's probability, else 0 where the rules cleared it. A failure
    that is present is more severe than any that is not, so that the two scales never cross.
    """
    assessment = verdict.diagnosis.failures[failure]
    if assessment.status == "present":
        return 1 + (assessment.severity or 0.0)
    probability = verdict.probability(failure)
    return 0.0 if probability is None and assessment.status == "absent" else probability


def dose_response(verdicts: Sequence[Verdict], failure: str, scope: Scope) -> DoseResponse:
    """Return Spearman's correlation of severity with dose, within recipe and base, of cases that aim at a failure.

    A case counts once, with the mean severity of its draws, and not at all where nothing was said of the failure. A
    recipe with fewer than three cases on a base, or with one dose, says nothing: two points always correlate.
    """
    by_case: dict[tuple[str, str, str, float], list[float | None]] = defaultdict(list)
    for v in compared(verdicts, scope, "in_sample"):
        if v.case.aim == failure and v.case.dose > 0:
            by_case[v.case.base, v.case.recipe, v.case.name, v.case.dose].append(severity(v, failure))
    grown: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    silent: Counter[tuple[str, str]] = Counter()
    for (base, recipe, _, dose), scores in by_case.items():
        said = [s for s in scores if s is not None]
        if said:
            grown[base, recipe].append((dose, float(np.mean(said))))
        else:
            silent[base, recipe] += 1
    series = tuple(
        DoseSeries(base=base, recipe=recipe, n=len(points), silent=silent[base, recipe], rho=rho)
        for (base, recipe), points in sorted(grown.items())
        if len(points) >= MIN_DOSES and np.isfinite(rho := scoring.spearman(*zip(*points, strict=True)))
    )
    none = Figure(value=None, ci=None, n=0, groups=0, note="no recipe has three cases of different doses")
    pooled = scoring.pooled([s.rho for s in series], [s.n for s in series], [(s.base, s.recipe) for s in series])
    return DoseResponse(failure=failure, scope=scope, rho=pooled if series else none, series=series)


def counted(values: Iterable[str]) -> dict[str, int]:
    """Return how often each value occurs, by name."""
    return dict(sorted(Counter(values).items()))
