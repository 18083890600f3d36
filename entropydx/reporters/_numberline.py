"""One comparison drawn as a number line: interval, point, threshold, baseline, and the side that fires the rule."""

from __future__ import annotations

from rich.text import Text

from entropydx.types import Evidence

BEYOND, AXIS, INTERVAL, POINT, THRESHOLD, BASELINE = "░", "─", "━", "●", "│", "◇"
LEGEND = "  ".join(
    (
        f"{POINT} value",
        f"{INTERVAL} interval",
        f"{THRESHOLD} threshold",
        f"{BEYOND} side that fires",
        f"{BASELINE} baseline",
        "n prompts",
    )
)
STYLES = {
    BEYOND: "dim",
    AXIS: "dim",
    INTERVAL: "cyan",
    POINT: "bold cyan",
    THRESHOLD: "bold yellow",
    BASELINE: "magenta",
}


def number_line(evidence: Evidence, baseline: float | None, width: int) -> Text:
    """Draw a measured comparison in `width` cells (at least 12).

    The scale holds zero unless that would squeeze everything else into a corner, and the baseline unless it is far off.
    The interval is never drawn across a threshold that it does not cross, however close the two are.
    """
    assert evidence.value is not None
    lo_ci, hi_ci = evidence.ci or (evidence.value, evidence.value)
    lo, hi = scale([lo_ci, evidence.value, hi_ci, evidence.threshold], baseline)

    def cell(x: float) -> int:
        return min(max(int((x - lo) / (hi - lo) * width), 0), width - 1)

    mark = cell(evidence.threshold)

    def aside(x: float) -> int:
        """Return the cell of `x`, moved off the threshold's cell to the side that it is on."""
        where = cell(x)
        return where if where != mark or x == evidence.threshold else mark + (1 if x > evidence.threshold else -1)

    beyond = range(mark) if evidence.op == "<" else range(mark + 1, width)
    cells = [BEYOND if i in beyond else AXIS for i in range(width)]
    for i in range(aside(lo_ci), aside(hi_ci) + 1):
        cells[i] = INTERVAL
    if baseline is not None and lo <= baseline <= hi:
        cells[aside(baseline)] = BASELINE
    cells[mark] = THRESHOLD
    cells[aside(evidence.value)] = POINT
    return Text.assemble(*((c, STYLES[c]) for c in cells))


def scale(points: list[float], baseline: float | None) -> tuple[float, float]:
    """Return both ends of the axis, with room beside the outermost point."""
    lo, hi = min(points), max(points)
    if hi - lo > 0.25 * max(abs(lo), abs(hi)):
        lo, hi = min(lo, 0.0), max(hi, 0.0)
    if baseline is not None and max(hi, baseline) - min(lo, baseline) <= 3 * (hi - lo):
        lo, hi = min(lo, baseline), max(hi, baseline)
    room = 0.15 * (hi - lo) or max(abs(hi), 1.0)
    return lo - room, hi + room
