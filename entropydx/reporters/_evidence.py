"""Findings as evidence for the verdict, against it, and undecided; each comparison with its number line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from entropydx.reporters._layout import grid, hanging, section
from entropydx.reporters._numberline import LEGEND, number_line
from entropydx.reporters._words import decimals, estimate, number, words
from entropydx.types import FAILURES, Evidence, Finding, Label, Report, Status

BAR = 24
"""Cells of a number line."""
SHOWN = 5
"""Findings of one heading, unless everything is asked for."""
_WORD: dict[Status, str] = {"fired": "", "clear": "not so: ", "undecided": "undecided: "}
_STYLE: dict[Status, str] = {"fired": "bold", "clear": "", "undecided": "yellow"}


@dataclass(frozen=True, slots=True)
class Sides:
    """The findings of a report, sorted by what they say about its label."""

    supporting: list[Finding]
    opposing: list[Finding]
    undecided: list[Finding]
    elsewhere: list[Finding]
    """Fired findings about other failures than the label's."""
    unseen: list[Finding]
    """Counter-evidence that was looked for and not found."""


def sides(report: Report) -> Sides:
    """Sort findings by what they say about the label.

    A failure is supported by its rules that fired. Health is supported by every accusation that is clear, and by every
    fired rule that speaks against a failure.
    """
    label, findings = report.diagnosis.label, report.findings
    healthy = label is Label.HEALTHY
    about = [f for f in findings if healthy or f.failure is label]
    accusing = [f for f in about if f.direction == "for"]
    excusing = [f for f in about if f.direction == "against"]
    accused, cleared = _with(accusing, "fired"), _with(accusing, "clear")
    excused, unexcused = _with(excusing, "fired"), _with(excusing, "clear")
    others = [f for f in findings if f not in about and f.direction == "for"]
    undecided = _with(about if label in (*FAILURES, Label.HEALTHY) else findings, "undecided")
    if healthy:
        cleared = [f for f in cleared if f.failure in FAILURES]
        return Sides(_ranked(cleared + excused), _ranked(accused), undecided, [], unexcused)
    return Sides(_ranked(accused), _ranked(excused + cleared), undecided, _ranked(_with(others, "fired")), unexcused)


def _with(findings: Iterable[Finding], status: Status) -> list[Finding]:
    return [f for f in findings if f.status == status]


def _ranked(findings: list[Finding]) -> list[Finding]:
    """Return decisive findings first, then those that are furthest from undecided."""
    return sorted(findings, key=lambda f: (not f.decisive, -abs(f.strength - 0.5)))


def evidence_sections(report: Report, width: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield the evidence for, against, undecided and about other failures."""
    sorted_out = sides(report)
    drawer = _Drawer.of(report, width)
    name = words(report.diagnosis.label)
    against = [_unseen(sorted_out.unseen)] if sorted_out.unseen else []
    parts: list[tuple[str, str, list[Finding], list[Text], bool]] = [
        (f"Evidence for: {name}", "+", sorted_out.supporting, [], True),
        (f"Evidence against: {name}", "-", sorted_out.opposing, against, True),
        ("Undecided", "?", sorted_out.undecided, [], False),
        ("Also found, about other failures", "!", sorted_out.elsewhere, [], False),
    ]
    for title, mark, findings, tail, always in parts:
        if findings or always:
            shown = findings if verbose else findings[:SHOWN]
            body: list[RenderableType] = [drawer.finding(f, mark) for f in shown] or [Text("  none", style="dim")]
            if len(findings) > len(shown):
                tail = [*tail, Text(f"  {len(findings) - len(shown)} more in the JSON report", style="dim")]
            yield section(title, *body, *tail)
    if any(e.value is not None for f in report.findings for e in f.evidence):
        yield Text(f"\n  {LEGEND}", style="dim")


def _unseen(findings: Sequence[Finding]) -> Text:
    return Text(f"  looked for and not found: {', '.join(f.code for f in findings)}", style="dim")


@dataclass(frozen=True, slots=True)
class _Drawer:
    """Draws findings in columns that all sections share."""

    report: Report
    verbose_sources: bool
    name_width: int
    wide: bool

    @classmethod
    def of(cls, report: Report, width: int) -> _Drawer:
        evidence = [e for f in report.findings for e in f.evidence]
        names = max([BAR, *(cell_len(_name(e)) for e in evidence)])
        whole = 6 + names + 2 + BAR + 2 + max((cell_len(_reading(e).plain) for e in evidence), default=0) + 2 + 26
        return cls(report, False, min(names, width // 2 - 6), whole <= width)

    def finding(self, finding: Finding, mark: str) -> Group:
        """Draw one finding: its statement, then every comparison behind it."""
        weight = "decisive" if finding.decisive else "supporting"
        about = f", {words(finding.failure)}" if finding.failure is not self.report.diagnosis.label else ""
        statement = Text.assemble(
            (_WORD[finding.status], "italic"), (finding.statement, _STYLE[finding.status]), (f"  ({weight}{about})", "dim")
        )
        return Group(hanging(f"  {mark} {finding.code}  ", statement, prefix_style="bold"), *map(self.comparison, finding.evidence))

    def comparison(self, evidence: Evidence) -> RenderableType:
        """Draw one comparison: name, number line, numbers, baseline and prompts."""
        name, reading = Text(_name(evidence)), _reading(evidence)
        baseline = self._baseline(evidence)
        line = number_line(evidence, baseline, BAR) if evidence.value is not None else Text()
        details = Text(self._details(evidence), style="dim")
        if self.wide:
            return grid([self.name_width, BAR, cell_len(reading.plain), None], [[name, line, reading, details]], indent=6)
        return grid([self.name_width, None], [[name, reading], [line, details]], indent=6)

    def _baseline(self, evidence: Evidence) -> float | None:
        rows = {row.name: row for row in self.report.measurements}
        row = rows.get(evidence.measurement)
        return row.baseline if row and evidence.field == "value" else None

    def _details(self, evidence: Evidence) -> str:
        if evidence.value is None:
            return evidence.missing_reason or "no reason was recorded"
        row = next((r for r in self.report.measurements if r.name == evidence.measurement), None)
        known = []
        if row and row.baseline is not None and row.value is not None:
            places = decimals(row.value, row.ci)
            change = f"{number(row.baseline, places)} → {number(row.value, places)}"
            known = [f"baseline {number(row.baseline, places)}" if evidence.field == "value" else change]
        if evidence.ci is None:
            known.append((row.note if row else None) or "why there is no interval was not recorded")
        return ", ".join([*known, f"{evidence.n} prompts"])


def _name(evidence: Evidence) -> str:
    return evidence.measurement if evidence.field == "value" else f"Δ {evidence.measurement}"


def _reading(evidence: Evidence) -> Text:
    """Return `0.05 [0.04, 0.06] < 0.27 nats/token` as a statement that is true: `not <` when clear, `?` undecided."""
    bound = f"{evidence.op} {evidence.threshold:g}"
    if evidence.value is None:
        return Text(f"not measured ({bound})", style="yellow")
    places = decimals(evidence.value, evidence.ci, evidence.threshold)
    numbers = estimate(evidence.value, evidence.ci, places, signed=evidence.field == "delta")
    relation = {"fired": bound, "clear": f"not {bound}", "undecided": f"{bound} ?"}[evidence.status]
    return Text.assemble(numbers, " ", (relation, _STYLE[evidence.status]), (f" {evidence.unit}", "dim"))
