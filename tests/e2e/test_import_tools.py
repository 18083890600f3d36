"""`entropydx import` on the files of every tool, as a user runs it, with neither torch nor a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
IMPORTS = HERE.parents[1] / "fixtures" / "imports"
FIND = ("--verifier", "exact", "--extract", r"A(\d\d)\.")
CASES = {
    "inspect": ("tiny-collapse.eval", "--baseline", "tiny-base.eval", "--map", "domain=metadata.domain"),
    "inspect json": ("tiny-base.json",),
    "lm_eval": ("tiny-collapse", "--baseline", "tiny-base", *FIND, "--map", "domain=doc.domain"),
    "lm_eval stripped": ("stripped",),
    "lm_eval choices": ("choice", "--from", "lm-eval"),
    "lighteval": ("details/tiny-collapse", "--baseline", "details/tiny-base", *FIND),
    "verl": ("rollout_v1", "--baseline-step", "0", *FIND),
    "verl old": ("rollout_v0/0.jsonl",),
    "verl log": ("tiny/grpo.jsonl",),
    "prime_rl": (".", "--logged-temperature", "1"),
    "prime_rl texts": (".", "--tokenizer", str(IMPORTS.parent / "organisms" / "tiny-base"), *FIND),
    "nemo_rl": (".",),
    "nemo_rl val": ("val_data_step12.jsonl",),
}
QUICK = ("inspect",)
REPORTED = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name)
    for name in CASES
    if name != "lm_eval choices"
]


def _import(name: str, run_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(HERE / "no_torch"), str(HERE / "no_network"), str(HERE.parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "100", "NO_COLOR": "1"}
    call = [sys.executable, "-m", "entropydx", "import", *CASES[name], "--run-dir", str(run_dir), *options]
    place = IMPORTS / name.partition(" ")[0]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=place, env=environment, timeout=120)


@pytest.mark.parametrize("name", REPORTED)
def test_every_tool_s_file_gives_a_report(name: str, tmp_path: Path) -> None:
    done = _import(name, tmp_path / "run", "--json", str(tmp_path / "report.json"))
    assert done.returncode in {0, 1, 3}, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exit_code"] == done.returncode
    assert report["protocol"]["imported"]["tool"] == name.partition(" ")[0].replace("_", "-")
    measured = {row["name"]: row["value"] for row in report["measurements"]}
    assert all(value is None for name, value in measured.items() if name.startswith("token_entropy."))
    if name == "inspect":
        # A collapsed policy beside the one that it came from: one form of solution in place of three.
        change = next(r for r in report["measurements"] if r["name"] == "format_mode.structure_disagreement")
        assert change["delta_ci"][1] < -0.3


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    done = _import("lm_eval choices", tmp_path / "run")
    assert done.returncode == 2
    assert "log-likelihoods of given choices" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
