"""Any OpenAI-compatible server (vLLM, SGLang, llama.cpp): `--engine openai --endpoint http://host:8000/v1`.

A path as checkpoint means that its weights are at hand too: prompts are rendered here, and the tokens that the server
drew are scored by the weights, so entropies are exact (`scoring` is `rescored`). A mere name means that they are not:
the server renders the prompts, and what is known of the entropies is between what they lie (`top_k`).

The server's own defaults shape nothing as far as it takes the fields that say so; what it does not take is told. The
key comes from the environment variable OPENAI_API_KEY and is written nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from entropydx.engines._checks import check_params
from entropydx.engines._decode import Work
from entropydx.engines._openai_answer import Drawn, completion_of
from entropydx.engines._openai_dialect import TOP_LOGPROBS, Dialect, Rendered
from entropydx.engines._openai_draw import Draw
from entropydx.engines._openai_http import Client, RefusedError, checked_endpoint
from entropydx.engines._openai_rescore import Rescorer
from entropydx.errors import CheckpointError, EngineError
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

FLEETING = frozenset({"created", "permission", "permissions", "object", "loaded", "status"})
"""What a server says of a model that is not of the model."""


class OpenAIEngine:
    """Has completions drawn by a server, many requests at once, and scores them where the weights are at hand.

    Parameters
    ----------
    ref : str
        A path to the weights that the server serves, or the name that it serves them under.
    options : EngineOptions
        `endpoint` is the server's address; the rest is how a path is opened, save `batch_rows`: the most completions
        that are asked for at once, 0 for 8 requests. `vocab_size` is V where no weights tell it: it bounds entropies
        from above.
    progress : Progress
        Told of sampling, and of what the server does not take.

    Raises
    ------
    ConfigError
        There is no address, or httpx is not installed.
    EngineError
        The server cannot be reached, or refuses the key.
    CheckpointError
        The server has no such model, or the path cannot be used.
    """

    provides = Requires(n_samples=sys.maxsize, grades=True)
    scoring = "top_k"

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        self._endpoint, self._options, self._progress = checked_endpoint(options.endpoint), options, progress
        models = _models(self._endpoint)
        self._weights = Rescorer(ref, options, progress) if Path(ref).exists() else None
        entry = _served(ref, models, self._endpoint)
        top = TOP_LOGPROBS if self._weights is None else TOP_LOGPROBS[-2:]
        self._dialect = Dialect(str(entry.get("id", ref)), str(entry.get("owned_by", "")), top, progress)
        self._dialect.bos = "" if self._weights is None else self._weights.bos
        self._met, self._seen = False, 0
        if self._weights is not None:
            self.scoring = "rescored"
            self.provides = Requires(n_samples=sys.maxsize, entropies=True, grades=True, scores=get_args(ScorePass))
        self._info = _info(ref, entry, options, self._endpoint) if self._weights is None else self._weights.info

    # ── what it is ────────────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint; of a mere name, what the server says of it."""
        return self._info

    @property
    def device(self) -> str:
        """The server, and where its tokens are scored."""
        scored = "" if self._weights is None else f", scored on {self._weights.device}"
        return f"server {self._endpoint}{scored}"

    @property
    def uses_chat_template(self) -> bool:
        """Whether prompts go through a chat template, the checkpoint's own or the server's."""
        return self._dialect.chats if self._weights is None else self._weights.uses_chat_template

    @property
    def batch_rows(self) -> int:
        """Most completions asked for at once so far; 0 before anything was drawn."""
        return self._seen

    @property
    def leaves_room(self) -> bool:
        """Whether another model would fit beside it; one that only a server holds takes no room here."""
        return True if self._weights is None else self._weights.leaves_room

    @property
    def deployment(self) -> tuple[float, float] | None:
        """As of the `hf` engine; None of a mere name."""
        return None if self._weights is None else self._weights.deployment

    # ── what it does ──────────────────────────────────────────────────────────────────────────────

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0) -> Iterator[Group]:
        """Have `params.n_samples` completions of every prompt drawn; each group comes as soon as it is complete.

        Parameters
        ----------
        prompts : sequence of Prompt
            With unique ids.
        params : SamplingParams
            How to draw. The seed of each completion is a function of (seed, prompt id, sample index).
        batch_rows : int
            Most completions asked for at once; 0 takes the options' number.

        Raises
        ------
        ConfigError
            A sampling parameter is out of range, or a switch that the template or the server lacks.
        EngineError
            Two prompts share an id, a prompt cannot be rendered or does not fit the context, or the server fails.
        """
        check_params(params)
        if len({p.id for p in prompts}) < len(prompts):
            raise EngineError("two prompts have the same id", "ids key the seeds and must be unique")
        rendered: dict[str, Rendered] = {}
        if self._weights is not None:
            renderer = self._weights.renderer(params.thinking)
            rendered = {p.id: Rendered(tuple(renderer.token_ids(p)), renderer.text(p)) for p in prompts}
            work = [Work(p.id, list(rendered[p.id].ids), tuple(range(params.n_samples))) for p in prompts]
            self._weights.limits.check_prompts(work, params.max_new_tokens)
        return self._groups(prompts, params, rendered, batch_rows or self._options.batch_rows)

    def score(
        self, passages: Sequence[Passage], rank_stride: int = 0, thinking: Literal["auto", "on", "off"] = "auto"
    ) -> Iterator[Score]:
        """Score passages with the weights, as `HfEngine.score` does.

        Raises
        ------
        EngineError
            They are not at hand; or as `HfEngine.score`.
        """
        if self._weights is None:
            raise EngineError(
                f"'{self._info.ref}' is a name at a server, which scores no texts", "give the checkpoint's directory"
            )
        return self._weights.score(passages, rank_stride, thinking)

    def close(self) -> None:
        """Free the weights, if any; a later call loads them again. Connections last no longer than a `generate`."""
        if self._weights is not None:
            self._weights.close()

    def _groups(
        self, prompts: Sequence[Prompt], params: SamplingParams, rendered: Mapping[str, Rendered], batch_rows: int
    ) -> Iterator[Group]:
        if not prompts:
            return
        self._progress.start(f"sampling {self._info.ref}", len(prompts))
        n_tokens, start = 0, time.monotonic()
        done: dict[str, dict[int, Drawn]] = {p.id: {} for p in prompts}
        with contextlib.closing(Client(self._endpoint)) as client:
            draw = Draw(client=client, dialect=self._dialect, params=params, rendered=rendered, progress=self._progress)
            for brought in draw.brought(prompts, batch_rows, met=self._met):
                self._met, self._seen = True, max(self._seen, brought.n_together)
                prompt, held = brought.prompt, done[brought.prompt.id]
                held.update(zip(brought.samples, brought.drawn, strict=True))
                if len(held) < params.n_samples:
                    continue
                completions = self._completions(prompt, [d for _, d in sorted(held.items())], params)
                n_tokens += sum(c.n_tokens for c in completions)
                self._progress.advance(1, f"{n_tokens / (time.monotonic() - start):.0f} tok/s")
                width = len(rendered[prompt.id].ids) if rendered else brought.width
                del done[prompt.id]
                yield Group(prompt=prompt, completions=completions, n_prompt_tokens=width)
        if self._weights is not None:
            self._weights.tell()

    def _completions(self, prompt: Prompt, drawn: Sequence[Drawn], params: SamplingParams) -> tuple[Completion, ...]:
        if self._weights is not None:
            return self._weights.completions(prompt, drawn, params)
        at_one = params.temperature == 1 and params.top_p == 1
        return tuple(completion_of(d, self._dialect.top, self._info.vocab_size, at_one=at_one) for d in drawn)


def _models(endpoint: str) -> list[dict[str, Any]] | None:
    """Return what a server says of each of its models, None when it does not say what it has."""
    try:
        with contextlib.closing(Client(endpoint)) as client:
            answer = client.wait(client.get("/models"))
    except RefusedError as error:
        if error.status in {404, 405, 501}:
            return None
        raise
    found = answer.get("data") if isinstance(answer, dict) else None
    return [m for m in found if isinstance(m, dict)] if isinstance(found, list) else None


def _served(ref: str, models: list[dict[str, Any]] | None, endpoint: str) -> dict[str, Any]:
    """Return what the server says of the model that is meant: named so, named after the path, or its only one.

    Raises
    ------
    CheckpointError
        It has no such model.
    """
    if models is None:
        return {"id": ref}
    path = Path(ref)
    names = {str(m.get("id")): m for m in models}
    if ref in names or not path.exists():
        wanted = [ref]
    else:
        wanted = [str(path.resolve()), path.resolve().name, path.resolve().stem]
        wanted += list(names) if len(names) == 1 else []
    found = next((names[name] for name in wanted if name in names), None)
    if found is None:
        listed = ", ".join(f"'{name}'" for name in sorted(names)) or "nothing"
        raise CheckpointError(
            f"the server at {endpoint} has no model '{ref}'", f"it serves {listed}; name one of them, or a directory"
        )
    return found


def _info(ref: str, entry: dict[str, Any], options: EngineOptions, endpoint: str) -> CheckpointInfo:
    """Return what is known of a model by its name alone; its fingerprint does not depend on the address."""
    facts = {name: value for name, value in entry.items() if name not in FLEETING}
    meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
    vocab_size = options.vocab_size or int((meta or {}).get("n_vocab") or 0)
    digest = hashlib.sha256(json.dumps([ref, facts, vocab_size], sort_keys=True).encode()).hexdigest()
    return CheckpointInfo(
        ref=ref,
        path=endpoint,
        fingerprint=digest,
        architecture="unknown",
        n_parameters=int((meta or {}).get("n_params") or 0),
        dtype="unknown",
        format="server",
        vocab_size=vocab_size,
    )


engine = OpenAIEngine
