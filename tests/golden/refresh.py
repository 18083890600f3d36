"""Write the golden report files and the shipped schema anew: `python -m tests.golden.refresh`, then read the diff."""

from __future__ import annotations

import json
from pathlib import Path

from entropydx.document import json_schema, to_json
from entropydx.reporters.terminal import reporter
from tests.unit.report_examples import EXAMPLES, collapsed

ROOT = Path(__file__).parents[2]


def golden() -> dict[Path, str]:
    """Return every golden file and what it should hold."""
    schema = json.dumps(json_schema(), indent=2) + "\n"
    pages = (f"==== {name} ====\n{reporter.render(example())}" for name, example in EXAMPLES.items())
    return {
        ROOT / "tests/golden/report.json": to_json(collapsed()),
        ROOT / "tests/golden/report.schema.json": schema,
        ROOT / "tests/golden/terminal.txt": "\n".join(pages),
        ROOT / "docs/reference/report-schema.json": schema,
    }


if __name__ == "__main__":
    for path, text in golden().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
