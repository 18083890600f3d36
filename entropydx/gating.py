"""A gate from beginning to end: a checkpoint is diagnosed, or a stored run opened, and the policy held against it.

A checkpoint is drawn in rounds until every failure is decided *and* bounds cannot change the verdict any more, or the
budget ends; the intervals are those of repeated looks (`looks`), so that this costs no error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from entropydx import gate, pipeline, stats, store
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import ConfigError
from entropydx.fleet import Fleet
from entropydx.planning import chosen_probes
from entropydx.policy import Policy, check_names
from entropydx.protocols import Progress
from entropydx.rounds import Judged, Look, Settled
from entropydx.runs import (
    Run,
    changes,
    differ,
    independent_change,
    is_run,
    open_run,
    side_by_side,
    to_measurement,
)
from entropydx.types import Gate, Measurement

REHEARSED = 24
"""Prompts of the rehearsal: a few more than an interval needs (`looks.FIRST`)."""


def gate_stored(path: Path, policy: Policy) -> tuple[Gate, Run]:
    """Return the verdict on a run directory, or on a report file, as it is: nothing is measured again, and no torch.

    Raises
    ------
    EntropydxError
        The run, or the one that the policy compares with, cannot be read.
    """
    theirs = _theirs(policy)
    ours = open_run(path, with_samples=theirs is not None and bool(theirs.samples))
    return _decided(ours, theirs, policy), ours


def gate_checkpoint(
    config: RunConfig,
    policy: Policy,
    progress: Progress | None = None,
    reuse: Path | None = None,
    fleet: Fleet | None = None,
) -> tuple[Gate, Run]:
    """Diagnose a checkpoint, and return the verdict and the run.

    Parameters
    ----------
    reuse, fleet : Path and Fleet, optional
        As `pipeline.run` takes them.

    Raises
    ------
    EntropydxError
        Anything that kept the run from happening; nothing that was drawn is lost.
    """
    theirs = _theirs(policy)
    if policy.measurements:
        check_names(policy, given_names(config, policy))
    ours = pipeline.run(config, progress, reuse, fleet, _settled(policy, theirs))
    return _decided(ours, theirs, policy), ours


def with_against(policy: Policy, against: str | None) -> Policy:
    """Return the policy with another report to compare with.

    Raises
    ------
    ConfigError
        The policy compares nothing with it.
    """
    if against is None:
        return policy
    if not policy.regression:
        raise ConfigError(f"--against {against}: {policy.source} policy allows no regression", "add [gate.regression]")
    return replace(policy, against=against)


def _theirs(policy: Policy) -> Run | None:
    """Return the run that regressions are measured against, before anything is drawn."""
    if policy.against is None or not policy.regression:
        return None
    path = Path(policy.against)
    if not is_run(path):
        raise ConfigError(
            f"{path} is neither a run directory nor a report file", "`against` names what to compare with"
        )
    return open_run(path)


def _decided(ours: Run, theirs: Run | None, policy: Policy) -> Gate:
    against = None if theirs is None else changes(ours, theirs, [r.measurement for r in policy.regression])
    source = ours.path / store.REPORT if ours.path.is_dir() else ours.path
    return gate.decide(ours.report, policy, against=against, source=str(source))


def given_names(config: RunConfig, policy: Policy) -> frozenset[str]:
    """Return the measurements that a run gives at its K, without strata, of the probes that a policy names.

    They are asked of a rehearsal: the same probes on a closed-form model, in a second or so, without torch.
    """
    asked = chosen_probes(config.probes).keys() & {name.partition(".")[0] for name in policy.measurements}
    return _rehearsed(",".join(sorted(asked)) or "instrument", config.samples)


@cache
def _rehearsed(probes: str, n_samples: int) -> frozenset[str]:
    with tempfile.TemporaryDirectory() as folder:
        flags = Settings(
            engine="synthetic",
            baseline="synthetic:twin",
            suite="tiny",
            prompts=REHEARSED,
            samples=n_samples,
            probes=probes,
            adaptive=False,
            run_dir=folder,
        )
        report = pipeline.diagnose(resolve("synthetic:healthy", flags))
    return frozenset(row.name.partition("@")[0] for row in report.measurements)


def _settled(policy: Policy, theirs: Run | None) -> Settled:
    """Return what rounds ask of each look beside the failures."""

    def settled(look: Look, judged: Judged) -> bool:
        if gate.has_failed(policy, judged.diagnosis, judged.findings):
            return True
        measurements = {m.name: m for m in judged.measurements}
        changed = None if theirs is None else _changed(policy, look, measurements, theirs)
        return gate.is_settled(policy, measurements, changed)

    return settled


def _changed(
    policy: Policy, look: Look, measurements: Mapping[str, Measurement], theirs: Run
) -> Mapping[str, Measurement] | None:
    """Return the changes that `runs.changes` will give of a look; None where the two do not compare."""
    own, baseline = look.drawn["checkpoint"], look.drawn.get("baseline")
    if baseline is not None and baseline.checkpoint.fingerprint == theirs.report.checkpoint.fingerprint:
        return measurements
    names = [r.measurement for r in policy.regression]
    if "checkpoint" in theirs.samples:
        asked = {name.partition(".")[0] for name in names}
        probes = {name: probe for name, probe in chosen_probes(None).items() if name in asked}
        with stats.at_level(max(look.level, theirs.report.protocol.ci_level)):
            return {m.name: m for m in side_by_side(probes, own, theirs.samples["checkpoint"])}
    apart = differ(None if baseline is None else baseline.checkpoint, theirs.report.baseline)
    found = {}
    for name in names:
        other = to_measurement(theirs.report.row(name))
        if name in measurements:
            found[name] = independent_change(measurements[name], other, tokens_compare=True, two_baselines=apart)
    return found
