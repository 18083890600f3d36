"""Files of another tool to a run directory and its report: no GPU, no torch, and nothing drawn.

A run directory that was made so is like any other: `triage`, `gate` and `compare` work on it. Its measurements are
those of the same probes, missing where they need what the tool did not write down, and beside them stands what the tool
logged itself, under names of its own.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from entropydx import __version__, document, pipeline, plugins, sampling, stats, store, verifiers
from entropydx.errors import ConfigError, ImportFileError, VerifierError, nearest, reading
from entropydx.protocols import Importer, Progress, Silent
from entropydx.provenance import RUNS, Provenance
from entropydx.rational import parse_rational
from entropydx.suite_file import suite_sha
from entropydx.types import (
    EPISTEMIC_MARKERS,
    CheckpointInfo,
    Cost,
    Group,
    Imported,
    ImportOptions,
    ImportSource,
    Prompt,
    Protocol,
    Report,
    Role,
    Samples,
    VerifierSpec,
)

AUTO = "auto"
FALLBACK = "generic"
"""The importer that is asked last: what it takes, others may too."""
NOT_DRAWN = "nothing is drawn or scored beside imported samples"
UNREAD = 0.5
"""Share of texts without an answer from which the extraction is doubted aloud: most of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """What a user asks to be imported."""

    path: Path
    tool: str = AUTO
    """An importer's name."""
    options: ImportOptions = field(default_factory=ImportOptions)
    baseline: Path | None = None
    """The same kind of file from before; with `baseline_step` alone, the same file."""
    baseline_step: int | None = None
    run_dir: Path | None = None

    @property
    def before(self) -> Path | None:
        """Where the baseline is read, if there is one."""
        return self.path if self.baseline is None and self.baseline_step is not None else self.baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One role of an import, graded."""

    info: CheckpointInfo
    source: ImportSource
    groups: tuple[Group, ...]


@reading(ImportFileError)
def run_import(job: ImportJob, progress: Progress | None = None) -> Report:
    """Read files, write a run directory, and return the report.

    Raises
    ------
    EntropydxError
        No importer knows the files, they are damaged or hold nothing, or checkpoint and baseline have no prompt in
        common.
    """
    progress = progress or Silent()
    name, importer = find_importer(job.path, job.tool)
    _check_options(name, importer, job.options, job.baseline_step)
    progress.start("reading", None)
    imported = _read(importer, job.path, job.options)
    ours, theirs = _side(job.path, imported, job.options, progress), None
    if job.before is not None:
        _check_comparable(imported)
        options = replace(job.options, step=job.baseline_step)
        before = _side(job.before, _read(importer, job.before, options), options, progress)
        ours, theirs = _paired(ours, before)
    key = {"import": name, "entropydx": __version__, "job": _digest(repr(job.options)), **_fingerprints(ours, theirs)}
    directory = job.run_dir or RUNS / f"import-{job.path.name}-{_digest(repr(key))[:12]}"
    with store.RunStore(directory, key) as run:
        return _write(run, ours, theirs, imported)


def find_importer(path: Path, tool: str = AUTO) -> tuple[str, Importer]:
    """Return the importer of a name, or the one that recognises the files.

    Raises
    ------
    PluginNotFoundError
        No importer of that name.
    ConfigError
        Nothing is there, or no importer, or more than one, takes it for its tool's.
    """
    if not path.exists():
        raise ConfigError(f"nothing to import at {path}", "give a file or a directory of another tool")
    if tool != AUTO:
        name = tool.lower().replace("-", "_")
        return name, plugins.load("importer", name)
    importers: dict[str, Importer] = plugins.load_all("importer")
    found = [name for name, importer in importers.items() if importer.recognises(path)]
    special = [name for name in found if name != FALLBACK] or found
    if not special:
        for file in (path, *path.glob("*")):
            if os.path.exists(file) and not os.access(file, os.R_OK):  # a link to nothing is no matter of rights
                raise ImportFileError(f"cannot read {file}", "ask for the right to it: `ls -ld` says who has it")
    if len(special) != 1:
        problem = (
            f"more than one tool may have written it: {', '.join(special)}" if special else "no tool is recognised"
        )
        raise ConfigError(f"{path}: {problem}", f"--from names it: {', '.join(importers)}")
    return special[0], importers[special[0]]


def _check_options(name: str, importer: Importer, options: ImportOptions, before: int | None) -> None:
    asked = {"--step": options.step, "--baseline-step": before, "--tokenizer": options.tokenizer}
    for flag, value in asked.items():
        # A plugin of before this attribute looks at whatever it likes.
        if value is not None and flag.rpartition("-")[2] in getattr(importer, "ignores", ()):
            raise ConfigError(f"{flag} {value} changes nothing: importer '{name}' does not look at it", "leave it out")
    for field_name, column in options.map.items():
        if field_name not in importer.fields:
            problem = f"--map {field_name}={column}: no field '{field_name}' of {name}"
            raise ConfigError(problem, nearest(field_name, importer.fields))
    if options.verifier is not None:
        verifiers.check_spec(options.verifier)
    if options.temperature is not None and not 0 <= options.temperature < math.inf:
        raise ConfigError(f"--logged-temperature is {options.temperature}", "it must be a finite number of at least 0")
    if options.top_p is not None and not 0 < options.top_p <= 1:
        raise ConfigError(f"--logged-top-p is {options.top_p}", "it must be above 0 and at most 1")


def _read(importer: Importer, path: Path, options: ImportOptions) -> Imported:
    imported = importer.read(path, options)
    if not imported.groups and not imported.measurements:
        raise ImportFileError(f"{path}: no samples and no training log in it", "see docs/how-to/import.md")
    return imported


def _check_comparable(imported: Imported) -> None:
    if not imported.groups:
        raise ConfigError(
            "a training log is compared with its own beginning, not with a baseline",
            "--baseline is for files that hold samples",
        )


# ── one role ──────────────────────────────────────────────────────────────────────────────────────


def _side(path: Path, imported: Imported, options: ImportOptions, progress: Progress) -> Side:
    """Return what was read, graded, with a name for the model that the files are of."""
    # By id, since the order of two files of one prompt set may differ, and the bootstrap is a function of it.
    ordered = sorted(imported.groups, key=lambda g: g.prompt.id)
    groups, source = _grade(_whole_lengths(ordered), imported.source, options)
    step = f" step {source.step}" if source.step is not None else ""
    named = imported.model if imported.model != "unknown" else str(path)
    info = CheckpointInfo(
        ref=f"{named}{step}",
        path=str(path),
        fingerprint=_fingerprint(path, source),
        architecture="unknown",
        n_parameters=0,
        dtype="unknown",
        format="imported",
    )
    side = Side(info=info, source=source, groups=groups)
    _doubt(side, progress)
    return side


def _fingerprint(path: Path, source: ImportSource) -> str:
    """Return the sha256 over the names and bytes of the files, and the training step that was taken of them."""
    base = path if path.is_dir() else path.parent
    digest = hashlib.sha256(f"step {source.step}".encode())
    for name in source.files:
        digest.update(f"\0{name}\0".encode())
        with (base / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _whole_lengths(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Return the groups with the tokens of all completions, or of none: lengths of two units do not mix."""
    if all(c.token_ids is not None for g in groups for c in g.completions):
        return tuple(groups)
    return tuple(
        replace(g, completions=tuple(replace(c, token_ids=None, logprobs=None, offsets=None) for c in g.completions))
        for g in groups
    )


def _grade(
    groups: tuple[Group, ...], source: ImportSource, options: ImportOptions
) -> tuple[tuple[Group, ...], ImportSource]:
    """Return the groups with grades, answers and checked computations, as far as they can be known.

    A verifier of the user finds the answers, and grades too where there are gold answers and no `--score` says
    otherwise. Without one the tool's own grades and answers stand; where grades are lacking and gold answers are not,
    the answers are looked for by convention.
    """
    graded = all(c.grade is not None for g in groups for c in g.completions)
    gold = all(g.prompt.answer for g in groups)
    spec = options.verifier
    if spec is None and (graded or not gold or not groups):
        return tuple(sampling.check(g) for g in groups), _with_limits(groups, source)
    spec = spec or _usual_verifier(groups)
    keeps = not gold or (options.score is not None and graded)
    found = tuple(_verified(g, spec, keeps_grades=keeps) for g in groups)
    by = f"the {spec.type} verifier of entropydx"
    source = replace(source, answers_from=by, graded_by=source.graded_by if keeps else by)
    return found, _with_limits(found, source)


def _usual_verifier(groups: Iterable[Group]) -> VerifierSpec:
    """Return `numeric` where every gold answer is a number, else `exact`."""
    numbers = all(parse_rational(g.prompt.answer) is not None for g in groups)
    return VerifierSpec(type="numeric" if numbers else "exact")


def _verified(group: Group, spec: VerifierSpec, *, keeps_grades: bool) -> Group:
    prompt = replace(group.prompt, verifier=spec)
    if prompt.answer:
        try:
            verifiers.check_prompt(prompt)
        except VerifierError as error:
            raise ImportFileError(f"prompt '{prompt.id}': {error.message}", error.hint) from error
    found = sampling.grade(replace(group, prompt=prompt))
    if not keeps_grades:
        return found
    own = zip(found.completions, group.completions, strict=True)
    return replace(found, completions=tuple(replace(c, grade=theirs.grade) for c, theirs in own))


def _with_limits(groups: Sequence[Group], source: ImportSource) -> ImportSource:
    """Note what a verdict on these samples does not rest on: grades that are no yes or no, or lack, and truncation."""
    grades = [c.grade for g in groups for c in g.completions]
    known = [grade for grade in grades if grade is not None]
    between = sum(0 < grade < 1 for grade in known)
    notes = []
    if between:
        notes.append(
            f"{between} of {len(known)} grades lie between 0 and 1: where right ones are counted, these are not"
        )
    if known and len(known) < len(grades):
        notes.append(f"{len(grades) - len(known)} of {len(grades)} completions have no grade, so none of them counts")
    if any(c.finish_reason == "unknown" for g in groups for c in g.completions):
        notes.append("whether texts were cut off at the token limit is unknown, and not tested")
    return replace(source, notes=(*source.notes, *notes))


def _doubt(side: Side, progress: Progress) -> None:
    """Warn where a verifier of ours finds no answer in most texts: the pattern, or the convention, is not theirs."""
    texts = [c for g in side.groups for c in g.completions if c.text.strip()]
    without = sum(c.answer is None for c in texts)
    if side.source.answers_from is not None and texts and without > UNREAD * len(texts):
        progress.warn(
            f"{side.info.ref}: no answer was found in {without} of {len(texts)} texts: --verifier and --extract say how"
            " an answer is written"
        )


# ── two roles ─────────────────────────────────────────────────────────────────────────────────────


def _asked(prompt: Prompt) -> object:
    """Return what two files call the same prompt by: what the model was asked."""
    return prompt.prompt if prompt.messages is None else tuple(tuple(sorted(m.items())) for m in prompt.messages)


def _paired(ours: Side, theirs: Side) -> tuple[Side, Side]:
    """Return both sides with one name for each prompt that they share, and as many completions of each.

    Raises
    ------
    ConfigError
        They share no prompt.
    """
    names = {asked: g.prompt.id for g in ours.groups if (asked := _asked(g.prompt)) is not None}
    known = {g.prompt.id for g in ours.groups}
    before = {names.get(_asked(g.prompt), g.prompt.id): g for g in theirs.groups}
    shared = known & before.keys()
    if not shared:
        raise ConfigError(
            f"{theirs.info.ref} and {ours.info.ref} have no prompt in common, by text or by id",
            "a baseline answers the same prompts: --step and --baseline-step name steps of one prompt set",
        )
    mine = tuple(g for g in ours.groups if g.prompt.id in shared)
    # The prompt of one side for both: a column that only one of the files has is known of both.
    paired = tuple(replace(before[g.prompt.id], prompt=g.prompt) for g in mine)
    k = min(len(g.completions) for g in (*mine, *paired))
    note = f"{len(mine)} of {len(ours.groups)} prompts are in the baseline too, and the others are left out"
    ours = _noted(ours, note) if len(mine) < len(ours.groups) else ours
    return _cut(replace(ours, groups=mine), k), _cut(replace(theirs, groups=paired), k)


def _noted(side: Side, note: str) -> Side:
    return replace(side, source=replace(side.source, notes=(*side.source.notes, note)))


def _cut(side: Side, k: int) -> Side:
    """Return the first k completions of every prompt: two shares of different K do not compare."""
    most = max(len(g.completions) for g in side.groups)
    if most == k:
        return side
    side = _noted(side, f"the first {k} of {most} completions of a prompt are compared")
    return replace(side, groups=tuple(replace(g, completions=g.completions[:k]) for g in side.groups))


# ── the run directory ─────────────────────────────────────────────────────────────────────────────


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fingerprints(ours: Side, theirs: Side | None) -> dict[str, str | None]:
    return {"checkpoint": ours.info.fingerprint, "baseline": None if theirs is None else theirs.info.fingerprint}


def _write(run: store.RunStore, ours: Side, theirs: Side | None, imported: Imported) -> Report:
    """Fill a run directory and judge it: from the directory, as `entropydx triage` would."""
    sides: dict[Role, Side] = {"checkpoint": ours} if theirs is None else {"checkpoint": ours, "baseline": theirs}
    skipped = _not_drawn()
    for role, side in sides.items():
        held = {g.prompt.id for g in run.recover(role)}
        run.append(role, *(g for g in side.groups if g.prompt.id not in held))
    origin = Provenance(
        checkpoint=ours.info,
        baseline=None if theirs is None else theirs.info,
        protocol=_protocol(ours, theirs),
        cost=Cost(tokens_generated=0, tokens_scored=0, wall_s=0.0, tokens_per_s=None, peak_memory_bytes=None),
    )
    run.write_manifest(
        {
            **origin.to_manifest(),
            "prompts": [g.prompt.id for g in ours.groups],
            "passes": {role: {"conditions": {}, "scores": {}, "skipped": skipped, "left_out": {}} for role in sides},
            "logged": [asdict(pipeline.row(m)) for m in imported.measurements],
        }
    )
    report = pipeline.retriage(run.path)
    run.write_report(document.to_json(report))
    for role, side in sides.items():
        if side.groups:
            params = sampling.logged_params(side.source, len(side.groups[0].completions))
            run.export(role, Samples(checkpoint=side.info, params=params, groups=side.groups, imported=side.source))
    return report


def _not_drawn() -> dict[str, str]:
    """Return every condition and pass that a probe may ask for, with why it is not there."""
    requires = [probe.requires for probe in plugins.load_all("probe").values()]
    names = {name for r in requires for name in (*(c.name for c in r.conditions), *r.scores)}
    return dict.fromkeys(sorted(names), NOT_DRAWN)


def _protocol(ours: Side, theirs: Side | None) -> Protocol:
    source = ours.source
    versions = {"python": platform.python_version(), "entropydx": __version__}
    return Protocol(
        suite=source.tool,
        suite_sha=suite_sha([g.prompt for g in ours.groups]),
        suite_source="import",
        n_prompts=len(ours.groups),
        n_planned=len(ours.groups),
        n_samples=len(ours.groups[0].completions) if ours.groups else 0,
        temperature=source.temperature,
        top_p=source.top_p,
        max_new_tokens=source.max_new_tokens,
        seed=None,
        engine="import",
        scoring="none",
        device="none",
        versions=versions | ({source.tool: source.version} if source.version else {}),
        ci_level=stats.CI_LEVEL,
        lexicon=EPISTEMIC_MARKERS,
        imported=source,
        imported_baseline=None if theirs is None else theirs.source,
    )
