"""The page: everything that a template prints, made from a report, its pictures and a series."""

from __future__ import annotations

from dataclasses import dataclass

from entropydx.reporters import _html_trace, _html_trajectory
from entropydx.reporters._evidence import compared, explained, headings, measured_name, said, sides
from entropydx.reporters._html_charts import number_line
from entropydx.reporters._html_env import asset, environment, policy
from entropydx.reporters._html_figures import entropy_facts, figures
from entropydx.reporters._html_svg import Chart
from entropydx.reporters._html_trace import StripView
from entropydx.reporters._measurements import NO_INTERVAL, cells_of, reasons, telling
from entropydx.reporters._remedies import (
    NOTHING_FITS,
    active,
    basis,
    limits,
    own_framework,
    own_training,
    particulars,
    setting_parts,
    snippet,
    training_words,
    warnings,
)
from entropydx.reporters._trajectory import HOLDS
from entropydx.reporters._verdict import (
    SILENT,
    checkpoint_facts,
    cost_words,
    opinions,
    protocol_words,
    reading_notes,
    untested,
)
from entropydx.reporters._words import exit_meaning, words
from entropydx.types import (
    FAILURES,
    Evidence,
    Finding,
    Label,
    MeasurementRow,
    Pictures,
    Presence,
    Recommendation,
    Report,
    Setting,
    SettingStatus,
    StripPair,
    Training,
    Trajectory,
)

TONES = {Label.HEALTHY: "good", Label.INCONCLUSIVE: "warn", Label.ABNORMAL: "odd"}
"""Label to the class of its colour; a failure is `bad`."""
STATUS: dict[Presence, tuple[str, str]] = {
    "present": ("■", "bad"),
    "absent": ("○", "good"),
    "undetermined": ("?", "warn"),
}
"""Sign and class; the word stands beside them."""
SETTINGS: dict[SettingStatus, str] = {"already": "", "inert": "warn", "unknown": "warn", "conflict": "bad"}
"""What is neither added nor changed, to the class of its colour."""
SNIPPET = 64
"""Characters of a line of configuration that fit beside nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureView:
    """The standing of one failure."""

    name: str
    status: str
    sign: str
    tone: str
    probability: str
    severity: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """One comparison of a finding."""

    name: str
    chart: Chart | None
    numbers: str
    relation: str
    status: str
    details: str
    bound: str
    source: str
    """Of the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """One finding."""

    code: str
    word: str
    statement: str
    role: str
    comparisons: tuple[ComparisonView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingView:
    """A recommended setting beside the user's own."""

    status: SettingStatus
    tone: str
    wanted: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyView:
    """One thing to do."""

    title: str
    why: str
    blocks: tuple[tuple[str, str], ...]
    """Framework, and its settings to be copied."""
    settings: tuple[SettingView, ...]
    particulars: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A sample beside the baseline's."""

    pair: StripPair
    strips: tuple[StripView, ...]
    scale: str
    """Of the traces; empty where there are none."""


def page(report: Report, drawn: Pictures, trajectory: Trajectory | None = None) -> str:
    """Return the page, one file that needs nothing else.

    Parameters
    ----------
    drawn : Pictures
        Of `pictures.of(report, samples)`.
    trajectory : Trajectory, optional
        The series that the checkpoint belongs to.
    """
    style, script = asset("report.css"), asset("report.js")
    here, found = active(report), sides(report)
    headed = headings(report.diagnosis.label, found)
    template = environment().get_template("report.html")
    return template.render(
        style=style,
        script=script,
        policy=policy(style, script),
        report=report,
        verdict=words(report.diagnosis.label),
        tone=TONES.get(report.diagnosis.label, "bad"),
        runner_up=words(report.diagnosis.runner_up) if report.diagnosis.runner_up else "",
        severity=_severity(report),
        exit=exit_meaning(report.exit_code, report.diagnosis.label),
        checkpoint_facts=checkpoint_facts(report.checkpoint),
        protocol=protocol_words(report.protocol),
        cost=cost_words(report),
        failures=[_failure(report, failure) for failure in FAILURES],
        opinions=opinions(report.diagnosis),
        notes=reading_notes(report.diagnosis),
        untested=untested(report.diagnosis),
        evidence=[(title, sign, [_finding(report, f) for f in fs]) for title, sign, fs in headed],
        unseen=[f.code for f in found.unseen],
        remedies=[_remedy(r, here, report.training) for r in report.recommendations],
        warnings=warnings(report),
        nothing_fits=NOTHING_FITS,
        training=own_training(report),
        training_words=training_words,
        steps=report.diagnosis.would_settle_it,
        figures=list(figures(report, drawn)),
        entropy_facts=entropy_facts(report),
        drawn=drawn,
        pairs=[_pair(p, drawn) for p in drawn.strips],
        shades=_html_trace.SHADES,
        series=_html_trajectory.view(trajectory) if trajectory else None,
        letters=_html_trajectory.legend(trajectory) if trajectory else "",
        holds=HOLDS,
        telling=[_row(row) for row in telling(report)],
        measured=_measured(report),
        absent=list(reasons([row for row in report.measurements if row.value is None]).items()),
        no_interval=NO_INTERVAL,
    )


def _severity(report: Report) -> str:
    own = report.diagnosis.failures.get(report.diagnosis.label)
    return "" if own is None or own.severity is None else f"{own.severity:.2f}"


def _failure(report: Report, failure: Label) -> FailureView:
    own = report.diagnosis.failures[failure]
    sign, tone = STATUS[own.status]
    return FailureView(
        name=words(failure),
        status=own.status,
        sign=sign,
        tone=tone,
        probability=SILENT if own.probability is None else f"{own.probability:.2f}",
        severity="–" if own.severity is None else f"{own.severity:.2f}",
        reason=own.reason,
    )


def _finding(report: Report, finding: Finding) -> FindingView:
    about = "" if finding.failure is report.diagnosis.label else f", about {words(finding.failure)}"
    return FindingView(
        code=finding.code,
        word=said(finding),
        statement=finding.statement,
        role=f"{'decisive' if finding.decisive else 'supporting'}{about}",
        comparisons=tuple(_comparison(report, e) for e in finding.evidence),
    )


def _comparison(report: Report, evidence: Evidence) -> ComparisonView:
    row = next((r for r in report.measurements if r.name == evidence.measurement), None)
    baseline = row.baseline if row and evidence.field == "value" else None
    numbers, relation = compared(evidence)
    return ComparisonView(
        name=measured_name(evidence),
        chart=number_line(evidence, baseline),
        numbers=numbers,
        relation=relation,
        status="missing" if evidence.value is None else evidence.status,
        details=explained(evidence, row),
        bound=f"{evidence.op} {evidence.threshold:g}",
        source=evidence.source,
    )


def _remedy(remedy: Recommendation, here: set[Label], training: Training | None) -> RemedyView:
    shown = own_framework(remedy, training)
    return RemedyView(
        title=remedy.title,
        why=remedy.why,
        blocks=tuple((framework, snippet(framework, config, SNIPPET)) for framework, config in shown.items()),
        settings=tuple(map(_setting, remedy.settings)),
        particulars=tuple(particulars(remedy)),
        limits=tuple(limits(remedy, here)),
        basis=basis(remedy),
    )


def _setting(setting: Setting) -> SettingView:
    wanted, said = setting_parts(setting)
    return SettingView(status=setting.status, tone=SETTINGS.get(setting.status, "good"), wanted=wanted, said=said)


def _pair(pair: StripPair, drawn: Pictures) -> PairView:
    top = _html_trace.top_of(pair)
    strips = [pair.own, *([pair.baseline] if pair.baseline else [])]
    views = tuple(_html_trace.view(strip, drawn.forks, top) for strip in strips)
    scale = f"{top:.2g}" if any(view.trace for view in views) else ""
    return PairView(pair=pair, strips=views, scale=scale)


def _row(row: MeasurementRow) -> tuple[str, ...]:
    """Return the cells of a table whose head says what is a baseline and what a change."""
    name, value, baseline, change, unit = cells_of(row)
    return name, value, baseline.removeprefix("baseline "), change.removeprefix("Δ "), unit, row.note or ""


def _measured(report: Report) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return every measured row by its probe."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for row in report.measurements:
        if row.value is not None:
            found.setdefault(row.name.partition(".")[0], []).append(_row(row))
    return list(found.items())
