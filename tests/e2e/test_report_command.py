"""`entropydx report`, and `--html` of the commands that judge: the same page, from disk, without torch or network."""

import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.test_cli import _one_line, _run, _synthetic


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and the page that the run wrote itself."""
    folder = tmp_path_factory.mktemp("run")
    small = ("--prompts", 24, "--samples", 4, "--probes", "token_entropy,sampling_spread,format_mode,confidence")
    flags = ("--run-dir", "run", "--html", "page.html", "--quiet", "--exit-zero")
    result = _run(*_synthetic("collapsed", *small, *flags), cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    return folder


def test_a_stored_run_has_the_page_that_it_wrote_when_it_was_drawn(drawn: Path) -> None:
    page = (drawn / "page.html").read_bytes()
    assert len(page) < 1_000_000
    result = _run("report", "run", "--html", "-", cwd=drawn, extra=("no_torch",))
    assert result.returncode == 0, result.stderr
    # The report says what the verdict alone gives; the page of the command said what it returned.
    assert _without_exit(result.stdout) == _without_exit(page.decode())


def _without_exit(page: str) -> str:
    return re.sub(r"exit code \d[^<]*", "", page)


def test_triage_writes_it_too_with_the_exit_code_that_it_returns(drawn: Path) -> None:
    old = drawn / "old"
    shutil.copytree(drawn / "run", old)
    (old / "report.json").write_text("{}")  # of a release before, which is what triage is for
    result = _run("triage", "old", "--html", "t.html", "--quiet", "--exit-zero", cwd=drawn, extra=("no_torch",))
    assert result.returncode == 0, result.stderr
    page = (drawn / "t.html").read_text()
    assert "exit code 0" in page
    assert "Every entropy, in nats" in page


def test_a_gate_writes_it_too(drawn: Path) -> None:
    result = _run("gate", "run", "--html", "g.html", "--quiet", "--exit-zero", cwd=drawn, extra=("no_torch",))
    assert result.returncode == 0, result.stderr
    assert "Every entropy, in nats" in (drawn / "g.html").read_text()


def test_a_report_alone_has_a_page_that_says_what_it_lacks(drawn: Path) -> None:
    result = _run("report", "run/report.json", "--html", "alone.html", cwd=drawn)
    assert result.returncode == 0, result.stderr
    assert "No heat strips: only the report is at hand" in (drawn / "alone.html").read_text()
    plain = _run("triage", "run/report.json", "--format", "html", cwd=drawn)
    assert plain.stdout.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("report", "missing", "--html", "x.html"), "missing"),
        (("report", "run", "--html", "x.html", "--trajectory", "run/report.json"), "entropydx trajectory --json FILE"),
        (("report", "run", "--html", "nowhere/x.html"), "is not a directory"),
        (_synthetic("healthy", "--html", "x.html", "--shard", "1/2"), "a shard has no report for --html"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    drawn: Path, arguments: tuple[object, ...], problem: str
) -> None:
    result = _run(*arguments, cwd=drawn)
    assert result.returncode == 2
    assert problem in _one_line(result.stderr)
    assert not (drawn / "x.html").exists()
