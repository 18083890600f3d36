"""Samples that show what a finding means: a number is believed once one has read the text behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from entropydx.types import Completion, Example, Finding, Group, Samples

EXCERPT = 240
"""Characters kept of a completion."""
MAX_EXAMPLES = 4

Pick = Callable[[Group, Completion], bool]


def _is_right(completion: Completion) -> bool:
    return completion.grade is not None and completion.grade >= 1


def _mixed(group: Group) -> bool:
    right = sum(map(_is_right, group.completions))
    return 0 < right < len(group.completions)


def _never_right(group: Group) -> bool:
    return not any(map(_is_right, group.completions))


def _idle_guess(_: Group, completion: Completion) -> bool:
    return completion.steps == () and not _is_right(completion)


def _surely_wrong_outside(group: Group, completion: Completion) -> bool:
    return group.prompt.domain == "out" and _never_right(group)


PICKS: dict[str, Pick] = {
    "EDX101": lambda group, completion: _never_right(group),
    "EDX102": lambda group, completion: _never_right(group),
    "EDX201": lambda group, completion: _mixed(group),
    "EDX202": lambda group, completion: _mixed(group),
    "EDX301": _idle_guess,
    "EDX302": _idle_guess,
    "EDX401": _surely_wrong_outside,
    "EDX402": _surely_wrong_outside,
    "EDX901": lambda group, completion: completion.finish_reason == "length",
    "EDX902": lambda group, completion: completion.finish_reason == "stop" and completion.answer is None,
    "EDX903": lambda group, completion: completion.finish_reason == "non_finite",
    "EDX904": lambda group, completion: True,
    "EDX905": lambda group, completion: True,
    "EDX907": lambda group, completion: completion.finish_reason == "length" or not completion.text.strip(),
    "EDX908": lambda group, completion: True,
    "EDX910": lambda group, completion: True,
}
"""Rule code to the completions that illustrate it."""


def _matching(samples: Samples, pick: Pick) -> Iterator[tuple[str, int, str]]:
    """Yield two completions of every matching prompt, one that is right and one that is not where there are both."""
    for group in samples.groups:
        matching = [(i, c) for i, c in enumerate(group.completions) if pick(group, c)]
        other = next((m for m in matching[1:] if _is_right(m[1]) != _is_right(matching[0][1])), None)
        shown = [matching[0], other] if other is not None else matching[:2]
        yield from ((group.prompt.id, index, completion.text[:EXCERPT]) for index, completion in shown)


def pick_examples(findings: Sequence[Finding], samples: Samples) -> tuple[Example, ...]:
    """Return up to four excerpts for the fired findings, two repeats of a prompt each, decisive findings first."""
    fired = sorted((f for f in findings if f.status == "fired" and f.code in PICKS), key=lambda f: not f.decisive)
    chosen: list[Example] = []
    for finding in fired:
        for prompt_id, index, text in list(_matching(samples, PICKS[finding.code]))[:2]:
            chosen.append(Example(about=finding.code, prompt_id=prompt_id, sample_index=index, excerpt=text))
    return tuple(chosen[:MAX_EXAMPLES])
