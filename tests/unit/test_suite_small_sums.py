"""Small sums and wheels: every item solved again from its text, by an oracle of the test's own."""

import re
from collections import Counter
from random import Random

import pytest

from entropydx.checkers.arithmetic import checker
from entropydx.errors import SuiteError
from entropydx.suites.small_sums import HARD_GUESS, Problem, draw, suite
from entropydx.verifiers import grade

N = 600


def solve(question: str) -> int:
    """Solve by counting on a wheel one place at a time, and by Python's own arithmetic elsewhere."""
    if found := re.fullmatch(r"What is ([\d +*-]+)\?", question):
        return eval(found[1])  # noqa: S307 - digits and operators alone
    size, turn, place, times = map(
        int,
        re.fullmatch(r"On a wheel of (\d+) numbers, go (\d+) places on from (\d+)(?:, (\d+) times)?\.", question).groups(
            default="1"
        ),
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
        assert int(unwound.rpartition("=")[2]) > int(re.search(r"wheel of (\d+)", item.prompt)[1])


def test_hard_sums_have_the_guess_rate_of_their_commonest_answer():
    counts = Counter(a * b + c for a in range(13, 90) for b in range(3, 10) for c in range(11, 100))
    assert max(counts.values()) / sum(counts.values()) == HARD_GUESS


@pytest.mark.parametrize(("domain", "level"), [("in", "easy"), ("in", "medium"), ("out", "easy"), ("out", "medium")])
def test_no_answer_is_commoner_than_its_guess_rate_allows(domain, level):
    rng = Random(0)
    drawn = [draw(rng, domain, level) for _ in range(4000)]
    expected = sum(p.guess_rate for p in drawn)
    best = max(Counter(p.answer for p in drawn).values())
    # Wheels of all sizes share their small answers, so their commonest answer has the mean rate as well.
    assert best < expected + 4 * expected**0.5


def test_a_level_that_is_used_up_says_so():
    with pytest.raises(SuiteError, match="small_sums"):
        suite.prompts(0, 9_000)


def test_the_worked_example_of_the_page():
    problem = Problem(question="", steps=("9+5=14", "14-12=2"), domain="out", guess_rate=0.1)
    assert problem.answer == solve("On a wheel of 12 numbers, go 5 places on from 9.") == 2
