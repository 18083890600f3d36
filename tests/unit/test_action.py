"""The action for GitHub: inputs reach its scripts by the environment only, and no input is ever run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml

from entropydx.cli import app
from entropydx.document import to_json
from tests.unit.report_examples import collapsed

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"]}
HOSTILE = [
    '"; touch pwned; "',
    "$(touch pwned)",
    "`touch pwned`",
    "a\ntouch pwned\n",
    "'; touch pwned; '",
    "| touch pwned",
    "> pwned",
    "$IFS",
    "* ? ~",
    "--allow-pickle",
    "-h",
    "a b",
    "\\",
    "${{ github.token }}",
]


def test_every_step_is_ours():
    assert ACTION["runs"]["using"] == "composite"
    assert not [step for step in STEPS.values() if "uses" in step], "a nested action is a supply chain of its own"
    assert {step["shell"] for step in STEPS.values()} == {"bash"}


def test_no_expression_stands_in_a_script():
    for step in STEPS.values():
        assert "${{" not in step["run"]
        for value in step["env"].values():
            assert re.fullmatch(r"\$\{\{ (inputs\.[a-z-]+|github\.action_path) \}\}", value)


def test_every_input_reaches_a_script_and_has_a_description():
    used = {v for step in STEPS.values() for v in re.findall(r"inputs\.([a-z-]+)", str(step["env"]))}
    assert used == set(ACTION["inputs"])
    for step in STEPS.values():
        for variable in step["env"]:
            assert f"${variable}" in step["run"], f"{variable} is not used"
    for given in ACTION["inputs"].values():
        assert given["description"]
        assert given["required"] is False
        assert isinstance(given["default"], str)


def test_outputs_are_those_that_the_command_sets():
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.gate.outputs.{name} }}}}"
    assert set(ACTION["outputs"]) == {"verdict", "label", "confidence", "exit-code", "report"}


def test_the_flags_exist():
    gate = typer.main.get_command(app).commands["gate"]
    options = {name for parameter in gate.params for name in parameter.opts}
    flags = re.findall(r"^\s*flag ([a-z-]+) ", STEPS["gate"]["run"], re.MULTILINE)
    assert len(flags) == 7
    assert {f"--{flag}" for flag in flags} <= options


# ── the scripts themselves ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stub(tmp_path):
    """A folder with an `entropydx` that writes down its arguments, one after the other, and exits 3."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "entropydx"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nopen('arguments', 'w').write('\\0'.join(sys.argv[1:]))\nsys.exit(3)\n"
    )
    script.chmod(0o755)
    return folder


def step(name, cwd, path, **inputs):
    """Run one step's script as the runner does, and return the process."""
    known = {key: value["default"] for key, value in ACTION["inputs"].items()} | inputs
    whole = {f"${{{{ inputs.{key} }}}}": value for key, value in known.items()}
    whole["${{ github.action_path }}"] = str(ROOT)
    env = {variable: whole[expression] for variable, expression in STEPS[name]["env"].items()}
    runner = {"PATH": f"{path}:/usr/bin:/bin", "RUNNER_TEMP": str(cwd / "temp"), "GITHUB_PATH": str(cwd / "path")}
    script = cwd / "step.sh"
    script.write_text(STEPS[name]["run"])
    call = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return subprocess.run(
        call, cwd=cwd, env={**os.environ, **runner, **env}, capture_output=True, text=True, check=False, timeout=60
    )


def arguments(cwd):
    return (cwd / "arguments").read_text().split("\0")


def test_the_gate_step_passes_inputs_on_and_keeps_the_exit_code(tmp_path, stub):
    result = step("gate", tmp_path, stub, report="run", policy="p.toml", against="old.json")
    assert result.returncode == 3, result.stderr
    expected = ["gate", "--policy=p.toml", "--against=old.json", "--json=entropydx-gate.json"]
    assert arguments(tmp_path) == [*expected, "--junit=entropydx-junit.xml", "--", "run"]
    step("gate", tmp_path, stub, checkpoint="ckpt", json="", junit="")
    assert arguments(tmp_path) == ["gate", "--", "ckpt"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_input_is_run_or_becomes_a_flag(tmp_path, stub, text):
    flags = ["policy", "baseline", "against", "budget", "device", "json", "junit"]
    for subject in ("checkpoint", "report"):
        result = step("gate", tmp_path, stub, **{subject: text}, **dict.fromkeys(flags, text))
        assert result.returncode == 3, result.stderr
        assert arguments(tmp_path) == ["gate", *(f"--{flag}={text}" for flag in flags), "--", text]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["arguments", "bin", "step.sh"]


@pytest.mark.parametrize("text", HOSTILE)
def test_extra_flags_are_words_and_nothing_more(tmp_path, stub, text):
    step("gate", tmp_path, stub, **{"report": "run", "json": "", "junit": "", "internal-be-careful-extra-flags": text})
    assert arguments(tmp_path) == ["gate", *text.split(), "--", "run"]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("inputs", [{}, {"checkpoint": "a", "report": "b"}])
def test_neither_or_both_is_an_error(tmp_path, stub, inputs):
    result = step("gate", tmp_path, stub, **inputs)
    assert result.returncode == 2
    assert result.stderr.startswith("::error title=entropydx could not run::")
    assert not (tmp_path / "arguments").exists()


def test_what_is_installed_is_used_and_false_never_installs(tmp_path, stub):
    assert step("install", tmp_path, stub).returncode == 0
    assert step("install", tmp_path, tmp_path, install="false").returncode == 0
    assert not (tmp_path / "path").exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_the_install_step_runs_no_input(tmp_path, stub, text):
    """With a Python that is not there the step stops at its first command, whatever the other inputs say."""
    result = step("install", tmp_path, stub, install="true", python=text, report=text)
    assert result.returncode != 0
    assert not (tmp_path / "pwned").exists()


def test_for_a_stored_report_the_step_installs_what_judging_imports(tmp_path):
    listed = re.search(r'"\$\{pip\[@\]\}" (filelock.*)', STEPS["install"]["run"])
    declared = {re.match(r"[a-z0-9_-]+", line)[0] for line in PROJECT["dependencies"]}
    (tmp_path / "r.json").write_text(to_json(collapsed()))
    code = "import sys; from entropydx.cli import app; app(['gate', 'r.json', '-q'], standalone_mode=False)"
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {code}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", code]
    result = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    imported = {module.partition(".")[0] for module in result.stdout.split()}
    assert "scipy" in imported, result.stderr
    assert imported & declared <= set(listed[1].split()) <= declared
