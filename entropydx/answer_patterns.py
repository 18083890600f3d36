r"""Regular expressions for the answer line of the built-in suites: `Answer: 42`, however a model dresses it up.

They look nowhere else: a text without an answer line has no answer, so that the share of completions without one stays
a measure of the instrument. All quantifiers are bounded or possessive, which keeps each pattern linear.
"""

from __future__ import annotations

LEAD = r"(?i)\banswer[*_` \t]{0,6}+(?:is\b[ \t]?:?|:|=)"
"""`Answer:`, `**Answer**:`, `the answer is`."""

_COLON = r"(?i)\banswer[*_` \t]{0,6}+(?:is[ \t]?)?:"
_END = r"[ \t*_`\"'.$)\]}]{0,8}+(?:\n|\Z)"
_OPEN = r"[\s*_`\"'$(\[{]{0,12}+(?:\\(?:boxed|text|mathrm|mathbf|\(|\[)[\s*$({]{0,4}+){0,3}+"
_REFUSAL = r"(?!(?:unknown|unclear|undefined|undetermined|not|none|no|cannot|can't|impossible|n/?a|idk)\b)"
_CLAUSE = r"(?:(?:[a-z'’]{1,16} ){1,4}?(?:is|are|has|have|was|=)[ \t]?:?[ \t]?)?"
_EQUATION = (
    r"(?:[a-z]\w{0,8}+[ \t]?=[\s*$]{0,4}+)?"
    r"(?:[\d \t+*/().,×·÷−-]{1,80}+(?:\\(?:times|cdot|div) ?[\d .,]{1,20}+){0,4}+=[\s*$]{0,4}+)?"
)

ANSWER_NUMBER = (
    LEAD
    + _OPEN
    + _REFUSAL
    + _EQUATION
    + _CLAUSE
    + r"(?:0[bo](?=\d))?([-+−]?\s?\$?\d++(?:,\d\d\d)*+(?:\.\d++)?+(?:/\d++)?+)"
)
"""`Answer: 42`, `**Answer:** $\\boxed{1,000}$`, `The answer is x = 5`, `Answer: 3 + 4 = 7`; a refusal is no answer."""

ANSWER_WORD = _COLON + _OPEN + _REFUSAL + r"(\w++)(?![ \t]?[\w'’-])"
"""One word: `Answer: tac`; `Answer: it is tac` has more than one."""

ANSWER_LIST = _COLON + _OPEN + rf"((?:[-\w]++[ \t]?,[ \t]?)++[-\w]++|{_REFUSAL}[-\w]++(?={_END}))"
"""Items between commas: `Answer: 3, 5, 9`; or one alone on its line, which is then wrong and not missing."""

ANSWER_COUNTS = LEAD + _OPEN + r"(\d++(?:[ \t]?,[ \t]?\d++)*+)(?![\w.,]*\d)"
"""One or more counts between commas: `Answer: 4` or `Answer: 4, 0, 2`."""

ANSWER_MOMENT = (
    LEAD
    + _OPEN
    + r"(?:0(?=\d:\d\d(?!\d)))?"
    + r"(\d{1,2}:\d\d(?=:00(?!\d))|\d[\d:-]{0,18}+(?:[ T]\d\d?:\d\d:\d\d)?+)(?![ \t]?p\.?m)"
)
"""A time of 24 hours `9:05` (a leading zero is dropped), a date `2024-03-17`, or both, `2024-03-17 09:05:00`."""

TRUSTED = frozenset({ANSWER_NUMBER, ANSWER_WORD, ANSWER_LIST, ANSWER_COUNTS, ANSWER_MOMENT})
"""Patterns that run without a deadline; a test runs each over a megabyte."""
