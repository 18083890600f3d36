"""Ordering puzzles: clues about pairs fix one order, and the answer is all of it."""

from __future__ import annotations

from itertools import pairwise
from math import factorial
from random import Random

from entropydx.answer_patterns import ANSWER_LIST
from entropydx.protocols import Suite
from entropydx.suites._common import NAMES, Family, Item
from entropydx.types import Domain, VerifierSpec

RELATIONS = (("taller", "shorter"), ("older", "younger"), ("faster", "slower"), ("heavier", "lighter"))
SUPERLATIVES = {word: f"{word[:-2]}est" for pair in RELATIONS for word in pair}


class Logic(Family):
    """Four people; then seven, with clues in both directions and some to spare; then twenty-six by places apart."""

    name = "logic"
    domain: Domain = "out"
    verifier = VerifierSpec(type="exact", extract=ANSWER_LIST)

    def easy(self, rng: Random) -> Item:
        """Order four people by three comparisons of neighbours."""
        order = rng.sample(NAMES, 4)
        return _comparisons(rng, order, [(i, i + 1) for i in range(3)], both_ways=False)

    def medium(self, rng: Random) -> Item:
        """Order seven people by eight comparisons, two of them redundant."""
        order = rng.sample(NAMES, 7)
        pairs = [(i, i + 1) for i in range(6)]
        pairs += rng.sample([(i, j) for i in range(7) for j in range(i + 2, 7)], 2)
        return _comparisons(rng, order, pairs, both_ways=True)

    def hard(self, rng: Random) -> Item:
        """Order twenty-six people by one place and a chain of twenty-five distances."""
        order = rng.sample(NAMES, len(NAMES))
        chain = rng.sample(order, len(order))
        place = {name: i for i, name in enumerate(order, start=1)}
        clues, lines = [], [f"{chain[0]} is in place {place[chain[0]]}."]
        for known, name in pairwise(chain):
            apart = place[name] - place[known]
            unit = "place" if abs(apart) == 1 else "places"
            clues.append(f"{name} finished {abs(apart)} {unit} {'behind' if apart > 0 else 'ahead of'} {known}.")
            lines.append(f"{name}: {place[known]} {'+' if apart > 0 else '-'} {abs(apart)} = {place[name]}")
        rng.shuffle(clues)
        question = (
            f"{len(order)} people ran a race without ties. {chain[0]} finished in place {place[chain[0]]}. "
            f"{' '.join(clues)} List everyone from first place to last."
        )
        return _item(question, order, [*lines, "In the order of their places:"])


def _comparisons(rng: Random, order: list[str], pairs: list[tuple[int, int]], *, both_ways: bool) -> Item:
    more, less = rng.choice(RELATIONS)
    clues = []
    for i, j in pairs:
        if both_ways and rng.random() < 0.5:
            clues.append(f"{order[j]} is {less} than {order[i]}.")
        else:
            clues.append(f"{order[i]} is {more} than {order[j]}.")
    rng.shuffle(clues)
    question = f"{' '.join(clues)} List everyone from {SUPERLATIVES[more]} to {SUPERLATIVES[less]}."
    lines = [f"{a} comes before {b}." for a, b in pairwise(order)]
    return _item(question, order, lines)


def _item(question: str, order: list[str], lines: list[str]) -> Item:
    return Item(
        question=question,
        form="the names in that order, separated by commas",
        answer=", ".join(order),
        steps="\n".join(lines),
        guess_rate=1 / factorial(len(order)),
    )


suite: Suite = Logic()
