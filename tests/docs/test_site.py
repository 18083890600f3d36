"""The site builds strictly, asks nothing of other hosts, and shows what a forge shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"https?:|<link\b[^>]*\bhref=\"https?:[^>]*>", re.IGNORECASE
)
PARAGRAPH_WITH_ITEMS = re.compile(r"<p>(?:(?!</p>).)*\n(?:[-*]|1\.) ", re.DOTALL)


def _build(root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    # Not with --quiet: warnings that are not shown are not counted as errors either.
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(build, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = _build(ROOT, target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[gone](index.md#gone)", "#gone"),
        ("[gone](../gone.py)", "gone.py"),
        ("[a directory](how-to/)", "how-to/"),
    ],
)
def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, text: str, complaint: str) -> None:
    done = _build(_small_site(tmp_path, index=text), tmp_path / "site")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_a_page_without_a_place_in_the_navigation_is_an_error(tmp_path: Path) -> None:
    done = _build(_small_site(tmp_path, index="x", forgotten="y"), tmp_path / "site")
    assert done.returncode != 0
    assert "forgotten.md" in done.stderr


def test_a_sound_site_of_this_size_builds(tmp_path: Path) -> None:
    done = _build(_small_site(tmp_path, index="[script](../script.py)"), tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "repository" / "script.py").is_file()


def _small_site(root: Path, **pages: str) -> Path:
    """Write a site with this repository's settings and hook, and other pages."""
    (root / "docs").mkdir()
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[0]
    (root / "mkdocs.yml").write_text(f"{settings}\nnav: [index.md]\n", encoding="utf-8")
    (root / "docs" / "_site.py").write_text((ROOT / "docs" / "_site.py").read_text(encoding="utf-8"), encoding="utf-8")
    (root / "script.py").write_text("", encoding="utf-8")
    for name, text in pages.items():
        (root / "docs" / f"{name}.md").write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
    return root


def _pages(site: Path) -> list[Path]:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    return pages


def test_reading_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in _pages(site):
        assert not FETCHED.findall(page.read_text(encoding="utf-8")), page.name


def test_lists_are_lists(site: Path) -> None:
    for page in _pages(site):
        assert not PARAGRAPH_WITH_ITEMS.search(page.read_text(encoding="utf-8")), page.name


def test_links_to_files_outside_docs_stay_in_the_site(site: Path) -> None:
    assert "Contributing" in (site / "repository" / "CONTRIBUTING.html").read_text(encoding="utf-8")
    assert (site / "repository" / "benchmarks" / "index.html").is_file()


def test_source_files_of_the_documentation_are_not_published(site: Path) -> None:
    assert not list(site.rglob("*.py"))
