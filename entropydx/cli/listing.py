"""`entropydx list`: what there is of a kind."""

from __future__ import annotations

from typing import Annotated

import typer

from entropydx.cli._guard import guarded


@guarded
def command(
    kind: Annotated[
        str, typer.Argument(help="engine, suite, probe, checker, importer, rule, remedy, reporter or label.")
    ],
) -> int:
    """List the plugins of a kind, or the labels, with a line each."""
    from entropydx import plugins
    from entropydx.errors import PluginNotFoundError
    from entropydx.triage import MEANING

    kind = kind.removesuffix("s") if kind not in plugins.PACKAGES else kind
    if kind == "remedie":
        kind = "remedy"
    if kind == "label":
        for label, meaning in MEANING.items():
            typer.echo(f"{label:26}{meaning}")
        return 0
    if kind not in plugins.PACKAGES:
        raise PluginNotFoundError("kind of plugin", kind, [*plugins.PACKAGES, "label"])
    for name in plugins.names(kind):
        typer.echo(f"{name:26}{_headline(kind, name)}")
    return 0


def _headline(kind: str, name: str) -> str:
    from entropydx import plugins

    return plugins.documentation(kind, name).strip().splitlines()[0]
