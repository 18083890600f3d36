"""A scheduler that treats its batch as vLLM's does, with more upheaval: rows are vacated, refilled, condensed, swapped,
preempted with what they have so far, and sampled for nothing in the middle of a prefill. The model is any function."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropydx.engines._vllm_rows import Job, Rows


class FakeEngine:
    """What the client uses of `vllm.LLMEngine`, one step at a time."""

    def __init__(self, logits: Callable[[list[int]], Tensor], max_rows: int = 4, seed: int = 0):
        self.logits, self.max_rows, self.random = logits, max_rows, random.Random(seed)
        self.rows = Rows(torch.device("cpu"))
        self.waiting: list[Any] = []
        self.batch: list[Any | None] = []
        self.engine_core = SimpleNamespace(shutdown=lambda: None)
        self.spoil = False
        """Ignore the token that was left for a row, as a sampler of another kind would."""

    def add_request(self, request_id, prompt, params, lora_request=None):
        self.waiting.append(
            SimpleNamespace(id=request_id, prompt=prompt["prompt_token_ids"], params=params, output=[], done=None)
        )

    def abort_request(self, ids):
        self.waiting = [r for r in self.waiting if r.id not in ids]
        for request in self.batch:
            if request is not None and request.id in ids:
                request.done = "abort"

    def collective_rpc(self, name, args=()):
        if name == "entropydx_close":
            return [None]
        asked, forgotten = args
        self.rows.forget(forgotten)
        return [None, ([t.to_bytes() for t in self.rows.take(asked)], self.rows.most_rows)]

    def add_lora(self, request):
        pass

    def step(self):
        self._reschedule()
        if not self.batch:
            return []
        partial = [self.random.random() < 0.2 and not r.output for r in self.batch]
        logits = torch.stack([self.logits(r.prompt + r.output) for r in self.batch]).float()
        self.rows.apply(logits)
        tokens = logits.argmax(-1).tolist()
        for request, token, discarded in zip(self.batch, tokens, partial, strict=True):
            if not discarded:
                request.output.append(0 if self.spoil else token)
                if token in request.params.stop_token_ids:
                    request.done = "stop"
                elif len(request.output) == request.params.max_tokens:
                    request.done = "length"
        ended = [r for r in self.batch if r.done in {"stop", "length"}]
        return [_output(r) for r in ended]

    def _reschedule(self):
        removed = [i for i, r in enumerate(self.batch) if r.done]
        for i, request in enumerate(self.batch):
            if i not in removed and self.random.random() < 0.1:  # preempted: comes back later
                removed.append(i)
                self.waiting.append(request)
        removed.sort(reverse=True)
        for i in removed:
            self.batch[i] = None
        added, moved = [], []
        while self.waiting and sum(r is not None for r in self.batch) < self.max_rows:
            request = self.waiting.pop(0)
            # What comes back has a new list, as after a preemption.
            request.output = list(request.output)
            index = removed.pop() if removed else len(self.batch)
            if index == len(self.batch):
                self.batch.append(None)
            self.batch[index] = request
            added.append((index, _job(request.params), request.output))
        left = list(removed)
        while left:
            last = max((i for i, r in enumerate(self.batch) if r is not None), default=-1)
            if left[-1] >= last:
                break
            empty = left.pop()
            self.batch[empty], self.batch[last] = self.batch[last], None
            moved.append((last, empty, False))
        self.batch = [r for r in self.batch if r is not None]
        for _ in range(self.random.randrange(3) if len(self.batch) > 1 else 0):
            a, b = self.random.sample(range(len(self.batch)), 2)
            self.batch[a], self.batch[b] = self.batch[b], self.batch[a]
            moved.append((a, b, True))
        if removed or added or moved:
            self.rows.update(left, added, moved)


def _job(params):
    arguments = params.extra_args
    return None if arguments is None else Job.from_args(arguments["entropydx"])


def _output(request):
    answer = SimpleNamespace(token_ids=tuple(request.output), finish_reason=request.done)
    return SimpleNamespace(request_id=request.id, finished=True, outputs=[answer])
