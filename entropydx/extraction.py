r"""Find the answer that a completion states.

Reasoning is cut off first: everything up to the last `</think>` is no answer, and a `<think>` that is never closed
means that the model had not begun to answer. Then comes either a regular expression of the suite (first group of its
last match), or the conventions of the field, in this order: `<answer>..</answer>`, the last balanced `\boxed{}`,
`#### x`, `Answer: x` or "answer is x"; for numbers then the last number, for choices the last `(B)`, for other answers
a text of one line. Where a convention is used and states nothing, or says that the answer is unknown, there is no
answer: the next is not tried.

A suite's regular expression is code of the user's and can be catastrophic, `(a+)+$` for one, and Python's `re` cannot
be interrupted. Those that can only be cheap run here; all others run in a child process that is killed at a deadline.
"""

from __future__ import annotations

import re

from entropydx.answer_patterns import LEAD, TRUSTED
from entropydx.rational import plain
from entropydx.verifier_pool import REGEX_DEADLINE_S, regex_pool
from entropydx.verifier_worker import fullmatch, last_group

MAX_CHARS = 100_000
"""Only the end of a longer text is searched; answers come last."""

CHEAP_CHARS = 4096
"""Longest text on which a pattern with one unbounded quantifier (at most quadratic) runs in this process."""

CHEAP_CHOICES = 4
"""Most `?` and `|` of such a pattern; each can double the work."""

MAX_LINE = 200
"""Longest one-line completion that is itself the answer."""

THINK_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))
"""Opening and closing marks of reasoning."""

_ANSWER_TAG = re.compile(r"(?i)<answer>([^<]{0,2000})</answer>")
_BRACES = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{|\\[{}]|[{}]")
_HASHES = re.compile(r"####[ \t]*([^\n]{0,2000})")
_ANSWER_LINE = re.compile(LEAD + r"[\s*_]{0,12}+([^\n]{0,2000})", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"(?i)(?:that )?(?:it )?(?:is )?(?:unknown|unclear|undetermined|n/a|idk|unable|impossible to|"
    r"i (?:do not|don['’]t) know|not (?:known|given|clear|sure|certain|possible|enough)|"
    r"(?:cannot|can['’]t|could not) be)\b"
)
_NUMBER = re.compile(r"(?:(?<![\w)\].])[-+])?(?<![\w.])\$?\d++(?:,\d\d\d)*+(?:\.\d++)?+(?:\s?/\s?\d++)?+%?", re.ASCII)
_SENTENCE = re.compile(r"(?:[A-Za-z'’,:;]{1,20}+\s){1,12}+(?=[-+]?\$?\d)(.*)", re.DOTALL)
_CHOICE = re.compile(r"\W{0,4}(?:(?:option|choice|letter)\s)?\(?([A-E])(?=\W*$|[).:]|\s*[-–—])", re.IGNORECASE)
_CHOICE_IN_TEXT = re.compile(r"\(([A-E])\)")
_ESCAPE_OR_CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\d*\}")
_DECORATION = " \t\r\n*_`\"'$"


class UnclosedThinkError(Exception):
    """The completion ended inside its reasoning."""


def strip_reasoning(text: str) -> str:
    """Return what follows the reasoning.

    Raises
    ------
    UnclosedThinkError
        Reasoning was opened and never closed, so that the answer was not begun.
    """
    for opening, closing in THINK_TAGS:
        text = text.rpartition(closing)[2]
        if opening in text:
            raise UnclosedThinkError
    return text


def is_cheap(pattern: str, n_chars: int) -> bool:
    """Return whether a valid pattern can only take polynomial time, and little of it, on a text of `n_chars`.

    Conservative: at most `CHEAP_CHOICES` of `?` and `|`, no quantified group, and at most one `*`, `+` or `{m,n}`,
    that one only on a text of at most `CHEAP_CHARS`.
    """
    bare = _ESCAPE_OR_CLASS.sub("x", pattern).replace("(?", "(")
    if re.search(r"\)\s*[*+{]", bare) or bare.count("?") + bare.count("|") > CHEAP_CHOICES:
        return False
    unbounded = len(_UNBOUNDED.findall(bare))
    return unbounded == 0 or (unbounded == 1 and n_chars <= CHEAP_CHARS)


def search(pattern: str, text: str) -> str | None:
    """Return the first group of a suite's pattern in its last match, here or in a child with a deadline.

    Raises
    ------
    WorkerFailedError
        The pattern took longer than `REGEX_DEADLINE_S` seconds.
    """
    if pattern in TRUSTED or is_cheap(pattern, len(text)):
        return last_group(pattern, text)
    found: str | None = regex_pool().ask("last_group", [pattern, text], REGEX_DEADLINE_S)
    return found


def matches(pattern: str, text: str) -> bool:
    """Return whether a suite's pattern matches the whole text, with the bounds of `search`."""
    if is_cheap(pattern, len(text)):
        return fullmatch(pattern, text)
    return bool(regex_pool().ask("fullmatch", [pattern, text], REGEX_DEADLINE_S))


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{}` whose braces balance, in one pass; None when there is none."""
    found = None
    opened: list[int | None] = []
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            opened.append(None)
        elif len(token[0]) > 2:
            opened.append(token.end())
        elif token[0] == "}" and opened and (start := opened.pop()) is not None:
            found = text[start : token.start()]
    return found


def tidy(answer: str) -> str:
    r"""Return an answer without the marks around it: spaces, markdown, quotes, dollars, `\boxed{}`, a final period."""
    answer = plain(answer).strip(_DECORATION)
    for _ in range(4):
        wrapped = re.fullmatch(r"(?:\\[(\[])?\s?\\(?:boxed|text|mathrm)\{(.*)\}\s?(?:\\[)\]])?\.?", answer, re.DOTALL)
        if wrapped is None:
            break
        answer = wrapped[1].strip(_DECORATION)
    return re.sub(r"(?<!\.)\.$", "", answer).strip(_DECORATION)


def stated_answer(text: str) -> str | None:
    """Return the answer that a text marks as such, tidied; empty when that is empty or unknown, None without a mark."""
    found = _last(_ANSWER_TAG, text)
    found = last_boxed(text) if found is None else found
    found = _last(_HASHES, text) if found is None else found
    if found is None and (line := _last(_ANSWER_LINE, text)) is not None:
        found = re.split(r"\.\s", line, maxsplit=1)[0]
    if found is None:
        return None
    answer = tidy(found)
    return "" if _NO_ANSWER.match(answer) else answer


def conventional_answer(text: str, verifier: str) -> str | None:
    """Return the answer by the conventions of a verifier type; None when there is none.

    Parameters
    ----------
    text : str
        Completion without its reasoning.
    verifier : str
        exact, numeric, math, choice or regex.
    """
    stated = stated_answer(text)
    if verifier in {"numeric", "math"}:
        stated = _last(_NUMBER, plain(text)) if stated is None else stated
        stated = number_in(stated) if verifier == "numeric" and stated else stated
    elif verifier == "choice":
        stated = _choice(text, stated)
    elif stated is None:
        whole = tidy(text)
        stated = whole if "\n" not in whole and len(whole) <= MAX_LINE else None
    return stated or None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = None
    for match in pattern.finditer(text):
        found = match[pattern.groups]
    return found


def number_in(stated: str) -> str:
    """Return the number, with its unit, of a plain sentence, `There are 42 apples`; any other text as it is."""
    sentence = _SENTENCE.fullmatch(stated)
    return sentence[1] if sentence else stated


def _choice(text: str, stated: str | None) -> str | None:
    letter = _CHOICE.match(tidy(text) if stated is None else stated)
    if letter is not None and not (stated is None and letter[0].startswith("(")):  # (A) may only open a discussion
        return letter[1].upper()
    return _last(_CHOICE_IN_TEXT, text) if stated is None else stated
