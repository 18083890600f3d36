"""A sample as a heat strip: every token shaded by its entropy, the forks marked, and the same as a trace."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from entropydx.reporters._html_svg import Chart, line, path
from entropydx.types import Forks, Strip, StripPair

SHADES = (0.01, 0.05, 0.2, 0.5, 1.0, 2.0)
"""nats at which the next shade begins. 0.01 is a landmark of arXiv:2506.01939 (half of Qwen3-8B's tokens lie below it);
the others are round steps. They only colour: no verdict rests on them."""
NOTHING = "▯"
"""Drawn for a token that writes no character: an end token, or a part of a character."""
TRACE_WIDTH, TRACE_HEIGHT = 640, 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as it is drawn."""

    text: str
    style: str
    """The class of its shade, `h0` to `h6`, and `fork`."""
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StripView:
    """One completion as it is drawn."""

    strip: Strip
    tokens: tuple[Token, ...]
    trace: Chart | None
    facts: str
    values: tuple[str, ...]
    """Every entropy, a line a token."""


def shade(entropy: float) -> int:
    """Return the shade of an entropy, 0 to 6."""
    return bisect_right(SHADES, entropy)


def view(strip: Strip, forks: Forks | None, top: float) -> StripView:
    """Return a completion as it is drawn; `top` is the upper end of the trace, nats."""
    fork = forks.thresholds.get(strip.role) if forks else None
    marked = [fork is not None and h > fork for h in strip.entropies]
    tokens = tuple(
        Token(
            text=piece.replace("\n", "↵\n") or NOTHING,
            style=f"h{shade(h)}{' fork' * is_fork}",
            title=f"{h:.3g} nats{', fork' * is_fork}",
        )
        for piece, h, is_fork in zip(strip.tokens, strip.entropies, marked, strict=True)
    )
    return StripView(
        strip=strip,
        tokens=tokens,
        trace=_trace(strip, fork, top) if tokens else None,
        facts=_facts(strip, sum(marked)),
        values=_values(strip, marked),
    )


def top_of(pair: StripPair) -> float:
    """Return the upper end of the traces of a pair, which are drawn on one scale: at least half a nat."""
    levels = [*pair.own.entropies, *(pair.baseline.entropies if pair.baseline else ())]
    return max(0.5, *levels) if levels else 0.5


def _facts(strip: Strip, n_forks: int) -> str:
    grade = "not graded" if strip.grade is None else "right" if strip.grade >= 1 else "wrong"
    said = "" if strip.answer is None else f"answers {strip.answer[:60]}"
    known = [grade, said, f"{strip.n_tokens:,} tokens" if strip.tokens else ""]
    if strip.mean_entropy is not None:
        known.append(f"mean entropy {strip.mean_entropy:.3g} nats")
    if strip.tokens:
        known.append(f"{n_forks} fork{'s' * (n_forks != 1)}")
    if strip.cut:
        known.append(f"the first {len(strip.tokens)} tokens" if strip.tokens else "the beginning")
    return " · ".join(fact for fact in known if fact)


def _values(strip: Strip, marked: list[bool]) -> tuple[str, ...]:
    rows = enumerate(zip(strip.tokens, strip.entropies, marked, strict=True))
    return tuple(f"{i:4d} {h:8.4f} {'fork' if is_fork else '    '} {piece!r}" for i, (piece, h, is_fork) in rows)


def _trace(strip: Strip, fork: float | None, top: float) -> Chart:
    """Return the entropies as columns, with a line where forks begin."""
    n, floor = len(strip.entropies), TRACE_HEIGHT - 2
    step = TRACE_WIDTH / max(n, 24)
    points = []
    for i, h in enumerate(strip.entropies):
        height = floor - min(h / top, 1.0) * (floor - 4)
        points += [(i * step, height), ((i + 1) * step, height)]
    area = [(0.0, float(floor)), *points, (n * step, float(floor))]
    style = "own-area" if strip.role == "checkpoint" else "base-area"
    marks = [path(area, style, closed=True), line((0, floor), (TRACE_WIDTH, floor), "axis")]
    if fork is not None and fork < top:
        level = floor - fork / top * (floor - 4)
        marks.append(line((0, level), (TRACE_WIDTH, level), "threshold"))
    label = f"Entropy of each token, from 0 to {top:.2g} nats; the highest is {max(strip.entropies):.2g}"
    return Chart(width=TRACE_WIDTH, height=TRACE_HEIGHT, label=label, marks=tuple(marks), kind="trace")
