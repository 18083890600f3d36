r"""Whether a completion changes its mind after an epistemic marker: by its stated answer, or by a computation.

*Answer*: what the verifier finds in the text before a marker differs from the completion's final answer. Only an answer
that is stated counts: text goes on behind the marker, so a number that a verifier would take because the text ends with
it is not one, and without a pattern of the suite only marked answers (`\boxed{}`, `Answer: x`, `#### x`) are.
*Computation*: the same left-hand side gets two results with a marker between them, `37+05=41;wait37+05=42;`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from entropydx import verifiers
from entropydx.extraction import MAX_CHARS, THINK_TAGS, stated_answer
from entropydx.rational import parse_rational
from entropydx.types import Completion, Prompt

MAX_MARKERS = 8
"""Markers of one completion, its last ones, before which an answer is looked for: each may cost one grading."""

_GOES_ON = "\n" + 64 * "…"
"""Stands for the rest of the text: longer than what the suites' patterns allow between an answer and the end."""
_OPERATION = r"(?:[^\w\s;:=,.!?<>()\[\]{}\"'`$|\\]|[ \t]x(?=[ \t])|\\(?:times|cdot|div)\b)"
_NUMBER = r"\d++(?:\.\d++)?+"
_EQUATION = re.compile(
    rf"(?<![\d.])(?P<left>{_NUMBER}(?:[ \t]?{_OPERATION}[ \t]?{_NUMBER}){{1,20}}+)[ \t]?=[ \t]?"
    rf"(?P<right>[-−]?\d++(?:,\d\d\d(?!\d))*+(?:\.\d++)?+)"
)

Span = tuple[int, int, str]
"""Start, end and marker, as `lexicon.marker_spans` returns them."""


def corrects_itself(prompt: Prompt, completion: Completion, text: str, markers: Sequence[Span]) -> bool:
    """Return whether an answer or a computation changes across a marker.

    Parameters
    ----------
    text : str
        The completion's text, as the markers' places refer to it.
    markers : sequence of (start, end, marker)
        In the order of the text.
    """
    return recomputes(text, markers) or _answer_changes(prompt, completion, text, markers)


def recomputes(text: str, markers: Sequence[Span]) -> bool:
    """Return whether two equations with equal left-hand sides and different results stand around a marker."""
    last: dict[str, tuple[int, str]] = {}
    for match in _EQUATION.finditer(text):
        left = re.sub(r"\s", "", match["left"])
        end, result = last.get(left, (0, match["right"]))
        if not _same(result, match["right"]) and any(end <= m[0] and m[1] <= match.start() for m in markers):
            return True
        last[left] = match.end(), match["right"]
    return False


def _same(a: str, b: str) -> bool:
    """Return whether two results are the same number, or the same to the decimals of the one that has fewer."""
    first, second = parse_rational(a), parse_rational(b)
    if first is None or second is None or first == second:
        return first == second
    decimals = min(len(number.partition(".")[2]) for number in (a, b))
    return decimals > 0 and abs(first - second) < Fraction(1, 10**decimals)


def _answer_changes(prompt: Prompt, completion: Completion, text: str, markers: Sequence[Span]) -> bool:
    """Return whether an answer stated before one of the last markers is not the final one."""
    if completion.answer is None:
        return False
    same = {completion.answer, None, ""}
    for start, _, _ in markers[-MAX_MARKERS:]:
        before = _said(text[:start])
        if prompt.verifier.extract is None:
            stated = stated_answer(before)
            if stated in same:  # comparing expressions takes tens of milliseconds
                continue
            same.add(stated)
        if _differs(prompt, completion, before):
            return True
    return False


def _said(text: str) -> str:
    """Return the end of a text without the marks of reasoning: what is said while reasoning is said."""
    for tag in (tag for pair in THINK_TAGS for tag in pair):
        text = text.replace(tag, "\n")
    return text[-MAX_CHARS:]


def _differs(prompt: Prompt, completion: Completion, before: str) -> bool:
    """Return whether a text states an answer other than the completion's; two answers that are right are one."""
    graded = verifiers.grade(prompt, before + _GOES_ON)
    both_right = all(grade is not None and grade >= 1 for grade in (graded.grade, completion.grade))
    return graded.answer is not None and graded.answer != completion.answer and not both_right
