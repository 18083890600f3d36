"""Entropies that a tool logged for each token, as measurements of their own: never compared in absolute terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entropydx import stats
from entropydx.types import FloatArray, Measurement, Missing

UNIT = "nats/token"


def imported_entropy(prompts: Sequence[Sequence[FloatArray]], note: str) -> tuple[Measurement, ...]:
    """Return mean and sequence mean of logged entropies, with intervals over prompts.

    Parameters
    ----------
    prompts : (N) sequences of (T,) arrays
        The entropies of the completions of every prompt, nats; an array may be empty.
    note : str
        The provenance: whose estimate it is, and at which temperature.
    """
    names = ("imported_entropy.mean", "imported_entropy.seq_mean")
    kept = [[np.asarray(tokens, dtype=float) for tokens in texts if len(tokens)] for texts in prompts]
    kept = [texts for texts in kept if texts]
    if not kept:
        return tuple(Missing(name=name, reason="no completion has a logged token") for name in names)
    population = stats.Population(n_prompts=len(kept))
    sums = np.array([sum(t.sum() for t in texts) for texts in kept])
    sizes = np.array([float(sum(map(len, texts))) for texts in kept])
    sequences = np.array([np.mean([t.mean() for t in texts]) for texts in kept])
    return (
        population.estimate(names[0], UNIT, stats.ratio_statistic(sums, sizes), note=note),
        population.estimate(names[1], UNIT, stats.mean_statistic(sequences), note=note),
    )
