"""The parts of the page that are about the verdict as a whole: headline, failures, next steps, samples, cost."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from entropydx.reporters._layout import clipped, flow, grid, hanging, section, shortened
from entropydx.reporters._words import count, duration, exit_meaning, words
from entropydx.types import (
    FAILURES,
    CheckpointInfo,
    Diagnosis,
    FailureAssessment,
    ImportSource,
    Label,
    Presence,
    Protocol,
    Report,
)

EXAMPLES = 4
SETTLING = 5
"""Lines of a list, unless everything is asked for."""
_COLOUR = {Label.HEALTHY: "green", Label.INCONCLUSIVE: "yellow", Label.ABNORMAL: "magenta"}
_STATUS: dict[Presence, tuple[str, str]] = {
    "present": ("PRESENT", "bold red"),
    "absent": ("absent", "green"),
    "undetermined": ("undetermined", "yellow"),
}
SILENT = "no opinion"
"""Of the classifier: it abstains, which the reason tells, or none ships."""


def colour(label: Label) -> str:
    """Return the colour of a label; a failure is red."""
    return _COLOUR.get(label, "red")


def headline(report: Report, width: int) -> Panel:
    """Return the verdict: label, confidence, severity, runner-up, and the summary."""
    diagnosis = report.diagnosis
    name = words(diagnosis.label).upper()
    facts = [name, f"confidence {diagnosis.confidence}"]
    own = diagnosis.failures.get(diagnosis.label)
    if own and own.severity is not None:
        facts.append(f"severity {own.severity:.2f} of 1")
    if diagnosis.runner_up:
        facts.append(f"runner-up {words(diagnosis.runner_up)}")
    title = flow(facts, width - 4, indent=0, style="")
    title.stylize(f"bold {colour(diagnosis.label)}", 0, len(name))
    return Panel(Text.assemble(title, "\n", diagnosis.summary), border_style=colour(diagnosis.label), padding=(0, 1))


def subject(report: Report, width: int) -> Text:
    """Return what was diagnosed and how, in dim print."""
    pieces = [
        _checkpoint(report.checkpoint, width - 4),
        f"baseline {shortened(report.baseline.ref, width - 14)}" if report.baseline else "no baseline",
        *protocol_words(report.protocol),
    ]
    return flow(pieces, width)


def protocol_words(protocol: Protocol) -> list[str]:
    """Return how the samples were drawn, a phrase each."""
    if protocol.imported is not None:
        return import_words(protocol, protocol.imported)
    top_p = f" top_p {protocol.top_p:g}" if protocol.top_p is not None and protocol.top_p < 1 else ""
    return [
        f"suite {protocol.suite} ({protocol.suite_source})",
        f"{_prompts(protocol)} × {protocol.n_samples} samples, up to {protocol.max_new_tokens} tokens",
        f"temperature {known(protocol.temperature)}{top_p}",
        f"engine {protocol.engine}, device {protocol.device}",
        "chat template" if protocol.chat_template else "no chat template: prompts sent as they are",
        f"seed {protocol.seed}",
        f"{100 * protocol.ci_level:.4g}% intervals, over prompts",
    ]


def import_words(protocol: Protocol, source: ImportSource) -> list[str]:
    """Return where imported samples come from and what is known of how they were drawn, a phrase each."""
    tool = f"{source.tool} {source.version}" if source.version else source.tool
    files = source.files[0] if len(source.files) == 1 else f"{len(source.files)} files"
    pieces = [f"imported from {files} ({tool}); nothing was drawn"]
    if source.kind == "log":
        return [*pieces, f"logged at temperature {known(source.temperature)}"]
    return [
        *pieces,
        f"{_prompts(protocol)} × {protocol.n_samples} samples",
        f"temperature {known(protocol.temperature)}, top_p {known(protocol.top_p)}",
        f"graded by {source.graded_by or 'nobody'}; answers from {source.answers_from or 'nobody: not looked for'}",
        f"{100 * protocol.ci_level:.4g}% intervals, over prompts",
    ]


def known(number: float | None) -> str:
    """Return a setting, or that it is unknown."""
    return "unknown" if number is None else f"{number:g}"


def _checkpoint(info: CheckpointInfo, width: int) -> str:
    facts = f" ({checkpoint_facts(info)})"
    return shortened(info.ref, max(width - len(facts), 20)) + facts


def checkpoint_facts(info: CheckpointInfo) -> str:
    """Return what is known of a checkpoint beside its name."""
    if info.format == "imported":
        return "known by another tool's files alone"
    if info.format == "server":
        size = f", {count(info.n_parameters)} parameters" if info.n_parameters else ""
        return f"known to a server by this name{size}"
    size = f"{count(info.n_parameters)} parameters"
    return f"{info.architecture}, {size}, {info.dtype}{', quantized' * info.quantized}"


def failures(report: Report, width: int) -> Group:
    """Return the standing of the four failures."""
    known = report.diagnosis.failures
    rows: list[list[RenderableType]] = []
    beside = width >= 110
    for failure in FAILURES:
        own = known[failure]
        word, style = _STATUS[own.status]
        reason = Text(own.reason, style="dim")
        rows.append([Text(words(failure)), Text(word, style=style), *_scores(own), *([reason] if beside else [])])
        if not beside and own.reason:
            rows.append([hanging("    ", reason)])
    head: list[RenderableType] = [Text(t, style="dim") for t in ("", "status", "probability", "severity")]
    widths: list[int | None] = [24, 12, 13, 11]
    body: list[RenderableType] = [grid(widths, [head], indent=2)]
    body += [grid([*widths, None] if beside else widths, [r], indent=2) if len(r) > 1 else r[0] for r in rows]
    return section("The four failures", *body, *_notes(report, width))


def _scores(failure: FailureAssessment) -> list[RenderableType]:
    probability = SILENT if failure.probability is None else f"{failure.probability:.2f}"
    if failure.severity is None:
        return [Text(probability), Text("-")]
    return [Text(probability), Text(f"{failure.severity:.2f} {bar(failure.severity)}")]


def bar(share: float, cells: int = 5) -> str:
    """Return a share of 1 as filled and empty cells."""
    filled = round(share * cells)
    return "■" * filled + "□" * (cells - filled)


def _prompts(protocol: Protocol) -> str:
    planned = protocol.n_planned
    return f"{protocol.n_prompts} {f'of {planned} ' if planned and planned > protocol.n_prompts else ''}prompts"


def _notes(report: Report, width: int) -> Iterator[RenderableType]:
    diagnosis = report.diagnosis
    yield hanging("  ", opinions(diagnosis), style="bold" if diagnosis.agreement is False else "dim")
    for note in reading_notes(diagnosis):
        yield hanging("  ", note, style="dim")
    if left := untested(diagnosis):
        yield hanging("  NOT TESTED: ", left, prefix_style="bold yellow")


def reading_notes(diagnosis: Diagnosis) -> list[str]:
    """Return what is to be known of the numbers of the four failures, and of those that are not there."""
    known = diagnosis.failures.values()
    notes = []
    if any(own.probability is not None for own in known):
        notes.append("a probability is the classifier's estimate, calibrated on labelled cases: it has no interval")
    if any(own.status == "present" and own.severity is None for own in known):
        notes.append("severity - on a failure that is present: no rule that measures how severe it is fired")
    return notes


def opinions(diagnosis: Diagnosis) -> str:
    """Return what rules and classifier say, each alone, and whether they agree."""
    silent = [words(f) for f in FAILURES if diagnosis.failures[f].probability is None]
    if len(silent) == len(FAILURES) and not diagnosis.classifier_label:
        return "The classifier gives no opinion: the statuses come from the rules alone, and no probability is claimed."
    theirs = words(diagnosis.classifier_label) if diagnosis.classifier_label else "no label"
    missed = f" (it abstains from {', '.join(silent)})" if silent else ""
    agreement = {True: "; they agree", False: "; they DISAGREE", None: ""}[diagnosis.agreement]
    return f"rules: {words(diagnosis.rules_label)}; classifier: {theirs}{missed}{agreement}"


def untested(diagnosis: Diagnosis) -> str:
    """Return which failures the verdict is silent about; empty when it is about none."""
    names = [words(name) for name in FAILURES if diagnosis.failures[name].reason.startswith("untested")]
    return f"{', '.join(names)}. The verdict does not speak about these." if names else ""


def settling(report: Report, verbose: bool) -> Iterator[RenderableType]:
    """Yield what would settle what is still open, as the document has it."""
    steps = report.diagnosis.would_settle_it
    shown = steps if verbose else steps[:SETTLING]
    left = len(steps) - len(shown)
    more = [Text(f"  {left} more in the JSON report", style="dim")] if left else []
    if steps:
        yield section("What would settle it", *(hanging("  - ", s) for s in shown), *more)


def samples(report: Report, width: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield excerpts, one line each: model output, quoted."""
    examples = report.examples if verbose else report.examples[:EXAMPLES]
    if examples:
        lines = []
        for example in examples:
            head = f"  {example.about}  {clipped(example.prompt_id, 24)} #{example.sample_index}  "
            excerpt = clipped(f"“{example.excerpt}”", width - len(head))
            lines.append(Text.assemble((head, "dim"), excerpt, no_wrap=True, overflow="ignore"))
        yield section("Samples that show it", *lines)


def cost_words(report: Report) -> list[str]:
    """Return what the run took, a phrase each."""
    cost = report.cost
    return [
        f"{count(cost.tokens_generated)} tokens drawn" if cost.tokens_generated else "no tokens drawn in this run",
        *([f"{count(cost.tokens_scored)} scored"] if cost.tokens_scored else []),
        duration(cost.wall_s),
        *([f"{count(cost.tokens_per_s)} tokens/s"] if cost.tokens_per_s is not None else []),
        *([f"peak {cost.peak_memory_bytes / 2**30:.1f} GiB"] if cost.peak_memory_bytes is not None else []),
        f"{cost.rounds} round{'s' * (cost.rounds != 1)}",
        f"{report.tool.name} {report.tool.version}",
    ]


def closing(report: Report, width: int) -> Group:
    """Return the cost and the exit code."""
    cost, label = report.cost, report.diagnosis.label
    code = Text(f"  {exit_meaning(report.exit_code, label)}", style=f"bold {colour(label)}")
    stop = [hanging("  stopped: ", cost.stop_reason)] if cost.stop_reason else []
    return section("Cost", flow(cost_words(report), width), *stop, code)
