"""Small sums and wheels: every item solved again from its text, by an oracle of the test's own."""

import re
from collections import Counter
from random import Random

import pytest

from entropydx.checkers.arithmetic import checker
from entropydx.errors import SuiteError
from entropydx.suites.small_sums import WHEEL_GUESS, Problem, draw, suite
from entropydx.verifiers import grade

N = 300


def solve(question: str) -> int:
    """Solve by counting on a wheel one place at a time, and by Python's own arithmetic elsewhere."""
    if found := re.fullmatch(r"What is ([\d +*-]+)\?", question):
        return eval(found[1])
    size, turn, place, times = map(
        int,
        re.fullmatch(
            r"On a wheel of (\d+) numbers, go (\d+) places on from (\d+)(?:, (\d+) times)?\.", question
        ).groups(default="1"),
    )
    for _ in range(turn * times):
        place = 1 if place == size else place + 1
    return place


@pytest.fixture(scope="module")
def items():
    return suite.prompts(5, N)


def test_answers_agree_with_the_oracle(items):
    assert [int(item.answer) for item in items] == [solve(item.prompt) for item in items]


def test_references_are_right_in_every_step_and_other_answers_wrong(items):
    for item in items:
        checks = checker(item, item.reference)
        assert all(checks)
        assert len(checks) == len(item.reference.splitlines()) - 1
        assert grade(item, item.reference).grade == 1
        assert grade(item, f"Answer: {int(item.answer) + 1}").grade == 0
        assert item.guided.startswith(f"{item.prompt}\nSolution: ")
        assert grade(item, item.guided).grade == 1


def test_domains_and_levels_are_dealt_out_evenly(items):
    strata = Counter((item.domain, item.difficulty) for item in items)
    assert set(strata.values()) == {N // 6}
    assert len(strata) == 6
    assert len({item.prompt for item in items}) == len({item.id for item in items}) == N


def test_a_seed_fixes_the_prompts_and_more_of_them_only_adds_at_the_end(items):
    assert suite.prompts(5, 60) == items[:60]
    assert suite.prompts(6, 60) != items[:60]


def test_a_wheel_taken_for_a_sum_is_always_wrong(items):
    wheels = [item for item in items if item.domain == "out"]
    for item in wheels:
        *_, unwound, _, _ = ["", *item.reference.splitlines()]
        assert int(unwound.rpartition(" ")[2]) > int(re.search(r"wheel of (\d+)", item.prompt)[1])


def test_wheels_have_the_guess_rate_of_their_commonest_answer():
    counts = Counter()
    for turn in range(2, 10):
        for answer in range(1, turn):
            counts[answer] += 1 / (8 * (turn - 1))
    assert max(counts.values()) == pytest.approx(WHEEL_GUESS)
    assert counts[1] == max(counts.values())


@pytest.mark.parametrize(("domain", "level"), [(d, v) for d in ("in", "out") for v in ("easy", "medium", "hard")])
def test_no_answer_is_commoner_than_its_guess_rate_allows(domain, level):
    rng = Random(0)
    drawn = [draw(rng, domain, level) for _ in range(4000)]
    expected = sum(p.guess_rate for p in drawn)
    best = max(Counter(p.answer for p in drawn).values())
    assert best < expected + 4 * expected**0.5


def test_a_level_that_is_used_up_says_so():
    with pytest.raises(SuiteError, match="small_sums"):
        suite.prompts(0, 3_000)


def test_the_worked_example_of_the_page():
    problem = Problem(question="", steps=("9 + 5 = 14", "14 - 12 = 2"), domain="out", guess_rate=0.1)
    assert problem.answer == solve("On a wheel of 12 numbers, go 5 places on from 9.") == 2
