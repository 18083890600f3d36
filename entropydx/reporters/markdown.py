"""A Markdown section for a model card: the verdict, what it rests on, how it was measured, and how to repeat it.

It quotes no model output, and whatever it does quote (names, paths, reasons) can neither link nor embed anything.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from entropydx.protocols import Reporter
from entropydx.reporters._markdown import (
    block,
    code,
    escaped,
    evidence_part,
    failure_table,
    measurement_table,
    settling_part,
)
from entropydx.reporters._measurements import telling
from entropydx.reporters._verdict import checkpoint_facts, protocol_words, untested
from entropydx.reporters._words import words
from entropydx.types import Protocol, Report


class MarkdownReporter:
    """Renders a report as a section that begins with a heading of the second level."""

    def render(self, report: Report) -> str:
        """Return the section, ending in a newline."""
        return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    diagnosis = report.diagnosis
    yield from ["## Diagnosis", ""]
    runner_up = f", runner-up {words(diagnosis.runner_up)}" if diagnosis.runner_up else ""
    verdict = f"**{words(diagnosis.label).capitalize()}** (confidence {diagnosis.confidence}{runner_up})."
    yield from [f"{verdict} {escaped(diagnosis.summary)}", ""]
    yield from failure_table(report)
    if silent := untested(diagnosis):
        yield from ["", f"**Not tested:** {escaped(silent)}"]
    yield ""
    yield from evidence_part(report)
    yield from settling_part(report)
    if rows := telling(report):
        yield from ["### Key measurements", ""]
        yield from measurement_table(rows, report.protocol.ci_level)
        yield ""
    yield from ["### How it was measured", ""]
    yield from _protocol(report)
    yield from ["", "### How to repeat it", ""]
    yield from _repeat(report)


def _protocol(report: Report) -> Iterator[str]:
    checkpoints = [("checkpoint", report.checkpoint), ("baseline", report.baseline)]
    for role, info in checkpoints:
        if info is None:
            yield "- no baseline: the verdict is weaker than with one"
        else:
            yield f"- {role} {code(info.ref)}, {escaped(checkpoint_facts(info))}, fingerprint {code(info.fingerprint)}"
    yield from (f"- {escaped(piece)}" for piece in protocol_words(report.protocol))
    if report.cost.stop_reason:
        yield f"- stopped: {escaped(report.cost.stop_reason)}"


def _repeat(report: Report) -> Iterator[str]:
    if report.protocol.imported is None:
        yield from [*block(command(report)), "", "The same seed draws the same tokens, up to floating point."]
    else:
        yield "Another tool drew the samples; `entropydx import` of the same files gives the same numbers."
    versions = {report.tool.name: report.tool.version, **report.protocol.versions}
    known = ", ".join(" ".join(pair) for pair in versions.items())
    yield f"Measured on {escaped(report.created_at)} with {escaped(known)}."


def command(report: Report) -> str:
    """Return the command that draws and judges the same again, as far as a report tells."""
    protocol = report.protocol
    line = ["entropydx", "diagnose", report.checkpoint.ref]
    if report.baseline is not None:
        line += ["--baseline", report.baseline.ref]
    return shlex.join([*line, *_sampling(protocol)])


def _sampling(protocol: Protocol) -> Iterator[str]:
    flags = {
        "suite": protocol.suite,
        "engine": protocol.engine,
        "prompts": protocol.n_planned or protocol.n_prompts,
        "samples": protocol.n_samples,
        "max-new-tokens": protocol.max_new_tokens,
        "temperature": protocol.temperature,
        "top-p": None if protocol.top_p == 1 else protocol.top_p,
        "seed": protocol.seed,
        "thinking": None if protocol.thinking == "auto" else protocol.thinking,
        "probes": protocol.probes,
        "deploy-temperature": protocol.deploy_temperature,
        "deploy-top-p": protocol.deploy_top_p,
    }
    for name, value in flags.items():
        if value is not None:
            yield from (f"--{name}", f"{value:g}" if isinstance(value, float) else str(value))
    if not protocol.adaptive:
        yield "--no-adaptive"


reporter: Reporter = MarkdownReporter()
