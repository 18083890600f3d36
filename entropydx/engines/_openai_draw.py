"""One draw from a server: which requests bring which samples, in the wording that the server understands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from entropydx.engines._openai_answer import Drawn, read_choices
from entropydx.engines._openai_dialect import Dialect, Rendered
from entropydx.engines._openai_http import Client, RefusedError
from entropydx.protocols import Progress
from entropydx.types import Prompt, SamplingParams

AT_ONCE = 8
"""Requests on their way together, unless `batch_rows` says otherwise."""
Task = tuple[Prompt, tuple[int, ...]]
"""A prompt, and which of its samples are asked for in one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a request brought: completions of a prompt, and the tokens that the server makes of it (0: not told)."""

    prompt: Prompt
    samples: tuple[int, ...]
    drawn: Sequence[Drawn]
    width: int
    n_together: int
    """Most completions that are asked for at once."""


@dataclass(slots=True, kw_only=True)
class Draw:
    """Asks one server for `params.n_samples` completions of every prompt."""

    client: Client
    dialect: Dialect
    params: SamplingParams
    rendered: Mapping[str, Rendered]
    """Prompts as the model sees them, by their ids; empty where the server renders them."""
    progress: Progress

    def brought(self, prompts: Sequence[Prompt], batch_rows: int, *, met: bool) -> Iterator[Brought]:
        """Yield what each request brought.

        Parameters
        ----------
        batch_rows : int
            Most completions asked for at once; 0 for 8 requests.
        met : bool
            Whether it is known what the server takes; else the first prompt is asked for alone, to learn it.
        """
        samples, left = tuple(range(self.params.n_samples)), list(prompts)
        if not met:
            first = left.pop(0)
            drawn, width = self.client.wait(self._meet(first, samples))
            yield Brought(prompt=first, samples=samples, drawn=drawn, width=width, n_together=1)
        together = self.dialect.takes_n and (not batch_rows or batch_rows >= len(samples))
        n_at_once = AT_ONCE
        if batch_rows:
            n_at_once = max(1, batch_rows // len(samples)) if together else batch_rows
        n_together = min(n_at_once * (len(samples) if together else 1), len(left) * len(samples))
        chunks = [samples] if together else [(k,) for k in samples]
        tasks: Iterable[Task] = ((prompt, chunk) for prompt in left for chunk in chunks)
        for (prompt, asked), (drawn, width) in self.client.each(tasks, self._ask, n_at_once):
            self.dialect.tell()
            yield Brought(prompt=prompt, samples=asked, drawn=drawn, width=width, n_together=n_together)

    async def _meet(self, prompt: Prompt, samples: tuple[int, ...]) -> tuple[list[Drawn], int]:
        """Ask for the first time, and see whether completions that come together are drawn apart."""
        drawn, width = await self._ask((prompt, samples))
        alike = len({d.text for d in drawn}) == 1 < len(samples)
        if alike and self.dialect.takes_n and self.params.temperature > 0:
            apart = [(await self._ask((prompt, (k,))))[0][0] for k in samples]
            if len({d.text for d in apart}) > 1:
                self.dialect.takes_n, drawn = False, apart
                self.progress.warn("the server draws alike what is asked for together: it is asked for one at a time")
        self.dialect.tell()
        return drawn, width

    async def _ask(self, task: Task) -> tuple[list[Drawn], int]:
        """Return the completions of a task in the order of its samples, from one request or from several."""
        prompt, samples = task
        found: list[Drawn] = []
        width = 0
        while len(found) < len(samples):
            wanted = samples[len(found) :] if self.dialect.takes_n else samples[len(found) : len(found) + 1]
            drawn, width = await self._request(prompt, wanted)
            if len(wanted) > 1 and any(d.n_tokens is None for d in drawn):
                self.dialect.takes_n = False  # it only counts the tokens of all of them together
                continue
            found += drawn[: len(wanted)]
            if len(drawn) < len(wanted):
                self.dialect.takes_n = False
        return found, width

    async def _request(self, prompt: Prompt, samples: tuple[int, ...]) -> tuple[list[Drawn], int]:
        dialect, rendered = self.dialect, self.rendered.get(prompt.id)
        while True:
            body = dialect.body(prompt, self.params, samples if dialect.takes_n else samples[:1], rendered)
            path = "/completions" if "prompt" in body else "/chat/completions"
            try:
                answer = await self.client.post(path, body)
            except RefusedError as refusal:
                if not dialect.learn(refusal, body):
                    raise
                continue
            drawn, width = read_choices(answer)
            if rendered is None or not dialect.doubles_bos(rendered, width):
                return drawn, width
