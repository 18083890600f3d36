"""A run drawn in parts and put together is the run that was drawn in one piece, and a part is never taken for it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from entropydx import merging, pipeline, plugins, runs, shards, store
from entropydx.cli import app
from entropydx.config import RunConfig, Settings, resolve
from entropydx.errors import ConfigError, ContextError, EngineError, RunStoreError
from entropydx.passes import CROSS_PROMPTS
from entropydx.planning import plan
from entropydx.types import Group, Prompt, Report, SamplingParams

ROOT = Path(__file__).parents[2]
SPINE = "token_entropy,format_mode,sampling_spread"
PASSES = "policy_gap,shortcutting,decoding,input_dependence,effective_rank"
"""Some of every kind of condition and scored pass."""


def _config(run_dir: Path, shard: str | None = None, **settings: object) -> RunConfig:
    defaults: dict[str, object] = {
        "engine": "synthetic",
        "baseline": "synthetic:healthy",
        "probes": PASSES,
        "adaptive": False,
        "prompts": 22,
        "samples": 4,
    }
    flags = Settings(run_dir=str(run_dir), shard=shard, **{**defaults, **settings})  # type: ignore[arg-type]
    return resolve("synthetic:collapsed", flags)


def _draw(folder: Path, count: int, **settings: object) -> list[Path]:
    paths = [folder / f"shard-{i}of{count}" for i in range(1, count + 1)]
    for i, path in enumerate(paths, start=1):
        shards.draw(_config(path, f"{i}/{count}", **settings))
    return paths


def _comparable(report: Report) -> Report:
    cost = replace(report.cost, wall_s=0, tokens_per_s=None, peak_memory_bytes=None, stop_reason="")
    return replace(report, created_at="", cost=cost)


def _records(path: Path) -> dict[str, list[str]]:
    return {f.name: sorted(f.read_text().splitlines()) for f in path.glob("*.jsonl")}


def _bytes(path: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in path.glob("*.json*")}


# ── merged is unsharded ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    path = tmp_path_factory.mktemp("whole")
    return pipeline.diagnose(_config(path)), path


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three complete shards, which no test changes."""
    return _draw(tmp_path_factory.mktemp("shards"), 3)


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2, 3])
def test_merged_shards_are_the_run_in_one_piece(
    tmp_path: Path, whole: tuple[Report, Path], three: list[Path], count: int
) -> None:
    paths = three if count == 3 else _draw(tmp_path, count)
    merged = merging.merge(paths[::-1], tmp_path / "out")
    assert _records(tmp_path / "out") == _records(whole[1])
    assert _comparable(merged) == _comparable(whole[0])
    assert json.loads((tmp_path / "out" / "report.json").read_text())["diagnosis"]["label"] == merged.diagnosis.label


def test_a_merged_run_is_an_ordinary_run(
    tmp_path: Path, whole: tuple[Report, Path], three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = merging.merge(three, tmp_path)
    assert _comparable(pipeline.retriage(tmp_path)) == _comparable(merged)
    engine = plugins.load("engine", "synthetic")
    for method in ("generate", "score"):
        monkeypatch.setattr(engine, method, lambda *_: pytest.fail("drawn again"))
    assert _comparable(pipeline.diagnose(_config(tmp_path))) == _comparable(whole[0])
    assert {f.name for f in tmp_path.glob("*.parquet")} == {f.name for f in whole[1].glob("*.parquet")}


def test_merging_twice_changes_nothing_and_the_shards_stay(tmp_path: Path, three: list[Path]) -> None:
    before = [_bytes(path) for path in three]
    first = merging.merge(three, tmp_path)
    held = _records(tmp_path)
    times = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.jsonl")}
    again = merging.merge([*three, three[0]], tmp_path)  # a glob that matches a directory twice is no duplicate
    assert _comparable(again) == _comparable(first)
    assert _records(tmp_path) == held
    assert {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.jsonl")} == times
    assert [_bytes(path) for path in three] == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_what_the_merged_run_held_beside_its_shards_is_kept(tmp_path: Path, three: list[Path]) -> None:
    merging.merge(three, tmp_path)
    extra = tmp_path / "samples-checkpoint.jsonl"
    foreign = extra.read_text().splitlines()[0][:-1] + " }\n"
    extra.write_text(foreign + extra.read_text())
    merging.merge(three, tmp_path)
    assert extra.read_text().startswith(foreign)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"baseline": None}, {"deploy_temperature": 0.5}, {"prompts": 18}])
def test_other_plans_too(tmp_path: Path, settings: dict[str, object]) -> None:
    report = pipeline.diagnose(_config(tmp_path / "whole", **settings))
    merged = merging.merge(_draw(tmp_path, 2, **settings), tmp_path / "out")
    assert _records(tmp_path / "out") == _records(tmp_path / "whole")
    assert _comparable(merged) == _comparable(report)


def _refusing(too_long: Callable[[Prompt], bool], error: type[EngineError]) -> Callable[..., Iterator[Group]]:
    original = plugins.load("engine", "synthetic").generate

    def generate(self: object, prompts: Sequence[Prompt], params: SamplingParams, rows: int = 0) -> Iterator[Group]:
        refused = [i for i, p in enumerate(prompts) if too_long(p)]
        if refused and error is ContextError:
            raise ContextError("too long", "shorten it", refused)
        if refused:
            raise error("the backend failed")
        return original(self, prompts, params, rows)

    return generate


@pytest.mark.parametrize("error", [ContextError, pytest.param(EngineError, marks=pytest.mark.slow)])
def test_what_one_shard_could_not_draw_is_what_the_whole_run_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[EngineError]
) -> None:
    victim = plan(_config(tmp_path)).prompts[0].id

    def too_long(prompt: Prompt) -> bool:
        return prompt.id == victim and bool(prompt.prefill)

    monkeypatch.setattr(plugins.load("engine", "synthetic"), "generate", _refusing(too_long, error))
    report = pipeline.diagnose(_config(tmp_path / "whole"))
    paths = _draw(tmp_path, 2)
    monkeypatch.undo()
    merged = merging.merge(paths, tmp_path / "out")
    assert _comparable(merged) == _comparable(report)
    laid = store.read_manifest(tmp_path / "out")["passes"]["checkpoint"]
    drawn = laid["conditions"].get("forced_0", {"prompts": []})["prompts"]
    assert victim not in drawn
    assert len(drawn) == (21 if error is ContextError else 0)


def test_an_interrupted_shard_is_refused_and_resumes(
    tmp_path: Path, whole: tuple[Report, Path], three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = plugins.load("engine", "synthetic")
    original, drawn = engine.generate, []

    def generate(self: object, prompts: Sequence[Prompt], params: SamplingParams, rows: int = 0) -> Iterator[Group]:
        for group in original(self, prompts, params, rows):
            if len(drawn) == 5:
                raise KeyboardInterrupt
            drawn.append(group.prompt.id)
            yield group

    monkeypatch.setattr(engine, "generate", generate)
    result = CliRunner().invoke(app, _words(_config(tmp_path / "part"), "2/3"))
    assert result.exit_code == 130
    monkeypatch.undo()
    with (tmp_path / "part" / "samples-baseline.jsonl").open("a") as file:
        file.write('{"prompt": torn')
    held = (tmp_path / "part" / "samples-baseline.jsonl").read_text().splitlines()[:-1]
    paths = [three[0], tmp_path / "part", three[2]]
    with pytest.raises(RunStoreError, match=r"shard 2/3 in .*part is incomplete") as caught:
        merging.merge(paths, tmp_path / "out")
    result = CliRunner().invoke(app, _command_in(caught.value)[1:])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "part" / "samples-baseline.jsonl").read_text().splitlines()[: len(held)] == held
    assert len(held) >= 3
    assert _comparable(merging.merge(paths, tmp_path / "out")) == _comparable(whole[0])


def _words(config: RunConfig, shard: str) -> list[str]:
    return shlex.split(shards.command_line(config, shard))[1:]


def _command_in(error: RunStoreError) -> list[str]:
    found = re.search(r"`(.*?)`", error.hint)
    assert found
    return shlex.split(found[1])


# ── a part is never taken for the whole ───────────────────────────────────────────────────────────


def test_a_missing_shard_is_named_with_the_command_that_draws_it(
    tmp_path: Path, whole: tuple[Report, Path], three: list[Path]
) -> None:
    with pytest.raises(RunStoreError, match=r"^shard 2/3 is missing") as caught:
        merging.merge([three[2], three[0]], tmp_path)
    assert not list(tmp_path.iterdir())
    command = [*_command_in(caught.value), "--run-dir", str(tmp_path / "drawn")]  # not into the tests' own shards
    assert command[command.index("--shard") + 1] == "2/3"
    assert CliRunner().invoke(app, command[1:]).exit_code == 0
    merged = merging.merge([three[0], tmp_path / "drawn", three[2]], tmp_path / "out")
    assert _comparable(merged) == _comparable(whole[0])
    with pytest.raises(RunStoreError, match=r"shard 2/3 is missing; shard 3/3 is missing"):
        merging.merge([three[0]], tmp_path / "out2")


def test_shards_of_another_run_or_another_count_are_refused(tmp_path: Path, three: list[Path]) -> None:
    shards.draw(_config(tmp_path / "seed", "1/3", seed=1))
    with pytest.raises(RunStoreError, match=r"not shards of one run .*seed: 1 there, 0 here"):
        merging.merge([tmp_path / "seed", *three[1:]], tmp_path / "out")
    shards.draw(_config(tmp_path / "two", "1/2"))
    with pytest.raises(RunStoreError, match=r"shard 1/2 there, 2/3 here"):
        merging.merge([tmp_path / "two", *three[1:]], tmp_path / "out")
    shards.draw(_config(tmp_path / "probes", "1/3", probes=SPINE))
    with pytest.raises(RunStoreError, match=r"asked for different things \(probes"):
        merging.merge([tmp_path / "probes", *three[1:]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_shard_in_two_directories_is_refused(tmp_path: Path, three: list[Path]) -> None:
    shards.draw(_config(tmp_path, "2/3"))
    with pytest.raises(RunStoreError, match=r"are both shard 2/3"):
        merging.merge([*three, tmp_path], tmp_path / "out")


def test_lost_samples_are_an_error_and_no_smaller_sample(tmp_path: Path) -> None:
    paths = _draw(tmp_path, 2)
    for name, match in (
        ("samples-checkpoint.jsonl", r"shard 2/2 in .* has lost the samples of 1 prompts.*--shard 2/2"),
        ("scores-baseline-other.jsonl", r"shard 2/2 in .* does not hold .* baseline-other samples"),
        ("samples-checkpoint-forced_0-k2-t1-p1-n24.jsonl", r"does not hold 1 of the checkpoint-forced_0"),
    ):
        file = paths[1] / name
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines[:-1]))
        with pytest.raises(RunStoreError, match=match):
            merging.merge(paths, tmp_path / f"out-{name}")
        file.write_text("".join(lines))
    merging.merge(paths, tmp_path / "out-samples-checkpoint.jsonl")


def test_directories_of_shards_and_whole_runs_are_not_mixed_up(
    tmp_path: Path, whole: tuple[Report, Path], three: list[Path]
) -> None:
    with pytest.raises(RunStoreError, match=r"shard 1/3 of a run, and a part of a run gets no verdict"):
        pipeline.retriage(three[0])
    with pytest.raises(RunStoreError, match="this is shard 1/3 of a run, and a part of a run gets no verdict"):
        runs.open_run(three[0])  # of `gate`, `report` and `compare`; it is complete, and was not interrupted
    with pytest.raises(RunStoreError, match=r"holds another run \(shard: 1/3 there, None now\)"):
        pipeline.diagnose(_config(three[0]))
    with pytest.raises(RunStoreError, match=r"holds another run \(shard: None there, 1/3 now\)"):
        shards.draw(_config(whole[1], "1/3"))
    with pytest.raises(RunStoreError, match=r"is no shard but a whole run"):
        merging.merge([whole[1]], tmp_path)
    with pytest.raises(RunStoreError, match=r"holds another run \(shard: 1/3 there"):
        merging.merge(three, three[0])
    with pytest.raises(ConfigError, match=r"only `entropydx diagnose --shard` draws it"):
        pipeline.diagnose(_config(tmp_path / "x", "1/3"))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/3", "1/-3", "1/3/5", ""])
def test_a_shard_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="give i/N"):
        _config(tmp_path, text)


# ── the command line ──────────────────────────────────────────────────────────────────────────────


def test_a_shard_says_what_was_drawn_and_what_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["diagnose", "synthetic:collapsed", "--engine", "synthetic", "--probes", SPINE, "--quiet"]
    for i in (1, 2):
        result = CliRunner().invoke(app, [*words, "--shard", f"{i}/2"])
        assert (result.exit_code, result.stdout) == (0, "")
    (line,) = result.stderr.splitlines()
    assert "shard 2/2 is complete, 27 of 54 prompts" in line
    command = re.search(r"`entropydx (.*)`", line)
    assert command
    paths = sorted(tmp_path.glob(shlex.split(command[1])[1]))
    assert [p.name[-5:] for p in paths] == ["-1of2", "-2of2"]
    merged = CliRunner().invoke(app, ["merge", *map(str, paths), "--json", "-", "--quiet"])
    again = CliRunner().invoke(app, [*words, "--no-adaptive", "--json", "-"])  # finds the merged run by itself
    assert merged.exit_code == again.exit_code == json.loads(merged.stdout)["exit_code"]
    assert json.loads(again.stdout)["diagnosis"] == json.loads(merged.stdout)["diagnosis"]
    assert CliRunner().invoke(app, ["merge", *map(str, paths), "--quiet", "--exit-zero"]).exit_code == 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shards_that_were_named_by_hand_are_merged_by_a_command(tmp_path: Path, count: int) -> None:
    path = tmp_path / "my shard"
    result = CliRunner().invoke(app, [*_words(_config(path), f"1/{count}"), "--quiet"])
    assert result.exit_code == 0, result.stderr
    commands = re.findall(r"`(.*?)`", result.stderr)
    others = ["DIR..."] if count > 1 else []
    assert [shlex.split(c) for c in commands] == [["entropydx", "merge", str(path), *others]]
    assert ("where DIR... is the directory of every other shard" in result.stderr) is (count > 1)


@pytest.mark.parametrize("flag", [("--json", "-"), ("--format", "json"), ("--verbose",), ("--exit-zero",)])
def test_what_a_shard_has_no_report_for_is_refused(tmp_path: Path, flag: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*_words(_config(tmp_path), "1/2"), *flag])
    assert result.exit_code == 2
    assert f"a shard has no report for {flag[0]}" in result.stderr
    assert not list(tmp_path.iterdir())


def test_merging_needs_no_torch(tmp_path: Path, three: list[Path]) -> None:
    banned = ROOT / "tests" / "e2e" / "no_torch"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(banned), str(ROOT)])}
    call = [sys.executable, "-m", "entropydx", "merge", *map(str, three), "--run-dir", str(tmp_path), "--quiet"]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_command_line_asks_for_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunConfig] = []
    monkeypatch.setattr(shards, "draw", lambda config, _: asked.append(config))
    config = _config(
        tmp_path, suite="arithmetic,sorting", temperature=0.7, allow_pickle=True, map={"answer": "a b"}, seed=3
    )
    CliRunner().invoke(app, _words(config, "2/5"))
    assert replace(asked[0], adaptive=config.adaptive) == replace(config, shard="2/5")


# ── dealing ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("budget", ["quick", "standard", "thorough"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_every_prompt_is_dealt_once_and_work_is_level(tmp_path: Path, budget: str, count: int) -> None:
    todo = plan(_config(tmp_path, budget=budget, probes=None, prompts=None, samples=None))
    hands = shards.deal(todo, count, has_baseline=True)
    assert Counter(p.id for hand in hands for p in hand) == Counter(p.id for p in todo.prompts)
    first = {p.id for p in todo.prompts[:CROSS_PROMPTS]}
    assert first <= {p.id for p in hands[0]}
    costs = shards.work(todo, has_baseline=True)
    loads = [sum(costs[p.id] for p in hand) for hand in hands]
    level = loads if len(hands[0]) > CROSS_PROMPTS else loads[1:]  # the cross pass alone may be more than a part
    assert max(level, default=0) - min(level, default=0) <= 2 * max(costs.values())
    for kind in ("family", "difficulty"):
        counts = [Counter(getattr(p, kind) for p in hand) for hand in hands[len(loads) - len(level) :]]
        for name in {getattr(p, kind) for p in todo.prompts}:
            shares = [c[name] / c.total() for c in counts]
            mean = np.mean(shares)
            # Of n prompts at random, the share of one kind would have this standard deviation.
            bound = np.sqrt(mean * (1 - mean) / min(c.total() for c in counts))
            assert max(abs(share - mean) for share in shares) < 3 * bound


def test_more_shards_than_there_is_work_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most 39: the first shard draws 16"):
        shards.draw(_config(tmp_path, "1/40", prompts=54))
    todo = plan(_config(tmp_path, probes="input_dependence", prompts=54))
    hands = shards.deal(todo, 39, has_baseline=True)
    assert min(map(len, hands)) == 1
    todo = plan(_config(tmp_path, probes=SPINE, prompts=5))
    assert [len(hand) for hand in shards.deal(todo, 5, has_baseline=False)] == [1] * 5


# ── a real engine ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_merged_shards_of_a_real_model_are_the_run_in_one_piece(tmp_path: Path) -> None:
    organisms = ROOT / "fixtures" / "organisms"

    def config(path: Path, shard: str | None = None) -> RunConfig:
        base = str(organisms / "tiny-base")
        flags = Settings(baseline=base, adaptive=False, prompts=27, samples=8, run_dir=str(path), shard=shard)
        return resolve(str(organisms / "tiny-collapse"), flags)

    whole = pipeline.diagnose(config(tmp_path / "whole"))
    paths = [tmp_path / f"{i}" for i in (1, 2)]
    for i, path in enumerate(paths, start=1):
        shards.draw(config(path, f"{i}/2"))
    merged = merging.merge(paths, tmp_path / "out")
    names = {f.name for f in (tmp_path / "whole").glob("samples-*.jsonl")}
    assert names == {f.name for f in (tmp_path / "out").glob("samples-*.jsonl")}
    for name in names:
        part = name.removeprefix("samples-").removesuffix(".jsonl")
        ours = {g.prompt.id: g for g in store.read_groups(tmp_path / "whole", part)}
        theirs = {g.prompt.id: g for g in store.read_groups(tmp_path / "out", part)}
        assert ours.keys() == theirs.keys()
        for key, group in ours.items():
            for a, b in zip(group.completions, theirs[key].completions, strict=True):
                assert a.text == b.text
                np.testing.assert_array_equal(a.token_ids, b.token_ids)
                # Another batch adds the same numbers in another order.
                np.testing.assert_allclose(a.entropies, b.entropies, atol=2e-4)
    assert merged.diagnosis.label == whole.diagnosis.label
    for row, expected in zip(merged.measurements, whole.measurements, strict=True):
        assert row.name == expected.name
        assert (row.value is None) == (expected.value is None), row.name
        if expected.value is not None:
            assert row.value == pytest.approx(expected.value, abs=1e-3, rel=1e-2), row.name


def test_shards_are_merged_where_the_training_configuration_is_not(tmp_path: Path) -> None:
    config = tmp_path / "grpo.yaml"
    config.write_text("num_generations: 8\nbeta: 0.0\n")
    paths = _draw(tmp_path, 2, train_config=str(config))
    config.unlink()
    training = merging.merge(paths, tmp_path / "out").training
    assert training is not None
    assert (training.framework, training.stage, training.config["beta"]) == ("trl", "rl", 0.0)
