r"""Find the answer that a completion states.

Reasoning is cut off first: everything up to the last `</think>` is no answer, and a `<think>` that is never closed means
that the model had not begun to answer. Then either a regular expression of the suite (first group of its last match), or
the conventions of the field, in this order: `<answer>..</answer>`, the last balanced `\boxed{}`, `#### x`, `Answer: x` or
"answer is x", and for numbers the last number.

A suite's regular expression is code of the user's and can be catastrophic, `(a+)+$` for one, and Python's `re` cannot be
interrupted. Those that can only be cheap run here; all others run in a child process that is killed at a deadline.
"""

from __future__ import annotations

import re

from entropydx.rational import plain
from entropydx.verifier_pool import REGEX_DEADLINE_S, regex_pool
from entropydx.verifier_worker import fullmatch, last_group

MAX_CHARS = 100_000
"""Only the end of a longer text is searched; answers come last."""

CHEAP_CHARS = 8192
"""Longest text on which a pattern with one unbounded quantifier (at most quadratic) runs in this process."""

THINK_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))
"""Opening and closing marks of reasoning."""

_LEAD = r"(?i)\banswer[*_` \t]{0,6}+(?:is\b[ \t]?:?|:|=)"
_OPEN = r"[\s*_`\"'$(\[{]{0,12}+(?:\\(?:boxed|text|mathrm|mathbf|\(|\[)[\s*$({]{0,4}+){0,3}+"
_REFUSAL = r"(?!(?:unknown|unclear|undefined|undetermined|not|none|no|cannot|can't|impossible|n/?a|idk)\b)"
_CLAUSE = r"(?:(?:[a-z'’]{1,16} ){1,4}?(?:is|are|has|have|was|=)[ \t]?:?[ \t]?)?"
_EQUATION = (
    r"(?:[a-z]\w{0,8}+[ \t]?=[\s*$]{0,4}+)?"
    r"(?:[\d \t+*/().,×·÷−-]{1,80}+(?:\\(?:times|cdot|div) ?[\d .,]{1,20}+){0,4}+=[\s*$]{0,4}+)?"
)

ANSWER_NUMBER = rf"{_LEAD}{_OPEN}{_REFUSAL}{_EQUATION}{_CLAUSE}(?:0[bo](?=\d))?([-+−]?\s?\$?\d++(?:,\d\d\d)*+(?:\.\d++)?+(?:/\d++)?+)"
"""`Answer: 42`, `**Answer:** $\\boxed{1,000}$`, `The answer is x = 5`, `Answer: 3 + 4 = 7`; a refusal is no answer."""
ANSWER_WORD = r"(?i:answer)[*_` \t]{0,6}+:" + _OPEN + rf"(?i:{_REFUSAL})([A-Za-z]++)(?![ \t]?[\w'’-])"
"""One word of letters, alone: `Answer: tac`; `Answer: it is tac` is more than one."""
ANSWER_LIST = rf"{_LEAD}{_OPEN}([-\w]++(?:[ \t]?,[ \t]?[-\w]++)++)"
"""Two or more items between commas: `Answer: 3, 5, 9`."""
ANSWER_MOMENT = rf"{_LEAD}{_OPEN}(?:0(?=\d:\d\d\b))?(\d{{4}}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d)?|\d{{1,2}}:\d\d)(?![\d:])"
"""A time `9:05` (a leading zero is dropped), a date `2024-03-17`, or both `2024-03-17 09:05:00`."""

TRUSTED = frozenset({ANSWER_NUMBER, ANSWER_WORD, ANSWER_LIST, ANSWER_MOMENT})
"""Patterns that are known to be linear; a test runs each over a megabyte."""
