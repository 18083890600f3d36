"""Write the generated reference pages: `python docs/generate.py`; with `--check` only say whether one is stale.

rules.md         from the docstrings of entropydx/rules/
measurements.md  the index of entropydx/probes/
probes/NAME.md   a probe's docstring, what it asks for, and what it measures on a small synthetic policy
cli.md           from `--help` of every command
cases.md         the labelled cases of fixtures/cases: what was done, and what the check found
quality.*        from fixtures/cases, as `entropydx selftest` judges them; not written over better figures, unless
                 `--accept-worse` says so
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from entropydx import pipeline, plugins, selftest  # noqa: E402
from entropydx.cases import Case, labels, load_cases  # noqa: E402
from entropydx.config import Settings, resolve  # noqa: E402
from entropydx.protocols import Probe  # noqa: E402
from entropydx.types import Quality, Report  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
COMMANDS = (
    "diagnose",
    "merge",
    "triage",
    "explain",
    "list",
    "schema",
    "doctor",
    "trajectory",
    "sweep",
    "selftest",
    "organisms list",
    "organisms grow",
    "organisms lab",
)
CHECKED = {
    "pass@1": "pass@1",
    "majority": "majority",
    "pass@16": "pass@16",
    "pass@1/easy/in": "easy, in",
    "pass@1/out": "pass@1 out",
    "agreement_when_wrong/in": "agree when wrong, in",
    "overconfidence/out": "overconfidence out",
    "steps_written": "steps",
    "token_entropy": "entropy",
}
"""Number of the independent check to its heading."""


def rules_page() -> str:
    """Return every rule's page, by code."""
    rules = {plugins.load("rule", name).code: name for name in plugins.builtin_names("rule")}
    parts = ["# Rules\n", "Generated from `entropydx/rules/`; `entropydx explain CODE` prints one.\n"]
    for code in sorted(rules):
        headline, _, body = plugins.documentation("rule", rules[code]).partition("\n")
        rule = plugins.load("rule", rules[code])
        role = "decisive" if rule.decisive else "supporting"
        facts = f"*{rule.direction} `{rule.failure}` · {role} · {rule.scope.replace('_', ' ')}*"
        parts.append(f"## {headline}\n\n{facts}\n{body.replace('## ', '### ')}\n")
    return "\n".join(parts)


@cache
def _small_report() -> Report:
    """Return a report in which every probe has something to measure: a sound synthetic policy against its twin."""
    with tempfile.TemporaryDirectory() as folder:
        flags = Settings(
            engine="synthetic", suite="tiny", baseline="synthetic:twin", run_dir=folder, prompts=48, samples=8
        )
        return pipeline.diagnose(resolve("synthetic:healthy", flags))


def probe_page(name: str) -> str:
    """Return a probe's page: its docstring, what it asks of the checkpoint, what it measures at K = 8."""
    probe = plugins.load("probe", name)
    headline, _, body = plugins.documentation("probe", name).partition("\n")
    parts = [f"# {name}\n", f"{headline}\n{body}\n", "## What it asks for\n", f"{_asks_for(probe)}\n"]
    parts += ["## Measurements\n", "Generated, at K = 8 samples of a prompt, with a baseline.\n"]
    rows = [row for row in _small_report().measurements if row.name.partition(".")[0] == name]
    parts.append("| measurement | unit | strata |\n|---|---|---|")
    for stem in dict.fromkeys(row.name.partition("@")[0] for row in rows):
        mine = [row for row in rows if row.name.partition("@")[0] == stem]
        unit = next((row.unit for row in mine if row.unit), "not measurable on the sample of this page")
        strata = ", ".join(f"`@{row.name.partition('@')[2]}`" for row in mine if "@" in row.name)
        parts.append(f"| `{stem}` | {unit} | {strata} |")
    return "\n".join(parts) + "\n"


def _asks_for(probe: Probe) -> str:
    requires = probe.requires
    asked = [f"at least {requires.n_samples} samples of a prompt"] if requires.n_samples > 1 else []
    asked += ["exact entropies"] * requires.entropies + ["graded answers"] * requires.grades
    for condition in requires.conditions:
        share = f"{condition.prompt_share:.0%} of the prompts" if condition.max_prompts is None else ""
        share = share or f"at most {condition.max_prompts} prompts"
        asked.append(f"draws under `{condition.name}` ({share}{'' if condition.baseline else ', checkpoint only'})")
    asked += [f"the scored pass `{name}`" for name in requires.scores]
    return "The main draw, with " + "; ".join(asked) + "." if asked else "The main draw."


def measurements_page() -> str:
    """Return the index of the probes."""
    parts = ["# Measurements\n", "Generated from `entropydx/probes/`. Names are `probe.statistic[@stratum]`.\n"]
    parts.append("| probe | what it measures |\n|---|---|")
    for name in plugins.builtin_names("probe"):
        parts.append(f"| [`{name}`](probes/{name}.md) | {plugins.documentation('probe', name).splitlines()[0]} |")
    return "\n".join(parts) + "\n"


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


def cases_page() -> str:
    """Return the labelled cases: base, mechanism, dose, what was meant, what the check found, and its numbers."""
    cases = load_cases(ROOT / selftest.CASES)
    parts = [
        "# Labelled cases\n",
        "Generated from `fixtures/cases`. A case is one checkpoint whose cause is known because we caused it "
        "([ADR 9](../adr/0009-organism-lab.md)); what it *is* says the independent check "
        "(`organisms/truth.py`), whatever was meant. Numbers are the checkpoint's, and the baseline's in brackets; "
        "entropy is in nats a token. `entropydx organisms lab NAME --out DIR --cases DIR` grows one again.\n",
        _tally(cases),
    ]
    for base in sorted({case.base for case in cases}):
        parts.append(f"## {base}\n\n" + _cases_table([case for case in cases if case.base == base]))
    parts.append("## Why each mechanism does what it does\n\n" + "\n".join(_whys(cases)) + "\n")
    return "\n".join(parts)


def _tally(cases: list[Case]) -> str:
    counts = Counter(case.label for case in cases)
    listed = ", ".join(f"{counts[label]} {label}" for label in labels(cases))
    mechanisms, bases = len({case.recipe for case in cases}), len({case.base for case in cases})
    return f"{len(cases)} cases of {mechanisms} mechanisms on {bases} bases: {listed}.\n"


def _cases_table(cases: list[Case]) -> str:
    head = ["case", "mechanism", "dose", "meant", "is", "also", *CHECKED.values()]
    rows = [[*_standing(case), *(_checked(case, number) for number in CHECKED)] for case in cases]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def _standing(case: Case) -> list[str]:
    also = [f"{failure} {standing}" for failure, standing in case.truth.items() if standing != "absent"]
    beside = ", ".join(text.removesuffix(" present") for text in also if text != f"{case.label} present")
    return [f"`{case.name}`", case.recipe, f"{case.dose:.2g}", case.aim, case.label, beside or "-"]


def _checked(case: Case, number: str) -> str:
    own, base = case.check.get(number), case.check.get(f"base/{number}")
    return "-" if own is None or base is None else f"{own:.2f} ({base:.2f})"


def _whys(cases: list[Case]) -> list[str]:
    return [f"- `{name}`: {why}" for name, why in sorted({case.recipe: case.why for case in cases}.items())]


@cache
def _quality() -> Quality:
    return selftest.examine(ROOT / selftest.CASES)


def pages() -> dict[Path, str]:
    """Return every generated page and what it should hold."""
    return {
        REFERENCE / "rules.md": rules_page(),
        REFERENCE / "measurements.md": measurements_page(),
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "cases.md": cases_page(),
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
