"""Grading: every adversarial case says why it is as it is; hostile text and hostile patterns end in bounded time."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropydx import extraction, verifiers
from entropydx.answer_patterns import ANSWER_COUNTS, ANSWER_LIST, ANSWER_MOMENT, ANSWER_NUMBER, ANSWER_WORD, TRUSTED
from entropydx.errors import VerifierError
from entropydx.extraction import is_cheap, last_boxed, strip_reasoning
from entropydx.rational import format_rational, parse_rational
from entropydx.types import Prompt, VerifierSpec
from entropydx.verifier_pool import WorkerFailedError, WorkerPool, regex_pool
from entropydx.verifier_worker import last_group
from entropydx.verifiers import check_prompt, check_spec, grade


def item(gold, kind="numeric", extract=None, tolerance=0.0, reference=None):
    spec = VerifierSpec(type=kind, extract=extract, tolerance=tolerance)
    return Prompt(id="p", prompt="q", answer=gold, verifier=spec, reference=reference)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────

NUMBERS = [
    ("30", 30, "an integer"),
    ("-30", -30, "a sign counts"),
    ("−30", -30, "models write U+2212"),
    ("３０", 30, "full-width digits are the same digits"),
    ("30.0", 30, "trailing zeros change nothing"),
    ("0.1", Fraction(1, 10), "one tenth, and not the float next to it"),
    ("1,000", 1000, "separators of thousands"),
    ("1{,}000", 1000, "the same in LaTeX"),
    ("1,00", None, "not a separator of thousands, and perhaps a decimal comma: ambiguous"),
    ("10,00,000", None, "ambiguous too"),
    ("30%", 30, "a percent sign is a unit"),
    ("$30", 30, "a currency is a unit"),
    ("30 km/h", 30, "a unit after the number"),
    ("5 m^2", 5, "a unit with an exponent"),
    ("30 apples.", 30, "a unit and the end of a sentence"),
    ("1/2", Fraction(1, 2), "a fraction"),
    ("1 1/2", Fraction(3, 2), "a mixed number"),
    (r"\frac{1}{2}", Fraction(1, 2), "LaTeX"),
    (r"-\dfrac34", Fraction(-3, 4), "LaTeX without braces"),
    ("0/5", 0, "zero is a number, though false in Python"),
    ("1/0", None, "not a number"),
    ("1e3", 1000, "scientific notation"),
    ("1e999999999", None, "would fill the memory"),
    ("9" * 5000, None, "beyond what int() reads"),
    ("x = 5", 5, "the value of a variable"),
    ("3 + 4 = 7", 7, "the last side counts"),
    ("**30**", 30, "markdown"),
    (r"\boxed{42}", 42, "a box"),
    ("3 0", None, "two numbers are not one"),
    ("30-5", None, "an unfinished computation"),
    ("3*10", None, "another"),
    ("5x", None, "algebra, not a unit"),
    ("2i", None, "a complex number is not its imaginary part"),
    ("3π", None, "nor is π a unit"),
    ("5²", None, "a square is neither 5 nor 52"),
    ("30 or 40", None, "two answers are none"),
    ("{1,2}", None, "a set"),
    ("12:30", None, "a time"),
    ("٣", None, "only ASCII and full-width digits are read"),
    ("nan", None, "not a number"),
    ("inf", None, "not a number"),
    ("", None, "nothing"),
    (".", None, "no digit"),
]


@pytest.mark.parametrize(("text", "value", "why"), NUMBERS, ids=[repr(n[0])[:20] for n in NUMBERS])
def test_a_number_is_read_exactly_or_not_at_all(text, value, why):
    assert parse_rational(text) == value, why


@given(st.fractions())
def test_a_number_is_written_so_that_it_reads_back(value):
    assert parse_rational(format_rational(value)) == value


@pytest.mark.parametrize(
    ("value", "text"), [("1/3", "1/3"), ("1/2", "0.5"), ("-1/40", "-0.025"), ("10", "10"), ("0", "0"), ("1/25", "0.04")]
)
def test_decimals_are_written_where_they_end(value, text):
    assert format_rational(Fraction(value)) == text


# ── grading ───────────────────────────────────────────────────────────────────────────────────────

NUMERIC = [
    ("30", "so it is 30", "correct", "the last number"),
    ("30", "it is 130", "wrong", "a gold answer inside a longer number is not the answer"),
    ("30", "3 0", "wrong", "two numbers"),
    ("30", "-30", "wrong", "the sign counts"),
    ("30", "7-30", "correct", "a minus between numbers is not a sign"),
    ("30", "30.0", "correct", "the same number"),
    ("30", "30%", "correct", "percent is a unit"),
    ("0.3", "30%", "wrong", "percent is a unit and not a factor"),
    ("1000", "1,000", "correct", "the same number"),
    ("0.5", r"\boxed{\frac{1}{2}}", "correct", "the same number"),
    ("5", "x=5", "correct", "the value"),
    ("0.3", "0.30000000000000004", "wrong", "exact arithmetic"),
    ("30", "first 30, then 31", "wrong", "the last number is the answer"),
    ("30", r"\boxed{30} and not 31", "correct", "a mark beats the last number"),
    ("30", r"\boxed{12} or rather \boxed{30}", "correct", "the last box"),
    ("30", "#### 30\nthanks 5", "correct", "GSM8K's mark"),
    ("30", "<answer>30</answer> 7", "correct", "a tag"),
    ("30", "The answer is 30. I used 2 steps.", "correct", "a sentence ends at its period"),
    ("30", "Answer: there are 30 apples", "correct", "one number in a plain sentence"),
    ("30", "Answer: 30 or 40", "unreadable", "two answers are none, and said so"),
    ("30", "I have 30 apples. The answer is unknown.", "no_answer", "a refusal is not the number before it"),
    ("30", "The answer is not clear, 30 perhaps", "no_answer", "a refusal"),
    ("30", r"\boxed{}, 30", "no_answer", "an empty box states nothing"),
    ("30", "thirty", "no_answer", "no number"),
    ("30", "", "no_answer", "nothing"),
    ("30", "nan", "no_answer", "nan is no number"),
    ("30", "\\boxed{nan}", "unreadable", "nor inside a box"),
    ("30", "<think>it is 30", "unclosed_think", "the reasoning never ended"),
    ("30", "<think>it is 31</think>30", "correct", "reasoning does not count"),
    ("30", "it is 31</think>30", "correct", "templates open the reasoning themselves"),
    ("30", "<think>30</think>", "no_answer", "an answer inside the reasoning is not given"),
    ("30", "[THINK]31[/THINK]30", "correct", "another mark of reasoning"),
]


@pytest.mark.parametrize(("gold", "text", "reason", "why"), NUMERIC)
def test_numeric(gold, text, reason, why):
    graded = grade(item(gold), text)
    assert (graded.reason, graded.grade) == (reason, float(reason == "correct")), why
    assert (graded.answer is None) == (reason in {"no_answer", "unclosed_think"}), "no answer is never a wrong answer"


def test_equal_numbers_have_equal_answers():
    texts = ["1,000", "1000.0", "$1000", "1e3", r"\boxed{1{,}000}"]
    assert {grade(item("7"), f"Answer: {text}").answer for text in texts} == {"1000"}


@pytest.mark.parametrize(("answer", "right"), [("0.4", True), ("0.2", True), ("0.41", False), ("0.400000001", False)])
def test_tolerance_is_exact_at_its_edge(answer, right):
    assert grade(item("0.3", tolerance=0.1), answer).grade == float(right)


EXACT = [
    ("tac", "tac", "correct", "the whole text of one line"),
    ("tac", " **tac**.\n", "correct", "marks and a final period do not count"),
    ("tac", "Tac", "wrong", "case counts"),
    ("tac", "tacs", "wrong", "a longer word"),
    ("tac", "I thought.\nAnswer: tac", "correct", "an answer line"),
    ("tac", "I thought.\ntac", "no_answer", "several lines without a mark"),
    ("no", "Answer: no", "correct", "no is an answer to a question"),
    ("3, 5", "3,5", "correct", "space after a comma does not count"),
    ("35", "3 5", "wrong", "space between digits does"),
    ("a\u202eb", "a\u202eb", "correct", "bidirectional marks do not count"),
    ("ab", "a\x00b", "correct", "nor do null bytes"),
]


@pytest.mark.parametrize(("gold", "text", "reason", "why"), EXACT)
def test_exact(gold, text, reason, why):
    assert grade(item(gold, "exact"), text).reason == reason, why


CHOICE = [
    ("B", "B", "correct", "the letter"),
    ("b", "B) Paris", "correct", "the letter before its text"),
    ("B", "Answer: **(B)**", "correct", "in marks"),
    ("B", r"\boxed{\text{B}}", "correct", "in a box"),
    ("B", "(A) looks right, but I choose (B) here", "correct", "the last letter in parentheses"),
    ("A", "A cat is an animal", "no_answer", "the article is not a choice"),
    ("B", "Answer: Paris", "unreadable", "an answer that is not a letter"),
    ("B", "F", "no_answer", "not among A to E"),
    ("B", "Answer: A", "wrong", "another letter"),
]


@pytest.mark.parametrize(("gold", "text", "reason", "why"), CHOICE)
def test_choice(gold, text, reason, why):
    assert grade(item(gold, "choice"), text).reason == reason, why


@pytest.mark.parametrize(("text", "reason"), [("foo12", "correct"), ("xfoo12", "wrong"), ("foo12x", "wrong")])
def test_regex_must_match_all_of_the_answer(text, reason):
    assert grade(item(r"foo\d\d", "regex"), f"Answer: {text}").reason == reason


def test_extract_takes_the_first_group_of_the_last_match():
    prompt = item("6", "exact", extract=r"A(\d)(x?)")
    assert grade(prompt, "A5 A6x end").grade == 1.0
    assert grade(prompt, "A6 A5").answer == "5"
    assert grade(prompt, "6").reason == "no_answer"
    assert last_group(r"A(\d)?", "A1 A") == "1", "a match in which the group took no part is no answer"


# ── the answer lines of the built-in suites ───────────────────────────────────────────────────────

LINES = [
    (ANSWER_NUMBER, "Answer: 42", "42"),
    (ANSWER_NUMBER, "**Answer:** 42", "42"),
    (ANSWER_NUMBER, "**Answer**: $\\boxed{42}$", "42"),
    (ANSWER_NUMBER, "The answer is: 42.", "42"),
    (ANSWER_NUMBER, "Answer:\n\n42", "42"),
    (ANSWER_NUMBER, "Answer: x = 42", "42"),
    (ANSWER_NUMBER, "Answer: 3 + 39 = 42", "42"),
    (ANSWER_NUMBER, "Answer: 6 \\times 7 = 42", "42"),
    (ANSWER_NUMBER, "Answer: There are 42 apples left", "42"),
    (ANSWER_NUMBER, "Answer: 42 (6*7 = 42)", "42"),
    (ANSWER_NUMBER, "Answer: $-1,042.50", "-1,042.50"),
    (ANSWER_NUMBER, "Answer: 0b1010", "1010"),
    (ANSWER_NUMBER, "Answer: 1. No, Answer: 42", "42"),
    (ANSWER_NUMBER, "the answer is unknown, since 42", None),
    (ANSWER_NUMBER, "Answer: <number>", None),
    (ANSWER_NUMBER, "Answer: 41\nx = 7\n", "7"),
    (ANSWER_NUMBER, "32 - 9 + 19 = 42", "42"),
    (ANSWER_NUMBER, "so there are 42 apples left.\n", "42"),
    (ANSWER_NUMBER, "there are 42 apples, and then more", "42"),
    (ANSWER_NUMBER, "there are 42 apples, which he eats with all of his many dear friends", None),
    (ANSWER_NUMBER, "50 - 8 = 42 - 1", None),
    (ANSWER_NUMBER, "perhaps 42", None),
    (ANSWER_WORD, "Answer: tac", "tac"),
    (ANSWER_WORD, 'Answer: "tac".', "tac"),
    (ANSWER_WORD, "Answer: \\boxed{\\text{tac}}", "tac"),
    (ANSWER_WORD, "Answer: it is tac", None),
    (ANSWER_WORD, "Answer: unknown", None),
    (ANSWER_WORD, "the answer is unknown", None),
    (ANSWER_WORD, "Answer: t-a-c", None),
    (ANSWER_LIST, "Answer: 3, -5, 9", "3, -5, 9"),
    (ANSWER_LIST, "Answer: [Ana,Ben].", "Ana,Ben"),
    (ANSWER_LIST, "The answer is Ana, Ben, Cora", "Ana, Ben, Cora"),
    (ANSWER_LIST, "The answer is wrong\n", None),
    (ANSWER_LIST, "Answer: 7\n", "7"),
    (ANSWER_LIST, "Answer: cannot be known", None),
    (ANSWER_LIST, "Answer: unknown", None),
    (ANSWER_LIST, "Answer: the order follows", None),
    (ANSWER_COUNTS, "Answer: 4", "4"),
    (ANSWER_COUNTS, "Answer: 4, 0, 12.", "4, 0, 12"),
    (ANSWER_COUNTS, "The word 'hen' occurs **4** times in this list", "4"),
    (ANSWER_COUNTS, "The word 'hen' occurs often", None),
    (ANSWER_COUNTS, "Answer: many", None),
    (ANSWER_MOMENT, "Answer: 09:05", "9:05"),
    (ANSWER_MOMENT, "Answer: 09:05:00", "9:05"),
    (ANSWER_MOMENT, "Answer: 19:05", "19:05"),
    (ANSWER_MOMENT, "Answer: 9:05 PM", None),
    (ANSWER_MOMENT, "Answer: 2024-03-17", "2024-03-17"),
    (ANSWER_MOMENT, "Answer: **2024-03-17 09:05:59**", "2024-03-17 09:05:59"),
    (ANSWER_MOMENT, "Answer: later", None),
]


@pytest.mark.parametrize(("pattern", "text", "found"), LINES, ids=[line[1] for line in LINES])
def test_answer_lines(pattern, text, found):
    assert last_group(pattern, text) == found


@pytest.mark.parametrize(
    "unit",
    ["answer", "answer: ", "answer is ", "answer: 1,111", "answer: a, a", "is 1 ", "= 1,111", " a" * 9, "1" * 99],
)
def test_trusted_patterns_are_linear(unit):
    text = unit * (1_000_000 // len(unit))
    for pattern in TRUSTED:
        started = time.perf_counter()
        last_group(pattern, text)
        assert time.perf_counter() - started < 5, "a quadratic pattern would take hours on a megabyte"


# ── hostile text and hostile patterns ─────────────────────────────────────────────────────────────

MEGABYTES = {
    "digits": "9" * 10**6,
    "boxes": "\\boxed{" * 150_000,
    "braces": "{}" * 500_000,
    "thinking": "<think></think>" * 60_000,
    "answers": "answer is " * 100_000,
    "tags": "<answer>" * 120_000,
    "hashes": "####" * 250_000,
    "nulls": "\x00" * 10**6,
    "right to left": "\u202e" * 10**6,
    "surrogates": "\ud800" * 10**6,
    "commas": "1,111" * 200_000,
    "words": "a " * 500_000,
}


@pytest.mark.parametrize("name", MEGABYTES)
@pytest.mark.parametrize("kind", ["exact", "numeric", "choice", "regex", "math"])
def test_a_megabyte_of_anything_is_graded_in_bounded_time(name, kind):
    started = time.perf_counter()
    graded = grade(item({"choice": "B"}.get(kind, "30"), kind), MEGABYTES[name])
    assert graded.grade == 0.0
    assert time.perf_counter() - started < 5


@settings(max_examples=150, deadline=None)
@given(st.text(), st.sampled_from(["exact", "numeric", "choice"]))
def test_no_text_makes_grading_fail(text, kind):
    graded = grade(item("B" if kind == "choice" else "30", kind), text + "\\boxed{" + text)
    assert graded.grade in {0.0, 1.0}
    assert (graded.answer is None) == (graded.reason in {"no_answer", "unclosed_think"})


def test_the_last_balanced_box_is_found():
    assert last_boxed(r"\boxed{1} \boxed{\frac{1}{2}} \boxed{3") == r"\frac{1}{2}"
    assert last_boxed(r"\boxed{\{1, 2\}}") == r"\{1, 2\}"
    assert last_boxed("}{ nothing") is None


def test_reasoning_is_cut_at_its_last_end():
    assert strip_reasoning("a</think>b</think>c") == "c"
    with pytest.raises(extraction.UnclosedThinkError):
        strip_reasoning("a</think>b<think>c")


PATTERNS = [
    (r"A(\d)", 10**5, True, "nothing repeats without bound"),
    (r"A(\d+)", 1000, True, "one repetition on a short text"),
    (r"A(\d+)", 10**5, False, "one repetition on a long text may be quadratic"),
    (r"(a+)+$", 40, False, "a repeated group is exponential"),
    (r"(a|a){30}b", 40, False, "so is one with a fixed count"),
    (r".*.*=(x)", 1000, False, "two repetitions"),
    (r"(a?)a?a?a?a?a?a", 40, False, "many options double the work each"),
    (r"[*+?|]([+])", 10**5, True, "in a class they are letters"),
    (r"\(\+\)(x)", 10**5, True, "escaped they are letters"),
]


@pytest.mark.parametrize(("pattern", "n_chars", "cheap", "why"), PATTERNS)
def test_which_patterns_run_without_a_deadline(pattern, n_chars, cheap, why):
    assert is_cheap(pattern, n_chars) is cheap, why


def test_a_catastrophic_pattern_is_a_timeout_and_not_a_wrong_answer(monkeypatch):
    monkeypatch.setattr(extraction, "REGEX_DEADLINE_S", 0.3)
    text = "a" * 40 + "!"
    extracted = grade(item("x", "exact", extract="(a+)+$"), text)
    assert (extracted.answer, extracted.grade, extracted.reason) == (None, 0.0, "verifier_timeout")
    matched = grade(item("(a+)+$", "regex"), text)
    assert (matched.answer, matched.grade, matched.reason) == (text, 0.0, "verifier_timeout")
    assert grade(item("aaa", "exact", extract="(a+)+"), "bbaaa").reason in {"correct", "verifier_timeout"}


def test_a_pool_goes_on_after_a_kill_and_after_a_caller_that_failed():
    pool = regex_pool()
    with pytest.raises(WorkerFailedError) as killed:
        pool.ask("fullmatch", ["(a+)+$", "a" * 40 + "!"], 0.2)
    assert killed.value.timed_out
    assert pool.ask("fullmatch", ["a+", "aaa"], 10.0) is True
    with pytest.raises(TypeError):
        pool.ask("fullmatch", [object()], 10.0)  # nothing is sent
    with pytest.raises(WorkerFailedError) as failed:
        pool.ask("fullmatch", ["too few"], 10.0)
    assert not failed.value.timed_out
    assert pool.ask("fullmatch", ["a+", "b"], 10.0) is False


def test_a_child_that_dies_is_a_crash_and_not_a_timeout():
    pool = WorkerPool(("fullmatch", ["", ""]), size=1)
    assert pool.ask("fullmatch", ["a+", "aaa"], 10.0) is True
    os.kill(pool._idle[0]._process.pid, signal.SIGKILL)
    with pytest.raises(WorkerFailedError) as died:
        pool.ask("fullmatch", ["a+", "aaa"], 10.0)
    assert not died.value.timed_out
    assert pool.ask("fullmatch", ["a+", "aaa"], 10.0) is True
    pool.close()


SCRIPT = """
from entropydx.types import Prompt, VerifierSpec
from entropydx.verifier_pool import regex_pool
from entropydx.verifiers import grade
prompt = Prompt(id="p", prompt="q", answer="aaa", verifier=VerifierSpec(type="exact", extract="((?:a)+)$"))
print(grade(prompt, "bbaaa").reason, regex_pool()._idle[0]._process.pid)
"""


def test_children_end_with_a_script_that_has_no_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True)
    reason, pid = done.stdout.split()  # one line: the script ran once
    assert reason == "correct"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


ORPHAN = """
from entropydx.verifier_pool import regex_pool
import threading, time
pool = regex_pool()
pool.ask("fullmatch", ["a", "a"], 10.0)
print(pool._idle[0]._process.pid, flush=True)
pool.ask("fullmatch", ["(a+)+$", "a" * 60 + "!"], 1.0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child's alarm is POSIX")
def test_a_busy_child_does_not_outlive_a_parent_that_was_killed():
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    os.kill(pid, 0)  # still spinning
    time.sleep(4)
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    assert state.strip() in {"", "Z", "Zs"}


# ── math ──────────────────────────────────────────────────────────────────────────────────────────

MATH = [
    (r"\frac{1}{2}", r"\boxed{0.5}", "correct", "the same fraction"),
    ("1/3", r"\boxed{0.333333}", "wrong", "a rounded decimal is not the fraction"),
    ("30", "it is 130", "wrong", "another number"),
    ("5", r"\boxed{x=5}", "correct", "the value"),
    (r"\{1,2\}", r"\boxed{\{2,1\}}", "correct", "a set has no order"),
    ("(1,2)", r"\boxed{(2,1)}", "wrong", "a pair has one"),
    ("(x+1)^2", r"\boxed{x^2+2x+1}", "correct", "the same polynomial"),
    (r"2\sqrt{3}", r"the answer is \sqrt{12}", "correct", "the same root"),
    (r"\text{east}", r"\boxed{\text{East}}", "correct", "a word, whatever its case"),
    ("east", r"\boxed{seat}", "wrong", "a word is not a product of its letters"),
    (r"\text{June 20}", r"\boxed{\text{June 20}}", "correct", "the same text"),
    ("30", "Answer: there are 30 apples", "correct", "a number in a sentence"),
    ("2", r"\boxed{" + "x+" * 1000 + "x}", "unreadable", "too long an expression"),
    ("2", "no idea", "no_answer", "nothing is stated"),
]


@pytest.mark.parametrize(("gold", "text", "reason", "why"), MATH)
def test_math(gold, text, reason, why):
    assert grade(item(gold, "math"), text).reason == reason, why


def test_a_tower_of_powers_is_killed_and_counted_apart(monkeypatch):
    monkeypatch.setattr(verifiers, "MATH_DEADLINE_S", 1.0)
    prompt, text = item("2", "math"), r"\boxed{5^{5^{5^{5^{5}}}}}"
    assert grade(prompt, text).reason == "verifier_timeout"
    started = time.perf_counter()
    assert grade(prompt, text).reason == "verifier_timeout"
    assert time.perf_counter() - started < 0.1, "the same answer pays its deadline once"
    monkeypatch.undo()
    assert grade(prompt, r"\boxed{1+1}").reason == "correct", "the pool goes on"


def test_without_math_verify_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(VerifierError, match=r"entropydx\[math\]"):
        check_spec(VerifierSpec(type="math"))
    with pytest.raises(VerifierError, match=r"entropydx\[math\]"):
        grade(item("x^2", "math"), r"\boxed{y^2 + 1}")
    assert grade(item("1/2", "math"), r"\boxed{0.5}").grade == 1.0, "fractions need no library"


# ── specifications ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (item("6", "numerc"), "no verifier of type 'numerc'"),
        (item("6", extract="(6"), "not a regular expression"),
        (item("6", extract="6"), "has no group"),
        (item("6", "exact", tolerance=0.1), "tolerance has no meaning"),
        (item("6", tolerance=-1.0), "not a finite number"),
        (item("6", tolerance=float("nan")), "not a finite number"),
        (item("six"), "not a number"),
        (item("nan"), "not a number"),
        (item("F", "choice"), "not a letter from A to E"),
        (item("(", "regex"), "not a regular expression"),
        (item(" . ", "exact"), "answer is empty"),
        (item(r"\frac{", "math"), "cannot be read by math-verify"),
        (item("6", "exact", extract=r"A(\d)", reference="3+4=7;A7."), "ends with '7', the answer is '6'"),
    ],
)
def test_what_cannot_be_used_is_said_before_sampling(prompt, message):
    with pytest.raises(VerifierError, match=message):
        check_prompt(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        item("6"),
        item("b", "choice"),
        item("a|b", "regex"),
        item("x^2", "math"),
        item("6", "exact", r"A(\d)", 0.0, "A6"),
    ],
)
def test_what_can_be_used_passes(prompt):
    check_prompt(prompt)
