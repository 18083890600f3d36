"""`entropydx trajectory` as a subprocess, and on the shipped run whose onset is known."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entropydx import trajectories
from entropydx.config import Settings

ROOT = Path(__file__).parents[2]
ORGANISMS = ROOT / "fixtures" / "organisms"
SERIES = ROOT / "fixtures" / "series"
PROBES = "token_entropy,sampling_spread,format_mode,instrument"
QUICK = ("--probes", PROBES, "--prompts", "24", "--samples", "4", "--max-new-tokens", "48")


def _run(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    network = str(ROOT / "tests" / "e2e" / "no_network")
    environment = {**os.environ, "PYTHONPATH": f"{network}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "entropydx", "trajectory", *map(str, args)]
    return subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with two checkpoints, and one that is incomplete."""
    path = tmp_path_factory.mktemp("training")
    shutil.copytree(ORGANISMS / "tiny-base", path / "checkpoint-0")
    shutil.copytree(ORGANISMS / "tiny-collapse", path / "checkpoint-200")
    (path / "checkpoint-400").mkdir()
    return path


def test_a_run_directory_gives_a_page_a_document_and_the_last_exit_code(tmp_path: Path, run_dir: Path) -> None:
    result = _run(run_dir, *QUICK, "--run-dir", "series", "--json", "t.json", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert "checkpoint-400 is left out" in result.stderr
    assert "checkpoint-400, the newest, could not be diagnosed" in result.stdout
    assert "empty directory" in " ".join(result.stdout.split()), "a long path may part the two words"
    assert "checkpoint-200, 2 of 2" in result.stderr
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    written = json.loads((tmp_path / "t.json").read_text())
    assert written == json.loads((tmp_path / "series" / "trajectory.json").read_text())
    assert [p["step"] for p in written["points"]] == [0, 200]
    assert [(c["step"], c["newer"]) for c in written["left_out"]] == [(400, True)]
    assert written["left_out"][0]["ref"] == str(run_dir / "checkpoint-400")
    again = _run(run_dir, *QUICK, "--run-dir", "series", "--json", "q.json", "--quiet", "--exit-zero", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert re.fullmatch(r"entropydx: checkpoint-400, the newest, could not be diagnosed: .* empty .*\n", again.stderr)
    assert json.loads((tmp_path / "q.json").read_text())["left_out"] == written["left_out"]
    assert written["protocol"]["suite"] == "tiny", "the checkpoints say themselves which suite they understand"
    ratio = next(c for c in written["points"][1]["columns"] if c["name"] == "token_entropy.mean_ratio")
    assert ratio["ci"][1] < 0.5
    assert "needs 5 or more points" in written["law"]["why"]


def test_the_document_goes_to_stdout_when_asked_for(tmp_path: Path) -> None:
    refs = ("synthetic:healthy", "synthetic:collapsed", "--engine", "synthetic", "--prompts", "36", "--probes", PROBES)
    result = _run(*refs, "--format", "json", "--exit-zero", cwd=tmp_path)
    document = json.loads(result.stdout)
    assert (result.returncode, document["exit_code"]) == (0, 0), result.stderr
    assert [p["label"] for p in document["points"]] == ["healthy", "training_collapse"]
    assert next((tmp_path / "entropydx-runs").glob("series-*/trajectory.json")).is_file()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("nowhere",), "at least 2 checkpoints"),
        (("nowhere", "neither"), "no checkpoint at 'nowhere'"),
        ((), "Missing argument"),
        (("a", "b", "--json", "no/such/t.json"), "is not a directory"),
    ],
)
def test_what_cannot_run_exits_2_and_says_why(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    result = _run(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr


def told(page: Path) -> str:
    """Return what a page of the documentation says of the shipped run: when its failure began."""
    text = " ".join(page.read_text(encoding="utf-8").replace("│", " ").split())
    (found,) = re.findall(r"began between \S+ and \S+ \(step \d+, 95% interval \d+ to \d+\)", text)
    return found


def test_the_pages_that_quote_the_shipped_run_agree() -> None:
    assert told(ROOT / "docs" / "how-to" / "trajectory.md") == told(ROOT / "README.md")


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(SERIES.glob("*/series.json")), ids=lambda p: p.parent.name)
def test_the_onset_of_a_shipped_run_is_within_one_checkpoint_of_the_truth(tmp_path: Path, path: Path) -> None:
    truth = json.loads(path.read_text())
    found = trajectories.trace([str(path.parent)], Settings(run_dir=str(tmp_path), probes=PROBES))
    steps = [point.step for point in found.points]
    assert len(steps) >= 8
    assert found.points[-1].label == truth["label"]
    assert found.onset is not None
    names = [point.name for point in found.points]
    began = names.index(found.onset.change.last_before)
    assert abs(began - steps.index(truth["onset"])) <= 1, found.summary
    if path.parent.name == "tiny-collapsing":
        assert told(ROOT / "README.md") in found.summary
    low, high = found.onset.change.ci
    spacing = steps[1] - steps[0]
    assert low - spacing <= truth["onset"] <= high + spacing
    assert found.go_back_to is not None
    assert steps[names.index(found.go_back_to)] <= truth["onset"] + spacing
    # The law either predicts the second half within its intervals, or says that it does not.
    inside = all(point.inside for point in found.law.held_out)
    assert found.law.holds is not True or inside
    assert inside or found.law.holds is False
    assert found.law.why
