"""Formats of texts that a person would name the same way."""

import time
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropydx.probes._structure import cluster, shape
from entropydx.probes.format_mode import MODE_NAMES, mode_of, probe
from entropydx.types import Measured, Missing
from tests.unit.samples import completion, group, samples

EXAMPLES = {
    "think_tags": "<think>let me see</think> The answer is 4.",
    "json": '{"steps": ["2+2=4"], "answer": 4}',
    "table": "| x | y |\n|---|---|\n| 1 | 2 |",
    "python_function": "def solve(a, b):\n    return a + b\n",
    "code_block": "Run this:\n```\nprint(4)\n```",
    "latex_boxed": "We get $2+2$, so \\boxed{4}.",
    "numbered_steps": "1. Add the numbers.\n2. Report 4.",
    "bullets": "- two apples\n- two pears\nFour in all.",
    "equations": "First 2 + 2 = 4, and then 4 * 2 = 8.",
    "bare_answer": "4",
    "prose": "He defines the sum first, and then finds that there are four of them in the basket.",
}


def test_every_mode_has_an_example() -> None:
    assert set(EXAMPLES) == set(MODE_NAMES)


@pytest.mark.parametrize(("mode", "text"), EXAMPLES.items())
def test_mode_of_a_plain_example(mode: str, text: str) -> None:
    assert mode_of(text) == mode


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("The undefined case is defined away here by definition.", "prose", "the substring def is no function"),
        ("[see above] and so on for a while in plain words", "prose", "a bracket alone is not JSON"),
        ("a - b - c in one line of plain words is no list", "prose", "a bullet opens a line"),
        ("{" * 5000, "bare_answer", "deep nesting must not crash the JSON check"),
        ("", "bare_answer", "an empty reply has no format of its own"),
    ],
)
def test_near_misses(text: str, mode: str, why: str) -> None:
    assert mode_of(text) == mode, why


def test_private_formats_are_told_apart_by_structure() -> None:
    chain = ["3+5=8;8-2=6;A6.", "1+1=2;2+7=9;9-4=5;A5.", "12*3=36;36-6=30;A30."]
    boxed = ["[8]>[6]>A6.", "[2]>[9]>[5]>A5.", "[36]>[30]>A30."]
    bracket = ["(3+5)=8,(8-2)=6 A6.", "(1+1)=2,(2+7)=9,(9-4)=5 A5.", "(12*3)=36,(36-6)=30 A30."]
    numbers = cluster([*chain, *boxed, *bracket])
    assert [len(set(numbers[i : i + 3])) for i in (0, 3, 6)] == [1, 1, 1]
    assert len(set(numbers)) == 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=12), st.randoms())
def test_clustering_does_not_depend_on_order(texts: list[str], random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(texts)))
    random.shuffle(order)
    a, b = cluster(texts), cluster([texts[i] for i in order])
    assert [a[i] for i in order] == b


def test_shape_ignores_what_is_said() -> None:
    assert shape("12 apples cost 30") == shape("7 pears weigh 4")


def _measure(formats: list[list[str]], base: list[list[str]] | None = None) -> dict[str, Measured | Missing]:
    def build(rows: list[list[str]], name: str):  # type: ignore[no-untyped-def]
        return samples(
            [group(i, [completion(text=EXAMPLES[f]) for f in row]) for i, row in enumerate(rows)], fingerprint=name
        )

    theirs = None if base is None else build(base, "b")
    return {m.name.removeprefix("format_mode."): m for m in probe.measure(build(formats, "a"), theirs)}


def _value(found: dict[str, Measured | Missing], name: str) -> float:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured.value


def test_even_mixture_of_two_formats() -> None:
    found = _measure([["bullets", "bullets", "json", "json"]] * 4)
    assert _value(found, "entropy") == pytest.approx(log(2))
    assert _value(found, "effective_number") == pytest.approx(2)
    assert _value(found, "dominant_share") == 0.5
    assert _value(found, "share_json") == 0.5
    assert _value(found, "disagreement") == pytest.approx(4 / 6)  # 4 of the 6 pairs of 2 + 2


def test_a_format_per_task_is_no_disagreement() -> None:
    found = _measure([["bullets"] * 4, ["json"] * 4])
    assert _value(found, "effective_number") == pytest.approx(2)
    assert _value(found, "disagreement") == 0


def test_divergence_from_the_baseline() -> None:
    mixed, single = [["bullets", "json"]] * 4, [["bullets", "bullets"]] * 4
    assert _value(_measure(mixed, mixed), "js_divergence") == pytest.approx(0, abs=1e-12)
    # JS of (1/2, 1/2) and (1, 0): H(3/4, 1/4) - (ln 2 + 0) / 2.
    expected = -(0.75 * log(0.75) + 0.25 * log(0.25)) - log(2) / 2
    found = _measure(single, mixed)
    assert _value(found, "js_divergence") == pytest.approx(expected)
    assert _value(found, "structure_js_divergence") == pytest.approx(expected)
    change = found["disagreement"]
    assert isinstance(change, Measured)
    assert change.delta == pytest.approx(-1)


def test_no_baseline_no_divergence() -> None:
    assert isinstance(_measure([["bullets", "json"]] * 3)["js_divergence"], Missing)


@pytest.mark.parametrize("text", ["\n" * 20_000, "a" + "\n" * 20_000 + "b", " \n" * 20_000, "|" + "\n" * 20_000 + "|"])
def test_a_policy_that_only_writes_newlines_does_not_hang_the_probe(text: str) -> None:
    started = time.process_time()
    mode_of(text)
    assert time.process_time() - started < 1
