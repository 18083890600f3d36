"""Publishing a gate: to the files that were asked for, and to GitHub Actions, where no trouble changes the verdict."""

import io
import json
import sys

import pytest
from junitparser import JUnitXml

from entropydx.cli import _ci
from entropydx.errors import ConfigError
from tests.unit.gate_examples import GATES, failed
from tests.unit.test_ci_outputs import HOSTILE, read_outputs, rendered, runner_commands

EVERY = pytest.mark.parametrize("example", GATES.values(), ids=GATES)
NOTHING = {"junit": None, "gitlab": None}


@pytest.fixture
def github(tmp_path, monkeypatch):
    """The environment of a step; the folder of its files."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        (tmp_path / variable).touch()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@EVERY
def test_every_document_says_the_verdict_of_the_gate(github, capsys, example):
    gate, report = example()
    _ci.publish(gate, report, junit="j.xml", gitlab="g.json")
    (suite,) = JUnitXml.fromfile("j.xml")
    properties = {p.name: p.value for p in suite.properties()}
    outputs = read_outputs((github / "GITHUB_OUTPUT").read_text())
    page = rendered((github / "GITHUB_STEP_SUMMARY").read_text()).text
    out, err = capsys.readouterr()
    assert out == ""
    assert properties["verdict"] == outputs["verdict"] == gate.verdict
    assert page.split("\n")[0].endswith(f"entropydx: {gate.verdict}")
    assert runner_commands(err)[0][1].endswith(f" {gate.verdict}")
    assert (properties["exit_code"], outputs["exit-code"]) == (str(gate.exit_code),) * 2
    assert f"exit code {gate.exit_code}" in page
    assert (outputs["label"], outputs["confidence"], outputs["report"]) == (gate.label, gate.confidence, gate.report)
    assert len(json.loads((github / "g.json").read_text())) == sum(c.verdict != "passed" for c in gate.checks)


def test_elsewhere_nothing_but_the_files_is_written(github, monkeypatch, capsys):
    for value in ("", "false"):
        monkeypatch.setenv("GITHUB_ACTIONS", value)
        _ci.publish(*failed(), **NOTHING)
        _ci.annotate("error", "title", "message")
    assert capsys.readouterr() == ("", "")
    assert not (github / "GITHUB_STEP_SUMMARY").read_bytes() + (github / "GITHUB_OUTPUT").read_bytes()


def test_what_stands_on_the_page_already_is_kept_and_counted(github, capsys):
    file = github / "GITHUB_STEP_SUMMARY"
    file.write_text("before\n")
    _ci.publish(*failed(), **NOTHING)
    assert file.read_text().startswith("before\n## ")
    file.write_bytes(b"x" * (2**20 - 2000))
    _ci.publish(*failed(), **NOTHING)
    assert 2**20 - 2000 < file.stat().st_size <= 2**20
    file.write_bytes(b"x" * (2**20 - 10))
    capsys.readouterr()
    _ci.publish(*failed(), **NOTHING)
    assert file.stat().st_size == 2**20 - 10
    (warning,) = [c for c in runner_commands(capsys.readouterr().err) if "GITHUB_STEP_SUMMARY" in c[2]]
    assert warning[0] == "warning"


@pytest.mark.parametrize("variable", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
@pytest.mark.parametrize("value", [None, "", "missing/file", "."])
def test_a_file_of_the_runner_that_cannot_be_written_is_one_warning(github, monkeypatch, capsys, variable, value):
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    _ci.publish(*failed(), **NOTHING)
    about = [c for c in runner_commands(capsys.readouterr().err) if variable in c[2]]
    assert [name for name, _, _ in about] == ["warning"]
    assert "the verdict and the exit code stand" in about[0][2]
    other = ({"GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"} - {variable}).pop()
    assert (github / other).read_text()


def test_a_name_that_is_no_utf8_reaches_the_next_step_as_it_is(github):
    gate, report = failed()
    name = b"caf\xe9.json".decode("utf-8", "surrogateescape")
    _ci.publish(_ci.dataclasses.replace(gate, report=name), report, **NOTHING)
    assert b"caf\xe9.json\n" in (github / "GITHUB_OUTPUT").read_bytes()


# ── before the sampling ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["missing/out", ".", "-"])
@pytest.mark.parametrize("flag", ["junit", "gitlab"])
def test_a_path_that_cannot_be_written_is_refused(tmp_path, monkeypatch, flag, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        _ci.prepare(**{**NOTHING, flag: path})
    assert not list(tmp_path.iterdir())


def test_a_file_of_the_last_run_is_not_left_for_this_one(tmp_path):
    junit, gitlab = tmp_path / "j.xml", tmp_path / "g.json"
    _ci.publish(*GATES["passed"](), junit=str(junit), gitlab=str(gitlab))
    assert json.loads(gitlab.read_text()) == []
    _ci.prepare(junit=str(junit), gitlab=str(gitlab))
    (suite,) = JUnitXml.fromfile(str(junit))
    assert (suite.tests, suite.errors) == (1, 1)
    assert json.loads(gitlab.read_text())[0]["severity"] == "blocker"


@pytest.mark.parametrize(
    ("policy", "root", "place"),
    [
        ("default", None, "entropydx.toml"),
        ("ci/policy.toml", None, "ci/policy.toml"),
        ("./policy.toml", None, "policy.toml"),
        ("policy.toml", "..", "here/policy.toml"),
        ("../../policy.toml", None, "policy.toml"),
    ],
)
def test_gitlab_is_pointed_to_the_policy_in_the_checkout(tmp_path, monkeypatch, policy, root, place):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("CI_PROJECT_DIR", raising=False)
    if root is not None:
        monkeypatch.setenv("CI_PROJECT_DIR", str(tmp_path))
    assert _ci._place(policy) == place
    if policy != "default":
        assert _ci._place(str((tmp_path / "here" / policy).resolve())) == place


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def test_on_github_the_log_obeys_us_and_nobody_else(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    raw = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, buffer in raw.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding="utf-8"))
    _ci.guard_streams()
    for text in HOSTILE:
        for stream in (sys.stdout, sys.stderr):
            assert stream.write(text.encode("utf-8", "replace").decode() + "\n") >= len(text)
    _ci.annotate("notice", "title", "message")
    sys.stdout.flush()
    written = {name: buffer.getvalue().decode() for name, buffer in raw.items()}
    assert runner_commands(written["stdout"]) == []
    assert runner_commands(written["stderr"]) == [("notice", "title=title", "message")]


def test_elsewhere_the_streams_are_left_alone(monkeypatch):
    before = sys.stdout, sys.stderr
    _ci.guard_streams()
    assert (sys.stdout, sys.stderr) == before
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    captured = sys.stdout
    _ci.guard_streams()
    assert sys.stdout is captured
