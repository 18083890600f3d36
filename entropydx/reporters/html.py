"""One HTML file to look at and to pass on: no request, no script needed, nothing of it runs what a model wrote.

From the report alone it has the verdict, the evidence, the remedies, pass@k and the formats. The samples of the run add
the entropy of every token, the spread, the reliability diagrams and samples side by side: `entropydx report RUN_DIR`.
"""

from __future__ import annotations

from entropydx import pictures
from entropydx.protocols import Reporter
from entropydx.reporters import _html
from entropydx.types import Report


class HtmlReporter:
    """Renders the page of a report."""

    def render(self, report: Report) -> str:
        """Return the page."""
        return _html.page(report, pictures.of(report))


reporter: Reporter = HtmlReporter()
