"""A series of checkpoints of one run: each is diagnosed under one protocol, and the series says when and in what order.

    line_up -> diagnose each, cached -> assemble: law, change points, order of events -> Trajectory

Every checkpoint is drawn with the same noise and compared with the same baseline, and has a run directory of its own
below the series' directory: a second call, or one with more checkpoints, draws only what is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from entropydx import __version__, checkpoint, document, pipeline, timeline
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import CheckpointError, ConfigError, RunStoreError
from entropydx.layouts import checkpoints_in, training_step
from entropydx.lineup import (
    MODEL_FILES,
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
    LeftOutCheckpoint,
    Report,
    Tool,
    Trajectory,
    TrajectoryPoint,
)

DOCUMENT = "trajectory.json"
MIN_CHECKPOINTS = 2
NOT_DIAGNOSED = 2
"""What `entropydx diagnose` of a checkpoint that cannot be diagnosed gives; so does a series whose newest is one."""
NO_STEP = "its name carries no training step, so the series has no place for it: `entropydx diagnose` takes it"
PER_RUN = (
    "The entropy law is of one run, one model and one set of training prompts, and not universal by its own authors "
    "(arXiv:2505.22617): a and b say nothing about another run, and here R and H are of this suite's prompts."
)
"""What must stand beside every fit."""

# ── which checkpoints ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """The checkpoints of a series, in the order of training, before they are diagnosed."""

    stops: tuple[Stop, ...]
    problems: dict[Path, str]
    """Checkpoints of the run directory that are left out, with the reason."""
    inside: bool
    """They are the children of one run directory, and nobody has named them one by one."""


def line_up(refs: Sequence[str], options: EngineOptions, progress: Progress) -> Lineup:
    """Return the checkpoints of a series, in the order of training.

    Parameters
    ----------
    refs : sequence of str
        Checkpoints, or one run directory whose children are checkpoints (TRL `checkpoint-N`, verl `global_step_N`,
        OpenRLHF `global_stepN_hf`); incomplete children, and models in it whose names carry no step, are left out.
        Checkpoints are sorted by step when every name carries one and no two agree. Otherwise they stay as given, and
        a step that goes down is remarked on: a shell writes `checkpoint-100` before `checkpoint-20`.

    Raises
    ------
    ConfigError
        Fewer than two checkpoints, or one that is named twice.
    CheckpointError
        A checkpoint that is named and cannot be loaded, or a run directory in which nothing can; the message is then
        that of its newest checkpoint.
    """
    inside = checkpoints_in(Path(refs[0])) if len(refs) == 1 and Path(refs[0]).is_dir() else []
    kept, problems = complete(inside, options) if inside else ([], {})
    found = [str(p) for p in kept] or list(refs)
    if inside:
        problems |= dict.fromkeys(_without_step(named(refs[0])), NO_STEP)
    for path, reason in problems.items():
        progress.warn(f"{path.name} is left out: {reason}")
    check_told_once(found)
    if len(found) < MIN_CHECKPOINTS:
        raise _too_few(refs[0], len(found), problems)
    for ref in [] if inside else found:
        if Path(ref).exists():
            checkpoint.resolve(ref, options)  # one that cannot be loaded is named now, and not after hours of sampling
    steps = [training_step(named(ref)) for ref in found]
    stops = [Stop(ref=ref, name=n, step=s and s[1]) for ref, n, s in zip(found, short_names(found), steps, strict=True)]
    known = [s.step for s in stops if s.step is not None]
    if len(set(known)) == len(stops):
        ordered = sorted(stops, key=lambda s: s.step or 0)
    else:
        _remark_on_order(stops, progress)
        ordered = [replace(s, step=None) for s in stops]
    return Lineup(stops=tuple(ordered), problems=problems, inside=bool(inside))


def _without_step(run: Path) -> list[Path]:
    """Return the models in a run directory that are none of its checkpoints: TRL saves the last one beside them."""
    others = [run, *sorted(p for p in run.iterdir() if p.is_dir() and training_step(p) is None)]
    return [p for p in others if any((p / name).exists() for name in MODEL_FILES)]


def _too_few(ref: str, n: int, problems: Mapping[Path, str]) -> ConfigError:
    left_out = "".join(f"; {path.name} is left out: {reason}" for path, reason in problems.items())
    return ConfigError(
        f"a series needs at least {MIN_CHECKPOINTS} checkpoints, and {ref} gives {n}{left_out}",
        "name several checkpoints in the order of training, or a run directory that holds checkpoint-N",
    )


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
    lineup = line_up(refs, options, progress)
    stops = lineup.stops
    config = resolve(stops[0].ref, flags, project)
    # Points that stopped at different looks would not be comparable.
    config = replace(config, baseline=_baseline(stops, config.baseline), adaptive=False)
    root = Path(config.run_dir) if config.run_dir else RUNS / f"series-{digest(config, stops[0].ref)}"
    with Crew(config) as crew:
        reports, failed = _diagnose(lineup, config, root, progress, crew)
    done = [s for s in stops if s.ref in reports]
    problems = {**lineup.problems, **failed}
    if len(done) < MIN_CHECKPOINTS:
        raise _too_few(refs[0], len(done), problems)
    found = assemble(done, [reports[s.ref] for s in done], root, problems)
    write_document(root / DOCUMENT, document.to_json(found))
    return found


def _baseline(stops: Sequence[Stop], asked: str | None) -> str:
    """Return the baseline, as the series spells it where it is one of its checkpoints; by default the first."""
    if asked is None:
        return stops[0].ref
    return next((s.ref for s in stops if identity(s.ref) == identity(asked)), asked)


def _diagnose(
    lineup: Lineup, config: RunConfig, root: Path, progress: Progress, crew: Crew
) -> tuple[dict[str, Report], dict[Path, str]]:
    """Diagnose the baseline against itself, then every other checkpoint with the baseline's samples copied.

    Returns
    -------
    reports : dict
        By reference.
    problems : dict
        Checkpoints of a run directory that turned out not to load, with the reason; one that was named raises it.
    """
    assert config.baseline is not None
    stops = lineup.stops
    outside = config.baseline not in {s.ref for s in stops}
    taken = any(s.name == "baseline" for s in stops)
    name = "baseline-of-the-series" if taken else "baseline"
    first = Stop(ref=config.baseline, name=name, step=None) if outside else None
    reports: dict[str, Report] = {}
    problems: dict[Path, str] = {}
    reuse: Path | None = None
    ordered = sorted(stops, key=lambda s: s.ref != config.baseline)
    for number, stop in enumerate([*([first] if first else []), *ordered], start=0 if first else 1):
        title = f"{stop.name}, {number} of {len(stops)}" if number else stop.name
        here = replace(config, checkpoint=stop.ref, run_dir=str(root / stop.name))
        titled = Titled(progress, title)
        try:
            reports[stop.ref] = pipeline.diagnose(here, titled, reuse, crew.fleet())
        except CheckpointError as error:
            if stop.ref == config.baseline or not lineup.inside:
                raise
            problems[Path(stop.ref)] = " ".join(str(error).split())
            titled.warn(f"is left out: {problems[Path(stop.ref)]}")
        reuse = reuse or root / stop.name
    return reports, problems


# ── what the series says ──────────────────────────────────────────────────────────────────────────


def assemble(
    stops: Sequence[Stop], reports: Sequence[Report], root: Path, problems: Mapping[Path, str] | None = None
) -> Trajectory:
    """Return the trajectory of checkpoints that are diagnosed, in their order. Pure.

    Parameters
    ----------
    problems : mapping, optional
        Checkpoints of the same run that are left out, with the reason.

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
    left_out = _left_out(stops, problems or {})
    newer = [c for c in left_out if c.newer]
    said = timeline.summary(line, axis, began, note, moved, back)
    return Trajectory(
        schema_version=TRAJECTORY_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=NOT_DIAGNOSED if newer else last.exit_code,
        summary=" ".join([*_nothing_known(newer, points[-1].name), said]),
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
        left_out=left_out,
    )


def _left_out(stops: Sequence[Stop], problems: Mapping[Path, str]) -> tuple[LeftOutCheckpoint, ...]:
    """Return the checkpoints that are left out, by step, those without one last."""
    known = [found[1] for stop in stops if (found := training_step(named(stop.ref))) is not None]
    furthest = max(known, default=None)
    rows = []
    for path, reason in problems.items():
        found = training_step(path)
        step = found and found[1]
        newer = step is not None and furthest is not None and step > furthest
        rows.append(LeftOutCheckpoint(name=path.name, ref=str(path), step=step, newer=newer, reason=reason))
    return tuple(sorted(rows, key=lambda c: (c.step is None, c.step or 0, c.name)))


def _nothing_known(newer: Sequence[LeftOutCheckpoint], last: str) -> list[str]:
    """Return the sentence that a reader needs before all others, where the newest checkpoint is left out."""
    if not newer:
        return []
    names = " and ".join(filter(None, [", ".join(c.name for c in newer[:-1]), newer[-1].name]))
    return [f"Nothing is known of {names}, which could not be diagnosed: what follows ends at {last}."]


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
