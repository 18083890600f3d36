"""From jobs to batches of rows; a batch that runs out of memory is repeated, unfinished rows only, at half the size."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Generic, Protocol, Self, TypeVar

import torch

from entropydx.engines._memory import is_out_of_memory
from entropydx.errors import EngineError
from entropydx.protocols import Progress

PREFILL_TOKENS = 16_384
"""Most prompt positions, padding included, of one prefill: bounds its activations."""


class Job(Protocol):
    """Rows that share a prompt."""

    @property
    def n_rows(self) -> int:
        """Rows that it takes."""
        ...

    @property
    def width(self) -> int:
        """Tokens of its prompt."""
        ...

    def without(self, done: AbstractSet[Hashable]) -> Self | None:
        """Return what is left when the rows with these keys are done; None when nothing is."""
        ...


class Result(Protocol):
    """What comes of one row."""

    @property
    def key(self) -> Hashable:
        """Which row it is."""
        ...


JobT = TypeVar("JobT", bound=Job)
ResultT = TypeVar("ResultT", bound=Result)


class Feed(Generic[JobT]):
    """Hands jobs out and remembers which, so that those left unfinished can be taken back.

    Parameters
    ----------
    jobs : iterable
        In the order in which they are handed out.
    """

    def __init__(self, jobs: Iterable[JobT]) -> None:
        self._queue = deque(jobs)
        self._taken: list[JobT] = []
        self.width = max((job.width for job in self._queue), default=0)
        """Tokens of the longest prompt."""
        self.seen = 0
        """Most rows of a step that went through."""

    def __bool__(self) -> bool:
        return bool(self._queue)

    def take(self, n_rows: int, *, over: bool = False) -> list[JobT]:
        """Return the next jobs for one prefill: one at least, and as many as fill the rows.

        Parameters
        ----------
        n_rows : int
            Rows to fill.
        over : bool
            Let the last job have more rows than are left for it; otherwise only a single job can have.
        """
        batch: list[JobT] = []
        total = width = 0
        while self._queue and (not batch or total < n_rows):
            job = self._queue[0]
            width = max(width, job.width)
            fits = over or total + job.n_rows <= n_rows
            if batch and not (fits and (len(batch) + 1) * width <= PREFILL_TOKENS):
                break
            batch.append(self._queue.popleft())
            total += job.n_rows
        self._taken += batch
        return batch

    def ran(self, n_rows: int) -> None:
        """Note that a step with so many rows had the memory that it needs."""
        self.seen = max(self.seen, n_rows)

    def take_back(self, done: AbstractSet[Hashable]) -> int:
        """Put what is unfinished of the jobs that were handed out back to the front; return how many rows that is."""
        left = [rest for job in self._taken if (rest := job.without(done)) is not None]
        self._queue.extendleft(reversed(left))
        self._taken.clear()
        return sum(job.n_rows for job in left)


class Batches:
    """Feeds jobs to a model and remembers how many rows its memory can hold.

    Parameters
    ----------
    progress : Progress
        Warned each time that the batches get smaller.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._most = sys.maxsize
        self.seen = 0
        """Most rows of a batch that went through; 0 before the first."""

    def run(
        self, jobs: Iterable[JobT], wanted: int, work: Callable[[Feed[JobT], int], Iterator[ResultT]]
    ) -> Iterator[ResultT]:
        """Yield the result of every row of the jobs, in their order as far as batches allow.

        Parameters
        ----------
        jobs : iterable
            Handed out from the front.
        wanted : int
            Rows of a batch, at least 1; fewer once memory ran out, for good.
        work : callable
            Takes all jobs and runs them, with at most so many rows at a time.

        Raises
        ------
        EngineError
            Not even one row fits into memory.
        """
        feed = Feed(jobs)
        while True:
            limit = min(wanted, self._most)
            finished: set[Hashable] = set()
            try:
                for result in work(feed, limit):
                    self.seen = max(self.seen, feed.seen)
                    finished.add(result.key)
                    yield result
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                return
            self._shrink(min(limit, feed.take_back(finished)))

    def _shrink(self, n_rows: int) -> None:
        # Called after the except block has ended, because its traceback keeps the failed step's tensors alive.
        free_cached_memory()
        if n_rows == 1:
            raise EngineError(
                "out of memory with a single row", "use fewer --max-new-tokens, --dtype bfloat16 or a larger device"
            )
        self._most = n_rows // 2
        self._progress.warn(f"out of memory with {n_rows} rows: going on with {self._most}")


def free_cached_memory() -> None:
    """Give memory that nothing uses any more back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
