"""The run directory survives what a machine does to it."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entropydx.errors import RunStoreError
from entropydx.store import RunStore, decode_group, encode_group, read_groups, read_manifest
from entropydx.types import Completion, Group, Prompt, VerifierSpec

KEY = {"seed": 0, "suite": "abc"}


def _group(name: str = "p1") -> Group:
    prompt = Prompt(
        id=name,
        messages=({"role": "user", "content": "2+2? ünïcode"},),
        answer="4",
        verifier=VerifierSpec(type="numeric", extract=r"A(\d)", tolerance=0.5),
        extra={"level": 3, "tags": ["a"]},
    )
    completion = Completion(
        token_ids=np.array([1, 2, 70_000]),
        logprobs=np.array([-0.1, -2.5, -1e-7], dtype=np.float32),
        entropies=np.array([0.0, 1.25, 3.0e-5], dtype=np.float32),
        text="A4\u2028\x00",
        finish_reason="stop",
        answer="4",
        grade=1.0,
    )
    return Group(
        prompt=prompt, completions=(completion, replace(completion, answer=None, grade=0.0)), n_prompt_tokens=5
    )


def test_a_group_comes_back_exactly() -> None:
    group = _group()
    back = decode_group(encode_group(group))
    assert back.prompt == group.prompt
    assert back.n_prompt_tokens == 5
    for ours, theirs in zip(back.completions, group.completions, strict=True):
        assert (ours.text, ours.answer, ours.grade, ours.finish_reason) == (
            theirs.text,
            theirs.answer,
            theirs.grade,
            theirs.finish_reason,
        )
        np.testing.assert_array_equal(ours.token_ids, theirs.token_ids)
        np.testing.assert_array_equal(ours.logprobs, theirs.logprobs)
        np.testing.assert_array_equal(ours.entropies, theirs.entropies)


def test_one_group_is_one_line(tmp_path: Path) -> None:
    assert "\n" not in encode_group(_group())


@pytest.mark.parametrize("torn", [1, 10, 200])
def test_a_torn_tail_is_cut_off_and_only_that_prompt_is_lost(tmp_path: Path, torn: int) -> None:
    with RunStore(tmp_path, KEY) as run:
        run.append("checkpoint", _group("p1"))
        run.append("checkpoint", _group("p2"))
    file = tmp_path / "samples-checkpoint.jsonl"
    file.write_bytes(file.read_bytes()[:-torn])
    assert [g.prompt.id for g in read_groups(tmp_path, "checkpoint")] == ["p1"]
    with RunStore(tmp_path, KEY) as run:
        assert [g.prompt.id for g in run.recover("checkpoint")] == ["p1"]
        run.append("checkpoint", _group("p2"))
    assert [g.prompt.id for g in read_groups(tmp_path, "checkpoint")] == ["p1", "p2"]


def test_damage_in_the_middle_is_named_by_line(tmp_path: Path) -> None:
    with RunStore(tmp_path, KEY) as run:
        run.append("checkpoint", _group("p1"))
        run.append("checkpoint", _group("p2"))
    file = tmp_path / "samples-checkpoint.jsonl"
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([lines[0][:50], *lines[1:]]))
    with RunStore(tmp_path, KEY) as run, pytest.raises(RunStoreError, match="line 1 is damaged"):
        run.recover("checkpoint")


def test_another_run_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    with RunStore(tmp_path, KEY):
        pass
    with pytest.raises(RunStoreError, match="seed: 0 there, 1 now"), RunStore(tmp_path, {**KEY, "seed": 1}):
        pass
    with RunStore(tmp_path, KEY):  # the refusal let go of the lock
        pass


def _hold(path: Path, ready, done) -> None:  # type: ignore[no-untyped-def]
    with RunStore(path, KEY):
        ready.set()
        done.wait(30)


def test_a_second_process_gets_a_clear_error(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, done))
    process.start()
    assert ready.wait(30)
    with pytest.raises(RunStoreError, match="another process"), RunStore(tmp_path, KEY):
        pass
    done.set()
    process.join(30)
    with RunStore(tmp_path, KEY):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, done))
    process.start()
    assert ready.wait(30)
    process.kill()
    process.join(30)
    with RunStore(tmp_path, KEY):
        pass


def test_manifest_errors(tmp_path: Path) -> None:
    with pytest.raises(RunStoreError, match="not a run directory"):
        read_manifest(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunStoreError, match="damaged"):
        read_manifest(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"store_version": 99}))
    with pytest.raises(RunStoreError, match="store_version 99"):
        read_manifest(tmp_path)


def test_samples_without_a_manifest_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "samples-checkpoint.jsonl").write_text("")
    with pytest.raises(RunStoreError, match=r"no run\.json"), RunStore(tmp_path, KEY):
        pass


@pytest.mark.parametrize("text", ["[]", '{"store_version": 2}', '{"store_version": 2, "key": 3}'])
def test_a_manifest_that_names_no_run_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunStoreError, match="damaged"), RunStore(tmp_path, KEY):
        pass


def test_samples_that_cannot_be_written_are_one_clear_line(tmp_path: Path) -> None:
    with RunStore(tmp_path, KEY) as run:
        (tmp_path / "samples-checkpoint.jsonl").mkdir()
        with pytest.raises(RunStoreError, match=r"cannot write .*samples-checkpoint"):
            run.append("checkpoint", _group())
