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

from entropydx import __version__, document, measuring, plugins, runs, stats, store
from entropydx.classifier import Classifier, Opinion
from entropydx.config import RunConfig
from entropydx.examples import pick_examples
from entropydx.features import feature_sets
from entropydx.findings import assess, in_scope, thresholds
from entropydx.fleet import Fleet
from entropydx.opening import open_engines
from entropydx.planning import Plan, check_capability, chosen_probes, plan
from entropydx.protocols import Engine, Probe, Progress, Silent
from entropydx.provenance import Provenance, describe_protocol, measure_cost, run_directory, run_key
from entropydx.recommending import catalogue, choose, with_warnings
from entropydx.rounds import Judge, Judged, Look, Outcome, Rounds, Settled
from entropydx.runs import Run, to_measurement
from entropydx.sampling import StageProgress
from entropydx.training_config import read_training, staged, training_of
from entropydx.triage import exit_code, triage
from entropydx.types import (
    FAILURES,
    SCHEMA_VERSION,
    CheckpointInfo,
    Cost,
    Finding,
    Measurement,
    MeasurementRow,
    Missing,
    Report,
    Role,
    Rule,
    Samples,
    Stage,
    Tool,
    Training,
)

NO_SAMPLES = "no samples were imported"


# ── measure, find, report ─────────────────────────────────────────────────────────────────────────


def measure(
    probes: Mapping[str, Probe], samples: Samples, baseline: Samples | None, progress: Progress | None = None
) -> list[Measurement]:
    """Return the measurements of every probe, in the order of their names."""
    progress = progress or Silent()
    progress.start("measuring", len(probes))
    found: list[Measurement] = []
    if samples.imported is not None and not samples.groups:
        return [Missing(name=name, reason=NO_SAMPLES) for name in sorted(asked_for())]
    for _, probe in sorted(probes.items()):
        found += measuring.measure(probe, samples, baseline)
        progress.advance()
    return found


def asked_for() -> set[str]:
    """Return the measurements that rules and classifier look at, but for those of a training log."""
    rows = [row for has_baseline in (True, False) for row in feature_sets(has_baseline=has_baseline).values()]
    names = {feature.measurement for row in rows for feature in row}
    names |= {t.measurement for rule in rules() if rule.scope != "logged" for t in thresholds(rule)}
    return {name for name in names if not name.endswith("@baseline")}


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
    has_log = any(name.startswith("training_log.") for name in by_name)
    every = rules() if among is None else among
    return tuple(assess(r, by_name) for r in every if in_scope(r, has_baseline, has_log=has_log))


def row(measurement: Measurement) -> MeasurementRow:
    """Return a measurement as it stands in a report; `to_measurement` is the inverse."""
    if isinstance(measurement, Missing):
        return MeasurementRow(name=measurement.name, missing_reason=measurement.reason)
    return MeasurementRow(**asdict(measurement))


def judge(measurements: Sequence[Measurement], *, has_baseline: bool, imported: bool = False) -> Judged:
    """Return what rules, classifier and triage say of measurements.

    Parameters
    ----------
    imported : bool
        Whether another tool drew the samples: what the classifier looks at is then hardly ever all there, so that it
        abstains goes without saying.
    """
    findings = find(measurements, has_baseline=has_baseline)
    opinion: Opinion | None = Classifier.load().assess({m.name: m for m in measurements}, has_baseline)
    if imported and opinion is not None and all(opinion.probability(f) is None for f in FAILURES):
        opinion = None
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
    training = None if origin.training is None else with_warnings(origin.training, diagnosis, judged.findings)
    summary, settling = " ".join([diagnosis.summary, *origin.caveats()]), origin.settling(diagnosis.would_settle_it)
    diagnosis = replace(diagnosis, summary=summary, would_settle_it=settling)
    examples = pick_examples(judged.findings, samples) if samples is not None else previous.examples if previous else ()
    choice = choose(diagnosis, judged.measurements, training)
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=exit_code(diagnosis.label),
        checkpoint=origin.checkpoint,
        baseline=origin.baseline,
        protocol=origin.protocol,
        diagnosis=diagnosis,
        measurements=tuple(row(m) for m in judged.measurements),
        findings=judged.findings,
        recommendations=choice.recommendations,
        examples=examples,
        cost=origin.cost,
        training=training,
        left_out=choice.left_out,
        contraindicated=choice.contraindicated,
    )


# ── the main job ──────────────────────────────────────────────────────────────────────────────────


def diagnose(
    config: RunConfig, progress: Progress | None = None, reuse: Path | None = None, fleet: Fleet | None = None
) -> Report:
    """Return the report of `run`; the parameters and the errors are those of `run`."""
    return run(config, progress, reuse, fleet).report


def run(
    config: RunConfig,
    progress: Progress | None = None,
    reuse: Path | None = None,
    fleet: Fleet | None = None,
    settled: Settled | None = None,
) -> Run:
    """Sample a checkpoint (and its baseline), and return its report and its samples, which the run directory keeps.

    Parameters
    ----------
    reuse : Path, optional
        A run directory whose checkpoint is this run's baseline under the same protocol: its samples are copied.
    fleet : Fleet, optional
        Workers that several diagnoses share; None hires what the configuration asks for.
    settled : callable, optional
        What else must be settled before rounds end, such as the bounds of a policy; None: nothing else.

    Raises
    ------
    EntropydxError
        Anything that kept the run from happening; nothing that was drawn is lost.
    """
    started = time.monotonic()
    stages = StageProgress(progress or Silent())
    todo, engines = prepare(config, stages, fleet)
    key = run_key(todo.prompts, todo.params, engines)
    with store.RunStore(run_directory(config, key), key) as kept:
        if reuse is not None and "baseline" in engines:
            kept.adopt_baseline(reuse)
        before = time.monotonic()
        drawn = Rounds(
            todo=todo,
            engines=engines,
            run=kept,
            progress=stages,
            judge=_judge_samples(engines, stages),
            adaptive=config.adaptive,
            tokens=config.tokens,
            settled=settled,
        ).draw()
        spent = (time.monotonic() - before, time.monotonic() - started)
        origin = provenance(config, todo, engines, drawn.look, (kept.tokens_written, *spent))
        origin = replace(origin, cost=_with_stop(origin.cost, drawn, len(todo.prompts)))
        samples = drawn.look.drawn
        kept.write_manifest({**origin.to_manifest(), **laid_out(drawn.look)})
        report = build_report(origin, drawn.judged, samples["checkpoint"])
        kept.write_report(document.to_json(report))
        for role, of_role in samples.items():
            kept.export(role, of_role)
    return Run(path=kept.path, report=report, samples=samples)


def prepare(config: RunConfig, progress: Progress, fleet: Fleet | None = None) -> tuple[Plan, dict[Role, Engine]]:
    """Return the sampling plan and the engines of a run, checked before a token is drawn."""
    todo = plan(config)
    engines = open_engines(config, progress, fleet)
    for engine in engines.values():
        check_capability(engine, config.engine, todo.requires, config.samples)
    todo.deployment(engines["checkpoint"])  # a generation_config that nothing can be sampled with is refused now
    return replace(todo, training=training(config.train_config, config.stage, engines["checkpoint"].info)), engines


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
        training=todo.training,
    )


def training(file: str | None, stage: Stage | None, checkpoint: CheckpointInfo) -> Training:
    """Return what is known of the training: its configuration, the stage that the user names, or the trainer's log."""
    if file is None:
        return training_of(Path(checkpoint.path), stage)
    return staged(read_training(Path(file), catalogue()), stage)


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


def retriage(path: Path, train_config: str | None = None, stage: Stage | None = None) -> Report:
    """Return a new report from a run directory (measured again) or a report file (judged again), without torch.

    Parameters
    ----------
    train_config, stage : str, optional
        Another training configuration, another stage; None: what the run knows.

    Raises
    ------
    RunStoreError
        The directory holds no finished run.
    ReportError
        The file is not a report of this schema.
    ConfigError
        The training configuration cannot be read.
    """
    if path.is_file():
        previous = document.load_report(path)
        origin = Provenance(
            checkpoint=previous.checkpoint,
            baseline=previous.baseline,
            protocol=previous.protocol,
            cost=previous.cost,
            training=previous.training,
        )
        origin = _retrained(origin, train_config, stage)
        measured = [to_measurement(r) for r in previous.measurements]
        judged = judge(measured, has_baseline=origin.compares, imported=origin.protocol.imported is not None)
        return build_report(origin, judged, None, previous)
    manifest = runs.finished(path)
    origin = _retrained(Provenance.from_manifest(manifest), train_config, stage)
    samples = runs.samples_of(path, origin, manifest)
    probes = chosen_probes(origin.protocol.probes)
    with stats.at_level(origin.protocol.ci_level):
        measured = [*measure(probes, samples["checkpoint"], samples.get("baseline")), *_logged(manifest)]
        judged = judge(measured, has_baseline=origin.compares, imported=origin.protocol.imported is not None)
        return build_report(origin, judged, samples["checkpoint"])


def _retrained(origin: Provenance, file: str | None, stage: Stage | None) -> Provenance:
    """Return where samples come from, with what is said of the training now in place of what was known."""
    if file is None and (stage is None or (origin.training is not None and origin.training.framework is not None)):
        return replace(origin, training=origin.training and staged(origin.training, stage))
    return replace(origin, training=training(file, stage, origin.checkpoint))


def _logged(manifest: Mapping[str, Any]) -> list[Measurement]:
    """Return what the tool that an imported run comes from measured itself, as the run's manifest keeps it."""
    rows = (MeasurementRow(**{**r, "ci": r["ci"] and tuple(r["ci"])}) for r in manifest.get("logged", ()))
    return [to_measurement(r) for r in rows]
