"""The documentation is what the program is: generated pages are fresh, links lead somewhere, examples work."""

import re
import runpy
from pathlib import Path

import pytest

from entropydx.types import Measured
from tests.unit.samples import completion, group, samples

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_pages_are_fresh() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run python docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_probe_of_the_how_to_works() -> None:
    page = (ROOT / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code is not None
    scope: dict[str, object] = {}
    exec(compile(code.group(1), "extend.md", "exec"), scope)
    asks = samples([group(i, [completion(text="Why?"), completion(text="So.")]) for i in range(4)])
    (rate,) = scope["probe"].measure(asks, None)  # type: ignore[attr-defined]
    assert isinstance(rate, Measured)
    assert rate.value == 0.5
