"""From jobs to batches of rows; a batch that runs out of memory is repeated, unfinished rows only, at half the size."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Protocol, Self, TypeVar

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
        self, jobs: Iterable[JobT], wanted: int, work: Callable[[list[JobT], int], Iterator[ResultT]]
    ) -> Iterator[ResultT]:
        """Yield the result of every row of the jobs, in their order as far as batches allow.

        Parameters
        ----------
        jobs : iterable
            Taken from the front, as many together as fill the rows.
        wanted : int
            Rows of a batch, at least 1; fewer once memory ran out, for good.
        work : callable
            Runs one batch with at most so many rows at a time.

        Raises
        ------
        EngineError
            Not even one row fits into memory.
        """
        queue = deque(jobs)
        while queue:
            limit = min(wanted, self._most)
            batch = _take(queue, limit)
            n_rows = min(limit, sum(job.n_rows for job in batch))
            finished: set[Hashable] = set()
            try:
                for result in work(batch, limit):
                    finished.add(result.key)
                    yield result
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                self.seen = max(self.seen, n_rows)
                continue
            left = (job.without(finished) for job in reversed(batch))
            queue.extendleft(job for job in left if job is not None)
            self._shrink(n_rows)

    def _shrink(self, n_rows: int) -> None:
        # Called after the except block has ended, because its traceback keeps the failed step's tensors alive.
        free_cached_memory()
        if n_rows == 1:
            raise EngineError(
                "out of memory with a single row", "use fewer --max-new-tokens, --dtype bfloat16 or a larger device"
            )
        self._most = n_rows // 2
        self._progress.warn(f"out of memory with {n_rows} rows: going on with {self._most}")


def _take(queue: deque[JobT], max_rows: int) -> list[JobT]:
    """Take jobs for one prefill: as many as fill the rows; one job with more rows than that comes alone."""
    batch = [queue.popleft()]
    n_rows, width = batch[0].n_rows, batch[0].width
    while queue and n_rows + queue[0].n_rows <= max_rows:
        width = max(width, queue[0].width)
        if (len(batch) + 1) * width > PREFILL_TOKENS:
            break
        batch.append(queue.popleft())
        n_rows += batch[-1].n_rows
    return batch


def free_cached_memory() -> None:
    """Give memory that nothing uses any more back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
