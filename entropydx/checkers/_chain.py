"""Computations in a notation of the tiny tier, judged by its own operators.

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

from entropydx.suites._notation import Notation
from entropydx.types import Prompt

Steps = list[tuple[str, str]]
"""Operator and argument of each step."""


class ChainChecker:
    """Judges the texts of one notation."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation
        state, argument = notation.state, notation.argument
        symbols = notation.symbols
        operand = rf"(?:{state}|{argument})" if notation.commutative else state
        expression = rf"{operand}(?:{notation.step})"
        self._step = re.compile(rf"({symbols})({argument})", re.ASCII)
        self._problem = re.compile(rf"\s*+({expression}++)=", re.ASCII)
        self._written = re.compile(
            rf"(?<![0-9])(?<!{symbols})(?P<equation>{expression}++)=(?=(?P<result>{state})(?![0-9A-Za-z]))"
            rf"|\((?P<reduction>{state}(?:{notation.step})*+)\)"
            rf"|\[(?P<value>{state})\]"
            rf"|(?<=[0-9])>(?P<worked>{state})(?=;)",
            re.ASCII,
        )
        self._state = re.compile(state, re.ASCII)

    def __call__(self, prompt: Prompt, text: str) -> tuple[bool, ...]:
        """Return whether each computation in the notation is true, in the order of the text.

        Parameters
        ----------
        prompt : Prompt
            Its text opens with the chain, `37+05-12=`; where it does not, only equations are judged.
        text : str
            Of any length and content.
        """
        walk = self._begin(prompt)
        found = []
        for match in self._written.finditer(text):
            if match["equation"] is not None:
                found.append((walk or _Walk(self, "", [])).equation(match["equation"], match["result"]))
            elif walk is not None and match["reduction"] is not None:
                found.append(walk.reduce(match["reduction"]))
            elif walk is not None:
                found.append(walk.reach(match["value"] or match["worked"]))
        return tuple(found)

    def read(self, expression: str) -> tuple[str, Steps]:
        """Return the first state of `42-12`, and the steps after it."""
        start = self._state.match(expression)
        first = start[0] if start else ""
        return first, self._step.findall(expression, len(first))

    def apply(self, op: str, value: str, argument: str) -> str:
        """Return the next state; an empty one follows from no state, and from what is no operand."""
        try:
            return self.notation.operators[op](value, argument)
        except (KeyError, ValueError, IndexError):
            return ""

    def _begin(self, prompt: Prompt) -> _Walk | None:
        """Return the walk at its start; None when the prompt is not of the notation."""
        text = prompt.prompt if prompt.prompt is not None else (prompt.messages or ({},))[-1].get("content", "")
        problem = self._problem.match(text)
        return None if problem is None else _Walk(self, *self.read(problem[1]))


@dataclass(slots=True)
class _Walk:
    """How far a text has come: the running value, and the steps of which the first `done` are behind it."""

    checker: ChainChecker
    value: str
    steps: Steps
    done: int = 0
    last: str = ""
    """The equation that did the last step."""

    def equation(self, written: str, result: str) -> bool:
        """Judge an equation by its own operands."""
        first, steps = self.checker.read(written)
        if written == self.last or (len(steps) == 1 and self._is_next(first, *steps[0])):
            self.done += written != self.last
            self.value, self.last = result, written
        for op, b in steps:
            first = self.checker.apply(op, first, b)
        return first == result

    def _is_next(self, first: str, op: str, b: str) -> bool:
        if self.done >= len(self.steps) or self.steps[self.done][0] != op:
            return False
        operands = (self.value, self.steps[self.done][1])
        return (first, b) == operands or (op in self.checker.notation.commutative and (b, first) == operands)

    def reach(self, value: str) -> bool:
        """Judge a running value by the one before it; after the last step there is none that could follow."""
        if self.done >= len(self.steps):
            return False
        op, b = self.steps[self.done]
        expected = self.checker.apply(op, self.value, b)
        self.value, self.done, self.last = value, self.done + 1, ""
        return value == expected

    def reduce(self, written: str) -> bool:
        """Judge what is left of the expression after one more step."""
        value, rest = self.checker.read(written)
        follows = rest == self.steps[self.done + 1 :]
        right = self.reach(value) and follows
        self.value, self.steps, self.done, self.last = value, rest, 0, ""
        return right
