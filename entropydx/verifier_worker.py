"""The child process of `verifier_pool`: it does what may never return, and can be killed.

One JSON object a line on standard input, one on standard output. `regex` and `math` are the two services.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

MEMORY_BYTES = 4 << 30
"""Address space that a child may use; a tower of powers would otherwise take all of it before the deadline."""


def last_group(pattern: str, text: str) -> str | None:
    """Return the first group of the last match in which it took part; None when there is no such match."""
    found = None
    for match in re.finditer(pattern, text):
        found = match[1] if match[1] is not None else found
    return found


def fullmatch(pattern: str, text: str) -> bool:
    """Return whether the whole text matches."""
    return re.fullmatch(pattern, text) is not None


def math_equal(gold: str, answer: str) -> bool:
    """Return whether two LaTeX expressions are equal; an answer that math-verify cannot read is not."""
    from math_verify import parse, verify  # noqa: PLC0415 - costs a second, and only this service needs it

    # Its own timeouts are off: they rest on SIGALRM, which big-integer arithmetic never lets through.
    gold_parsed, answer_parsed = (parse(f"${side}$", parsing_timeout=None) for side in (gold, answer))
    return bool(verify(gold_parsed, answer_parsed, timeout_seconds=None))


def math_readable(text: str) -> bool:
    """Return whether math-verify can read a LaTeX expression."""
    from math_verify import parse  # noqa: PLC0415

    return any(not isinstance(reading, str) for reading in parse(f"${text}$", parsing_timeout=None))


OPERATIONS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (last_group, fullmatch, math_equal, math_readable)}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Perform one request `{"do": name, "args": [...], "alarm_s": seconds}` under a kernel alarm.

    The alarm's default action ends the process even inside C code, so that a child whose parent was killed does not
    spin for ever.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, request["alarm_s"])
    try:
        return {"ok": OPERATIONS[request["do"]](*request["args"])}
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def main() -> None:
    """Serve requests until standard input closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # a library that prints must not write into the replies
    _limit_memory()
    for line in sys.stdin:
        replies.write(json.dumps(answer(json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
