"""The pages of rules and probes, from their files."""

from __future__ import annotations

import tempfile
from functools import cache

from entropydx import pipeline, plugins
from entropydx.config import Settings, resolve
from entropydx.protocols import Probe
from entropydx.types import Report


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
