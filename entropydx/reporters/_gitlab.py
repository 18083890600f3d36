"""A gate as GitLab's code quality report: what a merge request shows beside the diff, one entry for each open check.

A check that passed has no entry. The fingerprint of an entry is made of the policy and the check, without a number and
without the checkpoint, so that GitLab sees from commit to commit that it is the same one, and says when it is gone.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from entropydx.reporters._words import visible
from entropydx.types import Gate, GateVerdict

Severity = Literal["info", "minor", "major", "critical", "blocker"]
SEVERITY: dict[GateVerdict, Severity] = {"warned": "minor", "inconclusive": "major", "failed": "critical"}


def document(gate: Gate, place: str) -> str:
    """Return the report.

    Parameters
    ----------
    place : str
        The policy's file, relative to the checkout. A checkpoint has no line of code, and GitLab wants one for every
        entry: that is the first line of the policy, which is what one would change.
    """
    shown: Gate = visible(gate)
    entries = [
        _entry(check.name, f"{check.verdict}: {check.reason}", SEVERITY[check.verdict], visible(place))
        for check in shown.checks
        if check.verdict in SEVERITY
    ]
    return _written(entries)


def unfinished(reason: str, place: str) -> str:
    """Return the report of a run that gave no verdict; an empty one would say that all is well."""
    return _written([_entry("run.finished", visible(reason), "blocker", place)])


def _entry(check: str, description: str, severity: Severity, place: str) -> dict[str, Any]:
    return {
        "description": description,
        "check_name": f"entropydx.{check}",
        "fingerprint": hashlib.sha256("\n".join(["entropydx", place, check]).encode()).hexdigest(),
        "severity": severity,
        "location": {"path": place, "lines": {"begin": 1}},
    }


def _written(entries: list[dict[str, Any]]) -> str:
    return json.dumps(entries, indent=2) + "\n"
