"""How often the interval of `entropydx.stats` covers the truth, by number of prompts.

    python benchmarks/interval_coverage.py

Grades are binomial (8 samples) around per-prompt abilities from a Beta distribution, whose mean is the truth.
"""

from __future__ import annotations

import numpy as np

from entropydx import stats
from entropydx.types import Measured

ABILITIES = {
    "polarised Beta(.5,.5)": (0.5, 0.5),
    "centred Beta(2,2)": (2.0, 2.0),
    "near the ceiling Beta(8,1)": (8.0, 1.0),
}
PROMPTS = (6, 10, 16, 24, 54, 108)
REPEATS = 1000


def coverage(n_prompts: int, a: float, b: float) -> float:
    rng = np.random.default_rng(n_prompts)
    hits = 0
    for _ in range(REPEATS):
        grades = rng.binomial(8, rng.beta(a, b, n_prompts)) / 8
        population = stats.Population(n_prompts=n_prompts)
        measured = population.estimate("x", "share", stats.mean_statistic(grades), bounds=(0, 1))
        assert isinstance(measured, Measured)
        assert measured.ci is not None
        hits += measured.ci[0] <= a / (a + b) <= measured.ci[1]
    return hits / REPEATS


print(f"nominal {stats.CI_LEVEL:.4f}, {REPEATS} repeats each")
print("| prompts |", " | ".join(ABILITIES), "|")
print("|---|" + "---|" * len(ABILITIES))
for n in PROMPTS:
    print(f"| {n} |", " | ".join(f"{coverage(n, *ab):.3f}" for ab in ABILITIES.values()), "|")
