"""What is measured, the rules that judge it, and what they find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropydx.types.labels import Label

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number with its interval, and with the paired change against the baseline when there is one."""

    name: str
    """`probe.statistic[@stratum]`"""
    value: float
    unit: str
    n: int
    """Prompts behind the number."""
    ci: Interval | None
    """Prompt-clustered interval at the report's `protocol.ci_level`; None when `note` says why."""
    baseline: float | None = None
    delta: float | None = None
    """value - baseline, over the prompts that both have."""
    delta_ci: Interval | None = None
    note: str | None = None
    """Why there is no interval, or what to know when reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A number that could not be measured; never 0, never NaN, never health."""

    name: str
    reason: str


Measurement = Measured | Missing


Status = Literal["fired", "clear", "undecided"]
Direction = Literal["for", "against"]
Field = Literal["value", "delta"]
Op = Literal["<", ">"]
Scope = Literal["with_baseline", "without_baseline", "always", "logged"]
"""When a rule speaks; `logged`: where a training log was imported, whether there is a baseline or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One comparison of a measurement's interval with a sourced number."""

    measurement: str
    op: Op
    value: float
    source: str
    """Where the number comes from: a paper with its provenance, or labelled cases."""
    field: Field = "value"
    """Compare the value, or its paired change against the baseline."""
    essential: bool = False
    """What the failure is about: while it is missing the rule clears nothing, whatever its other conditions say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """A disjunction inside a rule's conjunction."""

    options: tuple[Threshold, ...]


Condition = Threshold | AnyOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Severity:
    """A linear scale from a measurement to [0, 1]."""

    measurement: str
    at_zero: float
    """The value at which severity is 0."""
    at_one: float
    """The value at which severity is 1."""
    field: Field = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule is a value; the docstring of its file is its documentation."""

    code: str
    """EDX1xx collapse, 2xx variance, 3xx shortcutting, 4xx overconfidence, 9xx the instrument."""
    failure: Label
    """The failure that it speaks about; for an instrument rule `abnormal` or `inconclusive`."""
    direction: Direction
    title: str
    """The pattern in a few words, as a statement that can be true or false."""
    when: tuple[Condition, ...]
    """All must hold."""
    unless: tuple[Condition, ...] = ()
    """None may hold."""
    scope: Scope = "always"
    decisive: bool = False
    """A fired decisive rule makes its failure present; clear decisive rules make it absent."""
    severity: Severity | None = None
    settle: str = ""
    """What the user can do when the rule stays undecided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One comparison as it came out."""

    measurement: str
    field: Field
    value: float | None
    ci: Interval | None
    op: Op
    threshold: float
    unit: str
    source: str
    status: Status
    strength: float | None
    """0 the interval is wholly on the other side, 0.5 the value is at the threshold, 1 it is wholly beyond; None where
    there is no number: what was not measured speaks for nobody."""
    n: int
    missing_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule applied to the measurements."""

    code: str
    failure: Label
    direction: Direction
    status: Status
    strength: float | None
    """In [0, 1], of the weakest necessary condition; None where one was not measured and no other is at 0."""
    statement: str
    decisive: bool
    evidence: tuple[Evidence, ...]
    severity: float | None = None
    settle: str = ""
    missing_input: str | None = None
    """Why an essential measurement is missing, so that the rule could not test its failure; None when none is."""
