"""Files that TRL 1.16 wrote (fixtures/imports/make/trl_grpo.py), against pandas on the same files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from entropydx import importing, runs
from entropydx.errors import ImportFileError
from entropydx.importers.trl import importer
from entropydx.importing import ImportJob, run_import
from entropydx.types import ImportOptions, Label, VerifierSpec

IMPORTS = Path(__file__).parents[2] / "fixtures" / "imports"
RUN = IMPORTS / "trl"
STATE = RUN / "checkpoint-40" / "trainer_state.json"
LAST = RUN / "completions" / "completions_00040.parquet"
SERIES = IMPORTS.parent / "series" / "tiny-collapsing"
RIGHT = ImportOptions(score="right")
ANSWERS = ImportOptions(score="right", map={"gold": "gold"}, verifier=VerifierSpec(type="exact", extract=r"A(\d+)"))


def _frame(step):
    return pd.read_parquet(RUN / "completions" / f"completions_{step:05d}.parquet")


def _report(tmp_path, path=RUN, options=RIGHT, **job):
    return run_import(ImportJob(path=path, tool="trl", options=options, run_dir=tmp_path / "run", **job))


# ── completions ───────────────────────────────────────────────────────────────────────────────────


def test_counts_and_rates_are_those_of_the_file(tmp_path: Path) -> None:
    frame = _frame(40)
    report = _report(tmp_path)
    by_prompt = frame.groupby("prompt")["right"]
    assert set(by_prompt.size()) == {8}
    assert (report.protocol.n_prompts, report.protocol.n_samples) == (len(by_prompt), 8) == (40, 8)
    assert report.row("sampling_spread.pass_at_1").value == pytest.approx(frame["right"].mean())
    assert report.row("sampling_spread.coverage").value == pytest.approx((by_prompt.max() > 0).mean())
    assert report.row("sampling_spread.within_variance").value == pytest.approx(by_prompt.var(ddof=1).mean())
    assert report.row("entropy_forecast.degenerate_groups").value == pytest.approx((by_prompt.nunique() == 1).mean())
    words = frame["completion"].str.split().str.len()
    assert report.row("instrument.completion_length").value == pytest.approx(words.mean())
    assert report.row("instrument.completion_length").unit == "words"
    assert report.row("instrument.empty_rate").value == (frame["completion"].str.strip() == "").mean()


def test_answers_votes_and_reuse_once_a_verifier_finds_answers(tmp_path: Path) -> None:
    frame = _frame(40)
    report = _report(tmp_path, options=ANSWERS)
    stated = frame["completion"].str.extractall(r"A(\d+)").groupby(level=0).last()[0].reindex(frame.index)
    # The reward of the training and our verifier are two programs: they agree on this file, answer by answer.
    assert ((stated == frame["gold"]) == (frame["right"] == 1)).all()
    tables = [part.value_counts() for _, part in stated.groupby(frame["prompt"])]
    gold = frame.groupby("prompt")["gold"].first()
    votes = []
    for (_, right), table in zip(gold.items(), tables, strict=True):
        winners = table[table == table.max()].index
        votes.append((right in winners) / len(winners))
    assert report.row("sampling_spread.maj_at_n").value == pytest.approx(np.mean(votes))
    assert report.protocol.imported.answers_from == "the exact verifier of entropydx"
    samples = runs.open_run(tmp_path / "run").samples["checkpoint"]
    assert {g.prompt.answer for g in samples.groups} == set(frame["gold"])


def test_a_step_is_compared_with_an_earlier_one_of_the_same_run(tmp_path: Path) -> None:
    now, before = (_frame(step).groupby("prompt")["right"].mean() for step in (40, 2))
    report = _report(tmp_path, baseline_step=2)
    row = report.row("sampling_spread.pass_at_1")
    assert row.baseline == pytest.approx(before.mean())
    assert row.delta == pytest.approx((now - before).mean())
    assert row.n == 40
    assert (report.protocol.imported.step, report.protocol.imported_baseline.step) == (40, 2)
    words = [_frame(step)["completion"].str.split().str.len() for step in (40, 2)]
    assert report.row("shortcutting.length_ratio").value == pytest.approx(words[0].median() / words[1].median())


def test_what_trl_does_not_write_is_missing(tmp_path: Path) -> None:
    report = _report(tmp_path, LAST)
    reasons = {
        "instrument.truncation_rate": "how its completions ended",
        "instrument.temperature": "--logged-temperature",
        "sampling_spread.maj_at_n": "--verifier",
        "shortcutting.answer_reuse": "--verifier",
        "token_entropy.mean": "entropydx diagnose",
    }
    for name, reason in reasons.items():
        assert report.row(name).value is None
        assert reason in report.row(name).missing_reason
    assert not [f for f in report.findings if f.status == "fired" and f.code.startswith("EDX9")]
    assert report.exit_code in {0, 3}


def test_the_only_reward_in_0_1_is_the_grade_and_no_other(tmp_path: Path) -> None:
    report = _report(tmp_path, LAST, ImportOptions())
    assert report.protocol.imported.graded_by == "reward column 'right'"
    with pytest.raises(ImportFileError, match=r"row 1: 'brevity' is -0\.2\d*, which is no grade .*--verifier"):
        _report(tmp_path, LAST, ImportOptions(score="brevity"))
    with pytest.raises(ImportFileError, match="row 1 has no column 'rihgt'"):
        _report(tmp_path, LAST, ImportOptions(score="rihgt"))


def test_rewards_that_are_no_grades_are_refused_and_a_verifier_does_without(tmp_path: Path) -> None:
    file = tmp_path / LAST.name
    _frame(40).drop(columns="right").to_parquet(file)
    with pytest.raises(ImportFileError, match=r"no reward lies in \[0, 1\].*its rewards are brevity"):
        _report(tmp_path, file, ImportOptions())
    options = ImportOptions(map={"gold": "gold"}, verifier=ANSWERS.verifier)
    graded = _report(tmp_path, file, options)
    assert graded.row("sampling_spread.pass_at_1").value == pytest.approx(_frame(40)["right"].mean())
    two = _frame(40).assign(tidy=0.5)
    two.to_parquet(file)
    with pytest.raises(ImportFileError, match="several columns may be the grade: right, tidy"):
        _report(tmp_path, file, ImportOptions())


def test_chats_are_read_as_texts(tmp_path: Path) -> None:
    frame = _frame(40)
    chat = frame.assign(
        prompt=[[{"role": "user", "content": p}] for p in frame["prompt"]],
        completion=[[{"role": "assistant", "content": c}] for c in frame["completion"]],
    )
    file = tmp_path / LAST.name
    chat.to_parquet(file)
    report = _report(tmp_path, file)
    assert report.row("sampling_spread.pass_at_1").value == pytest.approx(frame["right"].mean())
    groups = runs.open_run(tmp_path / "run").samples["checkpoint"].groups
    asked = {"role": "user", "content": frame["prompt"][0]}
    (first,) = (g for g in groups if g.prompt.messages == (asked,))
    own = frame[frame["prompt"] == frame["prompt"][0]]
    assert [c.text for c in first.completions] == list(own["completion"])


@pytest.mark.parametrize("column", ["prompt", "completion"])
@pytest.mark.parametrize("value", [None, 3, ["x"], [None]])
def test_what_nobody_said_is_refused(tmp_path: Path, column: str, value: object) -> None:
    file = tmp_path / LAST.name
    _frame(40).head(2).assign(**{column: [value, value]}).to_parquet(file)
    with pytest.raises(ImportFileError, match=f"row 1: '{column}' is .*, neither text nor messages"):
        importer.read(file, RIGHT)


def test_a_step_without_completions_is_refused() -> None:
    with pytest.raises(ImportFileError, match=r"no completions of step 7 \(steps: 2, 20, 40\)"):
        importer.read(RUN, ImportOptions(step=7))


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def _column(path, name):
    rows = json.loads(path.read_text())["log_history"]
    return np.array([row[name] for row in rows if name in row])


def test_a_log_is_its_end_against_its_beginning(tmp_path: Path) -> None:
    report = _report(tmp_path, STATE, ImportOptions(temperature=1.0))
    entropy, reward = _column(STATE, "entropy"), _column(STATE, "reward")
    assert len(entropy) == 20
    row = report.row("training_log.entropy_change")
    assert row.value == pytest.approx(entropy[-3:].mean() / entropy[:3].mean() - 1, rel=1e-5)
    assert row.ci[0] < row.value < row.ci[1]
    assert "temperature 1" in row.note
    change = report.row("training_log.reward_change")
    assert change.value == pytest.approx(reward[-3:].mean() - reward[:3].mean(), rel=1e-5)
    zero = _column(STATE, "frac_reward_zero_std")
    assert report.row("training_log.zero_std_end").value == pytest.approx(zero[-3:].mean(), rel=1e-5)
    assert report.row("training_log.kl_end").missing_reason == "the trainer did not log it"
    assert report.diagnosis.label == Label.INCONCLUSIVE
    assert report.diagnosis.would_settle_it[0].startswith("`entropydx diagnose`")
    assert report.protocol.imported.step == 40


def test_a_run_that_solved_its_problems_is_not_accused_by_its_samples(tmp_path: Path) -> None:
    # Its entropy fell by two thirds while 94 % of its samples are right: what looks like a collapse, and is none yet.
    report = _report(tmp_path, options=ANSWERS, baseline_step=2)
    assert report.row("training_log.entropy_change").value < -0.5
    assert report.row("sampling_spread.pass_at_1").value > 0.9
    assert {a.status for a in report.diagnosis.failures.values()} <= {"absent", "undetermined"}


def test_the_log_of_a_collapse_makes_it_suspected_and_no_more(tmp_path: Path) -> None:
    report = _report(tmp_path, SERIES, ImportOptions())
    assert report.protocol.imported.files == ("checkpoint-200/trainer_state.json",)
    collapse = report.diagnosis.failures["training_collapse"]
    assert (collapse.status, collapse.reason) == ("undetermined", "suspected: EDX106 fired")
    assert report.exit_code == 3
    entropy = _column(SERIES / "checkpoint-200" / "trainer_state.json", "entropy")
    assert len(entropy) == 40
    assert report.row("training_log.entropy_change").value == pytest.approx(
        entropy[-4:].mean() / entropy[:4].mean() - 1, rel=1e-5
    )
    early = _report(tmp_path / "early", SERIES, ImportOptions(step=60))
    assert early.row("training_log.entropy_change").missing_reason == "needs 16 logged steps, has 12"


def test_names_of_older_releases_and_logs_on_data(tmp_path: Path) -> None:
    state = json.loads(STATE.read_text())
    for row in state["log_history"]:
        if "completions/mean_length" in row:
            row["completion_length"] = row.pop("completions/mean_length")
    old = tmp_path / "trainer_state.json"
    old.write_text(json.dumps(state))
    ours, theirs = (_report(tmp_path / n, path) for n, path in (("a", STATE), ("b", old)))
    assert theirs.row("training_log.length_change").value == ours.row("training_log.length_change").value
    state["log_history"] = [{"step": i, "loss": 1.0, "entropy": float(np.exp(-i / 5))} for i in range(1, 31)] + [
        {"step": 30, "train_runtime": 1.0}
    ]
    old.write_text(json.dumps(state))
    tuned = _report(tmp_path / "c", old)
    assert tuned.row("training_log.entropy_change").missing_reason == "the trainer did not log it"
    assert tuned.row("training_log.data_entropy_change").value < -0.9
    assert "tokens of the data set" in tuned.row("training_log.data_entropy_change").note
    assert not [f for f in tuned.findings if f.status == "fired"]


def test_a_baseline_for_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(importing.ConfigError, match="compared with its own beginning"):
        _report(tmp_path, STATE, baseline=STATE)


def test_what_is_recognised(tmp_path: Path) -> None:
    for path in (RUN, STATE, LAST, RUN / "completions", STATE.parent, SERIES):
        assert importer.recognises(path), path
    other = shutil.copy(IMPORTS / "generic" / "completions-checkpoint.parquet", tmp_path / "completions_00001.parquet")
    assert not importer.recognises(Path(other))
    broken = tmp_path / "trainer_state.json"
    broken.write_text("{")
    with pytest.raises(ImportFileError, match="is not JSON"):
        importer.read(broken, ImportOptions())
