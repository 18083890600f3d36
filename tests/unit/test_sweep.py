"""A sweep: which checkpoints, one table with the worst first, one baseline for all, and an exit code for all."""

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import entropydx
from entropydx import store
from entropydx.config import Settings
from entropydx.document import to_json
from entropydx.errors import ConfigError
from entropydx.fleet import Fleet
from entropydx.lineup import Crew, richest
from entropydx.protocols import Silent
from entropydx.reporters._sweep import SweepReporter
from entropydx.sweeps import assemble, exit_code, gather, sweep
from entropydx.types import Label, MeasurementRow, Sweep, SweepEntry

ROOT = Path(__file__).parents[2]
ORGANISMS = ROOT / "fixtures" / "organisms"
QUICK = {
    "engine": "synthetic",
    "suite": "tiny",
    "prompts": 36,
    "samples": 6,
    "adaptive": False,
    "probes": "token_entropy,sampling_spread,format_mode",
}


class Heard(Silent):
    """Keeps stages and remarks."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.remarks: list[str] = []

    def start(self, stage: str, total: int | None) -> None:
        self.stages.append(stage)

    def warn(self, message: str) -> None:
        self.remarks.append(message)


def entry(name, label=None, severity=None, probability=None, code=0, **fields):
    return SweepEntry(
        name=name, ref=name, exit_code=code, label=label, severity=severity, probability=probability, **fields
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A sweep of four checkpoints, one of which does not exist, with what was heard of it and its directory."""
    root, heard = tmp_path_factory.mktemp("sweep") / "s", Heard()
    refs = ("synthetic:healthy", "synthetic:nope", "synthetic:collapsed", "synthetic:twin")
    return sweep(refs, Settings(**QUICK, baseline="synthetic:twin", run_dir=str(root)), progress=heard), heard, root


# ── which checkpoints ─────────────────────────────────────────────────────────────────────────────


def test_a_directory_gives_its_checkpoints_whatever_they_are_called(tmp_path):
    names = [s.name for s in gather([str(ORGANISMS)])]
    assert {"tiny-base", "tiny-collapse", "grid-base"} <= set(names)
    assert names == sorted(names)
    for child in ("checkpoint-20", "checkpoint-3", "logs"):
        (tmp_path / child).mkdir()
    assert [s.name for s in gather([str(tmp_path)])] == ["checkpoint-3", "checkpoint-20"]
    shutil.copytree(ORGANISMS / "tiny-base", tmp_path / "best")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"and no config")
    assert [s.name for s in gather([str(tmp_path)])] == ["checkpoint-3", "checkpoint-20", "best", "torn"]
    assert [s.name for s in gather([str(ORGANISMS / "tiny-base")])] == ["tiny-base"]
    assert [s.ref for s in gather(["b", "a"])] == ["b", "a"]


def test_a_sweep_of_nothing_and_a_repeated_checkpoint_are_refused():
    with pytest.raises(ConfigError, match="no checkpoint was named"):
        gather([])
    with pytest.raises(ConfigError, match="given twice"):
        gather(["a", "./a"])


# ── the document ──────────────────────────────────────────────────────────────────────────────────


def test_the_worst_comes_first_and_what_could_not_run_last():
    entries = [
        entry("well", Label.HEALTHY),
        entry("gone", code=2, error="no such file"),
        entry("open", Label.INCONCLUSIVE),
        entry("mild", Label.TEACHER_OVERCONFIDENCE, 0.2, 0.99),
        entry("grave", Label.TRAINING_COLLAPSE, 0.9, 0.7),
        entry("surer", Label.INFERENCE_VARIANCE, 0.2, 0.999),
        entry("broken", Label.ABNORMAL),
    ]
    expected = ["broken", "grave", "surer", "mild", "open", "well", "gone"]
    for order in (entries, entries[::-1], entries[3:] + entries[:3]):
        assert [e.name for e in assemble(order, None).entries] == expected


def test_the_exit_code_misses_nothing():
    for codes in itertools.product((0, 1, 2, 3), repeat=3):
        assert exit_code(codes) == (2 if 2 in codes else 1 if 1 in codes else 3 if 3 in codes else 0)


def test_one_that_cannot_run_does_not_stop_the_others(found):
    document, heard, root = found
    assert next((e.name, e.exit_code) for e in document.entries) == ("synthetic-collapsed", 1)
    last = document.entries[-1]
    assert (last.name, last.exit_code, last.label) == ("synthetic-nope", 2, None)
    assert "has no checkpoint 'synthetic:nope'" in last.error
    assert "\n" not in last.error
    assert document.exit_code == 2
    assert len(document.entries) == 4
    assert any("synthetic-nope, 2 of 4: could not run" in r for r in heard.remarks)
    assert json.loads((root / "sweep.json").read_text()) == json.loads(to_json(document))


def test_the_baseline_is_drawn_once_and_every_report_is_the_one_of_diagnose(found):
    document, heard, root = found
    drawn = [s for s in heard.stages if s.endswith("sampling synthetic:twin")]
    # By the first checkpoint as the baseline, and by itself as a checkpoint.
    assert [s.partition(",")[0] for s in drawn] == ["synthetic-healthy", "synthetic-twin"]
    collapsed = document.entries[0]
    alone = entropydx.diagnose(
        "synthetic:collapsed", **QUICK, baseline="synthetic:twin", run_dir=str(root.parent / "alone")
    )
    there = entropydx.load_report(collapsed.report)
    assert there.measurements == entropydx.load_report(root.parent / "alone" / "report.json").measurements
    assert there.diagnosis.label == alone.diagnosis.label == collapsed.label
    own = alone.diagnosis.failures[alone.diagnosis.label]
    assert (collapsed.severity, collapsed.probability) == (own.severity, own.probability)
    rows = {r.name: r for r in alone.measurements}
    assert collapsed.pass_at_1 == rows["sampling_spread.pass_at_1"]
    assert collapsed.entropy == rows["token_entropy.mean"]


def test_the_same_command_draws_nothing_and_one_more_checkpoint_draws_that_alone(found):
    _, _, root = found
    heard = Heard()
    refs = ("synthetic:healthy", "synthetic:noisy")
    again = sweep(refs, Settings(**QUICK, baseline="synthetic:twin", run_dir=str(root)), progress=heard)
    assert {s.partition(",")[0] for s in heard.stages if "sampling" in s} == {"synthetic-noisy"}
    assert not [s for s in heard.stages if "sampling synthetic:twin" in s]
    assert len(again.entries) == 2


def test_a_richer_baseline_is_preferred(tmp_path):
    for name, content in (("a", b"1\n"), ("b", b"1\n2\n"), ("c", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "samples-baseline.jsonl").write_bytes(content)
    assert richest([tmp_path / n for n in "abc"]) == tmp_path / "b"
    assert richest([]) is None


def test_baselines_are_adopted_from_a_run_with_the_same_baseline_and_protocol_only(tmp_path):
    key = {"checkpoint": "x", "baseline": "b", "dtype": "f", "baseline_dtype": "f", "suite": "s"}
    with store.RunStore(tmp_path / "first", key) as first:
        (first.path / "samples-baseline.jsonl").write_text("base\n")
        (first.path / "samples-checkpoint.jsonl").write_text("x\n")
        (first.path / "scores-baseline-other.jsonl").write_text("of x\n")
        (first.path / "scores-baseline-hidden.jsonl").write_text("own\n")
    with store.RunStore(tmp_path / "second", {**key, "checkpoint": "y"}) as second:
        second.adopt_baseline(first.path)
        assert (second.path / "samples-baseline.jsonl").read_text() == "base\n"
        assert (second.path / "scores-baseline-hidden.jsonl").read_text() == "own\n"
        assert not (second.path / "scores-baseline-other.jsonl").exists()
        assert not (second.path / "samples-checkpoint.jsonl").exists()
    for name, other in (("third", {"baseline": "c"}), ("fourth", {"suite": "t"})):
        with store.RunStore(tmp_path / name, {**key, "checkpoint": "y", **other}) as run:
            run.adopt_baseline(first.path)
            assert not list(run.path.glob("*.jsonl"))


def test_the_frame_has_a_row_for_each_and_numbers_with_their_intervals(found):
    frame = found[0].to_frame()
    assert list(frame["name"]) == [e.name for e in found[0].entries]
    worst = found[0].entries[0]
    assert frame.loc[0, "pass_at_1"] == worst.pass_at_1.value
    assert (frame.loc[0, "entropy_low"], frame.loc[0, "entropy_high"]) == worst.entropy.ci
    assert frame["error"].notna().sum() == 1


# ── the page ──────────────────────────────────────────────────────────────────────────────────────


def wide() -> Sweep:
    row = MeasurementRow(name="m", value=0.5, ci=(0.4, 0.6))
    absent = MeasurementRow(name="m", missing_reason="the engine gives no exact entropies")
    entries = [
        entry(
            "a-name-that-is-longer-than-its-column",
            Label.HARD_SAMPLE_SHORTCUTTING,
            0.5,
            0.75,
            1,
            confidence="medium",
            runner_up=Label.TEACHER_OVERCONFIDENCE,
            pass_at_1=row,
            entropy=absent,
            run_dir="s/a",
        ),
        entry("gone\x1b[2J", code=2, error="no such\x1b file"),
    ]
    return assemble(entries, "base")


@pytest.mark.parametrize("width", [60, 100, 140])
def test_the_page_keeps_its_width_and_shows_every_number_with_its_interval(width):
    page = SweepReporter(width=width).render(wide())
    assert max(map(len, page.splitlines())) <= width
    assert "\x1b" not in page
    for text in ("[0.40, 0.60]", "0.75", "could not run", "no such", "exit code 2", "baseline base", "1 could not run"):
        assert text in page
    assert page.count("-name-that") + page.count("a-name") >= 1
    assert all(ord(c) < 128 for c in SweepReporter(width=width, ascii=True).render(wide()))


def test_a_pipe_gets_plain_text():
    file = io.StringIO()
    SweepReporter().render_to(Console(file=file), wide())
    assert "\x1b" not in file.getvalue()


# ── workers ───────────────────────────────────────────────────────────────────────────────────────


def test_a_crew_is_one_fleet_until_a_worker_is_lost(monkeypatch):
    class Gone:
        name = "w"

        def await_ready(self):
            pass

        def call(self, order):
            raise AssertionError

        def stop(self):
            pass

    made = []

    def hire(config):
        made.append(Fleet([Gone(), Gone()]))
        return made[-1]

    monkeypatch.setattr("entropydx.lineup.opening.hire", hire)
    with Crew(None) as crew:
        first = crew.fleet()
        assert crew.fleet() is first
        first.board.lose(0, None, "planted")
        second = crew.fleet()
        assert second is not first
        assert crew.fleet() is second
    assert len(made) == 2
    assert all(fleet.board._closed for fleet in made)


def test_workers_give_the_same_sweep(found, tmp_path):
    refs = ("synthetic:collapsed", "synthetic:nope")
    flags = Settings(**QUICK, baseline="synthetic:twin", run_dir=str(tmp_path / "s"), workers=2, device="cpu")
    shared = sweep(refs, flags)
    kept = [e for e in found[0].entries if e.ref in refs]
    for mine, theirs in zip(shared.entries, kept, strict=True):
        assert (mine.name, mine.label, mine.severity, mine.pass_at_1, mine.entropy, mine.error) == (
            (theirs.name, theirs.label, theirs.severity, theirs.pass_at_1, theirs.entropy, theirs.error)
        )


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def _run(*args, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "entropydx", "sweep", *map(str, args)]
    return subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240)


ARGS = ("--engine", "synthetic", "--suite", "tiny", "--prompts", "24", "--samples", "4", "--no-adaptive")


def test_the_document_goes_to_stdout_and_the_table_to_a_file(tmp_path):
    refs = ("synthetic:healthy", "synthetic:collapsed", *ARGS, "--probes", "token_entropy,sampling_spread,format_mode")
    result = _run(*refs, "--json", "-", "--csv", "t.csv", "--workers", "2", "--device", "cpu", cwd=tmp_path)
    document = json.loads(result.stdout)
    assert result.returncode == document["exit_code"], result.stderr
    assert next(e["name"] for e in document["entries"]) == "synthetic-collapsed"
    assert (tmp_path / "t.csv").read_text().startswith("name,ref,label,")
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 3
    assert list((tmp_path / "entropydx-runs").glob("sweep-*/sweep.json"))


def test_an_interrupted_sweep_says_so(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "entropydx", "sweep", "synthetic:slow", *ARGS, "--workers", "2", "--device", "cpu"]
    running = subprocess.Popen(call, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "sampling synthetic:slow" in line:
            break
    running.send_signal(signal.SIGINT)
    err = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "resumes" in err.splitlines()[-1]


@pytest.mark.slow
def test_a_sweep_over_real_models_names_the_collapsed_one(tmp_path):
    for name in ("tiny-base", "tiny-collapse", "tiny-healthy"):
        shutil.copytree(ORGANISMS / name, tmp_path / "models" / name)
    (tmp_path / "models" / "tiny-healthy" / "model.safetensors").write_bytes(b"torn")
    args = ("models", "--baseline", ORGANISMS / "tiny-base", "--device", "cpu", "--workers", "2", "--json", "s.json")
    args += ("--prompts", "36", "--samples", "8", "--probes", "token_entropy,sampling_spread,format_mode,instrument")
    result = _run(*args, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    document = json.loads((tmp_path / "s.json").read_text())
    assert next((e["name"], e["label"]) for e in document["entries"]) == ("tiny-collapse", "training_collapse")
    assert document["entries"][-1]["name"] == "tiny-healthy"
    assert document["entries"][-1]["error"]
    assert "Sweep of 3" in result.stdout
