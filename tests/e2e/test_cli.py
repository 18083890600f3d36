"""The command line as a subprocess, with the network blocked: what a user types, sees and gets back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ORGANISMS = ROOT / "fixtures" / "organisms"


def _environment(*extra: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE / "no_network"), *(str(HERE / e) for e in extra), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def _start(*args: object, cwd: Path, extra: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    call = [sys.executable, "-m", "entropydx", *map(str, args)]
    pipe = subprocess.PIPE
    env = _environment(*extra)
    return subprocess.Popen(call, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def _run(*args: object, cwd: Path, extra: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    process = _start(*args, cwd=cwd, extra=extra)
    out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _synthetic(name: str, *more: object) -> tuple[object, ...]:
    return ("diagnose", f"synthetic:{name}", "--engine", "synthetic", "--baseline", "synthetic:healthy", *more)


def _one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_help_answers_at_once_and_imports_nothing_heavy(tmp_path: Path) -> None:
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert _run("--help", cwd=tmp_path).returncode == 0
        times.append(time.monotonic() - began)
    assert min(times) < 0.5, times
    code = (
        "import sys, entropydx, entropydx.cli; bad = {'torch', 'transformers', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", f"{code}; assert not bad, bad"], check=True, cwd=tmp_path, env=_environment())


@pytest.mark.parametrize(("name", "code"), [("healthy", 0), ("collapsed", 1), ("broken", 1), ("silent", 3)])
def test_exit_codes_and_exit_zero(tmp_path: Path, name: str, code: int) -> None:
    plain = _run(*_synthetic(name, "--json", "r.json"), cwd=tmp_path)
    assert plain.returncode == code, plain.stderr
    assert json.loads((tmp_path / "r.json").read_text())["exit_code"] == code
    zero = _run(*_synthetic(name, "--exit-zero", "--json", "-"), cwd=tmp_path)
    assert zero.returncode == 0
    assert json.loads(zero.stdout)["exit_code"] == 0


def test_the_document_goes_to_stdout_and_fits_the_published_schema(tmp_path: Path) -> None:
    result = _run(*_synthetic("collapsed", "--json", "-"), cwd=tmp_path)
    schema = json.loads(_run("schema", cwd=tmp_path).stdout)
    assert schema == json.loads((ROOT / "docs" / "reference" / "report-schema.json").read_text())
    report = json.loads(result.stdout)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["diagnosis"]["label"] == "training_collapse"
    assert "sampling" in result.stderr


def test_a_piped_terminal_report_is_plain_and_names_the_verdict(tmp_path: Path) -> None:
    out = _run(*_synthetic("noisy"), cwd=tmp_path).stdout
    assert "\x1b" not in out
    assert "INFERENCE VARIANCE" in out
    assert max(map(len, out.splitlines())) <= 100


def test_triage_works_without_torch_and_agrees(tmp_path: Path) -> None:
    first = json.loads(_run(*_synthetic("noisy", "--run-dir", "run", "--json", "-"), cwd=tmp_path).stdout)
    for source in ("run", "run/report.json"):
        again = _run("triage", source, "--json", "-", cwd=tmp_path, extra=("no_torch",))
        assert again.returncode == 1, again.stderr
        assert json.loads(again.stdout)["diagnosis"]["summary"] == first["diagnosis"]["summary"]


def test_a_killed_run_resumes_and_gives_the_same_report(tmp_path: Path) -> None:
    whole = json.loads(_run(*_synthetic("slow", "--run-dir", "whole", "--json", "-"), cwd=tmp_path).stdout)
    process = _start(*_synthetic("slow", "--run-dir", "part"), cwd=tmp_path)
    samples = tmp_path / "part" / "samples-checkpoint.jsonl"
    deadline = time.monotonic() + 60
    while not samples.is_file() or samples.read_bytes().count(b"\n") < 10:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    held = samples.read_bytes()
    resumed = _run(*_synthetic("slow", "--run-dir", "part", "--json", "-"), cwd=tmp_path)
    assert "are not drawn again" in resumed.stderr
    assert samples.read_bytes().startswith(held[: held.rfind(b"\n") + 1])
    report = json.loads(resumed.stdout)
    for changing in ("created_at", "cost"):
        del report[changing], whole[changing]
    assert report == whole


def test_interruption_exits_130_and_a_second_process_is_refused(tmp_path: Path) -> None:
    process = _start(*_synthetic("slow", "--run-dir", "run"), cwd=tmp_path)
    samples = tmp_path / "run" / "samples-checkpoint.jsonl"
    deadline = time.monotonic() + 60
    while not samples.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    second = _run(*_synthetic("slow", "--run-dir", "run"), cwd=tmp_path)
    assert second.returncode == 2
    assert "another process is writing" in second.stderr
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "resumes" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("diagnose", "no/such/dir/at/all"), "no/such/dir/at/all"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetik"), "did you mean 'synthetic'"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetic", "--suite", "nope.jsonl"), "nope.jsonl"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetic", "--samples", "1"), "samples is 1"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetic", "--budget", "huge"), "huge"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetic", "--json", "."), "is a directory"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetic", "--format", "termnal"), "did you mean 'terminal'"),
        (("diagnose", "synthetic:healthy", "--engine", "synthetic", "--map", "answer"), "FIELD=COLUMN"),
        (("triage", "."), "not a run directory"),
        (("explain", "EDX999"), "no rule, label or probe"),
        (("list", "prob"), "did you mean 'probe'"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    result = _run(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert message in _one_line(result.stderr)
    assert result.stdout == ""


def test_a_usage_error_is_exit_2(tmp_path: Path) -> None:
    assert _run("diagnose", "--no-such-flag", cwd=tmp_path).returncode == 2
    assert _run("diagnose", cwd=tmp_path).returncode == 2


def test_a_bad_suite_line_is_named(tmp_path: Path) -> None:
    good = '{"id": "a", "prompt": "1+1?", "answer": "2", "reference": "2"}'
    (tmp_path / "suite.jsonl").write_text(f'{good}\n{{"id": "b", "prompt": "?"}}\n')
    result = _run("diagnose", "synthetic:healthy", "--engine", "synthetic", "--suite", "suite.jsonl", cwd=tmp_path)
    assert result.returncode == 2
    line = _one_line(result.stderr)
    assert "suite.jsonl" in line
    assert "2" in line
    assert "answer" in line


def test_a_crash_is_never_a_finding(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['entropydx', 'diagnose', 'synthetic:healthy', '--engine', 'synthetic'];"
        "import entropydx.pipeline as p; p.run = lambda *a: 1 / 0;"
        "from entropydx.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "ZeroDivisionError" in result.stderr
    assert "this is a bug" in result.stderr


def test_a_reader_that_leaves_is_no_finding(tmp_path: Path) -> None:
    process = _start(*_synthetic("healthy"), cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(60)
    process.stderr.close()
    assert process.returncode == 2
    assert "Traceback" not in err


def test_explain_list_and_doctor(tmp_path: Path) -> None:
    assert "## Thresholds" in _run("explain", "edx101", cwd=tmp_path).stdout
    assert "EDX201" in _run("explain", "inference_variance", cwd=tmp_path).stdout
    assert "Two views" in _run("explain", "format_mode", cwd=tmp_path).stdout
    for kind in ("engine", "suites", "probe", "rule", "remedies", "reporter", "label"):
        assert len(_run("list", kind, cwd=tmp_path).stdout.splitlines()) >= 2, kind
    doctor = _run("doctor", cwd=tmp_path)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "torch" in doctor.stdout


def test_a_shipped_organism_end_to_end(tmp_path: Path) -> None:
    result = _run("diagnose", ORGANISMS / "tiny-collapse", "--baseline", ORGANISMS / "tiny-base", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "TRAINING COLLAPSE" in result.stdout
    assert "suite tiny (checkpoint)" in result.stdout


def test_growing_without_the_lab_extra_names_it(tmp_path: Path) -> None:
    (tmp_path / "trl.py").write_text("raise ModuleNotFoundError('No module named trl', name='trl')\n")
    environment = {**_environment(), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    call = [sys.executable, "-m", "entropydx", "organisms", "grow", "tiny-collapse", "--out", "x"]
    result = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "entropydx[lab]" in _one_line(result.stderr)


def test_a_quiet_sweep_says_what_could_not_run(tmp_path: Path) -> None:
    refs = ("synthetic:healthy", "synthetic:nope")
    done = _run("sweep", *refs, "--engine", "synthetic", "--prompts", "20", "--samples", "4", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert _one_line(done.stderr).startswith(
        "entropydx: synthetic-nope could not run: the synthetic engine has no checkpoint"
    )
