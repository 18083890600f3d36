"""The whole tool in one breath: plan, sample, measure, find, triage, report.

Sampling is the only slow stage and the only one that needs torch; everything after it re-runs from the run directory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

from entropydx import __version__, document, plugins, store, verifiers
from entropydx.config import RunConfig
from entropydx.errors import EngineCapabilityError, PluginNotFoundError, RunStoreError, SuiteError
from entropydx.examples import pick_examples
from entropydx.findings import assess, in_scope
from entropydx.protocols import Engine, EngineOptions, Probe, Progress, Silent, Suite
from entropydx.provenance import Provenance, describe_protocol, measure_cost, run_directory, run_key
from entropydx.suite_file import load_suite_file
from entropydx.triage import exit_code, triage
from entropydx.types import (
    SCHEMA_VERSION,
    Completion,
    Diagnosis,
    Finding,
    Group,
    Measured,
    Measurement,
    MeasurementRow,
    Missing,
    Prompt,
    Recommendation,
    Remedy,
    Report,
    Requires,
    Role,
    Rule,
    Samples,
    SamplingParams,
    Tool,
)

MAX_RECOMMENDATIONS = 3


# ── plan ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be drawn, and what will be measured on it."""

    prompts: tuple[Prompt, ...]
    params: SamplingParams
    probes: Mapping[str, Probe]
    requires: Requires


def resolve_suite(name: str, seed: int, n_prompts: int, mapping: Mapping[str, str]) -> list[Prompt]:
    """Return the prompts of a suite: built-in names or collections joined by commas, or a file or data set.

    Built-in families are interleaved, so that every prefix is balanced over families and difficulties.

    Raises
    ------
    SuiteError
        The file has a bad record, or the data set cannot be read.
    PluginNotFoundError
        A name that is neither a family, nor a collection, nor a path.
    """
    parts = [part.strip() for part in name.split(",")]
    # A directory `core` in the working directory must not hide the suite; `./core` reaches it.
    found = [_named_suites(part) for part in parts]
    if not all(found) and (Path(name).exists() or "/" in name or "." in name):
        return load_suite_file(name, dict(mapping) or None, n_prompts)
    for part, named in zip(parts, found, strict=True):
        if not named:
            raise PluginNotFoundError("suite", part, plugins.names("suite"))
    # A suite that is named twice, or by its collection too, would give every prompt twice.
    suites = list({key: suite for named in found for key, suite in named.items()}.values())
    each = -(-n_prompts // len(suites))
    columns = [suite.prompts(seed, each) for suite in suites]
    return [prompt for row in zip(*columns, strict=True) for prompt in row][:n_prompts]


def _named_suites(name: str) -> dict[str, Suite]:
    """Return the suite of that name, else those of that collection, else nothing."""
    if name in plugins.names("suite"):
        return {name: plugins.load("suite", name)}
    return {key: suite for key, suite in plugins.load_all("suite").items() if name in suite.collections}


def plan(config: RunConfig) -> Plan:
    """Return the sampling plan: the union of what the probes require, on the chosen suite."""
    prompts = resolve_suite(config.suite, config.seed, config.prompts, config.map)
    if not prompts:
        raise SuiteError(f"suite '{config.suite}' has no prompts")
    probes: dict[str, Probe] = plugins.load_all("probe")
    requires = reduce(lambda a, b: a | b, (p.requires for p in probes.values()), Requires())
    params = SamplingParams(
        n_samples=config.samples,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        seed=config.seed,
        thinking=config.thinking,
    )
    return Plan(prompts=tuple(prompts), params=params, probes=probes, requires=requires)


def _check_capability(engine: Engine, name: str, requires: Requires, n_samples: int) -> None:
    if n_samples > engine.provides.n_samples:
        raise EngineCapabilityError(
            f"engine '{name}' draws at most {engine.provides.n_samples} samples of a prompt, not {n_samples}",
            "lower --samples",
        )
    if requires.n_samples > n_samples:
        raise EngineCapabilityError(
            f"the probes require {requires.n_samples} samples of a prompt, not {n_samples}", "raise --samples"
        )
    if requires.entropies and not engine.provides.entropies:
        raise EngineCapabilityError(
            f"engine '{name}' gives no exact entropies, which the probes require", "use --engine hf"
        )


# ── sample ────────────────────────────────────────────────────────────────────────────────────────


def grade(group: Group) -> Group:
    """Return the group with every answer extracted and graded."""
    return replace(group, completions=tuple(_grade(group.prompt, c) for c in group.completions))


def _grade(prompt: Prompt, completion: Completion) -> Completion:
    graded = verifiers.grade(prompt, completion.text)
    return replace(completion, answer=graded.answer, grade=float(graded.grade))


def sample(engine: Engine, role: Role, todo: Plan, run: store.RunStore, progress: Progress) -> Samples:
    """Draw what the run directory does not hold yet, and return everything in the plan's order."""
    held = {g.prompt.id: g for g in run.recover(role)}
    missing = [p for p in todo.prompts if p.id not in held]
    if held and missing:
        progress.warn(f"{role}: {len(held)} of {len(todo.prompts)} prompts are in {run.path} and are not drawn again")
    elif held:
        progress.warn(f"{role}: all {len(todo.prompts)} prompts are in {run.path}; nothing is drawn")
    if missing:
        for group in engine.generate(missing, todo.params):
            run.append(role, grade(group))
        engine.close()
        # Read back, so that a run that was interrupted and one that was not measure the very same numbers.
        held = {g.prompt.id: g for g in run.recover(role)}
    return Samples(checkpoint=engine.info, params=todo.params, groups=tuple(held[p.id] for p in todo.prompts))


# ── measure, find, report ─────────────────────────────────────────────────────────────────────────


def measure(
    probes: Mapping[str, Probe], samples: Samples, baseline: Samples | None, progress: Progress | None = None
) -> list[Measurement]:
    """Return the measurements of every probe, in the order of their names."""
    progress = progress or Silent()
    progress.start("measuring", len(probes))
    found: list[Measurement] = []
    for _, probe in sorted(probes.items()):
        found += probe.measure(samples, baseline)
        progress.advance()
    return found


def find(measurements: Sequence[Measurement], *, has_baseline: bool) -> tuple[Finding, ...]:
    """Return every rule in scope, applied, in the order of their codes."""
    by_name = {m.name: m for m in measurements}
    rules: list[Rule] = sorted(plugins.load_all("rule").values(), key=lambda r: r.code)
    return tuple(assess(r, by_name) for r in rules if in_scope(r, has_baseline))


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


def _measurement(row: MeasurementRow) -> Measurement:
    if row.value is None:
        return Missing(name=row.name, reason=row.missing_reason or "not measured")
    fields = asdict(row)
    del fields["missing_reason"]
    return Measured(**{**fields, "unit": row.unit or ""})


def build_report(
    origin: Provenance, measurements: Sequence[Measurement], samples: Samples | None, previous: Report | None = None
) -> Report:
    """Return the report: rules, triage, recommendations and examples over measurements.

    Parameters
    ----------
    samples : Samples, optional
        For the excerpts; None keeps those of `previous`.
    """
    has_baseline = origin.baseline is not None and not origin.against_itself
    findings = find(measurements, has_baseline=has_baseline)
    diagnosis = triage(findings, has_baseline=has_baseline)
    diagnosis = replace(diagnosis, summary=" ".join([diagnosis.summary, *origin.caveats()]))
    examples = pick_examples(findings, samples) if samples is not None else previous.examples if previous else ()
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=exit_code(diagnosis.label),
        checkpoint=origin.checkpoint,
        baseline=origin.baseline,
        protocol=origin.protocol,
        diagnosis=diagnosis,
        measurements=tuple(_row(m) for m in measurements),
        findings=findings,
        recommendations=recommend(diagnosis),
        examples=examples,
        cost=origin.cost,
    )


# ── the main job ──────────────────────────────────────────────────────────────────────────────────


def diagnose(config: RunConfig, progress: Progress | None = None) -> Report:
    """Sample a checkpoint (and its baseline), and return the report, which is also in the run directory.

    Raises
    ------
    EntropydxError
        Anything that kept the run from happening; nothing that was drawn is lost.
    """
    progress = progress or Silent()
    started = time.monotonic()
    todo = plan(config)
    engine_type: type[Engine] = plugins.load("engine", config.engine)
    options = EngineOptions(
        base_model=config.base_model,
        device=config.device,
        dtype=config.dtype,
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
        batch_rows=config.batch_rows,
    )
    engines: dict[Role, Engine] = {"checkpoint": engine_type(config.checkpoint, options, progress)}
    if config.baseline is not None:
        engines["baseline"] = engine_type(config.baseline, options, progress)
    for engine in engines.values():
        _check_capability(engine, config.engine, todo.requires, config.samples)
    key = run_key(todo.prompts, todo.params, engines)
    with store.RunStore(run_directory(config, key), key) as run:
        before = time.monotonic()
        drawn = {role: sample(engine, role, todo, run, progress) for role, engine in engines.items()}
        sampling_s = time.monotonic() - before
        measurements = measure(todo.probes, drawn["checkpoint"], drawn.get("baseline"), progress)
        origin = Provenance(
            checkpoint=engines["checkpoint"].info,
            baseline=engines["baseline"].info if "baseline" in engines else None,
            protocol=describe_protocol(config, list(todo.prompts), todo.params, engines["checkpoint"]),
            cost=measure_cost(drawn.values(), run.tokens_written, sampling_s, time.monotonic() - started),
        )
        run.write_manifest({**origin.to_manifest(), "prompts": [p.id for p in todo.prompts]})
        report = build_report(origin, measurements, drawn["checkpoint"])
        run.write_report(document.to_json(report))
        for role, samples in drawn.items():
            run.export(role, samples)
    return report


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
        return build_report(origin, [_measurement(r) for r in previous.measurements], None, previous)
    manifest = store.read_manifest(path)
    if "protocol" not in manifest or "prompts" not in manifest:
        raise RunStoreError(
            f"the run in {path} was interrupted", "run the same `entropydx diagnose` again to finish it"
        )
    origin = Provenance.from_manifest(manifest)
    samples = _stored(path, "checkpoint", origin, manifest["prompts"])
    theirs = None if origin.baseline is None else _stored(path, "baseline", origin, manifest["prompts"])
    return build_report(origin, measure(plugins.load_all("probe"), samples, theirs), samples)


def _stored(path: Path, role: Role, origin: Provenance, order: Sequence[str]) -> Samples:
    """Return the samples of a finished run, in the plan's order: the bootstrap is a function of it."""
    info = origin.checkpoint if role == "checkpoint" or origin.baseline is None else origin.baseline
    held = {g.prompt.id: g for g in store.read_groups(path, role)}
    lost = [name for name in order if name not in held]
    if lost:
        raise RunStoreError(
            f"the run in {path} has lost the {role}'s samples of {len(lost)} prompts, '{lost[0]}' first",
            "run the same `entropydx diagnose` again: it draws them",
        )
    return Samples(checkpoint=info, params=origin.params, groups=tuple(held[name] for name in order))
