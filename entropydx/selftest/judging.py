"""Labelled cases judged again, by the present rules, classifier and triage: a verdict for every draw.

Nothing is sampled and nothing is measured; what a case holds is what a run had measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from entropydx.cases import Case, Draw
from entropydx.classifier import Classifier, Opinion
from entropydx.pipeline import find, rules
from entropydx.protocols import Progress
from entropydx.triage import triage
from entropydx.types import Diagnosis, Finding, Measurement, Reading, Rule, Scope

READINGS: tuple[Reading, ...] = ("in_sample", "leave_one_base_out", "leave_one_recipe_out")
SCOPES: tuple[Scope, ...] = ("with_baseline", "without_baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One draw of a case, judged in one scope and reading."""

    case: Case
    seed: int
    scope: Scope
    reading: Reading
    findings: tuple[Finding, ...] = field(repr=False)
    opinion: Opinion = field(repr=False)
    diagnosis: Diagnosis = field(repr=False)

    @property
    def label(self) -> str:
        """What the triage says."""
        return str(self.diagnosis.label)

    @property
    def truth(self) -> str:
        """What the independent check says."""
        return self.case.label

    @property
    def group(self) -> tuple[str, str]:
        """Base and recipe: what intervals resample."""
        return self.case.base, self.case.recipe

    def probability(self, failure: str) -> float | None:
        """Return the classifier's probability of a failure; None where it abstains."""
        return self.opinion.failures[failure].probability


def is_own_baseline(case: Case) -> bool:
    """Return whether a case compares a checkpoint with itself, which no rule about a change speaks on."""
    return case.baseline == case.name


def judge(cases: Sequence[Case], classifier: Classifier, progress: Progress) -> list[Verdict]:
    """Return the verdicts of every case, draw, scope and reading, in that order.

    A case that is its own baseline is judged once with it and once without, as `pipeline` does: by the rules that need
    no baseline.
    """
    every = rules()
    verdicts: list[Verdict] = []
    progress.start("judging", len(cases))
    for case in cases:
        for draw in case.draws:
            for scope in SCOPES:
                verdicts += _readings(case, draw, scope, classifier, every)
        progress.advance()
    return verdicts


def _readings(case: Case, draw: Draw, scope: Scope, classifier: Classifier, every: Sequence[Rule]) -> Iterator[Verdict]:
    measurements: tuple[Measurement, ...] = draw.measurements if scope == "with_baseline" else draw.alone
    has_baseline = scope == "with_baseline" and not is_own_baseline(case)
    by_name = {m.name: m for m in measurements}
    findings = find(measurements, has_baseline=has_baseline, among=every)
    folds = classifier.folds(has_baseline=has_baseline)
    for reading in READINGS:
        fold = _fold(case, reading)
        opinion = classifier.assess(by_name, has_baseline, fold if fold in folds else None)
        yield Verdict(
            case=case,
            seed=draw.seed,
            scope=scope,
            reading=reading,
            findings=findings,
            opinion=opinion,
            diagnosis=triage(findings, has_baseline=has_baseline, opinion=opinion),
        )


def _fold(case: Case, reading: Reading) -> str | None:
    """Return what the coefficients must not have seen."""
    return {"leave_one_base_out": f"base={case.base}", "leave_one_recipe_out": f"recipe={case.recipe}"}.get(reading)
