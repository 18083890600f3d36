"""Epistemic markers: the file that lists them, and where they stand in a text.

A text is counted in two ways. `substring_count` is that of the reference implementation of arXiv:2603.24472: lower-case
substrings, so that `unlikely`, `waiting` and `checked` count. `marker_spans` finds whole markers only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from io import StringIO
from pathlib import Path

from entropydx.errors import ConfigError

MAX_MARKERS = 10_000
MAX_CHARS = 100
"""Longest marker; a longer line is a sentence, and the file something else than a lexicon."""

_MEND = "one marker a line, as UTF-8 text; lines that begin with # are comments"
_HYPHENS = "-‐‑"
_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff]"
)
"""Scripts that put no spaces between words (Thai, Lao, Tibetan, Burmese, Khmer, kana, Han): there a marker has no
border to look for. Hangul has spaces, but its particles are written on to the word."""


def normalise(text: str) -> str:
    """Return a text in the form that markers are looked for in: composed characters (NFC), one sort of apostrophe."""
    return unicodedata.normalize("NFC", text).replace("’", "'")


def load_lexicon(path: str | Path) -> tuple[str, ...]:
    """Read a lexicon: one marker a line; blank lines and lines that begin with `#` are ignored.

    Returns
    -------
    tuple of str
        Lower-case, trimmed, without duplicates, in the order of the file.

    Raises
    ------
    ConfigError
        The file cannot be read, is not UTF-8 text, names no marker, more than 10,000, or one longer than 100
        characters; the message names file and line.
    """
    markers: dict[str, None] = {}
    for number, line in enumerate(StringIO(_text(Path(path)), newline=None), start=1):
        marker = " ".join(normalise(line).lower().split())
        if not marker or marker.startswith("#"):
            continue
        _check_marker(f"lexicon {path}, line {number}", marker)
        markers[marker] = None
        if len(markers) > MAX_MARKERS:
            raise ConfigError(
                f"lexicon {path}, line {number}: more than {MAX_MARKERS:,} markers", "keep the words that express doubt"
            )
    if not markers:
        raise ConfigError(f"lexicon {path}: no marker in it", _MEND)
    return tuple(markers)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"lexicon {path}: {reason}", "give a text file, one marker a line") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"lexicon {path}, line {line}: not UTF-8", "save the file as UTF-8 text") from error


def _check_marker(where: str, marker: str) -> None:
    if any(unicodedata.category(c) == "Cc" for c in marker):
        raise ConfigError(f"{where}: a control character", _MEND)
    if len(marker) > MAX_CHARS:
        raise ConfigError(f"{where}: {len(marker)} characters, a marker has at most {MAX_CHARS}", _MEND)


def substring_count(text: str, lexicon: Sequence[str]) -> int:
    """Return how often the markers occur as lower-case substrings, summed over markers, as the paper's script counts.

    Overlapping markers (`wait`, `wait a minute`) count each; occurrences of one marker do not overlap.
    """
    lowered = text.lower()
    return sum(lowered.count(marker.lower()) for marker in lexicon)


def marker_spans(text: str, lexicon: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return start, end and marker of every whole marker in a text, in the order of the text.

    Upper and lower case are one, and any white space may stand inside a marker of several words. A marker is whole when
    no letter, combining mark or underscore touches it, nor a hyphen with a letter behind it: `Wait,` and `wait37+5`
    count, `waiting`, `unlikely`, `check_sum` and `wait-and-see` do not. In scripts without spaces every occurrence
    counts. As in `substring_count`, overlapping markers count each.

    Parameters
    ----------
    text : str
        Normalised; the spans are places in this text.
    """
    lowered = _lower(text)
    return sorted(
        (match.start(), match.end(), marker)
        for marker in lexicon
        for match in _pattern(marker).finditer(lowered)
        if _is_whole(lowered, match.start(), match.end())
    )


def _lower(text: str) -> str:
    """Return a text in lower case, as long as it was: `İ` would become two characters."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


@lru_cache(maxsize=MAX_MARKERS)
def _pattern(marker: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(re.escape(word) for word in marker.lower().split()))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Return whether nothing of the same word touches a place of a text."""
    return not (_goes_on(text, start, start - 1, -1) or _goes_on(text, end - 1, end, 1))


def _goes_on(text: str, edge: int, at: int, step: int) -> bool:
    """Return whether the word at `edge` goes on at the next place, `at`, in the direction of `step`."""
    if not _is_letter(text, edge) or _WITHOUT_SPACES.match(text[edge]):
        return False
    if 0 <= at < len(text) and text[at] in _HYPHENS:
        return _is_letter(text, at + step)
    return _is_letter(text, at) or text[at : at + 1] == "_"


def _is_letter(text: str, at: int) -> bool:
    """Return whether a letter, or a mark that combines with one, stands at a place; there is none outside the text."""
    return 0 <= at < len(text) and unicodedata.category(text[at])[0] in "LM"
