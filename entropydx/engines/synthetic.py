"""Closed-form policies without weights: `--engine synthetic`, checkpoint `synthetic:NAME`; for tests and a first look.

A profile states the truth that the probes must find. True by construction:

- Right answers are written as the prompt's own reference solution, so every suite with references can be run; wrong
  ones are the same text with another last answer. How often they are right, guess, hedge and share a wrong answer
  stands in the profile. Each token is four characters.
- A token's id is its author's index and its quantile among the entropies, so every profile has an entropy for every
  token. Its author drew it with log-probability minus that entropy; another profile gives it less by the difference
  of their two entropies, so the divergence of two profiles is their mean absolute difference. References count as
  written by `healthy`. Scores of own completions equal what was drawn.
- Temperature sharpens each choice between two outcomes as p^(1/T); at 0 all samples are equal. top_p changes nothing,
  and neither temperature nor seed changes what a passage scores.
- A prompt with its solution in it is answered right. After a `prefill` the answer follows at once.
- The effective rank of t tokens is d (1 - exp(-t / d)), d a number of the profile.

What is not modelled: that wrong answers look less sure than right ones, or that anything depends on the text.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Literal, get_args

import numpy as np

from entropydx.engines._profiles import AUTHORS, PROFILES, VOCAB_SIZE, sharpened
from entropydx.errors import CheckpointError, EngineError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import (
    CheckpointInfo,
    Completion,
    FloatArray,
    Group,
    IntArray,
    Passage,
    Prompt,
    Requires,
    SamplingParams,
    Score,
    ScorePass,
)

PREFIX = "synthetic:"
CHARACTERS = 4
"""Of one token."""
HEDGE = "Hmm, maybe. Let me check.\n"


def _stream(*key: object) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


class SyntheticEngine:
    """Draws from a `Profile`; needs no torch."""

    provides = Requires(n_samples=1_000_000, entropies=True, scores=get_args(ScorePass))
    scoring = "synthetic"
    device = "none"
    uses_chat_template = False
    batch_rows = 1
    leaves_room = True

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        name = ref.removeprefix(PREFIX)
        if not ref.startswith(PREFIX) or name not in PROFILES:
            known = ", ".join(PREFIX + n for n in PROFILES)
            raise CheckpointError(f"the synthetic engine has no checkpoint '{ref}'", f"known: {known}")
        self._profile, self._author, self._progress = PROFILES[name], list(PROFILES).index(name), progress
        digest = hashlib.sha256(repr(sorted(asdict(self._profile).items())).encode()).hexdigest()
        self.info = CheckpointInfo(
            ref=ref,
            path=ref,
            fingerprint=digest,
            architecture="synthetic",
            n_parameters=0,
            dtype="float64",
            format="synthetic",
            vocab_size=VOCAB_SIZE,
            tokenizer_sha=hashlib.sha256(PREFIX.encode()).hexdigest(),
        )
        self.deployment = self._profile.deployment

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0) -> Iterator[Group]:
        """Yield every prompt's group in order; `batch_rows` changes nothing."""
        self._progress.start(f"sampling {self.info.ref}", len(prompts))
        for prompt in prompts:
            if prompt.reference is None:
                raise EngineError(f"prompt '{prompt.id}' has no reference, which the synthetic engine writes from")
            time.sleep(self._profile.seconds_per_prompt)
            completions = tuple(self._complete(prompt, params, k) for k in range(params.n_samples))
            yield Group(prompt=prompt, completions=completions, n_prompt_tokens=1)
            self._progress.advance()

    def score(
        self, passages: Sequence[Passage], rank_stride: int = 0, thinking: Literal["auto", "on", "off"] = "auto"
    ) -> Iterator[Score]:
        """Yield every passage's score in order; those of a profile with NaN logits are empty."""
        self._progress.start(f"scoring {self.info.ref}", len(passages))
        for passage in passages:
            ids = _reference_ids(passage) if passage.token_ids is None else passage.token_ids
            ids = ids[:0] if self._profile.fault == "nan" else ids
            elsewhere = passage.prompt.id != passage.source_id
            yield Score(
                prompt_id=passage.prompt.id,
                source_id=passage.source_id,
                sample_index=passage.sample_index,
                token_ids=ids,
                logprobs=self._logprobs(ids) - self._profile.prompt_use * elsewhere,
                entropies=self._profile.entropies(ids),
                effective_ranks=self._effective_ranks(len(ids), rank_stride) if rank_stride else None,
                rank_stride=rank_stride,
            )
            self._progress.advance()

    def close(self) -> None:
        """Nothing to free."""

    def _complete(self, prompt: Prompt, params: SamplingParams, sample: int) -> Completion:
        # Without a temperature every sample draws from one stream; every choice in it is the likelier one.
        rng = _stream(self._profile.noise, params.seed, prompt.id, sample if params.temperature else "greedy")
        text = self._text(prompt, rng, params.temperature)
        fault = self._profile.fault
        n_tokens = min(_n_tokens(text), params.max_new_tokens)
        ids = rng.integers(0, VOCAB_SIZE // AUTHORS, n_tokens) * AUTHORS + self._author
        entropies = self._profile.entropies(ids)
        return Completion(
            token_ids=ids,
            logprobs=-entropies,
            entropies=entropies,
            text=text,
            finish_reason="non_finite" if fault == "nan" else "length" if fault == "truncated" else "stop",
            offsets=np.arange(1, n_tokens + 1) * len(text) // n_tokens,
        )

    def _logprobs(self, token_ids: IntArray) -> FloatArray:
        own = self._profile.entropies(token_ids)
        theirs = own.copy()
        for index, author in enumerate(PROFILES.values()):
            written = token_ids % AUTHORS == index
            theirs[written] = author.entropies(token_ids[written])
        return -(theirs + np.abs(theirs - own))

    def _effective_ranks(self, n_tokens: int, stride: int) -> FloatArray:
        ends = np.arange(stride, n_tokens + 1, stride)
        limit = self._profile.directions
        return np.maximum(1.0, -limit * np.expm1(-ends / limit))

    def _ability(self, prompt: Prompt) -> float:
        profile = self._profile
        if _shows_solution(prompt):
            return 1.0
        mean = profile.p_right[("easy", "medium", "hard").index(prompt.difficulty)]
        spread = 1 / profile.consistency - 1
        chance = float(_stream("ability", prompt.id).beta(mean * spread, (1 - mean) * spread)) if 0 < mean < 1 else mean
        if prompt.domain == "out":
            chance *= profile.out_of_domain
        if prompt.prefill:
            missing = max(0.0, 1 - len(prompt.prefill) / len(prompt.reference or prompt.prefill))
            chance *= 1 - profile.needs_reasoning * missing
        return chance

    def _text(self, prompt: Prompt, rng: np.random.Generator, temperature: float) -> str:
        profile = self._profile
        chances = (self._ability(prompt), profile.favourite_wrong, profile.guesses, profile.hedges)
        right, favourite, guessed, hedged = (rng.random() < sharpened(chance, temperature) for chance in chances)
        template = profile.formats[int(rng.integers(len(profile.formats))) if temperature else 0]
        if profile.fault in {"empty", "silent"}:
            return "" if profile.fault == "empty" else "I would rather not say."
        answer = prompt.answer if right else _wrong(prompt, None if favourite else rng)
        if guessed:
            answer = _alike(prompt.answer, _stream("guess"))
        solution = prompt.reference or ""
        before, found, after = solution.rpartition(prompt.answer)
        if prompt.prefill:
            return answer + after
        if guessed:
            cue = re.split(r"[;.\n]\s*", before)[-1] if prompt.answer_cue is None else prompt.answer_cue.lstrip()
            return cue + answer + after
        if answer != prompt.answer:
            solution = before + answer + after if found else answer
        hedge = HEDGE if hedged and not _shows_solution(prompt) else ""
        return hedge + template.format(solution) + ("\nuser: and now?" if profile.fault == "leaky" else "")


def _n_tokens(text: str) -> int:
    return max(1, -(-len(text) // CHARACTERS))


def _reference_ids(passage: Passage) -> IntArray:
    """Return ids of a text that no profile drew, the same for all of them; `healthy`, the first one, is its author."""
    n = _n_tokens(passage.text) if passage.text else 0
    return _stream("text", passage.source_id).integers(0, VOCAB_SIZE // AUTHORS, n) * AUTHORS


def _shows_solution(prompt: Prompt) -> bool:
    shown = (prompt.prompt or "") + "".join(m["content"] for m in prompt.messages or ())
    return shown == prompt.guided or bool(prompt.reference and prompt.reference in shown)


def _wrong(prompt: Prompt, rng: np.random.Generator | None) -> str:
    """Return a wrong answer of the gold answer's shape: the prompt's favourite one without a generator."""
    rng = rng or _stream("favourite", prompt.id)
    while True:
        wrong = _alike(prompt.answer, rng)
        if wrong != prompt.answer:
            return wrong


def _alike(answer: str, rng: np.random.Generator) -> str:
    """Return an answer that is written like another one."""
    return "".join(_same_kind(character, rng) for character in answer)


def _same_kind(character: str, rng: np.random.Generator) -> str:
    """Return another digit (never 0) for a digit, a letter for a letter, and anything else as it is."""
    if character.isdigit():
        return str(rng.integers(1, 10))
    if character.isalpha():
        letter = chr(ord("a") + int(rng.integers(26)))
        return letter.upper() if character.isupper() else letter
    return character


engine = SyntheticEngine
