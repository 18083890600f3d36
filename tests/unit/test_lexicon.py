"""Lexicon files, and markers in texts that are easy to miscount."""

from pathlib import Path

import pytest

from entropydx.errors import ConfigError
from entropydx.lexicon import MAX_MARKERS, load_lexicon, marker_spans, normalise, substring_count
from entropydx.types import EPISTEMIC_MARKERS


def _words(text: str, *lexicon: str) -> list[str]:
    text = normalise(text)
    return [text[a:b] for a, b, _ in marker_spans(text, lexicon or EPISTEMIC_MARKERS)]


@pytest.mark.parametrize(
    ("text", "whole", "substrings"),
    [
        ("unlikely", 0, 1),
        ("waiting, and it was checked", 0, 2),
        ("Wait, wait. WAIT!", 3, 3),
        ("wait-and-see; a spell-check", 0, 2),
        ("wait - and see; wait—no", 2, 2),
        ("hmm3&0=3,7&5=1,wait7&5=2>32;", 2, 2),
        ("check_sum(x), my_check, recheck", 0, 3),
        ("It might've been; mightn't it?", 1, 2),
        ('(perhaps) *maybe* "actually"', 3, 3),
        ("Alternatively,\nit seems likely", 3, 3),
        ("it does not seem so", 0, 0),
        ("", 0, 0),
    ],
)
def test_both_counts_on_tricky_words(text: str, whole: int, substrings: int) -> None:
    assert len(_words(text)) == whole
    assert substring_count(text, EPISTEMIC_MARKERS) == substrings


@pytest.mark.parametrize(
    ("text", "marker", "whole"),
    [
        ("Hold  on\na  minute, hold onto it", "hold on", 1),
        ("I don’t know. I don't know.", "i don't know", 2),
        ("Может быть, это так; может бытье", "может быть", 1),
        ("答案也许是五", "也许", 1),
        ("かもしれない", "かも", 1),
        ("आप शायद सही हैं; शायदी", "शायद", 1),
        ("peut-être; peut-êtres", "peut-être", 1),
        ("naïf naïf", "naïf", 2),  # composed, and with a combining diaeresis
        ("İstanbul: wait, wait", "wait", 2),
        ("so ... well", "...", 1),
        ("wait a minute", "wait a", 1),
        ("wait and see", "wait a", 0),
    ],
)
def test_markers_of_other_scripts_and_of_several_words(text: str, marker: str, whole: int) -> None:
    assert len(_words(text, normalise(marker))) == whole


def test_overlapping_markers_count_each_and_spans_are_places_in_the_text() -> None:
    text = "İ: Wait a minute"
    assert marker_spans(text, ("wait", "wait a minute")) == [(3, 7, "wait"), (3, 16, "wait a minute")]
    assert substring_count(text, ("wait", "wait a minute")) == 2


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff# doubt\r\n  Wait \r\n\r\nI’m not  sure\r\nwait\r\n #x\r\nШиш\r\n".encode())
    assert load_lexicon(path) == ("wait", "i'm not sure", "шиш")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"wait\nhm\xff\n", "line 2: not UTF-8"),
        (b"# only\n\n", "no marker in it"),
        (b"", "no marker in it"),
        (b"wait\n\x00\x01\n", "line 2: a control character"),
        (b"wait\n" + b"x" * 101, "line 2: 101 characters"),
        (b"".join(b"m%d\n" % i for i in range(MAX_MARKERS + 1)), "line 10001: more than 10,000"),
    ],
)
def test_a_bad_file_is_an_error_that_names_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        load_lexicon(path)
    assert str(path) in error.value.message
    assert error.value.hint


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="lexicon") as error:
        load_lexicon(tmp_path / name)
    assert error.value.hint


def test_ten_thousand_markers_fit(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\n".join(f"m{i}" for i in range(MAX_MARKERS)))
    assert len(load_lexicon(path)) == MAX_MARKERS
