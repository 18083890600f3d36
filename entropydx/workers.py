"""A worker: one process that holds engines, does what it is ordered, and replies as it goes; here over a socket pair.

    driver: Worker.call(order) ──▶ worker process: Host.serve(order) ──▶ Engine
            replies, one by one ◀──

What a worker says of an order ends in `Done`, `Failed` or `Crashed`; a worker that ends without one of them was lost.
`cluster.RayWorker` is the same over Ray. Not `multiprocessing`: its spawned children import the caller's `__main__`
again, so that a script without a main guard would run twice (see `verifier_pool`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Literal, Protocol

from entropydx import __version__, plugins
from entropydx.errors import EntropydxError
from entropydx.protocols import Engine, EngineOptions
from entropydx.types import CheckpointInfo, Group, Passage, Prompt, Requires, Score

STOP_S = 5.0
"""Seconds that a worker which is told to end may take before it is killed."""

# ── what is said ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Which engine, on which checkpoint."""

    plugin: str
    ref: str
    """Absolute where it is a path: a worker need not share the driver's working directory."""
    options: EngineOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is told to do.

    describe opens the engine; check asks for what the engine refuses before it draws (too long, unknown ids), without
    drawing; work draws or scores the items; close frees the weights.
    """

    opening: Opening
    ask: Literal["describe", "check", "work", "close"]
    items: tuple[Prompt | Passage, ...] = ()
    method: Literal["generate", "score"] = "generate"
    arguments: tuple[Any, ...] = ()
    """Of the method, after the items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What an engine says of itself, after an order."""

    version: str
    """Of entropydx, where the worker runs."""
    info: CheckpointInfo
    provides: Requires
    scoring: str
    device: str
    uses_chat_template: bool
    deployment: tuple[float, float] | EntropydxError | None
    """The error is raised when the deployment is asked for, as the engine itself does."""
    batch_rows: int
    leaves_room: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One group or score is complete."""

    value: Group | Score


@dataclass(frozen=True, slots=True)
class Remark:
    """The engine warns of something."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The order is carried out."""

    state: State | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A deliberate error."""

    error: EntropydxError


@dataclass(frozen=True, slots=True)
class Crashed:
    """A bug; its traceback."""

    trace: str


Reply = Item | Remark | Done | Failed | Crashed
LAST = (Done, Failed, Crashed)


class WorkerLostError(Exception):
    """A worker is gone, and will not come back; the message says how it ended."""


class Worker(Protocol):
    """A worker as its driver sees it."""

    name: str

    def await_ready(self) -> None:
        """Return when the worker can take an order; `WorkerLostError` when it never will."""
        ...

    def call(self, order: Order) -> Iterator[Reply]:
        """Yield the replies to an order up to the last one; `WorkerLostError` when the worker is gone."""
        ...

    def stop(self) -> None:
        """End the worker, whatever it is doing."""
        ...


# ── inside a worker ───────────────────────────────────────────────────────────────────────────────


class _Remarks:
    """A `Progress` that keeps the remarks: bars are the driver's."""

    def __init__(self) -> None:
        self._held: list[Remark] = []

    def start(self, stage: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Ignore."""

    def warn(self, message: str) -> None:
        """Keep."""
        self._held.append(Remark(message))

    def taken(self) -> list[Remark]:
        """Return what was said since the last call."""
        said, self._held = self._held, []
        return said


class Host:
    """The engines of one worker, each opened once."""

    def __init__(self) -> None:
        self._engines: dict[Opening, Engine] = {}
        self._remarks = _Remarks()

    def serve(self, order: Order) -> Iterator[Reply]:
        """Carry out an order and yield what there is to say."""
        try:
            if order.ask == "close":
                if order.opening in self._engines:
                    self._engines[order.opening].close()
                yield Done(None)
                return
            engine = self._engine(order.opening)
            if order.ask != "describe":
                # Engines refuse what does not fit when they are called, and draw when they are iterated over.
                found: Iterator[Any] = getattr(engine, order.method)(order.items, *order.arguments)
                for value in found if order.ask == "work" else ():
                    yield from self._remarks.taken()
                    yield Item(value)
            yield from self._remarks.taken()
            yield Done(_state(engine))
        except EntropydxError as error:
            yield Failed(error)
        except Exception:  # noqa: BLE001 - the traceback has to reach the process that the user started
            yield Crashed(traceback.format_exc())

    def _engine(self, opening: Opening) -> Engine:
        if opening not in self._engines:
            kind: type[Engine] = plugins.load("engine", opening.plugin)
            self._engines[opening] = kind(opening.ref, opening.options, self._remarks)
        return self._engines[opening]


def _state(engine: Engine) -> State:
    try:
        deployment: tuple[float, float] | EntropydxError | None = engine.deployment
    except EntropydxError as error:
        deployment = error
    return State(
        version=__version__,
        info=engine.info,
        provides=engine.provides,
        scoring=engine.scoring,
        device=engine.device,
        uses_chat_template=engine.uses_chat_template,
        deployment=deployment,
        batch_rows=engine.batch_rows,
        leaves_room=engine.leaves_room,
    )


def main() -> None:
    """Serve the parent over the socket whose descriptor is the first argument, until either of the two is gone."""
    pipe = Connection(int(sys.argv[1]))
    orders: SimpleQueue[Order] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    host = Host()
    while True:
        for reply in host.serve(orders.get()):
            with contextlib.suppress(BrokenPipeError):  # the listener ends the process
                pipe.send(reply)


def _listen(pipe: Connection, orders: SimpleQueue[Order]) -> None:
    """Take orders; when the parent is gone, however it ended, end this process and what the engine started in it."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            orders.put(pipe.recv())
    os.killpg(os.getpid(), signal.SIGKILL)  # a session of its own: `LocalWorker` starts it so


# ── a worker on this machine ──────────────────────────────────────────────────────────────────────


class LocalWorker:
    """A child process in a session of its own: Ctrl-C is the parent's to handle, and all that it starts ends with it.

    Parameters
    ----------
    name : str
        For people.
    environment : mapping
        Added to this process's own, before anything is imported: visible GPUs, number of threads.
    """

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from entropydx.workers import main; main()", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # a library that prints must not write into the document
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
                    **environment,
                },
                start_new_session=True,
            )
        self._pipe = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def await_ready(self) -> None:
        """Return at once: what is sent before the process listens waits in the socket."""

    def call(self, order: Order) -> Iterator[Reply]:
        """Yield the replies to an order, see `Worker`."""
        try:
            self._pipe.send(order)
            while True:
                reply: Reply = self._pipe.recv()
                yield reply
                if isinstance(reply, LAST):
                    return
        except (EOFError, OSError):
            raise WorkerLostError(self._how_it_ended()) from None

    def stop(self) -> None:
        """Kill the process and what it started, and close the socket."""
        with contextlib.suppress(ProcessLookupError):  # it is gone already
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code < 0:
            what = f"killed by {signal.Signals(-code).name}"
            return f"{what}, as happens when memory runs out" if -code == signal.SIGKILL else what
        return f"it exited with code {code}"


def local_environments(n_workers: int, n_gpus: int, visible: str | None) -> Iterable[dict[str, str]]:
    """Yield what each of `n_workers` processes gets: a GPU of its own, or where there is none its part of the cores.

    Parameters
    ----------
    n_gpus : int
        GPUs that this process sees; 0 when the work is to be done on the CPU.
    visible : str, optional
        This process's own CUDA_VISIBLE_DEVICES.
    """
    if n_gpus:
        names = [part.strip() for part in visible.split(",")] if visible else [str(i) for i in range(n_gpus)]
        yield from ({"CUDA_VISIBLE_DEVICES": name} for name in names[:n_workers])
        return
    threads = max(1, len(os.sched_getaffinity(0)) // n_workers if hasattr(os, "sched_getaffinity") else 1)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(asked)) if asked.isdigit() and int(asked) else threads
    # OpenMP reads both when torch is imported.
    yield from ({"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"} for _ in range(n_workers))
