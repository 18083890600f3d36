"""Which checkpoints of a run are complete, in the layouts of TRL, verl and OpenRLHF, file by file."""

import itertools
import json
import os
import shutil

import pytest

from entropydx.errors import CheckpointError
from entropydx.protocols import EngineOptions
from entropydx.watching import baselines
from entropydx.watching.sightings import look_into, lost_files, track
from tests.unit.watch_examples import BASE, MODEL, T0, saved

OPTIONS = EngineOptions()
POLL = 10.0


class Eyes:
    """Polls a run at given times."""

    def __init__(self, run):
        self.run, self.seen, self.gone = run, {}, ()

    def at(self, now):
        """Return the names that count as complete, `now` seconds after T0."""
        self.seen, self.gone = track(self.seen, look_into(self.run, OPTIONS), POLL, T0 + now)
        return [name for name, sighting in self.seen.items() if sighting.ready_at is not None]


def test_a_checkpoint_counts_after_a_poll_without_a_change(tmp_path):
    eyes = Eyes(tmp_path)
    assert eyes.at(0) == []
    saved(tmp_path, 20)
    assert eyes.at(10) == []
    assert eyes.at(15) == []
    assert eyes.at(20) == ["checkpoint-20"]
    assert eyes.seen["checkpoint-20"].ready_at == T0 + 20
    assert eyes.at(30) == ["checkpoint-20"]
    assert eyes.seen["checkpoint-20"].ready_at == T0 + 20


def test_a_clock_that_is_set_back_costs_one_poll(tmp_path):
    saved(tmp_path, 40)
    eyes = Eyes(tmp_path)
    assert eyes.at(3600) == []
    assert eyes.at(0) == []
    assert eyes.at(POLL) == ["checkpoint-40"]


def test_a_file_that_grows_starts_the_wait_again(tmp_path):
    path, eyes = saved(tmp_path, 20), Eyes(tmp_path)
    eyes.at(0)
    (path / "optimizer.pt").write_bytes(b"1")
    assert eyes.at(10) == []
    (path / "optimizer.pt").write_bytes(b"12")
    assert eyes.at(20) == []
    assert eyes.at(30) == ["checkpoint-20"]


def test_every_beginning_of_what_a_trainer_writes_is_incomplete(tmp_path):
    """The order is that of `transformers.Trainer._save_checkpoint`."""
    whole = saved(tmp_path / "whole", 20)
    order = ["config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json", "tokenizer.json"]
    run, eyes = tmp_path / "run", Eyes(tmp_path / "run")
    target, times = run / "checkpoint-20", itertools.count(10, 10)
    target.mkdir(parents=True)
    for name in [*order, "trainer_state.json"]:
        content = (whole / name).read_bytes()
        (target / name).write_bytes(content[: len(content) // 2])
        os.utime(target / name, (T0, T0))
        assert [eyes.at(next(times)), eyes.at(next(times))] == [[], []], f"half of {name}"
        (target / name).write_bytes(content)
        os.utime(target / name, (T0 + next(times), T0 + next(times)))
        if name != "trainer_state.json":
            assert [eyes.at(next(times)), eyes.at(next(times))] == [[], []], f"up to {name}"
    assert [eyes.at(next(times)), eyes.at(next(times))] == [[], ["checkpoint-20"]]


def test_without_its_marker_a_checkpoint_counts_when_it_has_rested_for_a_minute(tmp_path):
    path, eyes = saved(tmp_path, 20, state=False), Eyes(tmp_path)
    for file in path.iterdir():
        os.utime(file, (T0, T0))
    assert [eyes.at(0), eyes.at(30), eyes.at(59.9)] == [[], [], []]
    assert "has not written that it is whole" in eyes.seen["checkpoint-20"].waiting_for
    assert eyes.at(60) == ["checkpoint-20"]


def test_missing_and_short_shards_keep_a_checkpoint_incomplete(tmp_path):
    path, eyes = saved(tmp_path, 20), Eyes(tmp_path)
    model = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    (path / "model-1.safetensors").write_bytes(model)
    assert [eyes.at(0), eyes.at(10)] == [[], []]
    assert "lacks model-2.safetensors" in eyes.seen["checkpoint-20"].waiting_for
    (path / "model-2.safetensors").write_bytes(model[:-1])
    assert [eyes.at(20), eyes.at(30)] == [[], []]
    assert "truncated" in eyes.seen["checkpoint-20"].waiting_for
    (path / "model-2.safetensors").write_bytes(model)
    assert [eyes.at(40), eyes.at(50)] == [[], ["checkpoint-20"]]


def test_verl_counts_when_its_tracker_has_reached_the_step(tmp_path):
    hugging = tmp_path / "global_step_40" / "actor" / "huggingface"
    hugging.mkdir(parents=True)
    for file in MODEL:
        shutil.copyfile(BASE / file, hugging / file)
    tracker, eyes = tmp_path / "latest_checkpointed_iteration.txt", Eyes(tmp_path)
    tracker.write_text("20")
    assert [eyes.at(0), eyes.at(10), eyes.at(100)] == [[], [], []]
    tracker.write_text("40")
    assert eyes.at(110) == ["global_step_40"]
    assert eyes.seen["global_step_40"].look.step == 40


def test_an_unmerged_checkpoint_counts_with_the_command_that_converts_it(tmp_path):
    actor = tmp_path / "global_step_40" / "actor"
    (actor / "huggingface").mkdir(parents=True)
    (actor / "huggingface" / "config.json").write_text("{}")
    (actor / "model_world_size_1_rank_0.pt").write_bytes(b"x")
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("40")
    eyes = Eyes(tmp_path)
    assert [eyes.at(0), eyes.at(10)] == [[], ["global_step_40"]]
    assert f"verl.model_merger merge --backend fsdp --local_dir {actor}" in eyes.seen["global_step_40"].look.convert


def test_openrlhf_counts_without_a_marker(tmp_path):
    saved(tmp_path, 40, state=False, name="global_step{}_hf")
    eyes = Eyes(tmp_path)
    assert [eyes.at(0), eyes.at(10)] == [[], ["global_step40_hf"]]


def test_what_was_complete_and_is_deleted_is_gone_once(tmp_path):
    paths, eyes = [saved(tmp_path, 20), saved(tmp_path, 40, state=False)], Eyes(tmp_path)
    (paths[1] / "model.safetensors").unlink()
    assert [eyes.at(0), eyes.at(10)] == [[], ["checkpoint-20"]]
    look = eyes.seen["checkpoint-20"].look
    assert not lost_files(look)
    for path in paths:
        shutil.rmtree(path)
    assert lost_files(look)
    eyes.at(20)
    assert [s.name for s in eyes.gone] == ["checkpoint-20"]  # the other one never was complete
    eyes.at(30)
    assert eyes.gone == ()


# ── the baseline that is kept ─────────────────────────────────────────────────────────────────────


def test_a_kept_baseline_outlives_its_checkpoint_and_takes_no_room(tmp_path):
    path = saved(tmp_path / "run", 20)
    (path / "optimizer.pt").write_bytes(b"large")
    assert baselines.kept(tmp_path / "watch") is None
    kept = baselines.keep(path, tmp_path / "watch", OPTIONS)
    assert baselines.kept(tmp_path / "watch") == kept
    assert (kept / "model.safetensors").stat().st_ino == (path / "model.safetensors").stat().st_ino
    assert not (kept / "optimizer.pt").exists()
    shutil.rmtree(path)
    assert (kept / "model.safetensors").read_bytes() == (BASE / "model.safetensors").read_bytes()


def test_a_kept_baseline_is_copied_where_it_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    kept = baselines.keep(saved(tmp_path / "run", 20), tmp_path / "watch", OPTIONS)
    assert (kept / "model.safetensors").read_bytes() == (BASE / "model.safetensors").read_bytes()


def test_a_baseline_whose_keeping_was_cut_off_is_not_taken_for_one(tmp_path):
    (tmp_path / "watch" / "baseline" / ".checkpoint-20.part").mkdir(parents=True)
    assert baselines.kept(tmp_path / "watch") is None
    assert baselines.keep(saved(tmp_path / "run", 20), tmp_path / "watch", OPTIONS).name == "checkpoint-20"


@pytest.mark.parametrize("lost", ["model.safetensors", "."])
def test_a_checkpoint_that_vanishes_cannot_be_kept(tmp_path, lost):
    path = saved(tmp_path / "run", 20)
    shutil.rmtree(path) if lost == "." else (path / lost).unlink()
    with pytest.raises(CheckpointError):
        baselines.keep(path, tmp_path / "watch", OPTIONS)
    assert baselines.kept(tmp_path / "watch") is None
