"""Rules applied to measurements, in three-valued logic (Kleene): fired, clear, undecided.

A threshold is compared with an *interval*: fired when all of it is beyond, clear when none of it is, else undecided. A
missing measurement is undecided and has no strength, so absence alone neither convicts nor clears, and supports nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from entropydx.types import (
    Condition,
    Evidence,
    Field,
    Finding,
    Interval,
    Measured,
    Measurement,
    Missing,
    Rule,
    Severity,
    Status,
    Threshold,
)

Measurements = Mapping[str, Measurement]
NO_PROBE = "no probe measured it"
"""Why a measurement is missing that the probes of the run do not make."""

_NOT: dict[Status, Status] = {"fired": "clear", "clear": "fired", "undecided": "undecided"}


def all_of(statuses: Iterable[Status]) -> Status:
    """Return the Kleene conjunction: clear if any is clear, fired if all fired, else undecided."""
    seen = set(statuses)
    return "clear" if "clear" in seen else "undecided" if "undecided" in seen else "fired"


def any_of(statuses: Iterable[Status]) -> Status:
    """Return the Kleene disjunction: fired if any fired, clear if all are clear, else undecided."""
    return _NOT[all_of(_NOT[s] for s in statuses)]


def _reading(measurement: Measured, field: Field) -> tuple[float | None, Interval | None]:
    if field == "value":
        return measurement.value, measurement.ci
    return measurement.delta, measurement.delta_ci


def compare(threshold: Threshold, measurements: Measurements) -> Evidence:
    """Compare one threshold with the interval of its measurement."""
    measurement = measurements.get(threshold.measurement)
    if measurement is None:
        return _absent(threshold, _unmeasured(threshold.measurement))
    if isinstance(measurement, Missing):
        return _absent(threshold, measurement.reason)
    value, ci = _reading(measurement, threshold.field)
    if value is None or ci is None:
        reason = measurement.note or "no interval"
        return _absent(threshold, reason if value is not None else "no paired change against a baseline")
    beyond = [x < threshold.value if threshold.op == "<" else x > threshold.value for x in ci]
    return _evidence(
        threshold,
        value=value,
        ci=ci,
        unit=measurement.unit,
        status="fired" if all(beyond) else "undecided" if any(beyond) else "clear",
        strength=_strength(threshold, value, ci),
        n=measurement.n,
    )


def _unmeasured(name: str) -> str:
    _, _, stratum = name.partition("@")
    return f"the suite has no prompts in the stratum @{stratum}" if stratum else NO_PROBE


def _absent(threshold: Threshold, reason: str) -> Evidence:
    return _evidence(
        threshold, value=None, ci=None, unit="", status="undecided", strength=None, n=0, missing_reason=reason
    )


def _evidence(threshold: Threshold, **outcome: Any) -> Evidence:
    return Evidence(
        measurement=threshold.measurement,
        field=threshold.field,
        op=threshold.op,
        threshold=threshold.value,
        source=threshold.source,
        **outcome,
    )


def _strength(threshold: Threshold, value: float, ci: Interval) -> float:
    """Return how far the interval lies beyond the threshold, linear in its own half-width, clipped to [0, 1]."""
    sign = 1.0 if threshold.op == ">" else -1.0
    margin = sign * (value - threshold.value)
    reach = value - ci[0] if value > threshold.value else ci[1] - value
    if reach <= 0:
        return 1.0 if margin > 0 else 0.0 if margin < 0 else 0.5
    return min(max(0.5 + 0.5 * margin / reach, 0.0), 1.0)


Judged = tuple[Status, float | None, tuple[Evidence, ...]]
"""Status, strength and comparisons of a condition."""


def judge_condition(condition: Condition, measurements: Measurements) -> Judged:
    """Return the status of a condition, its strength in [0, 1], and its comparisons.

    A disjunction is as strong as its strongest measured option: what is missing could only add to it. None: no option
    was measured.
    """
    if isinstance(condition, Threshold):
        evidence = compare(condition, measurements)
        return evidence.status, evidence.strength, (evidence,)
    options = tuple(compare(t, measurements) for t in condition.options)
    strongest = max((e.strength for e in options if e.strength is not None), default=None)
    return any_of(e.status for e in options), strongest, options


def _weakest(strengths: Sequence[float | None]) -> float | None:
    """Return the strength of a conjunction: of its weakest part, which nobody knows while one part is missing.

    A part that is 0 decides all the same: no other can be weaker.
    """
    known = [x for x in strengths if x is not None]
    weakest = min(known, default=None)
    return weakest if len(known) == len(strengths) or weakest == 0 else None


def assess(rule: Rule, measurements: Measurements) -> Finding:
    """Apply one rule: all of `when` and none of `unless`."""
    needed = [judge_condition(c, measurements) for c in rule.when]
    excuses = [judge_condition(c, measurements) for c in rule.unless]
    status = all_of([*(s for s, _, _ in needed), *(_NOT[s] for s, _, _ in excuses)])
    missing_input = _missing_input(rule, needed)
    if status == "clear" and missing_input is not None:
        status = "undecided"
    denied = [None if e.strength is None else 1 - e.strength for _, _, options in excuses for e in options]
    return Finding(
        code=rule.code,
        failure=rule.failure,
        direction=rule.direction,
        status=status,
        strength=_weakest([*(x for _, x, _ in needed), *denied]),
        statement=rule.title,
        decisive=rule.decisive,
        evidence=tuple(e for _, _, evidence in [*needed, *excuses] for e in evidence),
        severity=_severity(rule.severity, measurements) if status == "fired" else None,
        settle=rule.settle,
        missing_input=missing_input,
    )


def _missing_input(rule: Rule, needed: Iterable[Judged]) -> str | None:
    """Return why the first essential measurement that is missing is so."""
    for condition, (_, _, evidence) in zip(rule.when, needed, strict=True):
        if isinstance(condition, Threshold) and condition.essential and evidence[0].missing_reason is not None:
            return evidence[0].missing_reason
    return None


def _severity(scale: Severity | None, measurements: Measurements) -> float | None:
    if scale is None:
        return None
    measurement = measurements.get(scale.measurement)
    if not isinstance(measurement, Measured):
        return None
    value, _ = _reading(measurement, scale.field)
    if value is None:
        return None
    return min(max((value - scale.at_zero) / (scale.at_one - scale.at_zero), 0.0), 1.0)


def thresholds(rule: Rule) -> tuple[Threshold, ...]:
    """Return every comparison of a rule, excuses included."""
    return flat((*rule.when, *rule.unless))


def flat(conditions: Iterable[Condition]) -> tuple[Threshold, ...]:
    """Return the comparisons that conditions are made of."""
    return tuple(t for c in conditions for t in ((c,) if isinstance(c, Threshold) else c.options))


def in_scope(rule: Rule, has_baseline: bool, *, has_log: bool = False) -> bool:
    """Return whether a rule speaks in this run."""
    if rule.scope == "logged":
        return has_log
    return rule.scope == "always" or (rule.scope == "with_baseline") == has_baseline
