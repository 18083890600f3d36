"""What an organism of the lab is found to be, by the independent check and the definitions of `truth`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from entropydx.organisms.catalogue import Recipe
from entropydx.organisms.check import N_SAMPLES, measure, measure_deployed
from entropydx.organisms.truth import judge

N_CHECK_PROMPTS = 192
"""Prompts of the independent check of a lab organism, 16 samples each."""


def measure_all(folder: Path, n_prompts: int = N_CHECK_PROMPTS) -> dict[str, float]:
    """Return the numbers of the check, and those of the deployment's sampling where there is one, to four decimals."""
    numbers = measure(folder, n_prompts) | measure_deployed(folder, n_prompts)
    return {key: round(value, 4) for key, value in numbers.items()}


def found(
    recipe: Recipe, numbers: dict[str, float], base: dict[str, float], n_prompts: int = N_CHECK_PROMPTS
) -> dict[str, Any]:
    """Return the `check` entry of a record: what the organism is, beside what it was meant to be."""
    label, truth = judge(numbers, base, recipe.label)
    return {
        "label": str(label),
        "passed": label == recipe.label,
        "truth": truth,
        "n_prompts": n_prompts,
        "n_samples": N_SAMPLES,
        "numbers": numbers,
        "base": base,
    }
