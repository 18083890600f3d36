"""What a user gets back for places and values that cannot be used: one line, exit 2, nothing lost, no traceback."""

import ctypes
import errno
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.testing import CliRunner

from entropydx.cli import app
from entropydx.cli._apart import DOCUMENTS, READ, check_apart
from entropydx.cli._guard import explained
from entropydx.errors import ConfigError, reading, remedy

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ORGANISM = ROOT / "fixtures" / "organisms" / "tiny-base"
VERL = ROOT / "fixtures" / "imports" / "verl" / "rollout_v0" / "0.jsonl"
SMALL = ("--engine", "synthetic", "--suite", "tiny", "--prompts", "6", "--samples", "2", "--probes", "token_entropy")
PR_CAPBSET_DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2


def _without_privileges() -> None:
    """Take from root the right to read everything, so that file modes mean something."""
    prctl = ctypes.CDLL(None).prctl
    for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
        if prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError("privileges cannot be given up here")


def _run(*args: object, cwd: Path, **more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE / "no_network"), str(ROOT)])}
    call = [sys.executable, "-m", "entropydx", *map(str, args)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(call, text=True, check=False, cwd=cwd, env=environment, timeout=240, **streams)  # type: ignore[call-overload, no-any-return]


def _refused(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a command that could not run."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("entropydx: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def _invoke(*args: object) -> str:
    """Return the one line of a command that could not run, in this process."""
    result = CliRunner().invoke(app, [*map(str, args)])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def _verdict(*args: object) -> None:
    """Run a command that has to give a verdict, in this process."""
    result = CliRunner().invoke(app, [*map(str, args), "--quiet"])
    assert result.exit_code in {0, 1, 3}, result.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals") / "run"
    assert CliRunner().invoke(
        app, ["diagnose", "synthetic:healthy", *SMALL, "--run-dir", str(folder), "--quiet"]
    ).exit_code in {0, 1, 3}
    return folder


@pytest.fixture
def here(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a copy of the run."""
    shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ── places that may not be read ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def locked(run: Path) -> Iterator[Path]:
    """A folder of things that may not be read; those that are named `x.y` are a whole `x` with an unreadable `y`."""
    root = run.parent / "locked-things"
    for part in ("model.safetensors", "config.json", "tokenizer.json"):
        shutil.copytree(ORGANISM, root / part.partition(".")[0])
        (root / part.partition(".")[0] / part).chmod(0)
    for part in ("run.json", "report.json", "samples-checkpoint.jsonl"):
        shutil.copytree(run, root / f"run-{part}")
        (root / f"run-{part}" / part).chmod(0)
    (root / "suite.json").write_text("[]")
    (root / "suite.json").chmod(0)
    (root / "folder").mkdir()
    (root / "folder").chmod(0)
    (root / "fixed").mkdir()
    (root / "fixed").chmod(0o555)
    (root / "rows").mkdir()
    shutil.copy(VERL, root / "rows")
    (root / "rows" / VERL.name).chmod(0)
    for step in (1, 2):
        shutil.copytree(ORGANISM, root / "series" / f"checkpoint-{step}")
    (root / "series" / "checkpoint-2").chmod(0)
    yield root
    for path in (root / "folder", root / "fixed", root / "series" / "checkpoint-2"):
        path.chmod(0o755)


LOCKED = [
    ("diagnose model", "model/model.safetensors"),
    ("diagnose config", "config/config.json"),
    ("diagnose tokenizer", "tokenizer/tokenizer.json"),
    ("diagnose folder", "folder"),
    (f"diagnose {ORGANISM} --baseline model", "model/model.safetensors"),
    (f"diagnose {ORGANISM} --suite suite.json", "suite.json"),
    (f"diagnose {ORGANISM} --suite folder/suite.json", "folder/suite.json"),
    (f"diagnose {ORGANISM} --json fixed/r.json", "fixed"),
    (f"diagnose {ORGANISM} --run-dir folder/run", "folder/run"),
    ("trajectory folder", "folder"),
    ("trajectory series", "series/checkpoint-2"),
    ("gate folder/", "folder"),
    ("gate run-run.json", "run-run.json/run.json"),
    ("gate run-report.json", "run-report.json/report.json"),
    ("triage run-samples-checkpoint.jsonl", "samples-checkpoint.jsonl"),
    ("compare run-run.json run-report.json", "run-run.json/run.json"),
    ("import rows", "rows/0.jsonl"),
    ("import folder/rows.jsonl", "folder/rows.jsonl"),
]
"""A command, and the place that its one line names."""
IN_ONE_PROCESS = """
import json, sys
from typer.testing import CliRunner
from entropydx.cli import app
for command in json.load(sys.stdin):
    result = CliRunner().invoke(app, [*command.split(), "--quiet"])
    bug = result.exception if not isinstance(result.exception, SystemExit) else None
    print(json.dumps([command, result.exit_code, result.stderr, repr(bug)]))
"""


@pytest.fixture(scope="module")
def answers(locked: Path) -> dict[str, tuple[int, str, str]]:
    """What every command of `LOCKED` gets: exit code, stderr and bug. One process runs them all: torch takes long."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE / "no_network"), str(ROOT)])}
    try:
        done = subprocess.run(
            [sys.executable, "-c", IN_ONE_PROCESS],
            input=json.dumps([command for command, _ in LOCKED]),
            capture_output=True,
            text=True,
            check=True,
            cwd=locked,
            env=environment,
            timeout=240,
            preexec_fn=_without_privileges if os.geteuid() == 0 else None,
        )
    except subprocess.SubprocessError as error:
        if isinstance(error, subprocess.CalledProcessError):
            raise
        pytest.skip("privileges cannot be given up here")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {command: (code, stderr, bug) for command, code, stderr, bug in rows}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the rights of root are taken away as Linux has it")
@pytest.mark.parametrize(("command", "place"), LOCKED)
def test_what_may_not_be_read_is_named(
    locked: Path, answers: dict[str, tuple[int, str, str]], command: str, place: str
) -> None:
    code, stderr, bug = answers[command]
    assert (code, bug) == (2, "None"), stderr
    (line,) = stderr.strip().splitlines()
    assert place in line
    assert "damaged" not in line, "what may not be read is not to be thrown away"
    assert not (locked / "entropydx-runs").exists()


def test_an_error_of_the_system_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    missing = r"cannot read .*nothing.txt: No such file or directory$"
    with pytest.raises(ConfigError, match=missing), reading(ConfigError):
        (tmp_path / "nothing.txt").read_bytes()
    with pytest.raises(OSError, match="of something else"), reading(ConfigError):
        raise OSError("of something else")
    assert "right" in remedy(PermissionError(13, "no", "x"))
    assert remedy(FileNotFoundError(2, "no", "x")) == ""


# ── places that take no more ──────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("command", ["report run --html -", "gate run --format json", "gate run", "--help", "schema"])
def test_a_full_disk_behind_stdout_is_one_line(here: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        line = _refused(_run(*command.split(), cwd=here, stdout=full))
    assert "cannot write to stdout: No space left on device" in line
    assert "bug" not in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_behind_stderr_is_never_a_verdict(here: Path) -> None:
    for command in ("gate nowhere", "diagnose synthetic:healthy --engine synthetic --suite tiny"):
        with Path("/dev/full").open("w") as full:
            assert _run(*command.split(), cwd=here, stderr=full).returncode == 2


class _Full(io.StringIO):
    """A stream that takes nothing."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG, errno.EIO, errno.EPERM])
def test_an_error_without_a_file_is_not_laid_to_stdout(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(OSError(number, os.strerror(number)))
    told = capsys.readouterr().err
    assert told.startswith(f"entropydx: {os.strerror(number)} (")
    assert "stdout" not in told


def test_what_no_limit_of_the_machine_explains_is_still_a_bug() -> None:
    assert not explained(OSError(errno.EBADF, os.strerror(errno.EBADF)))
    assert not explained(OSError("of something else"))


def test_a_stream_that_takes_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())
    assert explained(OSError(errno.EMFILE, "of something else"))
    assert "cannot write to stdout: No space left on device (make room" in capsys.readouterr().err
    assert explained(OSError(errno.EACCES, "Permission denied", "some.file"))
    assert capsys.readouterr().err.startswith("entropydx: cannot use some.file: Permission denied")


# ── values that are empty, or change nothing ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("gate", ""), "CKPT|RUN_DIR|REPORT"),
        (("gate", " "), "CKPT|RUN_DIR|REPORT"),
        (("diagnose", ""), "CHECKPOINT"),
        (("triage", ""), "RUN"),
        (("merge", "run", ""), "RUNS"),
        (("sweep", "a", ""), "CKPT... | DIR"),
        (("gate", "run", "--json="), "--json"),
        (("gate", "run", "--policy", ""), "--policy"),
        (("diagnose", "x", "--baseline", ""), "--baseline"),
        (("diagnose", "x", "--suite", ""), "--suite"),
        (("diagnose", "x", "--probes", ""), "--probes"),
        (("diagnose", "x", "--prompts", ""), "--prompts"),
        (("diagnose", "x", "--map", ""), "--map"),
        (("watch", "run", "--log", ""), "--log"),
        (("import", "run", "--tokenizer", ""), "--tokenizer"),
        (("organisms", "grow", "tiny-base", "--out", ""), "--out"),
        (("trials", "table", ""), "OUT"),
    ],
)
def test_an_empty_value_is_not_the_working_directory(here: Path, args: tuple[str, ...], name: str) -> None:
    shutil.copy("run/run.json", ".")
    line = _invoke(*args)
    assert line.startswith(f"entropydx: {name} is empty (is a shell variable not set?")
    assert [p.name for p in here.iterdir() if p.name not in {"run", "run.json"}] == []


def test_help_is_given_whatever_stands_beside_it() -> None:
    result = CliRunner().invoke(app, ["gate", "", "--help"])
    assert (result.exit_code, result.stdout[:6]) == (0, "Usage:")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("diagnose", "synthetic:healthy", *SMALL[:2], "--probes", ","), "--probes ',' names no probe"),
        (("diagnose", "synthetic:healthy", *SMALL, "--vocab-size", "10"), "--vocab-size 10 is given .*--engine openai"),
        (("diagnose", "synthetic:healthy", *SMALL, "--endpoint", "http://x/v1"), "an endpoint is given"),
        (
            ("diagnose", "synthetic:healthy", *SMALL, "--base-model", "no/such/file"),
            "--base-model no/such/file changes",
        ),
        (("import", VERL, "--tokenizer", "nofile"), "--tokenizer nofile changes nothing: importer 'verl'"),
        (("import", VERL.parents[2] / "lm_eval" / "tiny-base", "--baseline-step", "3"), "--baseline-step 3 changes"),
    ],
)
def test_what_would_change_nothing_is_not_taken_in_silence(here: Path, args: tuple[object, ...], said: str) -> None:
    assert re.search(said, _invoke(*args))
    assert not (here / "entropydx-runs").exists()


def test_a_base_model_that_no_adapter_needs_is_remarked_on(here: Path) -> None:
    result = CliRunner().invoke(app, ["diagnose", "synthetic:healthy", *SMALL, "--base-model", str(ORGANISM)])
    assert result.exit_code in {0, 1, 3}
    assert "changes nothing: synthetic:healthy is no PEFT adapter" in " ".join(result.stderr.split())


# ── documents over each other, or over data ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("gate run --json same.out --junit same.out", "--json and --junit would both be written to same.out"),
        ("gate run --json same.out --html ./same.out", "--json and --html would both"),
        ("gate run --gitlab link.out --junit same.out", "--junit and --gitlab would both"),
        ("triage run --json run/samples-checkpoint.jsonl", "overwrite samples-checkpoint.jsonl of the run in"),
        ("triage run --html run/completions-checkpoint.parquet", "overwrite completions-checkpoint.parquet of"),
        ("report run --html run/run.json", "overwrite run.json of the run in"),
        ("report run --html link.json", "overwrite run.json of the run in"),
        ("gate run --json run/../run/report.json", "overwrite report.json of the run in"),
        ("merge run --json run/lock", "overwrite lock of the run in"),
        ("watch . --log run/run.json", "overwrite run.json of the run in"),
        ("triage stored.json --json stored.json", "overwrite stored.json, which is read"),
        ("gate run --policy policy.toml --json policy.toml", "overwrite policy.toml, which is read"),
        ("diagnose model --json model/config.json", "overwrite a file of model, which is read"),
        ("sweep a b --run-dir empty --csv empty/sweep.json", "overwrite sweep.json of the run in"),
        ("diagnose synthetic:healthy --engine synthetic --run-dir empty --json empty/run.json", "overwrite run.json"),
    ],
)
def test_a_document_overwrites_nothing_that_matters(here: Path, command: str, said: str) -> None:
    (here / "link.json").symlink_to("run/run.json")
    (here / "link.out").symlink_to("same.out")
    (here / "policy.toml").write_text("[gate]\n")
    (here / "empty").mkdir()
    (here / "model").mkdir()
    (here / "model" / "config.json").write_text("{}")
    shutil.copy("run/report.json", "stored.json")
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert said in _invoke(*command.split())
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_a_document_may_lie_beside_a_run_and_go_nowhere_twice(here: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["report", "run", "--html", "run/report.html"]).exit_code == 0
    gone = runner.invoke(app, ["gate", "run", "--json", "/dev/null", "--junit", "/dev/null", "--quiet"])
    assert gone.exit_code in {0, 1, 3}, gone.output
    again = runner.invoke(app, ["gate", "run", "--json", "gate.json", "--junit", "junit.xml", "--quiet"])
    assert again.exit_code in {0, 1, 3}, again.output
    assert json.loads((here / "gate.json").read_text())["exit_code"] == again.exit_code


def test_a_run_json_of_another_kind_makes_no_run_directory(here: Path) -> None:
    for _ in range(2):
        _verdict("triage", "run", "--json", "run.json")
    for text in ('{"id": "wandb"}', "[", '{"store_version": 2}', "[" * 100_000):
        (here / "run.json").write_text(text)
        _verdict("triage", "run", "--json", "report.json")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("import train --json train/checkpoint-40/trainer_state.json", "overwrite a file of train, which is read"),
        ("trajectory train --json train/checkpoint-40/generation_config.json", "overwrite a file of train, which"),
        ("trajectory train --json train/linked/config.json", "overwrite a file of train, which"),
        ("triage run --html run/notes.html", "overwrite a file of run, which"),
        ("watch . --log train/checkpoint-40/trainer_state.json", "overwrite a file of ., which"),
        ("triage run --json entropydx.toml", "overwrite entropydx.toml, a settings file"),
        ("triage run --json ./pyproject.toml", "overwrite pyproject.toml, a settings file"),
        ("triage run --json loop", "cannot write loop: Too many levels of symbolic links (the link leads to itself)"),
        ("triage run --html loop/x", "cannot write loop/x: Too many levels"),
    ],
)
def test_a_document_overwrites_nothing_below_what_is_read(here: Path, command: str, said: str) -> None:
    for name in ("train/checkpoint-40/trainer_state.json", "train/checkpoint-40/generation_config.json"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("{}")
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "config.json").write_text("{}")
    (here / "train" / "linked").symlink_to(here / "elsewhere")
    (here / "run" / "notes.html").write_text("mine")
    (here / "entropydx.toml").write_text("")
    (here / "pyproject.toml").write_text("")
    (here / "loop").symlink_to("loop")
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert said in _invoke(*command.split())
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_our_own_documents_are_written_again_below_what_is_read(here: Path) -> None:
    (here / "run" / "empty.json").touch()
    for _ in range(2):
        _verdict("triage", "run", "--json", "run/a.json", "--html", "run/a.html")
        _verdict("gate", "run", "--json", "run/b.json", "--junit", "run/b.xml", "--gitlab", "run/b.gitlab")
        _verdict("triage", "run", "--json", "run/empty.json")
    check_apart({"checkpoints": ["run"], "csv": None, "json": "run/a.json"})
    for header in ("name,ref,label,confidence,severity\n", "before_name,after_name,measurement,about\n"):
        (here / "run" / "t.csv").write_text(header)
        check_apart({"checkpoints": ["run"], "csv": "run/t.csv"})
    (here / "run" / "watch.jsonl").write_text('{"schema_version": "1.0", "at": "2026-01-01"}\n')
    check_apart({"run": here, "log": "run/watch.jsonl"})


def test_a_word_is_no_file(here: Path) -> None:
    (here / "json").write_text("of before")
    check_apart({"run": "run", "json": "json", "format": "json"})
    check_apart({"path": "run", "extract": r"~(\d+)", "json": "x.json"})
    said = _invoke("import", "run", "--verifier", "regex", "--extract", r"~(\d+)", "--json", "x.json")
    assert "no tool is recognised" in said


def test_every_argument_that_may_name_a_file_is_known() -> None:
    words = {
        *("run_dir", "from_", "verifier", "extract", "score", "map_", "format", "engine", "endpoint", "budget", "ray"),
        *("baseline_endpoint", "thinking", "probes", "device", "dtype", "stage", "shard", "remedy", "webhook"),
        "command_",
    }
    checked = 0
    for command in app.registered_commands:
        function = inspect.unwrap(command.callback)  # type: ignore[arg-type]
        if "check_apart" in inspect.getsource(function):
            hints = {name: str(hint) for name, hint in get_type_hints(function).items() if name != "return"}
            texts = {name for name, hint in hints.items() if "str" in hint or "Path" in hint}
            assert texts <= {*READ, *DOCUMENTS, *words}, command.name
            checked += 1
    assert checked > 9


def test_a_run_takes_its_own_report_and_a_series_what_it_does_not_have(here: Path) -> None:
    for _ in range(2):
        _verdict("diagnose", "synthetic:healthy", *SMALL, "--run-dir", "run", "--json", "run/report.json")
    for name in ("report.json", "run.json", "lock"):
        check_apart({"checkpoints": ["a"], "run_dir": "series", "json": f"series/{name}"})
    check_apart({"path": Path("rows"), "run_dir": Path("run"), "json": "run/report.json"})
    check_apart({"runs": [Path("shard")], "run_dir": Path("run"), "json": "run/report.json"})
    kept: list[dict[str, Any]] = [
        {"target": "x", "json": "run/report.json"},
        {"checkpoint": "x", "json": "run/report.json", "exit_zero": True},
        {"checkpoint": "x", "html": "run/report.json"},
        {"checkpoint": "x", "json": "run/run.json"},
        {"checkpoints": ["x"], "json": "run/report.json"},
    ]
    for arguments in kept:
        with pytest.raises(ConfigError, match="would overwrite"):
            check_apart({"run_dir": "run", **arguments})


@pytest.mark.parametrize("flags", [("~nobodyhere/x",), (ORGANISM, "--baseline", "~nobodyhere/x")])
def test_the_home_of_nobody_is_no_checkpoint(here: Path, flags: tuple[object, ...]) -> None:
    assert "no checkpoint at '~nobodyhere/x'" in _invoke("diagnose", *flags, "--quiet")


def test_a_link_that_leads_nowhere_is_no_matter_of_rights(here: Path) -> None:
    (here / "links").mkdir()
    (here / "links" / "rows.txt").symlink_to("gone.txt")
    (here / "links" / "loop.txt").symlink_to("loop.txt")
    assert "links: no tool is recognised" in _invoke("import", "links")


# ── names ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_kind_that_is_listed_is_offered() -> None:
    assert "label" in _invoke("list", "zork").partition("known: ")[2].rstrip(")").split(", ")
    assert "did you mean 'label'?" in _invoke("list", "labell")
