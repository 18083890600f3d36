"""The default engine: transformers models, exact full-vocabulary entropies reduced inside an own decode loop.

Nothing of a checkpoint's `generation_config.json` changes what is drawn: temperature, top-k, penalties and lengths in
it are ignored, and only its end-of-sequence ids are used, together with those of the config and the tokenizer.
"""

from __future__ import annotations

import os

# OpenMP reads this when torch loads it. Spinning threads on a busy machine cost more than ten times the speed;
# a user's own setting stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import contextlib
import gc
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from entropydx.chat import Decoder as TextDecoder
from entropydx.chat import Renderer, chat_template, template_sha
from entropydx.checkpoint import fingerprint, resolve, weight_facts
from entropydx.engines._decode import Decoder, Row, Work
from entropydx.engines._load import (
    count_parameters,
    load_config,
    load_model,
    load_tokenizer,
    place,
    vocabulary_rows,
)
from entropydx.engines._memory import auto_rows, bytes_per_row, is_out_of_memory
from entropydx.errors import ConfigError, EngineError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import CheckpointInfo, Completion, Group, Prompt, Requires, SamplingParams

TINY = 5_000_000
"""Parameters below which one thread is fastest on a CPU: handing work to a second costs more than it saves."""
PREFILL_TOKENS = 16_384
"""Most prompt positions, padding included, of one prefill: bounds its activations."""


class HfEngine:
    """Draws completions with transformers, with exact entropies and log-probabilities of every token.

    Construction resolves and fingerprints the checkpoint and reads its config, tokenizer and weight headers; weights
    are loaded by the first `generate`. The device auto is cuda, then mps, then cpu; the dtype auto is float32 on a
    CPU and the checkpoint's own on cuda and mps (bfloat16 for quantised weights, which are dequantised).

    Each completion consumes its own stream of random numbers, keyed by (seed, prompt id, sample index), so tokens
    do not depend on batch size, order or resumption, up to floating point. Memory beyond the weights is the
    key-value cache of the running rows plus O(rows · V).

    Parameters
    ----------
    ref : str
        A path or a hub id; see `entropydx.checkpoint.resolve`.
    options : EngineOptions
        How to open and run it.
    progress : Progress
        Told of loading, sampling and what the user should know.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be used; the hint says what to do.
    ConfigError
        The device or dtype does not exist here.
    """

    provides = Requires(n_samples=sys.maxsize, entropies=True, grades=True)
    scoring = "in_loop"

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._checkpoint = resolve(ref, options)
        self._config = load_config(self._checkpoint, options)
        facts = weight_facts(self._checkpoint)
        self._placement = place(options, facts, self._config)
        self._tokenizer = load_tokenizer(self._checkpoint, options)
        self._vocab_size = vocabulary_rows(self._checkpoint, self._config, len(self._tokenizer))
        self._template = chat_template(self._tokenizer)
        self._info = CheckpointInfo(
            ref=ref,
            path=str(self._checkpoint.path),
            fingerprint=fingerprint(self._checkpoint),
            architecture=self._config.architectures[0],
            n_parameters=facts.n_parameters or count_parameters(self._config, options),
            dtype=str(self._placement.dtype).removeprefix("torch."),
            format=self._checkpoint.format,
            quantized=facts.quantized,
            chat_template_sha=template_sha(self._template),
            vocab_size=self._vocab_size,
        )
        self._model: Any = None
        self._rows_seen = 0
        self._most_rows = sys.maxsize  # lowered for good when memory runs out

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint, with the dtype that it runs in."""
        return self._info

    @property
    def device(self) -> str:
        """Where it runs, such as `cpu` or `cuda (NVIDIA H100)`."""
        name = self._placement.device
        if not name.startswith("cuda"):
            return name
        count = f"{torch.cuda.device_count()} x " if self._placement.spread else ""
        return f"{name} ({count}{torch.cuda.get_device_name(torch.device(name))})"

    @property
    def uses_chat_template(self) -> bool:
        """Whether prompts go through a chat template."""
        return self._template is not None

    @property
    def batch_rows(self) -> int:
        """Most rows decoded together so far; 0 before anything was drawn."""
        return self._rows_seen

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> Iterator[Group]:
        """Draw `params.n_samples` completions of every prompt; each group comes as soon as it is complete.

        Raises
        ------
        ConfigError
            A sampling parameter is out of range, or `thinking` asks for a switch that the template lacks.
        EngineError
            Two prompts share an id, a prompt cannot be rendered, or it does not fit the model's context (all before
            anything is drawn); or not even one row fits into memory.
        """
        _check_params(params)
        renderer = Renderer(self._tokenizer, params.thinking)
        if len({p.id for p in prompts}) < len(prompts):
            raise EngineError("two prompts have the same id", "ids key the random numbers and must be unique")
        samples = tuple(range(params.n_samples))
        work = [Work(p.id, renderer.token_ids(p), samples) for p in prompts]
        self._check_fit(work, params)
        return self._groups(prompts, work, params)

    def close(self) -> None:
        """Free the weights; a later `generate` loads them again."""
        self._model = None
        _free_cached_memory()

    def _check_fit(self, work: Sequence[Work], params: SamplingParams) -> None:
        context = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        for item in work:
            needed = len(item.token_ids) + params.max_new_tokens
            if context and needed > context:
                raise EngineError(
                    f"prompt '{item.prompt_id}' has {len(item.token_ids)} tokens, and with {params.max_new_tokens} new "
                    f"ones it passes the model's context of {context}",
                    f"use --max-new-tokens {max(1, context - len(item.token_ids))} or less, or a shorter prompt",
                )
            if max(item.token_ids) >= self._vocab_size:
                raise EngineError(
                    f"prompt '{item.prompt_id}' has token {max(item.token_ids)}, and the model has {self._vocab_size}",
                    "the tokenizer belongs to another model: copy the right one into the checkpoint",
                )

    def _stop_ids(self) -> frozenset[int]:
        sources = (self._model.generation_config, self._config, self._config.get_text_config(), self._tokenizer)
        found: set[int] = set()
        for source in sources:
            value = getattr(source, "eos_token_id", None)
            found.update([] if value is None else [value] if isinstance(value, int) else value)
        return frozenset(found)

    def _groups(self, prompts: Sequence[Prompt], work: Sequence[Work], params: SamplingParams) -> Iterator[Group]:
        if not prompts:
            return
        by_id = {p.id: (p, len(w.token_ids)) for p, w in zip(prompts, work, strict=True)}
        with self._threads():
            self._load()
            self._progress.start(f"sampling {self._info.ref}", len(prompts))
            text, n_tokens, start = TextDecoder(self._tokenizer), 0, time.monotonic()
            done: dict[str, list[Row]] = {p.id: [] for p in prompts}
            for row in self._rows(work, params):
                done[row.prompt_id].append(row)
                n_tokens += len(row.token_ids)
                if len(done[row.prompt_id]) == params.n_samples:
                    prompt, n_prompt_tokens = by_id[row.prompt_id]
                    rows = sorted(done.pop(row.prompt_id), key=lambda r: r.sample)
                    self._progress.advance(1, f"{n_tokens / (time.monotonic() - start):.0f} tok/s")
                    completions = tuple(_completion(r, text) for r in rows)
                    yield Group(prompt=prompt, completions=completions, n_prompt_tokens=n_prompt_tokens)

    def _load(self) -> None:
        if self._model is None:
            self._progress.start(f"loading {self._info.ref}", None)
            self._model = load_model(self._checkpoint, self._options, self._placement, self._vocab_size, self._progress)

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        if self._placement.device == "cpu" and self._info.n_parameters < TINY:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _rows(self, work: Sequence[Work], params: SamplingParams) -> Iterator[Row]:
        """Yield every row; a batch that runs out of memory is repeated, unfinished rows only, at half the size."""
        decoder = Decoder(self._model, self._stop_ids(), params)
        queue = deque(sorted(work, key=lambda w: len(w.token_ids), reverse=True))
        wanted = self._options.batch_rows or self._auto_rows(len(queue[0].token_ids) + params.max_new_tokens)
        while queue:
            limit = min(wanted, self._most_rows)
            batch = _take(queue, limit)
            n_rows = min(limit, sum(len(w.samples) for w in batch))
            finished: set[tuple[str, int]] = set()
            try:
                for row in decoder.run(batch, limit):
                    finished.add((row.prompt_id, row.sample))
                    yield row
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                self._rows_seen = max(self._rows_seen, n_rows)
                continue
            queue.extendleft(reversed(_outstanding(batch, finished)))
            self._shrink(n_rows)

    def _auto_rows(self, n_positions: int) -> int:
        row_bytes = bytes_per_row(self._config, self._vocab_size, n_positions, self._placement.dtype.itemsize)
        return auto_rows(self._model.device, row_bytes)

    def _shrink(self, n_rows: int) -> None:
        # Called after the except block has ended, because its traceback keeps the failed step's tensors alive.
        _free_cached_memory()
        if n_rows == 1:
            raise EngineError(
                "out of memory with a single row", "use fewer --max-new-tokens, --dtype bfloat16 or a larger device"
            )
        self._most_rows = n_rows // 2
        self._progress.warn(f"out of memory with {n_rows} rows: going on with {self._most_rows}")


def _check_params(params: SamplingParams) -> None:
    wrong = {
        "n_samples must be at least 1": params.n_samples < 1,
        "max_new_tokens must be at least 1": params.max_new_tokens < 1,
        "temperature must be 0 or more": not params.temperature >= 0,
        "top_p must be in (0, 1]": not 0 < params.top_p <= 1,
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigError(message)


def _take(queue: deque[Work], max_rows: int) -> list[Work]:
    """Take prompts for one prefill: as many as fill the rows; one prompt with more samples than rows comes alone."""
    batch = [queue.popleft()]
    n_rows, width = len(batch[0].samples), len(batch[0].token_ids)
    while queue and n_rows + len(queue[0].samples) <= max_rows and (len(batch) + 1) * width <= PREFILL_TOKENS:
        batch.append(queue.popleft())
        n_rows += len(batch[-1].samples)
    return batch


def _outstanding(batch: Sequence[Work], finished: set[tuple[str, int]]) -> list[Work]:
    left = [replace(w, samples=tuple(s for s in w.samples if (w.prompt_id, s) not in finished)) for w in batch]
    return [w for w in left if w.samples]


def _completion(row: Row, text: TextDecoder) -> Completion:
    return Completion(
        token_ids=row.token_ids,
        logprobs=row.logprobs,
        entropies=row.entropies,
        text=text(row.token_ids.tolist()),
        finish_reason=row.finish_reason,
    )


def _free_cached_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


engine = HfEngine
