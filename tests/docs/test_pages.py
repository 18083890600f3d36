"""The documentation is what the program is: generated pages are fresh, links lead somewhere, what is named exists."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from entropydx.cli import app
from tests.docs.blocks import PAGES, ROOT, blocks
from tests.docs.shell import session, simple_commands

GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate.py"))
FENCES = re.compile(r"^(```+).*?^\1", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--[a-z][\w.-]*")
OTHERS_FLAGS = {
    "--array": "sbatch",
    "--log_samples": "lm-eval",
    "--logits_all": "llama-cpp-python",
    "--n_ctx": "llama-cpp-python",
    "--save-details": "lighteval",
}
"""Flags in the text that belong to other programs."""
OF_THE_PAST = ("docs/adr/", "docs/lab-notes.md", "docs/reference/remedies.md")
"""Pages that name what was considered, or the settings of trainers."""


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_generated_pages_are_fresh() -> None:
    for path, text in GENERATOR["pages"]().items():
        assert path.is_file(), f"{path.name} is missing: run python docs/generate.py"
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run python docs/generate.py"


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _commands(child, (*path, name))
    if not children:
        yield path, command


def test_every_command_has_its_help_on_the_page() -> None:
    assert {" ".join(path) for path, _ in _commands(typer.main.get_command(app))} == set(GENERATOR["COMMANDS"])


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [p for p in PAGES if not _id(p).startswith(OF_THE_PAST)], ids=_id)
def test_flags_and_commands_in_the_text_exist(page: Path) -> None:
    commands = dict(_commands(typer.main.get_command(app)))
    flags = {opt for c in commands.values() for p in c.params for opt in (*p.opts, *p.secondary_opts)}
    text = FENCES.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`]+)`", text):
        if code.startswith(("python ", "pytest ", "git ")):
            continue
        for flag in FLAG.findall(code):
            assert flag in flags | {"--help", "--version"} | OTHERS_FLAGS.keys(), f"{page.name}: `{code}`"
        name = re.match(r"entropydx ([a-z]+)\b", code)
        assert not name or any(path[0] == name[1] for path in commands), f"{page.name}: `{code}`"


def test_the_start_page_leads_to_every_page_of_the_four_kinds() -> None:
    docs = ROOT / "docs"
    start = (docs / "index.md").read_text(encoding="utf-8")
    for kind in ("tutorial", "how-to", "reference", "explanation"):
        for page in sorted((docs / kind).glob("*.md")):
            assert f"({kind}/{page.name})" in start, f"docs/index.md does not lead to {kind}/{page.name}"


def test_the_glossary_is_in_order_and_brief() -> None:
    entries = re.split(r"^## ", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    terms = [entry.splitlines()[0] for entry in entries]
    assert terms == sorted(terms, key=str.lower)
    for entry in entries:
        assert 3 <= len(entry.split()) <= 90, entry


def test_every_paper_that_is_built_on_stands_with_its_provenance() -> None:
    page = (ROOT / "docs" / "explanation" / "science.md").read_text(encoding="utf-8")
    for kind in ("rules", "probes", "remedies"):
        for source in sorted((ROOT / "entropydx" / kind).glob("*.py")):
            for paper in re.findall(r"\d{4}\.\d{5}", source.read_text(encoding="utf-8")):
                assert paper in page, (
                    f"{source.name} cites arXiv:{paper}: docs/explanation/science.md does not say how it was read"
                )


def test_every_environment_variable_that_is_read_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    for source in sorted((ROOT / "entropydx").rglob("*.py")):
        for name in re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", source.read_text(encoding="utf-8")):
            assert f"`{name}`" in page, f"{source.name} reads {name}: docs/_generate/settings.py does not say so"


def test_the_reading_of_the_trials_quotes_their_tables() -> None:
    page = (ROOT / "docs" / "explanation" / "trials.md").read_text(encoding="utf-8")
    reading, tables = page.split("<!-- the trials -->")
    quoted = re.findall(r"[+-]?\d\.\d{3} \[[^\]]+\]", " ".join(reading.split()))
    assert len(quoted) >= 15
    assert [interval for interval in quoted if interval not in tables] == []


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_no_pattern_stands_where_one_run_is_asked_for(page: Path) -> None:
    """A second run of the same checkpoint, with another baseline, would make two arguments of it."""
    for block in blocks(page):
        typed = [c.text for c in session(block.text)] if block.language == "console" else []
        for words in simple_commands("\n".join(typed)):
            if words[:1] == ["entropydx"] and words[1] in {"triage", "report", "diagnose", "gate"}:
                assert not [word for word in words if "*" in word], f"{block.where}: {' '.join(words)}"


def test_what_a_gate_can_decide_is_as_sharp_as_its_output_on_the_page() -> None:
    text = " ".join((ROOT / "docs" / "how-to" / "gate.md").read_text(encoding="utf-8").split())
    (shown,) = re.findall(r"against the baseline is -?[\d.]+ \[(-?[\d.]+), (-?[\d.]+)\]", text)
    (said,) = re.findall(r"its change against the baseline on the same prompts to about ± ([\d.]+)\.", text)
    low, high = map(float, shown)
    assert float(said) == pytest.approx((high - low) / 2, abs=0.005)
