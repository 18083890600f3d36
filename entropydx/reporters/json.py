"""The report document: strict JSON, schema_version 1.0. `entropydx schema` prints its JSON Schema."""

from __future__ import annotations

from entropydx.document import to_json
from entropydx.protocols import Reporter
from entropydx.types import Report


class JsonReporter:
    """Renders the whole report, losing nothing but float digits beyond the sixth."""

    def render(self, report: Report) -> str:
        """Return the document, ending in a newline."""
        return to_json(report)


reporter: Reporter = JsonReporter()
