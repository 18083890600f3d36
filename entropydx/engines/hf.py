"""The default engine: transformers models, exact full-vocabulary entropies reduced inside an own decode loop.

Nothing of a checkpoint's `generation_config.json` changes what is drawn: temperature, top-k, penalties and lengths in
it are ignored, and only its end-of-sequence ids are used, together with those of the config and the tokenizer. What it
asks for is told by `deployment`.
"""

from __future__ import annotations

import os

# OpenMP reads this when torch loads it. Spinning threads on a busy machine cost more than ten times the speed;
# a user's own setting stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from entropydx.chat import Decoder as TextDecoder
from entropydx.chat import Renderer, chat_template, template_sha, tokenizer_sha
from entropydx.checkpoint import fingerprint, resolve, weight_facts
from entropydx.engines import _score
from entropydx.engines._batches import Batches, free_cached_memory
from entropydx.engines._decode import Decoder, Row, Work
from entropydx.engines._load import (
    asked_sampling,
    count_parameters,
    load_config,
    load_model,
    load_tokenizer,
    place,
    vocabulary_rows,
)
from entropydx.engines._memory import auto_rows, bytes_per_row
from entropydx.engines._offsets import Offsets
from entropydx.engines._score import Scored, Scorer, Text
from entropydx.errors import ConfigError, ContextError, EngineError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import (
    CheckpointInfo,
    Completion,
    Group,
    Passage,
    Prompt,
    Requires,
    SamplingParams,
    Score,
    ScorePass,
)

TINY = 5_000_000
"""Parameters below which one thread is fastest on a CPU: handing work to a second costs more than it saves."""


class HfEngine:
    """Draws completions with transformers, with exact entropies and log-probabilities of every token.

    Construction resolves and fingerprints the checkpoint and reads its config, tokenizer and weight headers; weights
    are loaded by the first `generate` or `score`. The device auto is cuda, then mps, then cpu; the dtype auto is
    float32 on a CPU and the checkpoint's own on cuda and mps (bfloat16 for quantised weights, which are dequantised).

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

    provides = Requires(n_samples=sys.maxsize, entropies=True, grades=True, scores=get_args(ScorePass))
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
            tokenizer_sha=tokenizer_sha(self._tokenizer),
        )
        self._model: Any = None
        self._text = TextDecoder(self._tokenizer)
        self._offsets = Offsets(self._tokenizer, self._text)
        self._drawn, self._scored = Batches(progress), Batches(progress)

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
        return self._drawn.seen

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

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0) -> Iterator[Group]:
        """Draw `params.n_samples` completions of every prompt; each group comes as soon as it is complete.

        Parameters
        ----------
        prompts : sequence of Prompt
            With unique ids.
        params : SamplingParams
            How to draw.
        batch_rows : int
            Most rows decoded together; 0 takes the options' number.

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
        return self._groups(prompts, work, params, batch_rows)

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
        self._check_passages(passages, texts)
        return self._scores(passages, texts, rank_stride)

    def close(self) -> None:
        """Free the weights; a later `generate` or `score` loads them again."""
        self._model = None
        free_cached_memory()

    @property
    def _context(self) -> int:
        return getattr(self._config.get_text_config(), "max_position_embeddings", None) or sys.maxsize

    def _check_fit(self, work: Sequence[Work], params: SamplingParams) -> None:
        context = self._context
        too_long = [i for i, w in enumerate(work) if len(w.token_ids) + params.max_new_tokens > context]
        if too_long:
            item = work[too_long[0]]
            raise ContextError(
                f"prompt '{item.prompt_id}' has {len(item.token_ids)} tokens, and with {params.max_new_tokens} new "
                f"ones it passes the model's context of {context}",
                f"use --max-new-tokens {max(1, context - len(item.token_ids))} or less, or a shorter prompt",
                too_long,
            )
        for item in work:
            self._check_ids(f"prompt '{item.prompt_id}'", max(item.token_ids))

    def _check_ids(self, what: str, largest: int) -> None:
        if largest >= self._vocab_size:
            raise EngineError(
                f"{what} has token {largest}, and the model has {self._vocab_size}",
                "the tokenizer belongs to another model: copy the right one into the checkpoint",
            )

    def _passage_text(self, index: int, passage: Passage, renderer: Renderer) -> Text:
        if passage.token_ids is None and passage.text is None:
            raise EngineError(f"{_what(passage)} has neither token ids nor characters")
        given = renderer.passage_ids(passage.text or "") if passage.token_ids is None else passage.token_ids
        return Text(index, tuple(renderer.token_ids(passage.prompt)), np.asarray(given, dtype=np.int32))

    def _check_passages(self, passages: Sequence[Passage], texts: Sequence[Text]) -> None:
        too_long = [t.index for t in texts if t.width + len(t.token_ids) > self._context]
        if too_long:
            text = texts[too_long[0]]
            raise ContextError(
                f"{_what(passages[text.index])} has {len(text.token_ids)} tokens, and with the prompt's {text.width} "
                f"it passes the model's context of {self._context}",
                "score a shorter text, or leave the prompt out",
                too_long,
            )
        for text in texts:
            largest = max(*text.prompt_ids, *text.token_ids.tolist(), 0)
            self._check_ids(_what(passages[text.index]), largest)

    def _stop_ids(self) -> frozenset[int]:
        sources = (self._model.generation_config, self._config, self._config.get_text_config(), self._tokenizer)
        found: set[int] = set()
        for source in sources:
            value = getattr(source, "eos_token_id", None)
            found.update([] if value is None else [value] if isinstance(value, int) else value)
        return frozenset(found)

    def _groups(
        self, prompts: Sequence[Prompt], work: Sequence[Work], params: SamplingParams, batch_rows: int
    ) -> Iterator[Group]:
        if not prompts:
            return
        by_id = {p.id: (p, len(w.token_ids)) for p, w in zip(prompts, work, strict=True)}
        with self._threads():
            self._load()
            self._progress.start(f"sampling {self._info.ref}", len(prompts))
            n_tokens, start = 0, time.monotonic()
            done: dict[str, list[Row]] = {p.id: [] for p in prompts}
            for row in self._rows(work, params, batch_rows):
                done[row.prompt_id].append(row)
                n_tokens += len(row.token_ids)
                if len(done[row.prompt_id]) == params.n_samples:
                    prompt, n_prompt_tokens = by_id[row.prompt_id]
                    rows = sorted(done.pop(row.prompt_id), key=lambda r: r.sample)
                    self._progress.advance(1, f"{n_tokens / (time.monotonic() - start):.0f} tok/s")
                    completions = tuple(map(self._completion, rows))
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

    def _rows(self, work: Sequence[Work], params: SamplingParams, batch_rows: int) -> Iterator[Row]:
        decoder = Decoder(self._model, self._stop_ids(), params)
        ordered = sorted(work, key=lambda w: w.width, reverse=True)
        wanted = batch_rows or self._options.batch_rows or self._auto_rows(ordered[0].width + params.max_new_tokens)
        return self._drawn.run(ordered, wanted, decoder.run)

    def _auto_rows(self, n_positions: int) -> int:
        row_bytes = bytes_per_row(self._config, self._vocab_size, n_positions, self._placement.dtype.itemsize)
        return auto_rows(self._model.device, row_bytes)

    def _completion(self, row: Row) -> Completion:
        token_ids = row.token_ids.tolist()
        text = self._text(token_ids)
        return Completion(
            token_ids=row.token_ids,
            logprobs=row.logprobs,
            entropies=row.entropies,
            text=text,
            finish_reason=row.finish_reason,
            offsets=self._offsets(token_ids, text),
        )

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
            self._load()
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


def _what(passage: Passage) -> str:
    return f"the text of '{passage.source_id}' after prompt '{passage.prompt.id}'"


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


engine = HfEngine
