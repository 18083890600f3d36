"""What a person reads of a series of checkpoints: what and when, the columns as sparklines, the law, the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from entropydx.reporters._layout import Parts, clipped, flow, grid, hanging, page_text, print_page, section, shortened
from entropydx.reporters._sparkline import sparkline, thinned
from entropydx.reporters._verdict import colour
from entropydx.reporters._words import decimals, estimate, exit_meaning, number, visible, words
from entropydx.types import Interval, Label, LawFit, MeasurementRow, Trajectory, TrajectoryPoint

LETTERS = {
    Label.HEALTHY: "H",
    Label.TRAINING_COLLAPSE: "C",
    Label.INFERENCE_VARIANCE: "V",
    Label.HARD_SAMPLE_SHORTCUTTING: "S",
    Label.TEACHER_OVERCONFIDENCE: "O",
    Label.ABNORMAL: "A",
    Label.INCONCLUSIVE: "?",
}
MAX_SPARK = 40
"""Cells of a sparkline."""
NOT_DIAGNOSED = "magenta"
"""Of the page whose newest checkpoint nothing is known of; a sweep has the same colour for what could not run."""
HOLDS = {True: "holds on this series", False: "DOES NOT HOLD on this series", None: "cannot be told on this series"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryReporter:
    """Renders a trajectory for a terminal, or for a pipe; the fields are those of `TerminalReporter`."""

    width: int = 100
    color: bool = False
    ascii: bool = False
    verbose: bool = False
    """Whether to show what is missing, and every change point."""

    def render(self, trajectory: Trajectory) -> str:
        """Return the page as text."""
        return page_text(self._page(trajectory), self.width, color=self.color, ascii=self.ascii)

    def render_to(self, console: Console, trajectory: Trajectory) -> None:
        """Print the page, as wide as the terminal."""
        print_page(self._page(trajectory), console, self.width, ascii=self.ascii)

    def _page(self, trajectory: Trajectory) -> Parts:
        shown: Trajectory = visible(trajectory)
        return lambda width: self._parts(shown, width)

    def _parts(self, trajectory: Trajectory, width: int) -> Iterator[RenderableType]:
        yield _headline(trajectory, width)
        yield _subject(trajectory, width)
        yield section("The series", *_columns(trajectory, width, self.verbose))
        yield section("Checkpoints", *_checkpoints(trajectory, width))
        if trajectory.left_out:
            yield section("Left out of the series", *_left_out(trajectory))
        yield section("Entropy law: pass@1 = b - a*exp(entropy)", *_law(trajectory, width))
        yield section("Changes", *_changes(trajectory, width, self.verbose))
        if trajectory.movements:
            yield section("What moved first, against the baseline and for good", *_movements(trajectory))
        yield section("Read this with it", *(hanging("  - ", note, style="dim") for note in trajectory.notes))
        yield _closing(trajectory)


def _headline(trajectory: Trajectory, width: int) -> Panel:
    last = trajectory.points[-1]
    name = words(last.label).upper()
    span = f"{trajectory.axis}s {trajectory.x[0]:.7g} to {trajectory.x[-1]:.7g}"
    facts = [name, f"at {last.name}", f"confidence {last.confidence}", f"{len(trajectory.points)} checkpoints, {span}"]
    style = colour(last.label)
    if trajectory.undiagnosed is not None:
        name, style = "NEWEST NOT DIAGNOSED", NOT_DIAGNOSED
        facts = [name, f"{words(last.label)} at {last.name}", *facts[2:]]
    title = flow(facts, width - 4, indent=0, style="")
    title.stylize(f"bold {style}", 0, len(name))
    body = Text.assemble(title, "\n", trajectory.summary)
    return Panel(body, border_style=style, padding=(0, 1))


def _subject(trajectory: Trajectory, width: int) -> Text:
    protocol = trajectory.protocol
    pieces = [
        f"baseline {shortened(trajectory.baseline.ref, width - 14)}",
        f"suite {protocol.suite} ({protocol.suite_source})",
        f"{protocol.n_prompts} prompts × {protocol.n_samples} samples, the same noise for every checkpoint",
        f"seed {protocol.seed}",
        f"{100 * protocol.ci_level:.4g}% intervals, over prompts",
    ]
    return flow(pieces, width)


# ── the sparklines ────────────────────────────────────────────────────────────────────────────────


def _columns(trajectory: Trajectory, width: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield a line per column, sparkline, first and last value; verdicts and onset stand below the same cells."""
    names = [row.name for row in trajectory.points[0].columns]
    rows = [[p.column(name) for p in trajectory.points] for name in names]
    measured = [column for column in rows if any(row.value is not None for row in column)]
    ends = [_ends(column) for column in measured]
    units = [_unit(column) for column in measured]
    beside = max(map(len, names)) + 4
    spark = max(min(len(trajectory.points), MAX_SPARK, width - beside - 2), 2)
    tail_width = max(map(cell_len, ends), default=0) + 2 + max(map(len, units), default=0)
    one_line = beside + spark + 2 + tail_width <= width
    widths: list[int | None] = [beside - 4, spark, None]
    for column, shown, unit in zip(measured, ends, units, strict=True):
        line = Text(sparkline([row.value for row in column], spark, _least_span(column)), style="cyan")
        if one_line:
            tail = Text.assemble(shown, "  ", (unit, "dim"))
            yield grid(widths, [[Text(column[0].name), line, tail]], indent=2)
        else:
            yield grid(widths, [[Text(column[0].name), line, Text(unit, style="dim")]], indent=2)
            yield Text(f"      {shown}")
    yield from _below(trajectory, widths, spark)
    absent = [column[0] for column in rows if column not in measured]
    for reason in dict.fromkeys(row.missing_reason for row in absent) if verbose else ():
        names = [row.name for row in absent if row.missing_reason == reason]
        yield hanging("  ", f"Not measured: {', '.join(names)} ({reason}).", style="dim")


def _below(trajectory: Trajectory, widths: list[int | None], spark: int) -> Iterator[RenderableType]:
    """Yield the row of verdicts, the mark of the onset, and what the letters mean."""
    labels = [p.label for p in trajectory.points]
    letters = Text.assemble(*((LETTERS[label], f"bold {colour(label)}") for label in thinned(labels, spark)))
    yield grid(widths, [[Text("verdict"), letters, Text("")]], indent=2)
    if trajectory.onset is not None:
        after = [p.name for p in trajectory.points].index(trajectory.onset.change.first_after)
        cell = sum(shown < after for shown in thinned(range(len(trajectory.points)), spark))
        mark = " " * cell + "^"
        yield grid(widths, [[Text("onset"), Text(mark), Text("first checkpoint after it", style="dim")]], indent=2)
    legend = "  ".join(f"{LETTERS[label]} {words(label)}" for label in dict.fromkeys(labels))
    yield hanging("  ", f"{legend}  · not measured; each line has a scale of its own", style="dim")


def _least_span(column: Sequence[MeasurementRow]) -> float:
    """Return the usual width of an interval of the column: less than that is not worth a picture."""
    spans = sorted(row.ci[1] - row.ci[0] for row in column if row.ci is not None)
    return spans[len(spans) // 2] if spans else 0.0


def _ends(column: Sequence[MeasurementRow]) -> str:
    """Return the value at the first and at the last checkpoint with their intervals, a dash where there is none."""
    first, last = (_estimate(row.value, row.ci) for row in (column[0], column[-1]))
    return f"{first} → {last}"


def _estimate(value: float | None, ci: Interval | None) -> str:
    return "-" if value is None else estimate(value, ci, decimals(value, ci))


def _unit(column: Sequence[MeasurementRow]) -> str:
    return next((row.unit for row in column if row.unit), "")


def _checkpoints(trajectory: Trajectory, width: int) -> Iterator[RenderableType]:
    """Yield a line per checkpoint."""
    longest = max(len(p.name) for p in trajectory.points)
    name_width = min(longest, max(width - 62, 12))
    stepless = trajectory.axis == "checkpoint"
    step_width = max(6, *(len(f"{x:.7g}") for x in trajectory.x))
    for x, point in zip(trajectory.x, trajectory.points, strict=True):
        yield grid(
            [name_width, step_width, 24, 6, None],
            [
                [
                    Text(clipped(point.name, name_width)),
                    Text("" if stepless else f"{x:.7g}", style="dim", justify="right"),
                    Text(words(point.label), style=colour(point.label)),
                    Text(point.confidence, style="dim"),
                    Text(_remark(trajectory, point), style="dim"),
                ]
            ],
            indent=2,
        )


def _left_out(trajectory: Trajectory) -> Iterator[RenderableType]:
    """Yield a paragraph per checkpoint that is no point, with its path where the reason does not have it."""
    for c in trajectory.left_out:
        said = c.reason if c.ref in c.reason else f"{c.ref}: {c.reason}"
        yield hanging(f"  {c.name}  ", said, prefix_style=f"bold {NOT_DIAGNOSED}" if c.newer else "bold")


def _remark(trajectory: Trajectory, point: TrajectoryPoint) -> str:
    said = []
    if trajectory.baseline_is_first and point is trajectory.points[0]:
        said.append("baseline")
    if point.name == trajectory.go_back_to:
        said.append("go back to this one")
    return ", ".join(said)


# ── the law ───────────────────────────────────────────────────────────────────────────────────────


def _law(trajectory: Trajectory, width: int) -> Iterator[RenderableType]:
    law = trajectory.law
    bold = "bold red" if law.holds is False else "bold"
    yield hanging("  ", Text.assemble((f"It {HOLDS[law.holds]}: ", bold), f"{law.why}."))
    if law.a is None:
        return
    yield flow(_coefficients(law), width, style="")
    if law.held_out:
        inside = sum(p.inside for p in law.held_out)
        head = f"second half predicted from the first: {inside} of {len(law.held_out)} points inside their intervals"
        yield hanging("  ", f"{head}, RMSE {law.held_out_rmse:.2g}")
        names = max(len(p.name) for p in law.held_out)
        for p in law.held_out:
            places = decimals(p.predicted, p.interval)
            observed = f"observed {number(p.observed, places)}"
            verdict = Text("inside" if p.inside else "OUTSIDE", style="" if p.inside else "bold red")
            predicted = f"predicted {estimate(p.predicted, p.interval, places)}"
            yield grid([min(names, 28), 32, 18, None], [[clipped(p.name, 28), predicted, observed, verdict]], indent=4)


def _coefficients(law: LawFit) -> list[str]:
    assert law.residual_sd is not None
    assert law.r_squared is not None
    ceiling = [
        f"ceiling at zero entropy {_estimate(law.ceiling, law.ceiling_ci)}",
        f"headroom left {_estimate(law.headroom, law.headroom_ci)}",
    ]
    return [
        f"a {_estimate(law.a, law.a_ci)}",
        f"b {_estimate(law.b, law.b_ci)}",
        *(["no ceiling and no headroom follow"] if law.holds is False else ceiling),
        f"R² {law.r_squared:.2f}",
        f"residual sd {law.residual_sd:.2g}",
        f"{law.n} points, {100 * law.level:g}% intervals",
    ]


# ── when, and in what order ───────────────────────────────────────────────────────────────────────


def _changes(trajectory: Trajectory, width: int, verbose: bool) -> Iterator[RenderableType]:
    yield hanging("  ", trajectory.onset_note[:1].upper() + trajectory.onset_note[1:] + ".")
    shown = [c for c in trajectory.changes if verbose or c.significant]
    if not shown:
        return
    names = max(len(c.column) for c in shown)
    for c in sorted(shown, key=lambda c: (c.at, c.p_value)):
        head = f"  {c.column:{names}}  {c.before:.3g} → {c.after:.3g}"
        tail = (
            f"between {c.last_before} and {c.first_after}, "
            f"{trajectory.axis} {c.at:.7g} [{c.ci[0]:.7g}, {c.ci[1]:.7g}], "
            f"p = {c.p_value:.2g}{'' if c.significant else ', not significant among the columns'}"
        )
        if cell_len(head) + 2 + cell_len(tail) <= width:
            yield Text(f"{head}  {tail}")
        else:
            yield Text(head)
            yield hanging("      ", tail)


def _movements(trajectory: Trajectory) -> Iterator[RenderableType]:
    names = max(len(m.name) for m in trajectory.movements)
    for m in trajectory.movements:
        lead = ""
        if m.column in trajectory.precursors and m.lead is not None:
            lead = f", {m.lead:.7g} {trajectory.axis}{'s' * (m.lead != 1)} before {m.outcome} fell"
        yield hanging(f"  {m.name:{names}}  ", f"{m.column} {m.direction}{lead}")


def _closing(trajectory: Trajectory) -> RenderableType:
    last = trajectory.points[-1]
    newest = trajectory.undiagnosed
    code: RenderableType
    if newest is None:
        code = Text(f"  {exit_meaning(trajectory.exit_code, last.label)}", style=f"bold {colour(last.label)}")
    else:
        said = f"exit code {trajectory.exit_code}: {newest.name}, the newest, could not be diagnosed"
        said = f"{said}; the verdict at {last.name} alone gives {last.exit_code}"
        code = hanging("  ", said, style=f"bold {NOT_DIAGNOSED}")
    which = "the last checkpoint" if newest is None else last.name
    more = hanging("  ", f"{which} in full, with what to change: entropydx triage {last.run_dir}", style="dim")
    return section("Exit", more, code)
