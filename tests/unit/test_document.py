"""The report document: strict, ordered, exact both ways, and refused with the field's name when it is wrong."""

import dataclasses
import json
import re
import subprocess
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entropydx.document import from_json, json_schema, load_report, load_trajectory, to_json
from entropydx.errors import ReportError
from entropydx.types import FAILURES, Diagnosis, MeasurementRow, Report
from tests.golden.refresh import golden
from tests.unit.report_examples import EXAMPLES, collapsed
from tests.unit.series_examples import collapsing

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TEXT = st.text(max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SIX_DIGITS = st.builds(
    lambda digits, power: float(f"{digits}e{power}"), st.integers(-999_999, 999_999), st.integers(-12, 12)
)


def build(kind: Any, floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    """Return a strategy for a type hint of the report."""
    origin, args = get_origin(kind), get_args(kind)
    if NoneType in args:
        return st.none() | build(args[0], floats)
    if kind is MeasurementRow:
        row = build_record(kind, floats)
        return st.one_of(
            st.builds(replace, row, value=floats, missing_reason=st.none()),
            st.builds(replace, row, value=st.none(), missing_reason=TEXT),
        )
    if kind is Diagnosis:
        four = st.fixed_dictionaries(
            {f.value: build(get_args(get_type_hints(kind)["failures"])[1], floats) for f in FAILURES}
        )
        return st.builds(replace, build_record(kind, floats), failures=four)
    if dataclasses.is_dataclass(kind):
        return build_record(kind, floats)
    if origin is tuple and args[-1] is Ellipsis:
        by_name = (lambda row: row.name) if args[0] is MeasurementRow else None
        return st.lists(build(args[0], floats), max_size=2, unique_by=by_name).map(tuple)
    if origin is tuple:
        return st.tuples(*(build(a, floats) for a in args))
    if origin is dict:
        return st.dictionaries(TEXT, build(args[1], floats), max_size=2)
    if origin is Literal:
        return st.sampled_from(args)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    scalars = {str: TEXT, int: st.integers(), float: floats, bool: st.booleans()}
    return (
        scalars[kind]
        if kind in scalars
        else st.one_of(st.none(), st.lists(floats | TEXT, max_size=2), *scalars.values())
    )


def build_record(kind: Any, floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: build(hint, floats) for name, hint in get_type_hints(kind).items()})


def reports(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Report]:
    return st.builds(replace, st.deferred(lambda: build_record(Report, floats)), schema_version=st.just("1.0"))


MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@MANY
@given(reports(SIX_DIGITS))
def test_a_report_comes_back_exactly_and_fits_the_schema(report):
    text = to_json(report)
    assert from_json(text) == report
    VALIDATOR.validate(json.loads(text))


@MANY
@given(reports(FINITE))
def test_rounding_happens_once(report):
    once = to_json(report)
    assert to_json(from_json(once)) == once


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_examples_come_back_exactly_and_fit_the_schema(example):
    text = to_json(example())
    assert from_json(text) == example()
    VALIDATOR.validate(json.loads(text))


@given(FINITE, st.integers())
def test_six_digits_of_a_float_and_all_of_an_integer(value, whole):
    base = collapsed()
    report = replace(base, cost=replace(base.cost, wall_s=value, tokens_generated=whole))
    cost = json.loads(to_json(report))["cost"]
    assert cost["wall_s"] == pytest.approx(value, rel=5.01e-6, abs=0)
    assert cost["tokens_generated"] == whole


def test_keys_are_in_the_order_of_the_contract():
    document = json.loads(to_json(collapsed()))
    assert list(document) == [f.name for f in dataclasses.fields(Report)]
    assert list(document["recommendations"][0])[:5] == ["id", "title", "why", "for", "contraindicated_for"]
    assert list(document["diagnosis"]["failures"]) == [f.value for f in FAILURES]


def test_hostile_text_is_escaped_and_a_foreign_file_name_is_mended():
    base = collapsed()
    report = replace(base, checkpoint=replace(base.checkpoint, path="/data/\udce9t\u00e9", ref="\x1b[2J\x9b31m\u202e"))
    text = to_json(report)
    assert text.isascii()
    assert not re.search(r"[^\n\x20-\x7e]", text)
    back = from_json(text).checkpoint
    assert back.ref == "\x1b[2J\x9b31m\u202e"
    assert back.path == "/data/\N{REPLACEMENT CHARACTER}t\u00e9"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_one_is_never_written(number):
    base = collapsed()
    rows = (replace(base.measurements[0], ci=(0.0, number)),)
    with pytest.raises(ReportError, match=r"measurements\[0\]\.ci\[1\] is"):
        to_json(replace(base, measurements=rows))


def test_what_json_has_no_word_for_is_named():
    base = collapsed()
    remedy = replace(base.recommendations[0], config={"trl": {"beta": {1, 2}}})
    with pytest.raises(ReportError, match=r"recommendations\[0\]\.config\.trl\.beta is a set"):
        to_json(replace(base, recommendations=(remedy,)))


def edited(path: str, value: Any) -> str:
    """Return the collapsed report with one field set; `...` removes it."""
    document = json.loads(to_json(collapsed()))
    *parents, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    at = document
    for key in parents:
        at = at[key]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(document)


WRONG = [
    ("tool", ..., "tool is missing"),
    ("checkpoint/n_parameters", "many", "checkpoint.n_parameters should be a whole number"),
    ("checkpoint/n_parameters", True, "checkpoint.n_parameters should be a whole number"),
    ("checkpoint/quantized", 0, "checkpoint.quantized should be true or false"),
    ("protocol/seed", 1.5, "protocol.seed should be a whole number"),
    ("protocol/versions", [], "protocol.versions should be an object"),
    ("protocol/colour", "red", "protocol.colour is not a field"),
    ("colour", "red", "colour is not a field"),
    ("diagnosis", "collapse", "diagnosis should be an object"),
    ("diagnosis/label", "sick", "diagnosis.label should be one of training_collapse"),
    ("diagnosis/confidence", "certain", "diagnosis.confidence should be one of high, medium, low"),
    ("diagnosis/failures/training_collapse", ..., "diagnosis.failures should be an object with the keys"),
    ("diagnosis/failures/boredom", {"status": "absent"}, "diagnosis.failures should be"),
    ("measurements", {}, "measurements should be a list"),
    ("measurements/2/ci", 3.1, "measurements[2].ci should be a list"),
    ("measurements/2/ci", [1], "measurements[2].ci should be a list of 2"),
    ("measurements/2/ci", [0, "x"], "measurements[2].ci[1] should be a number"),
    ("measurements/2/value", None, "measurements[2] (token_entropy.fork_share) should have either"),
    ("measurements/2/missing_reason", "lost", "measurements[2] (token_entropy.fork_share) should have either"),
    ("findings/0/evidence/1/op", "=", "findings[0].evidence[1].op should be one of <, >"),
    ("recommendations/0/for", "training_collapse", "recommendations[0].for should be a list"),
    ("recommendations/0/for_", [], "recommendations[0].for_ is not a field"),
    ("cost/wall_s", None, "cost.wall_s should be a number, and is null"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[f"{p}={v}" for p, v, _ in WRONG])
def test_a_wrong_field_is_named_and_the_schema_agrees(path, value, message):
    text = edited(path, value)
    with pytest.raises(ReportError, match="^" + re.escape(f"ci/report.json: {message}")) as caught:
        from_json(text, Path("ci/report.json"))
    assert "entropydx" in caught.value.hint
    assert not VALIDATOR.is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not strict JSON"),
        ("{'a': 1}", "is not strict JSON"),
        ('{"schema_version": "1.0", "x": NaN}', "NaN is not a JSON number"),
        ('{"schema_version": "1.0", "x": -Infinity}', "-Infinity is not a JSON number"),
        ('{"schema_version": "1.0", "x": 1e999}', "1e999 is out of range"),
        ("[" * 100_000, "is not strict JSON"),
        ("[]", "is not an entropydx report"),
        ('{"accuracy": 1}', "is not an entropydx report"),
        ('{"schema_version": "2.0"}', 'schema_version is "2.0", and this entropydx reads "1.0"'),
        ('{"schema_version": 1.0}', 'schema_version is 1.0, and this entropydx reads "1.0"'),
    ],
    ids=lambda part: part[:24],
)
def test_what_is_no_report_is_refused(text, message):
    with pytest.raises(ReportError, match=re.escape(message)):
        from_json(text)


def test_a_number_beyond_a_double_is_refused():
    with pytest.raises(ReportError, match=r"cost\.wall_s should be a number within"):
        from_json(edited("cost/wall_s", 10**400))


def test_a_field_with_a_default_may_be_left_out():
    assert from_json(edited("protocol/ci_level", ...)).protocol.ci_level == 0.95


def test_load_report_reads_files_and_names_them(tmp_path):
    good, foreign = tmp_path / "good.json", tmp_path / "utf16.json"
    good.write_text("\ufeff" + to_json(collapsed()), encoding="utf-8")
    foreign.write_text("{}", encoding="utf-16")
    assert load_report(good) == collapsed()
    for path, problem in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "cannot be read"),
        (foreign, "not UTF-8"),
    ):
        with pytest.raises(ReportError, match=problem) as caught:
            load_report(path)
        assert str(path) in str(caught.value)


def test_the_schema_is_sound_and_says_where_it_belongs():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:entropydx:report:1.0"
    described = SCHEMA["$defs"]["Evidence"]["properties"]["strength"]["description"]
    assert described.startswith("0 the interval is wholly on the other side")


@pytest.mark.parametrize("path", golden(), ids=lambda path: path.name)
def test_golden_files_are_current(path):
    assert path.read_text(encoding="utf-8") == golden()[path], "read the difference, then `make golden`"


def test_the_reference_page_names_every_field_of_the_schema():
    page = (ROOT / "docs/reference/report.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    records = {name: d["properties"] for name, d in SCHEMA["$defs"].items() if "properties" in d}
    records["Report"] = SCHEMA["properties"]
    assert {name: re.findall(r"^\| `(\w+)` \|", body, re.M) for name, body in sections.items()} == {
        name: list(fields) for name, fields in records.items()
    }


def test_reading_a_report_imports_nothing_heavy():
    code = "import entropydx.document, sys; print(sorted({'torch', 'pydantic', 'rich', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_document_of_a_series_comes_back_and_another_is_refused(tmp_path):
    path = tmp_path / "series.json"
    path.write_text(to_json(collapsing()))
    assert to_json(load_trajectory(path)) == path.read_text()
    path.write_text(to_json(replace(collapsing(), schema_version="1.0")))
    with pytest.raises(ReportError, match=r'series.json: schema_version is "1.0", and this entropydx reads "1.1"'):
        load_trajectory(path)
    path.write_text(to_json(collapsed()))
    with pytest.raises(ReportError, match=r"series.json: .* \(give the document of `entropydx trajectory"):
        load_trajectory(path)
    with pytest.raises(ReportError, match="cannot be read"):
        load_trajectory(tmp_path / "none.json")


def test_a_measurement_that_stands_twice_is_refused() -> None:
    report = collapsed()
    twice = replace(report, measurements=(*report.measurements, report.measurements[0]))
    with pytest.raises(ReportError, match="a second time"):
        from_json(to_json(twice))
