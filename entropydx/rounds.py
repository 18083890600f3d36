"""Sampling in rounds: draw some prompts for both roles, judge, and stop as soon as every failure is decided.

    the checkpoint's first answers -> is the instrument sound? -> the baseline -> conditions and scores -> judge
                                                                       ^_____ more prompts ______________|

A round draws what the plan asks of a longer beginning of the same prompts; what the run directory holds is not drawn
again, so a round costs its new prompts alone. At each look the intervals have the level that `looks` gives it, so that
whatever makes the run stop, its error rate is that of a single look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from entropydx import looks, stats
from entropydx.planning import Plan
from entropydx.protocols import Engine, Probe
from entropydx.provenance import tokens_generated
from entropydx.sampling import Drawer, StageProgress
from entropydx.standing import UNTESTED, Hearing
from entropydx.store import RunStore
from entropydx.types import FAILURES, Diagnosis, Finding, Label, Measurement, Role, Samples

StopWhy = Literal["fixed", "decided", "instrument", "budget"]
"""All prompts were asked for at once; every failure is decided; the instrument failed; the last round was drawn."""
LAST_STEP = 1.25
"""A token budget's last round grows by at least this: a smaller one would spend error and decide nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the measurements of one look say."""

    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    diagnosis: Diagnosis


Judge = Callable[[Mapping[str, Probe], Mapping[Role, Samples]], Judged]
"""Probes and the samples of each role to what they say; it knows nothing of rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there was to see at one look."""

    drawers: Mapping[Role, Drawer]
    drawn: Mapping[Role, Samples]
    level: float
    """Of every interval."""
    number: int
    """From 1: how many rounds were drawn."""

    @property
    def n_prompts(self) -> int:
        """Prompts that were drawn."""
        return len(self.drawn["checkpoint"].groups)


Settled = Callable[[Look, Judged], bool]
"""Whether a look settles what else is asked of the run, such as the bounds of a policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The last look, what it says, and why no other followed."""

    look: Look
    judged: Judged
    stop: StopWhy
    reason: str
    """One sentence for the user."""


@dataclass(slots=True, kw_only=True)
class Rounds:
    """Draws a plan for one or two engines, in rounds or at once.

    Parameters
    ----------
    todo : Plan
        All prompts of the budget, in an order that does not matter.
    adaptive : bool
        Look after each round; False draws all prompts before the only look.
    tokens : int, optional
        About how many tokens may be drawn in all; None: as many as the prompts take.
    settled : callable, optional
        Asked at each look that decides every failure; the run goes on while it says no.
    """

    todo: Plan
    engines: Mapping[Role, Engine]
    run: RunStore
    progress: StageProgress
    judge: Judge
    adaptive: bool
    tokens: int | None = None
    settled: Settled | None = None
    drawer: Callable[..., Drawer] = Drawer
    _room: bool | None = None
    """Whether both models fit into memory together; None before the first was loaded."""

    def draw(self) -> Outcome:
        """Return what was drawn until every failure was decided, or the budget ended."""
        try:
            # Fewer prompts than a first look's get no verdict, and nothing is saved by stopping.
            several = self.adaptive and len(self.todo.prompts) >= looks.FIRST
            return self._in_rounds() if several else self._at_once()
        finally:
            for engine in self.engines.values():
                engine.close()

    def _at_once(self) -> Outcome:
        look = self.everything()
        return Outcome(
            look=look,
            judged=self._judge(look),
            stop="fixed",
            reason=f"all {look.n_prompts} prompts were drawn at once",
        )

    def everything(self) -> Look:
        """Return all prompts of the plan, drawn for every role, and judge nothing."""
        drawers = self._drawers(len(self.todo.prompts), announce=True)
        return Look(drawers=drawers, drawn=self._all_roles(drawers), level=stats.CI_LEVEL, number=1)

    def _in_rounds(self) -> Outcome:
        ahead, seen, number = list(self._schedule()), [], 0
        untested: frozenset[str] = frozenset()
        while True:
            n, number = ahead.pop(0), number + 1
            drawers = self._drawers(n, announce=number == 1)
            if number == 1 and (failed := self._pilot(drawers)):
                return failed
            drawn = self._all_roles(drawers)
            if self.tokens is not None and number == 1:
                ahead = self._affordable(n, tokens_generated(drawn.values()), self.tokens)
            whole = ahead[-1] if ahead else n
            if n < looks.EARLIEST * whole:
                continue
            seen.append(n)
            level = looks.levels(seen, stats.CI_LEVEL, whole)[-1]
            look = Look(drawers=drawers, drawn=drawn, level=level, number=number)
            judged = self._judge(look)
            settled = self.settled is None or self.settled(look, judged)
            if (stop := _stop(judged, untested, (n, whole), settled)) is not None:
                return Outcome(look=look, judged=judged, stop=stop[0], reason=stop[1])
            untested = _untested(judged)

    def _schedule(self) -> tuple[int, ...]:
        """Return the prompts of the rounds; of a token budget only the first is known before it was drawn."""
        return looks.schedule(len(self.todo.prompts)) if self.tokens is None else (looks.FIRST,)

    def _affordable(self, n: int, spent: int, tokens: int) -> list[int]:
        if spent > tokens:
            self.progress.warn(f"the first round of {n} prompts took {spent} tokens, more than the budget of {tokens}")
        return affordable(n, len(self.todo.prompts), spent, tokens)

    def _drawers(self, n_prompts: int, *, announce: bool) -> dict[Role, Drawer]:
        part = replace(self.todo, prompts=self.todo.prompts[:n_prompts])
        return {
            role: self.drawer(
                engine=engine, role=role, todo=part, run=self.run, progress=self.progress, announce=announce
            )
            for role, engine in self.engines.items()
        }

    def _pilot(self, drawers: Mapping[Role, Drawer]) -> Outcome | None:
        """Draw the checkpoint's first answers alone; return an outcome when the instrument fails on them.

        Such a run says nothing of the model, so conditions and scores would be drawn in vain. The baseline's answers
        are drawn still: whether it was ever otherwise tells a broken model from a wrong token limit.
        """
        ours, samples = drawers["checkpoint"], drawers["checkpoint"].main()
        level = looks.levels([len(samples.groups)], stats.CI_LEVEL, len(self.todo.prompts))[0]
        look = Look(drawers=drawers, drawn={"checkpoint": samples}, level=level, number=1)
        blamed = _blamed(self._judge(look, {"instrument": self.todo.probes["instrument"]}))
        if blamed is None:
            return None
        drawn = dict(look.drawn)
        if "baseline" in drawers:
            self._make_room(ours)
            drawn["baseline"] = drawers["baseline"].main()
        reason = f"not drawn, because {blamed} fired"
        drawn = {role: drawers[role].without_the_rest(of_role, reason) for role, of_role in drawn.items()}
        look = replace(look, drawn=drawn)
        stop, reason = _instrument_failed(blamed)
        return Outcome(look=look, judged=self._judge(look), stop=stop, reason=reason)

    def _all_roles(self, drawers: Mapping[Role, Drawer]) -> dict[Role, Samples]:
        """Draw every role; the baseline first, so that its text is there to be scored."""
        ours, theirs = drawers["checkpoint"], drawers.get("baseline")
        if theirs is None:
            return {"checkpoint": ours.draw()}
        self._make_room(ours)
        base = theirs.draw()
        self._make_room(theirs)
        mine = ours.draw()
        mine = ours.score_other(mine, base)
        self._make_room(ours)
        return {"checkpoint": mine, "baseline": theirs.score_other(base, mine)}

    def _make_room(self, drawer: Drawer) -> None:
        """Free a model before the other role's is loaded, unless both fit."""
        if self._room is None and drawer.asked:
            self._room = drawer.engine.leaves_room
        if self._room is False:
            drawer.engine.close()

    def _judge(self, look: Look, probes: Mapping[str, Probe] | None = None) -> Judged:
        with stats.at_level(look.level):
            return self.judge(self.todo.probes if probes is None else probes, look.drawn)


def affordable(n: int, most: int, spent: int, tokens: int) -> list[int]:
    """Return the prompts of the rounds that a token budget still pays for, at what a prompt has cost so far.

    Parameters
    ----------
    n, most : int
        Prompts so far, and those of the plan.
    spent, tokens : int
        Tokens so far, and those of the budget.
    """
    whole, ahead = min(most, n * tokens // max(spent, 1)), []
    while whole >= LAST_STEP * n:
        n = min(whole, math.ceil(looks.GROWTH * n))
        if whole < LAST_STEP * n:
            n = whole
        ahead.append(n)
    return ahead


def _stop(
    judged: Judged, untested: frozenset[str], drawn: tuple[int, int], settled: bool
) -> tuple[StopWhy, str] | None:
    """Return why a run ends, or None when it goes on; `drawn` are its prompts so far, and those of the budget."""
    n, whole = drawn
    if blamed := _blamed(judged):
        return _instrument_failed(blamed)
    decided = all(is_decided(judged, f, untested) for f in FAILURES)
    if decided and settled:
        return "decided", f"every failure was decided after {n} of at most {whole} prompts"
    still_open = "what else was asked" if decided else "a failure"
    return ("budget", f"the budget of {n} prompts ended with {still_open} undecided") if n == whole else None


def _blamed(judged: Judged) -> str | None:
    """Return the code of the instrument rule that fired."""
    blamed = Hearing(judged.findings).instrument
    return blamed[0].code if blamed else None


def _instrument_failed(code: str) -> tuple[StopWhy, str]:
    return "instrument", f"the instrument failed ({code}), which more of the same would not mend"


def is_decided(judged: Judged, failure: Label, untested: frozenset[str]) -> bool:
    """Return whether no more prompts are needed for the sake of one failure.

    It is present by a decisive rule that fired, not by one that leans; or absent; or untested because this run has no
    decisive rule for it, or because in two looks running the rules lacked an input.

    Parameters
    ----------
    untested : frozenset of str
        The failures that were untested at the look before.
    """
    decisive = Hearing(judged.findings).about(failure, decisive=True)
    status = judged.diagnosis.failures[failure].status
    if status == "present":
        return any(f.status == "fired" for f in decisive)
    return status == "absent" or (failure in _untested(judged) and (not decisive or failure in untested))


def _untested(judged: Judged) -> frozenset[str]:
    standings = judged.diagnosis.failures
    return frozenset(str(f) for f in FAILURES if standings[f].reason.startswith(UNTESTED))
