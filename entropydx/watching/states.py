"""The state of a watch: a fold over its log, with no clock and no disk. What to diagnose next, and whether to fire.

Every check of the policy is an alarm of its own. It goes off when it has failed `confirm` times in a row, is then
silent while it goes on failing, and is armed again when it passes. Inconclusive verdicts and warnings do nothing: they
do not count as a failure, do not end a row of them, and do not arm an alarm again. One line can set off several alarms;
two lines do not within the cool-down, and an alarm that it held back goes off at the next failed verdict.

With a share `a` of false failures among verdicts, `confirm` = 1 gives a false alarm in 1/a checkpoints on average, and
`confirm` = c in (1 - a^c) / ((1 - a) a^c), the mean waiting time for c in a row (Feller, vol. I, XIII.7), were verdicts
of one run independent: with a = 0.02 that is 50 checkpoints for c = 1, and 2,550 for c = 2. They are not quite:
checkpoints share prompts and noise, so a false failure repeats more often than by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from entropydx.types import Gate, WatchLine
from entropydx.watching.rules import WatchRules
from entropydx.watching.sightings import Sighting

FINAL = ("judged", "skipped", "gone", "error")
"""Events after which a checkpoint is done with; an unmerged or incomplete one is taken up when it is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the lines so far amount to."""

    handled: frozenset[str] = frozenset()
    """Names that need no further look."""
    told: frozenset[str] = frozenset()
    """Names that have a line of any kind."""
    last_step: int | None = None
    """Highest step that was judged."""
    furthest: int = -1
    """Highest step that has a final line."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Check to the times in a row that it has failed."""
    alarms: frozenset[str] = frozenset()
    """Checks that have gone off and have not passed since."""
    last_fired: float | None = None
    n_fired: int = 0
    n_decided: int = 0
    """Verdicts that were passed, warned or failed."""
    n_errors: int = 0
    failed_step: int = -1
    """Highest step that ended in an error."""


def after(state: State, line: WatchLine) -> State:
    """Return the state after one more line."""
    if line.event in {"acted", "incomplete"}:
        return state
    state = replace(state, told=state.told | {line.name})
    if line.event not in FINAL:
        return state
    state = replace(
        state,
        handled=state.handled | {line.name},
        furthest=max(state.furthest, line.step),
        n_errors=state.n_errors + (line.event == "error"),
        failed_step=max(state.failed_step, line.step if line.event == "error" else -1),
    )
    return _after_verdict(state, line) if line.event == "judged" else state


def _after_verdict(state: State, line: WatchLine) -> State:
    rows = {name: count for name, count in state.rows.items() if name not in line.passed}
    rows |= {name: state.rows.get(name, 0) + 1 for name in line.failed}
    return replace(
        state,
        last_step=max(line.step, -1 if state.last_step is None else state.last_step),
        rows=rows,
        alarms=state.alarms - set(line.passed) | set(line.new),
        last_fired=timestamp(line.at) if line.fired else state.last_fired,
        n_fired=state.n_fired + line.fired,
        n_decided=state.n_decided + (line.verdict != "inconclusive"),
    )


def replay(lines: Iterable[WatchLine]) -> State:
    """Return the state that a log amounts to: a watch that is started again goes on as if it had never stopped."""
    state = State()
    for line in lines:
        state = after(state, line)
    return state


def timestamp(at: str) -> float:
    """Return the seconds since the epoch of a line's `at`."""
    return datetime.fromisoformat(at).timestamp()


def clock_text(now: float) -> str:
    """Return a line's `at`, to the millisecond."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


# ── what to diagnose ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to do about the checkpoints that are complete and have no final line."""

    take: Sighting | None = None
    skip: tuple[tuple[Sighting, str], ...] = ()
    """Each with the reason."""


def choose(state: State, ready: Sequence[Sighting], rules: WatchRules, baseline: str | None) -> Choice:
    """Return the checkpoint to diagnose now, and those that will not be.

    Parameters
    ----------
    ready : sequence of Sighting
        Complete and loadable, in any order.
    baseline : str, optional
        Name of the one that the others are compared with, where it is one of the run.
    """
    open_ = sorted((s for s in ready if s.name not in state.handled), key=lambda s: s.look.step)
    skip: list[tuple[Sighting, str]] = []
    left: list[Sighting] = []
    for sighting in open_:
        reason = _too_close(state, sighting, rules)
        if reason is None:
            left.append(sighting)
        else:
            skip.append((sighting, reason))
    if rules.all or not left:
        return Choice(take=left[0] if left else None, skip=tuple(skip))
    newest = left[-1]
    for older in left[:-1]:
        role = "it is what the others are compared with, and " if older.name == baseline else ""
        skip.append((older, f"{role}{newest.name} is newer (--all takes every one)"))
    return Choice(take=newest, skip=tuple(skip))


def _too_close(state: State, sighting: Sighting, rules: WatchRules) -> str | None:
    """Return why a checkpoint is not to be diagnosed after those that were, or None."""
    if state.last_step is None or (rules.all and rules.every == 1):
        return None
    step = sighting.look.step
    if step < state.last_step:
        return f"step {state.last_step} has been judged already"
    if step < state.last_step + rules.every:
        return f"it is less than {rules.every} steps after step {state.last_step}"
    return None


# ── whether to fire ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a verdict sets off."""

    failed: tuple[str, ...]
    passed: tuple[str, ...]
    new: tuple[str, ...] = ()
    """Checks whose alarm goes off."""
    held_back: str | None = None
    """Why checks failed and no alarm goes off."""

    @property
    def fired(self) -> bool:
        """Return whether an alarm goes off."""
        return bool(self.new)


def rule(state: State, gate: Gate, rules: WatchRules, now: float) -> Ruling:
    """Return whether a verdict fires, for the first time since its checks were armed.

    Parameters
    ----------
    now : float
        Seconds since the epoch.
    """
    failed = tuple(c.name for c in gate.checks if c.verdict == "failed")
    passed = tuple(c.name for c in gate.checks if c.verdict == "passed")
    fresh = [name for name in failed if name not in state.alarms]
    new = tuple(name for name in fresh if state.rows.get(name, 0) + 1 >= rules.confirm)
    held_back = None
    if failed and not fresh:
        held_back = "the alarm has gone off for it already"
    elif failed and not new:
        times = max(state.rows.get(name, 0) + 1 for name in fresh)
        held_back = f"it has failed {times} of {rules.confirm} times in a row"
    elif new and state.last_fired is not None and 0 <= now - state.last_fired < rules.cooldown:
        left = rules.cooldown - (now - state.last_fired)
        new, held_back = (
            (),
            f"the last alarm was {now - state.last_fired:.0f} s ago: {left:.0f} s of cool-down are left",
        )
    return Ruling(failed=failed, passed=passed, new=new, held_back=held_back)


def exit_code(state: State, waiting: int = -1) -> int:
    """Return 1 when the run has set off an alarm, else 2, 0 or 3.

    2 when the newest checkpoint could not be diagnosed, else 0 when something was decided, else 2 after errors, else 3.
    An inconclusive verdict is one that was reached.

    Parameters
    ----------
    waiting : int
        Highest step that lies there and has no final line, because it is not whole.
    """
    if state.n_fired:
        return 1
    judged = -1 if state.last_step is None else state.last_step
    if max(state.failed_step, waiting) > judged:
        return 2
    return 0 if state.n_decided else 2 if state.n_errors else 3
