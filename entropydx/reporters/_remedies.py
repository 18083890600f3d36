"""What to do, in the words of each framework's own configuration, and what not to do."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from entropydx.reporters._layout import grid, hanging, section
from entropydx.reporters._words import listed
from entropydx.types import Label, Remedy, Report

SHELL = ("verl", "openrlhf")
"""Frameworks that are configured on a command line; the others by keyword arguments."""


def settings(framework: str, config: dict[str, Any]) -> list[str]:
    """Return every setting as its framework reads it: a keyword argument, a Hydra override or a flag."""
    if framework == "openrlhf":
        return [_flag(key, value) for key, value in config.items()]
    if framework == "verl":
        return [shlex.quote(f"{key}={_yaml(value)}") for key, value in config.items()]
    return [f"{key}={value!r}" for key, value in config.items()]


def _flag(key: str, value: Any) -> str:
    """Return a flag and its words; text is taken as typed, so `"0.2 0.28"` is two words and `""` is none."""
    name = key.lstrip("-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    given = value.split() if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(word)) for word in given)])


def _yaml(value: Any) -> str:
    """Return a value in YAML's flow style; a string stays bare, as Hydra reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def snippet(framework: str, config: dict[str, Any], width: int) -> str:
    """Return settings to be copied: on one line when they fit in `width`, else one a line."""
    found = settings(framework, config)
    separator, continued = (" ", " \\\n") if framework in SHELL else (", ", ",\n")
    line = separator.join(found)
    return line if len(line) <= width else continued.join(found)


def active(report: Report) -> set[Label]:
    """Return the labels that remedies are chosen for: every failure that is present, and the verdict."""
    present = {Label(name) for name, failure in report.diagnosis.failures.items() if failure.status == "present"}
    return present | {report.diagnosis.label}


def remedy_sections(report: Report, width: int) -> Iterator[RenderableType]:
    """Yield what to do and what not to do."""
    here = active(report)
    wrong = [r for r in report.recommendations if here & {*r.contraindicated_for} and not here & {*r.for_}]
    right = [r for r in report.recommendations if r not in wrong]
    if right:
        yield section("What to do", *(_remedy(i, r, here, width) for i, r in enumerate(right, start=1)))
    if wrong:
        yield section("What NOT to do", *(_warning(r, here) for r in wrong))


def _remedy(rank: int, remedy: Remedy, here: set[Label], width: int) -> Group:
    head = f"  {rank}. "
    parts: list[RenderableType] = [hanging(head, remedy.title, style="bold"), hanging("     ", remedy.why)]
    names = max((len(name) for name in remedy.config), default=0)
    for framework, config in remedy.config.items():
        parts.append(_snippet(framework, config, names, width - names - 7))
    basis = [sentence.rstrip(".") for sentence in remedy.evidence]
    if remedy.versions:
        basis.append(f"keys as in {', '.join(' '.join(pair) for pair in remedy.versions.items())}")
    parts.append(hanging("     ", "; ".join(basis), style="dim"))
    parts += _limits(remedy, here)
    return Group(*parts)


def _snippet(framework: str, config: dict[str, Any], names: int, width: int) -> RenderableType:
    """Return settings beside their framework; lines too long for that start at the margin, unbroken, for copying."""
    name, lines = Text(framework, style="dim"), snippet(framework, config, width)
    code = Text(lines, style="green", no_wrap=True, overflow="ignore")
    if max(map(cell_len, lines.split("\n"))) > width:
        return Group(Padding(name, (0, 0, 0, 5)), code)
    return grid([names, None], [[name, code]], indent=5)


def _limits(remedy: Remedy, here: set[Label]) -> Iterator[RenderableType]:
    """Yield where a remedy must not be used, apart for the failures that are present beside its own."""
    conflicts = [label for label in remedy.contraindicated_for if label in here]
    elsewhere = [label for label in remedy.contraindicated_for if label not in here]
    if conflicts:
        yield hanging(
            "     BUT ", f"it is contraindicated for {listed(conflicts)}, which is present too", prefix_style="bold red"
        )
    if elsewhere:
        yield hanging("     do NOT ", f"use it for {listed(elsewhere)}", prefix_style="bold red")


def _warning(remedy: Remedy, here: set[Label]) -> RenderableType:
    against = listed([label for label in remedy.contraindicated_for if label in here])
    reason = f"{remedy.title}: wrong for {against}; it is for {listed(remedy.for_)}. {remedy.why}"
    return hanging("  do NOT ", reason, prefix_style="bold red")
