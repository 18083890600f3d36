"""Gates built by hand, one of each verdict: what the outputs for continuous integration are tested on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entropydx.types import GATE_VERSION, Gate, GateCheck, GateVerdict, Report
from tests.unit.report_examples import collapsed, healthy, suspected

EXITS: dict[GateVerdict, int] = {"passed": 0, "warned": 0, "failed": 1, "inconclusive": 3}
COLLAPSE = GateCheck(
    name="failure.training_collapse",
    kind="failure",
    verdict="failed",
    reason="training collapse is present (high confidence): EDX101, EDX103 fired",
)
VARIANCE = GateCheck(
    name="failure.inference_variance",
    kind="failure",
    verdict="passed",
    reason="inference variance is absent: every decisive rule is clear",
)
PASS_AT_1 = GateCheck(
    name="bound.sampling_spread.pass_at_1.min",
    kind="bound",
    verdict="inconclusive",
    reason="sampling_spread.pass_at_1 is 0.52 [0.46, 0.59], across the minimum 0.55",
    measurement="sampling_spread.pass_at_1",
    value=0.52,
    ci=(0.46, 0.59),
    op="<",
    limit=0.55,
)
LENGTH = GateCheck(
    name="bound.instrument.truncation_rate.max",
    kind="bound",
    verdict="warned",
    reason="instrument.truncation_rate is not measured",
)


def gate(report: Report, checks: Sequence[GateCheck], /, **fields: Any) -> Gate:
    """A gate whose verdict is the worst of its checks."""
    order: tuple[GateVerdict, ...] = ("failed", "inconclusive", "warned", "passed")
    verdict = next(v for v in order if v == "passed" or any(c.verdict == v for c in checks))
    whole: dict[str, Any] = {
        "schema_version": GATE_VERSION,
        "tool": report.tool,
        "created_at": report.created_at,
        "exit_code": EXITS[verdict],
        "verdict": verdict,
        "reasons": tuple(c.reason for c in checks if c.verdict == verdict),
        "checks": tuple(checks),
        "policy": "policy.toml",
        "policy_sha": "ab" * 32,
        "label": report.diagnosis.label,
        "confidence": report.diagnosis.confidence,
        "summary": report.diagnosis.summary,
        "checkpoint": report.checkpoint.ref,
        "fingerprint": report.checkpoint.fingerprint,
        "report": "report.json",
    }
    return Gate(**whole | fields)


def failed() -> tuple[Gate, Report]:
    """A collapsed checkpoint; one more check is open, one has passed."""
    return gate(collapsed(), [VARIANCE, COLLAPSE, PASS_AT_1]), collapsed()


def inconclusive() -> tuple[Gate, Report]:
    """A bound that the interval lies across."""
    return gate(suspected(), [VARIANCE, PASS_AT_1]), suspected()


def warned() -> tuple[Gate, Report]:
    """A healthy checkpoint with a measurement that is not there."""
    return gate(healthy(), [VARIANCE, LENGTH]), healthy()


def passed() -> tuple[Gate, Report]:
    """A healthy checkpoint."""
    return gate(healthy(), [VARIANCE]), healthy()


GATES = {"failed": failed, "inconclusive": inconclusive, "warned": warned, "passed": passed}
