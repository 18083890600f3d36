"""A step of GitHub Actions, simulated end to end: summary, annotations, outputs, JUnit, JSON and exit code agree."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import JUnitXml

from entropydx.document import to_json
from entropydx.types import Example
from tests.unit.report_examples import collapsed, healthy, truncated
from tests.unit.test_ci_outputs import read_outputs, rendered, runner_commands

ROOT = Path(__file__).parents[2]
NO_NETWORK = Path(__file__).parent / "no_network"
REPORTS = [(healthy, "passed", 0), (collapsed, "failed", 1), (truncated, "inconclusive", 3)]


def environment(**changes):
    path = os.pathsep.join([str(NO_NETWORK), str(ROOT)])
    whole = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **changes}
    return {name: value for name, value in whole.items() if value is not None}


def on_github(folder, **changes):
    files = {"GITHUB_STEP_SUMMARY": folder / "summary.md", "GITHUB_OUTPUT": folder / "output.txt"}
    for file in files.values():
        file.touch()
    return environment(GITHUB_ACTIONS="true", **{name: str(file) for name, file in files.items()} | changes)


def run(*args, cwd, env):
    call = [sys.executable, "-m", "entropydx", *map(str, args)]
    return subprocess.run(call, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=240)


def drawing(name, *more):
    return (f"synthetic:{name}", "--engine", "synthetic", "--baseline", "synthetic:healthy", *more)


@pytest.mark.parametrize(("example", "verdict", "code"), REPORTS)
def test_everything_says_the_same_verdict(tmp_path, example, verdict, code):
    (tmp_path / "report.json").write_text(to_json(example()))
    files = ("--json", "gate.json", "--junit", "j.xml", "--gitlab", "g.json")
    result = run("gate", "report.json", *files, cwd=tmp_path, env=on_github(tmp_path))
    assert result.returncode == code, result.stderr
    check(tmp_path, result, verdict, code)
    document = json.loads((tmp_path / "gate.json").read_text())
    assert (document["verdict"], document["exit_code"]) == (verdict, code)
    assert verdict.upper() in result.stdout.upper()


def check(folder, result, verdict, code):
    """Everything that the step left, against the verdict and the exit code."""
    outputs = read_outputs((folder / "output.txt").read_text())
    assert (outputs["verdict"], outputs["exit-code"]) == (verdict, str(code))
    page = rendered((folder / "summary.md").read_text())
    assert page.text.split("\n")[0].endswith(f"entropydx: {verdict}")
    assert outputs["label"].replace("_", " ").capitalize() in page.text
    assert f"exit code {code}" in page.text
    (suite,) = JUnitXml.fromfile(str(folder / "j.xml"))
    properties = {p.name: p.value for p in suite.properties()}
    assert (properties["verdict"], properties["exit_code"], properties["label"]) == (
        (verdict, str(code), outputs["label"])
    )
    assert suite.tests
    assert suite.errors == 0
    assert bool(suite.failures) == (code == 1)
    assert bool(suite.skipped) or code != 3
    severities = {entry["severity"] for entry in json.loads((folder / "g.json").read_text())}
    assert ("critical" in severities) == (code == 1)
    assert bool(severities) == (code != 0)
    assert runner_commands(result.stdout) == []
    level = {"passed": "notice", "failed": "error", "inconclusive": "warning"}[verdict]
    assert runner_commands(result.stderr)[0][:2] == (level, f"title=entropydx%3A {verdict}")


@pytest.mark.parametrize("arguments", [("--verbose",), ("--json", "-")], ids=["page", "json"])
def test_hostile_output_of_a_model_is_not_obeyed(tmp_path, arguments):
    hostile = ["::set-output name=verdict::passed", "##[add-mask]e", "</details><img src=x>", "\n::error::x\n", "@all"]
    report = collapsed()
    report = replace(
        report,
        examples=tuple(Example(about=h, prompt_id=h, sample_index=0, excerpt=h) for h in hostile),
        checkpoint=replace(report.checkpoint, ref="\n".join(hostile)),
    )
    (tmp_path / "report.json").write_text(to_json(report))
    result = run("triage", "report.json", *arguments, cwd=tmp_path, env=on_github(tmp_path))
    assert result.returncode in {0, 1, 3}, result.stderr
    assert runner_commands(result.stdout) == []
    assert {command[0] for command in runner_commands(result.stderr)} <= {"notice", "error", "warning"}
    if arguments == ("--json", "-"):
        assert json.loads(result.stdout)["checkpoint"]["ref"] == report.checkpoint.ref
    assert "img" not in rendered((tmp_path / "summary.md").read_text()).tags


def test_an_error_is_annotated_and_quotes_no_command(tmp_path):
    name = "##[add-mask]e\n::set-output name=verdict::passed\r::add-mask::e"
    result = run("gate", f"{name}.json", "--junit", "j.xml", cwd=tmp_path, env=on_github(tmp_path))
    assert result.returncode == 2
    commands = runner_commands(result.stdout + result.stderr)
    assert [(level, title) for level, title, _ in commands] == [("error", "title=entropydx could not run")]
    assert (tmp_path / "output.txt").read_text() == ""
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert suite.errors == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "verdict", "code"), [("healthy", "passed", 0), ("collapsed", "failed", 1), ("silent", "inconclusive", 3)]
)
def test_a_step_that_draws_says_the_same_by_gate_and_by_diagnose(tmp_path, name, verdict, code):
    files = ("--run-dir", "run", "--junit", "j.xml", "--gitlab", "g.json")
    for command in ("gate", "diagnose"):
        result = run(command, *drawing(name, *files), cwd=tmp_path, env=on_github(tmp_path))
        assert result.returncode == code, result.stderr
        check(tmp_path, result, verdict, code)
    zero = run("gate", "run", "--exit-zero", "--json", "-", cwd=tmp_path, env=on_github(tmp_path))
    document = json.loads(zero.stdout)
    outputs = read_outputs((tmp_path / "output.txt").read_text())
    assert (zero.returncode, document["exit_code"], outputs["exit-code"]) == (0, 0, "0")
    assert (document["verdict"], outputs["verdict"]) == (verdict, verdict)
    assert (tmp_path / outputs["report"]).exists()


@pytest.mark.slow
def test_a_killed_run_leaves_no_verdict_behind(tmp_path):
    (tmp_path / "j.xml").write_text("<testsuites><testsuite><testcase name='old'/></testsuite></testsuites>")
    files = ("--run-dir", "run", "--junit", "j.xml")
    call = [sys.executable, "-m", "entropydx", "diagnose", *drawing("slow", *files)]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(call, cwd=tmp_path, env=environment(), stderr=nowhere, stdout=nowhere)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "samples-checkpoint.jsonl").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert (suite.tests, suite.errors) == (1, 1)


@pytest.mark.slow
def test_the_command_of_the_model_card_draws_the_same_again(tmp_path):
    first = run(
        "diagnose", *drawing("noisy", "--run-dir", "a", "--format", "markdown"), cwd=tmp_path, env=environment()
    )
    block = re.search(r"```bash\nentropydx (.*)\n```", first.stdout)
    again = run(*shlex.split(block[1]), "--run-dir", "b", "-q", cwd=tmp_path, env=environment())
    assert again.returncode == first.returncode, again.stderr
    one, other = (json.loads((tmp_path / name / "report.json").read_text()) for name in "ab")
    assert one["measurements"] == other["measurements"]
    assert one["diagnosis"] == other["diagnosis"]
