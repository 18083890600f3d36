"""A series of checkpoints: which are in it, what it says, what it costs a second time, how it reads."""

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import entropydx
from entropydx import document, timeline, trajectories
from entropydx.config import Settings
from entropydx.errors import CheckpointError, ConfigError, EntropydxError, ReportError, RunStoreError
from entropydx.layouts import training_step
from entropydx.protocols import EngineOptions, Silent
from entropydx.reporters._layout import ASCII
from entropydx.reporters._sparkline import ABSENT, BLOCKS, sparkline, thinned
from entropydx.reporters._trajectory import LETTERS, TrajectoryReporter
from entropydx.trajectories import Stop, line_up, trace
from entropydx.types import (
    ChangePoint,
    HeldOutPoint,
    Label,
    LawFit,
    LeftOutCheckpoint,
    Movement,
    Onset,
    Trajectory,
    TrajectoryPoint,
)
from tests.unit.series_examples import (
    COLLAPSE,
    HEALTHY,
    STEPS,
    N,
    broken,
    collapsing,
    falling,
    report,
    series,
    steady,
)

ORGANISM = Path(__file__).parents[2] / "fixtures" / "organisms" / "tiny-base"
EXAMPLES = pytest.mark.parametrize("example", [collapsing, steady, broken])
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Heard(Silent):
    """Keeps the remarks."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def warn(self, message: str) -> None:
        self.remarks.append(message)


def names(refs, heard=None):
    return [s.name for s in line_up([str(r) for r in refs], EngineOptions(), heard or Silent()).stops]


# ── which checkpoints ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def run_dir(tmp_path):
    """A directory with loadable checkpoints of the given names."""

    def make(*children: str) -> Path:
        for child in children:
            shutil.copytree(ORGANISM, tmp_path / "run" / child)
        return tmp_path / "run"

    return make


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        (("checkpoint-100", "checkpoint-20", "checkpoint-3"), ["checkpoint-3", "checkpoint-20", "checkpoint-100"]),
        (
            ("global_step_20/actor/huggingface", "global_step_5/actor/huggingface"),
            ["global_step_5", "global_step_20"],
        ),
        (("global_step10_hf", "global_step2_hf"), ["global_step2_hf", "global_step10_hf"]),
    ],
    ids=["trl", "verl", "openrlhf"],
)
def test_the_children_of_a_run_directory_come_in_the_order_of_training(run_dir, children, expected):
    assert names([run_dir(*children)]) == expected


def test_an_incomplete_child_is_left_out_and_named(run_dir):
    path = run_dir("checkpoint-1", "checkpoint-2", "checkpoint-3")
    (path / "checkpoint-3" / "model.safetensors").unlink()
    (path / "checkpoint-best").mkdir()
    heard = Heard()
    assert names([path], heard) == ["checkpoint-1", "checkpoint-2"]
    assert [r for r in heard.remarks if "checkpoint-3 is left out" in r and "no weights" in r]


def test_a_model_without_a_step_is_left_out_and_named(run_dir):
    path = run_dir("checkpoint-1", "checkpoint-2", "best")
    shutil.copytree(ORGANISM, path, dirs_exist_ok=True)  # as TRL saves the last one
    (path / "logs").mkdir()
    lineup = line_up([str(path)], EngineOptions(), Silent())
    assert [s.name for s in lineup.stops] == ["checkpoint-1", "checkpoint-2"]
    assert [p.name for p in lineup.problems] == ["run", "best"]
    assert all("no training step" in reason for reason in lineup.problems.values())


def test_when_too_few_can_be_loaded_the_message_names_the_others(run_dir):
    path = run_dir("checkpoint-1")
    (path / "checkpoint-2").mkdir()
    with pytest.raises(ConfigError, match=r"gives 1; checkpoint-2 is left out: .* is an empty directory"):
        names([path])


def test_when_nothing_can_be_loaded_the_newest_says_what_to_do(tmp_path):
    for step in (1, 2):
        actor = tmp_path / f"global_step_{step}" / "actor"
        actor.mkdir(parents=True)
        (actor / "fsdp_config.json").touch()
    with pytest.raises(CheckpointError, match=r"verl.model_merger merge .*global_step_2"):
        names([tmp_path])


def test_checkpoints_that_are_named_are_sorted_by_step_only_when_all_carry_one():
    assert names(["x/checkpoint-20", "x/checkpoint-3"]) == ["checkpoint-3", "checkpoint-20"]
    assert names(["x/tuned", "x/checkpoint-3"]) == ["tuned", "checkpoint-3"]
    stops = line_up(["a/checkpoint-3", "b/checkpoint-3"], EngineOptions(), Silent()).stops
    assert [(s.name, s.step) for s in stops] == [("a-checkpoint-3", None), ("b-checkpoint-3", None)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run/checkpoint-7", ("checkpoint-7", 7)),
        ("run/global_step_40/actor/huggingface", ("global_step_40", 40)),
        ("checkpoint-7/merged", ("checkpoint-7", 7)),
        ("global_step10_hf", ("global_step10_hf", 10)),
        ("Qwen2.5-7B", None),
    ],
)
def test_the_step_is_read_off_the_name(name, expected):
    assert training_step(Path(name)) == expected


def test_a_series_of_one_and_a_repeated_checkpoint_are_refused(run_dir):
    with pytest.raises(ConfigError, match=r"at least 2 checkpoints, and .* gives 1"):
        names([run_dir("checkpoint-1")])
    with pytest.raises(ConfigError, match="given twice"):
        names(["a", "b", "a"])


def test_another_spelling_of_a_checkpoint_is_the_same_checkpoint(run_dir, monkeypatch):
    monkeypatch.chdir(run_dir("checkpoint-1", "checkpoint-2").parent)
    for first, again in (
        ("run/checkpoint-1", "./run/checkpoint-1/"),
        ("run/checkpoint-1", Path("run/checkpoint-1").resolve()),
    ):
        with pytest.raises(ConfigError, match="given twice"):
            names([first, "run/checkpoint-2", again])


def test_a_checkpoint_that_is_named_and_incomplete_stops_the_series_before_anything_is_drawn(run_dir):
    path = run_dir("checkpoint-1", "checkpoint-2")
    (path / "checkpoint-2" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoint-2 has config\.json but no weights"):
        names([path / "checkpoint-1", path / "checkpoint-2"])


def test_a_directory_is_known_by_its_own_name_from_inside_of_it(run_dir, monkeypatch):
    monkeypatch.chdir(run_dir("checkpoint-10", "checkpoint-9") / "checkpoint-9")
    assert names(["../checkpoint-10", "."]) == ["checkpoint-9", "checkpoint-10"]


def test_names_stay_apart_when_only_a_separator_differs():
    assert len(set(names(["a/b/last", "a-b/last", "c"]))) == 3


def test_steps_that_go_down_in_an_order_that_is_kept_are_remarked_on():
    heard = Heard()
    given = ["base", "run/checkpoint-100", "run/checkpoint-20"]
    assert names(given, heard) == ["base", "checkpoint-100", "checkpoint-20"]
    assert len(heard.remarks) == 1
    assert "checkpoint-100 stands before checkpoint-20" in heard.remarks[0]
    names(["base", "run/checkpoint-20", "run/checkpoint-100"], heard)
    assert len(heard.remarks) == 1


# ── the pipeline over a series ────────────────────────────────────────────────────────────────────

SYNTHETIC = ["synthetic:healthy", "synthetic:twin", "synthetic:collapsed"]


PROBES = "token_entropy,sampling_spread,format_mode,instrument"


SMALL = {"prompts": 9, "samples": 4}
"""Too few to say anything, and quick."""


def traced(refs, root, **flags) -> tuple[Trajectory, Heard]:
    heard = Heard()
    chosen = Settings(engine="synthetic", run_dir=str(root), probes=PROBES, **flags)
    return trace(refs, chosen, progress=heard), heard


def test_every_checkpoint_is_diagnosed_against_the_first_and_written_down(tmp_path):
    found, _ = traced(SYNTHETIC, tmp_path, prompts=36)
    assert [p.label for p in found.points] == [HEALTHY, HEALTHY, COLLAPSE]
    assert (found.exit_code, found.axis, found.x) == (1, "checkpoint", (0, 1, 2))
    assert found.baseline.ref == "synthetic:healthy"
    assert found.baseline_is_first
    assert found.go_back_to == found.last_healthy == found.points[1].name
    first = found.points[0].column("token_entropy.mean_ratio")
    assert (first.value, first.ci) == (1, (1, 1))
    assert json.loads((tmp_path / "trajectory.json").read_text()) == json.loads(document.to_json(found))


def test_a_longer_series_draws_only_what_is_new(tmp_path):
    first, _ = traced(SYNTHETIC[:2], tmp_path, **SMALL)
    held = {p: p.read_bytes() for p in tmp_path.rglob("samples-*.jsonl")}
    longer, heard = traced(SYNTHETIC, tmp_path, **SMALL)
    assert all(p.read_bytes() == data for p, data in held.items())
    assert longer.points[:2] == first.points
    nothing = [r for r in heard.remarks if "nothing is drawn" in r]
    assert {r.split(",")[0] for r in nothing if "checkpoint: all" in r} == {p.name for p in first.points}
    # The baseline of the new one was copied from the first one's samples.
    assert [r for r in nothing if r.startswith(longer.points[2].name) and "baseline: all" in r]


def test_a_baseline_outside_of_the_series_is_drawn_once_and_is_no_point(tmp_path):
    found, heard = traced(SYNTHETIC[1:], tmp_path, baseline="synthetic:healthy", **SMALL)
    assert len(found.points) == 2
    assert not found.baseline_is_first
    assert (tmp_path / "baseline" / "report.json").is_file()
    copied = [r for r in heard.remarks if "baseline: all" in r]
    assert {r.split(",")[0] for r in copied} >= {p.name for p in found.points}
    with pytest.raises(RunStoreError, match="holds another run"):
        traced(SYNTHETIC[1:], tmp_path, baseline="synthetic:collapsed", **SMALL)


@pytest.mark.slow
def test_a_baseline_that_is_a_later_checkpoint_is_drawn_once_however_it_is_spelt(tmp_path):
    for step, organism in ((0, "tiny-base"), (20, "tiny-healthy")):
        shutil.copytree(ORGANISM.parent / organism, tmp_path / "run" / f"checkpoint-{step}")
    chosen = Settings(baseline=f"{tmp_path}/run/checkpoint-20/", run_dir=str(tmp_path / "s"), probes=PROBES, **SMALL)
    found = trace([str(tmp_path / "run")], chosen)
    assert sorted(p.name for p in (tmp_path / "s").iterdir() if p.is_dir()) == ["checkpoint-0", "checkpoint-20"]
    assert not found.baseline_is_first
    assert [n for n in found.notes if "baseline is checkpoint-20" in n]
    ratios = [p.column("token_entropy.mean_ratio") for p in found.points]
    assert ratios[1].value == 1 != ratios[0].value


def test_another_seed_in_the_directory_of_a_series_is_refused_and_loses_nothing(tmp_path):
    first, _ = traced(SYNTHETIC[:2], tmp_path, **SMALL)
    held = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(RunStoreError, match="holds another run"):
        traced(SYNTHETIC[:2], tmp_path, seed=7, **SMALL)
    assert held == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    again, _ = traced(SYNTHETIC[:2], tmp_path, **SMALL)
    assert again.points == first.points


@pytest.fixture
def named_by_fate(monkeypatch):
    """Checkpoints of a run directory that the synthetic engine draws, and the loading of which can be made to fail."""

    def diagnose(config, progress, reuse, fleet):
        name = Path(config.checkpoint).name
        if name in fate:
            raise CheckpointError(f"cannot load the model of {config.checkpoint}: its weights are of another model")
        own = "synthetic:collapsed" if name == "checkpoint-20" else "synthetic:healthy"
        return real(replace(config, checkpoint=own, baseline="synthetic:healthy"), progress, reuse, fleet)

    fate, real = set(), trajectories.pipeline.diagnose
    monkeypatch.setattr(trajectories.pipeline, "diagnose", diagnose)
    return fate


@pytest.mark.parametrize("late", [False, True], ids=["seen at once", "found on loading"])
@pytest.mark.parametrize("good", [(0, 10), (0, 10, 20)], ids=["healthy", "collapsed"])
def test_a_newest_checkpoint_that_cannot_be_diagnosed_is_in_the_document_and_never_healthy(
    tmp_path, run_dir, named_by_fate, late, good
):
    path = run_dir(*(f"checkpoint-{step}" for step in (*good, 40)), *["checkpoint-5"] * (not late))
    (path / "checkpoint-30").mkdir()
    if late:
        named_by_fate.add("checkpoint-40")
    else:
        (path / "checkpoint-40" / "model.safetensors").write_bytes(b"torn")
        (path / "checkpoint-5" / "config.json").unlink()
    found, heard = traced([str(path)], tmp_path / "s", prompts=36)
    assert [p.step for p in found.points] == list(good)
    expected = [(30, True), (40, True)] if late else [(5, False), (30, True), (40, True)]
    assert [(c.step, c.newer) for c in found.left_out] == expected
    assert {c.ref for c in found.left_out} == {str(path / c.name) for c in found.left_out}
    assert "empty directory" in found.left_out[-2].reason
    assert ("another model" if late else "model.safetensors") in found.left_out[-1].reason
    assert found.exit_code == 2
    assert found.undiagnosed == found.left_out[-1]
    last = f"checkpoint-{good[-1]}"
    assert found.summary.startswith("Nothing is known of checkpoint-30 and checkpoint-40, which could not be diagnosed")
    assert f"ends at {last}." in found.summary
    assert json.loads((tmp_path / "s" / "trajectory.json").read_text())["left_out"][-1]["name"] == "checkpoint-40"
    assert all(any(c.name in r and "left out" in r for r in heard.remarks) for c in found.left_out)


def test_a_checkpoint_that_is_left_out_in_between_does_not_change_the_exit_code(tmp_path, run_dir, named_by_fate):
    path = run_dir("checkpoint-0", "checkpoint-5", "checkpoint-10")
    named_by_fate.add("checkpoint-5")
    found, _ = traced([str(path)], tmp_path / "s", prompts=36)
    assert (found.exit_code, found.undiagnosed) == (0, None)
    assert [(c.name, c.step, c.newer) for c in found.left_out] == [("checkpoint-5", 5, False)]
    assert "could not be diagnosed" not in found.summary


def test_one_that_is_named_or_is_the_baseline_stops_the_series_when_it_does_not_load(tmp_path, run_dir, named_by_fate):
    path = run_dir("checkpoint-0", "checkpoint-5", "checkpoint-10")
    named_by_fate |= {"checkpoint-0"}
    with pytest.raises(CheckpointError, match="of another model"):
        traced([str(path)], tmp_path / "s", **SMALL)
    with pytest.raises(CheckpointError, match="of another model"):
        traced([str(path / "checkpoint-5"), str(path / "checkpoint-0")], tmp_path / "t", **SMALL)
    named_by_fate ^= {"checkpoint-0", "checkpoint-5", "checkpoint-10"}
    with pytest.raises(ConfigError, match=r"gives 1; checkpoint-5 is left out: .*; checkpoint-10 is left out: "):
        traced([str(path)], tmp_path / "u", **SMALL)


def test_the_public_function_is_the_same_and_names_unknown_settings(tmp_path):
    found = entropydx.trajectory(*SYNTHETIC[:2], engine="synthetic", run_dir=str(tmp_path), probes=PROBES, **SMALL)
    assert isinstance(found, entropydx.Trajectory)
    with pytest.raises(EntropydxError, match="unknown key 'sweet'"):
        entropydx.trajectory(*SYNTHETIC, sweet=True)
    with pytest.raises(ConfigError, match="no checkpoint"):
        entropydx.trajectory()


def test_reports_that_do_not_compare_are_refused():
    stops = [Stop(ref=f"c{i}", name=f"c{i}", step=None) for i in range(2)]
    one, two = report(HEALTHY, [], "c0"), report(HEALTHY, [], "c1")
    other = replace(two, protocol=replace(two.protocol, seed=7))
    with pytest.raises(RunStoreError, match="c1 was not measured like c0"):
        trajectories.assemble(stops, [one, other], Path("series"))


# ── what a series says ────────────────────────────────────────────────────────────────────────────


def test_the_onset_is_the_planted_one_and_healthy_looking_checkpoints_past_it_are_not_gone_back_to():
    found = collapsing()
    assert found.onset is not None
    change = found.onset.change
    assert (found.onset.failure, change.column) == (COLLAPSE, "token_entropy.mean_ratio")
    assert (change.last_before, change.first_after) == ("checkpoint-60", "checkpoint-80")
    assert change.ci[0] <= 60 <= change.ci[1]
    assert (change.before, change.after) == pytest.approx((1, 0.05), rel=1e-2)
    assert found.onset.first_diagnosed == "checkpoint-100"
    assert (found.last_healthy, found.go_back_to) == ("checkpoint-80", "checkpoint-60")


def test_the_law_of_a_series_is_fitted_on_its_columns():
    law = collapsing().law
    assert (law.a, law.b, law.holds) == (pytest.approx(0.25), pytest.approx(0.8), True)


def test_what_moved_first_is_told_with_its_lead():
    found = collapsing()
    moved = {m.column: (m.name, m.direction, m.lead) for m in found.movements}
    assert moved["instrument.completion_length"] == ("checkpoint-40", "fell", 60)
    assert moved["token_entropy.mean_ratio"] == ("checkpoint-80", "fell", 20)
    assert moved["sampling_spread.coverage"] == ("checkpoint-100", "fell", 0)
    assert found.precursors[0] == "instrument.completion_length"
    assert "sampling_spread.pass_at_1" not in found.precursors, "an outcome is not its own sign"
    assert "instrument.completion_length fell 60 steps before sampling_spread.coverage fell" in found.summary


def test_length_that_falls_after_accuracy_is_no_precursor():
    columns = {
        "instrument.completion_length": 30 * falling(80, 0.5),
        "sampling_spread.pass_at_1": 0.6 * falling(20, 0.5),
    }
    found = series(columns, [HEALTHY] * N)
    assert {m.column: m.lead for m in found.movements} == {
        "sampling_spread.pass_at_1": 0,
        "instrument.completion_length": -60,
    }
    assert found.precursors == ()
    assert "before" not in found.summary


def test_the_drift_of_a_healthy_phase_is_no_precursor():
    drift = np.linspace(1, 0.9, N)
    columns = {
        "token_entropy.mean_ratio": drift * falling(80, 0.1),
        "sampling_spread.coverage": 0.9 * falling(80, 0.5),
    }
    found = series(columns, [HEALTHY] * 5 + [COLLAPSE] * 4, error=0.001)
    assert {m.name for m in found.movements} == {"checkpoint-100"}
    assert found.precursors == ()


def test_nothing_is_told_of_a_steady_run():
    found = steady()
    assert found.onset is None
    assert "no column changes significantly" in found.onset_note
    assert (found.go_back_to, found.precursors, found.law.holds) == (None, (), None)
    assert found.last_healthy == "checkpoint-160"


@pytest.mark.slow
def test_steady_runs_raise_no_alarm_in_nineteen_of_twenty():
    assert np.mean([steady(seed).onset is not None for seed in range(200)]) <= 0.05 + 2 * 0.0154


def test_a_change_without_a_failure_is_called_a_change():
    found = series({"token_entropy.mean_ratio": falling(60, 0.6)}, [HEALTHY] * N)
    assert found.onset is not None
    assert found.onset.failure is None
    assert "no failure is diagnosed" in found.summary
    assert found.go_back_to is None


def test_a_suspicion_is_called_one():
    labels = [HEALTHY] * 6 + [Label.INCONCLUSIVE] * 3
    found = series({"token_entropy.mean_ratio": falling(60, 0.1)}, labels, suspected=True)
    assert found.onset is not None
    assert (found.onset.failure, found.onset.suspected, found.onset.first_diagnosed) == (COLLAPSE, True, None)
    assert "suspected, not diagnosed" in found.summary
    assert found.exit_code == 3


def test_a_short_series_that_fails_says_what_the_diagnoses_say():
    found = series({"token_entropy.mean_ratio": falling(20, 0.1, 20)}, [HEALTHY, HEALTHY, COLLAPSE])
    assert found.onset is None
    assert "has 3" in found.onset_note
    assert "first diagnosed at checkpoint-40" in found.summary
    assert found.go_back_to == "checkpoint-20"
    assert "needs 5 or more points" in found.law.why


def test_a_run_that_fails_from_the_start_goes_back_to_its_baseline():
    found = series({"token_entropy.mean_ratio": falling(0, 0.05, 160)}, [Label.INCONCLUSIVE] + [COLLAPSE] * 8)
    assert found.onset is not None
    assert found.onset.change.ci[0] == 0
    assert "or before the series" in found.summary
    assert (found.last_healthy, found.go_back_to) == (None, "checkpoint-0")


def test_a_baseline_that_has_the_failure_itself_is_not_gone_back_to():
    found = series({"sampling_spread.pass_at_1@majority_right": falling(40, 0.5)}, [Label.INFERENCE_VARIANCE] * N)
    assert found.baseline_is_first
    assert found.go_back_to is None
    assert "No checkpoint of the series is known to be healthy" in found.summary


def test_columns_that_were_not_measured_are_not_said_to_stand_still():
    values = {"sampling_spread.majority_gain": np.full(N, np.nan)}
    failed, sound = (series(values, [HEALTHY] * 8 + [label]) for label in (COLLAPSE, HEALTHY))
    assert "differ in token_entropy.mean_ratio" in failed.onset_note
    assert "has 0" in failed.onset_note
    assert "no column was measured at 5 points" in sound.onset_note
    assert "both numbers, has 0" in sound.law.why
    for found in (failed, sound):
        assert (found.onset, found.changes, found.movements, found.law.holds) == (None, (), (), None)
        assert "not measured" in page(found)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_series_too_short_for_a_shape_still_tells_what_moved(n):
    columns = {
        "token_entropy.mean_ratio": np.append(np.ones(n - 1), 0.1),
        "sampling_spread.coverage": np.append(np.full(n - 1, 0.9), 0.4),
    }
    found = series(columns, [HEALTHY] * (n - 1) + [COLLAPSE])
    assert (found.onset, found.changes, found.law.n) == (None, (), 0)
    assert {m.name for m in found.movements} == {f"checkpoint-{20 * (n - 1)}"}
    assert found.go_back_to == f"checkpoint-{20 * (n - 2)}"
    json.loads(document.to_json(found))
    assert "first diagnosed" in page(found)


def test_a_series_in_which_nothing_moves_at_all_has_no_change_no_movement_and_no_law():
    still = {
        "token_entropy.seq_mean": 0.3,
        "token_entropy.mean_ratio": 1.0,
        "sampling_spread.pass_at_1": 0.0,
        "sampling_spread.coverage": 0.0,
    }
    found = series({name: np.full(N, value) for name, value in still.items()}, [HEALTHY] * N)
    assert (found.changes, found.movements, found.onset, found.law.holds) == ((), (), None, None)
    assert "no column changes at all" in found.onset_note
    json.loads(document.to_json(found))
    assert page(found)


def test_an_abnormal_checkpoint_in_between_ends_what_was_diagnosed_before_it():
    labels = [HEALTHY] * 3 + [COLLAPSE, Label.ABNORMAL] + [COLLAPSE] * 4
    found = series({"token_entropy.mean_ratio": falling(40, 0.1)}, labels)
    assert found.onset is not None
    assert found.onset.first_diagnosed == "checkpoint-100"
    assert found.go_back_to == "checkpoint-40"
    assert "verdict HHHCACCCC" in " ".join(page(found).split())


def test_points_that_lack_a_column_are_left_out_of_it():
    values = falling(60, 0.1)
    values[3] = np.nan
    found = series({"token_entropy.mean_ratio": values, "sampling_spread.coverage": falling(60, 0.5)}, [COLLAPSE] * N)
    rows = [p.column("token_entropy.mean_ratio") for p in found.points]
    assert rows[3].value is None
    assert found.onset is not None
    assert found.onset.change.last_before == "checkpoint-40"
    assert "null" in document.to_json(found)


def test_the_first_diagnosis_is_the_one_that_no_other_verdict_comes_after():
    labels = [HEALTHY, COLLAPSE, HEALTHY, Label.ABNORMAL, COLLAPSE, Label.INCONCLUSIVE, COLLAPSE]
    found = series({"token_entropy.mean_ratio": falling(40, 0.1)}, labels)
    assert timeline.first_diagnosed(found.points, COLLAPSE) == "checkpoint-80"
    assert timeline.first_diagnosed(found.points, Label.INFERENCE_VARIANCE) is None
    assert timeline.last_healthy(found.points) == "checkpoint-40"


# ── the document ──────────────────────────────────────────────────────────────────────────────────


@EXAMPLES
def test_the_document_is_strict_and_whole(example):
    found = example()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    parsed = json.loads(document.to_json(found), parse_constant=refuse)
    assert list(parsed) == list(Trajectory.__slots__)
    assert [p["name"] for p in parsed["points"]] == [f"checkpoint-{s}" for s in STEPS]
    assert (parsed["onset"] is None) == (found.onset is None)


def test_every_field_stands_in_the_reference():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "trajectory.md").read_text()
    records = (Trajectory, TrajectoryPoint, LeftOutCheckpoint, LawFit, HeldOutPoint, ChangePoint, Onset, Movement)
    named = set(re.findall(r"`(\w+)(?:\[\])?`", page))
    assert {name for record in records for name in record.__slots__} <= named


def test_a_number_that_is_none_is_refused_by_name():
    found = collapsing()
    with pytest.raises(ReportError, match=r"law\.a is nan"):
        document.to_json(replace(found, law=replace(found.law, a=float("nan"))))


def test_the_frame_has_a_row_per_checkpoint():
    frame = collapsing().to_frame()
    assert list(frame["x"]) == list(STEPS)
    assert frame["token_entropy.mean_ratio"].iloc[-1] == pytest.approx(0.05)
    assert frame["sampling_spread.coverage.delta_high"].iloc[-1] < 0
    assert set(frame["label"]) == {"healthy", "training_collapse"}


# ── how it reads ──────────────────────────────────────────────────────────────────────────────────


def page(found, **options):
    return TrajectoryReporter(**options).render(found)


@EXAMPLES
@pytest.mark.parametrize("width", [60, 80, 120, 140])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_too_wide_and_none_ends_in_blanks(example, width, verbose):
    lines = page(example(), width=width, verbose=verbose).split("\n")
    assert max(map(cell_len, lines)) <= width
    assert not [line for line in lines if line != line.rstrip()]


@EXAMPLES
def test_colour_and_ascii_change_nothing_but_colour_and_glyphs(example):
    plain = page(example())
    assert [line.rstrip() for line in ANSI.sub("", page(example(), color=True)).split("\n")] == plain.split("\n")
    bare = page(example(), ascii=True)
    assert bare.isascii()
    assert [cell_len(line) for line in bare.split("\n")] == [cell_len(line) for line in plain.split("\n")]
    assert "?" not in bare.replace("? inconclusive", "")


def test_a_terminal_without_utf8_gets_ascii():
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    TrajectoryReporter().render_to(Console(file=file, width=100), collapsing())
    file.seek(0)
    assert file.read().isascii()


def test_the_page_says_all_that_the_series_says():
    text = " ".join(page(collapsing(), width=140).split())
    for said in (
        "TRAINING COLLAPSE",
        "Go back to checkpoint-60.",
        "began between checkpoint-60 and checkpoint-80",
        "verdict HHHHHCCCC",
        "not universal by its own authors",
        "4 of 4 points inside their intervals",
        "exit code 1: a failure was diagnosed",
    ):
        assert said in text, said
    onset = next(line for line in page(collapsing()).split("\n") if line.startswith("  onset"))
    verdicts = next(line for line in page(collapsing()).split("\n") if line.startswith("  verdict"))
    assert onset.index("^") - verdicts.index("H") == 4, "the mark stands under checkpoint-80"


def test_the_page_says_what_is_left_out_and_does_not_call_a_run_healthy_whose_newest_checkpoint_is_broken():
    text = " ".join(page(broken(), width=140).split())
    for said in (
        "NEWEST NOT DIAGNOSED · healthy at checkpoint-160",
        "Nothing is known of checkpoint-180, which could not be diagnosed: what follows ends at checkpoint-160.",
        "Left out of the series",
        "checkpoint-30 run/checkpoint-30 is an empty directory",
        "checkpoint-180 run/checkpoint-180: its weights are torn",
        "exit code 2: checkpoint-180, the newest, could not be diagnosed; the verdict at checkpoint-160 alone gives 0",
    ):
        assert said in text, said
    assert "\x1b[32m╭" not in page(broken(), color=True), "its frame is not green"
    whole = replace(broken(), exit_code=0, left_out=broken().left_out[:1])
    assert "exit code 0: healthy" in page(whole)
    assert "Left out of the series" not in page(steady())


def test_large_steps_are_written_in_full():
    steps = [143_000 + 1_000 * i for i in range(N)]
    found = series({"token_entropy.mean_ratio": falling(60, 0.05)}, [HEALTHY] * 5 + [COLLAPSE] * 4, steps=steps)
    assert "(step 146500, 95% interval 146000 to 147000)" in found.summary
    assert "e+" not in page(found, verbose=True)


def test_the_mark_of_the_onset_survives_a_series_longer_than_its_row():
    n = 100
    values = np.where(np.arange(n) > 61, 0.1, 1.0)
    found = series({"token_entropy.mean_ratio": values}, [HEALTHY] * 62 + [COLLAPSE] * 38, steps=range(n))
    assert found.onset is not None
    assert found.onset.change.first_after == "checkpoint-62"
    lines = page(found).split("\n")
    onset, verdicts = (next(line for line in lines if line.startswith(f"  {row}")) for row in ("onset", "verdict"))
    start = verdicts.index("H")
    shown = thinned(range(n), len(verdicts) - start)
    assert shown[onset.index("^") - start] == min(i for i in shown if i >= 62)


def test_a_value_that_is_missing_at_the_last_checkpoint_is_not_replaced_by_an_earlier_one():
    values = np.linspace(0.5, 0.2, N)
    values[-1] = np.nan
    found = series({"sampling_spread.wrong_agreement": values}, [HEALTHY] * N)
    line = next(line for line in page(found, width=140).split("\n") if line.startswith("  sampling_spread.wrong"))
    assert "→ -" in line


def test_a_hostile_name_cannot_move_the_cursor():
    found = collapsing()
    bad = replace(found.points[0], name="\x1b[2Jx", ref="\x1b[2Jx")
    assert "\x1b" not in page(replace(found, points=(bad, *found.points[1:])))


def test_every_label_has_a_letter_of_its_own():
    assert set(LETTERS) == set(Label)
    assert len(set(LETTERS.values())) == len(Label)


def test_a_sparkline_spans_its_values_and_leaves_gaps():
    assert sparkline([0.0, 7.0, None, 3.0], 10) == f"{BLOCKS[0]}{BLOCKS[7]}{ABSENT}{BLOCKS[3]}"
    assert sparkline([None, None], 10) == ABSENT * 2
    assert len(set(sparkline([5.0, 5.0], 10))) == 1
    assert set(sparkline([1.0, 1.1], 10, least_span=10.0)) <= set(BLOCKS[3:5]), "noise stays in the middle"
    assert len({b.translate(ASCII) for b in BLOCKS}) == len(BLOCKS)


def test_a_long_series_is_thinned_with_both_ends_kept():
    assert thinned(list(range(100)), 10)[::9] == [0, 99]
    assert len(sparkline([float(i) for i in range(100)], 10)) == 10
