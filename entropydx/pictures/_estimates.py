"""Numbers that are drawn: a row of the report, or a share with its interval."""

from __future__ import annotations

from entropydx import stats
from entropydx.types import Estimate, MeasurementRow, Missing


def from_row(row: MeasurementRow) -> Estimate | None:
    """Return the value of a row with its interval; None when it is missing."""
    return None if row.value is None else Estimate(value=row.value, ci=row.ci, n=row.n)


def estimate(population: stats.Population, statistic: stats.Statistic) -> Estimate | None:
    """Return a share in [0, 1] with its prompt-bootstrap interval; None when it is undefined."""
    found = population.estimate("drawn", "share", statistic, bounds=(0.0, 1.0))
    return None if isinstance(found, Missing) else Estimate(value=found.value, ci=found.ci, n=found.n)
