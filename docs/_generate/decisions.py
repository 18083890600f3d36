"""The index of the decisions."""

from __future__ import annotations

from pathlib import Path


def decisions_page(folder: Path) -> str:
    """Return the headings of all decisions, each a link."""
    lines = ["# Decisions", "", "What was decided, why, and what else was considered; newest last.", ""]
    for page in sorted(folder.glob("[0-9]*.md")):
        heading = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{heading}]({page.name})")
    return "\n".join(lines) + "\n"
