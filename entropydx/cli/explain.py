"""`entropydx explain`: the page of a rule, a label or a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from entropydx.cli._guard import guarded

if TYPE_CHECKING:
    from entropydx.types import Label


@guarded
def command(
    topic: Annotated[str, typer.Argument(help="A rule code (EDX101), a label (training_collapse) or a probe's name.")],
) -> int:
    """Explain a rule, a label or a probe: what it sees, what looks like it, where its thresholds come from."""
    from entropydx import plugins
    from entropydx.errors import PluginNotFoundError
    from entropydx.types import Label

    rules = {plugins.load("rule", name).code: name for name in plugins.names("rule")}
    probes = plugins.names("probe")
    if topic.upper() in rules:
        typer.echo(plugins.documentation("rule", rules[topic.upper()]))
    elif topic in probes:
        typer.echo(plugins.documentation("probe", topic))
    elif topic in set(Label):
        typer.echo(_label(Label(topic), rules))
    else:
        raise PluginNotFoundError("rule, label or probe", topic, [*rules, *probes, *Label])
    return 0


def _label(label: Label, rules: dict[str, str]) -> str:
    from entropydx import plugins
    from entropydx.triage import MEANING

    lines = [f"{label}: {MEANING[label]}", ""]
    speaking = [(code, plugins.load("rule", name)) for code, name in sorted(rules.items())]
    about = [(code, rule) for code, rule in speaking if rule.failure == label]
    lines += [f"  {code}  {rule.direction:7}  {rule.title}" for code, rule in about]
    if not about:
        lines.append("  No rule of this version speaks about it.")
    return "\n".join(lines)
