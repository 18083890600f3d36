"""Numbers, labels and exit codes as a person reads them, and hostile text made harmless."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Sequence
from enum import Enum
from typing import Any

from entropydx.types import Interval, Label

COUNTS = frozenset({"prompts", "completions"})
"""Units of what is counted: whole numbers have no decimals."""
MAX_DECIMALS = 6
"""Beyond so many decimals a number is written with an exponent."""

EXIT_CODES = {
    0: "healthy",
    1: "a failure was diagnosed",
    2: "could not run",
    3: "inconclusive",
    130: "interrupted; the run can be resumed",
}
_VERDICT_EXITS = {Label.HEALTHY: 0, Label.INCONCLUSIVE: 3}


# ── text from outside ─────────────────────────────────────────────────────────────────────────────


def visible(record: Any) -> Any:
    """Return a copy of a record in which no string can move a cursor, change a colour or hide a character.

    A report quotes model output, prompt ids and file names; everything that is drawn goes through here once.
    """
    if isinstance(record, Enum):
        return record
    if isinstance(record, str):
        return record if record.isprintable() else "".join(map(_visible_character, record))
    if isinstance(record, tuple | list):
        return type(record)(visible(item) for item in record)
    if isinstance(record, dict):
        return {visible(key): visible(item) for key, item in record.items()}
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        fields = dataclasses.fields(record)
        return dataclasses.replace(record, **{f.name: visible(getattr(record, f.name)) for f in fields})
    return record


def visible_lines(text: str) -> str:
    """Return a text as `visible` does, with its lines kept."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\n\u2028\u2029":
        return "↵"
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return chr(0x2400 + ord(character)) if character < " " else "\N{REPLACEMENT CHARACTER}"


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


def decimals(value: float, ci: Interval | None, threshold: float | None = None, unit: str | None = None) -> int:
    """Return how many decimals show two digits of the interval's half-width, or three of the value without one.

    More are given when rounding would put an end of the interval on the other side of the threshold, and none for a
    whole number of what is counted.
    """
    if unit in COUNTS and all(float(x).is_integer() for x in (value, *(ci or ()))):
        return 0
    half = (ci[1] - ci[0]) / 2 if ci else 0.0
    size, digits = (half, 2) if half > 0 else (abs(value) or 1.0, 3)
    places = digits - 1 - math.floor(math.log10(size))
    places = max(places, 0)
    if threshold is not None:
        ends = ci or (value, value)
        while places < MAX_DECIMALS and _sides(ends, threshold) != _sides([round(x, places) for x in ends], threshold):
            places += 1
    return places


def _sides(ends: Sequence[float], threshold: float) -> list[int]:
    return [(x > threshold) - (x < threshold) for x in ends]


def number(value: float, places: int, signed: bool = False) -> str:
    """Return a number at so many decimals."""
    sign = "+" if signed else ""
    return f"{value:{sign}.1e}" if places > MAX_DECIMALS else f"{value:{sign}.{places}f}"


def estimate(value: float, ci: Interval | None, places: int, signed: bool = False) -> str:
    """Return `value [lo, hi]`, or `value (no interval)`."""
    point = number(value, places, signed)
    if ci is None:
        return f"{point} (no interval)"
    lo, hi = (number(x, places, signed) for x in ci)
    return f"{point} [{lo}, {hi}]"


def count(n: float) -> str:
    """Return a count in three digits: 999, 1.23 k, 494 M."""
    for size, suffix in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if n >= size:
            return f"{n / size:.3g}{suffix}" if n / size < 999.5 else f"{n / size:.0f}{suffix}"
    return f"{n:.3g}" if n < 100 else f"{n:.0f}"


def duration(seconds: float) -> str:
    """Return a time span in its two largest units."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# ── labels and exits ──────────────────────────────────────────────────────────────────────────────


def words(label: Label | str) -> str:
    """Return a label as words: `training collapse`."""
    return Label(label).words


def listed(labels: Sequence[Label | str]) -> str:
    """Return labels as words, separated by commas."""
    return ", ".join(map(words, labels))


def exit_meaning(code: int, label: Label) -> str:
    """Return the exit code in words, and where it is not the verdict's own, that it is not."""
    own = _VERDICT_EXITS.get(label, 1)
    if code == own:
        return f"exit code {code}: {'the checkpoint is abnormal' if label is Label.ABNORMAL else EXIT_CODES[code]}"
    meaning = EXIT_CODES.get(code, "unknown") if code else "passed"
    return f"exit code {code}: {meaning}; the verdict alone gives {own}, and --exit-zero or a policy changed it"
