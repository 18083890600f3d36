"""`entropydx gate` as a subprocess, with the network blocked: exit codes, the document, what bad input gets back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entropydx.cli import app

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PASS = "sampling_spread.pass_at_1"
SETTINGS = 'engine = "synthetic"\nsuite = "tiny"\nbaseline = "synthetic:healthy"\nprompts = 24\nsamples = 6\n'


def _run(*args: object, cwd: Path, extra: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(HERE / "no_network"), *(str(HERE / e) for e in extra), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    call = [sys.executable, "-m", "entropydx", "gate", *map(str, args)]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=240)


def _policy(folder: Path, text: str, settings: str = "") -> Path:
    path = folder / "policy.toml"
    path.write_text(f"{settings}\n[gate]\n{text}\n")
    return path


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of the command: `sound`, and `short`, which was drawn with a policy's own settings."""
    root = tmp_path_factory.mktemp("gates")
    policy = _policy(root, "", SETTINGS)
    for name, ref, code in (("sound", "synthetic:twin", 0), ("short", "synthetic:shortcut", 1)):
        found = _run(ref, "--policy", policy, "--run-dir", name, "--json", f"{name}.json", cwd=root)
        assert found.returncode == code, found.stderr
        assert f"GATE {'PASSED' if code == 0 else 'FAILED'}" in found.stdout
        assert f"exit code {code}: {'passed' if code == 0 else 'failed'}" in found.stdout
        document = json.loads((root / f"{name}.json").read_text())
        assert (document["exit_code"], document["verdict"]) == (code, "failed" if code else "passed")
        report = json.loads((root / name / "report.json").read_text())
        assert (report["protocol"]["n_samples"], report["exit_code"]) == (6, code), "the policy's file has the settings"
    return root


@pytest.mark.parametrize(
    ("run", "text", "code", "verdict", "reason"),
    [
        ("sound", f'[gate.bounds."{PASS}"]\nmin = 0.1', 0, "passed", "all 7 checks passed"),
        ("sound", f'[gate.bounds."{PASS}"]\nmin = 0.99', 1, "failed", "all of it below the minimum 0.99"),
        ("short", 'warn = ["hard_sample_shortcutting"]', 0, "warned", "hard sample shortcutting is present"),
        ("sound", f'[gate.regression."{PASS}"]\nmax_drop = 0.1', 3, "inconclusive", "no report to compare with"),
        ("short", f'against = "sound"\nfail = []\n[gate.regression."{PASS}"]\nmax_drop = 0.01', 1, "failed", "drop"),
    ],
)
def test_a_stored_run_is_judged_without_torch(
    stored: Path, run: str, text: str, code: int, verdict: str, reason: str
) -> None:
    policy = _policy(stored, text)
    found = _run(run, "--policy", policy, "--json", "-", cwd=stored, extra=("no_torch",))
    assert found.returncode == code, found.stderr
    document = json.loads(found.stdout)
    assert (document["exit_code"], document["verdict"]) == (code, verdict)
    assert reason in document["reasons"][0]


def test_the_files_of_ci_say_what_the_document_says(stored: Path) -> None:
    files = ("--junit", "j.xml", "--gitlab", "g.json", "--json", "d.json", "--quiet")
    found = _run("short/report.json", "--policy", _policy(stored, ""), *files, "--exit-zero", cwd=stored)
    assert (found.returncode, found.stdout) == (0, "")
    document = json.loads((stored / "d.json").read_text())
    assert (document["exit_code"], document["verdict"]) == (0, "failed")
    reason = document["reasons"][0]
    assert reason.partition(":")[0] in (stored / "j.xml").read_text()
    assert "hard_sample_shortcutting" in (stored / "g.json").read_text()


@pytest.mark.parametrize(
    ("args", "text", "message"),
    [
        (("sound",), "fial = []", "unknown key 'fial' (did you mean 'fail'?)"),
        (("sound",), '[gate.bounds."sampling.pass"]\nmin = 1', "no probe measures 'sampling.pass'"),
        (("sound", "--prompts", 8), "", "--prompts changes nothing: sound is stored"),
        (("sound", "--against", "sound"), "", "allows no regression"),
        (("nothing.json",), "", "nothing is at nothing.json"),
        (("nothing-here",), "", "nothing-here"),
        (("sound", "--json", "."), "", "is a directory"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_2(
    stored: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[object, ...], text: str, message: str
) -> None:
    monkeypatch.chdir(stored)
    found = CliRunner().invoke(app, ["gate", *map(str, args), "--policy", str(_policy(stored, text))])
    (line,) = found.stderr.strip().splitlines()
    assert (found.exit_code, found.stdout) == (2, "")
    assert message in line
