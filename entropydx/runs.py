"""A finished run as it lies on disk: its report, and its samples where they are at hand. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from entropydx import document, store
from entropydx.errors import RunStoreError
from entropydx.provenance import Provenance
from entropydx.sampling import read_samples
from entropydx.types import CheckpointInfo, Report, Role, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of one diagnosis."""

    path: Path
    """The run directory, or the report file."""
    report: Report
    samples: Mapping[Role, Samples] = field(default_factory=dict)
    """Empty when only the report is at hand."""


def is_run(path: Path) -> bool:
    """Return whether a path is a report file or a run directory, and not a checkpoint."""
    return (path.is_file() and path.suffix == ".json") or (path / store.MANIFEST).is_file()


def open_run(path: Path) -> Run:
    """Return the report of a run directory with its samples, or that of a report file alone.

    Raises
    ------
    RunStoreError
        The directory holds no finished run, or has lost a part of it.
    ReportError
        The report is not one of this schema.
    """
    if path.is_file():
        return Run(path=path, report=document.load_report(path))
    manifest = store.read_manifest(path)
    if "passes" not in manifest or not (path / store.REPORT).is_file():
        raise RunStoreError(
            f"the run in {path} was interrupted", "run the same `entropydx diagnose` again to finish it"
        )
    origin = Provenance.from_manifest(manifest)
    infos: dict[Role, CheckpointInfo | None] = {"checkpoint": origin.checkpoint, "baseline": origin.baseline}
    samples = {
        role: read_samples(path, role, info, origin.params, manifest)
        for role, info in infos.items()
        if info is not None and role in manifest["passes"]
    }
    return Run(path=path, report=document.load_report(path / store.REPORT), samples=samples)
