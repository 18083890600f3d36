"""A checkpoint on this machine: opened, described, loaded when needed, and scoring texts; shared by what draws from it.

The `hf` engine adds its own sampling to it, and engines that have tokens drawn elsewhere let it score them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch

from entropydx.chat import Decoder as TextDecoder
from entropydx.chat import Renderer, chat_template, template_sha, tokenizer_sha
from entropydx.checkpoint import fingerprint, resolve, weight_facts
from entropydx.engines import _score
from entropydx.engines._batches import Batches, free_cached_memory
from entropydx.engines._checks import Limits, passage_name
from entropydx.engines._load import (
    asked_sampling,
    count_parameters,
    load_config,
    load_model,
    load_tokenizer,
    place,
    vocabulary_rows,
)
from entropydx.engines._memory import auto_rows, bytes_per_row, leaves_room
from entropydx.engines._offsets import Offsets
from entropydx.engines._packed import weight_bytes
from entropydx.engines._score import Scored, Scorer, Text
from entropydx.errors import ConfigError, EngineError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import CheckpointInfo, Passage, Score

TINY = 5_000_000
"""Parameters below which one thread is fastest on a CPU: handing work to a second costs more than it saves."""


class LocalModel:
    """The checkpoint under an engine, everything but its sampling; see `HfEngine` for what its parts mean.

    Construction resolves and fingerprints the checkpoint and reads its config, tokenizer and weight headers; weights
    are loaded when they are first needed.

    Parameters
    ----------
    ref : str
        A path or a hub id; see `entropydx.checkpoint.resolve`.
    options : EngineOptions
        How to open and run it.
    progress : Progress
        Told of loading, scoring and what the user should know.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be used; the hint says what to do.
    ConfigError
        The device or dtype does not exist here.
    """

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._checkpoint = resolve(ref, options)
        self._config = load_config(self._checkpoint, options)
        facts = weight_facts(self._checkpoint)
        self._placement = place(options, facts, self._config)
        self._tokenizer = load_tokenizer(self._checkpoint, options)
        self._vocab_size = vocabulary_rows(self._checkpoint, self._config, len(self._tokenizer))
        context = getattr(self._config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
        self._limits = Limits(context, self._vocab_size)
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
            tokenizer_sha=tokenizer_sha(self._tokenizer),
        )
        self._model: Any = None
        self._text = TextDecoder(self._tokenizer)
        self._offsets = Offsets(self._tokenizer, self._text)
        self._scored = Batches(progress)

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
    def leaves_room(self) -> bool:
        """Whether a second model of this size would fit beside it, now that its weights are loaded; False before."""
        if self._model is None:
            return False
        return leaves_room(self._model.device, weight_bytes(self._model))

    @property
    def deployment(self) -> tuple[float, float] | None:
        """Temperature and top_p that `generation_config.json` itself states; None when it states neither.

        `do_sample: false` is greedy, (0, 1). One that is not stated counts as 1. Whatever else the file may ask for
        (top_k, min_p, typical_p, penalties, bans) is left out: the deployment is measured by these two alone. Weights
        are not loaded.

        Raises
        ------
        CheckpointError
            The file is damaged, or one of the two is not a number in its range.
        """
        return asked_sampling(self._checkpoint)

    def score(
        self,
        passages: Sequence[Passage],
        rank_stride: int = 0,
        thinking: Literal["auto", "on", "off"] = "auto",
    ) -> Iterator[Score]:
        """Score given texts after their prompts, teacher-forced; each score comes as soon as its passage is through.

        Log-probabilities and entropies are those that `generate` would have recorded had it drawn these tokens. A
        passage without tokens gives empty arrays. A passage *ends before* the first position whose logits hold NaN or
        +Inf, or whose token is impossible (log-probability -Inf): all arrays of its score, token ids too, are cut
        there. NaN reaches back to the start of the chunk of positions that it arises in.

        Parameters
        ----------
        passages : sequence of Passage
            Token ids are taken as they are; a text is tokenised by itself, without special tokens. Prompts are rendered
            as `generate` renders them, with their `prefill`.
        rank_stride : int
            s; above 0 the effective ranks of the final-norm hidden states of the first s, 2s, ... tokens are added,
            of each at most the last 512 (arXiv:2509.23808).
        thinking : {"auto", "on", "off"}
            As in the `SamplingParams` that the texts were drawn with.

        Raises
        ------
        ConfigError
            `rank_stride` is negative, or `thinking` asks for a switch that the template lacks.
        EngineError
            A prompt cannot be rendered, a passage does not fit the model's context or has a token that the model has
            not (all before anything is scored); or not even one row fits into memory.
        """
        if rank_stride < 0:
            raise ConfigError("rank_stride must be 0 or more")
        renderer = Renderer(self._tokenizer, thinking)
        texts = [self._passage_text(i, passage, renderer) for i, passage in enumerate(passages)]
        self._limits.check_passages(passages, texts)
        return self._scores(passages, texts, rank_stride)

    def close(self) -> None:
        """Free the weights; a later `generate` or `score` loads them again."""
        self._model = None
        free_cached_memory()

    def _passage_text(self, index: int, passage: Passage, renderer: Renderer) -> Text:
        if passage.token_ids is None and passage.text is None:
            raise EngineError(f"{passage_name(passage)} has neither token ids nor characters")
        given = renderer.passage_ids(passage.text or "") if passage.token_ids is None else passage.token_ids
        return Text(index, tuple(renderer.token_ids(passage.prompt)), np.asarray(given, dtype=np.int32))

    def _stop_ids(self) -> frozenset[int]:
        sources = (self._generation_config(), self._config, self._config.get_text_config(), self._tokenizer)
        found: set[int] = set()
        for source in sources:
            value = getattr(source, "eos_token_id", None)
            found.update([] if value is None else [value] if isinstance(value, int) else value)
        return frozenset(found)

    def _generation_config(self) -> Any:
        return self._model.generation_config

    def _load(self, n_positions: int = 0) -> None:
        """Load the weights unless they are; the longest text with its prompt has so many tokens."""
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

    def _auto_rows(self, n_positions: int) -> int:
        row_bytes = bytes_per_row(self._config, self._vocab_size, n_positions, self._placement.dtype.itemsize)
        return auto_rows(self._model.device, row_bytes)

    def _scores(self, passages: Sequence[Passage], texts: Sequence[Text], stride: int) -> Iterator[Score]:
        n_tokens, start = 0, time.monotonic()
        full = [text for text in texts if len(text.token_ids)]
        nothing, no_ranks = np.array([], dtype=np.float32), np.array([], dtype=np.float32) if stride else None
        for text in texts:
            if not len(text.token_ids):
                yield _score_of(passages[text.index], text, Scored(text.index, nothing, nothing, no_ranks), stride)
        if not full:
            return
        with self._threads():
            self._load(max(t.width + len(t.token_ids) for t in full))
            self._progress.start(f"scoring {self._info.ref}", len(full))
            for scored in self._scored_texts(full, stride):
                n_tokens += len(scored.logprobs)
                self._progress.advance(1, f"{n_tokens / (time.monotonic() - start):.0f} tok/s")
                yield _score_of(passages[scored.key], texts[scored.key], scored, stride)

    def _scored_texts(self, texts: Sequence[Text], stride: int) -> Iterator[Scored]:
        # Like lengths together, and next to each other those that share a prompt.
        ordered = sorted(texts, key=lambda t: (len(t.token_ids), t.prompt_ids), reverse=True)
        kind = self._model.device.type
        wanted = self._options.batch_rows or self._auto_rows(max(t.width + len(t.token_ids) for t in texts))
        wanted = min(wanted, _score.MAX_ROWS.get(kind, _score.MAX_ROWS["cpu"]))
        scorer = Scorer(self._model, _score.chunk_length(kind, wanted, self._vocab_size), stride)
        return self._scored.run(ordered, wanted, scorer.run)


def _score_of(passage: Passage, text: Text, scored: Scored, stride: int) -> Score:
    return Score(
        prompt_id=passage.prompt.id,
        source_id=passage.source_id,
        sample_index=passage.sample_index,
        token_ids=text.token_ids[: len(scored.logprobs)],
        logprobs=scored.logprobs,
        entropies=scored.entropies,
        effective_ranks=scored.effective_ranks,
        rank_stride=stride,
    )
