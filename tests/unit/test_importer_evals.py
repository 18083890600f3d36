"""Files that lm-evaluation-harness, Inspect and lighteval wrote, against what these tools say of them themselves."""

import json
import shutil
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from entropydx.errors import ImportFileError
from entropydx.importers import inspect, lighteval, lm_eval
from entropydx.importing import ImportJob, run_import
from entropydx.types import ImportOptions, VerifierSpec

IMPORTS = Path(__file__).parents[2] / "fixtures" / "imports"
LAST = VerifierSpec(type="exact", extract=r"A(\d\d)\.")


def _rows(report):
    return {row.name: row for row in report.measurements}


def _results(place):
    return json.loads(next((IMPORTS / place).glob("results_*.json")).read_text())


# ── lm-evaluation-harness ─────────────────────────────────────────────────────────────────────────

MAPPED = ImportOptions(verifier=LAST, map={"domain": "doc.domain", "difficulty": "doc.difficulty"})


def test_lm_eval_keeps_all_repeats_once_for_each_document() -> None:
    imported = lm_eval.importer.read(IMPORTS / "lm_eval" / "tiny-base", MAPPED)
    assert len(imported.groups) == 36  # 72 rows: one for each document and filter
    assert {len(g.completions) for g in imported.groups} == {8}
    assert {g.prompt.domain for g in imported.groups} == {"in", "out"}
    assert all(c.grade is None for g in imported.groups for c in g.completions)  # the harness graded the first alone
    source = imported.source
    assert (source.version, source.temperature, source.top_p, source.max_new_tokens) == ("0.4.13", 1.0, None, 64)
    assert (imported.model, source.reasoning_stripped) == ("tiny-base", False)


@pytest.mark.parametrize("model", ["tiny-base", "tiny-collapse"])
def test_lm_eval_s_own_score_is_ours_of_the_first_repeats(model: str, tmp_path: Path) -> None:
    job = ImportJob(path=IMPORTS / "lm_eval" / model, tool="lm_eval", options=MAPPED, run_dir=tmp_path / "run")
    report = run_import(job)
    first = pd.read_parquet(tmp_path / "run" / "completions-checkpoint.parquet").query("sample_index == 0")
    own = _results(f"lm_eval/{model}")["results"]["tiny_chain"]["exact_match,last-answer"]
    assert first["grade"].mean() == pytest.approx(own)
    assert report.protocol.imported.graded_by == "the exact verifier of entropydx"


def test_lm_eval_says_that_reasoning_was_cut_out() -> None:
    imported = lm_eval.importer.read(IMPORTS / "lm_eval" / "stripped", ImportOptions())
    assert imported.source.reasoning_stripped
    texts = [c.text for g in imported.groups for c in g.completions]
    assert not any(";" in text for text in texts)  # `think_end_token=;`


@pytest.mark.parametrize(
    ("given", "cut"),
    [("pretrained=x,think_end_token=</think>", True), ("pretrained=x", False), ({"think_end_token": None}, False)],
)
def test_lm_eval_model_arguments_are_text_or_an_object(given: str | dict[str, None], cut: bool, tmp_path: Path) -> None:
    shutil.copytree(IMPORTS / "lm_eval" / "stripped", tmp_path / "run")
    results = next((tmp_path / "run").glob("results_*"))
    results.write_text(json.dumps({"config": {"model_args": given}}))
    assert lm_eval.importer.read(tmp_path / "run", ImportOptions()).source.reasoning_stripped is cut


def test_lm_eval_refuses_choices_and_several_tasks() -> None:
    with pytest.raises(ImportFileError, match="no column holds the answer that each states"):
        lm_eval.importer.read(IMPORTS / "lm_eval" / "tiny-base", ImportOptions(map={"answer": "filtered_resps"}))
    with pytest.raises(ImportFileError, match="log-likelihoods of given choices"):
        lm_eval.importer.read(IMPORTS / "lm_eval" / "choice", ImportOptions())
    with pytest.raises(ImportFileError, match="4 files are there, and one is imported at a time"):
        lm_eval.importer.read(IMPORTS / "lm_eval", ImportOptions())


def _lines(file, name):
    return [row for line in file.read_text().splitlines() if (row := json.loads(line))["filter"] == name]


def _single(tmp_path, change):
    """Write the file of the harness as one of a single repeat."""
    file = next((IMPORTS / "lm_eval" / "tiny-base").glob("samples_*"))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows = [change({**row, "resps": [row["resps"][0][:1]]}) for row in rows]
    copy = tmp_path / file.name
    copy.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


def test_lm_eval_s_metric_grades_a_single_repeat_by_the_filter_that_is_named(tmp_path: Path) -> None:
    own = _results("lm_eval/tiny-base")["results"]["tiny_chain"]
    file = _single(tmp_path, lambda row: row)
    for name in ("last-answer", "first-number"):
        imported = lm_eval.importer.read(file, ImportOptions(score=f"exact_match,{name}"))
        grades = [g.completions[0].grade for g in imported.groups]
        assert np.mean(grades) == pytest.approx(own[f"exact_match,{name}"])
        assert imported.source.graded_by == f"exact_match of lm-eval, filter {name}"
        assert imported.source.version is None  # no results stand beside the copy
        # The filter's answers are in the file, word for word.
        answers = {g.prompt.id: g.completions[0].answer for g in imported.groups}
        assert answers == {str(row["doc_id"]): row["filtered_resps"][0] for row in _lines(file, name)}
    with pytest.raises(ImportFileError, match="no row of filter 'strict'"):
        lm_eval.importer.read(file, ImportOptions(score="exact_match,strict"))


def test_lm_eval_gold_of_gsm8k_is_what_stands_behind_its_mark(tmp_path: Path) -> None:
    file = _single(tmp_path, lambda row: {**row, "target": f"He adds. <<1+2=3>>\n#### {row['target']}"})
    prompt = lm_eval.importer.read(file, ImportOptions()).groups[0].prompt
    assert prompt.answer == "91"
    assert prompt.reference.startswith("He adds.")


def test_lm_eval_greedy_is_temperature_0_and_unsaid_is_unknown(tmp_path: Path) -> None:
    def with_arguments(given):
        change = lambda row: {**row, "arguments": {"gen_args_0": {"arg_0": "1+1=", "arg_1": given}}}  # noqa: E731
        return lm_eval.importer.read(_single(tmp_path, change), ImportOptions()).source

    assert with_arguments({"do_sample": False, "temperature": 0.7}).temperature == 0
    assert with_arguments({"do_sample": True}).temperature is None
    assert "top_k 50" in with_arguments({"do_sample": True, "top_k": 50}).notes[0]


# ── Inspect ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "mean", "pass_at_4"), [("tiny-base", 129 / 192, 0.770833), ("tiny-collapse", 98 / 192, 0.553571)]
)
def test_inspect_s_own_reducers_are_our_statistics(file: str, mean: float, pass_at_4: float, tmp_path: Path) -> None:
    # Read with inspect_ai.log.read_eval_log: accuracy of the reducers `mean` and `pass_at_4` (Chen et al. 2021).
    job = ImportJob(path=IMPORTS / "inspect" / f"{file}.eval", tool="inspect", run_dir=tmp_path / "run")
    rows = _rows(run_import(job))
    assert rows["sampling_spread.pass_at_1"].value == pytest.approx(mean)
    assert rows["sampling_spread.pass_at_4"].value == pytest.approx(pass_at_4, abs=1e-6)


def test_inspect_keeps_what_the_log_says() -> None:
    imported = inspect.importer.read(IMPORTS / "inspect" / "tiny-base.eval", ImportOptions())
    source = imported.source
    assert (len(imported.groups), {len(g.completions) for g in imported.groups}) == (24, {8})
    assert (imported.model, source.version, source.temperature, source.top_p) == ("hf/tiny-base", "0.3.285", 1.0, 1.0)
    assert (source.graded_by, source.answers_from) == ("scorer 'last_answer' of Inspect",) * 2
    assert {c.finish_reason for g in imported.groups for c in g.completions} == {"unknown"}  # as the hf provider says
    assert all(c.token_ids is None for g in imported.groups for c in g.completions)
    assert imported.groups[0].prompt.answer == "91"


def test_inspect_json_and_archive_are_read_alike(tmp_path: Path) -> None:
    log = json.loads((IMPORTS / "inspect" / "tiny-base.json").read_text())
    archive = tmp_path / "log.eval"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:  # as older releases compressed
        out.writestr("header.json", json.dumps({k: v for k, v in log.items() if k != "samples"}))
        for sample in log["samples"]:
            out.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    one, other = (inspect.importer.read(p, ImportOptions()) for p in (IMPORTS / "inspect" / "tiny-base.json", archive))
    assert [[c.text for c in g.completions] for g in one.groups] == [
        [c.text for c in g.completions] for g in other.groups
    ]
    assert sum(c.grade for g in one.groups for c in g.completions) == 20  # of 24, by Inspect's own reader


def _edited(tmp_path, change, status="success"):
    log = json.loads((IMPORTS / "inspect" / "tiny-base.json").read_text())
    log["status"] = status
    for sample in log["samples"]:
        change(sample)
    file = tmp_path / "log.json"
    file.write_text(json.dumps(log))
    return file


def test_inspect_letters_attachments_and_reasoning(tmp_path: Path) -> None:
    def change(sample):
        sample["scores"]["last_answer"]["value"] = "CIPN"[sample["epoch"] - 1]
        sample["attachments"] = {"0" * 32: "a long thought"}
        message = sample["output"]["choices"][0]["message"]
        message["content"] = [
            {"type": "reasoning", "reasoning": f"attachment://{'0' * 32}"},
            {"type": "text", "text": message["content"]},
        ]
        sample["output"]["choices"][0]["stop_reason"] = "max_tokens"

    group = inspect.importer.read(_edited(tmp_path, change), ImportOptions()).groups[0]
    assert [c.grade for c in group.completions] == [1, 0, 0.5, 0]
    assert group.completions[0].text.startswith("<think>\na long thought\n</think>\n")
    assert {c.finish_reason for c in group.completions} == {"length"}


def test_inspect_leaves_out_samples_without_an_answer_and_says_so(tmp_path: Path) -> None:
    def change(sample):
        if sample["id"].endswith("0") and sample["epoch"] == 1:
            sample["output"]["choices"] = []

    imported = inspect.importer.read(_edited(tmp_path, change, status="cancelled"), ImportOptions())
    assert len(imported.groups) == 5
    notes = " ".join(imported.source.notes)
    assert "1 of 24 samples have no answer of the model" in notes
    assert "1 of 6 prompts have fewer than 4 completions" in notes
    assert "did not finish (status cancelled)" in notes


def test_inspect_wants_one_scorer(tmp_path: Path) -> None:
    def change(sample):
        sample["scores"]["other"] = {"value": {"style": 1, "truth": 0}}

    file = _edited(tmp_path, change)
    with pytest.raises(ImportFileError, match="several scorers graded: last_answer, other"):
        inspect.importer.read(file, ImportOptions())
    with pytest.raises(ImportFileError, match=r"--score other\.KEY names one of: style, truth"):
        inspect.importer.read(file, ImportOptions(score="other"))
    graded = inspect.importer.read(file, ImportOptions(score="other.style"))
    assert {c.grade for g in graded.groups for c in g.completions} == {1.0}


def test_inspect_without_zstandard_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportFileError, match=r"pip install 'entropydx\[inspect\]'"):
        inspect.importer.read(IMPORTS / "inspect" / "tiny-base.eval", ImportOptions())


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    content = (IMPORTS / "inspect" / "tiny-base.eval").read_bytes()
    file = tmp_path / "log.eval"
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImportFileError, match="not an archive that can be read"):
        inspect.importer.read(file, ImportOptions())
    with zipfile.ZipFile(IMPORTS / "inspect" / "tiny-base.eval") as archive:
        start = next(i.header_offset for i in archive.infolist() if i.filename.startswith("samples/")) + 100
    file.write_bytes(content[:start] + b"\x00" * 200 + content[start + 200 :])
    with pytest.raises(ImportFileError, match=r"epoch_1\.json cannot be decompressed") as error:
        inspect.importer.read(file, ImportOptions())
    assert "\n" not in str(error.value)


def test_an_archive_whose_bytes_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.eval"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
    content, written = file.read_bytes(), zlib.compress(b"{}", wbits=-15)
    assert written in content
    file.write_bytes(content.replace(written, b"\xff" * len(written)))
    with pytest.raises(ImportFileError, match="not an archive that can be read"):
        inspect.importer.read(file, ImportOptions())


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.eval"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("samples/1_epoch_1.json", b"0" * 20_000_000)
    with pytest.raises(ImportFileError, match="more than 1,000 times its own size"):
        inspect.importer.read(file, ImportOptions())


# ── lighteval ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "average", "tokens"), [("tiny-base", 0.628472, 22.173611), ("tiny-collapse", 0.513889, 27.5)]
)
def test_lighteval_s_average_is_ours(model: str, average: float, tokens: float, tmp_path: Path) -> None:
    # avg@n of its results; the tokens until the model's end token (id 1), counted with pandas.
    options = ImportOptions(verifier=LAST, map={"domain": "doc.specific.domain"})
    path = IMPORTS / "lighteval" / "details" / model
    report = run_import(ImportJob(path=path, tool="lighteval", options=options, run_dir=tmp_path / "run"))
    rows = _rows(report)
    assert rows["sampling_spread.pass_at_1"].value == pytest.approx(average, abs=1e-6)
    assert rows["instrument.completion_length"].value == pytest.approx(tokens, abs=1e-6)
    assert rows["instrument.completion_length"].unit == "tokens"
    # lighteval 0.13.0 stopped the batch of one sample of tiny-collapse before it ended, and the file does not say so.
    assert rows["instrument.truncation_rate"].value == (0 if model == "tiny-base" else None)
    source = report.protocol.imported
    assert (report.checkpoint.ref, source.temperature, source.top_p, source.max_new_tokens) == (model, 1.0, None, 64)


def test_lighteval_reads_a_file_away_from_its_results(tmp_path: Path) -> None:
    file = next((IMPORTS / "lighteval" / "details" / "tiny-base").glob("*/*.parquet"))
    shutil.copy(file, tmp_path / "details.parquet")
    imported = lighteval.importer.read(tmp_path / "details.parquet", ImportOptions(temperature=0.5))
    assert (imported.model, imported.source.temperature, imported.source.files) == (
        "unknown",
        0.5,
        ("details.parquet",),
    )
    assert imported.source.max_new_tokens == 64  # of the task


def _table(tmp_path, change):
    file = next((IMPORTS / "lighteval" / "details" / "tiny-base").glob("*/*.parquet"))
    rows = pd.read_parquet(file).head(3).to_dict("records")
    for row in rows:
        change(row)
    copy = tmp_path / "details.parquet"
    pd.DataFrame(rows).to_parquet(copy)
    return copy


def test_lighteval_does_not_take_a_repeated_word_for_padding(tmp_path: Path) -> None:
    def change(row):
        # The model repeats itself until its limit in one sample, and ends with two different tokens in the others.
        row["model_response"]["output_tokens"] = [[7] * 64, [3, 7, 1, 1], [7, 3, 7, 1]]
        row["model_response"]["text"] = ["4" * 64, "04", "404"]

    group = lighteval.importer.read(_table(tmp_path, change), ImportOptions()).groups[0]
    assert [c.n_tokens for c in group.completions] == [64, 3, 4]
    assert [c.finish_reason for c in group.completions] == ["length", "stop", "stop"]


def test_lighteval_metric_grades_a_single_sample_and_choices_are_refused(tmp_path: Path) -> None:
    def single(row):
        for name in ("text", "output_tokens"):
            row["model_response"][name] = row["model_response"][name][:1]
        row["metric"] = {"em": 1.0}

    imported = lighteval.importer.read(_table(tmp_path, single), ImportOptions())
    assert {c.grade for g in imported.groups for c in g.completions} == {1.0}
    assert imported.source.graded_by == "em of lighteval"

    def choices(row):
        row["model_response"] |= {"text": [], "output_tokens": [], "logprobs": [-1.0, -2.0]}

    with pytest.raises(ImportFileError, match="log-likelihoods of given choices"):
        lighteval.importer.read(_table(tmp_path, choices), ImportOptions())
