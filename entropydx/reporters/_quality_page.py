"""The document of a selftest as a Markdown page with a reliability diagram: docs/reference/quality.md."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from entropydx.reporters._quality_tables import HONEST, Section, number, sections
from entropydx.types import SCOPE_WORDS, Bin, CalibrationScore, Quality

DIAGRAM = "reliability.svg"
"""The name of the diagram beside the page."""
SIDE, GAP, EDGE, FOOT = 240, 70, 46, 54
"""Pixels: a panel, the space between panels, the left and upper margin, the margin below."""


def page(quality: Quality) -> str:
    """Return the page."""
    return "\n".join(_lines(quality))


def _lines(quality: Quality) -> Iterator[str]:
    n_cases = sum(quality.tiers.values())
    tiers = ", ".join(f"{n} {tier}" for tier, n in quality.tiers.items())
    yield "# Quality\n"
    yield (
        "Generated from the labelled cases in `fixtures/cases` by what `entropydx selftest` runs; "
        "[quality.json](quality.json) has all of it.\n"
    )
    yield (
        f"{n_cases} cases ({tiers}), {quality.n_draws} draws, {len(quality.bases)} bases, {len(quality.recipes)} "
        "recipes. A case is a checkpoint whose cause we planted and whose effect an independent check confirmed or "
        "denied; a draw is one diagnosis of it. Intervals are at 95 % and resample groups, the cases of one recipe on "
        f"one base with all their draws ({quality.n_groups} groups): cases that share cause and base stand and fall "
        "together.\n"
    )
    yield (
        f"The thresholds of the rules were set on organisms of {' and '.join(quality.tuned_on)}. For them every "
        "reading is in sample as far as the rules are concerned; what a reading leaves out is left out of the "
        "classifier's coefficients.\n"
    )
    for part in sections(quality):
        yield from _table(part)
        if part.title == "Probabilities":
            yield f"![Stated probability against observed share, with and without a baseline]({DIAGRAM})\n"
            yield from _bins(quality)


def _table(part: Section) -> Iterator[str]:
    yield f"## {part.title}\n"
    yield f"{part.remark}\n"
    if not part.rows:
        yield "None.\n"
        return
    yield _row(part.header)
    yield "|" + "---|" * len(part.header)
    yield from map(_row, part.rows)
    yield ""


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _shown(quality: Quality) -> list[CalibrationScore]:
    return [c for c in quality.calibration if c.failure == "all" and c.reading == HONEST]


def _bins(quality: Quality) -> Iterator[str]:
    rows = tuple(
        (SCOPE_WORDS[c.scope], f"{b.low:.1f} to {b.high:.1f}", str(b.observed.n), f"{b.stated:.2f}", number(b.observed))
        for c in _shown(quality)
        for b in c.bins
        if b.stated is not None
    )
    if rows:
        yield _row(("", "stated", "n", "mean stated", "observed"))
        yield "|---|---|---|---|---|"
        yield from map(_row, rows)
        yield ""


# ── the diagram ───────────────────────────────────────────────────────────────────────────────────


def diagram(quality: Quality) -> str:
    """Return the reliability diagram as SVG: one panel a scope, all four failures, leave one base out.

    A dot is a bin: the mean stated probability against the share of present failures, with its interval; its area grows
    with the number of probabilities. On the diagonal what is stated is what happens.
    """
    panels = _shown(quality)
    width = EDGE + max(len(panels), 1) * (SIDE + GAP)
    height = EDGE + SIDE + FOOT
    body = "".join(_panel(c, EDGE + i * (SIDE + GAP)) for i, c in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n{body}</svg>\n'
    )


def _panel(score: CalibrationScore, left: int) -> str:
    bottom = EDGE + SIDE
    parts = [
        _text(left + SIDE / 2, EDGE - 16, f"{SCOPE_WORDS[score.scope]}, n = {score.brier.n}", "middle"),
        f'<rect x="{left}" y="{EDGE}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>',
        f'<line x1="{left}" y1="{bottom}" x2="{left + SIDE}" y2="{EDGE}" stroke="#bbb" stroke-dasharray="4 4"/>',
        _text(left + SIDE / 2, bottom + 40, "stated probability", "middle"),
        f'<g transform="rotate(-90 {left - 32} {EDGE + SIDE / 2})">',
        _text(left - 32, EDGE + SIDE / 2, "share with the failure", "middle"),
        "</g>",
    ]
    for tick in (0.0, 0.5, 1.0):
        parts.append(_text(left + tick * SIDE, bottom + 18, f"{tick:g}", "middle"))
        parts.append(_text(left - 6, bottom - tick * SIDE + 4, f"{tick:g}", "end"))
    parts += [_dot(b, left, bottom, score.brier.n) for b in score.bins if b.stated is not None]
    return "\n".join(parts) + "\n"


def _dot(bin_: Bin, left: int, bottom: int, total: int) -> str:
    x = left + (bin_.stated or 0.0) * SIDE
    y = bottom - (bin_.observed.value or 0.0) * SIDE
    radius = 2.5 + 7.5 * (bin_.observed.n / total) ** 0.5
    low, high = bin_.observed.ci or (bin_.observed.value or 0.0,) * 2
    return (
        f'<line x1="{x:.1f}" y1="{bottom - low * SIDE:.1f}" x2="{x:.1f}" y2="{bottom - high * SIDE:.1f}" '
        f'stroke="#1f4e79"/><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#1f4e79" fill-opacity="0.75"/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222">{escape(words)}</text>'
