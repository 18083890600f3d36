"""Many checkpoints in one go, in no order: each is diagnosed as by `diagnose`, and one table shows the worst first.

Each has a run directory of its own below the sweep's, so the same command, and one with more checkpoints, draws only
what is new. The baseline is drawn once, by the first that runs; every other checkpoint copies those samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from entropydx import __version__, document, pipeline, store
from entropydx.config import Settings, resolve
from entropydx.errors import ConfigError, EntropydxError
from entropydx.layouts import checkpoints_in
from entropydx.lineup import (
    MODEL_FILES,
    Crew,
    Stop,
    Titled,
    check_told_once,
    digest,
    richest,
    short_names,
    write_document,
)
from entropydx.protocols import Progress, Silent
from entropydx.provenance import RUNS
from entropydx.types import SWEEP_VERSION, Label, Report, Sweep, SweepEntry, Tool

DOCUMENT = "sweep.json"
COULD_NOT_RUN = 2
PASS_AT_1, ENTROPY = "sampling_spread.pass_at_1", "token_entropy.mean"


# ── which checkpoints ─────────────────────────────────────────────────────────────────────────────


def gather(refs: Sequence[str]) -> list[Stop]:
    """Return the checkpoints of a sweep, in the order given.

    Parameters
    ----------
    refs : sequence of str
        Checkpoints, or one directory that holds several: `checkpoint-N`, `global_step_N`, `global_stepN_hf`, and
        directories of any name with a config or with weights. Whether they can be loaded is not looked at.

    Raises
    ------
    ConfigError
        There is none, or one is named twice.
    """
    if not refs:
        raise ConfigError("no checkpoint was named", "name several checkpoints, or a directory that holds them")
    found = _inside(Path(refs[0])) if len(refs) == 1 else []
    names = [str(path) for path in found] or list(refs)
    check_told_once(names)
    return [Stop(ref=ref, name=name, step=None) for ref, name in zip(names, short_names(names), strict=True)]


def _inside(path: Path) -> list[Path]:
    """Return the checkpoints in a directory; none when it is no directory, or a checkpoint itself."""
    if not path.is_dir() or any((path / name).exists() for name in MODEL_FILES):
        return []
    stepped = checkpoints_in(path)
    return [*stepped, *sorted(p for p in path.iterdir() if p not in stepped and _is_model(p))]


def _is_model(path: Path) -> bool:
    """Return whether a directory is a checkpoint or means to be one: one that lost its config is not passed over."""
    return path.is_dir() and (any((path / name).exists() for name in MODEL_FILES) or any(path.glob("*.safetensors")))


# ── the main job ──────────────────────────────────────────────────────────────────────────────────


def sweep(
    refs: Sequence[str], flags: Settings, project: Settings | None = None, progress: Progress | None = None
) -> Sweep:
    """Diagnose every checkpoint, and return what was found, the worst first.

    The document is also written to the sweep's directory, as `sweep.json`. A checkpoint that cannot run does not stop
    the others.

    Parameters
    ----------
    refs : sequence of str
        As in `gather`.
    flags : Settings
        As for a single diagnosis; `run_dir` is the directory of the sweep.

    Raises
    ------
    EntropydxError
        Nothing can run: the checkpoints are not clear, the settings cannot work, or there are no workers.
    """
    progress = progress or Silent()
    stops = gather(refs)
    config = resolve(stops[0].ref, flags, project)
    root = Path(config.run_dir) if config.run_dir else RUNS / f"sweep-{digest(config, stops[0].ref)}"
    entries = []
    done: list[Path] = []
    with Crew(config) as crew:
        for number, stop in enumerate(stops, start=1):
            titled = Titled(progress, f"{stop.name}, {number} of {len(stops)}")
            try:
                here = replace(resolve(stop.ref, flags, project), run_dir=str(root / stop.name))
                report = pipeline.diagnose(here, titled, richest(done), crew.fleet())
            except EntropydxError as error:
                reason = " ".join(str(error).split())
                titled.warn(f"could not run: {reason}")
                entries.append(SweepEntry(name=stop.name, ref=stop.ref, exit_code=COULD_NOT_RUN, error=reason))
            else:
                done.append(root / stop.name)
                entries.append(_entry(stop, report, root))
    found = assemble(entries, config.baseline)
    write_document(root / DOCUMENT, document.to_json(found))
    return found


def _entry(stop: Stop, report: Report, root: Path) -> SweepEntry:
    diagnosis = report.diagnosis
    failure = diagnosis.failures.get(diagnosis.label)
    return SweepEntry(
        name=stop.name,
        ref=stop.ref,
        exit_code=report.exit_code,
        run_dir=str(root / stop.name),
        report=str(root / stop.name / store.REPORT),
        fingerprint=report.checkpoint.fingerprint,
        label=diagnosis.label,
        confidence=diagnosis.confidence,
        severity=None if failure is None else failure.severity,
        probability=None if failure is None else failure.probability,
        runner_up=diagnosis.runner_up,
        pass_at_1=report.row(PASS_AT_1),
        entropy=report.row(ENTROPY),
    )


def assemble(entries: Sequence[SweepEntry], baseline: str | None) -> Sweep:
    """Return the document of checkpoints that were diagnosed, or could not be. Pure."""
    return Sweep(
        schema_version=SWEEP_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=exit_code([e.exit_code for e in entries]),
        baseline=baseline,
        entries=tuple(sorted(entries, key=_badness, reverse=True)),
    )


def exit_code(codes: Sequence[int]) -> int:
    """Return 2 when one could not run, else 1 when one has a failure, else 3 when one is inconclusive, else 0."""
    return next((code for code in (COULD_NOT_RUN, 1, 3) if code in codes), 0)


def _badness(entry: SweepEntry) -> tuple[int, float, float]:
    """Order: abnormal, the four failures by severity, inconclusive, healthy, what could not run."""
    if entry.label is None:
        return (0, 0.0, 0.0)
    rank = {Label.HEALTHY: 1, Label.INCONCLUSIVE: 2, Label.ABNORMAL: 4}.get(entry.label, 3)
    return (rank, entry.severity or 0.0, entry.probability or 0.0)
