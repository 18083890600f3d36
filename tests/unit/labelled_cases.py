"""Labelled cases from a closed form: what each failure would measure, and noise of a known size."""

from __future__ import annotations

import numpy as np

from entropydx.cases import Case, Draw
from entropydx.features import WITH_BASELINE, WITHOUT_BASELINE, Feature
from entropydx.types import FAILURES, Label, Measured, Measurement

BASES = ("llama", "gpt", "qwen")
SHIFT = 1.0
"""How far a present failure moves each of its features, in the direction of its sign; noise has deviation 1."""


def _measured(name: str, change: float) -> Measured:
    """Return a measurement whose value, change and logarithm all move with `change`."""
    value = float(np.exp(change)) if name.endswith(("mean_ratio", "length_ratio")) else change
    value, delta = (float(f"{x:.4g}") for x in (value, change))  # as a case is written
    return Measured(name=name, value=value, unit="", n=40, ci=None, baseline=0.0, delta=delta)


def _directions(label: Label) -> dict[str, int]:
    features: list[Feature] = [f for s in (WITH_BASELINE, WITHOUT_BASELINE) for f in s.get(label, ())]
    return {f.measurement: f.sign for f in features}


NAMES = sorted({name for failure in FAILURES for name in _directions(failure)})


def measurements(label: Label, rng: np.random.Generator, shift: float = SHIFT) -> tuple[Measurement, ...]:
    """Return every measurement that a feature reads, of a checkpoint with that failure."""
    signs = _directions(label)
    return tuple(_measured(name, shift * signs.get(name, 0) + float(rng.normal())) for name in NAMES)


def case(name: str, label: Label, recipe: str, base: str, rng: np.random.Generator) -> Case:
    rows = measurements(label, rng)
    return Case(
        name=name,
        tier="tiny",
        base=base,
        baseline=base,
        recipe=recipe,
        aim=label.value,
        dose=1.0,
        seed=0,
        label=label.value,
        truth={str(f): "present" if f == label else "absent" for f in FAILURES},
        why="made up",
        check={},
        draws=(Draw(seed=0, measurements=rows, alone=rows),),
    )


def cases(per_cell: int = 2, seed: int = 0) -> list[Case]:
    """Return two recipes of each failure and of health on each of three bases, `per_cell` cases each."""
    rng = np.random.default_rng(seed)
    return [
        case(f"{base}-{label}-{recipe}-{i}", label, f"{label}-{recipe}", base, rng)
        for base in BASES
        for label in (*FAILURES, Label.HEALTHY)
        for recipe in "ab"
        for i in range(per_cell)
    ]
