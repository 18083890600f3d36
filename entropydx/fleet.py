"""A fleet of workers, and the engine that shares its work out to them.

Which worker draws what changes no token: the noise is keyed by seed, prompt, sample and position. What a lost worker
had not delivered goes to the others; what it had delivered is not drawn again.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any, Literal

from entropydx import __version__
from entropydx.board import Board, Finished, Job, Lost, plural, serve_from
from entropydx.errors import ConfigError, EngineError, EntropydxError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import CheckpointInfo, Group, Passage, Prompt, SamplingParams, Score
from entropydx.workers import (
    Crashed,
    Failed,
    Item,
    LocalWorker,
    Opening,
    Remark,
    Reply,
    State,
    Worker,
    local_environments,
)

FULL_ROWS = {"none": 1, "cpu": 32, "mps": 64}
"""Rows below which a batch on a device wastes it; any other device is a GPU, which `GPU_ROWS` fill."""
GPU_ROWS = 512
PASSAGES = 16
"""Fewest passages in a piece: each is one forward pass."""
PATIENCE_S = 60.0
"""Seconds without a word before the user is told what is waited for."""


def _ample(n_parameters: int) -> bool:
    """Say that each worker has memory of its own."""
    return True


class Fleet:
    """Workers, and the board that they work from; ended by `close`, at exit, or when nobody holds it any more.

    Parameters
    ----------
    workers : sequence of Worker
        At least one.
    has_room : callable
        Tells whether the memory that workers *share* takes another model of so many parameters for each of them.
    waits_for : str
        What to tell the user when no worker answers for long.
    farewell : callable
        Called when every worker has been ended.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        has_room: Callable[[int], bool] = _ample,
        waits_for: str = "it is loading",
        farewell: Callable[[], None] | None = None,
    ) -> None:
        self.workers, self.has_room, self.waits_for = tuple(workers), has_room, waits_for
        self.board = Board(len(workers))
        for number, worker in enumerate(workers):
            threading.Thread(target=serve_from, args=(self.board, worker, number), daemon=True).start()
        self._end = weakref.finalize(self, _dismiss, self.board, self.workers, farewell)

    def open(self, plugin: str, ref: str, options: EngineOptions, progress: Progress) -> ShardedEngine:
        """Return an engine for a checkpoint; errors as that of the plugin itself."""
        return ShardedEngine(self, plugin, ref, options, progress)

    @property
    def n_lost(self) -> int:
        """Workers that are gone."""
        return len(self.workers) - self.board.n_living

    def close(self) -> None:
        """End every worker."""
        self._end()


def _dismiss(board: Board, workers: Sequence[Worker], farewell: Callable[[], None] | None) -> None:
    board.close()
    for worker in workers:
        worker.stop()
    if farewell is not None:
        farewell()


def local_fleet(n_workers: int, n_gpus: int) -> Fleet:
    """Return a fleet of processes on this machine: on a GPU each, or each with its part of the cores.

    Parameters
    ----------
    n_gpus : int
        GPUs to be used; 0 on a CPU.

    Raises
    ------
    ConfigError
        There are more workers than GPUs.
    """
    if n_gpus and n_workers > n_gpus:
        raise ConfigError(
            f"{n_workers} workers need a GPU each, and this machine has {n_gpus}",
            f"use --workers {n_gpus} or less, or --device cpu",
        )
    environments = local_environments(n_workers, n_gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    workers = [LocalWorker(f"worker {i} of {n_workers}", e) for i, e in enumerate(environments, start=1)]
    return Fleet(workers, has_room=_ample if n_gpus else lambda n_parameters: _fits(n_parameters * n_workers))


def _fits(n_parameters: int) -> bool:
    """Tell whether twice so many float32 parameters fit into this machine's unused memory."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return False
    return free >= 2 * 4 * n_parameters


class ShardedEngine:
    """An `Engine` whose work is shared out to the workers of a fleet, each with one inner engine.

    What it is asked of itself (`info`, `deployment`, `provides`...) is what one worker's engine says. Groups and scores
    come in whatever order workers complete them, each exactly once.

    Raises
    ------
    EntropydxError
        Whatever the inner engine raises on purpose, with its message and hint; `EngineError` when no worker is left.
    RuntimeError
        A worker's engine has a bug; the message is the worker's traceback.
    """

    def __init__(self, fleet: Fleet, plugin: str, ref: str, options: EngineOptions, progress: Progress) -> None:
        self._fleet, self._progress, self._ref, self._batch_rows = fleet, progress, ref, options.batch_rows
        options = replace(options, base_model=options.base_model and _absolute(options.base_model))
        self._opening = Opening(plugin=plugin, ref=_absolute(ref), options=options)
        self._states: dict[str, State] = {}
        self._told: set[str] = set()
        self._ask("describe", ())
        self._first = next(iter(self._states.values()))
        if self._first.version != __version__:
            raise EngineError(
                f"a worker runs entropydx {self._first.version}, and this is {__version__}",
                "install the same version everywhere",
            )
        self.provides, self.scoring = self._first.provides, self._first.scoring

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint, with the dtype that it runs in."""
        return replace(self._first.info, ref=self._ref)

    @property
    def device(self) -> str:
        """Where it runs, such as `2 workers, each cpu`."""
        return f"{plural(len(self._fleet.workers), 'worker')}, each {self._first.device}"

    @property
    def uses_chat_template(self) -> bool:
        """Whether prompts go through a chat template."""
        return self._first.uses_chat_template

    @property
    def batch_rows(self) -> int:
        """Most rows decoded together so far by one worker."""
        return max(s.batch_rows for s in self._states.values())

    @property
    def leaves_room(self) -> bool:
        """Whether a second model of this size fits beside it in every worker."""
        own = all(s.leaves_room for s in self._states.values())
        return own and self._fleet.has_room(self._first.info.n_parameters)

    @property
    def deployment(self) -> tuple[float, float] | None:
        """Temperature and top_p that the checkpoint itself asks to be sampled with; None when it asks for nothing."""
        if isinstance(self._first.deployment, EntropydxError):
            raise self._first.deployment
        return self._first.deployment

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0) -> Iterator[Group]:
        """Draw `params.n_samples` completions of every prompt; what the engine refuses is refused before one is drawn.

        Raises
        ------
        EngineError
            Two prompts have the same id; or see the class.
        """
        if len({p.id for p in prompts}) < len(prompts):
            raise EngineError("two prompts have the same id", "ids key the random numbers and must be unique")
        rows = batch_rows or self._batch_rows or FULL_ROWS.get(self._first.device.partition(" ")[0], GPU_ROWS)
        least = math.ceil(rows / max(1, params.n_samples))
        return self._share("sampling", "generate", prompts, (params, batch_rows), least)

    def score(
        self, passages: Sequence[Passage], rank_stride: int = 0, thinking: Literal["auto", "on", "off"] = "auto"
    ) -> Iterator[Score]:
        """Score passages, see the protocol; what the engine refuses is refused before one is scored."""
        return self._share("scoring", "score", passages, (rank_stride, thinking), PASSAGES)

    def close(self) -> None:
        """Free the weights in every worker; a later `generate` or `score` loads them again."""
        self._fleet.board.tell_all(self._opening)

    def _ask(
        self,
        ask: Literal["describe", "check"],
        items: Sequence[Prompt | Passage],
        method: Literal["generate", "score"] = "generate",
        arguments: tuple[Any, ...] = (),
    ) -> None:
        """Have one worker, whichever is free, do something that gives no items."""
        job = Job(opening=self._opening, ask=ask, units=[tuple(items)], method=method, arguments=arguments)
        for _ in self._heard(job):
            pass

    def _share(
        self,
        stage: str,
        method: Literal["generate", "score"],
        items: Sequence[Prompt] | Sequence[Passage],
        arguments: tuple[Any, ...],
        least: int,
    ) -> Iterator[Any]:
        self._ask("check", items, method, arguments)
        units = [(item,) for item in items]
        job = Job(
            opening=self._opening, ask="work", units=units, method=method, arguments=arguments, least=max(1, least)
        )
        return self._delivered(stage, job)

    def _delivered(self, stage: str, job: Job) -> Iterator[Group | Score]:
        n = self._fleet.board.n_living
        self._progress.start(f"{stage} {self._ref}, {plural(n, 'worker')}", len(job.units))
        n_tokens, start = 0, time.monotonic()
        for value in self._heard(job):
            is_group = isinstance(value, Group)
            n_tokens += sum(c.n_tokens for c in value.completions) if is_group else len(value.token_ids)
            self._progress.advance(1, f"{n_tokens / max(time.monotonic() - start, 1e-9):.0f} tok/s")
            yield value

    def _heard(self, job: Job) -> Iterator[Any]:
        """Yield the items of a job as they come; raise what stops it, pass remarks on."""
        self._fleet.board.put(job)
        try:
            while not isinstance(said := self._next(job), Finished):
                if isinstance(said, Item):
                    yield said.value
                elif isinstance(said, Failed):
                    raise said.error
                elif isinstance(said, Crashed):
                    raise RuntimeError(f"in a worker:\n{said.trace}")
                elif isinstance(said, Lost):
                    self._tell(said.message)
                    if said.error is not None:
                        raise said.error
                elif isinstance(said, Remark):
                    self._tell(said.text)
        finally:
            self._fleet.board.withdraw(job)
            self._states.update(job.states)

    def _next(self, job: Job) -> Reply | Lost | Finished:
        try:
            return job.said.get(timeout=PATIENCE_S) if not self._states else job.said.get()
        except Empty:
            self._progress.warn(f"no worker has answered for {PATIENCE_S:.0f} s: {self._fleet.waits_for}")
            return job.said.get()

    def _tell(self, text: str) -> None:
        """Pass a remark on once: every worker's engine makes the same ones."""
        if text and text not in self._told:
            self._told.add(text)
            self._progress.warn(text)


def _absolute(ref: str) -> str:
    """Return a path that holds in any working directory; what is no path here (a hub id) stays."""
    return os.path.abspath(ref) if Path(ref).exists() else ref
