"""A finished run as it lies on disk: its report, and its samples where they are at hand. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from entropydx import document, stats, store
from entropydx.errors import RunStoreError, reading
from entropydx.measuring import measure
from entropydx.planning import chosen_probes
from entropydx.protocols import Probe
from entropydx.provenance import Provenance
from entropydx.sampling import read_samples
from entropydx.types import (
    CheckpointInfo,
    Measured,
    Measurement,
    MeasurementRow,
    Missing,
    Protocol,
    Report,
    Role,
    Samples,
)

OTHER_TOKENIZER = "the two have different tokenizers, so what is counted per token does not compare"
NO_CHANGE = "no change: "
"""Beginning of the note of a measurement without a change that says why."""
TWO_BASELINES = (
    "it states no change of its own, so it may be about the baseline, and the two reports have different ones"
)

DRAWN_ALIKE = ("n_samples", "temperature", "top_p", "max_new_tokens", "thinking", "lexicon")
"""What two protocols must have in common, beside the prompts, for a number of one to compare with one of the other.
The seed is not among them: other noise on the same prompts makes wider intervals, and not wrong ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of one diagnosis."""

    path: Path
    """The run directory, or the report file."""
    report: Report
    samples: Mapping[Role, Samples] = field(default_factory=dict)
    """Empty when only the report is at hand."""


@reading(RunStoreError)
def is_run(path: Path) -> bool:
    """Return whether a path is a report file or a run directory, and not a checkpoint."""
    return (path.is_file() and path.suffix == ".json") or (path / store.MANIFEST).is_file()


@reading(RunStoreError)
def open_run(path: Path, *, with_samples: bool = True) -> Run:
    """Return the report of a run directory with its samples, or that of a report file alone.

    Parameters
    ----------
    with_samples : bool
        Read the samples of a run directory, which takes longer the more were drawn.

    Raises
    ------
    RunStoreError
        The directory holds no finished run, or only a shard of one, or has lost a part of it.
    ReportError
        The report is not one of this schema.
    """
    if path.is_file():
        return Run(path=path, report=document.load_report(path))
    manifest = finished(path)
    origin = Provenance.from_manifest(manifest)
    if not (path / store.REPORT).is_file():
        raise _interrupted(path)
    samples = samples_of(path, origin, manifest) if with_samples else {}
    return Run(path=path, report=document.load_report(path / store.REPORT), samples=samples)


def finished(path: Path) -> dict[str, Any]:
    """Return the manifest of a run directory.

    Raises
    ------
    RunStoreError
        It is none, or its run did not come to its end.
    """
    manifest = store.read_manifest(path)
    if "protocol" not in manifest or "passes" not in manifest:
        raise _interrupted(path)
    return manifest


def _interrupted(path: Path) -> RunStoreError:
    return RunStoreError(f"the run in {path} was interrupted", "run the same `entropydx diagnose` again to finish it")


def stored_samples(path: Path) -> dict[Role, Samples]:
    """Return the samples of a run directory, whatever release wrote its report; none for a report file.

    Raises
    ------
    RunStoreError
        The directory is no run, or has lost a part of it.
    """
    if path.is_file():
        return {}
    manifest = finished(path)
    return samples_of(path, Provenance.from_manifest(manifest), manifest)


def samples_of(path: Path, origin: Provenance, manifest: Mapping[str, Any]) -> dict[Role, Samples]:
    """Return the samples of each role of a finished run.

    Raises
    ------
    RunStoreError
        Samples that the manifest names are gone.
    """
    infos: dict[Role, CheckpointInfo | None] = {"checkpoint": origin.checkpoint, "baseline": origin.baseline}
    return {
        role: read_samples(path, role, info, origin.params, manifest)
        for role, info in infos.items()
        if info is not None
    }


def difference(protocol: Protocol, reference: Protocol, *, same_prompts: bool = True) -> str | None:
    """Return what keeps numbers of two protocols from being compared, in a sentence's part; None when nothing does.

    Parameters
    ----------
    same_prompts : bool
        Require the very same prompts, which a paired change needs.
    """
    if same_prompts and protocol.suite_sha != reference.suite_sha:
        return f"the prompts differ: {_prompts(protocol)}, and {_prompts(reference)}"
    for name in DRAWN_ALIKE:
        ours, theirs = getattr(protocol, name), getattr(reference, name)
        if ours != theirs:
            return f"{name} differs: {_shown(ours)}, and {_shown(theirs)}"
    return None


def _prompts(protocol: Protocol) -> str:
    planned = protocol.n_planned or protocol.n_prompts
    return f"{planned} of {protocol.suite} at seed {protocol.seed} (suite_sha {protocol.suite_sha[:8]})"


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 20 else f"{text[:12]}..."


def paired_measurements(run: Run, reference: Run, only: Iterable[str] | None = None) -> list[Measurement] | str:
    """Return every measurement of a run with its paired change against another run, or why there is none.

    The reference's samples stand in the baseline's place: `value` is the run's own, `baseline` the reference's, and
    `delta` and `delta_ci` are of the same prompts, resampled together. With one seed the noise of the draws is common
    too (common random numbers), which makes the intervals tight. Rows that need a baseline (`unit` "x baseline",
    `coverage.*`, `shortcutting.easy_regression`...) are then against the reference, in their `value`.

    Intervals have the level of the `stats.at_level` around the call.

    Parameters
    ----------
    only : iterable of str, optional
        Names of the probes to ask, of those of the run; None: all of them.
    """
    for one in (run, reference):
        if "checkpoint" not in one.samples:
            return f"only the report of {one.path} is at hand, and a paired change needs its run directory"
    protocol, theirs_protocol = run.report.protocol, reference.report.protocol
    ours, theirs = run.samples["checkpoint"], reference.samples["checkpoint"]
    # A suite of a file has the same prompts under every seed, in another order: the prompts themselves are compared.
    same = have_same_prompts(ours, theirs)
    differs = difference(protocol, theirs_protocol, same_prompts=not same)
    if differs is not None:
        return differs
    probes = chosen_probes(protocol.probes)
    asked = probes.keys() if only is None else probes.keys() & set(only)
    return side_by_side({name: probes[name] for name in asked}, ours, theirs)


def have_same_prompts(ours: Samples, theirs: Samples) -> bool:
    """Return whether two runs have prompts in common, and those with one name are one prompt."""
    mine = {g.prompt.id: g.prompt for g in ours.groups}
    common = [g.prompt for g in theirs.groups if g.prompt.id in mine]
    return len(common) >= 2 and all(prompt == mine[prompt.id] for prompt in common)


def side_by_side(probes: Mapping[str, Probe], ours: Samples, theirs: Samples) -> list[Measurement]:
    """Return what probes measure with the samples of another run in the baseline's place, in the order of their names.

    What of them was scored for the baseline's texts is left out: those are another model's.
    """
    ours, theirs = _without_other(ours), _without_other(theirs)
    return [m for _, probe in sorted(probes.items()) for m in measure(probe, ours, theirs)]


def _without_other(samples: Samples) -> Samples:
    scores = {name: scored for name, scored in samples.scores.items() if name != "other"}
    skipped = {**samples.skipped, "other": "the texts of these two runs were not scored for each other"}
    return replace(samples, scores=scores, skipped=skipped)


# ── the change of a measurement, in the strongest way that two runs allow ─────────────────────────

How = Literal["baseline", "paired", "independent", "not_comparable"]
"""baseline: the change that the report itself states against its baseline; paired: the same prompts of both, measured
again; independent: from the two reports alone, wider, because what they share of the prompts is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How the measurements of one run differ from those of another."""

    how: How
    ref: str
    """The other run's checkpoint."""
    fingerprint: str
    reason: str = ""
    """Why they do not compare; "" when they do."""
    rows: Mapping[str, Measurement] = field(default_factory=dict)
    """By name: `baseline` is the other's value, `delta` is ours minus the other's, with its interval."""


def changes(ours: Run, theirs: Run, names: Iterable[str] | None = None) -> Changes:
    """Return how the measurements of `ours` differ from those of `theirs`, in the strongest way that the two allow.

    Where the other's checkpoint is the baseline of our report, its paired changes are taken. Else, under one protocol,
    the samples of both are measured side by side, prompt by prompt; and where one of them is a report alone, the
    intervals of the two reports are put together as if they were independent.

    Parameters
    ----------
    names : iterable of str, optional
        Measurements that are wanted. None: all that our report names.
    """
    mine, whom = ours.report, theirs.report.checkpoint
    told = partial(Changes, ref=whom.ref, fingerprint=whom.fingerprint)
    wanted = list(dict.fromkeys(names if names is not None else (row.name for row in mine.measurements)))
    if mine.baseline is not None and mine.baseline.fingerprint == whom.fingerprint:
        return told(how="baseline", rows={name: to_measurement(mine.row(name)) for name in wanted})
    # Each run stopped at a look of its own: the wider of the two levels holds for both.
    with stats.at_level(max(run.report.protocol.ci_level for run in (ours, theirs))):
        paired = paired_measurements(ours, theirs, {name.partition(".")[0] for name in wanted})
    if isinstance(paired, str):
        differs = difference(mine.protocol, theirs.report.protocol)
        if differs is not None:
            return told(how="not_comparable", reason=differs)
        same, apart = tokens_compare(mine, theirs.report), differ(mine.baseline, theirs.report.baseline)
        rows = {}
        for name in wanted:
            known = to_measurement(mine.row(name)), to_measurement(theirs.report.row(name))
            rows[name] = independent_change(*known, tokens_compare=same, two_baselines=apart)
        return told(how="independent", rows=rows)
    found = {m.name: m for m in paired}
    return told(how="paired", rows={name: found.get(name) or _unmeasured(mine, name) for name in wanted})


def differ(mine: CheckpointInfo | None, theirs: CheckpointInfo | None) -> bool:
    """Return whether two diagnoses have a baseline each, and different ones."""
    return mine is not None and theirs is not None and mine.fingerprint != theirs.fingerprint


def to_measurement(row: MeasurementRow) -> Measurement:
    """Return the measurement that a row of a report states."""
    if row.value is None:
        return Missing(name=row.name, reason=row.missing_reason or "not measured")
    return Measured(
        name=row.name,
        value=row.value,
        unit=row.unit or "",
        n=row.n,
        ci=row.ci,
        baseline=row.baseline,
        delta=row.delta,
        delta_ci=row.delta_ci,
        note=row.note,
    )


def _unmeasured(report: Report, name: str) -> Missing:
    return Missing(name=name, reason=report.row(name).missing_reason or "no probe measured it on both")


def independent_change(
    mine: Measurement, other: Measurement, *, tokens_compare: bool, two_baselines: bool = False
) -> Measurement:
    """Return a measurement with its change by the intervals of two reports (`stats.difference_interval`).

    Parameters
    ----------
    tokens_compare : bool
        Whether a token of one is a token of the other.
    two_baselines : bool
        Whether the two stand against different baselines. Of a checkpoint alone a probe states the change against the
        baseline beside it; a number that is itself about the baseline, such as a ratio to it, has none, and says
        nothing about the other report's.
    """
    if isinstance(mine, Missing):
        return mine
    if two_baselines and isinstance(other, Measured) and None in (mine.delta, other.delta):
        other = Missing(name=mine.name, reason=TWO_BASELINES)
    reason = _no_change(mine, other, tokens_compare)
    if reason is not None or isinstance(other, Missing):
        return replace(mine, baseline=None, delta=None, delta_ci=None, note=f"{NO_CHANGE}{reason}")
    ci = None
    if mine.ci is not None and other.ci is not None:
        ci = stats.difference_interval(mine.value, mine.ci, other.value, other.ci)
    note = mine.note if ci is not None else mine.note or other.note or "no interval of one of the two"
    return replace(
        mine, n=min(mine.n, other.n), baseline=other.value, delta=mine.value - other.value, delta_ci=ci, note=note
    )


def _no_change(mine: Measured, other: Measurement, tokens_compare: bool) -> str | None:
    """Return why two measurements of one name do not compare; None when they do."""
    if isinstance(other, Missing):
        return other.reason
    if mine.unit != other.unit:
        return f"one is in {mine.unit}, the other in {other.unit}"
    return None if tokens_compare or "token" not in mine.unit else OTHER_TOKENIZER


def tokens_compare(ours: Report, theirs: Report) -> bool:
    """Return whether a token of one checkpoint is a token of the other, as far as the two reports know."""
    return len({report.checkpoint.tokenizer_sha for report in (ours, theirs)} - {None}) < 2
