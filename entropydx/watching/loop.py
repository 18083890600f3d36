"""The loop of a watch: poll, diagnose, judge, write the line, act. Everything that decides is in `states`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from entropydx import checkpoint, gating, store
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import CheckpointError, ConfigError, EntropydxError
from entropydx.layouts import training_step
from entropydx.lineup import Crew, digest, richest
from entropydx.planning import plan
from entropydx.policy import Policy
from entropydx.protocols import EngineOptions, Progress, Silent
from entropydx.provenance import RUNS
from entropydx.types import WATCH_VERSION, Gate, WatchEvent, WatchLine
from entropydx.watching import acting, baselines, states
from entropydx.watching.logbook import Logbook
from entropydx.watching.rules import WatchRules
from entropydx.watching.sightings import Sighting, look_into, lost_files, track

LOG = "watch.jsonl"
ONCE_POLL_S = 1.0
"""Longest wait of `--once` between its two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When a watch ends by itself."""

    once: bool = False
    """When everything that is complete now has its line."""
    step: int | None = None
    """When a checkpoint of this step, or a later one, has its line."""
    idle: float | None = None
    """When nothing has changed for so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is watched, and how its checkpoints are diagnosed and judged."""

    run: Path
    flags: Settings
    project: Settings
    policy: Policy
    rules: WatchRules
    until: Until
    log: Path | None = None
    """None: `watch.jsonl` in the directory of the watch."""


def watch(
    job: Job,
    progress: Progress | None = None,
    emit: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Watch a run until it is to end, and return the exit code.

    Parameters
    ----------
    emit : callable, optional
        Gets the text of every line, newline included, once it is on the disk.
    clock, sleep : callable
        Seconds since the epoch, and a pause.

    Raises
    ------
    EntropydxError
        The watch cannot run: a setting that no checkpoint could be diagnosed with, or a log that cannot be written.
    """
    progress = progress or Silent()
    config = resolve(str(job.run), job.flags, job.project)
    _check(job, config)
    root = Path(config.run_dir) if config.run_dir else RUNS / f"watch-{digest(config, str(job.run / 'checkpoint'))}"
    with Logbook(job.log or root / LOG, progress, wait=job.until.once) as log, Crew(config) as crew:
        return _Watch(job, config, root, log, crew, (progress, emit or (lambda _: None), clock, sleep)).run()


def _check(job: Job, config: RunConfig) -> None:
    """Refuse now what no checkpoint could be diagnosed with."""
    if training_step(job.run) is not None:
        raise ConfigError(f"{job.run} is a checkpoint itself", f"watch {job.run.parent}, or use `entropydx gate`")
    if job.until.idle is not None and not job.until.idle >= 0:
        raise ConfigError(f"idle-timeout is {job.until.idle}", "it must be at least 0")
    if job.until.once and not job.run.is_dir():
        raise ConfigError(f"there is no directory {job.run}", "give the output directory of the training run")
    if config.shard is not None:
        raise ConfigError("a watch diagnoses whole runs", "leave the shard out")
    if job.policy.regression and job.policy.against is None:
        raise ConfigError(
            f"{job.policy.source} allows a regression and names nothing to compare with",
            'name a run as `against`, or compare with the baseline: [gate.bounds...] with on = "delta"',
        )
    if config.baseline is not None and config.engine == "hf":
        checkpoint.resolve(config.baseline, _options(config))
    plan(config)


def _options(config: RunConfig) -> EngineOptions:
    return EngineOptions(
        base_model=config.base_model, allow_pickle=config.allow_pickle, trust_remote_code=config.trust_remote_code
    )


class _OneStage:
    """A `Progress` that makes one stage of a whole diagnosis: a log of weeks has no line for each part of each."""

    def __init__(self, inner: Progress, name: str) -> None:
        self._inner, self._name, self._part = inner, name, ""
        inner.start(f"{name}: diagnosing", None)

    def start(self, stage: str, total: int | None) -> None:
        """Remember the part."""
        self._part = stage

    def advance(self, n: int = 1, note: str = "") -> None:
        """Show that it goes on."""
        self._inner.advance(n, self._part)

    def warn(self, message: str) -> None:
        """Pass it on with the checkpoint's name."""
        self._inner.warn(f"{self._name}: {message}")


class _Watch:
    """A watch that is going on.

    Parameters
    ----------
    root : Path
        Directory of the watch: the runs of the checkpoints, the baseline, the log.
    outside : (progress, emit, clock, sleep)
        As `watch` takes them.
    """

    def __init__(
        self,
        job: Job,
        config: RunConfig,
        root: Path,
        log: Logbook,
        crew: Crew,
        outside: tuple[Progress, Callable[[str], None], Callable[[], float], Callable[[float], None]],
    ) -> None:
        self.job, self.root, self.log, self.crew = job, root, log, crew
        self.progress, self.emit, self.clock, self.sleep = outside
        self.asked_baseline = config.baseline
        self.options = _options(config)
        self.poll = min(job.rules.poll, ONCE_POLL_S) if job.until.once else job.rules.poll
        self.state = states.replay(log.lines)
        self.seen: dict[str, Sighting] = {}
        self.changed_at = self.clock()

    # ── when ─────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> int:
        """Poll until the end, and return the exit code."""
        self._say_where_it_stands()
        looks = 0
        while not self._at_end(looks):
            if looks:
                self.sleep(self.poll)
            while self._cycle():
                pass
            looks += 1
        if not self.seen and not self.state.told:
            self.progress.warn(f"no checkpoint-N, global_step_N or global_stepN_hf is in {self.job.run}")
        return states.exit_code(self.state, self._tell_incomplete())

    def _tell_incomplete(self) -> int:
        """Write a line for what is not whole at the end, once for each reason; return the highest step that waits."""
        said = {line.text for line in self.log.lines if line.event == "incomplete"}
        waiting = -1
        for sighting in [s for s in self.seen.values() if s.name not in self.state.handled]:
            asked_for = self.job.until.step is None or sighting.look.step <= self.job.until.step
            line = self._line(sighting, "incomplete", f"left out: {sighting.waiting_for}")
            if asked_for:
                waiting = max(waiting, sighting.look.step)
            if asked_for and sighting.name not in self.state.told and line.text not in said:
                self._log(line)
            else:
                self.progress.warn(line.text)
        return waiting

    def _at_end(self, looks: int) -> bool:
        until = self.job.until
        if until.step is not None and self.state.furthest >= until.step:
            return True
        if until.once:
            return looks >= 2  # what does not change from the first to the second
        return until.idle is not None and self.clock() - self.changed_at >= until.idle

    def _say_where_it_stands(self) -> None:
        if self.log.lines:
            self.progress.warn(f"{self.log.path} has {len(self.state.told)} checkpoints already: they are done with")
        fired = [line for line in self.log.lines if line.fired]
        acted = [line for line in self.log.lines if line.event == "acted"]
        if fired and (self.job.rules.command or self.job.rules.webhook) and len(acted) < len(fired):
            self.progress.warn(f"{fired[-1].name} fired, and the watch was ended before its actions were logged")
        if not self.job.run.is_dir():
            self.progress.warn(f"{self.job.run} does not exist yet: waiting for it")

    # ── what ─────────────────────────────────────────────────────────────────────────────────────

    def _cycle(self) -> bool:
        """Look once, deal with what is there, and return whether a checkpoint was diagnosed."""
        now = self.clock()
        before = {name: s.since for name, s in self.seen.items()}
        try:
            looks = look_into(self.job.run, self.options)
        except OSError as error:
            self.progress.warn(f"{self.job.run} cannot be looked into now: {error.strerror}")
            return False
        if self.seen and not self.job.run.is_dir():
            return False  # a share that is away for now: nothing of it has been deleted
        self.seen, gone = track(self.seen, looks, self.poll, now)
        if before != {name: s.since for name, s in self.seen.items()}:
            self.changed_at = now
        for sighting in gone:
            if sighting.name not in self.state.handled:
                self._write(sighting, "gone", "it was deleted before its turn")
        ready = [s for s in self.seen.values() if s.ready_at is not None and s.name not in self.state.handled]
        for sighting in ready:
            if sighting.look.convert is not None and sighting.name not in self.state.told:
                self._write(sighting, "unmerged", sighting.look.convert)
        return self._take([s for s in ready if s.look.problem is None])

    def _take(self, ready: list[Sighting]) -> bool:
        baseline = self._baseline(ready)
        choice = states.choose(self.state, ready, self.job.rules, None if baseline is None else baseline.name)
        for sighting, reason in choice.skip:
            self._write(sighting, "skipped", f"not diagnosed: {reason}")
        if choice.take is None:
            return False
        self._diagnose(choice.take, baseline)
        return True

    def _baseline(self, ready: list[Sighting]) -> Path | None:
        """Return the checkpoint of the run that the others are compared with; None where a baseline was named."""
        if self.asked_baseline is not None:
            return None
        kept = baselines.kept(self.root)
        for sighting in sorted(ready, key=lambda s: s.look.step):
            if kept is not None:
                break
            try:
                kept = baselines.keep(sighting.look.path, self.root, self.options)
            except (CheckpointError, FileNotFoundError):
                continue  # deleted meanwhile: the next look says so
            self.progress.warn(
                f"no baseline is named: the others are compared with {sighting.name}, the first complete checkpoint "
                "(--baseline names the model from before the training, which is better)"
            )
        return kept

    def _diagnose(self, sighting: Sighting, first: Path | None) -> None:
        """Diagnose a checkpoint, judge it, write its line, and act on it."""
        started = self.clock()
        compared = self.asked_baseline or (str(first) if first is not None and first.name != sighting.name else None)
        try:
            verdict = self._verdict(sighting, compared)
        except Exception as error:  # noqa: BLE001 - said below
            if lost_files(sighting.look):
                self._write(sighting, "gone", "it was deleted while it was being diagnosed")
            elif isinstance(error, EntropydxError):
                self._write(sighting, "error", f"could not be diagnosed: {' '.join(str(error).split())}")
            else:
                # A bug costs one checkpoint, not the rest of the run; a restart would meet the same checkpoint again.
                self.progress.warn("".join(traceback.format_exception(error)))
                bug = " ".join(f"{type(error).__name__}: {error}".split())
                self._write(sighting, "error", f"could not be diagnosed: {bug}; a bug of entropydx, please report it")
            return
        line = replace(self._judged(sighting, verdict, started), baseline=compared)
        self._log(line)
        if line.fired:
            self._act(line)

    def _verdict(self, sighting: Sighting, baseline: str | None) -> Gate:
        ref = str(sighting.look.path)
        config = resolve(ref, self.job.flags, self.job.project)
        config = replace(config, baseline=baseline, run_dir=str(self._run_dir(sighting)))
        done = [path.parent for path in sorted(self.root.glob(f"*/{store.REPORT}"))] if baseline else []
        reuse = richest([path for path in done if path != self._run_dir(sighting)])
        one_stage = _OneStage(self.progress, sighting.name)
        return gating.gate_checkpoint(config, self.job.policy, one_stage, reuse, self.crew.fleet())[0]

    def _run_dir(self, sighting: Sighting) -> Path:
        return self.root / sighting.name

    # ── saying so ────────────────────────────────────────────────────────────────────────────────

    def _judged(self, sighting: Sighting, verdict: Gate, started: float) -> WatchLine:
        now = self.clock()
        ruling = states.rule(self.state, verdict, self.job.rules, now)
        held = f"; no alarm: {ruling.held_back}" if ruling.held_back else ""
        called = "" if ruling.failed else f"{verdict.label.words} ({verdict.confidence} confidence); "
        said = f"{'ALARM, ' * ruling.fired}{verdict.verdict}: {called}{'; '.join(verdict.reasons)}{held}"
        return replace(
            self._line(sighting, "judged", said),
            at=states.clock_text(now),
            verdict=verdict.verdict,
            fired=ruling.fired,
            held_back=ruling.held_back,
            failed=ruling.failed,
            passed=ruling.passed,
            new=ruling.new,
            reasons=verdict.reasons,
            label=verdict.label,
            confidence=verdict.confidence,
            report=str(self._run_dir(sighting) / store.REPORT),
            wall_s=now - started,
            waited_s=started - (started if sighting.ready_at is None else sighting.ready_at),
        )

    def _line(self, sighting: Sighting, event: WatchEvent, what: str) -> WatchLine:
        return WatchLine(
            schema_version=WATCH_VERSION,
            at=states.clock_text(self.clock()),
            event=event,
            text=f"{sighting.name}: {what}",
            run=str(self.job.run),
            checkpoint=str(sighting.look.path),
            name=sighting.name,
            step=sighting.look.step,
        )

    def _write(self, sighting: Sighting, event: WatchEvent, what: str) -> None:
        self._log(self._line(sighting, event, what))

    def _act(self, line: WatchLine) -> None:
        done = acting.act(self.job.rules, line, self.sleep)
        if done:
            text = f"{line.name}: {'; '.join(outcome.text for outcome in done)}"
            told = WatchLine(
                schema_version=WATCH_VERSION,
                at=states.clock_text(self.clock()),
                event="acted",
                text=text,
                run=line.run,
                checkpoint=line.checkpoint,
                name=line.name,
                step=line.step,
                actions_ok=all(outcome.ok for outcome in done),
            )
            self._log(told)

    def _log(self, line: WatchLine) -> None:
        """Write a line, say it, and go on from what it amounts to."""
        text = self.log.append(line)
        self.state = states.after(self.state, line)
        self.changed_at = self.clock()
        self.progress.warn(line.text)
        self.emit(text)
