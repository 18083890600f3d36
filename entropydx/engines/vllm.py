"""vLLM: paged attention, continuous batching and tensor parallelism, with the same exact entropies and the same draw.

A logits processor inside vLLM's sampler draws each token from the raw logits by the row's own stream of random numbers,
as the `hf` engine does, and records its log-probability and the exact entropy; vLLM then takes that token as the
likeliest one. So tokens do not depend on batch or order, a checkpoint shares its noise with its baseline, and two
numbers per token leave the engine, never a vocabulary. Texts are scored by having them followed token by token in the
same way. Hidden states stay inside vLLM, so effective ranks are not measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from transformers import GenerationConfig

from entropydx.checkpoint import read_json
from entropydx.engines._decode import Work
from entropydx.engines._memory import MAX_ROWS, SHARE, cache_bytes, free_bytes
from entropydx.engines._sampler import LocalSampler
from entropydx.engines._score import Scored, Text
from entropydx.engines._slots import Row
from entropydx.engines._vllm_client import Client, Launch, Request, check_installed
from entropydx.engines._vllm_rows import Job, Taken
from entropydx.errors import CheckpointError, ConfigError, EngineCapabilityError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import FinishReason, Passage, Requires, SamplingParams, Score

MIN_POSITIONS = 2048
"""Least length that an engine is started for where the model allows it, so that longer prompts of a later condition
find room: starting again takes tens of seconds."""
BLOCK = 128
"""The cache is allotted in whole blocks, at most this many positions each."""
AHEAD = 2
"""Requests handed over, in batches: one that runs and one that waits, so that no row is ever empty."""


class VllmEngine(LocalSampler):
    """Draws completions with vLLM, with exact entropies and log-probabilities of every token.

    Construction resolves and fingerprints the checkpoint and reads its config, tokenizer and weight headers; vLLM is
    imported and started by the first `generate` or `score`, with room for the longest of its prompts and its
    completions, and again when a later one needs more. The device is the one that vLLM was built for; with device auto
    all visible GPUs share the model (tensor parallel). The dtype auto is float32 on a CPU and the checkpoint's own on a
    GPU. It takes its memory up front, `VLLM_CPU_KVCACHE_SPACE` GiB of it for the cache on a CPU when that is set.

    Parameters
    ----------
    ref : str
        A path or a hub id; see `entropydx.checkpoint.resolve`. A LoRA adapter is applied by vLLM, unmerged.
    options : EngineOptions
        How to open and run it; `batch_rows` is the most rows of a step.
    progress : Progress
        Told of loading, sampling and what the user should know.

    Raises
    ------
    EngineError
        vLLM is not installed.
    CheckpointError
        The checkpoint cannot be used, or not by vLLM (GGUF, an adapter with a vocabulary of its own).
    ConfigError
        The device or dtype does not exist here, or is one that vLLM does not choose.
    """

    provides = Requires(n_samples=sys.maxsize, entropies=True, grades=True, scores=("reference", "other", "cross"))
    scoring = "in_loop"
    leaves_room = False
    """vLLM takes its memory up front."""

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        check_installed()
        if options.device not in {"auto", "cpu", "cuda"}:
            raise ConfigError(
                f"engine 'vllm' runs on all visible GPUs, not on '{options.device}'",
                "choose them by CUDA_VISIBLE_DEVICES and use --device auto",
            )
        super().__init__(ref, options, progress)
        self._check_supported()
        self._client: Client | None = None
        self._most_rows = 0

    @property
    def device(self) -> str:
        """Where it runs, such as `cpu` or `cuda (2 x NVIDIA H100)`."""
        if self._placement.device == "cpu":
            return "cpu"
        return f"cuda ({self._tensor_parallel()} x {torch.cuda.get_device_name(0)})"

    @property
    def batch_rows(self) -> int:
        """Most rows decoded together so far; 0 before anything was drawn."""
        return self._most_rows

    def score(
        self, passages: Sequence[Passage], rank_stride: int = 0, thinking: Literal["auto", "on", "off"] = "auto"
    ) -> Iterator[Score]:
        """Score given texts after their prompts, each token taken in its turn; the numbers are those of `generate`.

        As `HfEngine.score`, one decoding step per token; no effective ranks.

        Raises
        ------
        EngineCapabilityError
            `rank_stride` is above 0.
        ConfigError
            `thinking` asks for a switch that the template lacks.
        EngineError
            A prompt cannot be rendered, a passage does not fit the model's context or has a token that the model has
            not (all before anything is scored); or vLLM cannot serve the checkpoint.
        """
        if rank_stride > 0:
            raise EngineCapabilityError("engine 'vllm' does not see hidden states", "use --engine hf")
        return super().score(passages, rank_stride, thinking)

    def close(self) -> None:
        """Stop vLLM and free its memory; a later `generate` or `score` starts it again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _check_supported(self) -> None:
        checkpoint = self._checkpoint
        if checkpoint.model.format == "gguf":
            raise CheckpointError(f"engine 'vllm' does not run GGUF files: {checkpoint.model.path}", "use --engine hf")
        if self._vocab_size != self._config.get_text_config().vocab_size:
            raise CheckpointError(
                f"{checkpoint.path} has a vocabulary of its own, which vLLM cannot put onto the base model",
                "merge it with peft's merge_and_unload(), or use --engine hf",
            )

    def _load(self, n_positions: int = 0) -> None:
        """Start vLLM with room for so many tokens of one prompt and completion, unless it is running so."""
        if self._client is not None and not self._client.serves(n_positions):
            self._progress.warn(f"starting vLLM again, for texts of up to {n_positions} tokens")
            self.close()
        if self._client is None:
            self._progress.start(f"loading {self._info.ref}", None)
            self._client = Client(self._launch(n_positions))

    @property
    def _running(self) -> Client:
        assert self._client is not None, "started by _load"
        return self._client

    def _generation_config(self) -> Any:
        file = self._checkpoint.model.directory / "generation_config.json"
        return GenerationConfig(eos_token_id=read_json(file).get("eos_token_id") if file.is_file() else None)

    def _rows(self, work: Sequence[Work], params: SamplingParams, batch_rows: int) -> Iterator[Row]:
        client = self._running
        stop = tuple(sorted(i for i in self._stop_ids() if i < self._vocab_size))
        jobs = (
            Request(job=_job(client, item, sample, params, stop), prompt_ids=tuple(item.token_ids), stop_ids=stop)
            for item in work
            for sample in item.samples
        )
        for job, taken, stopped in client.run(jobs, batch_rows or AHEAD * client.launch.max_rows):
            self._most_rows = max(self._most_rows, client.most_rows)
            yield _row(job, taken, stopped)

    def _scored_texts(self, texts: Sequence[Text], stride: int) -> Iterator[Scored]:
        client = self._running
        numbers: dict[str, int] = {}

        def requests() -> Iterator[Request]:
            for text in texts:
                forced = tuple(text.token_ids.tolist())
                job = Job(key=client.next_key(), n_tokens=len(forced), forced=forced)
                numbers[job.key] = text.index
                yield Request(job=job, prompt_ids=text.prompt_ids)

        for job, taken, _ in client.run(requests(), AHEAD * client.launch.max_rows):
            n = _leading(np.isfinite(taken.entropies) & np.isfinite(taken.logprobs))
            yield Scored(numbers.pop(job.key), taken.logprobs[:n], taken.entropies[:n], None)

    def _launch(self, n_positions: int) -> Launch:
        checkpoint, kind = self._checkpoint, self._placement.device
        length = min(self._limits.context, max(n_positions, MIN_POSITIONS))
        rows = self._options.batch_rows or MAX_ROWS[kind]
        is_adapter = checkpoint.format == "peft"
        return Launch(
            model=str(checkpoint.model.directory),
            tokenizer=str(checkpoint.tokenizer.directory),
            device=kind,
            dtype=self._info.dtype,
            max_model_len=length,
            max_rows=rows,
            tensor_parallel=self._tensor_parallel(),
            pickled=checkpoint.model.pickled,
            trust_remote_code=self._options.trust_remote_code,
            cache_bytes=self._cpu_cache(rows, n_positions, length) if kind == "cpu" else None,
            adapter=str(checkpoint.path) if is_adapter else None,
            adapter_rank=_rank(read_json(checkpoint.path / "adapter_config.json")) if is_adapter else 0,
        )

    def _cpu_cache(self, rows: int, n_positions: int, length: int) -> int:
        """Return the bytes of a cache for all rows at once, or as much of the free memory as may be planned for."""
        itemsize = self._placement.dtype.itemsize
        of_one, least = (cache_bytes(self._config, -(-n // BLOCK) * BLOCK, itemsize) for n in (n_positions, length))
        free = free_bytes(torch.device("cpu"))
        wanted = rows * of_one if free is None else min(rows * of_one, int(SHARE * free))
        return max(wanted, 2 * least)

    def _tensor_parallel(self) -> int:
        """Return how many GPUs share the model: as many as are visible and divide its attention heads."""
        if self._placement.device == "cpu" or self._options.device != "auto":
            return 1
        heads = self._config.get_text_config().num_attention_heads
        return max(n for n in range(1, torch.cuda.device_count() + 1) if heads % n == 0)


def _rank(config: dict[str, Any]) -> int:
    """Return the largest rank of an adapter."""
    return max([int(config.get("r") or 1), *map(int, (config.get("rank_pattern") or {}).values())])


def _job(client: Client, item: Work, sample: int, params: SamplingParams, stop: Sequence[int]) -> Job:
    return Job(
        key=client.next_key(),
        n_tokens=params.max_new_tokens,
        seed=params.seed,
        prompt_id=item.prompt_id,
        sample=sample,
        temperature=params.temperature,
        top_p=params.top_p,
        end_id=stop[0] if stop else 0,
    )


def _leading(usable: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    return int(np.append(usable, False).argmin())


def _row(job: Job, taken: Taken, stopped: bool) -> Row:
    n = _leading(np.isfinite(taken.entropies))
    reason: FinishReason = "stop" if stopped else "length"
    if n < len(taken.entropies):
        reason = "non_finite"
    return Row(job.prompt_id, job.sample, taken.token_ids[:n], taken.logprobs[:n], taken.entropies[:n], reason)


engine = VllmEngine
