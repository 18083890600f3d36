"""The HTML page of a finished run: its report, and pictures of its samples. No torch."""

from __future__ import annotations

from entropydx import pictures
from entropydx.reporters import _html
from entropydx.runs import Run
from entropydx.types import Trajectory


def html_page(run: Run, trajectory: Trajectory | None = None) -> str:
    """Return the page of a run, one file that needs nothing else.

    Parameters
    ----------
    run : Run
        Without samples the page has what the report alone can draw, and says what is not there and why.
    trajectory : Trajectory, optional
        The series that the checkpoint belongs to.
    """
    return _html.page(run.report, pictures.of(run.report, run.samples), trajectory)
