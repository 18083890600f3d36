"""The callback: what it starts, what it makes of the lines, and a real training with it (slow)."""

import json
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from entropydx import document
from entropydx.errors import ConfigError
from entropydx.integrations import trl as integration
from entropydx.integrations.trl import EntropydxCallback
from entropydx.types import WATCH_VERSION, Label, WatchLine
from tests.unit.watch_examples import BASE, COLLAPSE, ROOT

NOW = "2026-11-28T00:00:00.000+00:00"


def line(step, verdict="passed", **fields):
    return WatchLine(
        schema_version=WATCH_VERSION,
        at=NOW,
        event="judged",
        text=f"checkpoint-{step}: {verdict}",
        run="run",
        checkpoint=f"run/checkpoint-{step}",
        name=f"checkpoint-{step}",
        step=step,
        verdict=verdict,
        label=Label.HEALTHY,
        **fields,
    )


class Training:
    """What a trainer hands to a callback; the diagnosis is a process that waits for `go`, and writes given lines."""

    def __init__(self, folder, monkeypatch, **options):
        self.args = SimpleNamespace(output_dir=str(folder), world_size=1)
        self.state = SimpleNamespace(is_world_process_zero=True, global_step=0, log_history=[])
        self.control = SimpleNamespace(should_training_stop=False)
        self.folder, self.calls, self.lines, self.running = folder, [], [], []
        monkeypatch.setattr(integration, "_spawn", self.spawn)
        self.callback = EntropydxCallback(**options)

    def spawn(self, call, env, said):
        self.calls.append(call)
        log = self.folder / "entropydx" / "watch.jsonl"
        text = "".join(map(document.to_line, self.lines))
        code = "import sys; sys.stdin.read(); open(sys.argv[1], 'a').write(sys.argv[2])"
        process = subprocess.Popen([sys.executable, "-S", "-c", code, str(log), text], stdin=subprocess.PIPE)
        self.running.append(process)
        if self.callback.wait:
            process.stdin.close()
        return process

    def hear(self, hook, **kwargs):
        getattr(self.callback, hook)(self.args, self.state, self.control, **kwargs)

    def end_diagnosis(self):
        self.running[-1].stdin.close()
        self.running[-1].wait()


@pytest.fixture
def training(tmp_path, monkeypatch):
    made = []

    def make(**options):
        made.append(Training(tmp_path, monkeypatch, **options))
        return made[-1]

    yield make
    for process in made[-1].running if made else []:
        process.stdin.close()
        process.wait()


# ── what it starts ────────────────────────────────────────────────────────────────────────────────


def test_options_become_flags_of_the_command(training, tmp_path):
    there = training(policy="p.toml", baseline="base", max_new_tokens=64, all=True, adaptive=False, map={"answer": "a"})
    there.hear("on_save")
    [call] = there.calls
    assert call[:4] == [sys.executable, "-m", "entropydx", "watch"]
    assert call[4:] == [
        *(str(tmp_path), "--once", "--policy", "p.toml", "--baseline", "base", "--max-new-tokens", "64", "--all"),
        *("--no-adaptive", "--map", "answer=a"),
        *("--run-dir", str(tmp_path / "entropydx"), "--log", str(tmp_path / "entropydx" / "watch.jsonl")),
    ]


def test_an_option_that_the_command_does_not_have_is_refused():
    for wrong in ({"sutie": "tiny"}, {"run_dir": "x"}):
        with pytest.raises(ConfigError, match="has no option"):
            EntropydxCallback(**wrong)


def test_every_option_is_a_flag():
    """What the callback accepts is what `entropydx watch` accepts."""
    help_page = subprocess.run(
        [sys.executable, "-m", "entropydx", "watch", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200", "TERMINAL_WIDTH": "200"},
    ).stdout
    options = dict.fromkeys(integration.OPTIONS - {"adaptive", "all", "map"}, "x")
    for flag in integration._flags({**options, "adaptive": False, "all": True, "map": {"a": "b"}}):
        assert not flag.startswith("--") or f"{flag} " in help_page, flag


def test_the_diagnosis_is_told_nothing_of_the_launcher(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("KEPT", "yes")
    code = "import json, os, sys; json.dump(dict(os.environ), sys.stderr)"
    process = integration._spawn([sys.executable, "-c", code], {"CUDA_VISIBLE_DEVICES": "7"}, subprocess.PIPE)
    told = json.loads(process.communicate()[1])
    assert (told["KEPT"], told["CUDA_VISIBLE_DEVICES"]) == ("yes", "7")
    assert not {"WORLD_SIZE", "TORCHELASTIC_RUN_ID"} & told.keys()


def test_a_save_during_a_diagnosis_starts_the_next_one_after_it(training):
    there = training()
    there.hear("on_save")
    there.hear("on_save")
    there.hear("on_step_end")
    assert len(there.calls) == 1
    there.end_diagnosis()
    there.hear("on_step_end")
    assert len(there.calls) == 2


def test_a_save_during_the_last_diagnosis_gets_its_own_at_the_end(training):
    there = training()
    there.hear("on_save")
    there.hear("on_save")
    there.hear("on_train_end")
    assert len(there.calls) == 2
    there.running[0].stdin.close()
    there.running[0].wait()


def test_only_the_first_process_starts_anything(training):
    there = training()
    there.state.is_world_process_zero = False
    for hook in ("on_save", "on_step_end", "on_train_end"):
        there.hear(hook)
    assert there.calls == []


# ── what it makes of a verdict ────────────────────────────────────────────────────────────────────


def test_a_verdict_is_in_the_next_entry_of_the_log(training, caplog):
    there = training()
    there.lines = [line(20, "failed", fired=True)]
    there.hear("on_save")
    there.end_diagnosis()
    there.hear("on_step_end")
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == ["checkpoint-20: failed"]
    logs = {"loss": 1.0}
    there.state.log_history.append({**logs, "step": 25})
    there.hear("on_log", logs=logs)
    # A reporter that comes after the callback gets numbers alone.
    assert logs == {"loss": 1.0, "entropydx/failed": 1, "entropydx/fired": 1, "entropydx/step": 20}
    assert there.state.log_history == [{**logs, "step": 25, "entropydx/verdict": "failed"}]
    there.hear("on_log", logs={"loss": 2.0})
    assert len(there.state.log_history) == 1
    assert not there.control.should_training_stop


def test_an_inconclusive_verdict_is_no_number(training):
    there = training(wait=True)
    there.lines = [line(20, "inconclusive")]
    there.hear("on_save")
    there.state.log_history.append({})
    there.hear("on_log", logs={})
    assert there.state.log_history == [
        {"entropydx/verdict": "inconclusive", "entropydx/step": 20, "entropydx/fired": 0},
    ]


def test_the_training_ends_on_an_alarm_when_asked_to(training):
    there = training(stop_on_failure=True)
    there.lines = [line(20, "failed", held_back="it has failed 1 of 2 times in a row")]
    there.hear("on_save")
    there.end_diagnosis()
    there.hear("on_step_end")
    assert not there.control.should_training_stop
    there.lines = [line(40, "failed", fired=True)]
    there.hear("on_save")
    there.end_diagnosis()
    there.hear("on_step_end")
    assert there.control.should_training_stop


def test_a_verdict_after_the_last_entry_is_not_lost(training):
    there = training(wait=True)
    there.lines = [line(20)]
    there.hear("on_save")
    there.state.global_step = 20
    there.hear("on_train_end")
    assert there.state.log_history[-1]["entropydx/verdict"] == "passed"
    assert there.state.log_history[-1]["step"] == 20


def test_a_diagnosis_without_a_line_is_said(training, caplog, tmp_path):
    there = training(wait=True)
    there.hear("on_save")
    assert f"gave exit code 0 and no line; see {tmp_path / 'entropydx' / 'watch.log'}" in caplog.text


def test_lines_from_before_the_training_was_interrupted_are_not_news(training, tmp_path):
    (tmp_path / "entropydx").mkdir()
    (tmp_path / "entropydx" / "watch.jsonl").write_text(document.to_line(line(20, "failed", fired=True)))
    there = training(wait=True, stop_on_failure=True)
    there.lines = [line(40)]
    there.hear("on_save")
    assert not there.control.should_training_stop
    assert there.callback._entry["entropydx/step"] == 40


def test_it_can_stand_before_the_reporters():
    trainer = SimpleNamespace(callback_handler=SimpleNamespace(callbacks=["reporter"]))
    callback = EntropydxCallback().add_to(trainer)
    assert trainer.callback_handler.callbacks == [callback, "reporter"]


def test_it_needs_transformers_and_not_trl():
    code = "import sys; sys.modules['trl'] = None; import entropydx.integrations.trl"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def _agree(rank, port, queue):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    queue.put([integration._agreed(said and rank == 0, SimpleNamespace(world_size=2)) for said in (True, False)])
    dist.destroy_process_group()


@pytest.mark.slow
def test_several_processes_agree_on_what_the_first_one_says():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_agree, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=120) for _ in processes] == [[True, False]] * 2
    for process in processes:
        process.join()


# ── a real training ───────────────────────────────────────────────────────────────────────────────


def trained(folder, source, callbacks, steps=4):
    """Train with `trl.SFTTrainer`, saving every second step."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    from entropydx.organisms.training import common_settings

    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(source)
    common = common_settings(str(folder), steps, 1e-5, 0)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": "3+5-2=", "completion": "3+5=8;8-2=6;A6."}] * 64),
        args=SFTConfig(
            **{**common, "save_strategy": "steps", "save_steps": 2, "disable_tqdm": True},
            max_length=64,
            per_device_train_batch_size=4,
        ),
        callbacks=callbacks,
    )
    trainer.train()
    return trainer


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_training_is_stopped_by_its_failure_and_otherwise_untouched(tmp_path):
    options = {"suite": "tiny", "prompts": 36, "samples": 8, "max_new_tokens": 64, "device": "cpu", "adaptive": False}
    options |= {"probes": "token_entropy,sampling_spread,format_mode,instrument", "baseline": str(BASE)}
    callback = EntropydxCallback(wait=True, stop_on_failure=True, env={"OMP_NUM_THREADS": "1"}, **options)
    stopped = trained(tmp_path / "stopped", COLLAPSE, [callback])
    assert stopped.state.global_step == 2
    entry = next(e for e in stopped.state.log_history if "entropydx/verdict" in e)
    assert (entry["entropydx/verdict"], entry["entropydx/failed"], entry["entropydx/step"]) == ("failed", 1, 2)
    alone = trained(tmp_path / "alone", COLLAPSE, [], steps=4)
    beside = EntropydxCallback(wait=True, env={"OMP_NUM_THREADS": "1"}, **options)
    watched = trained(tmp_path / "watched", COLLAPSE, [beside], steps=4)
    assert watched.state.global_step == 4
    for mine, theirs in zip(alone.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_trainer_writes_its_state_last(tmp_path):
    """What `sightings` relies on, of the transformers that is installed."""
    trained(tmp_path, BASE, [], steps=2)
    times = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "checkpoint-2").iterdir()}
    assert max(times, key=times.get) == "trainer_state.json"
