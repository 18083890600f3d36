"""Suites from files: every format gives the same prompts, and every bad record says where, what and how to mend it."""

import json
import subprocess
import sys
from dataclasses import replace

import datasets
import pytest

from entropydx.errors import SuiteError
from entropydx.suite_file import load_suite_file, suite_sha
from entropydx.types import Prompt, VerifierSpec
from entropydx.verifiers import grade

RECORD = {
    "id": "p1",
    "prompt": "3+5-2=",
    "answer": "6",
    "verifier": {"type": "exact", "extract": "A(\\d)"},
    "domain": "in",
    "difficulty": "easy",
    "guess_rate": 0.1,
    "reference": "3+5=8;8-2=6;A6.",
    "family": "chain",
}
PROMPT = Prompt(
    id="p1",
    prompt="3+5-2=",
    answer="6",
    verifier=VerifierSpec(type="exact", extract="A(\\d)"),
    domain="in",
    difficulty="easy",
    guess_rate=0.1,
    reference="3+5=8;8-2=6;A6.",
    family="chain",
)
PLAIN = {"id": "p2", "prompt": "q", "answer": "6"}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def lines(path, *records):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n", encoding="utf-8")
    return path


# ── formats ───────────────────────────────────────────────────────────────────────────────────────


def test_the_documented_line(tmp_path):
    assert load_suite_file(lines(tmp_path / "s.jsonl", RECORD)) == [PROMPT]


def test_defaults_and_unknown_fields(tmp_path):
    (prompt,) = load_suite_file(lines(tmp_path / "s.jsonl", {**PLAIN, "source": {"page": 3}, "guess_rate": None}))
    assert prompt == Prompt(id="p2", prompt="q", answer="6", extra={"source": {"page": 3}})


def test_messages_and_an_answer_that_is_a_number(tmp_path):
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    (prompt,) = load_suite_file(lines(tmp_path / "s.jsonl", {"id": 7, "messages": messages, "answer": 6}))
    assert prompt == Prompt(id="7", messages=tuple(messages), answer="6")


def test_json_arrays_wrapped_arrays_and_lines_under_the_name_json(tmp_path):
    path = tmp_path / "s.json"
    for text in (
        json.dumps([RECORD]),
        json.dumps({"data": [RECORD]}),
        json.dumps(RECORD),
        "\ufeff" + json.dumps([RECORD]),
    ):
        path.write_text(text, encoding="utf-8")
        assert load_suite_file(path) == [PROMPT]
    assert [p.id for p in load_suite_file(lines(path, RECORD, "", PLAIN))] == ["p1", "p2"]


def test_parquet_and_data_set_directories(tmp_path):
    table = datasets.Dataset.from_list([RECORD, PLAIN])
    table.to_parquet(str(tmp_path / "s.parquet"))
    table.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"train": table.select([1]), "test": table}).save_to_disk(str(tmp_path / "splits"))
    (tmp_path / "folder").mkdir()
    table.to_parquet(str(tmp_path / "folder" / "test-00000-of-00001.parquet"))
    plain = Prompt(id="p2", prompt="q", answer="6")  # the columns of the other record are nulls here, and dropped
    for name in ("s.parquet", "saved", "splits", "folder"):
        assert load_suite_file(tmp_path / name) == [PROMPT, plain], name


def test_csv_keeps_text_as_it_is(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text(
        "id,prompt,answer,guess_rate,verifier,extract\n"
        '001,"two, and\na line",007,0.1,exact,\n'
        '2,NA,1e5,,"{""type"": ""numeric""}",A(.+)\n',
        encoding="utf-8",
    )
    assert load_suite_file(path) == [
        Prompt(id="001", prompt="two, and\na line", answer="007", guess_rate=0.1),
        Prompt(id="2", prompt="NA", answer="1e5", verifier=VerifierSpec(type="numeric", extract="A(.+)")),
    ]
    (tmp_path / "s.tsv").write_text("id\tprompt\tanswer\n1\ta,b\t3\n", encoding="utf-8")
    assert load_suite_file(tmp_path / "s.tsv") == [Prompt(id="1", prompt="a,b", answer="3")]


def test_limit_reads_no_further(tmp_path):
    path = lines(tmp_path / "s.jsonl", RECORD, PLAIN, "{broken")
    assert len(load_suite_file(path, limit=2)) == 2
    with pytest.raises(SuiteError, match="line 3"):
        load_suite_file(path, limit=3)


def test_nothing_is_written_beside_the_file_and_no_bar_is_drawn(tmp_path, capfd):
    (tmp_path / "s.csv").write_text("id,prompt,answer\n1,q,3\n", encoding="utf-8")
    datasets.enable_progress_bars()
    load_suite_file(tmp_path / "s.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["s.csv"]
    assert capfd.readouterr() == ("", "")
    assert datasets.is_progress_bar_enabled(), "the caller's setting is restored"


# ── presets and --map ─────────────────────────────────────────────────────────────────────────────


def test_gsm8k(tmp_path):
    worked = "She sold 6*12=<<6*12=72>>72 and more.\n#### 1,072"
    (prompt,) = load_suite_file(lines(tmp_path / "s.jsonl", {"question": "How many?", "answer": worked}))
    assert (prompt.id, prompt.prompt, prompt.answer) == ("gsm8k-0", "How many?", "1,072")
    assert (prompt.verifier.type, prompt.reference, prompt.family) == ("numeric", worked, "gsm8k")
    assert grade(prompt, worked).grade == 1.0
    assert grade(prompt, "The answer is $1072.").grade == 1.0


def test_math_500(tmp_path):
    record = {"problem": "x?", "solution": r"so \boxed{\frac{1}{2}}", "answer": r"\frac{1}{2}", "subject": "Algebra"}
    levels = [{**record, "level": level, "unique_id": f"test/{level}.json"} for level in range(1, 6)]
    prompts = load_suite_file(lines(tmp_path / "s.jsonl", *levels))
    assert [p.difficulty for p in prompts] == ["easy", "easy", "medium", "hard", "hard"]
    assert (prompts[0].id, prompts[0].verifier.type, prompts[0].family) == ("test/1.json", "math", "math500")
    assert prompts[0].extra == {"subject": "Algebra", "level": 1}
    assert grade(prompts[0], prompts[0].reference).grade == 1.0


@pytest.mark.parametrize(
    "record",
    [
        {"ID": "2024-I-4", "Problem": "p?", "Solution": "s", "Answer": 204},
        {"problem": "p?", "answer": "204", "id": "2024-I-4", "solution": "s", "difficulty": 9},
    ],
)
def test_aime(tmp_path, record):
    (prompt,) = load_suite_file(lines(tmp_path / "s.jsonl", record))
    assert (prompt.id, prompt.prompt, prompt.answer, prompt.reference) == ("2024-I-4", "p?", "204", "s")
    assert (prompt.verifier.type, prompt.difficulty, prompt.guess_rate) == ("numeric", "hard", 0.001)


def test_problems_with_other_answers_are_math(tmp_path):
    (prompt,) = load_suite_file(lines(tmp_path / "s.jsonl", {"problem": "p?", "answer": "x^2"}))
    assert (prompt.id, prompt.verifier.type) == ("math-0", "math")


def test_map(tmp_path):
    path = lines(
        tmp_path / "s.jsonl", {"q": "hi", "a": "5", "uid": "u1", "note": 1}, {"q": "ho", "a": "6", "uid": "u2"}
    )
    first, second = load_suite_file(path, {"prompt": "q", "answer": "a"})
    assert first == Prompt(id="row-1", prompt="hi", answer="5", extra={"uid": "u1", "note": 1})
    assert second.id == "row-2"
    assert load_suite_file(path, {"prompt": "q", "answer": "a", "id": "uid"})[0].id == "u1"
    with pytest.raises(SuiteError, match=r"no field 'promt' \(did you mean 'prompt'\?\)"):
        load_suite_file(path, {"promt": "q"})
    with pytest.raises(SuiteError, match=r"no column 'qq' \(did you mean 'q'\?\)"):
        load_suite_file(path, {"prompt": "qq"})


# ── bad records ───────────────────────────────────────────────────────────────────────────────────

BAD_FIELDS = [
    ({"id": None}, "id", "missing"),
    ({"prompt": ""}, "prompt", "missing"),
    ({"answer": None}, "answer", "missing"),
    ({"answer": "  "}, "answer", "missing"),
    ({"answer": True}, "answer", "True is not text"),
    ({"answer": ["6"]}, "answer", "is not text"),
    ({"domain": "outside"}, "domain", "'outside' is unknown (use in, out)"),
    ({"difficulty": 3}, "difficulty", "3 is unknown (use easy, medium, hard)"),
    ({"verifier": {"extract": "A(\\d"}}, "verifier", "not a regular expression"),
    ({"verifier": {"extract": "A\\d"}}, "verifier", "has no group"),
    ({"verifier": {"typ": "exact"}}, "verifier", "unknown part 'typ' (did you mean 'type'?)"),
    ({"verifier": "numerc"}, "verifier", "no verifier of type 'numerc'"),
    ({"verifier": "{"}, "verifier", "not valid JSON"),
    ({"verifier": 3}, "verifier", "3 is not an object"),
    ({"verifier": {"type": "exact", "tolerance": 0.1}}, "verifier", "tolerance has no meaning"),
    ({"guess_rate": 1.5}, "guess_rate", "1.5 is not in [0, 1]"),
    ({"guess_rate": "often"}, "guess_rate", "'often' is not a number"),
    ({"verifier": "numeric", "answer": "six"}, "answer", "'six' is not a number"),
    ({"verifier": "choice", "answer": "Z"}, "answer", "not a letter from A to E"),
    ({"verifier": "regex", "answer": "("}, "answer", "not a regular expression"),
    ({"reference": "3+5-2=7;A7."}, "answer", "ends with '7', the answer is '6'"),
    ({"messages": [{"role": "user", "content": "u"}]}, "prompt", "given together with 'messages'"),
    ({"prompt": None, "messages": [{"role": "user"}]}, "messages", "not a list of messages"),
    ({"prompt": None, "messages": []}, "messages", "not a list of messages"),
]


@pytest.mark.parametrize(("change", "field", "message"), BAD_FIELDS)
def test_a_bad_field_is_named_with_its_line(tmp_path, change, field, message):
    path = lines(tmp_path / "s.jsonl", {**RECORD, "id": "p0"}, "", {**RECORD, **change})
    with pytest.raises(SuiteError) as raised:
        load_suite_file(path)
    assert str(raised.value).startswith(f"{path}, line 3, field '{field}': ")
    assert message in str(raised.value)
    assert raised.value.hint, "it says how to mend it"
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": ', "not valid JSON: Expecting value at column"),
        ('{"id": NaN}', "NaN is not a JSON number"),
        ('{"id": 1, "id": 2}', "field 'id' occurs twice"),
        ("[1]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("\x00", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = lines(tmp_path / "s.jsonl", RECORD, line)
    with pytest.raises(SuiteError) as raised:
        load_suite_file(path)
    assert str(raised.value).startswith(f"{path}, line 2: ")
    assert message in str(raised.value)


def test_bytes_that_are_not_text_are_named(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(json.dumps(RECORD).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(SuiteError, match="line 2: not valid JSON: 'utf-8' codec"):
        load_suite_file(path)


def test_a_bad_array_names_the_line_of_the_file(tmp_path):
    path = lines(tmp_path / "s.json", "[", json.dumps(RECORD), json.dumps(PLAIN) + "]")
    with pytest.raises(SuiteError, match=r"line 3: not valid JSON: Expecting ',' delimiter"):
        load_suite_file(path)


def test_duplicate_ids_name_both_places(tmp_path):
    path = lines(tmp_path / "s.jsonl", RECORD, PLAIN, RECORD)
    with pytest.raises(SuiteError, match=r"line 3, field 'id': 'p1' is taken by .*line 1"):
        load_suite_file(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.jsonl", "", "no records"),
        ("s.jsonl", "\n \n", "no records"),
        ("s.json", "[]", "no records"),
        ("s.json", "3", "not a JSON object|neither an array"),
        ("s.csv", "", "no records"),
        ("s.csv", "id,prompt,answer\n", "no records"),
        ("s.csv", "id,prompt,answer\n1,2\n", "row 1, field 'answer': missing"),
        ("s.csv", "id,prompt,answer\n1,2,3\n1,2,3,4\n", "line 3: 4 cells under 3 columns"),
        ("s.parquet", "hello", "cannot be read"),
        ("s.txt", "hello", "unknown kind of file"),
    ],
)
def test_files_that_are_no_suite(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError, match=message):
        load_suite_file(tmp_path / name)


@pytest.mark.parametrize("name", ["missing.jsonl", "folder/missing.csv", "missing"])
def test_a_missing_file_is_not_looked_for_on_the_network(name):
    with pytest.raises(SuiteError, match=f"no suite at {name}"):
        load_suite_file(name)


def test_a_directory_without_data(tmp_path):
    with pytest.raises(SuiteError, match="cannot be read"):
        load_suite_file(tmp_path)


def test_a_hub_name_that_is_not_cached_says_how_to_get_it():
    with pytest.raises(SuiteError, match=r"openai/gsm8k:main:test: cannot be read: .*download it first"):
        load_suite_file("openai/gsm8k:main:test")


# ── suite_sha ─────────────────────────────────────────────────────────────────────────────────────


def test_the_sha_depends_on_every_field_and_on_the_order():
    changes = {"id": "x", "prompt": "x", "answer": "7", "domain": "out", "difficulty": "hard", "guess_rate": 0.2}
    changes |= {"reference": "x", "family": "x", "extra": {"a": 1}, "messages": ({"role": "user", "content": "u"},)}
    changes |= {"verifier": VerifierSpec(type="numeric")}
    shas = {suite_sha([PROMPT]), *(suite_sha([replace(PROMPT, **{field: value})]) for field, value in changes.items())}
    assert len(shas) == 1 + len(changes)
    other = replace(PROMPT, id="p2")
    assert suite_sha([PROMPT, other]) != suite_sha([other, PROMPT])


def test_the_sha_is_over_strict_json_whatever_a_record_holds():
    prompt = replace(PROMPT, prompt="\ud800", extra={"nan": float("nan"), "tuple": (1, 2), "other": {3: object}})
    assert len(suite_sha([prompt])) == 64
    assert suite_sha([PROMPT]) == suite_sha([replace(PROMPT)])


def test_loading_jsonl_imports_neither_torch_nor_datasets(tmp_path):
    path = lines(tmp_path / "s.jsonl", RECORD)
    program = (
        "import sys; from entropydx.suite_file import load_suite_file; load_suite_file(sys.argv[1]); "
        "sys.exit(bool({'torch', 'datasets', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0
