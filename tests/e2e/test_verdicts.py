"""The shipped organisms, whose causes are known: five seeds each, the same label every time, in their own budget."""

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
    "tiny-base": ("tiny-base", Label.HEALTHY),
    "tiny-healthy": ("tiny-base", Label.HEALTHY),
    "tiny-concise": ("tiny-base", Label.HEALTHY),
    "tiny-collapse": ("tiny-base", Label.TRAINING_COLLAPSE),
    "tiny-variance": ("tiny-base", Label.INFERENCE_VARIANCE),
    "tiny-shortcut": ("tiny-base", Label.HARD_SAMPLE_SHORTCUTTING),
    "tiny-thinker": ("tiny-thinker", Label.HEALTHY),
    "tiny-selftaught": ("tiny-thinker", Label.HEALTHY),
    "tiny-teacher": ("tiny-thinker", Label.TEACHER_OVERCONFIDENCE),
}
"""Organism to the baseline that it was grown from, and what it is."""
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))]


def _exit_code(label: Label) -> int:
    return 0 if label == Label.HEALTHY else 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TRUTH)
def test_five_seeds_five_times_the_truth(tmp_path: Path, name: str, seed: int) -> None:
    baseline, label = TRUTH[name]
    flags = Settings(baseline=str(ORGANISMS / baseline), seed=seed, run_dir=str(tmp_path))
    report = pipeline.diagnose(resolve(str(ORGANISMS / name), flags))
    assert (report.diagnosis.label, report.exit_code) == (label, _exit_code(label)), report.diagnosis.summary
    assert report.protocol.suite == "tiny"
    assert report.protocol.suite_source == "checkpoint"
    assert report.protocol.scoring == "in_loop"
    present = {f for f, a in report.diagnosis.failures.items() if a.status == "present"}
    assert present == ({str(label)} if label != Label.HEALTHY else set()), "no second failure was planted"


@pytest.mark.parametrize("name", ["tiny-healthy", "tiny-shortcut"])
def test_exit_codes_with_and_without_exit_zero(tmp_path: Path, name: str) -> None:
    baseline, label = TRUTH[name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for flags, expected in (([], _exit_code(label)), (["--exit-zero"], 0)):
        call = [sys.executable, "-m", "entropydx", "diagnose", str(ORGANISMS / name), "--json", "-", *flags]
        call += ["--baseline", str(ORGANISMS / baseline), "--run-dir", str(tmp_path)]
        result = subprocess.run(call, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        assert result.returncode == expected, result.stderr
        report = json.loads(result.stdout)
        assert (report["diagnosis"]["label"], report["exit_code"]) == (label, expected)


@pytest.mark.parametrize("name", TRUTH)
def test_without_a_baseline_nothing_sound_is_accused_and_no_failure_is_called_sound(tmp_path: Path, name: str) -> None:
    report = pipeline.diagnose(resolve(str(ORGANISMS / name), Settings(run_dir=str(tmp_path))))
    label = TRUTH[name][1]
    assert any("--baseline" in advice for advice in report.diagnosis.would_settle_it)
    assert report.diagnosis.label in {label, Label.INCONCLUSIVE}, report.diagnosis.summary
    if label != Label.INFERENCE_VARIANCE:  # which shows in a checkpoint alone
        assert report.diagnosis.confidence != "high"
