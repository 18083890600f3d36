"""Requests to a server: many at once, repeated with back-off while that can help, and one clear line when it cannot.

An event loop in a thread of its own drives httpx, so that requests go on while their answers are worked on, and end at
once when nobody wants them any more.
"""

from __future__ import annotations

import asyncio
import functools
import os
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from entropydx.errors import ConfigError, EngineError

KEY_VARIABLE = "OPENAI_API_KEY"
ATTEMPTS = 7
"""Times that a request is sent before it is given up: about a minute of waiting."""
GREETING_ATTEMPTS = 3
"""Times that the server is asked what it serves."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
LONGEST_ASKED_WAIT_S = 300.0
"""A server that asks for more patience than this has a quota, not a queue."""
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 900.0
"""Between two bytes: a long completion of a busy server comes all at once, after minutes."""
TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed."""
HIDDEN = "[key]"
SHOWN = 300
"""Characters of an answer that an error message repeats."""
_UNSERVED = re.compile(r"validation error|logprobs|not supported", re.IGNORECASE)
T = TypeVar("T")
Task = TypeVar("Task")


class RefusedError(EngineError):
    """The server will not answer this request however often it is sent."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status, self.said = status, said


@functools.cache
def _certificates() -> Any:
    """Return what servers are trusted by; reading it takes longer than a request."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()


def checked_endpoint(endpoint: str | None) -> str:
    """Return a server's address without the slash at its end.

    Raises
    ------
    ConfigError
        There is none, it is no http address, or it has a password in it.
    """
    if not endpoint:
        raise ConfigError("engine 'openai' needs a server", "--endpoint http://host:8000/v1")
    parts = urlsplit(endpoint)
    if parts.username or parts.password:
        raise ConfigError("the endpoint has a user or a password in it", f"put the key into {KEY_VARIABLE}")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"endpoint '{endpoint}' is no address of a server", "for example http://host:8000/v1")
    return endpoint.rstrip("/")


class Client:
    """One server, asked by many coroutines at once.

    Parameters
    ----------
    endpoint : str
        As `checked_endpoint` returns it. The key comes from the environment variable OPENAI_API_KEY, and stands in
        nothing that this class says.

    Raises
    ------
    ConfigError
        httpx is not installed.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            import httpx  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigError("engine 'openai' needs httpx", "pip install 'entropydx[openai]'") from None
        self.endpoint = endpoint
        self._httpx, self._key = httpx, os.environ.get(KEY_VARIABLE, "")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._http = httpx.AsyncClient(
            headers=headers,
            verify=_certificates(),
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="entropydx-http", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._finish())
        self._loop.close()

    async def _finish(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._http.aclose()

    def close(self) -> None:
        """Give up what is on its way, close the connections and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def each(
        self, tasks: Iterable[Task], work: Callable[[Task], Coroutine[Any, Any, T]], n_at_once: int
    ) -> Iterator[tuple[Task, T]]:
        """Yield every task with its result as it is done, in any order; tasks are begun a few ahead of their turn."""
        left, done = iter(tasks), queue.SimpleQueue[tuple[Task, "Future[T]"]]()
        running: set[Future[T]] = set()
        turn = asyncio.Semaphore(n_at_once)

        async def in_turn(task: Task) -> T:
            async with turn:
                return await work(task)

        def begin(n: int) -> None:
            for task in islice(left, n):
                future = asyncio.run_coroutine_threadsafe(in_turn(task), self._loop)
                running.add(future)
                future.add_done_callback(lambda f, task=task: done.put((task, f)))  # type: ignore[misc]

        try:
            begin(2 * n_at_once)
            while running:
                task, future = done.get()
                running.discard(future)
                begin(1)
                yield task, future.result()
        finally:
            for future in running:
                future.cancel()

    async def get(self, path: str) -> Any:
        """Return the JSON of a GET.

        Raises
        ------
        RefusedError
            The server refuses it.
        EngineError
            The server cannot be reached, or refuses the key.
        """
        return await self._send("GET", path, None, GREETING_ATTEMPTS)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON that answers a POST; errors as `get`."""
        return await self._send("POST", path, body, ATTEMPTS)

    async def _send(self, method: str, path: str, body: dict[str, Any] | None, attempts: int) -> Any:
        for attempt in range(1, attempts + 1):
            wait = random.uniform(0.5, 1.0) * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))
            try:
                response = await self._http.request(method, self.endpoint + path, json=body)
                if response.status_code < 400:
                    return response.json()
                said = self._said(response)
                if not _may_pass(response.status_code, said, body):
                    raise self._refusal(response.status_code, said)
                problem = f"answers {response.status_code}: {said[:SHOWN]}"
                wait = max(wait, self._asked_wait(response, said))
            except self._httpx.TimeoutException:
                problem = "does not answer in time"
            except self._httpx.TransportError as error:
                problem = f"cannot be reached: {self._hidden(str(error)) or type(error).__name__}"
            except ValueError:  # what came with a good status is no JSON
                problem = "answers with something that is no JSON"
            if attempt < attempts:
                await asyncio.sleep(wait)
        raise EngineError(
            f"the server at {self.endpoint} {problem} (tried {attempts} times)",
            "is it running, and does the address end in /v1? What was drawn is kept; the same command goes on",
        )

    def _asked_wait(self, response: Any, said: str) -> float:
        """Return the seconds that a server asks to be left alone, 0 when it does not say."""
        seconds = retry_after(response.headers.get("Retry-After"))
        if seconds > LONGEST_ASKED_WAIT_S:
            raise EngineError(
                f"the server at {self.endpoint} asks to wait {seconds:.0f} s: {said[:SHOWN]}",
                "run the same command later: what was drawn is kept",
            )
        return seconds

    def _refusal(self, status: int, said: str) -> EngineError:
        if status in {401, 403}:
            given = f"refuses the key in {KEY_VARIABLE}" if self._key else "asks for a key"
            return EngineError(f"the server at {self.endpoint} {given}: {said[:SHOWN]}", f"set {KEY_VARIABLE}")
        return RefusedError(f"the server at {self.endpoint} answers {status}: {said[:SHOWN]}", status, said)

    def _said(self, response: Any) -> str:
        """Return what an error answer says, in one line and without the key."""
        try:
            said = response.json()
        except ValueError:
            said = response.text
        while isinstance(said, dict) and (inner := said.get("error") or said.get("message") or said.get("detail")):
            said = inner
        return " ".join(self._hidden(str(said)).split())

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, HIDDEN) if self._key else text


def _may_pass(status: int, said: str, body: dict[str, Any] | None) -> bool:
    """Return whether to send it again: llama-cpp-python answers fields that it cannot take with 500."""
    unserved = status == 500 and body is not None and _UNSERVED.search(said) is not None
    return status in TRANSIENT and not unserved


def retry_after(value: str | None) -> float:
    """Return the seconds of a `Retry-After` header (RFC 9110, 10.2.3): a number, or a date; 0 for anything else."""
    try:
        seconds = float(value or 0)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value or "").timestamp() - time.time()
        except ValueError:
            return 0.0
    return max(0.0, seconds) if seconds == seconds else 0.0  # noqa: PLR0124 - NaN is not itself
