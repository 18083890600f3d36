"""The headline numbers of two runs, each with the interval of its change and with which way of it is worse. Pure.

Which measurements are looked at, which way of each is worse and how small a change counts as none is read off the
rules: the conditions that accuse, in the decisive rules of the four failures that compare with a baseline, and the two
outcomes of EDX909. *Before* stands in the baseline's place. A condition that no change at all would meet, such as "the
majority vote fell by less than 0.20", tells one failure from another, and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from scipy import special

from entropydx import stats
from entropydx.findings import flat
from entropydx.runs import Run, independent_change, paired_measurements, to_measurement, tokens_compare
from entropydx.types import (
    FAILURES,
    Basis,
    Delta,
    Interval,
    Label,
    Measured,
    Measurement,
    Missing,
    Move,
    Remedy,
    Rule,
    Threshold,
)

RATIO = ("entropy.mean_ratio", "fork_mass_ratio", "shortcutting.length_ratio", "markers.count_ratio", "density_ratio")
"""Ends of the names of measurements that are themselves a quotient of checkpoint and baseline, of the unit `TIMES`."""
TIMES = "x baseline"
AGAINST_ITSELF = {"coverage.support_retention": 1.0, "shortcutting.easy_regression": 0.0}
"""Measurements of decisive rules that are about a change in their `value`, and that value where nothing changes."""
DEPLOYED = "deployment"
"""Part of the name of a measurement of the sampling that a checkpoint is deployed with."""
NUMERICS = "decoding.greedy_"
"""Beginning of the names of measurements of the arithmetic: the same weights, drawn alike, may well differ in them."""
LOSS = "EDX909"
"""The rule whose conditions say what a lost outcome is."""
ENTROPY = "token_entropy.mean"
"""Shown beside the outcomes; neither more nor less of it is good by itself."""
PRESERVED = 0.5
"""Of the way from no change to a rule's threshold: a smaller change counts as none. Half of the effect that matters is
what non-inferiority margins preserve by custom (FDA 2016, Non-Inferiority Clinical Trials, section IV.B)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One measurement that every pair shows."""

    measurement: str
    about: tuple[Label, ...] = ()
    worse: Literal["lower", "higher"] | None = None
    distance: float | None = None
    """From no change to the nearest threshold, positive; of a ratio in its logarithm; None: no rule draws a line."""
    ratio: bool = False

    @property
    def null(self) -> float:
        """The change that is none."""
        return 1.0 if self.ratio else 0.0

    @property
    def margin(self) -> Interval | None:
        """Changes that count as none."""
        if self.distance is None:
            return None
        reach = PRESERVED * self.distance
        return (math.exp(-reach), math.exp(reach)) if self.ratio else (-reach, reach)


# ── which measurements ────────────────────────────────────────────────────────────────────────────


def headlines(rules: Sequence[Rule]) -> tuple[Headline, ...]:
    """Return the outcomes, then what accuses in the decisive rules, each measurement once."""
    found: dict[str, Headline] = {}
    for threshold in (t for rule in rules if rule.code == LOSS for t in flat(rule.when)):
        _add(found, threshold, ())
    found[ENTROPY] = Headline(measurement=ENTROPY)
    for rule in rules:
        if rule.decisive and rule.direction == "for" and rule.failure in FAILURES and rule.scope != "without_baseline":
            for threshold in flat(rule.when):
                _add(found, threshold, (rule.failure,))
    return tuple(found.values())


def promised(remedy: Remedy, known: Sequence[Headline]) -> tuple[Headline, ...]:
    """Return the measurements that a remedy makes promises of: as the rules know them, else without a margin."""
    by_name = {h.measurement: h for h in known}
    names = dict.fromkeys(promise.measurement for promise in remedy.promises)
    return tuple(by_name.get(name) or Headline(measurement=name, ratio=name.endswith(RATIO)) for name in names)


def _add(found: dict[str, Headline], threshold: Threshold, about: tuple[Label, ...]) -> None:
    name, ratio = threshold.measurement, threshold.measurement.endswith(RATIO)
    none = 1.0 if ratio else AGAINST_ITSELF.get(name, 0.0)
    if none < threshold.value if threshold.op == "<" else none > threshold.value:
        return
    distance = abs(math.log(threshold.value)) if ratio else abs(threshold.value - none)
    known = found.get(name)
    if known is not None:
        about = tuple(dict.fromkeys((*known.about, *about)))
        distance = min(distance, known.distance or distance)
    worse: Literal["lower", "higher"] = "lower" if threshold.op == "<" else "higher"
    found[name] = Headline(measurement=name, about=about, worse=worse, distance=distance, ratio=ratio)


# ── two runs ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Two runs, and what is measured between them."""

    before: Run
    after: Run
    level: float
    """Of every interval in `forward` and `backward`."""
    forward: Mapping[str, Measurement] = field(default_factory=dict)
    """The later run measured with the earlier one as its baseline; empty when that cannot be."""
    backward: Mapping[str, Measurement] = field(default_factory=dict)
    """The two exchanged; empty likewise."""
    stated: bool = False
    """`forward` is what the later report says itself of its baseline, which is the earlier checkpoint."""
    same_policy: bool = False
    """The same weights, drawn in the same way: every change of the policy is zero by construction."""
    same_deployment: bool = False
    """The same sampling of the deployment, too."""

    @property
    def same(self) -> bool:
        """Whether both hold the same completions."""
        return self.same_policy and self.same_deployment

    @property
    def common_baseline(self) -> bool:
        """Whether both diagnoses compared with one baseline."""
        ours, theirs = self.after.report.baseline, self.before.report.baseline
        return ours is not None and theirs is not None and ours.fingerprint == theirs.fingerprint


def sides(before: Run, after: Run, level: float, probes: Iterable[str], *, pairs: bool) -> Sides:
    """Return two runs with what can be measured between them.

    Parameters
    ----------
    level : float
        Of the intervals.
    probes : iterable of str
        The probes to ask where the samples of both are at hand.
    pairs : bool
        The prompts of both are the same.
    """
    found = Sides(
        before=before,
        after=after,
        level=level,
        same_policy=pairs and _policy(before) == _policy(after) is not None,
        same_deployment=_deployment(before) == _deployment(after),
    )
    if found.same:
        return found
    its_baseline = after.report.baseline
    stated = its_baseline is not None and its_baseline.fingerprint == before.report.checkpoint.fingerprint
    if pairs and stated and not before.samples and "baseline" in after.samples:
        # What the earlier report lacks, the later run has drawn.
        before = replace(before, samples={"checkpoint": after.samples["baseline"]})
        found = replace(found, before=before)
    if pairs and before.samples and after.samples:
        with stats.at_level(level):
            forward, backward = (paired_measurements(*two, probes) for two in ((after, before), (before, after)))
        if not isinstance(forward, str) and not isinstance(backward, str):
            return replace(found, forward=_named(forward), backward=_named(backward))
    if not stated:
        return found
    rows = (to_measurement(row) for row in after.report.measurements)
    own = after.report.protocol.ci_level
    return replace(found, stated=True, forward={m.name: _at(m, own, level) for m in rows})


def _named(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    return {m.name: m for m in measurements}


def _policy(run: Run) -> tuple[object, ...] | None:
    """Return what the completions of a run depend on, beside what must be alike; None where another tool drew them."""
    p, model = run.report.protocol, run.report.checkpoint
    return None if p.imported else (model.fingerprint, model.dtype, p.engine, p.seed, p.n_prompts)


def _deployment(run: Run) -> tuple[object, ...]:
    protocol = run.report.protocol
    return protocol.deploy_temperature, protocol.deploy_top_p


def _at(measurement: Measurement, own: float, level: float) -> Measurement:
    """Return a measurement of a report with its intervals at another level."""
    if not isinstance(measurement, Measured) or own == level:
        return measurement
    widened = _widened_ratio if measurement.unit == TIMES else _widened
    ci, delta_ci = measurement.ci, measurement.delta_ci
    return replace(
        measurement,
        ci=None if ci is None else widened(measurement.value, ci, own, level),
        delta_ci=None if delta_ci is None else _widened(measurement.delta or 0.0, delta_ci, own, level),
    )


def _widened(value: float, ci: Interval, own: float, level: float) -> Interval:
    """Return an interval at another level, each side in proportion to the normal quantile."""
    factor = float(special.ndtri((1 + level) / 2) / special.ndtri((1 + own) / 2))
    return value + (ci[0] - value) * factor, value + (ci[1] - value) * factor


def _widened_ratio(value: float, ci: Interval, own: float, level: float) -> Interval:
    """Return a quotient's interval likewise, in its logarithm; one that reaches zero has none, and stays there."""
    if ci[0] > 0:
        low, high = _widened(math.log(value), (math.log(ci[0]), math.log(ci[1])), own, level)
        return math.exp(low), math.exp(high)
    low, high = _widened(value, ci, own, level)
    return max(low, 0.0), high


# ── one change ────────────────────────────────────────────────────────────────────────────────────


def delta(headline: Headline, two: Sides) -> Delta:
    """Return one headline measurement of two runs with the interval of its change, or why there is none."""
    name = headline.measurement
    own = (two.same or (two.same_policy and DEPLOYED not in name)) and not name.startswith(NUMERICS)
    found = _by_construction(headline, two) if own else _measured(headline, two)
    row = two.forward.get(name)
    if found.change is None and isinstance(row, Missing):
        found = replace(found, missing_reason=row.reason)
    found = replace(found, scale="ratio" if headline.ratio else "difference", worse=headline.worse)
    if found.change is None:
        return found
    if found.ci == (headline.null, headline.null):
        found = replace(found, change=headline.null)  # by construction: what differs is the rounding of a float
    return replace(found, margin=headline.margin, move=move(headline, found.ci))


def move(headline: Headline, ci: Interval | None) -> Move:
    """Return where the interval of a change lies. Inside the margin counts first: a sure trifle is no change."""
    if ci is None:
        return "open"
    margin = headline.margin
    if ci == (headline.null, headline.null):
        return "same"
    if margin is not None and margin[0] < ci[0] and ci[1] < margin[1]:
        return "same"
    if ci[0] <= headline.null <= ci[1]:
        return "open"
    if headline.worse is None:
        return "moved"
    return "worse" if (ci[0] > headline.null) == (headline.worse == "higher") else "better"


def _by_construction(headline: Headline, two: Sides) -> Delta:
    """Return the change of one draw against itself."""
    name, none = headline.measurement, headline.null
    known = Delta(measurement=name, about=headline.about, change=none, ci=(none, none), basis="construction")
    if headline.ratio or name in AGAINST_ITSELF:
        return replace(known, n=two.after.report.protocol.n_prompts)
    row = to_measurement(two.after.report.row(name))
    if isinstance(row, Missing):
        return Delta(measurement=name, about=headline.about, missing_reason=row.reason)
    return replace(known, before=row.value, after=row.value, unit=row.unit, n=row.n)


def _measured(headline: Headline, two: Sides) -> Delta:
    name = headline.measurement
    row = two.forward.get(name)
    basis: Basis = "stated" if two.stated else "paired"
    if headline.ratio:
        if isinstance(row, Measured):
            return _delta(headline, row, change=row.value, ci=row.ci, basis=basis)
        return _of_reports(headline, two)
    if name in AGAINST_ITSELF:
        apart = _of_reports(headline, two)
        if apart.change is not None or not isinstance(row, Measured):
            return apart  # against the baseline of both, by which each was diagnosed
        none = AGAINST_ITSELF[name]
        ci = None if row.ci is None else (row.ci[0] - none, row.ci[1] - none)
        return _delta(headline, row, change=row.value - none, ci=ci, basis=basis)
    if isinstance(row, Measured) and row.delta is not None:
        # Where only some prompts define it, the later value is of those on which both do.
        between = {"before": row.baseline, "after": (row.baseline or 0.0) + row.delta}
        return _delta(headline, row, change=row.delta, ci=row.delta_ci, basis=basis, **between)
    return _of_reports(headline, two)


def _delta(headline: Headline, row: Measured, **fields: object) -> Delta:
    known = Delta(measurement=headline.measurement, about=headline.about, unit=row.unit, n=row.n, note=row.note)
    return replace(known, **fields)  # type: ignore[arg-type]


def _of_reports(headline: Headline, two: Sides) -> Delta:
    """Return the change by the intervals that the two reports state, as if they were independent."""
    name = headline.measurement
    if (headline.ratio or name in AGAINST_ITSELF) and not two.common_baseline:
        reason = "it is about a change, and the two were not compared with one baseline, nor measured side by side"
        return Delta(measurement=name, about=headline.about, missing_reason=reason)
    reports = [run.report for run in (two.after, two.before)]
    rows = [_at(to_measurement(r.row(name)), r.protocol.ci_level, two.level) for r in reports]
    after, before = map(_logarithm, rows) if headline.ratio else rows
    found = independent_change(after, before, tokens_compare=tokens_compare(*reports))
    if isinstance(found, Missing) or found.delta is None:
        reason = found.reason if isinstance(found, Missing) else (found.note or "").removeprefix("no change: ")
        lacking = [when for when, row in (("before", before), ("after", after)) if isinstance(row, Missing)]
        whose = f"{lacking[0]}, " if len(lacking) == 1 else ""
        return Delta(measurement=name, about=headline.about, missing_reason=whose + reason)
    back = math.exp if headline.ratio else float
    return Delta(
        measurement=name,
        about=headline.about,
        unit=found.unit,
        n=found.n,
        note=found.note,
        before=None if found.baseline is None else back(found.baseline),
        after=back(found.value),
        change=back(found.delta),
        ci=None if found.delta_ci is None else (back(found.delta_ci[0]), back(found.delta_ci[1])),
        basis="independent",
    )


def _logarithm(row: Measurement) -> Measurement:
    """Return a quotient's logarithm, without an interval where that would reach minus infinity."""
    if isinstance(row, Missing):
        return row
    if row.value <= 0:
        return Missing(name=row.name, reason="a quotient of zero")
    ci = None if row.ci is None or row.ci[0] <= 0 else (math.log(row.ci[0]), math.log(row.ci[1]))
    return replace(row, value=math.log(row.value), ci=ci)
