"""A few child processes that can be killed: for regular expressions and for math-verify.

Not `multiprocessing`: its spawned children import the caller's `__main__` again, so that a script without a main guard
would run twice. Not threads or SIGALRM: neither can stop a computation inside C code (Math-Verify issue 65).
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from typing import IO, Any, cast

REGEX_DEADLINE_S = 2.0
"""Seconds that a suite's regular expression may take on one completion."""

MATH_DEADLINE_S = 5.0
"""Seconds that math-verify may take for one comparison, its own default."""

START_DEADLINE_S = 120.0
"""Seconds for a child's first reply: math-verify takes seconds to import on a busy machine."""

ALARM_GRACE_S = 2.0
"""How much later than the parent's kill the child's own alarm rings."""


class WorkerFailedError(Exception):
    """A child gave no reply: `timed_out`, or it died, or the computation itself failed."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class _Worker:
    """One child process and its pipes."""

    def __init__(self, warm_up: tuple[str, list[str]]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "entropydx.verifier_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="ascii",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)},
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        self._requests = cast(IO[str], self._process.stdin)
        self._replies = cast(IO[str], self._process.stdout)
        self.ask(*warm_up, START_DEADLINE_S)

    def ask(self, do: str, args: list[str], deadline_s: float) -> dict[str, Any]:
        """Return the reply; after any exception the worker is unusable and must be closed."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(deadline_s, expire)
        timer.daemon = True
        timer.start()
        try:
            reply = self._exchange({"do": do, "args": args, "alarm_s": deadline_s + ALARM_GRACE_S})
        finally:
            timer.cancel()
        if expired.is_set() or not reply:
            raise WorkerFailedError(f"no reply within {deadline_s} s", timed_out=expired.is_set())
        decoded: dict[str, Any] = json.loads(reply)
        return decoded

    def _exchange(self, request: dict[str, Any]) -> str:
        try:
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
            return self._replies.readline()
        except BrokenPipeError:
            return ""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._replies.close()
        with suppress(BrokenPipeError):  # a half-written request to a child that was killed
            self._requests.close()


class WorkerPool:
    """Children that are started when needed, reused, replaced when one is killed, and ended at exit.

    Parameters
    ----------
    warm_up : tuple of str and list of str
        A first request, whose time is not counted against any deadline.
    size : int
        Most children at a time; more callers wait.
    """

    def __init__(self, warm_up: tuple[str, list[str]], size: int = 2) -> None:
        self._warm_up = warm_up
        self._idle: list[_Worker] = []
        self._slots = threading.BoundedSemaphore(size)
        atexit.register(self.close)

    def ask(self, do: str, args: list[str], deadline_s: float) -> Any:
        """Return the result of one operation of `verifier_worker`.

        Raises
        ------
        WorkerFailedError
            The deadline passed and the child was killed, or the child died, or the operation failed.
        """
        with self._slots:
            worker = self._idle.pop() if self._idle else _Worker(self._warm_up)
            try:
                reply = worker.ask(do, args, deadline_s)
            except BaseException:  # an interrupt too leaves a reply behind that the next caller would read as its own
                worker.close()
                raise
            self._idle.append(worker)
        if "error" in reply:
            raise WorkerFailedError(reply["error"], timed_out=False)
        return reply["ok"]

    def close(self) -> None:
        """End every idle child; the pool can still be used afterwards."""
        while self._idle:
            self._idle.pop().close()


@cache
def _pool(service: str, pid: int) -> WorkerPool:
    # The process id is part of the key because a forked copy of a pipe must not be shared with the parent.
    warm_ups = {"regex": ("fullmatch", ["", ""]), "math": ("math_equal", ["1", "1"])}
    return WorkerPool(warm_ups[service])


def regex_pool() -> WorkerPool:
    """Return this process's pool for regular expressions."""
    return _pool("regex", os.getpid())


def math_pool() -> WorkerPool:
    """Return this process's pool for math-verify."""
    return _pool("math", os.getpid())
