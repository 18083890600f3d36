"""The shipped organisms, whose causes are known: five seeds each, the same label every time, in the quick budget."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from entropydx import pipeline
from entropydx.config import Settings, resolve
from entropydx.types import Label

ROOT = Path(__file__).parents[2]
ORGANISMS = ROOT / "fixtures" / "organisms"
TRUTH = {
    "tiny-base": (Label.HEALTHY, 0),
    "tiny-healthy": (Label.HEALTHY, 0),
    "tiny-concise": (Label.HEALTHY, 0),
    "tiny-collapse": (Label.TRAINING_COLLAPSE, 1),
    "tiny-variance": (Label.INFERENCE_VARIANCE, 1),
}


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TRUTH)
def test_five_seeds_five_times_the_truth(tmp_path: Path, name: str, seed: int) -> None:
    flags = Settings(baseline=str(ORGANISMS / "tiny-base"), seed=seed, run_dir=str(tmp_path))
    report = pipeline.diagnose(resolve(str(ORGANISMS / name), flags))
    assert (report.diagnosis.label, report.exit_code) == TRUTH[name], report.diagnosis.summary
    assert report.protocol.suite == "tiny"
    assert report.protocol.suite_source == "checkpoint"
    assert report.protocol.scoring == "in_loop"


@pytest.mark.parametrize("name", TRUTH)
def test_exit_codes_with_and_without_exit_zero(tmp_path: Path, name: str) -> None:
    label, code = TRUTH[name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for flags, expected in (([], code), (["--exit-zero"], 0)):
        call = [sys.executable, "-m", "entropydx", "diagnose", str(ORGANISMS / name), "--json", "-", *flags]
        call += ["--baseline", str(ORGANISMS / "tiny-base"), "--run-dir", str(tmp_path)]
        result = subprocess.run(call, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        assert result.returncode == expected, result.stderr
        report = json.loads(result.stdout)
        assert (report["diagnosis"]["label"], report["exit_code"]) == (label, expected)


@pytest.mark.parametrize("name", TRUTH)
def test_without_a_baseline_nothing_is_accused_of_collapse_and_the_report_says_why(tmp_path: Path, name: str) -> None:
    report = pipeline.diagnose(resolve(str(ORGANISMS / name), Settings(run_dir=str(tmp_path))))
    assert report.diagnosis.label != Label.TRAINING_COLLAPSE
    assert report.diagnosis.failures["training_collapse"].status == "undetermined"
    assert any("--baseline" in advice for advice in report.diagnosis.would_settle_it)
    if TRUTH[name][0] == Label.HEALTHY:
        assert report.exit_code in {0, 3}, "no false alarm"
