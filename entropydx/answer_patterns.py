r"""Regular expressions for the answer line of the built-in suites: `Answer: 42`, however a model dresses it up.

They hardly look elsewhere: a text that does not state an answer has none, so that the share of such texts stays a
measure of the instrument. All quantifiers are bounded or possessive, which keeps each pattern linear.
"""

from __future__ import annotations

LEAD = r"\banswer[*_` \t]{0,6}+(?:is\b[ \t]?:?|:|=)"
"""`Answer:`, `**Answer**:`, `the answer is`."""

_COLON = r"\banswer[*_` \t]{0,6}+(?:is[ \t]?)?:"
_END = r"[ \t*_`\"'.$)\]}]{0,8}+(?:\n|\Z)"
_OPEN = r"[\s*_`\"'$(\[{]{0,12}+(?:\\(?:boxed|text|mathrm|mathbf|\(|\[)[\s*$({]{0,4}+){0,3}+"
_REFUSAL = r"(?!(?:unknown|unclear|undefined|undetermined|not|none|no|cannot|can't|impossible|n/?a|idk)\b)"
_CLAUSE = r"(?:(?:[a-z'’]{1,16} ){1,4}?(?:is|are|has|have|was|=)[ \t]?:?[ \t]?)?"
_EQUATION = (
    r"(?:[a-z]\w{0,8}+[ \t]?=[\s*$]{0,4}+)?"
    r"(?:[\d \t+*/().,×·÷−-]{1,80}+(?:\\(?:times|cdot|div) ?[\d .,]{1,20}+){0,4}+=[\s*$]{0,4}+)?"
)

_AT_THE_END = r"(?:=|\b(?:is|are|has|have)\b)[\s*$\\(]{0,6}+(?=[-+−]?\s?\$?\d[\d,.]{0,60}+[^\d=]{0,40}+\Z)"

ANSWER_NUMBER = (
    rf"(?i)(?:{LEAD}{_OPEN}{_REFUSAL}{_EQUATION}{_CLAUSE}(?:0[bo](?=\d))?|{_AT_THE_END})"
    r"([-+−]?\s?\$?\d++(?:,\d\d\d)*+(?:\.\d++)?+(?:/\d++)?+)"
)
"""`Answer: 42`, `**Answer:** $\\boxed{1,000}$`, `The answer is x = 5`, `Answer: 3 + 4 = 7`; a refusal is no answer.

The number after `=` or `is` that ends the text will do too: small models close with `32 - 9 + 3 = 26` and no more.
"""

ANSWER_WORD = r"(?i)" + _COLON + _OPEN + _REFUSAL + r"(\w++)(?![ \t]?[\w'’-])"
"""One word: `Answer: tac`; `Answer: it is tac` has more than one."""

ANSWER_LIST = (
    rf"(?i)(?:{LEAD}{_OPEN}(?=[-\w]++[ \t]?,)|{_COLON}{_OPEN}{_REFUSAL}(?=[-\w]++{_END}))"
    r"([-\w]++(?:[ \t]?,[ \t]?[-\w]++)*+)"
)
"""Items between commas: `Answer: 3, 5, 9`; or one alone on its line, which is then wrong and not missing."""

ANSWER_COUNTS = (
    rf"(?i)(?:{LEAD}{_OPEN}|\b(?:occurs|appears)[ *]{{1,4}}+(?=\d++[ *]{{1,4}}+times?\b))"
    r"(\d++(?:[ \t]?,[ \t]?\d++)*+)(?![\w.,]*\d)"
)
"""One or more counts between commas: `Answer: 4`, `Answer: 4, 0, 2`, or `it occurs 4 times`."""

ANSWER_MOMENT = (
    r"(?i)"
    + LEAD
    + _OPEN
    + r"(?:0(?=\d:\d\d(?!\d)))?"
    + r"(\d{1,2}:\d\d(?=:00(?!\d))|\d[\d:-]{0,18}+(?:[ T]\d\d?:\d\d:\d\d)?+)(?![ \t]?p\.?m)"
)
"""A time of 24 hours `9:05` (a leading zero is dropped), a date `2024-03-17`, or both, `2024-03-17 09:05:00`."""

TRUSTED = frozenset({ANSWER_NUMBER, ANSWER_WORD, ANSWER_LIST, ANSWER_COUNTS, ANSWER_MOMENT})
"""Patterns that run without a deadline; a test runs each over a megabyte."""
