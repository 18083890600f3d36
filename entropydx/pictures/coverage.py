"""pass@k of checkpoint and baseline, with prompt-bootstrap intervals."""

from __future__ import annotations

import re

from entropydx import stats
from entropydx.pictures._estimates import estimate, from_row
from entropydx.probes._paired import Paired
from entropydx.probes._votes import n_right
from entropydx.types import Curve, Estimate, Report

_NAME = re.compile(r"sampling_spread\.pass_at_(\d+)")


def curves(report: Report, part: Paired | None) -> tuple[Curve, ...]:
    """Return the checkpoint's curve, and the baseline's where there is one; nothing when pass@k was not measured.

    The checkpoint's points are the report's own. The report holds the baseline's values and not their intervals, which
    are computed from the samples where these are at hand.
    """
    rows = {int(m[1]): row for row in report.measurements if (m := _NAME.fullmatch(row.name)) and row.value is not None}
    ks = sorted(rows)
    own = [from_row(rows[k]) for k in ks]
    if not ks:
        return ()
    x = tuple(float(k) for k in ks)
    found = [Curve(role="checkpoint", x=x, points=tuple(p for p in own if p is not None))]
    theirs = [_baseline(rows[k].baseline, rows[k].n, k, part) for k in ks]
    known = tuple(p for p in theirs if p is not None)
    if len(known) == len(ks):
        found.append(Curve(role="baseline", x=x, points=known))
    return tuple(found)


def _baseline(value: float | None, n: int, k: int, part: Paired | None) -> Estimate | None:
    if value is None:
        return None
    if part is None or part.baseline is None or any(c.grade is None for g in part.baseline for c in g.completions):
        return Estimate(value=value, ci=None, n=n)
    each = stats.pass_at_k(len(part.baseline[0].completions), n_right(part.baseline), k)
    return estimate(part.population, stats.mean_statistic(each))
