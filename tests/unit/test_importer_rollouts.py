"""Files of verl, prime-rl and NeMo-RL, against pandas on the same files and the engine that drew their tokens."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from entropydx.errors import ImportFileError
from entropydx.importers import nemo_rl, prime_rl, verl
from entropydx.importing import ImportJob, run_import
from entropydx.types import ImportOptions, Missing, VerifierSpec

IMPORTS = Path(__file__).parents[2] / "fixtures" / "imports"
LAST = VerifierSpec(type="exact", extract=r"A(\d\d)\.")
V0, V1 = IMPORTS / "verl" / "rollout_v0" / "0.jsonl", IMPORTS / "verl" / "rollout_v1"
LOG = IMPORTS / "verl" / "tiny" / "grpo.jsonl"
EXPORT = IMPORTS / "prime_rl" / "token_exports" / "step_12" / "rank_0.jsonl"
TRAIN = IMPORTS / "nemo_rl" / "train_data_step12.jsonl"


def _rewritten(tmp_path, file, change, name="0.jsonl"):
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for i, row in enumerate(rows):
        change(i, row)
    copy = tmp_path / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


# ── verl ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("step", "mean"), [(0, 0.618056), (60, 0.53125)])
def test_verl_groups_by_uid_and_takes_its_score(step: int, mean: float) -> None:
    imported = verl.importer.read(V1, ImportOptions(step=step))
    frame = pd.read_json(V1 / f"{step}.jsonl", lines=True)
    groups = frame.groupby(frame["uid"].str.rsplit("_", n=2).str[0])
    assert [g.prompt.id for g in imported.groups] == list(dict.fromkeys(frame["uid"].str.rsplit("_", n=2).str[0]))
    assert {len(g.completions) for g in imported.groups} == {8} == set(groups.size())
    assert np.mean([g.grades for g in imported.groups]) == pytest.approx(mean, abs=1e-6) == frame["score"].mean()
    assert (imported.source.step, imported.source.files) == (step, (f"{step}.jsonl",))
    assert imported.source.temperature is None
    assert "without special tokens" in imported.source.notes[-1]


def test_verl_of_a_directory_takes_the_last_step() -> None:
    assert verl.importer.read(V1, ImportOptions()).source.step == 60
    with pytest.raises(ImportFileError, match=r"no step 7 .steps: 0, 60"):
        verl.importer.read(V1, ImportOptions(step=7))


def test_verl_without_uid_groups_by_input_and_prefers_acc(tmp_path: Path) -> None:
    imported = verl.importer.read(V0, ImportOptions())
    frame = pd.read_json(V0, lines=True)
    assert [g.prompt.prompt for g in imported.groups] == list(dict.fromkeys(frame["input"]))
    assert imported.source.graded_by == "column 'acc' of verl"
    # A reward of -1 and 1, as DAPO's, is no grade; `acc` beside it is.
    rewards = _rewritten(tmp_path, V0, lambda _, row: row.update(score=2 * row["score"] - 1, pred="[INVALID]"))
    again = verl.importer.read(rewards, ImportOptions())
    assert [list(g.grades) for g in again.groups] == [list(g.grades) for g in imported.groups]
    assert again.source.answers_from == "column 'pred' of verl"
    assert {c.answer for g in again.groups for c in g.completions} == {None}
    bare = _rewritten(tmp_path, rewards, lambda _, row: row.pop("acc"), "bare.jsonl")
    with pytest.raises(ImportFileError, match=r"neither 'acc' nor 'score' lies in \[0, 1\]"):
        verl.importer.read(bare, ImportOptions())
    assert verl.importer.read(bare, ImportOptions(verifier=LAST)).source.graded_by is None


def test_verl_two_steps_of_one_run_are_compared(tmp_path: Path) -> None:
    options = ImportOptions(verifier=LAST, temperature=1.0)
    report = run_import(ImportJob(path=V1, tool="verl", options=options, baseline_step=0, run_dir=tmp_path / "run"))
    rows = {row.name: row for row in report.measurements}
    scores = [pd.read_json(V1 / f"{step}.jsonl", lines=True)["score"].mean() for step in (60, 0)]
    # Our verifier finds what the samples were graded by when they were drawn.
    assert rows["sampling_spread.pass_at_1"].value == pytest.approx(scores[0])
    assert rows["sampling_spread.pass_at_1"].delta == pytest.approx(scores[0] - scores[1])
    assert rows["format_mode.structure_disagreement"].delta_ci[1] < 0  # the forms of a solution are gone
    assert rows["token_entropy.mean"].value is None


def test_verl_log_tells_of_its_run_with_its_doubts() -> None:
    imported = verl.importer.read(LOG, ImportOptions(temperature=1.0))
    source = imported.source
    assert (source.kind, source.step, source.aggregation) == ("log", 60, None)
    assert "loss_agg_mode" in source.notes[0]
    found = {m.name: m for m in imported.measurements}
    data = pd.DataFrame(pd.read_json(LOG, lines=True)["data"].tolist())
    tenths = data["actor/entropy"].head(6).mean(), data["actor/entropy"].tail(6).mean()
    fall = found["training_log.entropy_change"]
    assert fall.value == pytest.approx(tenths[1] / tenths[0] - 1)
    assert fall.ci[1] < 0
    assert "at temperature 1" in fall.note
    assert "no file says which" in fall.note
    gain = data["critic/rewards/mean"].tail(6).mean() - data["critic/rewards/mean"].head(6).mean()
    assert found["training_log.reward_change"].value == pytest.approx(gain)
    assert found["training_log.truncated_end"].value == pytest.approx(data["response_length/clip_ratio"].tail(6).mean())
    assert isinstance(found["training_log.kl_end"], Missing)


def test_verl_log_is_read_up_to_a_step() -> None:
    assert verl.importer.read(LOG, ImportOptions(step=40)).source.step == 40
    with pytest.raises(ImportFileError, match="nothing was logged up to step 0"):
        verl.importer.read(LOG, ImportOptions(step=0))


# ── prime-rl ──────────────────────────────────────────────────────────────────────────────────────


def test_prime_rl_entropy_is_that_of_the_engine_that_drew(tmp_path: Path) -> None:
    imported = prime_rl.importer.read(IMPORTS / "prime_rl", ImportOptions(temperature=1.0))
    mean = next(m for m in imported.measurements if m.name == "imported_entropy.mean")
    # The mean of the entropies that entropydx's engine took while it drew these very tokens, in another program.
    assert mean.value == pytest.approx(0.10042512, abs=2e-6)
    assert mean.ci[0] < mean.value < mean.ci[1]
    assert mean.n == 4  # prompts
    assert "prime-rl takes it: at temperature 1, full vocabulary" in mean.note
    frame = pd.read_json(EXPORT, lines=True)
    trained = [np.array(e)[np.array(m)] for e, m in zip(frame["entropy"], frame["loss_mask"], strict=True)]
    assert mean.value == pytest.approx(np.concatenate(trained).mean())
    assert (imported.source.kind, imported.source.estimator, imported.source.step) == ("log", "full-vocabulary", 12)
    assert imported.groups == ()


def test_prime_rl_prompts_and_padding_are_masked(tmp_path: Path) -> None:
    def spoil(_, row):  # whatever stands outside of the mask changes nothing
        row["entropy"] = [e if m else 99.0 for e, m in zip(row["entropy"], row["loss_mask"], strict=True)]

    one = prime_rl.importer.read(EXPORT, ImportOptions())
    other = prime_rl.importer.read(_rewritten(tmp_path, EXPORT, spoil), ImportOptions())
    assert [m.value for m in one.measurements] == [m.value for m in other.measurements]


def test_prime_rl_takes_the_last_whole_step_and_all_its_ranks(tmp_path: Path) -> None:
    for name in ("step_12", "step_13"):
        shutil.copytree(EXPORT.parent, tmp_path / "token_exports" / name)
    shutil.copy(EXPORT, tmp_path / "token_exports" / "step_12" / "rank_1.jsonl")
    (tmp_path / "token_exports" / "step_13" / "STABLE").unlink()
    source = prime_rl.importer.read(tmp_path, ImportOptions()).source
    assert source.files == ("token_exports/step_12/rank_0.jsonl", "token_exports/step_12/rank_1.jsonl")
    unfinished = prime_rl.importer.read(tmp_path, ImportOptions(step=13)).source
    assert "no STABLE stands beside rank_0.jsonl" in unfinished.notes[-1]
    with pytest.raises(ImportFileError, match=r"no step 14 .steps: 12, 13"):
        prime_rl.importer.read(tmp_path, ImportOptions(step=14))


def test_prime_rl_temperatures_of_newer_exports_must_agree(tmp_path: Path) -> None:
    hot = _rewritten(tmp_path, EXPORT, lambda _, row: row.update(temperatures=[0.7] * len(row["token_ids"])))
    assert prime_rl.importer.read(hot, ImportOptions()).source.temperature == 0.7
    mixed = _rewritten(tmp_path, EXPORT, lambda i, row: row.update(temperatures=[0.7 + i] * 3))
    with pytest.raises(ImportFileError, match="rows of different temperature"):
        prime_rl.importer.read(mixed, ImportOptions())


def test_prime_rl_samples_with_the_model_s_tokenizer(tmp_path: Path) -> None:
    tokenizer = IMPORTS.parent / "organisms" / "tiny-base"
    imported = prime_rl.importer.read(EXPORT, ImportOptions(tokenizer=str(tokenizer)))
    vocabulary = json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"]
    letters = {number: letter for letter, number in vocabulary.items() if number > 2}  # a token is a letter
    rows = [json.loads(line) for line in EXPORT.read_text().splitlines()]
    texts = [c.text for g in imported.groups for c in g.completions]
    assert texts == [
        "".join(letters.get(t, "") for t, m in zip(r["token_ids"], r["loss_mask"], strict=True) if m) for r in rows
    ]
    assert imported.groups[0].prompt.prompt == "79+12="
    assert np.mean([g.grades for g in imported.groups]) == np.mean([r["rewards"][0] for r in rows])
    assert (imported.source.kind, imported.source.graded_by) == ("samples", "reward of prime-rl")
    assert [m.value for m in imported.measurements] == [
        m.value for m in prime_rl.importer.read(EXPORT, ImportOptions()).measurements
    ]

    def turns(_, row):
        row["loss_mask"][8] = False

    spoken = _rewritten(tmp_path, EXPORT, turns)
    assert prime_rl.importer.read(spoken, ImportOptions()).measurements
    with pytest.raises(ImportFileError, match="the model spoke more than once"):
        prime_rl.importer.read(spoken, ImportOptions(tokenizer=str(tokenizer)))
    with pytest.raises(ImportFileError, match="is no tokenizer that can be read"):
        prime_rl.importer.read(EXPORT, ImportOptions(tokenizer=str(EXPORT)))


# ── NeMo-RL ───────────────────────────────────────────────────────────────────────────────────────


def test_nemo_rl_estimates_entropy_by_the_tokens_that_were_sampled() -> None:
    imported = nemo_rl.importer.read(IMPORTS / "nemo_rl", ImportOptions())
    mean = next(m for m in imported.measurements if m.name == "imported_entropy.mean")
    # The mean of -log p that entropydx's engine took while it drew these very tokens.
    assert mean.value == pytest.approx(0.08661596, abs=1e-7)
    frame = pd.read_json(TRAIN, lines=True)
    own = [
        np.array(p[0])[np.array(m[0]) == 1]
        for p, m in zip(frame["generation_logprobs"], frame["token_loss_mask"], strict=True)
    ]
    assert mean.value == pytest.approx(-np.concatenate(own).mean())
    assert imported.source.estimator == "sampled-nll"
    tokens = [c.n_tokens for g in imported.groups for c in g.completions]
    assert sorted(tokens) == sorted(map(len, own))
    assert np.mean([g.grades for g in imported.groups]) == frame["rewards"].str[0].mean() == 0.78125
    assert {len(g.completions) for g in imported.groups} == {4}


def test_nemo_rl_training_and_validation_say_the_same() -> None:
    train, val = (
        nemo_rl.importer.read(TRAIN.with_name(f"{part}_data_step12.jsonl"), ImportOptions())
        for part in ("train", "val")
    )
    assert [[c.text for c in g.completions] for g in train.groups] == [
        [c.text for c in g.completions] for g in val.groups
    ]
    assert [g.prompt.id for g in train.groups] == [g.prompt.id for g in val.groups]
    assert val.measurements == ()
    assert all(c.token_ids is None for g in val.groups for c in g.completions)
    assert (train.source.step, val.source.step) == (12, 12)


def test_nemo_rl_log_probabilities_are_those_of_temperature_1_only_where_it_is_said() -> None:
    unsaid = nemo_rl.importer.read(TRAIN, ImportOptions(temperature=1.0))
    said = nemo_rl.importer.read(TRAIN, ImportOptions(temperature=1.0, top_p=1.0))
    assert unsaid.groups[0].completions[0].logprobs is None
    told = np.concatenate([c.logprobs for g in said.groups for c in g.completions])
    assert -told.mean() == pytest.approx(0.08661596, abs=1e-7)


def test_nemo_rl_refuses_several_turns_and_rewards_that_are_no_grades(tmp_path: Path) -> None:
    def turns(_, row):
        row["token_loss_mask"][0][8] = 0

    with pytest.raises(ImportFileError, match="line 1: the conversation has several turns"):
        nemo_rl.importer.read(_rewritten(tmp_path, TRAIN, turns), ImportOptions())
    rewards = _rewritten(tmp_path, TRAIN, lambda _, row: row.update(rewards=[-1.0]))
    with pytest.raises(ImportFileError, match=r"'rewards' is -1\.0, which is no grade"):
        nemo_rl.importer.read(rewards, ImportOptions())
    assert nemo_rl.importer.read(rewards, ImportOptions(verifier=LAST)).source.graded_by is None
    # A verifier that finds answers takes nothing away from rewards that are grades.
    kept = nemo_rl.importer.read(TRAIN, ImportOptions(verifier=LAST))
    assert kept.source.graded_by == "reward of NeMo-RL"
