"""The synthetic engine's policies: what is true of each, stated as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from entropydx.types import FloatArray, IntArray

VOCAB_SIZE = 32_000
AUTHORS = 16
"""A token id modulo this is the index of the profile that wrote it; the rest is its quantile among the entropies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The truth of one synthetic policy."""

    p_right: tuple[float, float, float] = (0.97, 0.75, 0.15)
    """Mean chance of a right answer on easy, medium and hard prompts."""
    consistency: float = 0.8
    """0: every prompt of a difficulty has the mean chance; 1: every prompt is always or never right. A prompt's chance
    is drawn from Beta(m s, (1 - m) s) with s = 1/consistency - 1."""
    out_of_domain: float = 1.0
    """What that chance is multiplied with out of domain."""
    needs_reasoning: float = 0.8
    """Part of that chance that is lost when the answer is asked for before any reasoning."""
    guesses: float = 0.0
    """Chance that a completion is a bare answer, the same one for all problems whose answers are written alike."""
    favourite_wrong: float = 0.2
    """Chance that a wrong answer is the prompt's favourite wrong answer."""
    hedges: float = 0.7
    """Chance that a completion begins with a hedge; a prompt that has the solution in it gets none."""
    formats: tuple[str, ...] = ("{}", "So:\n- first\n- then\n{}", "```\nwork\n```\n{}")
    """Templates around the solution, drawn uniformly."""
    fork_share: float = 0.2
    fork_entropy: float = 1.0
    """Mean of the exponential distribution of entropies at forks, nats; cut off at ln V."""
    other_entropy: float = 0.05
    """The same elsewhere, nats."""
    prompt_use: float = 0.5
    """What a token costs more after another prompt than its own, nats."""
    directions: float = 24.0
    """Effective rank of the hidden states of a long text."""
    deployment: tuple[float, float] | None = None
    """Temperature and top_p that it asks to be sampled with."""
    fault: str = ""
    """`nan`, `truncated`, `empty`, `silent` (no answer) or `leaky` (writes role markers)."""
    noise: str = ""
    """Of the sampling noise; profiles that share it are drawn with common random numbers."""
    seconds_per_prompt: float = 0.0
    """Pretended slowness, for tests of interruption."""

    @property
    def mean_entropy(self) -> float:
        """Expected token entropy, nats: m (1 - exp(-ln V / m)) for an exponential of mean m cut off at ln V."""
        cut = [m * (1 - float(VOCAB_SIZE) ** (-1 / m)) for m in (self.fork_entropy, self.other_entropy)]
        return float(self.fork_share * cut[0] + (1 - self.fork_share) * cut[1])

    def entropies(self, token_ids: IntArray) -> FloatArray:
        """Return the entropies, (T,) nats, of the distributions that tokens were drawn from: a quantile for each id."""
        quantile = (token_ids // AUTHORS + 0.5) / (VOCAB_SIZE // AUTHORS)
        share = self.fork_share
        forks = quantile < share
        within = np.where(forks, quantile / share, (quantile - share) / (1 - share))
        means = np.where(forks, self.fork_entropy, self.other_entropy)
        entropies: FloatArray = np.minimum(-means * np.log1p(-within), np.log(VOCAB_SIZE))
        return entropies


PROFILES = {
    "healthy": Profile(),
    "twin": Profile(noise="twin"),
    "collapsed": Profile(
        consistency=0.98,
        fork_share=0.02,
        other_entropy=0.005,
        favourite_wrong=0.98,
        formats=("{}",),
        hedges=1.0,
        directions=8.0,
    ),
    "noisy": Profile(p_right=(0.6, 0.55, 0.15), consistency=0.02, favourite_wrong=0.05, deployment=(0.6, 0.95)),
    "shortcut": Profile(
        p_right=(0.5, 0.4, 0.1),
        consistency=0.3,
        guesses=0.6,
        needs_reasoning=0.0,
        formats=("{}",),
        hedges=0.1,
        fork_share=0.35,
        prompt_use=0.1,
    ),
    "overconfident": Profile(
        p_right=(0.99, 0.85, 0.3),
        consistency=0.95,
        out_of_domain=0.1,
        favourite_wrong=0.95,
        formats=("{}",),
        hedges=0.0,
        fork_share=0.05,
        other_entropy=0.01,
    ),
    "exploded": Profile(p_right=(0.0, 0.0, 0.0), fork_share=0.95, fork_entropy=40.0, other_entropy=2.0),
    "broken": Profile(fault="nan"),
    "truncated": Profile(fault="truncated"),
    "empty": Profile(fault="empty"),
    "silent": Profile(fault="silent"),
    "leaky": Profile(fault="leaky"),
    "slow": Profile(seconds_per_prompt=0.25),
}


def sharpened(chance: float, temperature: float) -> float:
    """Return the chance of one of two outcomes at a temperature: p^(1/T) / (p^(1/T) + (1 - p)^(1/T)); 0 is greedy."""
    return float(expit(logit(chance) / temperature)) if temperature else float(chance > 0.5)
