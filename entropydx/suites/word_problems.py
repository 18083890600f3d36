"""Arithmetic told as a short story."""

from __future__ import annotations

from random import Random

from entropydx.answer_patterns import ANSWER_NUMBER
from entropydx.protocols import Suite
from entropydx.suites._common import NAMES, Family, Item
from entropydx.types import Domain, VerifierSpec

THINGS = ["apples", "shells", "stamps", "marbles", "buttons", "cards", "coins", "beads", "stickers", "pencils"]


class WordProblems(Family):
    """Gifts and boxes; then wages and tanks, in four steps; then a factory with products of four numbers."""

    name = "word_problems"
    domain: Domain = "in"
    verifier = VerifierSpec(type="numeric", extract=ANSWER_NUMBER)

    def easy(self, rng: Random) -> Item:
        """One or two steps on small numbers; the answer is uniform over 10..49."""
        return _gifts(rng) if rng.random() < 0.5 else _boxes(rng)

    def medium(self, rng: Random) -> Item:
        """Four steps; the answer is uniform over 100 values."""
        return _wages(rng) if rng.random() < 0.5 else _tank(rng)

    def hard(self, rng: Random) -> Item:
        """Products of four large numbers."""
        return _factory(rng)


def _item(question: str, answer: int, steps: list[str], guess_rate: float) -> Item:
    return Item(question=question, form="the number", answer=str(answer), steps="\n".join(steps), guess_rate=guess_rate)


def _gifts(rng: Random) -> Item:
    answer, more, fewer = rng.randint(10, 49), rng.randint(2, 9), rng.choice((0, rng.randint(2, 9)))
    (name, friend), thing = rng.sample(NAMES, 2), rng.choice(THINGS)
    start = answer - more + fewer
    question, steps = (
        f"{name} has {start} {thing}. {friend} gives {name} {more} more {thing}. ",
        [f"{start} + {more} = {start + more}"],
    )
    if fewer:
        question += f"Then {name} loses {fewer} {thing}. "
        steps.append(f"{start + more} - {fewer} = {answer}")
    return _item(f"{question}How many {thing} does {name} have now?", answer, steps, 1 / 40)


def _boxes(rng: Random) -> Item:
    answer, size = rng.randint(10, 49), rng.randint(3, 9)
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    boxes = answer // size + rng.randint(1, 2)
    total = boxes * size
    question = (
        f"{name} buys {boxes} boxes with {size} {thing} in each, and gives away {total - answer} {thing}. "
        f"How many {thing} are left?"
    )
    return _item(question, answer, [f"{boxes} * {size} = {total}", f"{total} - {total - answer} = {answer}"], 1 / 40)


def _wages(rng: Random) -> Item:
    answer, jars = rng.randint(20, 119), rng.randint(2, 3)
    wage, hours, days = rng.randint(15, 30), rng.randint(5, 8), rng.randint(5, 9)
    earned, name = wage * hours * days, rng.choice(NAMES)
    rent = earned - answer * jars
    question = (
        f"{name} earns {wage} coins an hour and works {hours} hours a day for {days} days. {name} pays {rent} coins of "
        f"rent and shares the rest equally among {jars} jars. How many coins are in each jar?"
    )
    steps = [
        f"{wage} * {hours} = {wage * hours}",
        f"{wage * hours} * {days} = {earned}",
        f"{earned} - {rent} = {earned - rent}",
        f"{earned - rent} / {jars} = {answer}",
    ]
    return _item(question, answer, steps, 1 / 100)


def _tank(rng: Random) -> Item:
    answer, people, litres = rng.randint(150, 249), rng.randint(3, 6), rng.randint(12, 25)
    filled, leaked, minutes = rng.randint(5, 9), rng.randint(1, 4), rng.randint(6, 12)
    gain, taken = (filled - leaked) * minutes, people * litres
    start = answer + taken - gain
    question = (
        f"A tank holds {start} litres of water. For {minutes} minutes a pump adds {filled} litres a minute while a "
        f"leak loses {leaked} litres a minute. Then {people} people take {litres} litres each. How many are left?"
    )
    steps = [
        f"{filled} - {leaked} = {filled - leaked}",
        f"{filled - leaked} * {minutes} = {gain}",
        f"{start} + {gain} = {start + gain}",
        f"{people} * {litres} = {taken}",
        f"{start + gain} - {taken} = {answer}",
    ]
    return _item(question, answer, steps, 1 / 100)


def _factory(rng: Random) -> Item:
    machines, parts, days = rng.randint(10_000, 99_999), rng.randint(1_000, 9_999), rng.randint(100, 999)
    screws, stores, stock = rng.randint(13, 97), rng.randint(100, 999), rng.randint(10_000, 99_999)
    made, held = machines * parts * days, stores * stock
    question = (
        f"A factory runs {machines} machines. Each makes {parts} parts a day, and they run for {days} days. Every part "
        f"needs {screws} screws. The factory already has {stores} stores with {stock} screws in each. How many more "
        f"screws must it buy?"
    )
    steps = [
        f"{machines} * {parts} = {machines * parts}",
        f"{machines * parts} * {days} = {made}",
        f"{made} * {screws} = {made * screws}",
        f"{stores} * {stock} = {held}",
        f"{made * screws} - {held} = {made * screws - held}",
    ]
    return _item(question, made * screws - held, steps, 1e-9)


suite: Suite = WordProblems()
