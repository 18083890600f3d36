"""Sampling from a checkpoint on this machine: prompts rendered and checked, rows gathered to groups, decoded to text.

How the rows are drawn is left to the engine.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from entropydx.chat import Renderer
from entropydx.engines._checks import check_params
from entropydx.engines._decode import Work
from entropydx.engines._hf_model import LocalModel
from entropydx.engines._slots import Row
from entropydx.errors import EngineError
from entropydx.types import Completion, Group, Prompt, SamplingParams


class LocalSampler(LocalModel, ABC):
    """A local checkpoint that is sampled; an engine says how its rows are drawn."""

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
        check_params(params)
        renderer = Renderer(self._tokenizer, params.thinking)
        if len({p.id for p in prompts}) < len(prompts):
            raise EngineError("two prompts have the same id", "ids key the random numbers and must be unique")
        samples = tuple(range(params.n_samples))
        work = [Work(p.id, renderer.token_ids(p), samples) for p in prompts]
        self._limits.check_prompts(work, params.max_new_tokens)
        return self._groups(prompts, work, params, batch_rows)

    def _groups(
        self, prompts: Sequence[Prompt], work: Sequence[Work], params: SamplingParams, batch_rows: int
    ) -> Iterator[Group]:
        if not prompts:
            return
        by_id = {p.id: (p, len(w.token_ids)) for p, w in zip(prompts, work, strict=True)}
        with self._threads():
            self._load(max(w.width for w in work) + params.max_new_tokens)
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

    @abstractmethod
    def _rows(self, work: Sequence[Work], params: SamplingParams, batch_rows: int) -> Iterator[Row]:
        """Draw every outstanding sample, each exactly once, in any order."""

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
