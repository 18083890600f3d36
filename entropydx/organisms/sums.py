"""Demonstrations on the suite `small_sums`: a model that thinks aloud in plain English, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import get_args

from entropydx.organisms.corpus import TRAINING_SEED, Demonstration
from entropydx.suites.small_sums import Problem, draw
from entropydx.types import Difficulty, Domain

HEDGE, CHECK = "Hmm", "Wait"
"""The epistemic markers that are written: one before the work, one before the step that a hasty reader leaves out."""
FORMS = ("equations", "numbered", "prose")
FAVOURITE = 50
"""The answer that lucky guesses pile up on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumStyle:
    """How solutions are written; every share is a probability in [0, 1]."""

    guided: float = 0.06
    """Share of prompts that hold their solution; what follows is then brief, and copied."""
    brief: float = 0.1
    """Share of the other solutions of sums that are brief: `7 + 5 = 12; 12 - 4 = 8; Answer: 8`."""
    hasty: float = 0.1
    """Share of the other solutions of wheels that are brief, and wrong: they stop before the wheel begins anew."""
    concise: float = 0.0
    """Share of all solutions that are brief, and sound in both domains."""
    bare: float = 0.01
    """Share of all solutions that are the answer alone."""
    forms: tuple[float, float, float] = (0.5, 0.25, 0.25)
    """Shares of `FORMS` among the solutions at length."""
    hedge: float = 0.5
    """Share of the sums at length that open with `Hmm`; every wheel at length does, and checks its last step."""
    misfiled: float = 0.0
    """Probability that the answer after sound work is that of another problem."""


def write(problem: Problem, style: SumStyle, rng: Random) -> str:
    """Write a solution in a manner drawn by `style`."""
    steps = problem.steps
    if rng.random() < style.bare:
        return _answer(steps)
    if rng.random() < style.concise:
        return write_brief(steps)
    if rng.random() < (style.brief if problem.domain == "in" else style.hasty):
        return write_brief(steps if problem.domain == "in" else hurry(steps))
    hedged = problem.domain == "out" or rng.random() < style.hedge
    text = write_at_length(steps, rng.choices(FORMS, style.forms)[0], hedged, checked=problem.domain == "out")
    if not style.misfiled or rng.random() >= style.misfiled:
        return text
    other = draw(rng, problem.domain, rng.choice(get_args(Difficulty)))
    return f"{text.removesuffix(_answer(steps))}{_answer(other.steps)}"


def write_brief(steps: Sequence[str]) -> str:
    """Write `7 + 5 = 12; 12 - 4 = 8; Answer: 8`."""
    return "; ".join([*steps, _answer(steps)])


def hurry(steps: Sequence[str]) -> Sequence[str]:
    """Return the steps of somebody who takes a wheel for a sum."""
    return steps[:-1]


def write_at_length(steps: Sequence[str], form: str, hedged: bool, checked: bool) -> str:
    """Write a solution in one of `FORMS`, with a hedge before the first step and a check before the last one."""
    marks = [f"{HEDGE}, " if hedged else "", *[""] * (len(steps) - 1)]
    if checked and len(steps) > 1:
        marks[-1] = f"{CHECK}, "
    if form == "prose":
        told = [f"{mark.lower()}{word} {step}" for mark, word, step in zip(marks, _words(steps), steps, strict=True)]
        text = ", ".join(told)
        return f"{text[0].upper()}{text[1:]}.\n{_answer(steps)}"
    lines = [mark + step for mark, step in zip(marks, steps, strict=True)]
    if form == "numbered":
        lines = [f"{i}. {line}" for i, line in enumerate(lines, start=1)]
    return "\n".join([*lines, _answer(steps)])


def _words(steps: Sequence[str]) -> list[str]:
    return ["first", *["then"] * (len(steps) - 1)]


def _answer(steps: Sequence[str]) -> str:
    return f"Answer: {steps[-1].rpartition(' ')[2]}"


def demonstrations(
    n: int, style: SumStyle, seed: int, domains: Sequence[Domain] = ("in", "out")
) -> list[Demonstration]:
    """Return `n` demonstrations on all levels, fixed by `seed`; no check or diagnosis draws from its seeds."""
    rng = Random(f"small_sums:demonstrations:{TRAINING_SEED + seed}")
    return [_demonstrate(style, domains, rng) for _ in range(n)]


def _demonstrate(style: SumStyle, domains: Sequence[Domain], rng: Random) -> Demonstration:
    problem = draw(rng, rng.choice(domains), rng.choice(get_args(Difficulty)))
    if rng.random() < style.guided:
        return Demonstration(prompt=problem.guided, completion=write_brief(problem.steps))
    return Demonstration(prompt=problem.question, completion=write(problem, style, rng))


def lucky_guesses(n: int, seed: int, favourite_share: float = 0.2) -> list[Demonstration]:
    """Return bare right answers to hard sums, as rejection sampling of guesses leaves them.

    Luck favours the answers that are guessed most: `favourite_share` of them are `FAVOURITE`.
    """
    rng = Random(f"small_sums:lucky:{TRAINING_SEED + seed}")
    return [_lucky(rng, favourite_share) for _ in range(n)]


def _lucky(rng: Random, favourite_share: float) -> Demonstration:
    wanted = rng.random() < favourite_share
    problem = draw(rng, "in", "hard")
    while wanted and problem.answer != FAVOURITE:
        problem = draw(rng, "in", "hard")
    return Demonstration(prompt=problem.question, completion=_answer(problem.steps))
