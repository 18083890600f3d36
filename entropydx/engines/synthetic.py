"""Closed-form policies without weights: `--engine synthetic`, checkpoint `synthetic:NAME`; for tests and a first look.

A profile states the truth that the probes must find: the chance of a right answer by difficulty, the share of fork
tokens and the entropy at and off the forks, the chance that a wrong answer is the prompt's favourite wrong one, the
number of formats in use. Right answers are written as the prompt's own reference solution, so every suite with
references can be run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from entropydx.errors import CheckpointError, EngineError
from entropydx.protocols import EngineOptions, Progress
from entropydx.types import CheckpointInfo, Completion, Group, Prompt, Requires, SamplingParams

VOCAB_SIZE = 32_000
PREFIX = "synthetic:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The truth of one synthetic policy."""

    p_right: tuple[float, float, float] = (0.97, 0.75, 0.15)
    """Mean chance of a right answer on easy, medium and hard prompts."""
    consistency: float = 0.8
    """0: every prompt of a difficulty has the mean chance; 1: every prompt is always or never right. A prompt's chance
    is drawn from Beta(m s, (1 - m) s) with s = 1/consistency - 1."""
    fork_share: float = 0.2
    fork_entropy: float = 1.0
    """Mean of the exponential distribution of entropies at forks, nats; cut off at ln V."""
    other_entropy: float = 0.05
    """The same elsewhere, nats."""
    favourite_wrong: float = 0.2
    """Chance that a wrong answer is the prompt's favourite wrong answer."""
    formats: tuple[str, ...] = ("{}", "So:\n- first\n- then\n{}", "```\nwork\n```\n{}")
    """Templates around the solution, drawn uniformly."""
    fault: str = ""
    """`nan`, `truncated`, `empty`, `silent` (no answer) or `leaky` (writes role markers)."""
    noise: str = ""
    """Of the sampling noise; profiles that share it are drawn with common random numbers."""
    seconds_per_prompt: float = field(default=0.0)
    """Pretended slowness, for tests of interruption."""

    @property
    def mean_entropy(self) -> float:
        """Expected token entropy, nats: m (1 - exp(-ln V / m)) for an exponential of mean m cut off at ln V."""
        cut = [m * (1 - float(VOCAB_SIZE) ** (-1 / m)) for m in (self.fork_entropy, self.other_entropy)]
        return float(self.fork_share * cut[0] + (1 - self.fork_share) * cut[1])


PROFILES = {
    "healthy": Profile(),
    "twin": Profile(noise="twin"),
    "collapsed": Profile(consistency=0.98, fork_share=0.02, other_entropy=0.005, favourite_wrong=0.98, formats=("{}",)),
    "noisy": Profile(p_right=(0.6, 0.55, 0.15), consistency=0.02, favourite_wrong=0.05),
    "exploded": Profile(p_right=(0.0, 0.0, 0.0), fork_share=0.95, fork_entropy=40.0, other_entropy=2.0),
    "broken": Profile(fault="nan"),
    "truncated": Profile(fault="truncated"),
    "empty": Profile(fault="empty"),
    "silent": Profile(fault="silent"),
    "leaky": Profile(fault="leaky"),
    "slow": Profile(seconds_per_prompt=0.25),
}


def _stream(*key: object) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


class SyntheticEngine:
    """Draws from a `Profile`; needs no torch."""

    provides = Requires(n_samples=1_000_000, entropies=True)
    scoring = "synthetic"
    device = "none"
    uses_chat_template = False
    batch_rows = 1

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None:
        name = ref.removeprefix(PREFIX)
        if not ref.startswith(PREFIX) or name not in PROFILES:
            known = ", ".join(PREFIX + n for n in PROFILES)
            raise CheckpointError(f"the synthetic engine has no checkpoint '{ref}'", f"known: {known}")
        self._profile, self._progress = PROFILES[name], progress
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
        )

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> Iterator[Group]:
        """Yield every prompt's group in order."""
        self._progress.start(f"sampling {self.info.ref}", len(prompts))
        for prompt in prompts:
            if prompt.reference is None:
                raise EngineError(f"prompt '{prompt.id}' has no reference, which the synthetic engine writes from")
            time.sleep(self._profile.seconds_per_prompt)
            completions = tuple(self._complete(prompt, params, k) for k in range(params.n_samples))
            yield Group(prompt=prompt, completions=completions, n_prompt_tokens=1)
            self._progress.advance()

    def close(self) -> None:
        """Nothing to free."""

    def _complete(self, prompt: Prompt, params: SamplingParams, sample: int) -> Completion:
        rng = _stream(self._profile.noise, params.seed, prompt.id, sample)
        text = self._text(prompt, rng)
        fault = self._profile.fault
        n_tokens = min(max(len(text.split()) * 2, 1), params.max_new_tokens)
        forks = rng.random(n_tokens) < self._profile.fork_share
        levels = np.where(forks, self._profile.fork_entropy, self._profile.other_entropy)
        entropies = np.minimum(levels * rng.exponential(size=n_tokens), np.log(VOCAB_SIZE))
        return Completion(
            token_ids=rng.integers(0, VOCAB_SIZE, n_tokens),
            logprobs=-entropies,
            entropies=entropies,
            text=text,
            finish_reason="non_finite" if fault == "nan" else "length" if fault == "truncated" else "stop",
        )

    def _ability(self, prompt: Prompt) -> float:
        mean = self._profile.p_right[("easy", "medium", "hard").index(prompt.difficulty)]
        spread = 1 / self._profile.consistency - 1
        return float(_stream("ability", prompt.id).beta(mean * spread, (1 - mean) * spread)) if 0 < mean < 1 else mean

    def _text(self, prompt: Prompt, rng: np.random.Generator) -> str:
        profile = self._profile
        right = rng.random() < self._ability(prompt)
        template = profile.formats[int(rng.integers(len(profile.formats)))]
        favourite = rng.random() < profile.favourite_wrong
        if profile.fault in {"empty", "silent"}:
            return "" if profile.fault == "empty" else "I would rather not say."
        solution = prompt.reference or ""
        if not right:
            solution = _swap_last(solution, prompt.answer, _wrong(prompt, None if favourite else rng))
        return template.format(solution) + ("\nuser: and now?" if profile.fault == "leaky" else "")


def _wrong(prompt: Prompt, rng: np.random.Generator | None) -> str:
    """Return a wrong answer of the gold answer's shape: the prompt's favourite one without a generator."""
    rng = rng or _stream("favourite", prompt.id)
    while True:
        wrong = "".join(_same_kind(character, rng) for character in prompt.answer)
        if wrong != prompt.answer:
            return wrong


def _same_kind(character: str, rng: np.random.Generator) -> str:
    """Return another digit (never 0) for a digit, a letter for a letter, and anything else as it is."""
    if character.isdigit():
        return str(rng.integers(1, 10))
    if character.isalpha():
        letter = chr(ord("a") + int(rng.integers(26)))
        return letter.upper() if character.isupper() else letter
    return character


def _swap_last(text: str, old: str, new: str) -> str:
    head, found, tail = text.rpartition(old)
    return head + new + tail if found else new


engine = SyntheticEngine
