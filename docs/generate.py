"""Write the generated reference pages: `python docs/generate.py`; with `--check` only say whether one is stale.

    rules.md         from the docstrings of entropydx/rules/
    measurements.md  from the docstrings of entropydx/probes/, and what they measure on a small made-up sample
    cli.md           from `--help` of every command
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from entropydx import plugins  # noqa: E402
from entropydx.protocols import EngineOptions, Silent  # noqa: E402
from entropydx.types import Measured, Samples, SamplingParams  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
COMMANDS = ("diagnose", "triage", "explain", "list", "schema", "doctor", "organisms list", "organisms grow")


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


def _small_samples() -> Samples:
    from entropydx.pipeline import grade

    engine = plugins.load("engine", "synthetic")("synthetic:healthy", EngineOptions(), Silent())
    params = SamplingParams(n_samples=8, max_new_tokens=64)
    prompts = plugins.load("suite", "tiny").prompts(0, 24)
    groups = tuple(grade(g) for g in engine.generate(prompts, params))
    return Samples(checkpoint=engine.info, params=params, groups=groups)


def measurements_page() -> str:
    """Return every probe's page and the names and units of what it measures, at K = 8."""
    samples = _small_samples()
    parts = ["# Measurements\n", "Generated from `entropydx/probes/`. Names are `probe.statistic[@stratum]`; here at K = 8.\n"]
    for name in plugins.builtin_names("probe"):
        headline, _, body = plugins.documentation("probe", name).partition("\n")
        parts.append(f"## {name}\n\n{headline}\n{body.replace('## ', '### ')}\n")
        parts.append("| measurement | unit |\n|---|---|")
        for m in plugins.load("probe", name).measure(samples, samples):
            if isinstance(m, Measured) and m.name.partition("@")[2] not in {"medium", "hard", "in", "out"}:
                parts.append(f"| `{m.name}` | {m.unit} |")
        parts.append("")
    return "\n".join(parts)


def cli_page() -> str:
    """Return the help of every command."""
    parts = ["# Command line\n", "Generated from `--help`.\n"]
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    for command in ("", *COMMANDS):
        call = [sys.executable, "-m", "entropydx", *command.split(), "--help"]
        text = subprocess.run(call, capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout
        text = "\n".join(line.rstrip() for line in text.replace("python -m entropydx", "entropydx").strip().splitlines())
        parts.append(f"## entropydx {command}".rstrip() + f"\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def pages() -> dict[Path, str]:
    """Return every generated page and what it should hold."""
    return {
        REFERENCE / "rules.md": rules_page(),
        REFERENCE / "measurements.md": measurements_page(),
        REFERENCE / "cli.md": cli_page(),
    }


def main() -> int:
    """Write the pages, or check them."""
    stale = [p for p, text in pages().items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for page in stale:
            sys.stderr.write(f"{page.relative_to(ROOT)} is stale: run `python docs/generate.py`\n")
        return 1 if stale else 0
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
