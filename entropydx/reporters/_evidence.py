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
from entropydx.standing import Hearing, leans
from entropydx.types import FAILURES, Direction, Evidence, Finding, Label, MeasurementRow, Report, Status

BAR = 24
"""Cells of a number line."""
INDENT = 6
"""Cells in front of a comparison."""
SHOWN = 5
"""Findings of one heading, unless everything is asked for."""
LEANING = "undecided, leans: "
"""In place of the word for undecided where every value is beyond its threshold."""
WORD: dict[Status, str] = {"fired": "", "clear": "not so: ", "undecided": "undecided: "}
_STYLE: dict[Status, str] = {"fired": "bold", "clear": "", "undecided": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The findings of a report, sorted by what they say about its label."""

    supporting: list[Finding]
    opposing: list[Finding]
    undecided: list[Finding]
    elsewhere: list[Finding]
    """Fired findings about other failures than the label's, and what makes one of those present."""
    unseen: list[Finding]
    """What was looked for, would have spoken against the label or for its like, and was not found."""


def sides(report: Report) -> Sides:
    """Sort findings by what they say about the label.

    A failure is supported by its rules that fired, or by those that lean where that made it present, and opposed by
    those that are clear and by fired counter-evidence.
    Health is supported by every accusation that is clear, and by every fired rule that speaks against a failure. An
    outcome of the instrument is supported by its rules that fired; the clear ones say nothing against it.
    """
    label = report.diagnosis.label
    about = [f for f in report.findings if f.failure is label or (label is Label.HEALTHY and f.failure in FAILURES)]
    accused, cleared = _with(about, "for", "fired"), _with(about, "for", "clear")
    excused, unexcused = _with(about, "against", "fired"), _with(about, "against", "clear")
    others = [f for f in report.findings if f not in about]
    leaning = _deciding_undecided(report)
    open_ = (f for f in [*about, *others] if f.status == "undecided" and f not in leaning)
    if label is Label.HEALTHY:
        supporting, opposing, unseen = cleared + excused, accused, unexcused
    elif label in FAILURES:
        accused += [f for f in leaning if f.failure is label]
        supporting, opposing, unseen = accused, excused + cleared, unexcused
    else:
        supporting, opposing, unseen = accused, [], cleared
    return Sides(
        supporting=_ranked(supporting),
        opposing=_ranked(opposing),
        undecided=sorted(open_, key=lambda f: not f.decisive),
        elsewhere=_ranked(_with(others, "for", "fired") + [f for f in leaning if f.failure is not label]),
        unseen=unseen,
    )


def _deciding_undecided(report: Report) -> list[Finding]:
    """Return the rules that lean, and by which, with the classifier, a failure is present."""
    hearing = Hearing(report.findings)
    present = [f for f in FAILURES if report.diagnosis.failures[f].status == "present"]
    return [finding for failure in present for finding in hearing.accusing(failure) if leans(finding)]


def said(finding: Finding) -> str:
    """Return how a finding came out, in front of its statement; nothing where it fired."""
    return LEANING if leans(finding) else WORD[finding.status]


def _with(findings: Iterable[Finding], direction: Direction, status: Status) -> list[Finding]:
    return [f for f in findings if f.direction == direction and f.status == status]


def _ranked(findings: list[Finding]) -> list[Finding]:
    """Return decisive findings first, then those that are furthest from undecided."""
    return sorted(findings, key=lambda f: (not f.decisive, -abs((0.5 if f.strength is None else f.strength) - 0.5)))


def headings(label: Label, found: Sides) -> list[tuple[str, str, list[Finding]]]:
    """Return title, mark and findings of every heading that the page has: for and against stand even when empty."""
    decided = label in (*FAILURES, Label.HEALTHY)
    elsewhere = "Found, but not enough for a verdict" if label is Label.INCONCLUSIVE else "Also found"
    parts = [
        (f"Evidence for: {words(label)}", "+", found.supporting, decided),
        (f"Evidence against: {words(label)}", "-", found.opposing, decided),
        (elsewhere, "!", found.elsewhere, False),
        ("Undecided", "?", found.undecided, False),
    ]
    return [(title, mark, findings) for title, mark, findings, always in parts if findings or always]


def evidence_sections(report: Report, width: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield the evidence for, against, undecided and about other failures."""
    found, drawer = sides(report), _Drawer.of(report, width, verbose)
    for title, mark, findings in headings(report.diagnosis.label, found):
        shown = findings if verbose else findings[:SHOWN]
        body: list[RenderableType] = [drawer.finding(f, mark) for f in shown]
        yield section(title, *body, *_tail(findings, shown))
    if found.unseen:
        yield Text(f"\n  Looked for and not found: {', '.join(f.code for f in found.unseen)}", style="dim")
    if any(e.value is not None for f in report.findings for e in f.evidence):
        yield Text(f"\n  {LEGEND}", style="dim")


def _tail(findings: Sequence[Finding], shown: Sequence[Finding]) -> list[Text]:
    if not findings:
        return [Text("  none", style="dim")]
    left = len(findings) - len(shown)
    return [Text(f"  {left} more in the JSON report", style="dim")] if left else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawer:
    """Draws findings in columns that all sections share."""

    label: Label
    rows: dict[str, MeasurementRow]
    name_width: int
    """Of the column of names; a longer name has a line of its own."""
    verbose: bool

    @classmethod
    def of(cls, report: Report, width: int, verbose: bool) -> _Drawer:
        names = [cell_len(measured_name(e)) for f in report.findings for e in f.evidence]
        return cls(
            label=report.diagnosis.label,
            rows={row.name: row for row in report.measurements},
            name_width=min(max([BAR, *names]), width // 2 - INDENT),
            verbose=verbose,
        )

    def finding(self, finding: Finding, mark: str) -> Group:
        """Draw one finding: its statement, then every comparison behind it."""
        about = "" if finding.failure is self.label else f", about {words(finding.failure)}"
        statement = Text.assemble(
            (said(finding), "italic"),
            (finding.statement, _STYLE[finding.status]),
            (f" ({'decisive' if finding.decisive else 'supporting'}{about})", "dim"),
        )
        head = hanging(f"  {mark} {finding.code}  ", statement, prefix_style="bold")
        return Group(head, *map(self.comparison, finding.evidence))

    def comparison(self, evidence: Evidence) -> RenderableType:
        """Draw one comparison: name, number line, numbers, baseline and prompts."""
        name, reading, row = Text(measured_name(evidence)), _reading(evidence), self.rows.get(evidence.measurement)
        baseline = row.baseline if row and evidence.field == "value" else None
        line = Text() if evidence.value is None else number_line(evidence, baseline, BAR)
        source = f"; threshold: {evidence.source}" if self.verbose else ""
        details = Text(explained(evidence, row) + source, style="dim")
        if cell_len(name.plain) > self.name_width:
            return Group(
                hanging(" " * INDENT, name), grid([BAR, None], [[line, reading], ["", details]], indent=INDENT)
            )
        return grid([self.name_width, None], [[name, reading], [line, details]], indent=INDENT)


def explained(evidence: Evidence, row: MeasurementRow | None) -> str:
    """Return unit, baseline and prompts, or why there is no number."""
    if evidence.value is None:
        return evidence.missing_reason or "no reason was recorded"
    known = [evidence.unit] if evidence.unit else []
    if row and row.baseline is not None and row.value is not None:
        value, baseline = (number(x, decimals(row.value, row.ci, unit=row.unit)) for x in (row.value, row.baseline))
        known.append(f"baseline {baseline}" if evidence.field == "value" else f"{baseline} to {value}")
    if evidence.ci is None:
        known.append((row.note if row else None) or "why there is no interval was not recorded")
    return ", ".join([*known, f"n={evidence.n}"])


def measured_name(evidence: Evidence) -> str:
    """Return the measurement's name, with a Δ where its change is what is compared."""
    return evidence.measurement if evidence.field == "value" else f"Δ {evidence.measurement}"


def compared(evidence: Evidence) -> tuple[str, str]:
    """Return the numbers and the relation of `0.05 [0.04, 0.06] < 0.27`, together a statement that is true.

    The relation is `not <` when clear, `< ?` undecided.
    """
    bound = f"{evidence.op} {evidence.threshold:g}"
    if evidence.value is None:
        return "not measured", f"({bound})"
    places = decimals(evidence.value, evidence.ci, evidence.threshold, evidence.unit)
    numbers = estimate(evidence.value, evidence.ci, places, signed=evidence.field == "delta")
    return numbers, {"fired": bound, "clear": f"not {bound}", "undecided": f"{bound} ?"}[evidence.status]


def _reading(evidence: Evidence) -> Text:
    numbers, relation = compared(evidence)
    if evidence.value is None:
        return Text(f"{numbers} {relation}", style="yellow")
    return Text.assemble(numbers, " ", (relation, _STYLE[evidence.status]))
