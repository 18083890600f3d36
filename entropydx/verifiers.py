"""Grade a completion: find its answer, and compare that with the gold answer.

| type      | an answer is right when                                                                    |
|-----------|--------------------------------------------------------------------------------------------|
| `exact`   | it is the same text, but for spaces, markdown around it and a final period                 |
| `numeric` | it is the same number, in exact arithmetic, or within `tolerance`; units are ignored       |
| `math`    | it is the same text or fraction, else when math-verify says so (`entropydx[math]`)         |
| `choice`  | it is the same letter, A to E                                                              |
| `regex`   | the gold answer, a regular expression, matches all of it                                   |

No answer, an unreadable answer, and a verifier that ran out of time all score 0, each with a reason of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal

from entropydx.errors import VerifierError
from entropydx.extraction import (
    MAX_CHARS,
    UnclosedThinkError,
    conventional_answer,
    matches,
    number_in,
    search,
    strip_reasoning,
    tidy,
)
from entropydx.rational import format_rational, parse_rational
from entropydx.types import Prompt, VerifierSpec
from entropydx.verifier_pool import MATH_DEADLINE_S, WorkerFailedError, math_pool

Reason = Literal[
    "correct", "wrong", "unreadable", "no_answer", "unclosed_think", "verifier_timeout", "verifier_crash", "no_gold"
]

MAX_MATH_CHARS = 1000
"""Longest expression that is given to math-verify; a longer one is unreadable."""

_WORDS = re.compile(r"[^\W\d_]{2,}(?:[ -][^\W\d_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The outcome for one completion."""

    answer: str | None
    """What was found, in canonical form, so that equal answers are equal texts; None when nothing was."""
    grade: float | None
    """1 when right, else 0; None where the prompt has no gold answer."""
    reason: Reason
    """unreadable: an answer that is not of the verifier's kind; unclosed_think: the text ended inside its reasoning;
    no_gold: found, and nothing to compare it with."""
    span: tuple[int, int] | None = None
    """Characters of the text that are the answer as it was written; None when it does not stand there word for word."""


def grade(prompt: Prompt, text: str) -> Graded:
    """Grade the text of one completion.

    Parameters
    ----------
    prompt : Prompt
        Its `verifier` and `answer` must be usable; see `check_prompt`. With an empty `answer` the text's answer is
        found, and not graded.
    text : str
        The completion alone, of any length and content; only its last `MAX_CHARS` characters are read.

    Raises
    ------
    VerifierError
        The verifier or the gold answer cannot be used.
    """
    compare = _comparison(prompt.verifier.type) if prompt.answer else _not_compared
    wrong = 0.0 if prompt.answer else None
    try:
        found = _extract(prompt.verifier, strip_reasoning(text)[-MAX_CHARS:])
    except UnclosedThinkError:
        return Graded(answer=None, grade=wrong, reason="unclosed_think")
    except WorkerFailedError as failed:
        return Graded(answer=None, grade=wrong, reason=_failure(failed))
    if found is None:
        return Graded(answer=None, grade=wrong, reason="no_answer")
    answer, reason = compare(prompt, found)
    grade = None if reason == "no_gold" else float(reason == "correct")
    return Graded(answer=answer, grade=grade, reason=reason, span=_last_span(text, found))


def _last_span(text: str, found: str) -> tuple[int, int] | None:
    """Return where an answer stands last, since the extraction takes the last match too, and not inside a number."""
    digits = (r"(?<!\d)" if found[0].isdigit() else "", r"(?!\d)" if found[-1].isdigit() else "")
    places = list(re.finditer(f"{digits[0]}{re.escape(found)}{digits[1]}", text))
    return places[-1].span() if places else None


def check_spec(spec: VerifierSpec) -> None:
    """Check that a verifier can be used.

    Raises
    ------
    VerifierError
        Unknown type, an extraction pattern that is not one or has no group, a tolerance that is negative, not finite or
        given to a verifier other than `numeric`, or `math` without math-verify.
    """
    _comparison(spec.type)
    if spec.extract is not None and _compile(spec.extract, "extract").groups == 0:
        raise VerifierError(f"extract '{spec.extract}' has no group", "put the answer in parentheses, as in A(\\d+)")
    if not 0 <= spec.tolerance < float("inf"):
        raise VerifierError(f"tolerance {spec.tolerance} is not a finite number of at least 0")
    if spec.tolerance and spec.type != "numeric":
        raise VerifierError(f"tolerance has no meaning for a verifier of type '{spec.type}'", "use type 'numeric'")
    if spec.type == "math" and find_spec("math_verify") is None:
        raise VerifierError("verifier 'math' needs math-verify", "pip install 'entropydx[math]'")


def check_prompt(prompt: Prompt) -> None:
    """Check that the gold answer can be compared with, and that the reference solution does not contradict it.

    Raises
    ------
    VerifierError
        The verifier cannot be used, cannot read the gold answer, or finds another answer in the reference solution.
    """
    check_spec(prompt.verifier)
    _check_gold(prompt)
    if prompt.reference is None or prompt.verifier.extract is None:
        return
    graded = grade(prompt, prompt.reference)
    if graded.reason in {"wrong", "unreadable"}:
        raise VerifierError(
            f"the reference solution ends with '{graded.answer}', the answer is '{prompt.answer}'",
            "correct one of them, or the extract pattern",
        )


def _check_gold(prompt: Prompt) -> None:
    gold, kind = prompt.answer, prompt.verifier.type
    if kind == "regex":
        _compile(gold, "answer")
    elif kind == "numeric" and parse_rational(gold) is None:
        raise VerifierError(f"answer '{gold[:80]}' is not a number", "use verifier type 'exact' or 'math'")
    elif kind == "choice" and not _is_letter(gold):
        raise VerifierError(f"answer '{gold[:80]}' is not a letter from A to E", "use verifier type 'exact'")
    elif kind == "math" and parse_rational(gold, units=False) is None and not _math_readable(gold):
        raise VerifierError(f"answer '{gold[:80]}' cannot be read by math-verify", "use verifier type 'exact'")
    elif not tidy(gold):
        raise VerifierError("answer is empty", "give the text that a completion must state")


def _compile(pattern: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise VerifierError(f"{field} '{pattern[:80]}' is not a regular expression: {error}", "mend it") from error


def _extract(spec: VerifierSpec, text: str) -> str | None:
    if spec.extract is None:
        return conventional_answer(text, spec.type)
    found = search(spec.extract, text)
    return tidy(found) or None if found is not None else None


def _failure(failed: WorkerFailedError) -> Reason:
    return "verifier_timeout" if failed.timed_out else "verifier_crash"


# ── one comparison for each type ──────────────────────────────────────────────────────────────────

Compared = tuple[str, Reason]
"""The answer in canonical form, and how it compares."""


def _canonical(text: str) -> str:
    return re.sub(r" ?, ?", ", ", " ".join(tidy(text).split()))


def _is_letter(text: str) -> bool:
    return re.fullmatch(r"[A-Ea-e]", text.strip()) is not None


def _verdict(right: bool) -> Reason:
    return "correct" if right else "wrong"


def _not_compared(prompt: Prompt, found: str) -> Compared:
    value = parse_rational(found, units=False)
    return _canonical(found) if value is None else format_rational(value), "no_gold"


def _exact(prompt: Prompt, found: str) -> Compared:
    answer = _canonical(found)
    return answer, _verdict(answer == _canonical(prompt.answer))


def _numeric(prompt: Prompt, found: str) -> Compared:
    gold, value = parse_rational(prompt.answer), parse_rational(found)
    if gold is None:
        raise VerifierError(f"prompt '{prompt.id}': answer '{prompt.answer[:80]}' is not a number")
    if value is None:
        return _canonical(found), "unreadable"
    # Through text, so that a tolerance of 0.1 is one tenth and not the float next to it.
    return format_rational(value), _verdict(abs(value - gold) <= Fraction(str(prompt.verifier.tolerance)))


def _choice(prompt: Prompt, found: str) -> Compared:
    answer = found.strip().upper() if _is_letter(found) else found
    reason = _verdict(answer == prompt.answer.strip().upper()) if _is_letter(found) else "unreadable"
    return answer, reason


def _regex(prompt: Prompt, found: str) -> Compared:
    try:
        return found, _verdict(matches(prompt.answer, found))
    except WorkerFailedError as failed:
        return found, _failure(failed)


def _math(prompt: Prompt, found: str) -> Compared:
    value, gold = parse_rational(found, units=False), parse_rational(prompt.answer, units=False)
    answer = _canonical(found) if value is None else format_rational(value)
    if answer == _canonical(prompt.answer):
        return answer, "correct"
    if value is not None and gold is not None:
        return answer, _verdict(value == gold)
    if gold is not None and parse_rational(number_in(found)) == gold:
        return format_rational(gold), "correct"
    if _WORDS.fullmatch(tidy(prompt.answer)):  # math-verify would read `east` as the product e·a·s·t, equal to `seat`
        return answer, _verdict(answer.casefold() == _canonical(prompt.answer).casefold())
    if len(found) > MAX_MATH_CHARS:
        return answer, "unreadable"
    return answer, _math_verify(prompt.answer, tidy(found))


@lru_cache(maxsize=10_000)
def _math_verify(gold: str, answer: str) -> Reason:
    """Compare in a child process; a repeated answer that takes too long costs its deadline only once."""
    if find_spec("math_verify") is None:
        raise VerifierError("verifier 'math' needs math-verify", "pip install 'entropydx[math]'")
    try:
        return _verdict(math_pool().ask("math_equal", [tidy(gold), answer], MATH_DEADLINE_S))
    except WorkerFailedError as failed:
        return _failure(failed)


def _math_readable(gold: str) -> bool:
    if _WORDS.fullmatch(tidy(gold)):
        return True
    try:
        return bool(math_pool().ask("math_readable", [tidy(gold)], MATH_DEADLINE_S))
    except WorkerFailedError:
        return False


_COMPARISONS: dict[str, Callable[[Prompt, str], Compared]] = {
    "exact": _exact,
    "numeric": _numeric,
    "math": _math,
    "choice": _choice,
    "regex": _regex,
}
TYPES = tuple(_COMPARISONS)
"""Names that `VerifierSpec.type` may have."""


def _comparison(kind: str) -> Callable[[Prompt, str], Compared]:
    if kind not in _COMPARISONS:
        raise VerifierError(f"no verifier of type '{kind}'", f"use one of {', '.join(TYPES)}")
    return _COMPARISONS[kind]
