"""Labelled cases made of measurements whose verdict can be read off the rules."""

from collections.abc import Sequence

from entropydx.cases import Case, Draw
from entropydx.types import FAILURES, Measured, Measurement

COLLAPSED = {
    "token_entropy.mean_ratio": 0.1,
    "token_entropy.fork_mass_ratio": 0.1,
    "sampling_spread.coverage": (0.6, -0.3),
    "sampling_spread.wrong_agreement": (0.8, 0.5),
    "coverage.support_retention": 0.7,
    "sampling_spread.pass_at_1": (0.6, 0.0),
}
SOUND = {
    "token_entropy.mean_ratio": 0.95,
    "token_entropy.fork_mass_ratio": 0.95,
    "sampling_spread.coverage": (0.9, 0.0),
    "sampling_spread.wrong_agreement": (0.3, 0.0),
    "coverage.support_retention": 0.99,
    "sampling_spread.pass_at_1": (0.6, 0.0),
    "sampling_spread.majority_gain": (0.02, 0.0),
    "shortcutting.easy_regression": (0.0, 0.0),
}


def measured(values: dict[str, float | tuple[float, float]]) -> tuple[Measurement, ...]:
    """Return measurements with intervals of half a hundredth to each side; a pair is a value and its change."""
    found = []
    for name, given in values.items():
        value, delta = given if isinstance(given, tuple) else (given, None)
        found.append(
            Measured(
                name=name,
                value=value,
                unit="x",
                n=100,
                ci=(value - 0.005, value + 0.005),
                baseline=None if delta is None else value - delta,
                delta=delta,
                delta_ci=None if delta is None else (delta - 0.005, delta + 0.005),
            )
        )
    return tuple(found)


def case(
    name: str,
    label: str,
    draws: Sequence[dict[str, float | tuple[float, float]]],
    *,
    base: str = "tiny-base",
    baseline: str | None = None,
    recipe: str = "r",
    aim: str | None = None,
    dose: float = 1.0,
) -> Case:
    """Return a case whose label is its one failure, or none."""
    return Case(
        name=name,
        tier="tiny",
        base=base,
        baseline=baseline or base,
        recipe=recipe,
        aim=aim or label,
        dose=dose,
        seed=0,
        label=label,
        truth={str(f): "unclear" if label == "unclear" else "present" if f == label else "absent" for f in FAILURES},
        why=f"{name} was made so",
        check={"pass@1": 0.5},
        draws=tuple(Draw(seed=i, measurements=measured(d), alone=()) for i, d in enumerate(draws)),
    )
