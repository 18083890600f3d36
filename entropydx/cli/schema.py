"""`entropydx schema`: the JSON Schema of the report."""

from __future__ import annotations

import typer

from entropydx.cli._guard import guarded


@guarded
def command() -> int:
    """Print the JSON Schema of the report document."""
    import json

    from entropydx import document

    typer.echo(json.dumps(document.json_schema(), indent=2))
    return 0
