"""The procedural families: an oracle that shares no code with them solves every prompt from its text."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise, permutations
from random import Random

import pytest

from entropydx import plugins
from entropydx.errors import SuiteError
from entropydx.protocols import Suite
from entropydx.suite_file import suite_sha
from entropydx.suites._common import NAMES
from entropydx.verifiers import check_prompt, grade

DOMAINS = {
    "arithmetic": "in",
    "word_problems": "in",
    "equations": "in",
    "base_conversion": "in",
    "sorting": "out",
    "counting": "out",
    "strings": "out",
    "calendar": "out",
    "logic": "out",
}
LEVELS = ("easy", "medium", "hard")
each_family = pytest.mark.parametrize("name", DOMAINS)


def family(name: str) -> Suite:
    return plugins.load("suite", name)


def ints(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?<!\w)-?\d+", text)]


# ── oracles ───────────────────────────────────────────────────────────────────────────────────────


def arithmetic(text: str) -> str:
    return str(eval(re.fullmatch(r"Compute ([-+* \d]+)\.", text)[1]))


def word_problems(text: str) -> str:
    numbers = ints(text)
    if "boxes" in text:
        boxes, size, given = numbers
        return str(boxes * size - given)
    if "gives" in text:
        start, more, *fewer = numbers
        return str(start + more - sum(fewer))
    if "jars" in text:
        wage, hours, days, rent, jars = numbers
        return str((wage * hours * days - rent) // jars)
    if "tank" in text:
        start, minutes, filled, leaked, people, litres = numbers
        return str(start + minutes * (filled - leaked) - people * litres)
    machines, parts, days, screws, stores, stock = numbers
    return str(machines * parts * days * screws - stores * stock)


def equations(text: str) -> str:
    if text.startswith("Solve the system"):
        a, b, p, c, d, q = map(int, re.findall(r"\d+", text))
        # Elimination by integers, and not the determinants of the reference.
        y = (a * q - c * p) // (a * d - c * b)
        x = (p - b * y) // a
        assert a * x + b * y == p
        assert c * x + d * y == q
        return str(x + y)
    name, left, right = re.fullmatch(r"Solve for (\w): (.+) = (.+)", text).groups()

    def side(expression: str, value: int) -> int:
        return eval(re.sub(rf"(\d*){name}", lambda m: f"{m[1] or 1}*({value})", expression))

    roots = [value for value in range(-100, 101) if side(left, value) == side(right, value)]
    assert len(roots) == 1
    return str(roots[0])


def base_conversion(text: str) -> str:
    if " in base 10." in text:
        base, digits = re.search(r"base-(\d+) number (\d+)", text).groups()
        return str(int(digits, int(base)))
    value, base = map(int, re.search(r"number (\d+) in base (\d+)", text).groups())
    length = next(n for n in range(1, 64) if base**n > value)
    return "".join(str(value // base**place % base) for place in reversed(range(length)))


def sorting(text: str) -> str:
    head, _, tail = text.partition(": ")
    numbers = ints(tail)
    if "remainder" in head:
        return ", ".join(str(n) for r in range(97) for n in numbers if n % 97 == r)
    return ", ".join(map(str, sorted(numbers)))


def counting(text: str) -> str:
    if "word" in text:
        word, words = re.search(r"word '(\w+)' occur in this list: (.+)\?", text).groups()
        return str(words.split(", ").count(word))
    letters, string = re.search(r"letters (.+) occur in '(\w+)'", text).groups()
    return ", ".join(str(string.count(letter)) for letter in letters.split(", "))


def strings(text: str) -> str:
    if text.startswith("Join"):
        words = text.partition(": ")[2]
        return "".join(re.findall(r"\b\w" if "first" in text else r"\w\b", words))
    word = re.search(r"'(\w+)'", text)[1]
    if text.startswith("Write"):
        return "".join(reversed(word))
    if text.startswith("Reverse"):
        return "".join(chr((ord(c) - 96) % 26 + 97) for c in reversed(word))
    moved = [chr((ord(c) - 97 + i + 1) % 26 + 97) for i, c in enumerate(word)]
    moved.reverse()
    del moved[2::3]
    return "".join(moved)


def calendar(text: str) -> str:
    if "exactly" in text:
        seconds, start = re.search(r"exactly (\d+) seconds after ([-\d]+ [:\d]+)\?", text).groups()
        origin = datetime.strptime(start, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        return datetime.fromtimestamp(origin + int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")
    if "Which date" in text:
        days, year, month, day = map(int, re.search(r"(\d+) days after (\d+)-(\d+)-(\d+)", text).groups())
        return datetime.fromordinal(datetime(year, month, day).toordinal() + days).strftime("%Y-%m-%d")
    hours, minutes = map(int, re.search(r"(\d+):(\d\d)", text).groups())
    minutes += 60 * hours + sum(60 * int(h) for h in re.findall(r"(\d+) hours", text))
    minutes += sum(map(int, re.findall(r"(\d+) minutes", text)))
    return f"{minutes // 60 % 24}:{minutes % 60:02d}"


def logic(text: str) -> str:
    if "race" in text:
        return ", ".join(_race(text))
    first, last = re.search(r"from (\w+) to (\w+)\.", text).groups()
    clues = re.findall(r"(\w+) is (\w+) than (\w+)\.", text)
    before = [(a, b) if word[:3] == first[:3] else (b, a) for a, word, b in clues]
    assert {word[:3] for _, word, _ in clues} <= {first[:3], last[:3]}
    people = sorted({name for pair in before for name in pair})
    orders = [p for p in permutations(people) if all(p.index(a) < p.index(b) for a, b in before)]
    assert len(orders) == 1, "the clues fix one order"
    return ", ".join(orders[0])


def _race(text: str) -> list[str]:
    name, place = re.search(r"(\w+) finished in place (\d+)", text).groups()
    places = {name: int(place)}
    clues = re.findall(r"(\w+) finished (\d+) places? (behind|ahead of) (\w+)\.", text)
    while len(places) < len(clues) + 1:
        for a, apart, side, b in clues:
            step = int(apart) if side == "behind" else -int(apart)
            if b in places:
                places.setdefault(a, places[b] + step)
            elif a in places:
                places.setdefault(b, places[a] - step)
    assert sorted(places.values()) == list(range(1, len(NAMES) + 1))
    return sorted(places, key=lambda person: places[person])


ORACLES = {f.__name__: f for f in (arithmetic, word_problems, equations, base_conversion, sorting)}
ORACLES |= {f.__name__: f for f in (counting, strings, calendar, logic)}


# ── what every family must do ─────────────────────────────────────────────────────────────────────


@each_family
def test_answers_agree_with_the_oracle(name):
    for prompt in family(name).prompts(5, 180):
        question = prompt.prompt.partition("\n\nThink step by step")[0]
        assert prompt.answer == ORACLES[name](question), prompt.prompt


@each_family
def test_reference_solutions_are_right_and_other_answers_wrong(name):
    prompts = family(name).prompts(0, 600)
    for prompt, other in pairwise(prompts):
        assert grade(prompt, prompt.reference).grade == 1.0, prompt.id
        wrong = grade(prompt, f"I think so.\nAnswer: {other.answer}")
        assert wrong.grade == float(other.answer == prompt.answer), prompt.id
        assert grade(prompt, "Answer: the answer is unknown").reason == "no_answer"
        assert grade(prompt, prompt.prompt).reason == "no_answer", "repeating the task is no answer"


@each_family
def test_prompts_are_complete_and_balanced(name):
    prompts = family(name).prompts(0, 60)
    assert [p.difficulty for p in prompts] == list(LEVELS) * 20
    for prompt in prompts:
        check_prompt(prompt)
        assert prompt.id.startswith(f"{name}-{prompt.difficulty}-")
        assert (prompt.family, prompt.domain) == (name, DOMAINS[name])
        assert 0 < prompt.guess_rate < 0.2
        assert prompt.difficulty != "hard" or prompt.guess_rate < 1e-4, "a hard answer cannot be guessed"
        assert prompt.reference.endswith(f"\nAnswer: {prompt.answer}")
        assert prompt.prompt.isascii()


@each_family
def test_a_seed_fixes_the_prompts_and_more_of_them_only_adds_at_the_end(name):
    suite = family(name)
    assert suite.prompts(0, 90)[:31] == suite.prompts(0, 31)
    assert {p.prompt for p in suite.prompts(0, 30)}.isdisjoint(
        p.prompt for p in suite.prompts(1, 30) if p.guess_rate < 1e-3
    )
    assert suite.prompts(0, 0) == []


@each_family
def test_ids_and_prompts_are_unique(name):
    prompts = family(name).prompts(3, 1500)
    assert len({p.id for p in prompts}) == len({p.prompt for p in prompts}) == 1500


@each_family
def test_an_answer_of_another_prompt_is_right_no_oftener_than_the_guess_rate(name):
    prompts = family(name).prompts(7, 3000)
    for level in LEVELS:
        part = [p for p in prompts if p.difficulty == level]
        counts, n = Counter(p.answer for p in part), len(part)
        collisions = sum(c * (c - 1) for c in counts.values()) / (n * (n - 1))
        stated = sum(p.guess_rate for p in part) / n
        assert collisions <= 1.15 * stated + 2 / n, f"{level}: {collisions:.4f} against {stated:.4f}"


@each_family
def test_the_best_constant_answer_is_right_no_oftener_than_the_guess_rate(name):
    prompts = family(name).prompts(8, 3000)
    for level in LEVELS:
        part = [p for p in prompts if p.difficulty == level]
        largest = max(Counter(p.answer for p in part).values())
        expected = sum(p.guess_rate for p in part)
        assert largest <= expected + 5 * expected**0.5 + 3, f"{level}: {largest} of {len(part)}"


def test_a_shuffle_of_the_shown_items_is_right_no_oftener_than_the_guess_rate():
    rng = Random(0)
    for name in ("sorting", "logic"):
        easy = [p for p in family(name).prompts(2, 3000) if p.difficulty == "easy"]
        hits = 0
        for prompt in easy:
            items = prompt.answer.split(", ")
            rng.shuffle(items)
            hits += int(grade(prompt, f"Answer: {', '.join(items)}").grade)
        expected = len(easy) / 24
        assert abs(hits - expected) < 5 * expected**0.5


PROGRAM = """
from entropydx import plugins
from entropydx.suite_file import suite_sha
for name in plugins.builtin_names("suite"):
    if "core" in plugins.load("suite", name).collections:
        print(name, suite_sha(plugins.load("suite", name).prompts(0, 30)))
"""

GOLDEN = "ff0171dc004475f33b3437f016947eeb9fbf860016496a2328409259aadf5354"
"""sha256 over the lines that `PROGRAM` prints: a change of it changes every recorded run."""


def test_every_process_draws_the_same_prompts_for_ever():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert dict(line.split() for line in outputs[0].splitlines()) == {
        name: suite_sha(family(name).prompts(0, 30)) for name in DOMAINS
    }
    assert hashlib.sha256(outputs[0].encode()).hexdigest() == GOLDEN


def test_a_level_that_is_used_up_says_so():
    with pytest.raises(SuiteError, match=r"'base_conversion' has no easy prompt left after \d+ prompts"):
        family("base_conversion").prompts(0, 9000)
