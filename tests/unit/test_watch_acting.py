"""The command and the webhook of an alarm, against real processes and a server on this machine; the log on disk."""

import json
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from filelock import FileLock

from entropydx import document
from entropydx.errors import RunStoreError
from entropydx.protocols import Silent
from entropydx.types import WATCH_VERSION, Label, WatchLine
from entropydx.watching import WatchRules, read_log
from entropydx.watching.acting import act, post, run_command
from entropydx.watching.logbook import Logbook

LINE = WatchLine(
    schema_version=WATCH_VERSION,
    at="2026-11-28T00:00:00.000+00:00",
    event="judged",
    text='checkpoint-40: ALARM, failed: it\'s "bad"; $(touch x)',
    run="run",
    checkpoint="run/checkpoint-40",
    name="checkpoint-40",
    step=40,
    fired=True,
    verdict="failed",
    failed=("failure.training_collapse",),
    label=Label.TRAINING_COLLAPSE,
)


@pytest.fixture
def server():
    """A server that gives the answers in `answers`, then 200, and keeps what was posted."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.posted.append(
                (self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.posted, running.answers = [], []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server):
    return f"http://127.0.0.1:{server.server_port}/hooks/secret"


# ── the webhook ───────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_gets_the_line(server):
    outcome = post(address(server), LINE, 5)
    assert outcome.ok
    [(kind, body)] = server.posted
    assert kind == "application/json"
    assert json.loads(body) == json.loads(document.to_line(LINE))
    assert "secret" not in outcome.text


def test_a_passing_failure_is_tried_again(server):
    server.answers[:], pauses = [503, 429], []
    assert post(address(server), LINE, 5, pauses.append).ok
    assert (len(server.posted), pauses) == (3, [1.0, 4.0])


def test_tries_come_to_an_end(server):
    server.answers[:] = [503] * 9
    outcome = post(address(server), LINE, 5, lambda s: None)
    assert (outcome.ok, len(server.posted)) == (False, 3)
    assert outcome.text == "the webhook at 127.0.0.1 answered 503"


def test_a_refusal_is_not_tried_again(server):
    server.answers[:] = [404]
    assert not post(address(server), LINE, 5, lambda s: None).ok
    assert len(server.posted) == 1


def test_a_redirect_is_no_success(server):
    server.answers = [302]
    outcome = post(address(server), LINE, 5)
    assert (outcome.ok, len(server.posted)) == (False, 1)
    assert "answered 302, which leads elsewhere and is not followed" in outcome.text


def test_nobody_there_is_said():
    outcome = post("http://127.0.0.1:9/secret", LINE, 1, lambda s: None)
    assert not outcome.ok
    assert "did not answer" in outcome.text
    assert "secret" not in outcome.text


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def python(code):
    return f"{sys.executable} -c '{code}'"


def test_a_command_gets_the_line_and_variables_and_no_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = 'import json, os, sys; json.dump([json.load(sys.stdin), dict(os.environ)], open("seen", "w"))'
    assert run_command(python(code), LINE, 20).ok
    line, variables = json.loads((tmp_path / "seen").read_text())
    assert line == json.loads(document.to_line(LINE))
    assert variables["ENTROPYDX_STEP"] == "40"
    assert variables["ENTROPYDX_LABEL"] == "training_collapse"
    assert variables["ENTROPYDX_FAILED"] == "failure.training_collapse"
    assert variables["ENTROPYDX_TEXT"] == LINE.text
    assert run_command("echo $(touch x) ; touch y", LINE, 20).ok
    assert [p.name for p in tmp_path.iterdir()] == ["seen"]


def test_a_command_that_fails_or_takes_nothing_from_its_input_is_said(tmp_path):
    assert run_command(python("raise SystemExit(3)"), LINE, 20).text.endswith("gave exit code 3")
    assert run_command("true", LINE, 20).ok
    assert "could not be run" in run_command(str(tmp_path), LINE, 20).text


def test_a_command_that_cannot_be_given_its_variables_is_said():
    outcome = run_command(f"{sys.executable} -c pass", replace(LINE, text="a\0b"), 5)
    assert not outcome.ok
    assert "could not be run" in outcome.text


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path):
    child = f'import time; time.sleep(2); open("{tmp_path}/late", "w")'
    code = f'import subprocess, sys, time; subprocess.Popen([sys.executable, "-c", """{child}"""]); time.sleep(60)'
    started = time.monotonic()
    outcome = run_command(python(code), LINE, 1)
    assert not outcome.ok
    assert "was ended after 1 s" in outcome.text
    assert time.monotonic() - started < 10
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


def test_one_action_that_fails_does_not_keep_the_other_from_happening(server):
    outcomes = act(WatchRules(command="false", webhook=address(server)), LINE)
    assert [o.ok for o in outcomes] == [False, True]
    assert act(WatchRules(), LINE) == []


def test_what_a_command_prints_does_not_go_to_standard_output(capfd):
    run_command("echo hello", LINE, 20)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def test_a_log_is_read_again_and_its_torn_tail_is_cut_off(tmp_path):
    path = tmp_path / "new" / "watch.jsonl"
    with Logbook(path, Silent(), wait=False) as log:
        text = log.append(LINE)
    assert path.read_text() == text
    with path.open("a") as file:
        file.write(text[:30])
    assert read_log(path) == [LINE]
    with Logbook(path, Silent(), wait=False) as log:
        assert log.lines == [LINE]
        log.append(LINE)
    assert read_log(path) == [LINE, LINE]


def test_a_log_has_one_writer(tmp_path):
    class Heard(Silent):
        def warn(self, message):
            assert "another watch" in message
            held.release()

    path = tmp_path / "watch.jsonl"
    held = FileLock(f"{path}.lock")
    held.acquire()
    with pytest.raises(RunStoreError, match="another watch is writing"), Logbook(path, Silent(), wait=False):
        pass
    with Logbook(path, Heard(), wait=True):
        pass


@pytest.mark.parametrize(
    ("content", "said"), [("{}\n", "line 1 is no line of a watch"), ("a b\n", "line 1"), ('{"x": NaN}\n', "line 1")]
)
def test_a_foreign_file_is_not_taken_for_a_log(tmp_path, content, said):
    (tmp_path / "log").write_text(content)
    with pytest.raises(RunStoreError, match=said), Logbook(tmp_path / "log", Silent(), wait=False):
        pass
    assert (tmp_path / "log").read_text() == content
    FileLock(tmp_path / "log.lock").acquire(timeout=0)


def test_a_directory_is_no_log(tmp_path):
    with pytest.raises(RunStoreError, match="is a directory"):
        Logbook(tmp_path, Silent(), wait=False)


def test_a_log_of_another_version_is_refused(tmp_path):
    text = document.to_line(LINE).replace('"schema_version": "1.0"', '"schema_version": "9.0"')
    (tmp_path / "log").write_text(text)
    with pytest.raises(RunStoreError, match=r"schema_version 9\.0"):
        read_log(tmp_path / "log")
