"""What a person reads of a gate: the verdict with its reasons, then every check, the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from entropydx.reporters._layout import Parts, flow, grid, hanging, page_text, print_page, section, shortened
from entropydx.reporters._words import visible, words
from entropydx.types import Gate, GateCheck, GateVerdict

STYLES: dict[GateVerdict, tuple[str, str]] = {
    "failed": ("FAILED", "red"),
    "inconclusive": ("INCONCLUSIVE", "yellow"),
    "warned": ("WARNING", "magenta"),
    "passed": ("passed", "green"),
}
"""Verdict to the word of a check and its colour, the worst first."""
EXITS = {0: "passed", 1: "failed", 3: "inconclusive"}
SHA_DIGITS = 12
"""Of a fingerprint or a policy, on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReporter:
    """Renders a gate for a terminal, or for a pipe; the fields are those of `TerminalReporter`."""

    width: int = 100
    color: bool = False
    ascii: bool = False

    def render(self, gate: Gate) -> str:
        """Return the page as text."""
        return page_text(self._page(gate), self.width, color=self.color, ascii=self.ascii)

    def render_to(self, console: Console, gate: Gate) -> None:
        """Print the page, as wide as the terminal."""
        print_page(self._page(gate), console, self.width, ascii=self.ascii)

    def _page(self, gate: Gate) -> Parts:
        shown: Gate = visible(gate)
        return lambda width: _parts(shown, width)


def _parts(gate: Gate, width: int) -> Iterator[RenderableType]:
    yield _headline(gate)
    yield flow(_facts(gate, width), width)
    ordered = [check for verdict in STYLES for check in gate.checks if check.verdict == verdict]
    yield section(f"Checks, {_counted(gate)}", *(row for check in ordered for row in _check(check)))
    yield section("Exit", *_closing(gate))


def _headline(gate: Gate) -> Panel:
    word, colour = STYLES[gate.verdict]
    title = "PASSED WITH WARNINGS" if gate.verdict == "warned" else word.upper()
    lines = Text.assemble((f"GATE {title}", f"bold {colour}"))
    for reason in gate.reasons:
        lines.append(f"\n- {reason}")
    return Panel(lines, border_style=colour, padding=(0, 1))


def _facts(gate: Gate, width: int) -> Iterator[str]:
    yield f"{shortened(gate.checkpoint, width - 24)} ({gate.fingerprint[:SHA_DIGITS]})"
    yield f"diagnosis: {words(gate.label)}, confidence {gate.confidence}"
    yield f"policy {shortened(gate.policy, width - 24)} ({gate.policy_sha[:SHA_DIGITS]})"
    if gate.against is not None:
        yield f"against {shortened(gate.against, width - 24)}"
        yield f"changes {gate.against_how}"


def _counted(gate: Gate) -> str:
    counts = {verdict: sum(check.verdict == verdict for check in gate.checks) for verdict in STYLES}
    return ", ".join(f"{n} {STYLES[verdict][0].lower()}" for verdict, n in counts.items() if n)


def _check(check: GateCheck) -> Iterator[RenderableType]:
    """Yield a check's verdict and name, and its reason below."""
    word, colour = STYLES[check.verdict]
    yield grid([13, None], [[Text(word, style=f"bold {colour}"), Text(check.name)]], indent=2)
    yield hanging(" " * 17, check.reason, style="dim")


def _closing(gate: Gate) -> Iterator[RenderableType]:
    if gate.report is not None:
        yield hanging("  the report: ", gate.report, style="dim")
    own = {"failed": 1, "inconclusive": 3}.get(gate.verdict, 0)
    passed = "" if gate.exit_code == own else f"; the verdict alone gives {own}, and --exit-zero changed it"
    yield Text(
        f"  exit code {gate.exit_code}: {EXITS[gate.exit_code]}{passed}", style=f"bold {STYLES[gate.verdict][1]}"
    )
