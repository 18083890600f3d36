"""Counting words and letters; the counts are drawn first, so that no count is likelier than another."""

from __future__ import annotations

from random import Random
from string import ascii_lowercase

from entropydx.answer_patterns import ANSWER_COUNTS
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item
from entropydx.types import Domain, VerifierSpec

WORDS = ["cat", "dog", "fox", "hen", "owl", "pig", "rat", "bee", "ant", "cow", "elk", "bat"]


class Counting(Family):
    """One word in a list, then three letters in a string, then twelve letters in some 250."""

    name = "counting"
    domain: Domain = "out"
    verifier = VerifierSpec(type="exact", extract=ANSWER_COUNTS)

    def easy(self, rng: Random) -> Item:
        """Count one word, which occurs one to six times."""
        word, *others = rng.sample(WORDS, 4)
        count = rng.randint(1, 6)
        words = [word] * count + rng.choices(others, k=rng.randint(2, 6))
        rng.shuffle(words)
        found = [f"Number {place} is {word}." for place, w in enumerate(words, start=1) if w == word]
        return Item(
            question=f"How many times does the word '{word}' occur in this list: {', '.join(words)}?",
            form="the number",
            answer=str(count),
            steps="\n".join(found),
            guess_rate=1 / 6,
        )

    def medium(self, rng: Random) -> Item:
        """Count three letters, each of which occurs two to eight times, among a fourth."""
        return _letters(rng, n_asked=3, n_others=1, fewest=2, most=8)

    def hard(self, rng: Random) -> Item:
        """Count twelve letters, each of which occurs ten to twenty-nine times."""
        return _letters(rng, n_asked=12, n_others=1, fewest=10, most=29)


def _letters(rng: Random, *, n_asked: int, n_others: int, fewest: int, most: int) -> Item:
    letters = rng.sample(ascii_lowercase, n_asked + n_others)
    counts = {letter: rng.randint(fewest, most) for letter in letters}
    text = [letter for letter, count in counts.items() for _ in range(count)]
    rng.shuffle(text)
    asked = sorted(letters[:n_asked])
    lines = []
    for letter in asked:
        places = [str(place) for place, other in enumerate(text, start=1) if other == letter]
        lines.append(f"{letter} stands at places {', '.join(places)}: {counts[letter]} times.")
    return Item(
        question=f"How many times does each of the letters {', '.join(asked)} occur in '{''.join(text)}'?",
        form=f"the {n_asked} counts in that order, separated by commas",
        answer=", ".join(str(counts[letter]) for letter in asked),
        steps="\n".join(lines),
        guess_rate=(most - fewest + 1.0) ** -n_asked,
    )


suite: Suite = Counting()
