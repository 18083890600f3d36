"""Checkpoints of a run, verdicts and lines, for the tests of the watch."""

import json
import os
import shutil
from pathlib import Path

from entropydx.types import GATE_VERSION, Gate, GateCheck, Label, Tool

ROOT = Path(__file__).parents[2]
BASE = ROOT / "fixtures" / "organisms" / "tiny-base"
COLLAPSE = ROOT / "fixtures" / "organisms" / "tiny-collapse"
MODEL = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
T0 = 1_800_000_000.0
"""A time after the files of any checkpoint of these tests."""


def saved(run: Path, step: int, source: Path = BASE, *, state: bool = True, name: str = "checkpoint-{}") -> Path:
    """Write a checkpoint of a run, whole unless `state` is False, with old file times."""
    path = run / name.format(step)
    path.mkdir(parents=True)
    for file in MODEL:
        shutil.copyfile(source / file, path / file)
    if state:
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    for file in path.iterdir():
        os.utime(file, (T0 - 1000, T0 - 1000))
    return path


def verdict(**checks: str) -> Gate:
    """Return the verdict of a gate by those of its checks: `collapse="failed"`."""
    order = ("failed", "inconclusive", "warned", "passed")
    worst = next(v for v in order if v in checks.values())
    return Gate(
        schema_version=GATE_VERSION,
        tool=Tool(name="entropydx", version="0"),
        created_at="2026-11-28T00:00:00+00:00",
        exit_code={"failed": 1, "inconclusive": 3}.get(worst, 0),
        verdict=worst,
        reasons=tuple(f"{name} {v}" for name, v in checks.items() if v == worst),
        checks=tuple(GateCheck(name=n, kind="failure", verdict=v, reason=v) for n, v in checks.items()),
        policy="default",
        policy_sha="0",
        label=Label.TRAINING_COLLAPSE if worst == "failed" else Label.HEALTHY,
        confidence="high",
        summary="",
        checkpoint="c",
        fingerprint="f",
    )
