"""`entropydx import` as a user runs it, where there is no torch, on files that real tools wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

IMPORTS = Path(__file__).parents[2] / "fixtures" / "imports"
NO_TORCH = Path(__file__).parent / "no_torch"
CASES = {
    "trl run": ("trl", "--score", "right", "--baseline-step", "2"),
    "trl log": ("trl/checkpoint-40/trainer_state.json", "--logged-temperature", "1"),
    "trl completions": ("trl/completions/completions_00040.parquet",),
    "generic": (
        "generic/completions-checkpoint.parquet",
        "--baseline",
        str(IMPORTS / "generic" / "completions-baseline.parquet"),
    ),
}


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(NO_TORCH), "COLUMNS": "100", "NO_COLOR": "1"}
    call = [sys.executable, "-m", "entropydx", *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=120)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "trl completions")) for name in CASES]
)
def test_every_file_gives_a_report_without_torch(name: str, tmp_path: Path) -> None:
    file, *options = CASES[name]
    done = _run("import", str(IMPORTS / file), *options, "--run-dir", "run", "--json", "report.json", cwd=tmp_path)
    assert done.returncode in {0, 1, 3}, done.stderr
    assert "nothing was drawn" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exit_code"] == done.returncode
    assert report["protocol"]["imported"]["tool"] == name.partition(" ")[0]
    if name == "generic":
        again = _run("triage", "run", "--json", "-", cwd=tmp_path)
        assert json.loads(again.stdout)["diagnosis"] == report["diagnosis"]
        frame = pd.read_parquet(IMPORTS / file)
        # A collapsed policy against the one that it came from: what the run itself found stands in its own samples.
        rows = {row["name"]: row for row in report["measurements"]}
        assert rows["sampling_spread.pass_at_1"]["value"] == pytest.approx(frame["grade"].mean(), rel=1e-5)
        assert rows["instrument.truncation_rate"]["value"] == (frame["finish_reason"] == "length").mean()
        assert rows["format_mode.structure_disagreement"]["delta"] < -0.2


@pytest.mark.slow
def test_a_gate_on_imported_samples(tmp_path: Path) -> None:
    file, *options = CASES["generic"]
    _run("import", str(IMPORTS / file), *options, "--run-dir", "run", "--quiet", cwd=tmp_path)
    (tmp_path / "entropydx.toml").write_text("[gate]\n")
    assert _run("gate", "run", cwd=tmp_path).returncode in {1, 3}
    log, *options = CASES["trl log"]
    _run("import", str(IMPORTS / log), *options, "--run-dir", "log", "--quiet", cwd=tmp_path)
    assert _run("gate", "log", cwd=tmp_path).returncode == 3  # nothing was tested: never passed


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "entropydx.toml").write_text("")
    done = _run("import", "entropydx.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "no tool is recognised" in done.stderr
    assert "Traceback" not in done.stderr
