"""The loop of a watch, with a clock that is told the time and a diagnosis that is told its verdict; and the command."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entropydx import store
from entropydx.cli import app
from entropydx.config import Settings
from entropydx.errors import CheckpointError, EngineError, EntropydxError
from entropydx.policy import Policy, Regression
from entropydx.protocols import Silent
from entropydx.types import WatchLine
from entropydx.watching import Job, Until, WatchRules, read_log, watch
from tests.unit.watch_examples import BASE, COLLAPSE, ROOT, T0, saved, verdict


class Heard(Silent):
    """Keeps the remarks."""

    def __init__(self):
        self.remarks = []

    def warn(self, message):
        self.remarks.append(message)


@dataclass
class World:
    """A run, what happens to it while the watch sleeps, and what its checkpoints' diagnoses give."""

    tmp: Path
    now: float = T0
    events: dict = None
    verdicts: dict = None
    asked: list = None
    took: float = 5.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        """Let the time pass, and what is to happen in it happen."""
        until = self.now + seconds
        for at in sorted(at for at in self.events if self.now < T0 + at <= until):
            self.events.pop(at)()
        self.now = until

    def gate_checkpoint(self, config, policy, progress, reuse=None, fleet=None):
        """Stand in for a diagnosis, which leaves a report and takes its time."""
        name = Path(config.checkpoint).name
        self.asked.append((name, config.baseline, reuse and reuse.name))
        self.now += self.took
        said = self.verdicts.get(name, "passed")
        if callable(said):
            said = said()
        if isinstance(said, BaseException):
            raise said
        Path(config.run_dir).mkdir(parents=True, exist_ok=True)
        (Path(config.run_dir) / store.REPORT).write_text("{}")
        (Path(config.run_dir) / "samples-baseline.jsonl").write_text("x")
        return verdict(collapse=said), None


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path, events={}, verdicts={}, asked=[])
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("entropydx.watching.loop.gating.gate_checkpoint", made.gate_checkpoint)
    return made


def job(world, until=None, **rules):
    return Job(
        run=world.tmp / "run",
        flags=Settings(suite="tiny", prompts=24, run_dir=str(world.tmp / "watch")),
        project=Settings(),
        policy=Policy(),
        rules=WatchRules(**{"cooldown": 0, **rules}),
        until=until or Until(idle=100),
    )


def go(world, work):
    """Watch, and return the exit code and every line as it was given out."""
    given, heard = [], Heard()
    code = watch(work, heard, lambda text: given.append(json.loads(text)), world.clock, world.sleep)
    assert len(heard.remarks) >= len(given)
    world.remarks = heard.remarks
    return code, given


def brief(lines):
    return [(line["name"], line["event"]) for line in lines]


def save(world, step, **options):
    return lambda: saved(world.tmp / "run", step, **options)


# ── a run that goes on ────────────────────────────────────────────────────────────────────────────


def test_a_run_that_fails_and_recovers(world):
    world.events = {5 + 30 * i: save(world, 20 * i) for i in range(1, 6)}
    world.verdicts = {"checkpoint-40": "failed", "checkpoint-60": "failed", "checkpoint-100": "failed"}
    code, lines = go(world, job(world))
    assert code == 1
    assert brief(lines) == [(f"checkpoint-{20 * i}", "judged") for i in range(1, 6)]
    assert [line["name"] for line in lines if line["fired"]] == ["checkpoint-40", "checkpoint-100"]
    assert lines[2]["held_back"] == "the alarm has gone off for it already"
    assert lines[1]["text"] == "checkpoint-40: ALARM, failed: collapse failed"
    # Against the first one, whose samples are there; which itself was compared with nothing.
    kept = str(world.tmp / "watch" / "baseline" / "checkpoint-20")
    assert world.asked[0] == ("checkpoint-20", None, None)
    assert [baseline for _, baseline, _ in world.asked[1:]] == [kept] * 4
    assert all(reuse for _, _, reuse in world.asked[1:])
    assert any("no baseline is named: the others are compared with checkpoint-20" in r for r in world.remarks)


def test_a_baseline_that_is_named_is_taken_for_all(world):
    world.events = {5: save(world, 20), 35: save(world, 40)}
    work = job(world)
    go(world, replace(work, flags=replace(work.flags, baseline=str(BASE))))
    assert world.asked == [("checkpoint-20", str(BASE), None), ("checkpoint-40", str(BASE), "checkpoint-20")]
    assert not (world.tmp / "watch" / "baseline").exists()


def test_a_diagnosis_that_is_slower_than_the_training_takes_the_newest(world):
    world.took = 65
    world.verdicts = {"checkpoint-20": lambda: [save(world, n)() for n in (40, 60, 80)] and "passed"}
    world.events = {5: save(world, 20)}
    code, lines = go(world, job(world))
    assert code == 0
    assert brief(lines) == [
        ("checkpoint-20", "judged"),
        ("checkpoint-40", "skipped"),
        ("checkpoint-60", "skipped"),
        ("checkpoint-80", "judged"),
    ]
    assert "checkpoint-80 is newer" in lines[1]["text"]


def test_one_that_is_deleted_while_it_is_diagnosed_is_gone(world):
    def deleted():
        shutil.rmtree(world.tmp / "run" / "checkpoint-20")
        return OSError("No such file or directory: model.safetensors")

    world.events = {5: save(world, 20), 45: save(world, 40)}
    world.verdicts = {"checkpoint-20": deleted}
    code, lines = go(world, job(world))
    assert (code, brief(lines)) == (0, [("checkpoint-20", "gone"), ("checkpoint-40", "judged")])
    assert "deleted while it was being diagnosed" in lines[0]["text"]


def test_one_that_is_deleted_before_its_turn_is_gone(world):
    world.took = 30
    world.events = {5: save(world, 20), 6: save(world, 40)}
    world.verdicts = {"checkpoint-20": lambda: shutil.rmtree(world.tmp / "run" / "checkpoint-40") or "passed"}
    _, lines = go(world, job(world, all=True))
    assert brief(lines) == [("checkpoint-20", "judged"), ("checkpoint-40", "gone")]


def test_one_that_cannot_be_diagnosed_does_not_end_the_watch(world):
    world.events = {5: save(world, 20), 35: save(world, 40)}
    world.verdicts = {"checkpoint-20": EngineError("out of\nmemory")}
    code, lines = go(world, job(world))
    assert (code, brief(lines)) == (0, [("checkpoint-20", "error"), ("checkpoint-40", "judged")])
    assert lines[0]["text"] == "checkpoint-20: could not be diagnosed: out of memory"


def test_a_bug_costs_one_checkpoint_and_shows_where_it_is(world):
    world.events = {5: save(world, 20), 35: save(world, 40)}
    world.verdicts = {"checkpoint-20": KeyError("bug")}
    code, lines = go(world, job(world))
    assert (code, brief(lines)) == (0, [("checkpoint-20", "error"), ("checkpoint-40", "judged")])
    assert lines[0]["text"] == (
        "checkpoint-20: could not be diagnosed: KeyError: 'bug'; a bug of entropydx, please report it"
    )
    assert any("Traceback" in text and "KeyError: 'bug'" in text for text in world.remarks)


def test_an_unmerged_one_is_told_once_and_taken_up_when_it_is_merged(world):
    run = world.tmp / "run"
    actor = run / "global_step_40" / "actor"
    (actor / "huggingface").mkdir(parents=True)
    (actor / "model_world_size_1_rank_0.pt").write_bytes(b"x")
    (run / "latest_checkpointed_iteration.txt").write_text("40")

    def merge():
        shutil.rmtree(actor / "huggingface")
        shutil.copytree(COLLAPSE, actor / "huggingface")

    world.events = {55: merge}
    _, lines = go(world, job(world))
    assert brief(lines) == [("global_step_40", "unmerged"), ("global_step_40", "judged")]
    assert "python -m verl.model_merger merge" in lines[0]["text"]


def test_an_incomplete_one_gets_a_line_at_the_end_once_and_is_judged_when_it_is_whole(world):
    path = saved(world.tmp / "run", 20)
    weights = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").unlink()
    once = job(world, Until(once=True))
    code, lines = go(world, once)
    assert (code, brief(lines)) == (2, [("checkpoint-20", "incomplete")]), "the newest could not be diagnosed"
    assert "checkpoint-20: left out: " in lines[0]["text"]
    assert "no weights" in lines[0]["text"]
    code, lines = go(world, once)
    assert (code, lines) == (2, [])
    assert "checkpoint-20: left out" in world.remarks[-1]
    (path / "model.safetensors").write_bytes(weights)
    code, lines = go(world, once)
    assert (code, brief(lines)) == (0, [("checkpoint-20", "judged")])


@pytest.mark.parametrize("fault", ["empty", "torn", "error"])
def test_a_newest_one_that_cannot_be_diagnosed_is_no_success(world, fault):
    for step in (20, 40):
        save(world, step)()
    newest = world.tmp / "run" / "checkpoint-60"
    if fault == "empty":
        newest.mkdir()
    else:
        save(world, 60)()
    if fault == "torn":
        (newest / "model.safetensors").write_bytes(b"torn")
    if fault == "error":
        world.verdicts = {"checkpoint-60": CheckpointError("its weights are of another model")}
    once = job(world, Until(once=True), all=True)
    code, lines = go(world, once)
    assert (code, brief(lines)[-1]) == (2, ("checkpoint-60", "error" if fault == "error" else "incomplete"))
    assert go(world, once) == (2, [])
    save(world, 80)()
    assert go(world, once)[0] == 0, "a newer one is known"


def test_what_lies_beyond_the_last_step_that_is_asked_for_does_not_count(world):
    save(world, 20)()
    (world.tmp / "run" / "checkpoint-40").mkdir()
    code, lines = go(world, job(world, Until(step=20)))
    assert (code, brief(lines)) == (0, [("checkpoint-20", "judged")])
    assert "checkpoint-40: left out" in world.remarks[-1]


def test_actions_are_logged_behind_the_alarm_and_their_failure_is_no_failure_of_the_watch(world):
    world.events = {5: save(world, 20), 35: save(world, 40)}
    world.verdicts = {"checkpoint-20": "failed"}
    code, lines = go(world, job(world, command="false"))
    assert brief(lines) == [("checkpoint-20", "judged"), ("checkpoint-20", "acted"), ("checkpoint-40", "judged")]
    assert (code, lines[1]["actions_ok"]) == (1, False)
    assert lines[1]["text"] == "checkpoint-20: the command false gave exit code 1"


# ── when it ends, and starts again ────────────────────────────────────────────────────────────────


def test_once_takes_what_is_there_and_ends(world):
    for step in (20, 40):
        saved(world.tmp / "run", step)
    code, lines = go(world, job(world, Until(once=True)))
    assert (code, brief(lines)) == (0, [("checkpoint-20", "skipped"), ("checkpoint-40", "judged")])
    assert world.now - T0 == 1 + world.took
    code, lines = go(world, job(world, Until(once=True), all=True))
    assert (code, lines) == (0, [])
    assert any("has 2 checkpoints already" in r for r in world.remarks)


def test_it_ends_at_a_step_and_when_nothing_happens(world):
    world.events = {5: save(world, 20), 35: save(world, 40), 65: save(world, 60)}
    assert brief(go(world, job(world, Until(step=40)))[1])[-1] == ("checkpoint-40", "judged")
    before = world.now
    assert brief(go(world, job(world, Until(idle=50)))[1]) == [("checkpoint-60", "judged")]
    assert 50 <= world.now - before <= 120


def test_a_watch_that_is_killed_goes_on_with_nothing_twice(world):
    class KilledError(BaseException):
        pass

    world.events = {5 + 30 * i: save(world, 20 * i) for i in range(1, 5)}
    world.verdicts = {f"checkpoint-{n}": "failed" for n in (40, 60, 80)}
    world.verdicts["checkpoint-60"] = KilledError()
    with pytest.raises(KilledError):
        go(world, job(world))
    with (world.tmp / "watch" / "watch.jsonl").open("a") as file:
        file.write('{"schema_version": "1.0", "at"')
    world.verdicts["checkpoint-60"] = "failed"
    code, lines = go(world, job(world))
    assert (code, brief(lines)) == (1, [("checkpoint-60", "judged"), ("checkpoint-80", "judged")])
    whole = read_log(world.tmp / "watch" / "watch.jsonl")
    assert [line.name for line in whole if line.event == "judged"] == [f"checkpoint-{n}" for n in (20, 40, 60, 80)]
    assert [line.name for line in whole if line.fired] == ["checkpoint-40"]
    assert {b for _, b, _ in world.asked[1:]} == {str(world.tmp / "watch" / "baseline" / "checkpoint-20")}


def test_an_alarm_whose_actions_may_not_have_run_is_said(world):
    saved(world.tmp / "run", 20)
    world.verdicts = {"checkpoint-20": "failed"}
    go(world, job(world, Until(once=True)))
    go(world, job(world, Until(once=True), command="true"))
    assert any("fired, and the watch was ended before its actions were logged" in r for r in world.remarks)


def test_what_is_on_a_share_that_is_away_for_a_while_is_not_gone(world):
    run, away = world.tmp / "run", world.tmp / "away"

    def unplugged():
        run.rename(away)
        return "passed"

    world.took = 30
    world.events = {5: save(world, 20), 6: save(world, 40), 90: lambda: away.rename(run)}
    world.verdicts = {"checkpoint-20": unplugged}
    code, lines = go(world, job(world, all=True))
    assert (code, brief(lines)[-1]) == (0, ("checkpoint-40", "judged"))


def test_it_waits_for_a_directory_that_is_not_there_yet(world):
    (world.tmp / "run").rmdir()
    world.events = {5: save(world, 20)}
    code, lines = go(world, job(world))
    assert (code, brief(lines)) == (0, [("checkpoint-20", "judged")])
    assert any("does not exist yet" in r for r in world.remarks)


# ── what cannot run ───────────────────────────────────────────────────────────────────────────────


def test_what_no_checkpoint_could_be_diagnosed_with_is_refused_at_once(world):
    work = job(world, Until(once=True))
    allowed = Policy(regression=(Regression(measurement="sampling_spread.pass_at_1", max_drop=0.1),))
    refused = {
        "no directory": replace(work, run=world.tmp / "nothing"),
        "is a checkpoint itself": replace(work, run=saved(world.tmp / "run", 20)),
        "no checkpoint at 'nosuchbase'": replace(work, flags=replace(work.flags, baseline="nosuchbase")),
        "no suite": replace(work, flags=replace(work.flags, suite="nosuchsuite")),
        "no probe": replace(work, flags=replace(work.flags, probes="nosuchprobe")),
        "names nothing to compare with": replace(work, policy=allowed),
        "whole runs": replace(work, flags=replace(work.flags, shard="1/2")),
    }
    for said, wrong in refused.items():
        with pytest.raises(EntropydxError, match="nosuchsuite" if said == "no suite" else said):
            go(world, wrong)
    assert world.asked == []


# ── the command ───────────────────────────────────────────────────────────────────────────────────

SMALL = ("--suite", "tiny", "--prompts", "36", "--samples", "8", "--max-new-tokens", "64", "--device", "cpu")
PROBES = ("--probes", "token_entropy,sampling_spread,format_mode,instrument", "--no-adaptive", "--poll", "0.2")


def command(*args, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "entropydx", "watch", *map(str, args)]
    return subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.slow
def test_real_checkpoints_of_a_collapse_fire_once_and_again_not_at_all(tmp_path):
    saved(tmp_path / "run", 0)
    saved(tmp_path / "run", 20, COLLAPSE)
    (tmp_path / "p.toml").write_text('[gate]\n[watch]\nall = true\ncommand = "cp /dev/stdin alarm.json"\n')
    first = command("run", "--once", "--policy", "p.toml", *SMALL, *PROBES, cwd=tmp_path)
    assert first.returncode == 1, first.stderr
    lines = [json.loads(text) for text in first.stdout.splitlines()]
    assert [(x["name"], x["event"], x["fired"]) for x in lines] == [
        ("checkpoint-0", "judged", False),
        ("checkpoint-20", "judged", True),
        ("checkpoint-20", "acted", False),
    ]
    assert (lines[1]["label"], lines[1]["failed"]) == ("training_collapse", ["failure.training_collapse"])
    assert json.loads((tmp_path / "alarm.json").read_text()) == lines[1]
    report = json.loads((tmp_path / lines[1]["report"]).read_text())
    assert report["diagnosis"]["label"] == "training_collapse"
    assert (
        report["baseline"]["fingerprint"]
        == json.loads((tmp_path / lines[0]["report"]).read_text())["checkpoint"]["fingerprint"]
    )
    # The baseline's samples are those of the first diagnosis.
    own = (tmp_path / lines[0]["report"]).with_name("samples-checkpoint.jsonl").read_bytes()
    assert (tmp_path / lines[1]["report"]).with_name("samples-baseline.jsonl").read_bytes() == own
    again = command("run", "--once", "--policy", "p.toml", *SMALL, *PROBES, "--exit-zero", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    assert "2 checkpoints already" in again.stderr


def test_lines_are_on_stdout_even_where_stderr_is_a_terminal(tmp_path):
    actor = tmp_path / "run" / "global_step_40" / "actor"
    actor.mkdir(parents=True)
    (actor / "model_world_size_1_rank_0.pt").write_bytes(b"x")
    (tmp_path / "run" / "latest_checkpointed_iteration.txt").write_text("40")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    call = [sys.executable, "-m", "entropydx", "watch", "run", "--once", "--poll", "0.1", "--suite", "tiny"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=theirs, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2, "the newest could not be diagnosed"
    assert json.loads(done.stdout)["event"] == "unmerged"


def test_an_interrupted_watch_says_so(tmp_path):
    (tmp_path / "run").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "entropydx", "watch", "run", "--poll", "0.1", "--suite", "tiny", "--log", "log.jsonl"]
    running = subprocess.Popen(call, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "log.jsonl.lock").exists():
        assert running.poll() is None
    # The lock is taken just before the first look.
    try:
        running.communicate(timeout=1)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
    err = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "resumes" in err.splitlines()[-1]


def test_a_wrong_policy_exits_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.toml").write_text("[gate]\n[watch]\ncool-down = 3\n")
    wrong = CliRunner().invoke(app, ["watch", "run", "--once", "--policy", "p.toml"])
    assert wrong.exit_code == 2
    assert wrong.stderr == "entropydx: p.toml [watch]: unknown key 'cool_down' (did you mean 'cooldown'?)\n"


# ── the documentation ─────────────────────────────────────────────────────────────────────────────


def test_the_reference_lists_every_field_and_every_key():
    page = (ROOT / "docs" / "reference" / "watch.md").read_text()
    for field in fields(WatchLine):
        assert f"`{field.name}`" in page, field.name
    for field in fields(WatchRules):
        assert f"`{field.name}`" in page, field.name
