"""The code blocks of the documentation, and what the comment before each asks of the tests.

A block is tested unless a comment on the line before it says less:

    <!-- test: run -->               the default: python runs, every command runs; the output below a command is matched
    <!-- test: run exit=1 -->        the commands leave with code 1 (`exit=0,1`: the first with 0, the second with 1)
    <!-- test: slow -->              as `run`, and only by `make test-all`
    <!-- test: parse -->             python compiles, options and names of commands exist, and nothing runs
    <!-- test: file suite.jsonl -->  checked as what it is, then written for the blocks that follow
    <!-- test: skip: REASON -->      not tested

A page is one story: its blocks share a directory (`fixtures` and `docs` are in it) and their python names, in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(\S*)")
WISH = re.compile(
    r"<!-- test: (run|slow|parse|file (?P<name>\S+)|skip: (?P<reason>.+?))(?: exit=(?P<exits>[\d,]+))? -->"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """Of its first line of text, from 1."""
    language: str
    text: str
    how: str
    """run, slow, parse, file or skip."""
    name: str | None = None
    """Of the file, for `file`."""
    exits: tuple[int, ...] = (0,)
    """Expected exit codes of its commands; the last one is that of all that follow."""
    fault: str | None = None
    """Why it cannot be tested at all."""

    @property
    def where(self) -> str:
        """Page and line, as an editor understands it."""
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return a page's blocks in order; one without a language, or below an unknown comment, is faulty."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    index = 0
    while index < len(lines):
        fence = FENCE.match(lines[index])
        if not fence:
            index += 1
            continue
        end = next((i for i in range(index + 1, len(lines)) if lines[i].strip() == fence[1]), len(lines))
        found.append(_block(page, lines, index, end))
        index = end + 1
    return found


def _block(page: Path, lines: list[str], start: int, end: int) -> Block:
    language = FENCE.match(lines[start])[2]  # type: ignore[index]
    before = lines[start - 1].strip() if start else ""
    wish = WISH.fullmatch(before)
    fault = None
    if not language:
        fault = "the block names no language; `text` is one"
    elif "<!-- test" in before and not wish:
        fault = f"'{before}' is no comment that tests/docs/blocks.py knows"
    elif end == len(lines):
        fault = "the block is not closed"
    return Block(
        page=page,
        line=start + 2,
        language=language,
        text="\n".join(lines[start + 1 : end]) + "\n",
        how=re.split(r"[ :]", wish[1])[0] if wish else "run",
        name=wish["name"] if wish else None,
        exits=tuple(int(code) for code in wish["exits"].split(",")) if wish and wish["exits"] else (0,),
        fault=fault,
    )
