"""What a watch says of a run that is being trained: exactly one JSON line of `entropydx watch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entropydx.types.gate import GateVerdict
from entropydx.types.labels import Label
from entropydx.types.report import Confidence

WATCH_VERSION = "1.0"
WatchEvent = Literal["judged", "skipped", "unmerged", "incomplete", "gone", "error", "acted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLine:
    """One line of the log: what became of a checkpoint, or of the actions that it set off."""

    schema_version: str
    at: str
    """UTC."""
    event: WatchEvent
    """`judged`: diagnosed and held against the policy. `skipped`: left out on purpose. `unmerged`: it has to be
    converted first. `incomplete`: not whole when the watch ended. `gone`: deleted before it was diagnosed. `error`: it
    could not be diagnosed. `acted`: what came of the command and the webhook. Every checkpoint gets one line; one that
    fires gets an `acted` one behind it, and an unmerged or incomplete one a further one when it is whole."""
    text: str
    """The line for a person; chat services show this field of a webhook."""
    run: str
    """The directory that is watched."""
    checkpoint: str
    """Its path."""
    name: str
    """Its directory's name: `checkpoint-40`, `global_step_40`."""
    step: int
    fired: bool = False
    """This line is the alarm: command and webhook are called after it is on the disk."""
    held_back: str | None = None
    """Why a failed verdict did not fire: it has fired before, it is not confirmed yet, or the alarm is cooling down."""
    verdict: GateVerdict | None = None
    """Of the policy; None unless it was judged."""
    failed: tuple[str, ...] = ()
    """Names of the checks that failed."""
    passed: tuple[str, ...] = ()
    """Names of the checks that passed: these are armed again."""
    new: tuple[str, ...] = ()
    """Those of `failed` that made it fire."""
    reasons: tuple[str, ...] = ()
    """Of the gate."""
    label: Label | None = None
    confidence: Confidence | None = None
    baseline: str | None = None
    """What it was compared with; None: it was judged without a comparison."""
    report: str | None = None
    """The file of its report."""
    wall_s: float | None = None
    """Seconds that its diagnosis took."""
    waited_s: float | None = None
    """Seconds from the poll that first saw it complete to the start of its diagnosis."""
    actions_ok: bool | None = None
    """Of an `acted` line: whether all of them worked."""
