"""The figures of the page: charts with how to read them, the numbers behind them, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from entropydx.reporters import _html_charts as charts
from entropydx.reporters._html_charts import said
from entropydx.reporters._html_svg import Chart
from entropydx.reporters._measurements import cells_of
from entropydx.types import Bar, Pictures, Report

SIDES = ("checkpoint", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The numbers of a figure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarView:
    """A category with its bar."""

    name: str
    example: str
    chart: Chart
    own: str
    baseline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart of a figure, with its heading; without a chart, why there is none."""

    title: str
    chart: Chart | None
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure."""

    id: str
    title: str
    reading: str
    """What it shows, and how to read it."""
    panels: tuple[Panel, ...] = ()
    bars: tuple[tuple[str, tuple[BarView, ...]], ...] = ()
    """Bars under their headings."""
    facts: tuple[tuple[str, ...], ...] = ()
    """Measurements of the report that say the same in numbers: name, value, baseline, change, unit."""
    table: Table | None = None
    missing: str = ""


def figures(report: Report, drawn: Pictures) -> Iterator[Figure]:
    """Yield the figures of a report."""
    yield _formats(report, drawn)
    yield _coverage(report, drawn)
    yield _spread(report, drawn)
    yield _reliability(report, drawn)


def entropy_facts(report: Report) -> tuple[tuple[str, ...], ...]:
    """Return the measurements that say in numbers what the strips show."""
    return _facts(report, *(f"token_entropy.{name}" for name in ("mean", "mean_ratio", "p80", "fork_share")))


def _facts(report: Report, *names: str) -> tuple[tuple[str, ...], ...]:
    rows = (report.row(name) for name in names)
    return tuple(tuple(cells_of(row)) for row in rows if row.value is not None)


def _formats(report: Report, drawn: Pictures) -> Figure:
    names = ("effective_number", "disagreement", "js_divergence", "structure_effective_number")
    parts = {"Known formats": drawn.formats, "Shapes of text": drawn.shapes}
    return Figure(
        id="formats",
        title="Formats",
        reading="The share of completions in each surface format, by known formats and then by shape alone: texts "
        "whose symbols follow each other alike, whatever they say. One bar where the baseline has several is a policy "
        "that no longer varies how it writes.",
        bars=tuple((name, tuple(map(_bar, bars))) for name, bars in parts.items() if bars),
        facts=_facts(report, *(f"format_mode.{name}" for name in names)),
        missing="" if drawn.formats or drawn.shapes else drawn.missing.get("formats", ""),
    )


def _bar(bar: Bar) -> BarView:
    theirs = said(bar.baseline) if bar.baseline else ""
    name = bar.name.replace("_", " ") or "texts like"
    return BarView(name=name, example=bar.example, chart=charts.bar(bar), own=said(bar.own), baseline=theirs)


def _coverage(report: Report, drawn: Pictures) -> Figure:
    names = ("delta_at_1", "delta_at_max", "crossing_k", "support_retention", "net_discovery")
    curves = drawn.coverage
    table = None
    if curves:
        rows = zip(curves[0].x, *(c.points for c in curves), strict=True)
        table = Table(head=("k", *(c.role for c in curves)), rows=tuple((f"{k:g}", *map(said, ps)) for k, *ps in rows))
    bare = len(curves) > 1 and curves[1].points[0].ci is None
    return Figure(
        id="coverage",
        title="pass@k",
        reading="The chance that at least one of k samples is right, with the interval over prompts. A checkpoint that "
        "starts higher and ends lower than its baseline answers more surely and reaches fewer problems."
        + " The baseline's own intervals need the samples of the run; its changes below are paired."
        * bare,
        panels=(Panel(title="", chart=charts.coverage(curves)),) if curves else (),
        facts=_facts(report, *(f"coverage.{name}" for name in names)),
        table=table,
        missing="" if curves else drawn.missing.get("coverage", ""),
    )


def _spread(report: Report, drawn: Pictures) -> Figure:
    names = ("pass_at_1", "maj_at_n", "majority_gain", "within_variance", "icc", "g_pass_ratio")
    found = drawn.spread
    table = None
    if found is not None:
        rows = tuple((b.name, said(b.own), *([said(b.baseline)] if b.baseline else [])) for b in found.bins)
        table = Table(head=("right", *SIDES[: len(rows[0]) - 1]), rows=rows)
    return Figure(
        id="spread",
        title="Spread",
        reading="How many of the prompts get how many right completions. Columns at both ends: a prompt is solved "
        "always or never. Columns in between: the same prompt comes out differently from sample to sample. Lines are "
        "Wilson's intervals of the share of prompts.",
        panels=(Panel(title="", chart=charts.spread(found)),) if found else (),
        facts=_facts(report, *(f"sampling_spread.{name}" for name in names)),
        table=table,
        missing=drawn.missing.get("spread", ""),
    )


KINDS = {"vote": "Vote: share of the commonest answer", "span": "Answer: probability of the stated answer"}
_DOMAINS = {"in": "in domain", "out": "out of domain"}


def _reliability(report: Report, drawn: Pictures) -> Figure:
    names = [f"{n}@{d}" for n in ("overconfidence", "modal_ece", "ece") for d in ("in", "out")]
    panels = tuple(
        Panel(
            title=f"{KINDS[d.kind]}, {_DOMAINS[d.domain]}",
            chart=None if d.missing else charts.reliability(d),
            missing=f"Untested: {d.missing}." if d.missing else "",
        )
        for d in drawn.reliability
    )
    rows = tuple(
        (f"{d.kind}, {_DOMAINS[d.domain]}", role, f"{b.confidence:.3g}", said(b.observed), str(b.observed.n))
        for d in drawn.reliability
        for role, bins in d.curves.items()
        for b in bins
    )
    return Figure(
        id="reliability",
        title="Reliability",
        reading="Stated confidence (across) against how often it was right (up); on the diagonal the two agree, below "
        "it the model is surer than it is right. Low out of domain where it is fine in domain is misplaced confidence; "
        "low everywhere is plain miscalibration, which alone names no failure. The bins are those of the calibration "
        "error; the lines are Wilson's intervals over the effective number of prompts.",
        panels=panels,
        facts=_facts(report, *(f"confidence.{n}" for n in [*names, "overconfidence_out_minus_in"])),
        table=Table(head=("diagram", "whose", "stated", "right", "prompts"), rows=rows) if rows else None,
        missing=drawn.missing.get("reliability", ""),
    )
