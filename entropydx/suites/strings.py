"""Manipulating strings of lower-case letters."""

from __future__ import annotations

from random import Random
from string import ascii_lowercase

from entropydx.answer_patterns import ANSWER_WORD
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item
from entropydx.types import Domain, VerifierSpec

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
N_HARD = 40


def shift(letter: str, by: int) -> str:
    """Return the letter `by` places further in the alphabet; a follows z."""
    return ascii_lowercase[(ascii_lowercase.index(letter) + by) % 26]


class Strings(Family):
    """Reversing or joining; then reversing and shifting; then shifting by position, reversing and deleting."""

    name = "strings"
    domain: Domain = "out"
    verifier = VerifierSpec(type="exact", extract=ANSWER_WORD)

    def easy(self, rng: Random) -> Item:
        """Reverse a word of four different letters, or join the first or last letters of three words."""
        return _reversed(rng) if rng.random() < 0.5 else _letters_at(rng)

    def medium(self, rng: Random) -> Item:
        """Reverse eight letters and replace each by the next one."""
        word = "".join(rng.choices(ascii_lowercase, k=8))
        back = word[::-1]
        answer = "".join(shift(letter, 1) for letter in back)
        question = (
            f"Reverse the string '{word}', then replace each letter by the next letter of the alphabet (z becomes a)."
        )
        steps = [f"Reversed: {back}", *(f"{letter} becomes {shift(letter, 1)}" for letter in back)]
        return _item(question, answer, steps, 26.0**-8)

    def hard(self, rng: Random) -> Item:
        """Shift forty letters, each by its own place, reverse them, and delete every third."""
        word = "".join(rng.choices(ascii_lowercase, k=N_HARD))
        shifted = "".join(shift(letter, place) for place, letter in enumerate(word, start=1))
        back = shifted[::-1]
        answer = "".join(letter for place, letter in enumerate(back, start=1) if place % 3)
        question = (
            f"Take the string '{word}'. First move its first letter 1 place forward in the alphabet, its second letter "
            f"2 places, its third letter 3 places, and so on (a follows z). Then reverse the result. Then delete every "
            f"third letter of that. What remains?"
        )
        moves = [f"{a} + {place} becomes {b}" for place, (a, b) in enumerate(zip(word, shifted, strict=True), start=1)]
        steps = [*moves, f"Shifted: {shifted}", f"Reversed: {back}", f"Every third letter deleted: {answer}"]
        return _item(question, answer, steps, 26.0 ** -len(answer))


def _reversed(rng: Random) -> Item:
    (first, third), (second, fourth) = rng.sample(CONSONANTS, 2), rng.sample(VOWELS, 2)
    word = f"{first}{second}{third}{fourth}"
    steps = [f"The letters are {', '.join(word)}.", f"From last to first: {', '.join(word[::-1])}."]
    return _item(f"Write the string '{word}' backwards.", word[::-1], steps, 1 / 24)


def _letters_at(rng: Random) -> Item:
    words = [
        "".join(rng.choice(letters) for letters in (CONSONANTS, VOWELS, CONSONANTS, VOWELS, CONSONANTS))
        for _ in range(3)
    ]
    which, place = rng.choice((("first", 0), ("last", -1)))
    answer = "".join(word[place] for word in words)
    steps = [f"The {which} letter of {word} is {word[place]}." for word in words]
    return _item(f"Join the {which} letters of these words in order: {', '.join(words)}", answer, steps, 5.0**-3)


def _item(question: str, answer: str, steps: list[str], guess_rate: float) -> Item:
    return Item(
        question=question,
        form="the resulting string in lower case",
        answer=answer,
        steps="\n".join(steps),
        guess_rate=guess_rate,
    )


suite: Suite = Strings()
