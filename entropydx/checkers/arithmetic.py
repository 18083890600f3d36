r"""Equations between numbers, `3 + 4 * 2 = 11`, in exact arithmetic.

What counts: two sides with a relation `=` or `≈` between them, numbers on both and an operator on one. Operators are
`+ - * / ^`, their look-alikes (`×`, `·`, `÷`, `−`, ` x `) and LaTeX names (`\times`, `\cdot`, `\div`, `\frac`),
brackets and the usual precedence; thousands may have commas. `a = b = c` is two computations. A number with decimals is
right when the other side rounds to it (`10/3 = 3.33`), and with `≈` a whole number is too (`999 * 1001 ≈ 1,000,000`).

What does not, and is left out rather than called false: anything with a variable (`x + 3 = 7`), `5 = 5`, an expression
without a relation, quotients with a remainder (`17 / 5 = 3 remainder 2`), `mod`, percentages, clock times, decimal
commas, units between the operands, numbers of more than 150 digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from entropydx.protocols import Checker
from entropydx.rational import plain
from entropydx.types import Prompt

MAX_TOKENS = 400
"""Longest side that is evaluated, in numbers and signs."""
MAX_DEPTH = 20
"""Deepest nesting of brackets."""
MAX_BITS = 512
"""Largest numerator or denominator: 154 digits, so that a product of many numbers takes no longer than a sum."""

_SYMBOLS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/", "≅": "≈", "²": "^2", "³": "^3", "…": "..."}
)
_NAMES = {"times": "*", "cdot": "*", "ast": "*", "div": "/", "approx": "≈", "ldots": "...", "dots": "..."}
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?m)^[ \t]{0,20}(?:[-*•>]|[0-9]{1,3}[.)])[ \t]{1,20}"), ""),  # the mark of a list
    (re.compile(r"(?<![0-9)])\*\*|\*\*(?![0-9(])"), ""),  # bold type, and not a power
    (re.compile(r"\\[dt]?frac\{([^{}\n]{1,60})\}\{([^{}\n]{1,60})\}"), r"((\1)/(\2))"),
    (re.compile(r"\^\{([0-9]{1,3})\}"), r"^\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[,;:!$()\[\]]|[$€£¥]|&(?==)"), ""),
    (re.compile(r"(?<=[1-9])([ \t]?)[xX]\1(?=[0-9(])|(?<=[0-9])[ \t][xX][ \t](?=[0-9(])"), "*"),
)
_NAMED = re.compile(r"\\(" + "|".join(_NAMES) + r")(?![a-zA-Z])")
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3}){1,50}+(?![0-9])|[0-9]++)(?:\.[0-9]++)?+(?:\.\.\.)?+"
    r"|(?<![0-9.])\.[0-9]++)"
    r"|(?P<operator>\*\*|[-+*/^])|(?P<bracket>[()])|(?P<relation>(?<![=<>!:])=(?![=>])|≈)|(?P<space>[ \t]++)|(?s:.)"
)
_GLUED_BEFORE = re.compile(r"(?i)(?:[\w)\]}%\\]|[0-9][.,:]|\b(?:mod|plus|minus|times|by|over|of)[ (]?)\Z")
"""What makes the number after it a part of something else."""
_SIGN_BEFORE = re.compile(r"(?:\A|[^\w)\]}%\s]|(?<![0-9])[^\W\d_]{2})[ \t]*\Z|\n[ \t]*\Z")
"""What a sign, and not a difference, may stand after."""
_GLUED_AFTER = re.compile(
    r"(?i)[a-z_%{]|[.,:][0-9]|[ \t]?\\?%|[ \t]?\\(?:frac|sqrt|pi)"
    r"|[ \t]?\(?\\?[pb]?mod|,?[ \t]?\(?(?:with (?:an? )?)?r(?:em|emainder)?\b"
    r"|[ \t](?:plus|minus|times|percent|hundred|thousand|million|billion|dozen|squared|cubed)\b"
)
_WINDOW = 24
"""Characters around an equation that decide whether it stands alone."""

Token = re.Match[str]
Number = int | Fraction
"""Exact; a whole number stays an `int`, which is ten times as fast."""


class _UnreadableError(Exception):
    """A side that is no expression of numbers, or too large a one."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a relation, evaluated."""

    value: Number
    literal: str | None
    """The number as it is written, where that is all there is."""

    def tolerance(self, relation: str) -> Fraction:
        """Return how far the other side may be off: half of the last digit that is given."""
        if self.literal is None:
            return Fraction(0)
        digits, dots, _ = self.literal.replace(",", "").partition("...")
        places = len(digits.partition(".")[2])
        if relation == "=" and places == 0:
            return Fraction(0)
        zeros = 0 if places else len(digits) - len(digits.rstrip("0"))
        return Fraction(10) ** (zeros - places) / (1 if dots else 2)


def _bounded(value: Number) -> Number:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _UnreadableError
    return value


class _Parser:
    """Precedence climbing over the tokens of one side; all values are exact."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self.position, self.depth, self.operators = [*tokens, ""], 0, 0, 0

    def parse(self) -> Number:
        """Return the value of the whole side."""
        value = self._sum()
        if self.position != len(self.tokens) - 1:
            raise _UnreadableError
        return value

    def _accept(self, options: Sequence[str]) -> str:
        token = self.tokens[self.position]
        if token == "" or token not in options:
            return ""
        self.position += 1
        return token

    def _sum(self) -> Number:
        value = self._product()
        while operator := self._accept("+-"):
            self.operators += 1
            term = self._product()
            value = _bounded(value + term if operator == "+" else value - term)
        return value

    def _product(self) -> Number:
        value = self._signed()
        while operator := self._accept("*/"):
            self.operators += 1
            factor = self._signed()
            if operator == "/" and factor == 0:
                raise _UnreadableError
            value = _bounded(value * factor if operator == "*" else Fraction(value) / factor)
        return value

    def _signed(self) -> Number:
        negative = False
        while sign := self._accept("+-"):
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Number:
        value = self._atom()
        if not self._accept(("^", "**")):
            return value
        self.operators += 1
        exponent = self._atom()
        size = max(value.numerator.bit_length(), value.denominator.bit_length())
        if exponent.denominator != 1 or exponent < 0 or size * exponent > MAX_BITS:
            raise _UnreadableError
        return value**exponent.numerator

    def _atom(self) -> Number:
        token = self.tokens[self.position]
        self.position += 1
        if token == "(" and self.depth < MAX_DEPTH:
            self.depth += 1
            value = self._sum()
            if not self._accept(")"):
                raise _UnreadableError
            self.depth -= 1
            return value
        if not token[-1:].isdigit() and not token.endswith("..."):
            raise _UnreadableError
        return _number(token)


def _number(token: str) -> Number:
    digits = token.removesuffix("...").replace(",", "")
    if len(digits) > MAX_BITS * 3 // 10:
        raise _UnreadableError
    return Fraction(digits) if "." in digits else int(digits)


def _is_number(token: str) -> bool:
    return token[:1].isdigit() or token[:1] == "."


def _side(tokens: Sequence[str]) -> _Side | None:
    """Return a side evaluated; None where it cannot be."""
    if not 0 < len(tokens) <= MAX_TOKENS:
        return None
    parser = _Parser(tokens)
    try:
        value = parser.parse()
    except _UnreadableError:
        return None
    literal = next(filter(_is_number, tokens)) if parser.operators == 0 else None
    return _Side(value, literal)


def _runs(text: str) -> Iterator[list[Token]]:
    """Yield the stretches of numbers, signs, brackets and relations, without the spaces in them."""
    run: list[Token] = []
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "space":
            continue
        opens_aside = token[0] == "(" and run and run[-1].end() != token.start() and _ends_operand(run[-1])
        if run and (kind is None or opens_aside):
            yield run
            run = []
        if kind is not None and not opens_aside:
            run.append(token)
    if run:
        yield run


def _ends_operand(token: Token) -> bool:
    return token.lastgroup == "number" or token[0] == ")"


def _split(run: list[Token]) -> tuple[list[list[Token]], list[str]]:
    """Return the sides of a run, and the relations between them."""
    sides: list[list[Token]] = [[]]
    relations = []
    for token in run:
        if token.lastgroup == "relation":
            relations.append(token[0])
            sides.append([])
        else:
            sides[-1].append(token)
    return sides, relations


def _words(side: list[Token]) -> list[str]:
    """Return the tokens of a side as text, with a product written out where a bracket follows without a space."""
    found: list[str] = []
    for i, token in enumerate(side):
        if i and token[0] == "(" and _ends_operand(side[i - 1]):
            found.append("*")
        found.append(token[0])
    return found


def _trim(sides: list[list[Token]]) -> None:
    """Drop brackets that were opened before the first side's expression, or are closed after the last one's."""
    first, last = sides[0], sides[-1]
    unclosed = sum((t[0] == "(") - (t[0] == ")") for t in first)
    lead = next((i for i, t in enumerate(first) if t[0] != "("), len(first))
    del first[: max(0, min(unclosed, lead))]
    while last and last[-1][0] == "(":
        last.pop()
    extra = sum((t[0] == ")") - (t[0] == "(") for t in last)
    while extra > 0 and last and last[-1][0] == ")":
        last.pop()
        extra -= 1


def _stands_alone_before(text: str, side: list[Token]) -> bool:
    start = side[0].start()
    before = text[max(0, start - _WINDOW) : start]
    if side[0].lastgroup == "operator":
        attached = len(side) > 1 and side[1].start() == side[0].end()
        return attached and _SIGN_BEFORE.search(before) is not None
    return _GLUED_BEFORE.search(before) is None


def _stands_alone_after(text: str, side: list[Token]) -> bool:
    end = side[-1].end()
    return _GLUED_AFTER.match(text[end : end + _WINDOW]) is None


def _judge(text: str, run: list[Token]) -> Iterator[bool]:
    """Yield whether each relation of a run holds, where it is one between computed numbers."""
    sides, relations = _split(run)
    if not relations:
        return
    _trim(sides)
    values = [_side(_words(side)) for side in sides]
    if values[0] is not None and not _stands_alone_before(text, sides[0]):
        values[0] = None
    if values[-1] is not None and not _stands_alone_after(text, sides[-1]):
        values[-1] = None
    for relation, left, right in zip(relations, values, values[1:], strict=False):
        if left is None or right is None or (left.literal is not None and right.literal is not None):
            continue
        if relation == "≈" and left.literal is None and right.literal is None:
            continue
        reach = max(left.tolerance(relation), right.tolerance(relation))
        yield -reach <= left.value - right.value <= reach


def _normalise(text: str) -> str:
    text = plain(text).translate(_SYMBOLS)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return _NAMED.sub(lambda match: _NAMES[match[1]], text)


def check(prompt: Prompt, text: str) -> tuple[bool, ...]:
    """Return whether each equation between numbers is true, in the order of the text.

    Parameters
    ----------
    prompt : Prompt
        Not read: an equation is true or false by itself.
    text : str
        Of any length and content; the time is proportional to its length.
    """
    del prompt
    normal = _normalise(text)
    return tuple(verdict for run in _runs(normal) for verdict in _judge(normal, run))


checker: Checker = check
