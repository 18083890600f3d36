"""A policy held against a report: exactly the JSON document of `entropydx gate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropydx.types.evidence import Interval, Op
from entropydx.types.labels import Label
from entropydx.types.report import Confidence, Tool

GATE_VERSION = "1.0"
GateVerdict = Literal["passed", "warned", "failed", "inconclusive"]
CheckKind = Literal["label", "failure", "bound", "regression"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One question of the policy, and how it was answered."""

    name: str
    """Unique in the gate and without a number in it, so that a dashboard follows it from run to run:
    `failure.training_collapse`, `bound.sampling_spread.pass_at_1.min`, `regression.sampling_spread.pass_at_1.max_drop`.
    """
    kind: CheckKind
    verdict: GateVerdict
    reason: str
    """One line with the numbers; why it passed, too."""
    measurement: str | None = None
    value: float | None = None
    """Of the measurement, or of its change, when the check is about that; None when there is no number."""
    ci: Interval | None = None
    op: Op | None = None
    """`<` limit is what fails a lower bound; `>` limit an upper one."""
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The whole document."""

    schema_version: str
    tool: Tool
    created_at: str
    exit_code: int
    """0 passed, also with warnings; 1 failed; 3 inconclusive; 0 whatever the verdict with --exit-zero."""
    verdict: GateVerdict
    """The worst of the checks: failed, then inconclusive, then warned, then passed."""
    reasons: tuple[str, ...]
    """The reasons of the checks that have this verdict, one line each and none twice, in the order of the checks; one
    line in all when it passed."""
    checks: tuple[GateCheck, ...]
    policy: str
    """The file, or `default`."""
    policy_sha: str
    """sha256 over the policy as it was understood: two gates with one sha asked the same."""
    label: Label
    confidence: Confidence
    summary: str
    """Of the diagnosis."""
    checkpoint: str
    fingerprint: str
    report: str | None = None
    """The file of the report that was judged; None when it is nowhere."""
    against: str | None = None
    """The checkpoint of the report that the regressions are measured against."""
    against_how: str | None = None
    """How the changes were measured, or why the two do not compare, in a sentence's part."""
