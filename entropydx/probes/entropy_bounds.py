"""Between what the mean token entropy lies, where a server tells only its most likely tokens.

## What it measures
`mean_lower` and `mean_upper`: the means over all tokens of the least and of the greatest entropy that fit what the
server told of each (the top k log-probabilities, and that no other token is likelier than the k-th), nats per token at
temperature 1. The true mean, `token_entropy.mean` with the weights at hand, lies between the two numbers *of this very
sample*, by a proof (`engines/_openai_bounds.py`) and not by chance; each has its own interval, for other prompts. With
the most likely 20 tokens the two are close where the policy is sure, and far apart where it is not.

Without the size of the vocabulary there is no upper bound (`--vocab-size` says it). There are no changes against a
baseline: two intervals have no difference that is a number. Missing where exact entropies are known.

## What confounds it
All that confounds `token_entropy.mean`, and a server that rounds or rescales the log-probabilities that it tells.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from entropydx import stats
from entropydx.probes._paired import strata
from entropydx.probes._scored import joined, token_mean
from entropydx.protocols import Probe
from entropydx.types import Completion, FloatArray, Group, Measurement, Missing, Requires, Samples

UNIT = "nats/token"
EXACT = "the exact entropies are known: see token_entropy.mean"
NOTHING = "the server told no log-probabilities of its most likely tokens"
NO_SIZE = "the size of the vocabulary is unknown, so nothing bounds the entropy from above: --vocab-size says it"
Read = Callable[[Completion], FloatArray | None]
BOUNDS: dict[str, Read] = {"mean_lower": lambda c: c.entropy_low, "mean_upper": lambda c: c.entropy_high}


class EntropyBounds:
    """The interval of the mean token entropy."""

    requires = Requires()

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return both bounds over all prompts."""
        part = next(strata(samples, baseline, samples.params.seed))
        alone = tuple(part.groups)
        return [self._bound(name, read, alone, part.population) for name, read in BOUNDS.items()]

    @staticmethod
    def _bound(name: str, read: Read, groups: tuple[Group, ...], population: stats.Population) -> Measurement:
        full = f"entropy_bounds.{name}"
        drawn = [c for g in groups for c in g.completions if c.n_tokens]
        told = [read(c) is not None for c in drawn]
        if not drawn:
            return Missing(name=full, reason="nothing was sampled")
        if not all(told):
            exact = all(c.entropies is not None for c in drawn)
            no_low = any(c.entropy_low is None for c in drawn)
            return Missing(name=full, reason=EXACT if exact else NOTHING if no_low else NO_SIZE)
        tokens = [joined(v for c in g.completions if (v := read(c)) is not None) for g in groups]
        return population.estimate(full, UNIT, token_mean(tokens))


probe: Probe = EntropyBounds()
