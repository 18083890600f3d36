"""A gate for GitHub Actions: the page of the job's summary, annotations, and outputs for the steps that follow.

Escaping is that of GitHub's own toolkit (actions/toolkit, packages/core: `command.ts` and `file-command.ts`); what a
log line can do is read in the runner (actions/runner, `ActionCommand.cs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from entropydx.reporters._layout import clipped
from entropydx.reporters._markdown import (
    code,
    escaped,
    evidence_part,
    failure_table,
    measurement_table,
    settling_part,
    table,
)
from entropydx.reporters._measurements import telling
from entropydx.reporters._remedies import NOTHING_FITS, warnings
from entropydx.reporters._verdict import EXAMPLES, SETTLING, protocol_words, untested
from entropydx.reporters._words import visible, words
from entropydx.types import Gate, GateVerdict, Report

Level = Literal["error", "warning", "notice"]
SUMMARY_LIMIT = 2**20
"""Bytes of a step's summary; GitHub refuses a longer one whole ("Workflow commands", step isolation and limits)."""
ANNOTATIONS = 10
"""Of one level in one step; GitHub drops the others without a word (actions/toolkit, docs/problem-matchers.md)."""
MESSAGE = 2000
"""Cells of an annotation; the page has the rest."""
CUT = "_The rest of this page was cut: GitHub takes no more than 1 MiB from a step. The report has all of it._"
LEVEL: dict[GateVerdict, Level] = {
    "passed": "notice",
    "warned": "warning",
    "failed": "error",
    "inconclusive": "warning",
}
MARK: dict[GateVerdict, str] = {"passed": "✅", "warned": "⚠️", "failed": "❌", "inconclusive": "❔"}
"""Beside the word, never in its place."""
_ORDER: tuple[GateVerdict, ...] = ("failed", "inconclusive", "warned", "passed")
_COMMAND = re.compile(r"(?:^|(?<=\r))\s*:(?=:)|##(?=\[)", re.MULTILINE)


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def defused(text: str) -> str:
    """Return text that the runner cannot take for a command when it is printed.

    A line is one when it starts with `::`, blanks aside, or has `##[` anywhere; a blank is put between.
    """
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)


def annotation(level: Level, title: str, message: str) -> str:
    """Return a workflow command, one line, that annotates the run; the message may have several lines."""
    return f"::{level} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def gate_annotations(gate: Gate) -> list[str]:
    """Return the verdict with its reasons as the first annotation, then each check that has not passed."""
    shown: Gate = visible(gate)
    whole = "\n".join([f"{shown.checkpoint}: {words(shown.label)}, confidence {shown.confidence}", *shown.reasons])
    found = [annotation(LEVEL[gate.verdict], f"entropydx: {gate.verdict}", clipped(whole, MESSAGE))]
    for verdict in _ORDER[:-1]:
        checks = [check for check in shown.checks if check.verdict == verdict]
        room = ANNOTATIONS - sum(line.startswith(f"::{LEVEL[verdict]} ") for line in found)
        found += [
            annotation(LEVEL[verdict], f"{verdict}: {check.name}", clipped(check.reason, MESSAGE))
            for check in checks[: max(room, 0)]
        ]
    return found


def outputs(values: Mapping[str, str], delimiter: str) -> str:
    """Return the lines of $GITHUB_OUTPUT; a value may have several lines.

    Parameters
    ----------
    delimiter : str
        One that nobody can guess, so that no value can end early and set an output of its own.

    Raises
    ------
    ValueError
        It is in a value.
    """
    if any(delimiter in value for value in values.values()):
        raise ValueError("the delimiter is in a value")
    return "".join(f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in values.items())


# ── the page ──────────────────────────────────────────────────────────────────────────────────────


def summary(gate: Gate, report: Report, limit: int = SUMMARY_LIMIT) -> str:
    """Return the page of the job's summary as Markdown, cut between two lines when it is over `limit` bytes.

    It is empty when there is no room even to say that.
    """
    return _cut(_page(gate, report), limit)


def _cut(lines: Iterable[str], limit: int) -> str:
    closing = "\n\n</details>\n\n"
    left, kept, opened = limit - len(f"{closing}{CUT}\n".encode()), "", 0
    if left < 0:
        return ""
    for line in lines:
        left -= len(line.encode()) + 1
        if left < 0:
            return f"{kept}{closing * opened or chr(10)}{CUT}\n"
        kept += f"{line}\n"
        opened += line.count("<details>") - line.count("</details>")
    return kept


def _page(gate: Gate, report: Report) -> Iterator[str]:
    yield from _verdict(gate)
    yield from _checks(gate)
    yield from ["### The four failures", "", *failure_table(report), ""]
    if silent := untested(report.diagnosis):
        yield from [f"**Not tested:** {escaped(silent)}", ""]
    yield from evidence_part(report)
    yield from _advice(report)
    yield from settling_part(report, SETTLING)
    if rows := telling(report):
        measured = sum(row.value is not None for row in report.measurements)
        body = measurement_table(rows, report.protocol.ci_level)
        yield from _folded(f"Measurements, {len(rows)} of {measured}", body)
    if report.examples:
        yield from _folded("Samples that show it", _samples(report))
    yield from _folded("How it was measured", (f"- {escaped(piece)}" for piece in protocol_words(report.protocol)))


def _verdict(gate: Gate) -> Iterator[str]:
    yield f"## {MARK[gate.verdict]} entropydx: {gate.verdict}"
    yield from ["", f"**{words(gate.label).capitalize()}**, confidence {gate.confidence}. {escaped(gate.summary)}", ""]
    facts = [
        f"checkpoint {code(gate.checkpoint)}",
        f"fingerprint {code(gate.fingerprint[:12])}",
        f"policy {code(gate.policy)}",
        *([f"against {code(gate.against)}"] if gate.against is not None else []),
        *([f"report {code(gate.report)}"] if gate.report is not None else []),
        f"exit code {gate.exit_code}",
    ]
    yield from [" · ".join(facts), ""]


def _checks(gate: Gate) -> Iterator[str]:
    """Yield every check, the worst first: why it passed is said, too."""
    ranked = sorted(gate.checks, key=lambda check: _ORDER.index(check.verdict))
    rows = [[code(c.name), f"{MARK[c.verdict]} {c.verdict}", escaped(c.reason)] for c in ranked]
    yield from ["### What the policy asked", ""]
    yield from table(["check", "verdict", "why"], rows) if rows else ["Nothing: the policy has no check."]
    yield ""


def _advice(report: Report) -> Iterator[str]:
    if report.training is not None and report.training.warnings:
        yield from ["### In the training configuration", "", *(f"- {escaped(w)}" for w in report.training.warnings), ""]
    if report.recommendations or report.contraindicated or report.left_out:
        yield from ["### What to do", ""]
        if not report.recommendations and report.left_out:
            yield from [NOTHING_FITS, ""]
            yield from (f"- {escaped(entry.title)}: {escaped(entry.why)}" for entry in report.left_out)
        yield from (
            f"{i}. **{escaped(remedy.title)}.** {escaped(remedy.why)}"
            for i, remedy in enumerate(report.recommendations, start=1)
        )
        yield from (f"- **Do NOT** use {escaped(words)}." for words in warnings(report))
        yield from ["", "The settings for each framework are in the report.", ""]


def _samples(report: Report) -> Iterator[str]:
    for example in report.examples[:EXAMPLES]:
        head = f"{code(example.about)}, {code(example.prompt_id)}, sample {example.sample_index}"
        yield f"- {head}: {code(example.excerpt)}"


def _folded(title: str, body: Iterable[str]) -> Iterator[str]:
    yield from ["<details>", f"<summary>{title}</summary>", "", *body, "", "</details>", ""]
