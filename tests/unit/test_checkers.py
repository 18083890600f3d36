"""Computations that checkers find in a text, and their truth, by hand and by two oracles that share no code."""

import random
import re
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropydx.checkers.arithmetic import checker as arithmetic
from entropydx.checkers.chain import checker as chain
from entropydx.checkers.grid import checker as grid
from entropydx.checkers.words import checker as words
from entropydx.suites.tiny import suite as tiny
from entropydx.suites.tiny_grid import GRID
from entropydx.suites.tiny_words import WORDS
from entropydx.types import Prompt
from tests.unit.test_suite_notations import ARGUMENTS, STATES, SUITES
from tests.unit.test_suite_notations import oracle as notation_oracle
from tests.unit.test_suite_tiny import oracle

ANY = Prompt(id="p", prompt="What is it?", answer="1")
CHAIN = Prompt(id="c", prompt="37+05-12=", answer="30")
WORD_CHAIN = Prompt(id="w", prompt="dcab+3<2=", answer="deba")
GRID_CHAIN = Prompt(id="g", prompt="c7N3E4=", answer="g0")
MEGABYTE = 1_000_000
SECONDS = 20
"""A quadratic pattern takes hours for a megabyte; the honest time is a few seconds on a slow core."""


def _truths(text: str) -> str:
    """Return T and F for the computations that the arithmetic checker finds."""
    return "".join("FT"[right] for right in arithmetic(ANY, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 + 4 * 2 = 11", "T"),
        ("3 + 4 * 2 = 14", "F"),
        ("(3 + 4) * 2 = 14", "T"),
        ("2(3 + 4) = 14", "T"),
        ("12 × 3 = 36", "T"),
        ("12 x 3 = 36, 12x3=37", "TF"),
        (r"3 \times 4 = 12 and 3\cdot4=13", "TF"),
        ("8 ÷ 2 = 4; 5 − 7 = −2", "TT"),
        ("1,000 - 1 = 999", "T"),
        ("7/2 = 3.5", "T"),
        ("6 / 2 * 3 = 9", "T"),
        ("2 - 3 - 4 = -5", "T"),
        ("3 - -2 = 5", "T"),
        ("-5 + 3 = -2", "T"),
        ("2^10 = 1024, 2**3 = 9, 5² = 25", "TFT"),
        ("-2^2 = -4", "T"),
        (r"\frac{1}{2} + \frac{1}{3} = \frac{5}{6}", "T"),
        ("2 + 3 = 5 = 1 + 4 = 6", "TTF"),
        ("86 = 6 * 13 + 8", "T"),
        ("x = 348 / 6 = 58", "T"),
        (".5 + .5 = 1", "T"),
    ],
)
def test_equations_are_evaluated_exactly(text: str, expected: str) -> None:
    assert _truths(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10/3 = 3.33", "T"),
        ("10/3 = 3.34", "F"),
        ("2/3 = 0.67", "T"),
        ("2/3 = 0.66", "F"),
        ("2/3 = 0.666...", "T"),
        ("10/3 = 3", "F"),  # a whole number claims to be exact
        ("10/3 ≈ 3", "T"),
        (r"999 * 1001 \approx 1,000,000", "T"),
        ("999 * 1001 ≈ 1,100,000", "F"),
        ("0.1 + 0.2 = 0.3", "T"),
    ],
)
def test_rounding_is_true_to_the_digits_given(text: str, expected: str) -> None:
    assert _truths(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x + 3 = 7",
        "x + 3 + 2 = 7",
        "y - 5 + 3 = 2",
        "y -5 + 3 = 2",
        "2x + 3 = 7",
        "11t - 9t = -10 + 32",
        "3 + 4 = 7x",
        "f(3) + 2 = 6",
        "5 = 5",
        "-5 = -5",
        "Compute 3 + 4.",
        "3 + 4 =",
        "3 + 4 => 7, 3 + 4 <= 8, 3 + 4 == 7, 3 + 4 != 8",
        "17 / 5 = 3 remainder 2, 17 / 5 = 3 R 2, 17/5 = 3, with a remainder of 2",
        "17 mod 5 + 1 = 3, 37 + 85 = 22 (mod 100)",
        "5/20 = 25%",
        "45 + 55 = 1:40 and 16:45 + 55 = 100",
        "2,5 + 1 = 3,5",
        "10 000 + 1 = 10 001",
        "1011_2 + 1 = 12, 0x12 = 18",
        "3 plus 4 + 5 = 12",
        "1/0 = 5",
        "",
    ],
)
def test_what_is_no_computation_between_numbers_is_left_out(text: str) -> None:
    assert arithmetic(ANY, text) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 3 + 4 = 7\n* 3 + 4 = 8\n1. 2+2=4\n2) 2+2=5", "TFTF"),
        ("**3 + 4 = 7** and 3 + 4 = **7** and `3+4=7`", "TTT"),
        (r"$3 + 4 = 7$, \(3+4=8\), $5 + $3 = $8", "TFT"),
        ("(since 3 + 4 = 7) it is 5 * 4 = 20 (base 10).", "TT"),
        ("Ivo: 26 - 12 = 14 minutes; the result is -5 + 3 = -2!", "TT"),
        ("48/2=<<48/2=24>>24", "T"),
        (r"3 + 4 &= 7 \\", "T"),
    ],
)
def test_marks_around_an_equation_are_not_a_part_of_it(text: str, expected: str) -> None:
    assert _truths(text) == expected


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_random_expressions_agree_with_pythons_own_fractions(seed: int, n_operators: int) -> None:
    rng = random.Random(seed)
    parts, brackets = [str(rng.randint(1, 99))], 0
    for _ in range(n_operators):
        opens = rng.random() < 0.3
        brackets += opens
        parts += [rng.choice("+-*/"), "(" * opens + str(rng.randint(1, 99))]
    text = " ".join(parts) + ")" * brackets
    try:
        value = eval(re.sub(r"(\d+)", r"Fraction(\1)", text), {"Fraction": Fraction})
    except ZeroDivisionError:
        assert arithmetic(ANY, f"{text} = 1") == ()
        return
    assert arithmetic(ANY, f"{text} = {value}") == (True,)
    assert arithmetic(ANY, f"{value + 1} = {text}") == (False,)


@given(st.text(alphabet="0123456789+-*/^=().,x \n≈$%[];><@abcdejNEJVHUwit", max_size=60))
def test_any_text_gives_a_tuple_of_booleans_twice_alike(text: str) -> None:
    for checker, prompt in ((arithmetic, CHAIN), (chain, CHAIN), (words, WORD_CHAIN), (grid, GRID_CHAIN)):
        found = checker(prompt, text)
        assert isinstance(found, tuple)
        assert all(isinstance(right, bool) for right in found)
        assert checker(prompt, text) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("37+05=42;42-12=30;A30.", "TT"),
        ("37+05=41;41-12=29;A29.", "FT"),  # the second follows from what was written
        ("37+05=42;wait37+05=42;42-12=30;A30.", "TTT"),
        ("[42]>[30]>A30.", "TT"),
        ("[41]>[29]>A29.", "FT"),
        ("[42]>[30]>[30]>A30.", "TTF"),  # there is no third step
        ("(42-12)(30)A30.", "TT"),
        ("(41-12)(29)A29.", "FT"),
        ("(42)(30)A30.", "FF"),  # a step was dropped
        ("A30.", ""),
        ("37+05-12=30;A30.", "T"),
        ("37+05=42;[30]>A30.", "TT"),
        ("05+37=42;(30)A30.", "TT"),
        ("37+05=41;wait37+05=42;[30]>A30.", "FTT"),
        ("137+05=42;37+05=421;37+05=4", ""),
        ("", ""),
    ],
)
def test_the_forms_of_the_tiny_suite(text: str, expected: str) -> None:
    assert "".join("FT"[right] for right in chain(CHAIN, text)) == expected


def test_digit_wise_work_counts_by_its_result_and_not_by_its_digits() -> None:
    carryless = Prompt(id="c", prompt="37&05~12=", answer="20")
    assert chain(carryless, "hmm3&0=3,7&5=1,wait7&5=2>32;hmm3~1=2,2~2=0>20;A20.") == (True, True)
    assert chain(carryless, "hmm3&0=3,7&5=1>31;hmm3~1=2,1~2=9>29;A29.") == (False, True)
    assert chain(carryless, "3&0=3,7&5=2") == ()


def test_without_a_chain_in_the_prompt_only_equations_can_be_judged() -> None:
    assert chain(ANY, "[42]>(42-12)37+05=42;37+05=43;") == (True, False)
    spoken = Prompt(id="m", messages=({"role": "user", "content": "37+05-12="},), answer="30")
    assert chain(spoken, "[42]>[30]>") == (True, True)


def test_chain_equations_agree_with_the_oracle_of_the_suite() -> None:
    rng = random.Random(0)
    for _ in range(500):
        left = f"{rng.randrange(100):02d}{rng.choice('+-*&~@')}{rng.randrange(100):02d}"
        shown = oracle(f"{left}=") if rng.random() < 0.5 else f"{rng.randrange(100):02d}"
        assert chain(ANY, f"{left}={shown};") == (shown == oracle(f"{left}="),)


def test_the_suite_asks_for_its_own_checker_and_has_a_computation_for_every_step() -> None:
    for prompt in tiny.prompts(2, 60):
        assert prompt.checker == "chain"
        assert prompt.reference is not None
        steps = sum(symbol in "+-*&~@" for symbol in prompt.prompt or "")
        assert chain(prompt, prompt.reference) == (True,) * steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dcab+3=bade;bade<2=deba;Qdeba.", "TT"),
        ("dcab+3=badd;badd<2=ddba;Qddba.", "FT"),  # the second follows from what was written
        ("hmm,dcab+3=badd;wait,dcab+3=bade;bade<2=deba;Qdeba.", "FTT"),
        ("[bade]>[deba]>Qdeba.", "TT"),
        ("[badd]>[ddba]>Qddba.", "FT"),
        ("[bade]>[deba]>[deba]>Qdeba.", "TTF"),  # there is no third step
        ("(bade<2)(deba)Qdeba.", "TT"),
        ("hmm,(badd<2)(ddba)Qddba.", "FT"),
        ("(bade)(deba)Qdeba.", "FF"),  # a step was dropped
        ("dcab+3<2=deba;Qdeba.", "T"),
        ("dcab+3=bade;[deba]>Qdeba.", "TT"),
        ("dcab%4=ccaa;ccaa>1=acca;", "TT"),
        ("dcab+5=dcab;dcab*f=dcab;dcab+3=bad;", ""),  # no arguments, and no result
        ("dcab*3=dcab;dcab+ab=dcab;", "FF"),  # arguments of other operators
        ("3+dcab=bade;", ""),  # nothing commutes
        ("Qdeba.", ""),
    ],
)
def test_the_forms_of_words(text: str, expected: str) -> None:
    assert "".join("FT"[right] for right in words(WORD_CHAIN, text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c7N3=c0;c0E4=g0;Xg0.", "TT"),
        ("c7N3=c1;c1E4=g1;Xg1.", "FT"),  # the second follows from what was written
        ("hmm,c7N3=c1;wait,c7N3=c0;c0E4=g0;Xg0.", "FTT"),
        ("[c0]>[g0]>Xg0.", "TT"),
        ("[c1]>[g1]>Xg1.", "FT"),
        ("[c0]>[g0]>[g0]>Xg0.", "TTF"),  # there is no third step
        ("(c0E4)(g0)Xg0.", "TT"),
        ("hmm,(c1E4)(g1)Xg1.", "FT"),
        ("(c0)(g0)Xg0.", "FF"),  # a step was dropped
        ("c7N3E4=g0;Xg0.", "T"),
        ("c7N3=c0;[g0]>Xg0.", "TT"),
        ("c7V3=c6;c6H1=j6;", "TT"),
        ("c7J20=c7;c7U99=d7;", "FF"),  # there is no such gate
        ("c7N=c0;k7N3=k0;c7X3=c0;c7N3=c;", ""),
        ("Xg0.", ""),
    ],
)
def test_the_forms_of_the_board(text: str, expected: str) -> None:
    assert "".join("FT"[right] for right in grid(GRID_CHAIN, text)) == expected


@pytest.mark.parametrize(("checker", "notation"), [(words, WORDS), (grid, GRID)], ids=["words", "grid"])
def test_notation_equations_agree_with_the_oracle_of_the_suite(checker, notation) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(0)
    for _ in range(500):
        op = rng.choice(list(notation.operators))
        left = rng.choice(STATES[notation.name]) + op + rng.choice(ARGUMENTS[notation.name][op])
        gold = notation_oracle(notation, f"{left}=")
        shown = gold if rng.random() < 0.5 else rng.choice(STATES[notation.name])
        assert checker(ANY, f"{left}={shown};") == (shown == gold,)


@pytest.mark.parametrize(("checker", "notation"), [(words, WORDS), (grid, GRID)], ids=["words", "grid"])
def test_a_wrong_value_is_charged_once_in_every_form(checker, notation) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(1)
    for prompt in SUITES[notation.name].prompts(2, 60):
        assert prompt.checker == notation.checker
        start, steps = checker.read(prompt.prompt)
        chain_ = notation.chain(start, *steps)
        broken = rng.randrange(len(steps))
        value, values = start, []
        for i, (op, b) in enumerate(steps):
            value = notation_oracle(notation, f"{value}{op}{b}=")
            if i == broken:
                value = rng.choice([state for state in STATES[notation.name] if state != value])
            values.append(value)
        for text in (chain_.write_equations(values), chain_.write_values(values), chain_.write_reductions(values)):
            assert checker(prompt, text) == tuple(i != broken for i in range(len(steps)))


HOSTILE = (
    "1+1=2;", "(", "9", "1,000", "000,", "9*", "=", "-", "1/7+", "1 ", "**", r"\frac{", "^{1", " ", "\n", "2^9^9=",
    "1)", "37+05=", "(42-12", "[42]>", "1.1.1", "a=1+", "0.12345678901234567890/0.1234567=1;", "1...=", "(1+2)(42)",
    "dcab+3=", "dcab+3=bade;", "(bade<2", "[bade]>", "*ab", "dcab", "+3", "a", "c7N3=", "c7N3=c0;", "(c0E4", "[c0]>",
    "N3", "J05", "c7", "c7N3", "2>bade;", "dcab*ab",
)  # fmt: skip
each_checker = pytest.mark.parametrize(
    ("checker", "prompt"),
    [(arithmetic, CHAIN), (chain, CHAIN), (words, WORD_CHAIN), (grid, GRID_CHAIN)],
    ids=["arithmetic", "chain", "words", "grid"],
)


@each_checker
def test_hostile_text_takes_linear_time(checker, prompt) -> None:  # type: ignore[no-untyped-def]
    for piece in HOSTILE:
        text = piece * (MEGABYTE // len(piece) // 20)
        started = time.process_time()
        checker(prompt, text)
        assert time.process_time() - started < SECONDS / 10, piece


@each_checker
@pytest.mark.slow
def test_a_megabyte_of_hostile_text_is_checked_in_seconds(checker, prompt) -> None:  # type: ignore[no-untyped-def]
    for piece in HOSTILE:
        started = time.process_time()
        checker(prompt, piece * (MEGABYTE // len(piece)))
        assert time.process_time() - started < SECONDS, piece
