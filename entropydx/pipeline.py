"""The whole tool in one breath: plan, sample, measure, find, triage, report.

Sampling is the only slow stage and the only one that needs torch; everything after it re-runs from the run directory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from entropydx import __version__, document, measuring, plugins, stats, store
from entropydx.classifier import Classifier
from entropydx.config import RunConfig
from entropydx.errors import RunStoreError
from entropydx.examples import pick_examples
from entropydx.findings import assess, in_scope
from entropydx.fleet import Fleet
from entropydx.opening import open_engines
from entropydx.planning import Plan, check_capability, chosen_probes, plan
from entropydx.protocols import Engine, Probe, Progress, Silent
from entropydx.provenance import Provenance, describe_protocol, measure_cost, run_directory, run_key
from entropydx.rounds import Judge, Judged, Look, Outcome, Rounds
from entropydx.sampling import StageProgress, read_samples
from entropydx.triage import exit_code, triage
from entropydx.types import (
    SCHEMA_VERSION,
    Cost,
    Diagnosis,
    Finding,
    Measured,
    Measurement,
    MeasurementRow,
    Missing,
    Recommendation,
    Remedy,
    Report,
    Role,
    Rule,
    Samples,
    Tool,
)

MAX_RECOMMENDATIONS = 3


# ── measure, find, report ─────────────────────────────────────────────────────────────────────────


def measure(
    probes: Mapping[str, Probe], samples: Samples, baseline: Samples | None, progress: Progress | None = None
) -> list[Measurement]:
    """Return the measurements of every probe, in the order of their names."""
    progress = progress or Silent()
    progress.start("measuring", len(probes))
    found: list[Measurement] = []
    for _, probe in sorted(probes.items()):
        found += measuring.measure(probe, samples, baseline)
        progress.advance()
    return found


def rules() -> tuple[Rule, ...]:
    """Return every rule, in the order of their codes."""
    return tuple(sorted(plugins.load_all("rule").values(), key=lambda r: r.code))


def find(
    measurements: Sequence[Measurement], *, has_baseline: bool, among: Sequence[Rule] | None = None
) -> tuple[Finding, ...]:
    """Return the rules in scope, applied, in the order of their codes.

    Parameters
    ----------
    among : sequence of Rule, optional
        What `rules` returned: looking the plugins up takes ten times as long as applying them, which counts where
        hundreds of runs are judged.
    """
    by_name = {m.name: m for m in measurements}
    return tuple(assess(r, by_name) for r in (rules() if among is None else among) if in_scope(r, has_baseline))


def recommend(diagnosis: Diagnosis) -> tuple[Recommendation, ...]:
    """Return the first remedies of the catalogue for the label, never one that it is contraindicated for."""
    catalogue: list[Remedy] = [r for entries in plugins.load_all("remedy").values() for r in entries]
    present = {name for name, a in diagnosis.failures.items() if a.status == "present"}
    fitting = [r for r in catalogue if diagnosis.label in r.for_ and not present.intersection(r.contraindicated_for)]
    return tuple(fitting[:MAX_RECOMMENDATIONS])


def _row(measurement: Measurement) -> MeasurementRow:
    if isinstance(measurement, Missing):
        return MeasurementRow(name=measurement.name, missing_reason=measurement.reason)
    return MeasurementRow(**asdict(measurement))


def to_measurement(row: MeasurementRow) -> Measurement:
    """Return the measurement that a row of a report states."""
    if row.value is None:
        return Missing(name=row.name, reason=row.missing_reason or "not measured")
    fields = asdict(row)
    del fields["missing_reason"]
    return Measured(**{**fields, "unit": row.unit or ""})


def judge(measurements: Sequence[Measurement], *, has_baseline: bool) -> Judged:
    """Return what rules, classifier and triage say of measurements."""
    findings = find(measurements, has_baseline=has_baseline)
    opinion = Classifier.load().assess({m.name: m for m in measurements}, has_baseline)
    diagnosis = triage(findings, has_baseline=has_baseline, opinion=opinion)
    return Judged(measurements=tuple(measurements), findings=findings, diagnosis=diagnosis)


def build_report(origin: Provenance, judged: Judged, samples: Samples | None, previous: Report | None = None) -> Report:
    """Return the report of what was judged, with recommendations and examples.

    Parameters
    ----------
    samples : Samples, optional
        For the excerpts; None keeps those of `previous`.
    """
    diagnosis = judged.diagnosis
    diagnosis = replace(diagnosis, summary=" ".join([diagnosis.summary, *origin.caveats()]))
    examples = pick_examples(judged.findings, samples) if samples is not None else previous.examples if previous else ()
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=exit_code(diagnosis.label),
        checkpoint=origin.checkpoint,
        baseline=origin.baseline,
        protocol=origin.protocol,
        diagnosis=diagnosis,
        measurements=tuple(_row(m) for m in judged.measurements),
        findings=judged.findings,
        recommendations=recommend(diagnosis),
        examples=examples,
        cost=origin.cost,
    )


# ── the main job ──────────────────────────────────────────────────────────────────────────────────


def diagnose(
    config: RunConfig, progress: Progress | None = None, reuse: Path | None = None, fleet: Fleet | None = None
) -> Report:
    """Sample a checkpoint (and its baseline), and return the report, which is also in the run directory.

    Parameters
    ----------
    reuse : Path, optional
        A run directory whose checkpoint is this run's baseline under the same protocol: its samples are copied.
    fleet : Fleet, optional
        Workers that several diagnoses share; None hires what the configuration asks for.

    Raises
    ------
    EntropydxError
        Anything that kept the run from happening; nothing that was drawn is lost.
    """
    started = time.monotonic()
    stages = StageProgress(progress or Silent())
    todo, engines = prepare(config, stages, fleet)
    key = run_key(todo.prompts, todo.params, engines)
    with store.RunStore(run_directory(config, key), key) as run:
        if reuse is not None and "baseline" in engines:
            run.adopt_baseline(reuse)
        before = time.monotonic()
        drawn = Rounds(
            todo=todo,
            engines=engines,
            run=run,
            progress=stages,
            judge=_judge_samples(engines, stages),
            adaptive=config.adaptive,
            tokens=config.tokens,
        ).draw()
        spent = (time.monotonic() - before, time.monotonic() - started)
        origin = provenance(config, todo, engines, drawn.look, (run.tokens_written, *spent))
        origin = replace(origin, cost=_with_stop(origin.cost, drawn, len(todo.prompts)))
        samples = drawn.look.drawn
        run.write_manifest({**origin.to_manifest(), **laid_out(drawn.look)})
        report = build_report(origin, drawn.judged, samples["checkpoint"])
        run.write_report(document.to_json(report))
        for role, of_role in samples.items():
            run.export(role, of_role)
    return report


def prepare(config: RunConfig, progress: Progress, fleet: Fleet | None = None) -> tuple[Plan, dict[Role, Engine]]:
    """Return the sampling plan and the engines of a run, checked before a token is drawn."""
    todo = plan(config)
    engines = open_engines(config, progress, fleet)
    for engine in engines.values():
        check_capability(engine, config.engine, todo.requires, config.samples)
    todo.deployment(engines["checkpoint"])  # a generation_config that nothing can be sampled with is refused now
    return todo, engines


def _judge_samples(engines: Mapping[Role, Engine], progress: Progress) -> Judge:
    """Return what rounds ask of each look: measure, find and triage the samples of the roles."""
    fingerprints = [engine.info.fingerprint for engine in engines.values()]
    against_itself = len(set(fingerprints)) < len(fingerprints)

    def of(probes: Mapping[str, Probe], drawn: Mapping[Role, Samples]) -> Judged:
        measured = measure(probes, drawn["checkpoint"], drawn.get("baseline"), progress)
        return judge(measured, has_baseline="baseline" in drawn and not against_itself)

    return of


def provenance(
    config: RunConfig, todo: Plan, engines: Mapping[Role, Engine], look: Look, spent: tuple[int, float, float]
) -> Provenance:
    """Return where the samples of a look come from, at a whole plan, a beginning of it or a shard.

    Parameters
    ----------
    todo : Plan
        Of the whole run.
    spent : (tokens, sampling_s, wall_s)
        As `measure_cost` takes them.
    """
    return Provenance(
        checkpoint=engines["checkpoint"].info,
        baseline=engines["baseline"].info if "baseline" in engines else None,
        protocol=describe_protocol(config, todo, engines["checkpoint"], look.n_prompts, look.level),
        cost=measure_cost(look.drawn.values(), *spent),
    )


def _with_stop(cost: Cost, drawn: Outcome, n_planned: int) -> Cost:
    """Return the cost of a run with how often it was looked at, and why it ended."""
    ended = drawn.stop in {"decided", "instrument"} and drawn.look.n_prompts < n_planned
    return replace(cost, stopped_early=ended, rounds=drawn.look.number, stop=drawn.stop, stop_reason=drawn.reason)


def laid_out(look: Look) -> dict[str, Any]:
    """Return the part of a run's manifest that says where everything lies."""
    return {
        "prompts": [g.prompt.id for g in look.drawn["checkpoint"].groups],
        "passes": {role: drawer.manifest() for role, drawer in look.drawers.items()},
    }


def retriage(path: Path) -> Report:
    """Return a new report from a run directory (measured again) or a report file (judged again), without torch.

    Raises
    ------
    RunStoreError
        The directory holds no finished run.
    ReportError
        The file is not a report of this schema.
    """
    if path.is_file():
        previous = document.load_report(path)
        origin = Provenance(
            checkpoint=previous.checkpoint, baseline=previous.baseline, protocol=previous.protocol, cost=previous.cost
        )
        judged = judge([to_measurement(r) for r in previous.measurements], has_baseline=origin.compares)
        return build_report(origin, judged, None, previous)
    manifest = store.read_manifest(path)
    if "protocol" not in manifest or "passes" not in manifest:
        raise RunStoreError(
            f"the run in {path} was interrupted", "run the same `entropydx diagnose` again to finish it"
        )
    origin = Provenance.from_manifest(manifest)
    samples = read_samples(path, "checkpoint", origin.checkpoint, origin.params, manifest)
    theirs = None
    if origin.baseline is not None:
        theirs = read_samples(path, "baseline", origin.baseline, origin.params, manifest)
    probes = chosen_probes(origin.protocol.probes)
    with stats.at_level(origin.protocol.ci_level):
        return build_report(origin, judge(measure(probes, samples, theirs), has_baseline=origin.compares), samples)
