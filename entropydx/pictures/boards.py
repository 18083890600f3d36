"""All completions of a prompt side by side with the baseline's: what repeated sampling gives."""

from __future__ import annotations

from collections.abc import Sequence

from entropydx.pictures.strips import prompt_text
from entropydx.probes._paired import Paired
from entropydx.types import Answers, Board, Completion, Group

BOARDS = 3
TEXT = 500
"""Characters of a completion."""


def boards(prompt_ids: Sequence[str], part: Paired) -> tuple[Board, ...]:
    """Return the boards of the first of some prompts."""
    wanted = list(dict.fromkeys(prompt_ids))[:BOARDS]
    places = {g.prompt.id: i for i, g in enumerate(part.groups)}
    return tuple(_board(part, places[prompt_id]) for prompt_id in wanted)


def _board(part: Paired, at: int) -> Board:
    group = part.groups[at]
    return Board(
        prompt_id=group.prompt.id,
        prompt=prompt_text(group),
        gold=group.prompt.answer,
        stratum=f"{group.prompt.difficulty}, {'in' if group.prompt.domain == 'in' else 'out of'} domain",
        own=answers(group),
        baseline=None if part.baseline is None else answers(part.baseline[at]),
    )


def answers(group: Group) -> tuple[Answers, ...]:
    """Return the distinct texts of a prompt with how often each was drawn, the commonest first, then as drawn."""
    alike: dict[str, list[Completion]] = {}
    for completion in group.completions:
        alike.setdefault(completion.text, []).append(completion)
    found = [
        Answers(text=text[:TEXT], count=len(same), answer=same[0].answer, grade=same[0].grade, cut=len(text) > TEXT)
        for text, same in alike.items()
    ]
    return tuple(sorted(found, key=lambda a: -a.count))
