"""Write the generated reference pages: `python docs/generate.py`; with `--check` only say whether one is stale.

rules.md         from the docstrings of entropydx/rules/
measurements.md  the index of entropydx/probes/
probes/NAME.md   a probe's docstring, what it asks for, and what it measures on a small synthetic policy
cli.md           from `--help` of every command
config.md        from the options of `diagnose`
labels.md        the outcomes and the exit codes
remedies.md      from entropydx/remedies/
python.md        from the docstrings of `entropydx`
trials.md        its tables from fixtures/trials
adr/index.md     from the headings of docs/adr/
cases.md         the labelled cases of fixtures/cases: what was done, and what the check found
quality.*        from fixtures/cases, as `entropydx selftest` judges them; not written over better figures, unless
                 `--accept-worse` says so
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs._generate.case_pages import cases_page  # noqa: E402
from docs._generate.catalogue import labels_page, remedies_page  # noqa: E402
from docs._generate.decisions import decisions_page  # noqa: E402
from docs._generate.plugin_pages import measurements_page, probe_page, rules_page  # noqa: E402
from docs._generate.python_api import python_page  # noqa: E402
from docs._generate.settings import settings_page  # noqa: E402
from docs._generate.trials import trials_page  # noqa: E402
from entropydx import plugins, selftest  # noqa: E402
from entropydx.types import Quality  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
TRIALS = ROOT / "docs" / "explanation" / "trials.md"
COMMANDS = (
    "diagnose",
    "gate",
    "import",
    "merge",
    "triage",
    "report",
    "explain",
    "list",
    "schema",
    "doctor",
    "trajectory",
    "sweep",
    "compare",
    "watch",
    "selftest",
    "organisms list",
    "organisms grow",
    "organisms lab",
    "trials run",
    "trials table",
)


def cli_page() -> str:
    """Return the help of every command."""
    parts = ["# Command line\n", "Generated from `--help`.\n"]
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    for command in ("", *COMMANDS):
        call = [sys.executable, "-m", "entropydx", *command.split(), "--help"]
        text = subprocess.run(call, capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout
        text = "\n".join(
            line.rstrip() for line in text.replace("python -m entropydx", "entropydx").strip().splitlines()
        )
        parts.append(f"## entropydx {command}".rstrip() + f"\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


@cache
def _quality() -> Quality:
    return selftest.examine(ROOT / selftest.CASES)


def pages() -> dict[Path, str]:
    """Return every generated page and what it should hold."""
    return {
        REFERENCE / "rules.md": rules_page(),
        REFERENCE / "measurements.md": measurements_page(),
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "cases.md": cases_page(ROOT / selftest.CASES),
        REFERENCE / "config.md": settings_page(),
        REFERENCE / "labels.md": labels_page(),
        REFERENCE / "remedies.md": remedies_page(),
        REFERENCE / "python.md": python_page(),
        TRIALS: trials_page(TRIALS, ROOT / "fixtures" / "trials"),
        ROOT / "docs" / "adr" / "index.md": decisions_page(ROOT / "docs" / "adr"),
        **{REFERENCE / "probes" / f"{name}.md": probe_page(name) for name in plugins.builtin_names("probe")},
        **selftest.pages(_quality(), REFERENCE),
    }


def main() -> int:
    """Write the pages, or check them."""
    stale = [p for p, text in pages().items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for page in stale:
            sys.stderr.write(f"{page.relative_to(ROOT)} is stale: run `python docs/generate.py`\n")
        return 1 if stale else 0
    worse = selftest.losses(_quality(), REFERENCE / selftest.COMMITTED.name)
    if worse and "--accept-worse" not in sys.argv:
        sys.stderr.write("nothing is written: figures of the selftest are worse than the committed ones\n")
        sys.stderr.writelines(f"{line}\n" for line in worse)
        return 1
    for page, text in pages().items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
