"""Runs, reports or checkpoints held against the first of them: `entropydx compare`.

    open or diagnose each -> one pair for every later one: changes, what became of each failure, the answer

Checkpoints are diagnosed first, by one protocol and without looks, each in a run directory of its own below the
comparison's: the same command, and one with more checkpoints, draws only what is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from entropydx import __version__, document, pipeline, stats, store
from entropydx.comparing import BY_CONSTRUCTION, failure_deltas, relative, rule_on
from entropydx.config import RunConfig, Settings, resolve
from entropydx.contrasts import Sides, delta, headlines, promised, sides
from entropydx.errors import ConfigError
from entropydx.findings import thresholds
from entropydx.lineup import Crew, Titled, check_told_once, digest, short_names, write_document
from entropydx.promises import account
from entropydx.protocols import Progress, Silent
from entropydx.provenance import RUNS, Provenance
from entropydx.recommending import find_remedy
from entropydx.runs import Run, difference, have_same_prompts, is_run, open_run
from entropydx.types import (
    COMPARISON_VERSION,
    Compared,
    ComparedRun,
    Pair,
    Pairing,
    Protocol,
    Remedy,
    Report,
    Rule,
    Tool,
)

DOCUMENT = "comparison.json"
SAME_WEIGHTS = "Both are the same weights: what differs is how they were drawn."
SAME_POLICY = "Both are the same policy, drawn alike: only the sampling of the deployment differs."
FEWEST = 2
LIKE = {
    "suite": "suite",
    "prompts": "n_planned",
    "samples": "n_samples",
    **{name: name for name in ("max_new_tokens", "temperature", "top_p", "seed", "thinking", "probes")},
}
"""Setting to the field of a run's protocol from which a checkpoint beside it takes it."""


# ── the main job ──────────────────────────────────────────────────────────────────────────────────


def compare(
    refs: Sequence[str],
    flags: Settings,
    project: Settings | None = None,
    progress: Progress | None = None,
    remedy: str | None = None,
) -> Compared:
    """Return what changed between the first of several runs, reports or checkpoints and each other one.

    Where a checkpoint had to be diagnosed, the document is also written to the comparison's directory, as
    `comparison.json`.

    Parameters
    ----------
    refs : sequence of str
        Run directories, report files, or checkpoints; two or more, the one from before first.
    flags : Settings
        For the checkpoints, as for a single diagnosis; `run_dir` is the directory of the comparison. Beside a run, what
        is not set is taken from the first run's protocol.
    remedy : str, optional
        Id of the remedy that was tried in between: each pair then says whether it did what it promised.

    Raises
    ------
    ConfigError
        Fewer than two, one is named twice, or two do not compare: the message says which setting differs. Or the
        catalogue has no such remedy.
    EntropydxError
        A run cannot be read, or a diagnosis could not happen; nothing that was drawn is lost.
    """
    progress = progress or Silent()
    if len(refs) < FEWEST:
        raise ConfigError("one run compares with nothing", "name two or more: the one from before first")
    tried = None if remedy is None else find_remedy(remedy)
    check_told_once(refs)
    names = short_names([_titled(ref) for ref in refs])
    runs = {name: open_run(Path(ref)) for name, ref in zip(names, refs, strict=True) if is_run(Path(ref))}
    drawn = [(name, ref) for name, ref in zip(names, refs, strict=True) if name not in runs]
    if not drawn:
        _say_unused(flags, progress)
        return compared(runs, tried)
    like = next((run.report.protocol for run in runs.values()), None)
    asked = flags if like is None else _like(like, flags)
    config = replace(resolve(drawn[0][1], asked, project), adaptive=False)  # looks would differ from one to the other
    root = Path(config.run_dir) if config.run_dir else RUNS / f"comparison-{digest(config, drawn[0][1])}"
    runs |= _diagnose(drawn, config, root, progress)
    found = compared({name: runs[name] for name in names}, tried)
    write_document(root / DOCUMENT, document.to_json(found))
    return found


def _titled(ref: str) -> str:
    """Return what a run is called after: a report of the usual name after the directory that it lies in."""
    path = Path(ref)
    return str(path.parent) if path.name == store.REPORT and str(path.parent) != "." else ref.removesuffix(".json")


def _say_unused(flags: Settings, progress: Progress) -> None:
    given = [f.name.replace("_", "-") for f in fields(flags) if getattr(flags, f.name) is not None]
    if given:
        progress.warn(f"nothing is drawn, so --{', --'.join(given)} changes nothing")


def _like(protocol: Protocol, flags: Settings) -> Settings:
    """Return the settings with what is not set taken from a run's protocol; a budget that is named stands."""
    known = {name: getattr(protocol, field) for name, field in LIKE.items() if getattr(flags, name) is None}
    if flags.budget is not None:
        known = {name: value for name, value in known.items() if name not in {"prompts", "samples", "max_new_tokens"}}
    return replace(flags, **known)


def _diagnose(drawn: Sequence[tuple[str, str]], config: RunConfig, root: Path, progress: Progress) -> dict[str, Run]:
    """Diagnose checkpoints one by one; all but the first copy the baseline's samples."""
    done: dict[str, Run] = {}
    reuse: Path | None = None
    with Crew(config) as crew:
        for number, (name, ref) in enumerate(drawn, start=1):
            titled = Titled(progress, f"{name}, {number} of {len(drawn)}")
            here = replace(config, checkpoint=ref, run_dir=str(root / name))
            done[name] = pipeline.run(here, titled, reuse, crew.fleet())
            reuse = reuse or root / name
    return done


# ── the document ──────────────────────────────────────────────────────────────────────────────────


def compared(runs: Mapping[str, Run], remedy: Remedy | None = None) -> Compared:
    """Return the document of two or more runs, by their names; the first one is *before*.

    Parameters
    ----------
    remedy : Remedy, optional
        What was tried in between.

    Raises
    ------
    ConfigError
        Two runs do not compare; the message says which setting differs.
    """
    rules = pipeline.rules()
    (name, before), *others = runs.items()
    pairs = tuple(_pair((name, before), later, rules, remedy) for later in others)
    codes = {pair.exit_code for pair in pairs}
    return Compared(
        schema_version=COMPARISON_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exit_code=next((code for code in (1, 3) if code in codes), 0),
        runs=tuple(_run(name, run) for name, run in runs.items()),
        pairs=pairs,
    )


def _run(name: str, run: Run) -> ComparedRun:
    report = run.report
    return ComparedRun(
        name=name,
        source=str(run.path),
        ref=report.checkpoint.ref,
        fingerprint=report.checkpoint.fingerprint,
        baseline=None if report.baseline is None else report.baseline.ref,
        label=report.diagnosis.label,
        confidence=report.diagnosis.confidence,
        has_samples="checkpoint" in run.samples,
    )


def _pair(first: tuple[str, Run], second: tuple[str, Run], rules: Sequence[Rule], remedy: Remedy | None) -> Pair:
    (was, before), (is_, after) = first, second
    pairing, shown = _pairing(first, second), headlines(rules)
    held_to = () if remedy is None else promised(remedy, shown)
    family = {h.measurement for h in (*shown, *held_to)}
    level = max(1 - stats.ALPHA / len(family), *(run.report.protocol.ci_level for run in (before, after)))
    asked = family | {t.measurement for r in relative(rules) for t in thresholds(r)}
    probes = {name.partition(".")[0] for name in asked}
    two = sides(before, after, level, probes, pairs=pairing is not None)
    deltas = tuple(delta(headline, two) for headline in shown)
    failures = failure_deltas(two, deltas, rules)
    ruling = rule_on(before.report, after.report, failures, deltas)
    outcome = None
    if remedy is not None:
        labels = before.report.diagnosis.label, after.report.diagnosis.label
        outcome = account(remedy, (delta(headline, two) for headline in held_to), failures, labels)
    side_by_side = two.same or bool(two.forward)
    return Pair(
        before=was,
        after=is_,
        answer=ruling.answer,
        verdict=ruling.verdict,
        paid=ruling.paid,
        exit_code=ruling.exit_code,
        pairing=pairing if pairing is not None and side_by_side else "none",
        level=level,
        family=len(family),
        failures=failures,
        deltas=deltas,
        notes=_notes(two, pairing),
        promise=outcome,
    )


def _pairing(first: tuple[str, Run], second: tuple[str, Run]) -> Pairing | None:
    """Return what two runs have in common; None when they drew other prompts of one built-in suite."""
    (was, before), (is_, after) = first, second
    ours, theirs = before.report.protocol, after.report.protocol
    drawn = [run.samples.get("checkpoint") for run in (before, after)]
    # The order of a file's prompts depends on the seed, and so does the sha over all of them.
    same = all(drawn) and have_same_prompts(*(one for one in drawn if one is not None))
    reason = difference(ours, theirs, same_prompts=not same)
    if reason is None:
        return "noise" if ours.seed == theirs.seed else "prompts"
    # A built-in suite makes its prompts by the seed: two draws from one population, and independent ones.
    built_in = ours.suite == theirs.suite and not {"/", "."} & set(ours.suite)
    if built_in and ours.seed != theirs.seed and difference(ours, theirs, same_prompts=False) is None:
        return None
    raise ConfigError(f"{was} and {is_} do not compare: {reason}", "diagnose both alike; the checkpoints will do")


def _is_baseline(before: Report, after: Report) -> bool:
    """Return whether the later one was diagnosed against the earlier one."""
    return after.baseline is not None and after.baseline.fingerprint == before.checkpoint.fingerprint


def _notes(two: Sides, pairing: Pairing | None) -> tuple[str, ...]:
    found = []
    before, after = two.before.report, two.after.report
    if two.same:
        found.append(f"Both are {BY_CONSTRUCTION}.")
    elif before.checkpoint.fingerprint == after.checkpoint.fingerprint:
        found.append(SAME_WEIGHTS if not two.same_policy else SAME_POLICY)
    if pairing is None:
        found.append("Other seeds draw other prompts of a built-in suite: the two are independent estimates.")
    elif pairing == "prompts":
        found.append("Other seeds: the prompts are the same and the noise is not, so the intervals are wider.")
    if not two.forward and not two.same:
        found.append("Samples were not held side by side, so whether a whole pattern came in or went is not asked.")
    if not two.common_baseline and not _is_baseline(before, after):
        of = [r.baseline.ref if r.baseline else "no baseline" for r in (before, after)]
        if any(r.baseline for r in (before, after)):
            found.append(f"The two diagnoses stand against others: before against {of[0]}, after against {of[1]}.")
    seen = Provenance(checkpoint=after.checkpoint, baseline=before.checkpoint, protocol=after.protocol, cost=after.cost)
    if not seen.against_itself:
        found += [f"With before as the baseline: {caveat}" for caveat in seen.caveats()]
    return tuple(found)
