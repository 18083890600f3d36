"""The default engine: transformers models, exact full-vocabulary entropies reduced inside an own decode loop.

Nothing of a checkpoint's `generation_config.json` changes what is drawn: temperature, top-k, penalties and lengths in
it are ignored, and only its end-of-sequence ids are used, together with those of the config and the tokenizer. What it
asks for is told by `deployment`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import get_args

from entropydx.engines._batches import Batches
from entropydx.engines._decode import Decoder, Work
from entropydx.engines._graphs import CudaGraphs
from entropydx.engines._layouts import Recorder
from entropydx.engines._sampler import LocalSampler
from entropydx.engines._slots import Row
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import Requires, SamplingParams, ScorePass


class HfEngine(LocalSampler):
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
        super().__init__(ref, options, progress)
        self._drawn = Batches(progress)
        self._record = self._recorder()

    @property
    def batch_rows(self) -> int:
        """Most rows decoded together so far; 0 before anything was drawn."""
        return self._drawn.seen

    def _rows(self, work: Sequence[Work], params: SamplingParams, batch_rows: int) -> Iterator[Row]:
        decoder = Decoder(self._model, self._stop_ids(), params, self._record)
        ordered = sorted(work, key=lambda w: w.width, reverse=True)
        wanted = batch_rows or self._options.batch_rows or self._auto_rows(ordered[0].width + params.max_new_tokens)
        return self._drawn.run(ordered, wanted, decoder.run)

    def _recorder(self) -> Recorder | None:
        """Return what records decode steps, where that is asked for and one GPU has the whole model."""
        if not self._options.cuda_graphs:
            return None
        if self._placement.spread or not self._placement.device.startswith("cuda"):
            where = "several GPUs" if self._placement.spread else self._placement.device
            self._progress.warn(f"--cuda-graphs does nothing on {where}: it needs the whole model on one CUDA device")
            return None
        return CudaGraphs(self._placement.device)


engine = HfEngine
