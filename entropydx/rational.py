"""Read a number as an exact fraction: no float is ever made, so 0.1 is one tenth and nan is not a number."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARS = 3000
"""Longest text that is read as a number; well below the 4300 digits of Python's int()."""

MAX_EXPONENT = 300
"""Largest power of ten in scientific notation; 1e999999999 would otherwise fill the memory."""

# Not NFKC: it would turn 5² into 52.
_LOOKALIKES: dict[int, str | None] = {
    **{0xFF10 + digit: str(digit) for digit in range(10)},
    **dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u3000"), " "),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\x00"), None),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], None),
    **{0x2044: "/", 0xFF0E: ".", 0xFF0C: ","},
}

_MARKUP = (
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:!()\[\]]"), ""),
    (re.compile(r"\\?\$"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:boxed|text|mathrm|textbf|mathbf)\s?\{([^{}]{0,200})\}"), r"\1"),
    (re.compile(r"\\%"), "%"),
)
_LATEX_FRACTION = re.compile(
    r"(?P<sign>[-+]?)\s?(?P<whole>\d+)?\s?\\[dt]?frac\s?"
    r"(?:\{\s?(?P<n>-?\d+)\s?\}|(?P<n1>\d))\s?(?:\{\s?(?P<d>\d+)\s?\}|(?P<d1>\d))(?P<unit>.*)",
    re.ASCII | re.DOTALL,
)
_FRACTION = re.compile(
    r"(?P<sign>[-+]?)\s?(?:(?P<whole>\d+)\s)?(?P<n>\d+)\s?/\s?(?P<d>\d+)(?P<unit>.*)", re.ASCII | re.DOTALL
)
_DECIMAL = re.compile(
    r"(?P<sign>[-+]?)\s?[€£¥]?\s?(?P<body>(?:\d{1,3}(?:,\d{3})++|\d++)?(?:\.\d*+)?)"
    r"(?:[eE](?P<exponent>[-+]?\d{1,4})(?!\w))?(?P<unit>.*)",
    re.ASCII | re.DOTALL,
)
# Not possessive: Python 3.11.2 misreads a possessive repeat of alternatives. They exclude each other, so it is linear.
_UNIT = re.compile(r"[%°]?\s*(?!(?:or|and|to)\b)[^\W\d_²³¹⁰⁴-⁹](?:[^\d²³¹⁰⁴-⁹=<>+*\\\n]|(?<=[A-Za-z^])[23](?!\d))*")
_SYMBOLS = frozenset({"%", "°", "€", "£", "¥", ""})
_ALGEBRA = frozenset({"x", "y", "z", "n", "i", "e", "pi", "π"})


def plain(text: str) -> str:
    """Return the text with look-alike digits, minus signs and spaces in ASCII, and invisible characters gone."""
    return text.translate(_LOOKALIKES)


def parse_rational(text: str, *, units: bool = True) -> Fraction | None:
    r"""Return the number that a short text states, exactly; None when it states none.

    Parameters
    ----------
    text : str
        At most `MAX_CHARS` characters: `-1,000.50`, `1/2`, `1 1/2`, `\frac{1}{2}`, `\frac12`, `3e5`, `$30`, `30 km`,
        `30%`, `x = 30`, `3 + 4 = 7` (the last side counts), inside LaTeX or markdown marks or not.
    units : bool
        Whether a unit may follow; it is ignored, and a percent sign is a unit: `30%` is 30, not 0.3. A lone algebraic
        letter (`5x`, `2i`, `3π`) is never a unit.
    """
    if len(text) > MAX_CHARS:
        return None
    text = plain(text)
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    text = text.strip(" *`_").rpartition("=")[2].strip()
    readings = (_fraction(_LATEX_FRACTION, text, units), _fraction(_FRACTION, text, units), _decimal(text, units))
    return next((value for value in readings if value is not None), None)


def _is_unit(rest: str, units: bool) -> bool:
    rest = rest.strip().removesuffix(".")
    if rest == "" or not units:
        return rest == ""
    return rest in _SYMBOLS or (rest not in _ALGEBRA and _UNIT.fullmatch(rest) is not None)


def _fraction(pattern: re.Pattern[str], text: str, units: bool) -> Fraction | None:
    match = pattern.fullmatch(text)
    if match is None or not _is_unit(match["unit"], units):
        return None
    groups = match.groupdict()
    denominator = int(groups["d"] or groups["d1"])
    if denominator == 0:
        return None
    value = int(groups["whole"] or 0) + Fraction(int(groups["n"] or groups["n1"]), denominator)
    return -value if groups["sign"] == "-" else value


def _decimal(text: str, units: bool) -> Fraction | None:
    match = _DECIMAL.fullmatch(text)
    if match is None or not re.search(r"\d", match["body"]) or not _is_unit(match["unit"], units):
        return None
    exponent = int(match["exponent"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    value = Fraction(match["body"].replace(",", "")) * Fraction(10) ** exponent
    return -value if match["sign"] == "-" else value


def format_rational(value: Fraction) -> str:
    """Return one text for each number: `1000`, `0.5` where the decimal ends, else `1/3`."""
    rest, places = value.denominator, 0
    while rest > 1 and (divisor := next((d for d in (10, 5, 2) if rest % d == 0), 0)):
        rest, places = rest // divisor, places + 1
    if rest != 1 or places == 0:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
