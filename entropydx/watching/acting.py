"""What an alarm sets off: a command, a webhook. Whatever becomes of them is said, and never ends the watch."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from entropydx import __version__, document
from entropydx.types import WatchLine
from entropydx.watching.rules import WatchRules

STDERR = 2
"""Where a command's output goes: standard output belongs to the JSON lines."""
TRIES = 3
"""Of a webhook: one lost packet must not lose an alarm, and a server that is down is not waited for."""
FIRST_PAUSE_S = 1.0
"""Before the second try; each further pause is four times as long."""
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which another try makes sense (RFC 9110, RFC 6585, RFC 8470)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one action."""

    ok: bool
    text: str


def act(rules: WatchRules, line: WatchLine, sleep: Callable[[float], None] = time.sleep) -> list[Outcome]:
    """Run the command and call the webhook, where there are such, and return what came of them."""
    done = []
    if rules.command is not None:
        done.append(run_command(rules.command, line, rules.action_timeout))
    if rules.webhook is not None:
        done.append(post(rules.webhook, line, rules.action_timeout, sleep))
    return done


def environment(line: WatchLine) -> dict[str, str]:
    """Return the variables that a command is given beside those of the watch."""
    values = {
        "EVENT": line.event,
        "RUN": line.run,
        "CHECKPOINT": line.checkpoint,
        "NAME": line.name,
        "STEP": str(line.step),
        "VERDICT": line.verdict or "",
        "FAILED": " ".join(line.failed),
        "NEW": " ".join(line.new),
        "LABEL": "" if line.label is None else line.label.value,
        "CONFIDENCE": line.confidence or "",
        "REPORT": line.report or "",
        "TEXT": line.text,
    }
    return {f"ENTROPYDX_{name}": value for name, value in values.items()}


def run_command(command: str, line: WatchLine, timeout: float) -> Outcome:
    """Run a command without a shell: the line is its standard input, its output goes to standard error.

    At the time-out it is killed with everything that it started.
    """
    words = shlex.split(command)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=STDERR,
            env={**os.environ, **environment(line)},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return Outcome(ok=False, text=f"the command {words[0]} could not be run: {why}")
    with process:
        try:
            process.communicate(document.to_line(line).encode("ascii"), timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Outcome(ok=False, text=f"the command {words[0]} was ended after {timeout:g} s")
    if process.returncode:
        return Outcome(ok=False, text=f"the command {words[0]} gave exit code {process.returncode}")
    return Outcome(ok=True, text=f"the command {words[0]} was run")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: urllib would make a GET without the line of it, and call that a success."""

    def redirect_request(self, *_: object) -> None:
        """Return no other request."""


_OPENER = urllib.request.build_opener(_Stay)


def post(url: str, line: WatchLine, timeout: float, sleep: Callable[[float], None] = time.sleep) -> Outcome:
    """Post the line as JSON; a passing failure is tried again. The address may hold a secret, so only its host is told.

    Parameters
    ----------
    timeout : float
        Seconds, of each try.
    """
    parts = urlsplit(url)
    whom = f"the webhook at {parts.hostname}"
    request = urllib.request.Request(
        url,
        data=document.to_line(line).encode("ascii"),
        headers={"Content-Type": "application/json", "User-Agent": f"entropydx/{__version__}"},
        method="POST",
    )
    problem = ""
    for number in range(TRIES):
        if number:
            sleep(FIRST_PAUSE_S * 4 ** (number - 1))
        try:
            with _OPENER.open(request, timeout=timeout) as answer:
                return Outcome(ok=True, text=f"{whom} answered {answer.status}")
        except urllib.error.HTTPError as error:
            error.close()
            moved = ", which leads elsewhere and is not followed" if 300 <= error.code < 400 else ""
            problem = f"answered {error.code}{moved}"
            if error.code not in PASSING:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = f"did not answer: {getattr(error, 'reason', None) or error}"
    return Outcome(ok=False, text=f"{whom} {problem}")
