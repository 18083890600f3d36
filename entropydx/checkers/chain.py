"""Computations in the notation of the `tiny` suite, judged by its own operators, modulo 100.

| form         | what is judged                                                                              |
|--------------|---------------------------------------------------------------------------------------------|
| `equations`  | `37+05=42;` by the operands as they are written, wherever it stands (`wait37+05=42;`)       |
| `values`     | `[42]>[30]>`, each by the value before it and the prompt's next step                        |
| `reductions` | `(42-12)(30)`, each by the bracket before it, the first one by the prompt                   |
| digit-wise   | `hmm3&0=3,7&5=2>32;` by its result `>32;` as a value; equations of single digits are not    |

A wrong value is charged once: what follows is judged by the value that was written. An equation that does the prompt's
next step, and the same equation done again, move the running value on, so that forms can be mixed in one text. `A30.`
alone writes no computation down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from entropydx.protocols import Checker
from entropydx.suites.tiny import COMMUTATIVE, OPERATORS
from entropydx.types import Prompt

Steps = list[tuple[str, int]]
"""Operator and right operand of each step."""

_OPERATOR = "[" + re.escape("".join(OPERATORS)) + "]"
_EXPRESSION = rf"\d\d(?:{_OPERATOR}\d\d)"
_STEP = re.compile(rf"({_OPERATOR})(\d\d)", re.ASCII)
_PROBLEM = re.compile(rf"\s*+({_EXPRESSION}++)=", re.ASCII)
_WRITTEN = re.compile(
    rf"(?<!\d)(?<!{_OPERATOR})(?P<equation>{_EXPRESSION}++)=(?=(?P<result>\d\d)(?!\d))"
    rf"|\((?P<reduction>{_EXPRESSION}*+)\)"
    r"|\[(?P<value>\d\d)\]"
    r"|(?<=\d)>(?P<worked>\d\d)(?=;)",
    re.ASCII,
)
"""One computation; no run of characters is scanned twice, as none may begin inside another."""


def _read(expression: str) -> tuple[int, Steps]:
    """Return the first number of `42-12`, and the steps after it."""
    return int(expression[:2]), [(op, int(b)) for op, b in _STEP.findall(expression)]


@dataclass(slots=True)
class _Walk:
    """How far a text has come: the running value, and the steps of which the first `done` are behind it."""

    value: int
    steps: Steps
    done: int = 0
    last: str = ""
    """The equation that did the last step."""

    def equation(self, written: str, result: int) -> bool:
        """Judge an equation by its own operands."""
        first, steps = _read(written)
        if written == self.last or (len(steps) == 1 and self._is_next(first, *steps[0])):
            self.done += written != self.last
            self.value, self.last = result, written
        for op, b in steps:
            first = OPERATORS[op](first, b)
        return first == result

    def _is_next(self, first: int, op: str, b: int) -> bool:
        if self.done >= len(self.steps) or self.steps[self.done][0] != op:
            return False
        operands = (self.value, self.steps[self.done][1])
        return (first, b) == operands or (op in COMMUTATIVE and (b, first) == operands)

    def reach(self, value: int) -> bool:
        """Judge a running value by the one before it; after the last step there is none that could follow."""
        if self.done >= len(self.steps):
            return False
        op, b = self.steps[self.done]
        expected = OPERATORS[op](self.value, b)
        self.value, self.done, self.last = value, self.done + 1, ""
        return value == expected

    def reduce(self, written: str) -> bool:
        """Judge what is left of the expression after one more step."""
        value, rest = _read(written)
        follows = rest == self.steps[self.done + 1 :]
        right = self.reach(value) and follows
        self.value, self.steps, self.done, self.last = value, rest, 0, ""
        return right


def _begin(prompt: Prompt) -> _Walk | None:
    """Return the walk at its start; None when the prompt is not of the notation."""
    text = prompt.prompt if prompt.prompt is not None else (prompt.messages or ({},))[-1].get("content", "")
    problem = _PROBLEM.match(text)
    return None if problem is None else _Walk(*_read(problem[1]))


def check(prompt: Prompt, text: str) -> tuple[bool, ...]:
    """Return whether each computation in the notation of `tiny` is true, in the order of the text.

    Parameters
    ----------
    prompt : Prompt
        Its text opens with the chain, `37+05-12=`; where it does not, only equations are judged.
    text : str
        Of any length and content.
    """
    walk = _begin(prompt)
    found = []
    for match in _WRITTEN.finditer(text):
        if match["equation"] is not None:
            found.append((walk or _Walk(0, [])).equation(match["equation"], int(match["result"])))
        elif walk is not None and match["reduction"] is not None:
            found.append(walk.reduce(match["reduction"]))
        elif walk is not None:
            found.append(walk.reach(int(match["value"] or match["worked"])))
    return tuple(found)


checker: Checker = check
