"""Words, a notation of the tiny tier: chains of operations on four letters, `dcab+3<2=`.

In domain `+k` moves every letter k places on in the alphabet `abcde`, and `<k` turns the word k places to the left. Out
of domain `%k` moves the outer two letters alone, and `>k` turns the first three letters k places to the right. The
products `*xy` and `@xy` exchange the halves of the word and look the first one up in a table that the key `xy` names:
one random permutation of the 25 pairs for each of the 25 keys, so there is no rule to learn, and a model that has not
seen an entry guesses among 25. Every step is a bijection, so answers are uniform over 625 words. The forms of a
solution are those of `_notation`.
"""

from __future__ import annotations

import numpy as np

from entropydx.suites._notation import ChainSuite, Notation, Operator

LETTERS = "abcde"
LENGTH = 4
PAIRS = tuple(x + y for x in LETTERS for y in LETTERS)


def _shift(letters: str, k: int) -> str:
    return "".join(LETTERS[(LETTERS.index(letter) + k) % len(LETTERS)] for letter in letters)


def _move_all(word: str, k: str) -> str:
    return _shift(word, int(k))


def _turn(word: str, k: str) -> str:
    return word[int(k) :] + word[: int(k)]


def _move_outer(word: str, k: str) -> str:
    return _shift(word[0], int(k)) + word[1:3] + _shift(word[3], int(k))


def _turn_three(word: str, k: str) -> str:
    return word[3 - int(k) : 3] + word[: 3 - int(k)] + word[3]


def _look_up(seed: int) -> Operator:
    rng = np.random.default_rng((seed, 0x30))
    tables = {key: dict(zip(PAIRS, (PAIRS[i] for i in rng.permutation(len(PAIRS))), strict=True)) for key in PAIRS}
    return lambda word, key: word[2:] + tables[key][word[:2]]


ARGUMENTS: dict[str, tuple[str, ...]] = {
    "+": tuple("1234"),
    "<": tuple("123"),
    "%": tuple("1234"),
    ">": tuple("12"),
    "*": PAIRS,
    "@": PAIRS,
}


def _draw_start(rng: np.random.Generator) -> str:
    return "".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=LENGTH))


def _draw_argument(rng: np.random.Generator, op: str) -> str:
    return ARGUMENTS[op][rng.integers(len(ARGUMENTS[op]))]


def _mistype(word: str, rng: np.random.Generator) -> str:
    """Return one of the four words that differ in the last letter."""
    return word[:-1] + _shift(word[-1], int(rng.integers(1, len(LETTERS))))


WORDS = Notation(
    name="tiny_words",
    checker="words",
    families={"in": "whole words", "out": "parts of words"},
    guess_rate=len(LETTERS) ** -LENGTH,
    mark="Q",
    state=f"[{LETTERS}]{{{LENGTH}}}",
    argument=f"(?:[1-4]|[{LETTERS}]{{2}})",
    operators={
        "+": _move_all,
        "<": _turn,
        "*": _look_up(1),
        "%": _move_outer,
        ">": _turn_three,
        "@": _look_up(2),
    },
    plain={"in": "+<", "out": "%>"},
    product={"in": "*", "out": "@"},
    familiar={"%": "+", ">": "<", "@": "*"},
    draw_start=_draw_start,
    draw_argument=_draw_argument,
    mistype=_mistype,
    pause=",",
)
suite = ChainSuite(WORDS)
