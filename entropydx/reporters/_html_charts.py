"""The charts of the page: number lines, bars, curves, histograms and reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence

from entropydx.reporters._html_svg import Axes, Chart, Mark, Point, circle, diamond, line, path, rect, text
from entropydx.reporters._numberline import scale
from entropydx.reporters._words import decimals, estimate
from entropydx.types import Bar, Curve, Estimate, Evidence, Reliability, ReliabilityBin, Role, Spread

OWN: Role = "checkpoint"
LINE_WIDTH, LINE_HEIGHT = 240, 24
"""Of a number line."""
BAR_WIDTH = 220
SHARES = [(y, f"{y:g}") for y in (0.0, 0.25, 0.5, 0.75, 1.0)]


def said(found: Estimate | None) -> str:
    """Return a number with its interval, a dash where there is none."""
    return "–" if found is None else estimate(found.value, found.ci, decimals(found.value, found.ci))


def number_line(evidence: Evidence, baseline: float | None) -> Chart | None:
    """Return a comparison as a number line, as `_numberline` does for a terminal; None where nothing is measured."""
    if evidence.value is None:
        return None
    low_ci, high_ci = evidence.ci or (evidence.value, evidence.value)
    low, high = scale([low_ci, evidence.value, high_ci, evidence.threshold], baseline)
    middle = LINE_HEIGHT / 2

    def at(x: float) -> float:
        return 1 + min(max((x - low) / (high - low), 0.0), 1.0) * (LINE_WIDTH - 2)

    mark = at(evidence.threshold)
    end = 0.0 if evidence.op == "<" else float(LINE_WIDTH)
    marks = [
        rect((mark, 3), (end - mark, LINE_HEIGHT - 6), "fires"),
        line((0, middle), (LINE_WIDTH, middle), "axis"),
        line((mark, 1), (mark, LINE_HEIGHT - 1), "threshold"),
        line((at(low_ci), middle), (at(high_ci), middle), "interval"),
        *(line((at(x), middle - 4), (at(x), middle + 4), "end") for x in (low_ci, high_ci) if evidence.ci),
    ]
    if baseline is not None and low <= baseline <= high:
        marks.append(diamond((at(baseline), middle), 5, "base-dot"))
    marks.append(circle((at(evidence.value), middle), 4.5, "own-dot"))
    side = "below" if evidence.op == "<" else "above"
    label = f"Number line: value, interval, and the threshold {evidence.threshold:g}; the rule fires {side} it."
    return Chart(width=LINE_WIDTH, height=LINE_HEIGHT, label=label, marks=tuple(marks), kind="numberline")


def bar(found: Bar) -> Chart:
    """Return a share of the checkpoint over that of the baseline, on a scale from 0 to 1."""
    sides = [(found.own, "own"), *([(found.baseline, "base")] if found.baseline else [])]
    marks: list[Mark] = []
    for i, (side, style) in enumerate(sides):
        top = 2 + i * 13
        middle = top + 5
        marks.append(rect((0, top), (BAR_WIDTH, 10), "track"))
        marks.append(rect((0, top), (max(side.value * BAR_WIDTH, 0.0), 10), f"{style}-fill"))
        if side.ci:
            marks += _whisker((side.ci[0] * BAR_WIDTH, middle), (side.ci[1] * BAR_WIDTH, middle))
    label = f"Share of the checkpoint {said(found.own)}, of the baseline {said(found.baseline)}"
    return Chart(width=BAR_WIDTH, height=2 + 13 * len(sides), label=label, marks=tuple(marks), kind="bar")


def _whisker(a: Point, b: Point) -> list[Mark]:
    """Return an interval as a line with two ends, lying or standing."""
    lying = a[1] == b[1]
    reach = (0.0, 3.0) if lying else (3.0, 0.0)
    ends = [line((x - reach[0], y - reach[1]), (x + reach[0], y + reach[1]), "whisker") for x, y in (a, b)]
    return [line(a, b, "whisker"), *ends]


# ── curves ────────────────────────────────────────────────────────────────────────────────────────


def style_of(role: Role) -> str:
    """Return what the classes of a side begin with."""
    return "own" if role == OWN else "base"


def coverage(curves: Sequence[Curve]) -> Chart:
    """Return pass@k on a logarithmic scale of k, each curve with its band."""
    ks = curves[0].x
    axes = Axes(x=(1.0, max(ks[-1], 2.0)), y=(0.0, 1.0), log2=True)
    powers = [float(2**i) for i in range(int(ks[-1]).bit_length()) if 2**i <= ks[-1]]
    marks = axes.frame([(k, f"{k:g}") for k in powers], SHARES, "k, samples of a prompt")
    for curve in reversed(curves):
        marks += _band(axes, curve)
    for curve in reversed(curves):
        marks.append(path([axes.at(x, p.value) for x, p in zip(curve.x, curve.points, strict=True)], _line(curve)))
        marks += [
            _dot(axes.at(x, p.value), curve.role, 3, f"pass@{x:g} of the {curve.role}: {said(p)}")
            for x, p in zip(curve.x, curve.points, strict=True)
            if x in powers or x == curve.x[-1]
        ]
    ends = "; ".join(f"{c.role} {said(c.points[0])} at 1 and {said(c.points[-1])} at {ks[-1]:g}" for c in curves)
    return Chart(width=axes.width, height=axes.height, label=f"pass@k: {ends}", marks=tuple(marks))


def _line(curve: Curve) -> str:
    return f"{style_of(curve.role)}-line"


def _dot(at: Point, role: Role, radius: float, title: str) -> Mark:
    """Return a round dot for the checkpoint, a hollow diamond for the baseline: told apart without colour."""
    if role == OWN:
        return circle(at, radius, "own-dot", title)
    return diamond(at, radius * 1.4, "base-dot", title)


def _band(axes: Axes, curve: Curve) -> list[Mark]:
    """Return the area between the intervals' ends; nothing where a point has none."""
    known = [(x, p.ci) for x, p in zip(curve.x, curve.points, strict=True) if p.ci is not None]
    if len(known) < max(len(curve.points), 2):
        return []
    upper = [axes.at(x, ci[1]) for x, ci in known]
    lower = [axes.at(x, ci[0]) for x, ci in reversed(known)]
    return [path([*upper, *lower], f"{style_of(curve.role)}-band", closed=True)]


# ── histogram ─────────────────────────────────────────────────────────────────────────────────────


def spread(found: Spread) -> Chart:
    """Return the checkpoint's histogram above the line, and the baseline's below it."""
    mirrored = found.bins[0].baseline is not None
    sides = [e for b in found.bins for e in (b.own, b.baseline) if e is not None]
    top = min(max(e.ci[1] if e.ci else e.value for e in sides) * 1.05, 1.0)
    axes = Axes(x=(0.0, float(len(found.bins))), y=(-top if mirrored else 0.0, top), height=250)
    levels = [-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0] if top > 0.3 else [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    ys = [(y, f"{abs(y):g}") for y in levels if axes.y[0] <= y <= axes.y[1]]
    every = max(1, -(-len(found.bins) // 9))
    xs = [(i + 0.5, b.name) for i, b in enumerate(found.bins) if i % every == 0 or i == len(found.bins) - 1]
    marks = axes.frame(xs, ys, f"right completions of {found.n_samples}")
    for i, b in enumerate(found.bins):
        marks += _column(axes, i, b.own, "own", f"{b.name} right, checkpoint: {said(b.own)} of the prompts")
        if b.baseline is not None:
            words = f"{b.name} right, baseline: {said(b.baseline)} of the prompts"
            marks += _column(axes, i, b.baseline, "base", words)
    marks.append(line(axes.at(0, 0), axes.at(len(found.bins), 0), "axis"))
    if mirrored:
        middle = axes.across(len(found.bins) / 2)  # most prompts are solved always or never, at the ends
        marks.append(text((middle, axes.top + 4), "checkpoint", "lab own-text"))
        marks.append(text((middle, axes.height - axes.bottom - 6), "baseline", "lab base-text"))
    never, always = said(found.bins[0].own), said(found.bins[-1].own)
    label = f"Histogram of right completions per prompt: never {never}, always {always} of the checkpoint's prompts"
    return Chart(width=axes.width, height=axes.height, label=label, marks=tuple(marks))


def _column(axes: Axes, index: int, share: Estimate, style: str, title: str) -> list[Mark]:
    sign = 1 if style == "own" else -1
    x, floor = axes.across(index + 0.14), axes.up(0.0)
    width = axes.across(index + 0.86) - x
    marks = [rect((x, floor), (width, axes.up(sign * share.value) - floor), f"{style}-fill", title)]
    if share.ci and share.value > 0:
        middle = x + width / 2
        marks.append(line((middle, axes.up(sign * share.ci[0])), (middle, axes.up(sign * share.ci[1])), "whisker"))
    return marks


# ── reliability ───────────────────────────────────────────────────────────────────────────────────


def reliability(found: Reliability) -> Chart:
    """Return a reliability diagram: stated against observed, the diagonal where they are equal."""
    axes = Axes(x=(0.0, 1.0), y=(0.0, 1.0), height=310)
    ticks = [(x, f"{x:g}") for x in (0.0, 0.25, 0.5, 0.75, 1.0)]
    marks = axes.frame(ticks, SHARES, "stated confidence")
    marks.append(line(axes.at(0, 0), axes.at(1, 1), "diagonal"))
    for role, of_role in reversed(list(found.curves.items())):
        most = max(b.n_values for b in of_role)
        for b in of_role:
            marks += _reliability_bin(axes, role, b, most)
    domain = f"{found.domain} of domain" if found.domain == "out" else "in domain"
    points = "; ".join(
        f"{role}: " + ", ".join(f"{b.confidence:.2f} stated, {said(b.observed)} right" for b in of_role)
        for role, of_role in found.curves.items()
    )
    label = f"Reliability diagram, {domain}. {points}"
    return Chart(width=axes.width, height=axes.height, label=label, marks=tuple(marks))


def _reliability_bin(axes: Axes, role: Role, b: ReliabilityBin, most: int) -> list[Mark]:
    style = style_of(role)
    title = f"{role}: stated {b.confidence:.3g}, right {said(b.observed)}; n={b.observed.n} prompts"
    radius = 2.5 + 4 * (b.n_values / most) ** 0.5
    at = axes.at(b.confidence, b.observed.value)
    ci = b.observed.ci
    stem = [line(axes.at(b.confidence, ci[0]), axes.at(b.confidence, ci[1]), f"{style}-stem")] if ci else []
    return [*stem, _dot(at, role, radius, title)]
