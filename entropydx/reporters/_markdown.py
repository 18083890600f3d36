"""Text from outside as Markdown that shows it and does nothing else, and the tables that Markdown pages share.

A report quotes model output, prompt ids and file names, and a page is read where a link, an image, a mention or a raw
tag would act: on a hosting service, in a job summary. Every character that Markdown or HTML gives a meaning is written
as a character reference, which has none (CommonMark 0.31, section 6.2: it cannot open or close any structure).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from entropydx.reporters._evidence import SHOWN, compared, explained, headings, measured_name, said, sides
from entropydx.reporters._layout import clipped
from entropydx.reporters._measurements import change_of
from entropydx.reporters._verdict import SILENT
from entropydx.reporters._words import decimals, estimate, number, visible, words
from entropydx.types import FAILURES, MeasurementRow, Report

MOST = 1000
"""Cells of one text from outside; a page is no place for more of a prompt or a path."""
JOINER = "\N{WORD JOINER}"
"""Invisible, and splits what services link without any markup: mentions, issues, addresses."""
_ACTIVE = re.compile(
    r"[\\`*\[\]<>&|~$]|(?<![a-z0-9])_|_(?![a-z0-9])|^[-+=](?!\d)|^(?P<digits>\d+)[.)](?=\s|$)"
    r"|(?P<linked>[@#]|:(?=//)|(?<=www)(?=\.))",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[A-Za-z0-9._/@:+=,()%~-]([A-Za-z0-9._/@:+=,()%~ -]*[A-Za-z0-9._/@:+=,()%~-])?")


def escaped(text: str) -> str:
    """Return text from outside for a paragraph or a cell of a table; it is shown as it is, on one line."""
    return _ACTIVE.sub(_inert, _one_line(text))


def code(text: str) -> str:
    """Return text from outside as code: a name, a path, a piece of output."""
    shown = _one_line(text)
    return f"`{shown}`" if _PLAIN.fullmatch(shown) else f"<code>{escaped(shown)}</code>"


def block(command: str) -> list[str]:
    """Return a command as the lines of a code block, whose fence is longer than any in it."""
    shown: str = visible(command)
    ticks = max(map(len, re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, ticks + 1)
    return [f"{fence}bash", shown, fence]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; its cells are Markdown already."""
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _one_line(text: str) -> str:
    return clipped(visible(text).strip(), MOST)


def _inert(found: re.Match[str]) -> str:
    if found["linked"] is not None:
        return found[0] + JOINER
    return f"{found['digits'] or ''}&#{ord(found[0][-1])};"


# ── tables of a report ────────────────────────────────────────────────────────────────────────────


def failure_table(report: Report) -> Iterator[str]:
    """Yield the standing of the four failures."""
    known = report.diagnosis.failures
    rows = []
    for failure in FAILURES:
        own = known[failure]
        status = "**present**" if own.status == "present" else own.status
        probability = SILENT if own.probability is None else f"{own.probability:.2f}"
        severity = "-" if own.severity is None else f"{own.severity:.2f}"
        rows.append([words(failure), status, probability, severity, escaped(own.reason)])
    yield from table(["failure", "status", "probability", "severity", "why"], rows)


def evidence_part(report: Report) -> Iterator[str]:
    """Yield what speaks for the verdict, comparison by comparison, under a heading; nothing where nothing does."""
    headed = headings(report.diagnosis.label, sides(report))
    title, findings = next(((title, found) for title, mark, found in headed if mark == "+"), ("", []))
    if not findings:
        return
    rows = {row.name: row for row in report.measurements}
    yield from [f"### {title}", ""]
    cells = []
    for finding in findings[:SHOWN]:
        for i, evidence in enumerate(finding.evidence):
            numbers, relation = compared(evidence)
            told = [code(finding.code), escaped(said(finding) + finding.statement)] if i == 0 else ["", ""]
            about = explained(evidence, rows.get(evidence.measurement))
            cells.append([*told, code(measured_name(evidence)), escaped(f"{numbers} {relation}"), escaped(about)])
    yield from table(["rule", "what it says", "measurement", "value [interval] and threshold", "of what"], cells)
    yield from ["", *_rest(len(findings) - SHOWN)]


def settling_part(report: Report, limit: int | None = None) -> Iterator[str]:
    """Yield what would settle what is open, under a heading; nothing where nothing is."""
    steps = report.diagnosis.would_settle_it
    if steps:
        shown = steps[:limit]
        yield from ["### What would settle it", "", *(f"- {escaped(step)}" for step in shown), ""]
        yield from _rest(len(steps) - len(shown))


def _rest(left: int) -> list[str]:
    return [f"{left} more in the JSON report.", ""] if left > 0 else []


def measurement_table(rows: Sequence[MeasurementRow], ci_level: float) -> Iterator[str]:
    """Yield measured rows, each value with its interval, and below them why an interval is not there."""
    level = f"{100 * ci_level:.4g} %"
    head = ["measurement", f"value [{level} interval]", "baseline", f"change [{level} interval]", "unit", "prompts"]
    yield from table(head, [_measured(row) for row in rows])
    bare = [f"- {code(row.name)}: {escaped(row.note)}" for row in rows if row.ci is None and row.note]
    if bare:
        yield from ["", "Without an interval:", "", *bare]


def _measured(row: MeasurementRow) -> list[str]:
    assert row.value is not None
    places = decimals(row.value, row.ci, unit=row.unit)
    baseline = "-" if row.baseline is None else number(row.baseline, places)
    change = "-"
    if row.delta is not None:
        change = change_of(row.delta, row.delta_ci, row.unit)
    return [code(row.name), estimate(row.value, row.ci, places), baseline, change, escaped(row.unit or ""), str(row.n)]
