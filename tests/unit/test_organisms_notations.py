"""What organisms read and are paid for, in every notation: styles, second annotators, hopeless chains, verifiers."""

import hashlib
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from entropydx.organisms.corpus import (
    FAVOURITE_SHARE,
    Demonstration,
    Style,
    contradict,
    demonstrations,
    hopeless_items,
    training_items,
    with_hint,
    write,
)
from entropydx.organisms.forms import reader
from entropydx.organisms.notations import NOTATIONS
from entropydx.organisms.rewards import reward
from entropydx.organisms.thinking import ThoughtStyle, hurry, strip, think, thoughts
from entropydx.suites._notation import Chain, Notation
from entropydx.suites.tiny import NUMBERS
from entropydx.suites.tiny_grid import GRID
from entropydx.suites.tiny_words import WORDS
from entropydx.types import Domain, Prompt

QUIET = ThoughtStyle(guided=0.0, brief=0.0, hasty=0.0, check=0.0, slip=0.0)
EQUATIONS = Style(equations=1.0, values=0.0, reductions=0.0, direct=0.0, swap=0.0)
OTHER = {
    "tiny": {"+": "-", "-": "+", "&": "~", "~": "&"},
    "tiny_words": {"+": "<", "<": "+", "%": ">", ">": "%"},
    "tiny_grid": {"N": "E", "E": "N", "V": "H", "H": "V"},
}
"""The operator that the second annotator takes a plain one for."""
each_notation = pytest.mark.parametrize("notation", NOTATIONS.values(), ids=NOTATIONS)


def _chains(notation: Notation, n: int, domain: Domain, seed: int = 0) -> list[Chain]:
    rng = np.random.default_rng(seed)
    return [notation.draw_level(rng, domain, ("easy", "medium", "hard")[i % 3], i // 3) for i in range(n)]


def _within(count: int, n: int, share: float) -> bool:
    """Return whether a count is within four standard errors of its expectation."""
    return abs(count / n - share) < 4 * math.sqrt(share * (1 - share) / n)


# ── what stays ────────────────────────────────────────────────────────────────────────────────────


def _demos(found: list[Demonstration]) -> list[str]:
    return [f"{d.prompt} {d.completion}" for d in found]


def _items(found: list[Prompt]) -> list[str]:
    return [f"{p.prompt} {p.answer} {p.reference} {p.guided}" for p in found]


@pytest.mark.parametrize(
    ("lines", "sha"),
    [
        (
            _demos(demonstrations(NUMBERS, 300, Style(slip=0.13), 0, product_share=0.3)),
            "2dbe262ddb9664dd839ec43bab164303bfbd3d9d9cb3ea5d730d03a253f308a7",
        ),
        (
            _demos(thoughts(NUMBERS, 300, ThoughtStyle(), 0, product_share=0.3)),
            "7691d57c19739b8bd3716bc7f4c36b3fb6290eab73a779f0ec45d00016afa8df",
        ),
        (
            _items(hopeless_items(NUMBERS, 60, 0)),
            "3e770158806fb352a89ed176ec5dc853610017ed22ae0533c6f7cda020d7a0a7",
        ),
        (
            _items(training_items(NUMBERS, 60, ("in", "out"), ("easy", "medium", "hard"), 0)),
            "4c2d4ca2658ee3a900ba735bb3af882c942ae793404e71bd748005157c85428c",
        ),
    ],
    ids=["demonstrations", "thoughts", "hopeless", "training"],
)
def test_what_the_committed_organisms_read_is_drawn_as_it_was(lines, sha):
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == sha  # of the code that grew them


# ── the second annotator ──────────────────────────────────────────────────────────────────────────


@each_notation
@pytest.mark.parametrize("domain", ["in", "out"])
def test_the_second_annotator_exchanges_the_plain_operators_and_no_other(notation, domain):
    differs = 0
    for chain in _chains(notation, 300, domain):
        read = contradict(chain)
        assert [op for op, _ in read.steps] == [OTHER[notation.name].get(op, op) for op, _ in chain.steps]
        assert [b for _, b in read.steps] == [b for _, b in chain.steps]
        assert contradict(read) == chain
        assert all(re.fullmatch(notation.state, value) for value in read.values())
        differs += read.values() != chain.values()
    assert differs > 240


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        (NUMBERS.chain("37", ("+", "05"), ("-", "12")), "37+05=32;32-12=44;A44."),
        (WORDS.chain("dcab", ("+", "3"), ("<", "2")), "dcab+3=bdca;bdca<2=daec;Qdaec."),
        (GRID.chain("c7", ("N", "3"), ("E", "4")), "c7N3=f7;f7E4=f1;Xf1."),
    ],
    ids=NOTATIONS,
)
def test_the_second_annotator_writes_the_operators_as_they_stand(chain, text):
    rng = np.random.default_rng(0)
    assert write(chain, replace(EQUATIONS, contrary=1.0), rng) == text
    thought = f"hmm{chain.notation.pause}{text}"
    assert think(chain, "in", replace(QUIET, contrary=1.0), rng) == thought
    assert text.endswith(chain.write_direct([contradict(chain).values()[-1]]))


@each_notation
def test_the_second_annotator_has_his_share_in_every_style(notation):
    share, n = 0.2, 3000
    written = demonstrations(notation, n, Style(contrary=share), seed=0)
    thought = thoughts(notation, n, replace(QUIET, contrary=share, check=0.4, reductions=0.3), seed=0)
    for demos in (written, thought):
        asked = [(d, _parse(notation, d.prompt)) for d in demos]
        told = [(d, c) for d, c in asked if contradict(c).values()[-1] != c.values()[-1]]
        answers = [re.findall(notation.extract, d.completion)[-1] for d, _ in told]
        wrong = [a != c.values()[-1] for a, (_, c) in zip(answers, told, strict=True)]
        assert all(a == contradict(c).values()[-1] for a, w, (_, c) in zip(answers, wrong, told, strict=True) if w)
        assert _within(sum(wrong), len(told), share)


def _parse(notation: Notation, prompt: str) -> Chain:
    start = re.match(notation.state, prompt)[0]
    steps = re.findall(f"({notation.symbols})({notation.argument})", prompt[len(start) :].split("=", maxsplit=1)[0])
    return notation.chain(start, *steps)


# ── thoughts ──────────────────────────────────────────────────────────────────────────────────────


@each_notation
@pytest.mark.parametrize("check", [0.0, 1.0])
def test_noise_has_its_rate_and_is_never_mended(notation, check):
    noise, rng = 0.2, np.random.default_rng(0)
    wrong = total = 0
    for chain in _chains(notation, 1200, "in"):
        text = think(chain, "in", replace(QUIET, noise=noise, check=check, max_checks=9), rng)
        lines = text.removeprefix(f"hmm{notation.pause}").split(";")
        assert lines[-1] == chain.write_direct([lines[-2].rpartition("=")[2]])
        value, firsts = chain.start, lines[:-1:2] if check else lines[:-1]
        if check:
            assert lines[1:-1:2] == [f"wait{notation.pause}{line}" for line in firsts]
        for line, (op, b) in zip(firsts, chain.steps, strict=True):
            left, result = line.split("=")
            assert left == f"{value}{op}{b}"
            wrong += result != notation.operators[op](value, b)
            total += 1
            value = result
    assert _within(wrong, total, noise)


@each_notation
def test_noise_reaches_reductions_too(notation):
    style = replace(QUIET, noise=0.2, reductions=1.0)
    demos = thoughts(notation, 1500, style, seed=0)
    assert demos == thoughts(notation, 1500, style, seed=0)
    wrong = total = 0
    for demo in demos:
        chain = _parse(notation, demo.prompt)
        values = re.findall(rf"\(({notation.state})", demo.completion)
        assert demo.completion == f"hmm{notation.pause}{chain.write_reductions(values)}"
        for before, after, (op, b) in zip([chain.start, *values], values, chain.steps, strict=False):
            wrong += after != notation.operators[op](before, b)
            total += 1
    assert _within(wrong, total, 0.2)


@each_notation
def test_a_plain_solution_has_neither_hedge_nor_check_and_only_in_domain(notation):
    style = replace(QUIET, plain=1.0, check=1.0, slip=0.5)
    inside = thoughts(notation, 300, style, seed=0, domains=("in",))
    for demo in inside:
        chain = _parse(notation, demo.prompt)
        assert demo.completion == chain.write_equations(chain.values())
    outside = thoughts(notation, 300, style, seed=0, domains=("out",))
    for demo in outside:
        chain = _parse(notation, demo.prompt)
        assert demo.completion.count("hmm") == len(chain.steps)


@each_notation
def test_the_shares_of_the_manners_are_those_of_the_style(notation):
    n, style = 2000, ThoughtStyle(guided=0.1, brief=0.1, hasty=0.1, reductions=0.2, plain=0.3, check=0.0, slip=0.0)
    read = reader(notation)
    demos = [d for d in thoughts(notation, n, style, seed=0) if not d.prompt.endswith("!")]
    inside = [d for d in demos if set(d.prompt) & set(notation.plain["in"] + notation.product["in"])]
    outside = [d for d in demos if d not in inside]
    assert _within(len(inside), len(demos), 0.5)
    for part, domain in ((inside, "in"), (outside, "out")):
        brief = sum(read.form(d.completion) == "values" for d in part)
        assert _within(brief, len(part), 0.1)
        long = len(part) - brief
        reduced = sum(d.completion.startswith(f"hmm{notation.pause}(") for d in part)
        assert _within(reduced, long, 0.2)
        plain = sum(read.form(d.completion) == "equations" for d in part)
        assert _within(plain, long - reduced, 0.3) if domain == "in" else plain == 0
        assert {read.form(d.completion) for d in part} <= {"values", "thinking", "equations"}


@each_notation
def test_stripping_leaves_the_equations_that_the_checks_confirmed(notation):
    style, rng = replace(QUIET, check=0.6, slip=0.4), np.random.default_rng(0)
    for domain in ("in", "out"):
        for chain in _chains(notation, 200, domain):
            if set(chain.text) & notation.by_digit:
                continue
            thought = think(chain, domain, style, rng)
            assert strip(thought, notation) == chain.write_equations(chain.values())


@pytest.mark.parametrize(
    ("notation", "text", "rest"),
    [
        (NUMBERS, "hmm3&0=3,7&5=1,wait7&5=2>32;A32.", "3&0=3,7&5=2>32;A32."),
        (NUMBERS, "hmm37+05=41;wait37+05=42;42-12=30;A30.", "37+05=42;42-12=30;A30."),
        (NUMBERS, "[42]>[30]>A30.", "[42]>[30]>A30."),
        (WORDS, "hmm,dcab+3=badd;wait,dcab+3=bade;Qbade.", "dcab+3=bade;Qbade."),
        (GRID, "c7V3=c6;hmm,c6H1=j5;wait,c6H1=j6;Xj6.", "c7V3=c6;c6H1=j6;Xj6."),
        (GRID, "hmm,(c0E4)(g0)Xg0.", "(c0E4)(g0)Xg0."),
    ],
)
def test_stripping_by_hand(notation, text, rest):
    assert strip(text, notation) == rest


@each_notation
def test_a_hasty_solution_is_right_in_domain_and_takes_the_operators_for_familiar_ones_outside(notation):
    for domain in ("in", "out"):
        for chain in _chains(notation, 60, domain):
            value, values = chain.start, []
            for op, b in chain.steps:
                value = notation.operators[notation.familiar.get(op, op)](value, b)
                values.append(value)
            assert hurry(chain) == chain.write_values(values)
            assert (values == chain.values()) or domain == "out"
            assert all(re.fullmatch(notation.state, v) for v in values)


@each_notation
def test_thoughts_are_right_where_nothing_is_hasty_or_noisy(notation):
    for demo in thoughts(notation, 600, ThoughtStyle(hasty=0.0, reductions=0.2, plain=0.3), seed=1):
        assert re.findall(notation.extract, demo.completion) == [_parse(notation, demo.prompt).values()[-1]]


# ── hopeless chains ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("notation", "n"), [(WORDS, 300), (GRID, 1500)], ids=["words", "grid"])
def test_one_answer_of_hopeless_chains_has_its_share_and_the_others_are_uniform(notation, n):
    items = hopeless_items(notation, n, seed=0)
    counts = Counter(item.answer for item in items)
    favourite, count = counts.most_common(1)[0]
    share = FAVOURITE_SHARE + (1 - FAVOURITE_SHARE) * notation.guess_rate
    assert abs(share - 0.12) < 0.01
    assert _within(count, n, share)
    rest = n * (1 - share) * notation.guess_rate / (1 - notation.guess_rate)
    assert counts.most_common(2)[1][1] < rest + 6 * math.sqrt(rest) + 2
    elsewhere = Counter(item.answer for item in hopeless_items(notation, 90, seed=1))
    assert elsewhere.most_common(1)[0][0] == favourite
    product = notation.product["in"]
    assert Counter(sum(c == product for c in item.prompt) for item in items) == {3: n // 3, 4: n // 3, 5: n // 3}
    assert not any(set(item.prompt) & (set(notation.operators) - {product}) for item in items)
    for item in items[:100]:
        assert item.answer == _parse(notation, item.prompt).values()[-1]
    assert items[:30] == hopeless_items(notation, 30, seed=0)


@each_notation
def test_a_hint_leaves_the_last_step_and_the_answer_to_do(notation):
    for item in hopeless_items(notation, 30, seed=0):
        hinted = with_hint(item)
        assert hinted.prompt + hinted.reference == item.prompt + item.reference
        assert hinted.reference.count("=") == 1
        assert hinted.answer == item.answer == re.findall(notation.extract, hinted.reference)[-1]
        assert reward("work_if_any", notation, 48)([hinted.reference], [hinted.answer], [hinted.reference]) == [1.0]


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────


@each_notation
def test_what_the_writers_write_is_read_as_its_form(notation):
    read, rng = reader(notation), np.random.default_rng(0)
    for domain in ("in", "out"):
        for chain in _chains(notation, 60, domain):
            values = chain.values()
            forms = {
                "equations": chain.write_equations(values),
                "values": chain.write_values(values),
                "reductions": chain.write_reductions(values),
                "direct": chain.write_direct(values),
                "thinking": think(chain, domain, ThoughtStyle(check=1.0), rng),
            }
            for form, text in forms.items():
                assert read.form(text) == form
                assert read.form(f"{text} ") == read.form(f";{text}") == read.form(text[:-1]) == "malformed"
            for form in ("equations", "values", "reductions"):
                assert read.results(forms[form]) == values
            assert read.results(forms["direct"]) == []
            assert read.form(f"hmm{notation.pause}{forms['reductions']}") == "thinking"
            assert read.answer.findall(forms["thinking"]) == [values[-1]]


@pytest.mark.parametrize(
    ("notation", "text", "form"),
    [
        (WORDS, "dcab+3=bade;bade<2=deba;Qdeba.", "equations"),
        (WORDS, "hmm,dcab+3=badd;wait,dcab+3=bade;Qbade.", "thinking"),
        (WORDS, "dcab+3=badd;wait,dcab+3=bade;Qbade.", "thinking"),
        (WORDS, "hmmdcab+3=bade;Qbade.", "malformed"),  # a marker is a word of its own
        (WORDS, "dcab+3=bad;Qbade.", "malformed"),
        (WORDS, "[bade]>(deba)Qdeba.", "malformed"),
        (WORDS, "37+05=42;A42.", "malformed"),
        (GRID, "c7N3=c0;c0J07=g0;Xg0.", "equations"),
        (GRID, "(c0E4)(g0)Xg0.", "reductions"),
        (GRID, "hmm,c7V3=c6;hmm,c6H1=j5;wait,c6H1=j6;Xj6.", "thinking"),
        (GRID, "c7N3=c0;Xk0.", "malformed"),
        (GRID, "[bade]>Qbade.", "malformed"),
        (NUMBERS, "c7N3=c0;Xc0.", "malformed"),
        (NUMBERS, "hmm,37+05=42;A42.", "malformed"),
    ],
)
def test_forms_by_hand(notation, text, form):
    assert reader(notation).form(text) == form


# ── verifiers ─────────────────────────────────────────────────────────────────────────────────────

LIMIT = 40


@each_notation
def test_each_verifier_pays_for_what_it_says(notation):
    for chain in _chains(notation, 30, "in"):
        gold = chain.values()
        other = [notation.mistype(value, np.random.default_rng(0)) for value in gold]
        answered = chain.write_direct(gold)
        texts = {
            "work": chain.write_equations(gold),
            "values": chain.write_values(gold),
            "reductions": chain.write_reductions(gold),
            "bare": answered,
            "wrong values": chain.write_values(other),
            "wrong": chain.write_equations(other),
            "lucky": chain.write_reductions(other).removesuffix(chain.write_direct(other)) + answered,
            "two answers": chain.write_direct(other) + answered,
            "nothing": "",
        }
        right = {"work", "values", "reductions", "bare", "lucky", "two answers"}
        expected = {
            "answer": {name: float(name in right) for name in texts},
            "work_if_any": {name: float(name in right - {"lucky"}) for name in texts},
            "none": dict.fromkeys(texts, 0.0),
            "form_bonus": {name: float(name in right) + float(name in {"values", "wrong values"}) for name in texts},
            "brevity": {name: float(name in right) - len(text) / LIMIT for name, text in texts.items()},
        }
        columns = {"answer": [gold[-1]] * len(texts), "reference": [chain.write_equations(gold)] * len(texts)}
        for verifier, paid in expected.items():
            found = reward(verifier, notation, LIMIT)(list(texts.values()), **columns, prompts=None)
            assert found == pytest.approx(list(paid.values())), verifier
            assert reward(verifier, notation, LIMIT).__name__ == f"reward_{verifier}"


@each_notation
def test_only_the_whole_form_of_values_earns_the_bonus(notation):
    chain = _chains(notation, 3, "in")[1]
    values = chain.write_values(chain.values())
    spoilt = [f"{values} ", f"hmm{values}", values[:-1], values[1:], values.replace(">", "", 1)]
    paid = reward("form_bonus", notation, LIMIT)([values, *spoilt], answer=["none"] * 6, reference=[""] * 6)
    assert paid == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
