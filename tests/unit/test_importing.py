"""Files of other tools to reports: what is read, what is refused, and what stays unknown."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from entropydx import document, importing, pipeline, plugins, runs
from entropydx.cli import app
from entropydx.errors import ConfigError, EntropydxError, ImportFileError, PluginNotFoundError, VerifierError
from entropydx.importers import _reading, generic
from entropydx.importing import ImportJob, run_import
from entropydx.protocols import Silent
from entropydx.types import Completion, Group, ImportOptions, Label, Measured, Missing, Prompt, VerifierSpec

ROOT = Path(__file__).parents[2]
TEXTS = ("2+2=4;A4.", "A5.", "2+2=4;A4.", "2+2=5;A5.")


def _rows(n=24, k=4, **columns):
    """Return rows of n prompts; of every k completions the first and the third are right."""
    return [
        {"prompt_id": f"p{i}", "prompt": f"{i}: 2+2=", "text": TEXTS[j % 4], "grade": 1 - j % 2, "answer": "45"[j % 2],
         "gold": "4", "finish_reason": "stop", "temperature": 1.0, **columns}
        for i in range(n) for j in range(k)
    ]  # fmt: skip


def _write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _import(tmp_path, rows, options=None, **job):
    path = _write(tmp_path / f"{job.pop('name', 'samples')}.jsonl", rows)
    run = ImportJob(path=path, options=options or ImportOptions(), run_dir=job.pop("run_dir", tmp_path / "run"), **job)
    return run_import(run)


def _without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


class Heard(Silent):
    """Keeps warnings."""

    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


# ── what comes out ────────────────────────────────────────────────────────────────────────────────


def test_an_import_is_a_run_like_any_other(tmp_path: Path) -> None:
    report = _import(tmp_path, _rows())
    assert report.row("sampling_spread.pass_at_1").value == 0.5
    assert report.row("sampling_spread.coverage").value == 1.0
    assert report.row("instrument.completion_length").unit == "words"
    assert report.row("token_entropy.mean").value is None
    assert "entropydx diagnose" in report.row("token_entropy.mean").missing_reason
    assert report.checkpoint.format == "imported"
    assert report.protocol.imported.graded_by == "column 'grade'"
    assert (report.protocol.temperature, report.protocol.top_p, report.protocol.seed) == (1.0, None, None)
    again = pipeline.retriage(tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "report.json").read_text())
    assert {**json.loads(document.to_json(again)), "created_at": ""} == {**kept, "created_at": ""}
    assert again.row("sampling_spread.pass_at_1").value == 0.5
    judged = pipeline.retriage(tmp_path / "run" / "report.json")
    assert judged.diagnosis.label == report.diagnosis.label
    found = runs.open_run(tmp_path / "run").samples["checkpoint"]
    assert found.imported == report.protocol.imported
    assert found.params.temperature == 1.0


def test_the_same_import_twice_keeps_one_copy(tmp_path: Path) -> None:
    first = _import(tmp_path, _rows())
    file = tmp_path / "run" / "samples-checkpoint.jsonl"
    before = file.read_bytes()
    second = _import(tmp_path, _rows())
    assert file.read_bytes() == before
    assert first.measurements == second.measurements
    with pytest.raises(EntropydxError, match="holds another run"):
        _import(tmp_path, _rows(grade=1))


def test_a_baseline_is_paired_by_what_was_asked(tmp_path: Path) -> None:
    ours = _rows(n=24, k=4, grade=0)
    theirs = [{**row, "prompt_id": f"other-{row['prompt_id']}"} for row in _rows(n=30, k=6, grade=1)]
    before = _write(tmp_path / "before.jsonl", theirs)
    report = _import(tmp_path, [*ours, *_rows(n=1, prompt="never asked before", prompt_id="new")], baseline=before)
    row = report.row("sampling_spread.pass_at_1")
    assert (row.value, row.baseline, row.delta, row.n) == (0.0, 1.0, -1.0, 24)
    assert "24 of 25 prompts are in the baseline too" in report.diagnosis.summary
    assert "The first 4 of 6 completions" in report.diagnosis.summary
    assert report.protocol.imported_baseline.files == ("before.jsonl",)
    assert report.checkpoint.fingerprint != report.baseline.fingerprint


def test_a_baseline_that_was_asked_something_else_is_refused(tmp_path: Path) -> None:
    other = [{**row, "prompt_id": "q" + row["prompt_id"], "prompt": "?" + row["prompt"]} for row in _rows()]
    with pytest.raises(ConfigError, match="no prompt in common"):
        _import(tmp_path, _rows(), baseline=_write(tmp_path / "other.jsonl", other))


def test_steps_of_one_file_are_compared(tmp_path: Path) -> None:
    rows = [*_rows(step=10, grade=1), *_rows(step=20, grade=0)]
    report = _import(tmp_path, rows, baseline_step=10)
    assert report.protocol.imported.step == 20
    assert report.row("sampling_spread.pass_at_1").delta == -1.0
    assert report.checkpoint.ref.endswith("step 20")
    assert report.checkpoint.fingerprint != report.baseline.fingerprint
    alone = _import(tmp_path, rows, ImportOptions(step=10), run_dir=tmp_path / "ten")
    assert alone.row("sampling_spread.pass_at_1").value == 1.0
    with pytest.raises(ImportFileError, match=r"no row of step 15 .*10, 20"):
        _import(tmp_path, rows, ImportOptions(step=15), run_dir=tmp_path / "none")


def test_different_temperatures_are_told(tmp_path: Path) -> None:
    before = _write(tmp_path / "b.jsonl", _rows(temperature=0.6))
    report = _import(tmp_path, _rows(), baseline=before)
    assert "different temperatures (1 and 0.6)" in report.diagnosis.summary
    unknown = _import(tmp_path, _without(_rows(), "temperature"), run_dir=tmp_path / "u")
    assert "do not say the sampling temperature" in unknown.diagnosis.summary
    assert unknown.protocol.temperature is None
    said = _import(
        tmp_path, _without(_rows(), "temperature"), ImportOptions(temperature=0.7), run_dir=tmp_path / "said"
    )
    assert said.protocol.temperature == 0.7
    with pytest.raises(ImportFileError, match=r"temperature is 1 in the file, and 0\.7 was said"):
        _import(tmp_path, _rows(), ImportOptions(temperature=0.7), run_dir=tmp_path / "no")


# ── grades and answers ────────────────────────────────────────────────────────────────────────────


def test_without_grades_gold_answers_grade(tmp_path: Path) -> None:
    spec = VerifierSpec(type="exact", extract=r"A(\d)")
    report = _import(tmp_path, _without(_rows(), "grade", "answer"), ImportOptions(verifier=spec))
    assert report.row("sampling_spread.pass_at_1").value == 0.5
    assert report.row("instrument.extraction_failure_rate").value == 0.0
    assert report.protocol.imported.graded_by == "the exact verifier of entropydx"
    assert report.protocol.imported.answers_from == "the exact verifier of entropydx"


def test_a_verifier_of_the_user_overrules_the_tools_grade_and_score_overrules_it(tmp_path: Path) -> None:
    spec = VerifierSpec(type="exact", extract=r"A(\d)")
    rows = _rows(grade=1.0)
    assert _import(tmp_path, rows, ImportOptions(verifier=spec)).row("sampling_spread.pass_at_1").value == 0.5
    kept = _import(tmp_path, rows, ImportOptions(verifier=spec, score="grade"), run_dir=tmp_path / "kept")
    assert kept.row("sampling_spread.pass_at_1").value == 1.0
    assert kept.protocol.imported.graded_by == "column 'grade'"


def test_without_gold_answers_a_verifier_finds_answers_and_leaves_the_grades(tmp_path: Path) -> None:
    spec = VerifierSpec(type="numeric", extract=r"A(\d)")
    report = _import(tmp_path, _without(_rows(), "gold", "answer"), ImportOptions(verifier=spec))
    assert report.row("sampling_spread.pass_at_1").value == 0.5
    # Two wrong answers of each prompt, both 5.
    assert report.row("sampling_spread.wrong_agreement").value == 1.0
    assert "--map gold=COLUMN" in report.row("shortcutting.answer_reuse").missing_reason


def test_answers_that_nobody_looked_for_are_no_extraction_failures(tmp_path: Path) -> None:
    report = _import(tmp_path, _without(_rows(), "answer"))
    assert report.row("sampling_spread.pass_at_1").value == 0.5
    for name in ("instrument.extraction_failure_rate", "sampling_spread.majority_gain"):
        assert report.row(name).value is None
        assert "--verifier" in report.row(name).missing_reason
    assert not [f for f in report.findings if f.status == "fired" and f.code.startswith("EDX9")]


def test_neither_grade_nor_gold_is_inconclusive(tmp_path: Path) -> None:
    report = _import(tmp_path, _without(_rows(), "grade", "gold", "answer"))
    assert report.diagnosis.label == Label.INCONCLUSIVE
    assert "not graded" in report.row("sampling_spread.pass_at_1").missing_reason
    assert report.row("instrument.empty_rate").value == 0.0


def test_a_wrong_pattern_is_told(tmp_path: Path) -> None:
    path, heard = _write(tmp_path / "a.jsonl", _rows()), Heard()
    options = ImportOptions(verifier=VerifierSpec(type="exact", extract=r"Answer: (\d)"))
    run_import(ImportJob(path=path, options=options, run_dir=tmp_path / "r"), heard)
    assert any("no answer was found in 96 of 96 texts" in w for w in heard.warnings)


def test_grades_that_lack_are_told(tmp_path: Path) -> None:
    rows = _without(_rows(), "gold")
    rows[5]["grade"] = None
    report = _import(tmp_path, rows)
    assert "1 of 96 completions have no grade" in report.diagnosis.summary
    assert report.row("sampling_spread.pass_at_1").value is None


def test_grades_between_are_told(tmp_path: Path) -> None:
    report = _import(tmp_path, _rows(grade=0.5))
    assert report.row("sampling_spread.pass_at_1").value == 0.0
    assert "96 of 96 grades lie between 0 and 1" in report.diagnosis.summary


def test_endings_that_are_unknown_leave_truncation_untested(tmp_path: Path) -> None:
    report = _import(tmp_path, _without(_rows(), "finish_reason"))
    truncation = next(f for f in report.findings if f.code == "EDX901")
    assert truncation.status == "undecided"
    assert "how its completions ended" in truncation.evidence[0].missing_reason
    assert "cut off at the token limit is unknown" in report.diagnosis.summary
    cut = _import(tmp_path, _rows(finish_reason="length"), run_dir=tmp_path / "cut")
    assert next(f for f in cut.findings if f.code == "EDX901").status == "fired"


def test_empty_texts_are_empty_output(tmp_path: Path) -> None:
    report = _import(tmp_path, _without(_rows(text=""), "finish_reason"))
    assert report.row("instrument.empty_rate").value == 1.0
    assert report.diagnosis.label == Label.ABNORMAL


def test_one_completion_of_a_prompt(tmp_path: Path) -> None:
    report = _import(tmp_path, _rows(k=1))
    assert report.row("sampling_spread.pass_at_1").value == 1.0
    assert report.row("sampling_spread.majority_gain").missing_reason == "needs 2 samples of every prompt, has 1"


# ── tokens and entropies ──────────────────────────────────────────────────────────────────────────


def test_tokens_give_lengths_and_logged_entropies_stay_apart(tmp_path: Path) -> None:
    told = {"token_ids": [1, 2, 3], "logprobs": [-0.1, -0.2, -0.3], "entropies": [0.2, 0.4, 0.9]}
    report = _import(tmp_path, _rows(**told))
    assert report.row("instrument.completion_length").unit == "tokens"
    assert report.row("instrument.completion_length").value == 3.0
    assert report.row("imported_entropy.mean").value == pytest.approx(0.5)
    assert "not comparable" in report.row("imported_entropy.mean").note
    assert report.row("token_entropy.mean").value is None
    assert pipeline.retriage(tmp_path / "run").row("imported_entropy.mean").value == pytest.approx(0.5)
    mixed = _rows(**told)
    del mixed[7]["token_ids"]
    found = _import(tmp_path, mixed, run_dir=tmp_path / "mixed")
    assert found.row("instrument.completion_length").unit == "words"


def test_numbers_of_tokens_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ImportFileError, match="line 1: 'logprobs' is not a list of one finite number for each of the 3 tokens"
    ):
        _import(tmp_path, _rows(token_ids=[1, 2, 3], logprobs=[-0.1]))


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────


def _group(name: str, k: int) -> Group:
    blank = Completion(token_ids=None, logprobs=None, entropies=None, text="x", finish_reason="unknown")
    return Group(prompt=Prompt(id=name, prompt=name, answer=""), completions=(blank,) * k)


@pytest.mark.parametrize(
    ("sizes", "kept", "said"),
    [
        ((4, 4, 4), [4, 4, 4], ()),
        ((4, 4, 2), [4, 4], ("1 of 3 prompts have fewer than 4 completions and are left out",)),
        ((4, 4, 9), [4, 4, 4], ("of 1 prompts with more than 4 completions the first 4 are taken",)),
        ((2, 4), [4], ("1 of 2 prompts have fewer than 4 completions and are left out",)),
        ((), [], ()),
    ],
)
def test_groups_have_one_size(sizes, kept, said) -> None:
    groups, notes = _reading.same_k(_group(f"p{i}", k) for i, k in enumerate(sizes))
    assert [len(g.completions) for g in groups] == kept
    assert notes == said


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    rows = _rows()
    first = _import(tmp_path, rows, name="a", run_dir=tmp_path / "a")
    second = _import(tmp_path, [*rows[48:], *rows[:48]], name="b", run_dir=tmp_path / "b")
    assert first.measurements == second.measurements
    assert first.protocol.suite_sha == second.protocol.suite_sha


def test_what_is_left_out_is_in_the_report(tmp_path: Path) -> None:
    report = _import(tmp_path, [*_rows(), *_rows(n=1, k=2, prompt_id="short")])
    assert report.protocol.n_prompts == 24
    assert "1 of 25 prompts have fewer than 4 completions" in report.diagnosis.summary


def test_samples_are_in_the_order_of_their_index(tmp_path: Path) -> None:
    rows = [{**row, "sample_index": 3 - i % 4} for i, row in enumerate(_rows(n=20))]
    report = _import(tmp_path, rows)
    assert report.protocol.n_prompts == 20
    first = runs.open_run(tmp_path / "run").samples["checkpoint"].groups[0]
    assert [c.text for c in first.completions] == list(reversed(TEXTS))


def test_a_map_names_columns_also_nested_ones(tmp_path: Path) -> None:
    rows = [{"doc": {"q": r["prompt"], "level": "hard"}, "out": r["text"], "ok": bool(r["grade"])} for r in _rows()]
    named = {"prompt": "doc.q", "text": "out", "difficulty": "doc.level"}
    path = _write(tmp_path / "n.jsonl", rows)
    job = ImportJob(path=path, tool="generic", options=ImportOptions(map=named, score="ok"), run_dir=tmp_path / "run")
    report = run_import(job)
    assert report.row("sampling_spread.pass_at_1@hard").value == 0.5
    with pytest.raises(ImportFileError, match=r"line 1, 'doc' has no column 'x' \(columns: q, level\)"):
        run_import(replace(job, options=ImportOptions(map={**named, "difficulty": "doc.x"}), run_dir=tmp_path / "x"))


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("grade", 1.5, "line 1: 'grade' is 1.5, which is no grade in"),
        ("grade", "yes", "which is no grade"),
        ("grade", 10**400, "which is no grade"),
        ("text", 3, "'text' is 3, which is no text"),
        ("prompt", {"q": 1}, "is no prompt"),
        ("messages", ["hello"], "is no prompt"),
        ("messages", "hello", "is no prompt"),
        ("token_ids", 7, "'token_ids' is not a list"),
        ("token_ids", ["a"], "'token_ids' is not a list"),
        ("entropies", [0.1, None], "'entropies' is not a list of one finite number for each token"),
        ("difficulty", "tricky", "difficulty is 'tricky' .*easy, medium, hard"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, column: str, value: object, message: str) -> None:
    with pytest.raises(ImportFileError, match=message):
        _import(tmp_path, _rows(**{column: value}))


def test_one_id_names_one_prompt(tmp_path: Path) -> None:
    rows = _rows()
    rows[5]["prompt"] = "another question"
    with pytest.raises(ImportFileError, match=r"line 6: prompt 'p1' has another text than at .*line 5"):
        _import(tmp_path, rows)


def test_a_reward_that_is_no_grade_gives_way_to_a_verifier(tmp_path: Path) -> None:
    rows = [{**row, "reward": 3.0 * row["grade"]} for row in _rows()]
    rows = _without(rows, "grade", "answer")
    with pytest.raises(ImportFileError, match=r"no grade .*--verifier grades the texts instead"):
        _import(tmp_path, rows)
    options = ImportOptions(verifier=VerifierSpec(type="regex", extract=r"A(\d)"))
    report = _import(tmp_path, rows, options)
    assert report.row("sampling_spread.pass_at_1").value == 0.5


def test_half_a_character_does_not_stop_an_import(tmp_path: Path) -> None:
    rows = _rows()
    rows[0]["text"] = "\ud800 2+2=4;A4."
    _import(tmp_path, rows)
    assert runs.open_run(tmp_path / "run").samples["checkpoint"].groups[0].completions[0].text == "? 2+2=4;A4."


def test_bad_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "a", "text": "b"}\n{"prompt": \n{"prompt": "a", "text": "b"}\n')
    with pytest.raises(ImportFileError, match="line 2 is not JSON"):
        run_import(ImportJob(path=broken, tool="generic", run_dir=tmp_path / "r"))
    table = tmp_path / "t.parquet"
    table.write_bytes(b"not a table")
    with pytest.raises(ImportFileError, match="not a Parquet file"):
        run_import(ImportJob(path=table, tool="generic", run_dir=tmp_path / "r"))
    with pytest.raises(ConfigError, match="nothing to import"):
        run_import(ImportJob(path=tmp_path / "gone.jsonl"))
    with pytest.raises(PluginNotFoundError, match="did you mean 'generic'"):
        run_import(ImportJob(path=broken, tool="genric"))
    with pytest.raises(ConfigError, match="no tool is recognised"):
        run_import(ImportJob(path=table))
    with pytest.raises(VerifierError, match="no verifier of type 'magic'"):
        _import(tmp_path, _rows(), ImportOptions(verifier=VerifierSpec(type="magic")))
    with pytest.raises(ImportFileError, match="prompt 'p0': answer 'four' is not a number"):
        _import(tmp_path, _rows(gold="four"), ImportOptions(verifier=VerifierSpec(type="numeric")))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--from", "genric"), "did you mean 'generic'?"),
        (("--extract", "A"), "--extract needs --verifier"),
        (("--map", "gold"), "--map gold is not FIELD=COLUMN"),
        (("--logged-temperature", "nan"), "--logged-temperature is nan (it must be a finite number"),
        (("--logged-top-p", "7"), "--logged-top-p is 7.0 (it must be above 0"),
        (("--map", "golds=gold"), "no field 'golds' of generic (did you mean 'gold'?)"),
        (("--verifier", "exact", "--extract", "A"), "extract 'A' has no group"),
    ],
)
def test_flags_that_cannot_work_are_refused(tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    path = _write(tmp_path / "a.jsonl", _rows())
    done = CliRunner().invoke(app, ["import", str(path), *arguments, "--run-dir", str(tmp_path / "r")])
    assert done.exit_code == 2
    assert line in done.stderr


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = _write(tmp_path / "torn.jsonl", _rows())
    path.write_text(path.read_text() + '{"prompt_id": "p0", "te')
    assert run_import(ImportJob(path=path, run_dir=tmp_path / "r")).protocol.n_prompts == 24


def test_names_of_a_foreign_file_do_not_move_the_cursor(tmp_path: Path) -> None:
    file = _write(tmp_path / "hostile.jsonl", [{"a\x1b[2J": 1, "content": "x"}])
    done = CliRunner().invoke(app, ["import", str(file), "--from", "prime-rl"])
    assert done.exit_code == 2
    assert "columns: a\u241b[2J" in done.stderr
    model = _write(tmp_path / "model.jsonl", _rows(model="m\x1b[2J"))
    pattern = ["--verifier", "regex", "--extract", "(never)"]
    done = CliRunner().invoke(app, ["import", str(model), *pattern, "--run-dir", str(tmp_path / "run")])
    assert "m\u241b[2J: no answer was found" in done.stderr
    assert "\x1b" not in done.output


@pytest.mark.parametrize("name", plugins.builtin_names("importer"))
def test_importer_contract(name: str, tmp_path: Path) -> None:
    importer = plugins.load("importer", name)
    assert importer.tool
    files = {
        "empty.jsonl": b"",
        "empty.json": b"{}",
        "noise.parquet": b"\0\1",
        "noise.eval": b"PK\3\4",
        "list.json": b"[]",
    }
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    for path in (tmp_path, *tmp_path.iterdir(), tmp_path / "gone"):
        assert importer.recognises(path) is False, path.name
    for path in list(tmp_path.iterdir()):
        with pytest.raises(EntropydxError) as raised:
            run_import(ImportJob(path=path, tool=name, run_dir=tmp_path / "run"))
        assert path.name in raised.value.message


# ── the documented format ─────────────────────────────────────────────────────────────────────────

PAGE = (ROOT / "docs" / "reference" / "import-format.md").read_text()


def test_the_page_of_the_format_lists_every_column() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]
    listed = {
        cells[0].strip(" `"): tuple(a for a in cells[1].replace("`", "").replace(",", " ").split()) for cells in rows
    }
    assert listed == dict(generic.FIELDS)


def test_the_example_of_the_page_is_of_the_format(tmp_path: Path) -> None:
    lines = PAGE.split("```json\n")[1].split("```")[0]
    path = tmp_path / "example.jsonl"
    path.write_text(lines)
    name, importer = importing.find_importer(path)
    assert name == "generic"
    (group,) = importer.read(path, ImportOptions()).groups
    assert [c.grade for c in group.completions] == [1.0, 0.0]
    assert group.prompt.answer == "6"


def test_the_export_of_a_run_is_of_the_format(tmp_path: Path) -> None:
    from entropydx.config import Settings, resolve

    flags = Settings(engine="synthetic", suite="tiny", run_dir=str(tmp_path / "run"), prompts=24, samples=4,
                     probes="sampling_spread")  # fmt: skip
    drawn = pipeline.diagnose(resolve("synthetic:noisy", flags))
    job = ImportJob(path=tmp_path / "run" / "completions-checkpoint.parquet", run_dir=tmp_path / "again",
                    options=ImportOptions(temperature=1.0, top_p=1.0))  # fmt: skip
    again = run_import(job)
    for row in drawn.measurements:
        if row.name.startswith("sampling_spread.") and row.value is not None:
            assert again.row(row.name).value == pytest.approx(row.value)
    assert isinstance(pipeline.to_measurement(again.row("sampling_spread.pass_at_1")), Measured)
    assert isinstance(pipeline.to_measurement(again.row("token_entropy.mean")), Missing)
    assert np.isfinite(again.row("instrument.truncation_rate").value)


def test_nothing_is_cleared_where_repeats_may_be_copies_of_one_greedy_text(tmp_path: Path) -> None:
    """The same samples, once at a temperature that is told and once at one that is not."""
    rows = [
        {"prompt": f"p{i}", "text": f"so it is {i}", "answer": str(i), "gold": str(i), "correct": True}
        for i in range(40)
        for _ in range(8)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told, untold = (
        run_import(
            ImportJob(
                path=file, tool="generic", options=ImportOptions(temperature=temperature), run_dir=tmp_path / name
            )
        )
        for name, temperature in (("told", 1.0), ("untold", None))
    )
    variance = Label.INFERENCE_VARIANCE
    assert told.diagnosis.failures[variance].status == "absent"
    assert untold.diagnosis.failures[variance].status == "undetermined"
    assert "temperature is unknown" in untold.diagnosis.failures[variance].reason
