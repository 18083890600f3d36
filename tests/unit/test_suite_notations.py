"""The suites of words and of the board: oracles that share no code with them evaluate every prompt from its text."""

import re
from collections import Counter, deque
from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest

from entropydx import plugins
from entropydx.organisms.notations import NOTATIONS
from entropydx.suite_file import suite_sha
from entropydx.suites._notation import Notation
from entropydx.suites.tiny_grid import GRID
from entropydx.suites.tiny_grid import suite as grid_suite
from entropydx.suites.tiny_words import WORDS
from entropydx.suites.tiny_words import suite as words_suite

LETTERS, FILES = "abcde", "abcdefghij"
STATES = {
    "tiny_words": tuple("".join(word) for word in product(LETTERS, repeat=4)),
    "tiny_grid": tuple(f"{file}{rank}" for file in FILES for rank in range(10)),
}
PAIRS = tuple(x + y for x in LETTERS for y in LETTERS)
GATES = tuple(f"{gate:02d}" for gate in range(20))
ARGUMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "tiny_words": {"+": tuple("1234"), "<": tuple("123"), "%": tuple("1234"), ">": tuple("12"), "*": PAIRS, "@": PAIRS},
    "tiny_grid": {**dict.fromkeys("NEVH", tuple("123456789")), "J": GATES, "U": GATES},
}
"""What may stand behind an operator."""
each_notation = pytest.mark.parametrize("notation", [WORDS, GRID], ids=lambda notation: notation.name)
SUITES = {"tiny_words": words_suite, "tiny_grid": grid_suite}


# ── oracles ───────────────────────────────────────────────────────────────────────────────────────


def step_words(word: str, op: str, argument: str) -> str:
    """Do one step on a word; a table is read off the words that end in `aa`."""
    if op in "*@":
        return word[2:] + WORDS.operators[op](word[:2] + "aa", argument)[2:]
    k = int(argument)
    if op == "+":
        return word.translate(str.maketrans(LETTERS, LETTERS[k:] + LETTERS[:k]))
    if op == "%":
        first, last = ((LETTERS * 2)[LETTERS.index(word[i]) + k] for i in (0, 3))
        return first + word[1:3] + last
    letters = deque(word if op == "<" else word[:3])
    letters.rotate(-k if op == "<" else k)
    return "".join(letters) + ("" if op == "<" else word[3])


def step_grid(square: str, op: str, argument: str) -> str:
    """Do one move on the board; a gate is read off its own rank."""
    file, rank, k = FILES.index(square[0]) + 1, int(square[1]), int(argument)
    if op in "JU":
        return GRID.operators[op](square, argument)[0] + square[1]
    if op in "NV":
        return f"{square[0]}{[rank + k, k - rank + 10]['NV'.index(op)] % 10}"
    return f"{FILES[([file + k, k - file + 2]['EH'.index(op)] - 1) % 10]}{rank}"


STEPS: dict[str, Callable[[str, str, str], str]] = {"tiny_words": step_words, "tiny_grid": step_grid}


def oracle(notation: Notation, prompt: str) -> str:
    """Evaluate a prompt of words or of the board from left to right."""
    start = {"tiny_words": r"[a-e]{4}", "tiny_grid": r"[a-j]\d"}[notation.name]
    argument = {"tiny_words": r"([+<*%>@])(\d|[a-e]{2})", "tiny_grid": r"([NEJVHU])(\d+)"}[notation.name]
    state = re.match(start, prompt)[0]
    for op, b in re.findall(argument, prompt[len(state) :]):
        state = STEPS[notation.name](state, op, b)
    return state


# ── operators ─────────────────────────────────────────────────────────────────────────────────────


@each_notation
def test_every_step_is_a_bijection_and_the_documented_one(notation):
    states = STATES[notation.name]
    assert len(states) == round(1 / notation.guess_rate)
    for op, arguments in ARGUMENTS[notation.name].items():
        for b in arguments:
            reached = [notation.operators[op](state, b) for state in states]
            assert sorted(reached) == sorted(states), f"{op}{b}"
            assert reached == [STEPS[notation.name](state, op, b) for state in states], f"{op}{b}"
    assert set(ARGUMENTS[notation.name]) == set(notation.operators)


@pytest.mark.parametrize(
    ("notation", "chain", "values"),
    [
        (WORDS, "dcab+3<2=", ["bade", "deba"]),
        (WORDS, "dcab%4>1=", ["ccaa", "acca"]),
        (GRID, "c7N3E4=", ["c0", "g0"]),
        (GRID, "c7V3H1=", ["c6", "j6"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plain_steps_by_hand(notation, chain, values):
    start, *steps = re.findall(rf"^{notation.state}|{notation.step}", chain)
    found = notation.chain(start, *((step[0], step[1:]) for step in steps))
    assert found.text == chain
    assert found.values() == values


@each_notation
def test_arguments_are_drawn_from_all_that_keep_a_step_a_bijection(notation):
    rng = np.random.default_rng(0)
    for op, arguments in ARGUMENTS[notation.name].items():
        drawn = Counter(notation.draw_argument(rng, op) for _ in range(60 * len(arguments)))
        assert set(drawn) == set(arguments)
        assert max(drawn.values()) < 60 + 5 * np.sqrt(60)
    assert len({notation.draw_start(rng) for _ in range(20_000)}) == len(STATES[notation.name])


@each_notation
@pytest.mark.parametrize("domain", ["in", "out"])
def test_the_tables_of_a_product_have_no_more_in_common_than_random_permutations(notation, domain):
    op = notation.product[domain]
    if notation is WORDS:
        tables = [[notation.operators[op](f"{pair}aa", key)[2:] for pair in PAIRS] for key in PAIRS]
        identity = list(PAIRS)
    else:  # a table of its own for each gate and rank
        tables = [
            [notation.operators[op](f"{file}{rank}", gate)[0] for file in FILES] for gate in GATES for rank in range(10)
        ]
        identity = list(FILES)
    for pairs in ([(table, identity) for table in tables], list(combinations(tables, 2))):
        shared = sum(x == y for one, other in pairs for x, y in zip(one, other, strict=True))
        assert abs(shared - len(pairs)) < 5 * np.sqrt(len(pairs))  # two permutations agree in one place, variance 1


@each_notation
def test_the_products_of_the_two_domains_have_tables_of_their_own(notation):
    inside, outside = (notation.operators[notation.product[domain]] for domain in ("in", "out"))
    arguments = ARGUMENTS[notation.name][notation.product["in"]]
    cells = [(s, b) for s in STATES[notation.name] for b in arguments]
    choices = 25 if notation is WORDS else 10
    alike = np.mean([inside(s, b) == outside(s, b) for s, b in cells])
    entries = len(arguments) * (25 if notation is WORDS else 100)
    assert abs(alike - 1 / choices) < 5 * np.sqrt(1 / choices / entries)


@each_notation
def test_a_slip_of_the_pen_is_another_state_that_differs_in_one_place(notation):
    rng = np.random.default_rng(0)
    n_others = {"tiny_words": 4, "tiny_grid": 9}[notation.name]
    for state in STATES[notation.name][::7]:
        found = {notation.mistype(state, rng) for _ in range(120)}
        assert len(found) == n_others
        assert state not in found
        assert {other[:-1] for other in found} == {state[:-1]}
        assert found <= set(STATES[notation.name])


# ── prompts ───────────────────────────────────────────────────────────────────────────────────────


@each_notation
def test_answers_references_and_guided_prompts_agree_with_the_oracle(notation):
    for item in SUITES[notation.name].prompts(3, 300):
        assert item.answer == oracle(notation, item.prompt)
        assert item.guided == f"{item.prompt}!{item.reference}!"
        assert item.checker == notation.checker
        assert item.family == notation.families[item.domain]
        assert item.verifier.type == "exact"
        assert re.findall(item.verifier.extract, item.reference) == [item.answer]
        *steps, answer = item.reference.split(";")
        assert answer == f"{notation.mark}{item.answer}."
        value = start = re.match(notation.state, item.prompt)[0]
        for written in steps:
            left, result = written.split("=")
            assert left.startswith(value)
            assert result == oracle(notation, f"{left}=")
            value = result
        assert item.prompt == start + "".join(written.split("=")[0][len(start) :] for written in steps) + "="


@each_notation
def test_the_three_forms_are_written_as_documented(notation):
    start, steps = {"tiny_words": ("dcab", (("+", "3"), ("<", "2"))), "tiny_grid": ("c7", (("N", "3"), ("E", "4")))}[
        notation.name
    ]
    chain = notation.chain(start, *steps)
    values = chain.values()
    expected = {
        "tiny_words": ("dcab+3=bade;bade<2=deba;Qdeba.", "[bade]>[deba]>Qdeba.", "(bade<2)(deba)Qdeba.", "Qdeba."),
        "tiny_grid": ("c7N3=c0;c0E4=g0;Xg0.", "[c0]>[g0]>Xg0.", "(c0E4)(g0)Xg0.", "Xg0."),
    }[notation.name]
    written = (chain.write_equations(values), chain.write_values(values), chain.write_reductions(values))
    assert (*written, chain.write_direct(values)) == expected
    assert chain.write_equations(values, (True, True)) == expected[0]  # nothing commutes


@each_notation
def test_levels_and_domains_are_balanced_and_shaped_as_documented(notation):
    items = SUITES[notation.name].prompts(0, 360)
    assert len({item.id for item in items}) == len({item.prompt for item in items}) == 360
    assert Counter(i.difficulty for i in items) == {"easy": 120, "medium": 120, "hard": 120}
    assert Counter(i.domain for i in items) == {"in": 180, "out": 180}
    hard = set(notation.product.values())
    products = Counter((i.difficulty, sum(c in hard for c in i.prompt)) for i in items)
    assert products == {("easy", 0): 120, ("medium", 0): 80, ("medium", 1): 40, ("hard", 1): 80, ("hard", 2): 40}
    lengths = Counter((i.difficulty, sum(c in notation.operators for c in i.prompt)) for i in items)
    assert {level: {n for d, n in lengths if d == level} for level in ("easy", "medium", "hard")} == {
        "easy": {1, 2},
        "medium": {2, 3},
        "hard": {3, 4},
    }
    own = {domain: set(notation.plain[domain] + notation.product[domain]) for domain in ("in", "out")}
    assert all(set(i.prompt) & set(notation.operators) <= own[i.domain] for i in items)
    assert not own["in"] & own["out"]


@each_notation
def test_a_seed_fixes_the_prompts_and_more_of_them_only_adds_at_the_end(notation):
    suite = SUITES[notation.name]
    assert suite.prompts(0, 200)[:50] == suite.prompts(0, 50)
    assert suite.prompts(0, 50) != suite.prompts(1, 50)
    assert {item.id.rsplit("-", 2)[0] for item in suite.prompts(0, 6)} == {notation.name}


@each_notation
def test_the_stated_guess_rate_is_the_best_constant_guess(notation):
    items = SUITES[notation.name].prompts(0, 9000)
    assert {item.guess_rate for item in items} == {1 / len(STATES[notation.name])}
    for difficulty in ("easy", "medium", "hard"):
        counts = Counter(i.answer for i in items if i.difficulty == difficulty)
        expected = 3000 / len(STATES[notation.name])
        assert max(counts.values()) < expected + 6 * np.sqrt(expected)  # a 6-sigma bound over up to 625 cells


GOLDEN = {
    "tiny": "a2211b417eda7d1767cc130c4c623b536d88292911e25137a354083e4375f592",
    "tiny_words": "8525e28dd776382de0d377fafb9db02d193d52509ed98ce94caa7904a4f90a27",
    "tiny_grid": "54a07a81388676209116a33657f8a0a58235af9c5f350667c3bac1becb17705c",
}
"""Shas of 60 prompts with their solutions: a change of one makes every grown checkpoint of the notation worthless."""


@pytest.mark.parametrize("name", NOTATIONS)
def test_the_prompts_and_the_tables_stay_what_the_grown_weights_know(name):
    assert suite_sha(plugins.load("suite", name).prompts(0, 60)) == GOLDEN[name]
