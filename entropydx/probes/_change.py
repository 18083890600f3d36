"""A paired change as a measurement of its own: its value is the change, its interval the paired one."""

from __future__ import annotations

from entropydx.probes._paired import NO_BASELINE, Build, Paired
from entropydx.types import Interval, Measured, Measurement, Missing

NO_INTERVAL = "no interval: every prompt changes alike, or too few prompts define the change"


def change(
    part: Paired,
    name: str,
    unit: str,
    build: Build,
    *,
    bounds: Interval | None = None,
    note: str | None = None,
) -> Measurement:
    """Return `build(groups) - build(baseline)` with its paired interval.

    Parameters
    ----------
    part : Paired
        Its `baseline` is what the change is taken against: the baseline checkpoint, or another way of drawing.
    bounds : (low, high), optional
        Range of the statistic, not of its change.
    """
    if part.baseline is None:
        return Missing(name=name, reason=NO_BASELINE)
    found = part.estimate(name, unit, build, bounds=bounds)
    if isinstance(found, Missing):
        return found
    if found.delta is None:
        return Missing(name=name, reason="undefined: no completion of the baseline that it could be measured on")
    note = note if found.delta_ci is not None else note or NO_INTERVAL
    return Measured(name=name, value=found.delta, unit=unit, n=found.n, ci=found.delta_ci, note=note)
