"""A series of checkpoints of one run: each is diagnosed under one protocol, and the series says when and in what order.

    line_up -> diagnose each, cached -> assemble: law, change points, order of events -> Trajectory

Every checkpoint is drawn with the same noise and compared with the same baseline, and has a run directory of its own
below the series' directory: a second call, or one with more checkpoints, draws only what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from entropydx import __version__, checkpoint, document, pipeline, timeline
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import ConfigError, RunStoreError
from entropydx.layouts import checkpoints_in, training_step
from entropydx.lineup import (
    Crew,
    Stop,
    Titled,
    check_told_once,
    complete,
    digest,
    identity,
    named,
    short_names,
    write_document,
)
from entropydx.protocols import EngineOptions, Progress, Silent
from entropydx.provenance import RUNS
from entropydx.triage import SUSPECTED
from entropydx.types import (
    FAILURES,
    TRAJECTORY_VERSION,
    Axis,
    Label,
    Report,
    Tool,
    Trajectory,
    TrajectoryPoint,
)

DOCUMENT = "trajectory.json"
MIN_CHECKPOINTS = 2
PER_RUN = (
    "The entropy law is of one run, one model and one set of training prompts, and not universal by its own authors "
    "(arXiv:2505.22617): a and b say nothing about another run, and here R and H are of this suite's prompts."
)
"""What must stand beside every fit."""

# ── which checkpoints ─────────────────────────────────────────────────────────────────────────────


def line_up(refs: Sequence[str], options: EngineOptions, progress: Progress) -> list[Stop]:
    """Return the checkpoints of a series, in the order of training.

    Parameters
    ----------
    refs : sequence of str
        Checkpoints, or one run directory whose children are checkpoints (TRL `checkpoint-N`, verl `global_step_N`,
        OpenRLHF `global_stepN_hf`); incomplete children are left out with a remark. Checkpoints are sorted by step when
        every name carries one and no two agree. Otherwise they stay as given, and a step that goes down is remarked
        on: a shell writes `checkpoint-100` before `checkpoint-20`.

    Raises
    ------
    ConfigError
        Fewer than two checkpoints, or one that is named twice.
    CheckpointError
        A checkpoint that is named and cannot be loaded, or a run directory in which nothing can; the message is then
        that of its newest checkpoint.
    """
    inside = checkpoints_in(Path(refs[0])) if len(refs) == 1 and Path(refs[0]).is_dir() else []
    found = [str(p) for p in complete(inside, options, progress)] if inside else list(refs)
    check_told_once(found)
    if len(found) < MIN_CHECKPOINTS:
        raise ConfigError(
            f"a series needs at least {MIN_CHECKPOINTS} checkpoints, and {refs[0]} gives {len(found)}",
            "name several checkpoints in the order of training, or a run directory that holds checkpoint-N",
        )
    for ref in [] if inside else found:
        if Path(ref).exists():
            checkpoint.resolve(ref, options)  # one that cannot be loaded is named now, and not after hours of sampling
    steps = [training_step(named(ref)) for ref in found]
    stops = [Stop(ref=ref, name=n, step=s and s[1]) for ref, n, s in zip(found, short_names(found), steps, strict=True)]
    known = [s.step for s in stops if s.step is not None]
    if len(set(known)) == len(stops):
        return sorted(stops, key=lambda s: s.step or 0)
    _remark_on_order(stops, progress)
    return [replace(s, step=None) for s in stops]


def _remark_on_order(stops: Sequence[Stop], progress: Progress) -> None:
    stepped = [(s.name, s.step) for s in stops if s.step is not None]
    for (name, step), (later, next_step) in pairwise(stepped):
        if next_step < step:
            progress.warn(f"{name} stands before {later}: the order given is taken for the order of training")
            return


# ── the main job ──────────────────────────────────────────────────────────────────────────────────


def trace(
    refs: Sequence[str], flags: Settings, project: Settings | None = None, progress: Progress | None = None
) -> Trajectory:
    """Diagnose every checkpoint of a series against one baseline, and return what the series says.

    The document is also written to the series' directory, as `trajectory.json`.

    Parameters
    ----------
    refs : sequence of str
        As in `line_up`.
    flags : Settings
        As for a single diagnosis; the baseline is the first checkpoint unless one is named, and `run_dir` is the
        directory of the series.

    Raises
    ------
    EntropydxError
        Anything that kept a diagnosis from happening; nothing that was drawn is lost.
    """
    progress = progress or Silent()
    if not refs:
        raise ConfigError("no checkpoint was named", "name several checkpoints, or a run directory")
    asked = resolve(refs[0], flags, project)
    options = EngineOptions(
        base_model=asked.base_model, allow_pickle=asked.allow_pickle, trust_remote_code=asked.trust_remote_code
    )
    stops = line_up(refs, options, progress)
    config = resolve(stops[0].ref, flags, project)
    # Points that stopped at different looks would not be comparable.
    config = replace(config, baseline=_baseline(stops, config.baseline), adaptive=False)
    root = Path(config.run_dir) if config.run_dir else RUNS / f"series-{digest(config, stops[0].ref)}"
    with Crew(config) as crew:
        reports = _diagnose(stops, config, root, progress, crew)
    found = assemble(stops, reports, root)
    write_document(root / DOCUMENT, document.to_json(found))
    return found


def _baseline(stops: Sequence[Stop], asked: str | None) -> str:
    """Return the baseline, as the series spells it where it is one of its checkpoints; by default the first."""
    if asked is None:
        return stops[0].ref
    return next((s.ref for s in stops if identity(s.ref) == identity(asked)), asked)


def _diagnose(stops: Sequence[Stop], config: RunConfig, root: Path, progress: Progress, crew: Crew) -> list[Report]:
    """Diagnose the baseline against itself, then every other checkpoint with the baseline's samples copied."""
    assert config.baseline is not None
    outside = config.baseline not in {s.ref for s in stops}
    taken = any(s.name == "baseline" for s in stops)
    name = "baseline-of-the-series" if taken else "baseline"
    first = Stop(ref=config.baseline, name=name, step=None) if outside else None
    reports: dict[str, Report] = {}
    reuse: Path | None = None
    ordered = sorted(stops, key=lambda s: s.ref != config.baseline)
    for number, stop in enumerate([*([first] if first else []), *ordered], start=0 if first else 1):
        title = f"{stop.name}, {number} of {len(stops)}" if number else stop.name
        here = replace(config, checkpoint=stop.ref, run_dir=str(root / stop.name))
        reports[stop.ref] = pipeline.diagnose(here, Titled(progress, title), reuse, crew.fleet())
        reuse = reuse or root / stop.name
    return [reports[s.ref] for s in stops]


# ── what the series says ──────────────────────────────────────────────────────────────────────────


def assemble(stops: Sequence[Stop], reports: Sequence[Report], root: Path) -> Trajectory:
    """Return the trajectory of checkpoints that are diagnosed, in their order. Pure.

    Raises
    ------
    RunStoreError
        The reports are not comparable: another suite, other samples or another baseline.
    """
    _check_comparable(stops, reports)
    first, last = reports[0], reports[-1]
    assert first.baseline is not None
    points = tuple(_point(s, r, root) for s, r in zip(stops, reports, strict=True))
    stepped = all(s.step is not None for s in stops)
    line = timeline.Timeline(
        points=points,
        x=tuple(float(i if s.step is None else s.step) for i, s in enumerate(stops)),
        ci_level=first.protocol.ci_level,
    )
    changes = timeline.changes(line)
    began, note = timeline.onset(line, changes, _suspected(last))
    moved = timeline.movements(line)
    is_first = first.baseline.fingerprint == first.checkpoint.fingerprint
    own = next((p.name for p in points if p.fingerprint == first.baseline.fingerprint), None)
    axis: Axis = "step" if stepped else "checkpoint"
    back = timeline.go_back_to(points, began, baseline_is_first=is_first)
    return Trajectory(
        schema_version=TRAJECTORY_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=last.exit_code,
        summary=timeline.summary(line, axis, began, note, moved, back),
        axis=axis,
        baseline=first.baseline,
        baseline_is_first=is_first,
        protocol=first.protocol,
        points=points,
        law=timeline.law(line),
        changes=changes,
        onset=began,
        onset_note=note,
        movements=moved,
        precursors=timeline.precursors(moved),
        last_healthy=timeline.last_healthy(points),
        go_back_to=back,
        notes=_notes(own, stepped=stepped, baseline_is_first=is_first),
    )


def _check_comparable(stops: Sequence[Stop], reports: Sequence[Report]) -> None:
    def key(report: Report) -> tuple[object, ...]:
        p = report.protocol
        drawn = (p.suite_sha, p.n_prompts, p.n_samples, p.temperature, p.top_p, p.max_new_tokens, p.seed, p.thinking)
        return (*drawn, report.baseline and report.baseline.fingerprint)

    for stop, report in zip(stops, reports, strict=True):
        if report.baseline is None or key(report) != key(reports[0]):
            raise RunStoreError(
                f"{stop.name} was not measured like {stops[0].name}", "diagnose the series again, in one directory"
            )


def _point(stop: Stop, report: Report, root: Path) -> TrajectoryPoint:
    return TrajectoryPoint(
        name=stop.name,
        ref=stop.ref,
        step=stop.step,
        fingerprint=report.checkpoint.fingerprint,
        run_dir=str(root / stop.name),
        label=report.diagnosis.label,
        confidence=report.diagnosis.confidence,
        exit_code=report.exit_code,
        columns=tuple(map(report.row, timeline.SCALES)),
    )


def _suspected(report: Report) -> Label | None:
    """Return the failure that a diagnosis suspects, when there is one."""
    standing = report.diagnosis.failures
    return next((f for f in FAILURES if standing[f].reason.startswith(SUSPECTED)), None)


def _notes(baseline: str | None, *, stepped: bool, baseline_is_first: bool) -> tuple[str, ...]:
    found = [PER_RUN]
    if not stepped:
        found.append(
            "Not every name carries a training step of its own: the axis counts checkpoints in the order given, "
            "and that they are of one run is taken on trust."
        )
    if baseline is not None:
        which = "the first checkpoint" if baseline_is_first else baseline
        found.append(f"The baseline is {which}: its own changes are zero, and its label compares nothing.")
    return tuple(found)
