"""The tiny suite: an oracle that shares no code with it evaluates every prompt from its text."""

import re
from collections import Counter

import numpy as np
import pytest

from entropydx.suites.tiny import FACTORS, NUMBERS, suite

EXAMPLE = NUMBERS.chain("37", ("+", "05"), ("-", "12"))


def oracle(prompt: str) -> str:
    """Evaluate a prompt from left to right, on digits and plain integers."""
    value, *rest = re.findall(r"\d\d|[-+*&~@]", prompt)
    for op, b in zip(rest[::2], rest[1::2], strict=True):
        x, y = int(value), int(b)
        if op in "&~":
            sign = 1 if op == "&" else -1
            value = "".join(str((int(p) + sign * int(q)) % 10) for p, q in zip(value, b, strict=True))
        else:
            value = f"{({'+': x + y, '-': x - y, '*': x * y, '@': (x + 1) * (y + 1) - 1}[op]) % 100:02d}"
    return value


def test_the_three_forms_are_written_as_documented():
    values = EXAMPLE.values()
    assert EXAMPLE.text == "37+05-12="
    assert values == ["42", "30"]
    assert EXAMPLE.write_equations(values) == "37+05=42;42-12=30;A30."
    assert EXAMPLE.write_equations(values, (True, True)) == "05+37=42;42-12=30;A30."  # minus does not commute
    assert EXAMPLE.write_values(values) == "[42]>[30]>A30."
    assert EXAMPLE.write_reductions(values) == "(42-12)(30)A30."
    assert EXAMPLE.write_direct(values) == "A30."


def test_answers_and_references_agree_with_the_oracle():
    for item in suite.prompts(3, 300):
        assert item.answer == oracle(item.prompt)
        assert re.findall(NUMBERS.extract, item.reference)[-1] == item.answer
        assert item.verifier.extract == NUMBERS.extract
        assert item.verifier.type == "exact"
        for left, result in re.findall(r"(\d\d.\d\d)=(\d\d);", item.reference):
            assert result == oracle(left)


def test_a_seed_fixes_the_prompts_and_more_of_them_only_adds_at_the_end():
    assert suite.prompts(0, 200)[:50] == suite.prompts(0, 50)
    assert suite.prompts(0, 50) != suite.prompts(1, 50)


def test_ids_and_prompts_are_unique():
    items = suite.prompts(0, 3000)
    assert len({item.id for item in items}) == len({item.prompt for item in items}) == 3000


def test_levels_and_domains_are_balanced_and_shaped_as_documented():
    items = suite.prompts(0, 360)
    assert Counter(i.difficulty for i in items) == {"easy": 120, "medium": 120, "hard": 120}
    assert Counter(i.domain for i in items) == {"in": 180, "out": 180}
    products = Counter((i.difficulty, sum(c in "*@" for c in i.prompt)) for i in items)
    assert products == {("easy", 0): 120, ("medium", 0): 80, ("medium", 1): 40, ("hard", 1): 80, ("hard", 2): 40}
    foreign = {"in": set("&~@"), "out": set("+-*")}
    assert not any(set(i.prompt) & foreign[i.domain] for i in items)


def test_completions_are_short():
    assert max(len(item.reference) for item in suite.prompts(0, 600)) + 1 <= 48


@pytest.mark.parametrize(("op", "factors"), FACTORS.items())
def test_products_are_bijections_so_that_answers_stay_uniform(op, factors):
    for b in factors:
        reached = {NUMBERS.operators[op](f"{a:02d}", f"{b:02d}") for a in range(100)}
        assert reached == {f"{a:02d}" for a in range(100)}


def test_the_stated_guess_rate_is_the_best_constant_guess():
    items = suite.prompts(0, 12_000)
    assert {item.guess_rate for item in items} == {0.01}
    for difficulty in ("easy", "medium", "hard"):
        counts = Counter(i.answer for i in items if i.difficulty == difficulty)
        largest, expected = max(counts.values()), 4000 * 0.01
        assert len(counts) == 100
        assert largest < expected + 5 * np.sqrt(expected)  # a 5-sigma bound over 100 cells
