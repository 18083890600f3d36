"""What a person reads of a comparison: did it work, what became of each failure, and every change as a number line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.text import Text

from entropydx.reporters._layout import Parts, grid, hanging, page_text, print_page, section
from entropydx.reporters._numberline import AXIS, BEYOND, INTERVAL, POINT, STYLES, THRESHOLD, number_line
from entropydx.reporters._verdict import colour
from entropydx.reporters._words import decimals, estimate, number, visible, words
from entropydx.types import (
    FAILURES,
    Answer,
    Compared,
    Course,
    Delta,
    Evidence,
    FailureChange,
    FailureDelta,
    Held,
    Label,
    Pair,
    PromiseOutcome,
    PromiseStatus,
    RemedyOutcome,
)

BAR = 24
"""Cells of a number line."""
ONE_LINE = 80
"""Cells below which the number line stands below its change."""
ANSWERS: dict[Answer, tuple[str, str]] = {
    "worked": ("yes", "green"),
    "partly": ("in part", "yellow"),
    "no": ("no", "red"),
    "made_it_worse": ("no, it is worse", "red"),
    "cannot_be_told": ("it cannot be told", "magenta"),
    "nothing_to_fix": ("there was nothing to fix", "cyan"),
}
"""Each answer to "did it work?", and its colour."""
CHANGES: dict[FailureChange, str] = {
    "resolved": "green",
    "improved": "green",
    "unchanged": "dim",
    "worse": "red",
    "appeared": "red",
    "undecided": "magenta",
}
HELD: dict[Held, tuple[str, str]] = {
    "kept": ("yes", "green"),
    "partly": ("in part", "yellow"),
    "no": ("no", "red"),
    "cannot_be_told": ("it cannot be told", "magenta"),
    "nothing_promised": ("it promises nothing that shows here", "cyan"),
}
"""Each answer to "did it do what it promised?", and its colour."""
PROMISES: dict[PromiseStatus, tuple[str, str]] = {
    "kept": ("kept", "green"),
    "broken": ("broken", "red"),
    "not_seen": ("not seen", "magenta"),
    "unmeasured": ("unmeasured", "dim"),
}
COURSES: dict[Course, str] = {
    "rises": "rises",
    "falls": "falls",
    "does_not_fall": "does not fall",
    "does_not_rise": "does not rise",
}
MOVES = {"better": "green", "worse": "red", "same": "dim", "moved": "cyan", "open": ""}
SAID = {"better": "better", "worse": "worse", "same": "no change", "moved": "moved", "open": "open"}
EXITS = {
    0: "no failure that was tested appeared or got worse",
    1: "something got worse, or appeared",
    3: "whether something got worse, or whether it worked, cannot be told",
}
LEGEND = f"{POINT} change  {INTERVAL} interval  {THRESHOLD} no change  {BEYOND} worse; a ratio above 0 in its logarithm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonReporter:
    """Renders a comparison for a terminal, or for a pipe; the fields are those of `TerminalReporter`."""

    width: int = 100
    color: bool = False
    ascii: bool = False

    def render(self, found: Compared) -> str:
        """Return the page as text."""
        return page_text(self._page(found), self.width, color=self.color, ascii=self.ascii)

    def render_to(self, console: Console, found: Compared) -> None:
        """Print the page, as wide as the terminal."""
        print_page(self._page(found), console, self.width, ascii=self.ascii)

    def _page(self, found: Compared) -> Parts:
        shown: Compared = visible(found)
        return lambda width: _parts(shown, width)


def _parts(found: Compared, width: int) -> Iterator[RenderableType]:
    labels = {run.name: run.label for run in found.runs}
    for pair in found.pairs:
        yield _answer(pair, labels)
        if pair.promise is not None:
            yield _remedy(pair.promise)
        yield section("What became of each failure", *(_failure(f) for f in pair.failures))
        yield section("Changes, after less before", *_changes(pair, width))
        yield section("To know", *(hanging("  - ", note) for note in (*pair.notes, _level(pair))))
    passed = " or passed" if not found.exit_code and any(p.exit_code for p in found.pairs) else ""
    yield section("Exit", Text(f"  exit code {found.exit_code}: {EXITS[found.exit_code]}{passed}", style="bold"))


def _answer(pair: Pair, labels: dict[str, Label]) -> Group:
    said, style = ANSWERS[pair.answer]
    was, is_ = ((words(labels[name]), colour(labels[name])) for name in (pair.before, pair.after))
    return section(
        f"{pair.before} → {pair.after}",
        Text.assemble("  Did it work? ", (said, f"bold {style}"), "  (", was, " → ", is_, ")"),
        hanging("  ", pair.verdict),
    )


def _remedy(found: RemedyOutcome) -> Group:
    said, style = HELD[found.held]
    return section(
        f"The remedy: {found.remedy}",
        hanging("  ", found.title, style="dim"),
        Text.assemble("  Did it do what it promised? ", (said, f"bold {style}")),
        hanging("  ", found.verdict),
        *(part for promise in found.promises for part in _promise(promise)),
    )


def _promise(found: PromiseOutcome) -> Iterator[RenderableType]:
    said, style = PROMISES[found.status]
    yield Text.assemble("    ", (f"{said:<12}", style), f"{found.measurement} {COURSES[found.direction]}")
    yield hanging(" " * 16, found.reason)
    yield hanging(" " * 16, f"promised: {found.source}", style="dim")


def _failure(found: FailureDelta) -> Group:
    head = Text.assemble("  ", (f"{words(found.failure):<24} ", ""), (found.change, f"bold {CHANGES[found.change]}"))
    if not found.tested:
        head.append(" (untested)", style="dim")
    return Group(head, hanging("    ", found.reason, style="dim"))


def _changes(pair: Pair, width: int) -> Iterator[RenderableType]:
    groups = {"outcomes": [d for d in pair.deltas if not d.about]}
    groups |= {words(failure): [d for d in pair.deltas if failure in d.about] for failure in FAILURES}
    for title, deltas in groups.items():
        yield Text(f"  {title}", style="bold")
        for delta in (d for d in deltas if d.move is not None):
            yield from _change(delta, width)
        missing: dict[str, list[str]] = {}
        for delta in (d for d in deltas if d.move is None):
            missing.setdefault(delta.missing_reason or "", []).append(delta.measurement)
        for reason, names in missing.items():
            yield hanging("    ", f"missing: {', '.join(names)}: {reason}", style="dim")
    yield Text(f"  {LEGEND}", style="dim")


def _change(delta: Delta, width: int) -> Iterator[RenderableType]:
    move = Text(SAID[delta.move or "open"], style=MOVES[delta.move or "open"])
    if delta.basis == "independent":
        move.append(" *", style="dim")
    drawn = Text("no interval", style="dim") if delta.ci is None else _line(delta)
    head = Text.assemble(delta.measurement, "  ", (_between(delta), "dim"))
    yield grid([width - 6], [[head]], gap=0, indent=4)
    change = Text(_change_text(delta))
    if width >= ONE_LINE:
        yield grid([32, 12, BAR], [[change, move, drawn]], indent=6)
    else:
        yield grid([32, 12], [[change, move]], indent=6)
        yield grid([BAR], [[drawn]], indent=6)


def _change_text(delta: Delta) -> str:
    assert delta.change is not None
    none = 1.0 if delta.scale == "ratio" else 0.0
    places = decimals(delta.change, delta.ci, none)
    text = estimate(delta.change, delta.ci, places, signed=delta.scale == "difference")
    return f"x {text}" if delta.scale == "ratio" else text


def _between(delta: Delta) -> str:
    if delta.scale == "ratio":
        return "after / before"
    if delta.before is None or delta.after is None:
        return delta.unit or ""
    places = decimals(delta.change or 0.0, delta.ci)
    unit = "" if delta.unit is None else f" {delta.unit}"
    return f"{number(delta.before, places)} → {number(delta.after, places)}{unit}"


def _line(delta: Delta) -> Text:
    """Draw a change against no change."""
    assert delta.change is not None
    assert delta.ci is not None
    value, ci, none = delta.change, delta.ci, 0.0
    if delta.scale == "ratio" and min(value, *ci) > 0:
        value, ci = math.log(value), (math.log(ci[0]), math.log(ci[1]))
    elif delta.scale == "ratio":
        none = 1.0  # zero has no logarithm: such a quotient is drawn as it is
    drawn = number_line(
        Evidence(
            measurement=delta.measurement,
            field="delta",
            value=value,
            ci=ci,
            op="<" if delta.worse == "lower" else ">",
            threshold=none,
            unit="",
            source="",
            status="undecided",
            strength=0.5,
            n=delta.n,
        ),
        None,
        BAR,
    )
    if delta.worse is not None:
        return drawn
    return Text.assemble(*((c, STYLES[c]) for c in drawn.plain.replace(BEYOND, AXIS)))


def _level(pair: Pair) -> str:
    starred = any(d.basis == "independent" for d in pair.deltas)
    star = (
        " * from two intervals as if independent (MOVER): wider than a paired one of the same prompts, and what only "
        "some prompts define is before and after of other prompts."
    )
    how = {"noise": "the same prompts and noise", "prompts": "the same prompts", "none": "two reports"}[pair.pairing]
    return (
        f"Intervals: {100 * pair.level:.2f} %, Bonferroni over {pair.family} headline measurements; {how}. "
        f"`no change` means smaller than half of the way to the rule's threshold.{star if starred else ''}"
    )
