"""What is to be done, and who does it: jobs cut into pieces, and a thread for each worker that takes them.

Pieces are handed out as workers get free, larger ones first (guided self-scheduling, Polychronopoulos and Kuck 1987,
IEEE Trans. Computers 36(12)), so that fast workers do more and all end together. What a lost worker had not delivered
goes back on the board.
"""

from __future__ import annotations

import math
import threading
import traceback
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from entropydx.errors import ContextError, EngineError
from entropydx.types import Group, Passage, Prompt
from entropydx.workers import Crashed, Done, Failed, Item, Opening, Order, Reply, State, Worker, WorkerLostError

MAX_LOSSES = 3
"""Workers that may be lost over the same work before it is given up: it is then likely to be the reason."""
RESUME = "what was drawn is kept: the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone."""

    message: str
    error: EngineError | None = None
    """Why the job cannot go on; None: others do."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Every item is delivered and every worker is through with its piece."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """Orders of one kind to one engine; `units` are handed out in pieces of at least `least`."""

    opening: Opening
    ask: Literal["describe", "check", "work", "close"]
    units: Sequence[tuple[Prompt | Passage, ...]]
    method: Literal["generate", "score"] = "generate"
    arguments: tuple[Any, ...] = ()
    least: int = 1
    waiting: deque[int] = field(default_factory=deque)
    losses: dict[int, int] = field(default_factory=dict)
    """Workers lost over each unit."""
    even: int = 0
    """Size of the last pieces; 0 while larger ones are cut."""
    out: int = 0
    """Pieces that workers have."""
    said: SimpleQueue[Reply | Lost | Finished] = field(default_factory=SimpleQueue)
    states: dict[str, State] = field(default_factory=dict)
    """The last one of each worker, by its name."""

    def __post_init__(self) -> None:
        self.waiting.extend(range(len(self.units)))

    def cut(self, n_workers: int) -> Piece:
        """Take a piece off: half of an equal share of what is left, and more where that would not fill a batch.

        What is no more than a batch for each worker is split evenly, once, and not ever finer.
        """
        left = len(self.waiting)
        if not self.even and left <= self.least * n_workers:
            self.even = math.ceil(left / n_workers)
        n = min(left, self.even or max(math.ceil(left / (2 * n_workers)), self.least))
        self.out += 1
        return Piece(self, [self.waiting.popleft() for _ in range(n)])


class Piece:
    """What one worker has of a job."""

    def __init__(self, job: Job, units: Sequence[int]) -> None:
        self.job, self.units = job, units
        self.pending: dict[Hashable, int] = {_key(job, unit): unit for unit in units}

    @property
    def order(self) -> Order:
        """The order that it is."""
        job = self.job
        return Order(
            opening=job.opening,
            ask=job.ask,
            items=tuple(item for unit in self.units for item in job.units[unit]),
            method=job.method,
            arguments=job.arguments,
        )

    def hear(self, worker: str, reply: Reply) -> None:
        """Pass a reply on to the job, each item once, and places of texts as the job counts them."""
        if isinstance(reply, Item):
            value = reply.value
            del self.pending[value.prompt.id if isinstance(value, Group) else value.key]
        elif isinstance(reply, Done):
            if self.job.ask != "work":
                self.pending.clear()
            if reply.state is not None:
                self.job.states[worker] = reply.state
            if not self.pending:
                return
            reply = Crashed(f"engine '{self.job.opening.plugin}' left out {len(self.pending)} of {len(self.units)}")
        elif isinstance(reply, Failed) and isinstance(reply.error, ContextError) and self.job.ask == "work":
            error = reply.error
            reply = Failed(ContextError(error.message, error.hint, (self.units[i] for i in error.indices)))
        self.job.said.put(reply)


def _key(job: Job, unit: int) -> Hashable:
    """Return what the reply to a unit of work is known by."""
    if job.ask != "work":
        return unit
    (item,) = job.units[unit]
    return item.id if isinstance(item, Prompt) else item.key


class Board:
    """What is to be done, and who does it; shared by the threads of the workers, and by the engines."""

    def __init__(self, n_workers: int) -> None:
        self._changed = threading.Condition()
        self._jobs: list[Job] = []
        self._own: dict[int, deque[Job]] = {number: deque() for number in range(n_workers)}
        """By living worker: what it alone is to do."""
        self._closed = False

    @property
    def n_living(self) -> int:
        """Workers that are not lost."""
        return len(self._own)

    def put(self, job: Job) -> None:
        """Offer a job to all workers."""
        with self._changed:
            if not self._own:
                job.said.put(Lost("", _nobody_left()))
            elif not job.units:
                job.said.put(Finished())
            else:
                self._jobs.append(job)
            self._changed.notify_all()

    def tell_all(self, opening: Opening) -> None:
        """Have every living worker free the weights of an engine before it does anything else."""
        with self._changed:
            for own in self._own.values():
                own.append(Job(opening=opening, ask="close", units=[()]))
            self._changed.notify_all()

    def withdraw(self, job: Job) -> None:
        """Hand out no more of a job."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)

    def take(self, worker: int, before: Opening | None) -> Piece | None:
        """Return the next piece for a worker, of the engine that it used before where there is any; None at the end."""
        with self._changed:
            while not self._closed:
                own = self._own[worker]
                if own:
                    return own.popleft().cut(1)
                offered = sorted((j for j in self._jobs if j.waiting), key=lambda j: j.opening != before)
                if offered:
                    return offered[0].cut(len(self._own))
                self._changed.wait()
            return None

    def settle(self, piece: Piece) -> None:
        """Take note that a worker is through with a piece."""
        with self._changed:
            self._settle(piece.job)

    def _settle(self, job: Job) -> None:
        job.out -= 1
        if not job.out and not job.waiting:
            job.said.put(Finished())

    def lose(self, worker: int, piece: Piece | None, message: str) -> None:
        """Take note that a worker is gone, and put back what it had not delivered."""
        with self._changed:
            if self._closed:
                return
            del self._own[worker]
            if piece is not None and piece.job.ask != "close":
                self._put_back(piece, message)
            if not self._own:
                for job in self._jobs:
                    job.said.put(Lost("", _nobody_left(message)))
            self._changed.notify_all()

    def _put_back(self, piece: Piece, message: str) -> None:
        job, units = piece.job, sorted(piece.pending.values())
        job.waiting.extendleft(reversed(units))
        job.even = 0
        for unit in units:
            job.losses[unit] = job.losses.get(unit, 0) + 1
        error = None
        if units and max(job.losses[unit] for unit in units) >= MAX_LOSSES:
            what = f"{MAX_LOSSES} workers were lost one after another over the same {plural(len(units), 'item')}"
            error = EngineError(f"{what}: {message}", f"lower --batch-rows, or --workers; {RESUME}")
        others = f"; {plural(len(units), 'unfinished item')} go to the others" if units and self._own else ""
        job.said.put(Lost(f"{message}{others}", error))
        self._settle(job)

    def close(self) -> None:
        """Send every thread home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _nobody_left(message: str = "") -> EngineError:
    return EngineError("no worker is left" + (f": {message}" if message else ""), RESUME)


def plural(n: int, what: str) -> str:
    """Return `1 worker`, `2 workers`."""
    return f"{n} {what}{'s' * (n != 1)}"


def serve_from(board: Board, worker: Worker, number: int) -> None:
    """Have one worker do what is on the board until the board is closed or the worker is lost; a thread's work."""
    piece: Piece | None = None
    before: Opening | None = None
    try:
        worker.await_ready()
        while (piece := board.take(number, before)) is not None:
            before = piece.job.opening
            for reply in worker.call(piece.order):
                piece.hear(worker.name, reply)
            board.settle(piece)
    except WorkerLostError as error:
        board.lose(number, piece, f"{worker.name} was lost: {error}")
    except Exception:  # noqa: BLE001 - a thread that dies in silence would be waited for without end
        if piece is not None:
            piece.job.said.put(Crashed(traceback.format_exc()))
        board.lose(number, None, f"{worker.name} failed")
