"""Labelled cases as numbers, one table for each failure and mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entropydx.cases import UNCLEAR, Case
from entropydx.errors import ConfigError
from entropydx.features import FeatureSet
from entropydx.types import FloatArray, IntArray, Label, Missing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """The cases of one failure in one mode, as numbers: N cases, P features."""

    x: FloatArray
    """(N, P) features as they are read."""
    y: IntArray
    """(N,) 1 where the failure is present, 0 where it is absent."""
    names: tuple[str, ...]
    """N names of cases."""
    bases: tuple[str, ...]
    recipes: tuple[str, ...]
    signs: IntArray
    """(P,) what the mechanism dictates."""
    dropped: tuple[str, ...]
    """Cases of known truth that lack a feature, with the reason."""

    def check(self, failure: Label) -> None:
        """Refuse a table that has no case of one of the two kinds.

        Raises
        ------
        ConfigError
            There is nothing to learn the failure from.
        """
        if not 0 < self.y.sum() < len(self.y):
            kinds = f"{int(self.y.sum())} labelled cases with {failure.words} and {int((self.y == 0).sum())} without"
            why = f"; left out: {'; '.join(self.dropped)}" if self.dropped else ""
            raise ConfigError(f"{kinds} have its features{why}", "grow more cases of both kinds")

    def groups(self, rows: IntArray) -> IntArray:
        """Return numbers from 0 for some cases, by base and recipe: cases of one base and recipe share their fate."""
        keys = [f"{self.bases[i]}/{self.recipes[i]}" for i in rows]
        return np.unique(keys, return_inverse=True)[1]

    def without(self, fold: str) -> IntArray:
        """Return the indices of the cases that a fold trains on; `fold` is `base=NAME` or `recipe=NAME`."""
        kind, _, name = fold.partition("=")
        of = {"base": self.bases, "recipe": self.recipes}[kind]
        return np.array([i for i, own in enumerate(of) if own != name], dtype=int)


def tabulate(cases: Sequence[Case], failure: Label, features: FeatureSet, *, has_baseline: bool) -> Table:
    """Return the cases of known truth, by their draw of seed 0."""
    rows, kept, dropped = [], [], []
    for case in cases:
        draw = next((d for d in case.draws if d.seed == 0), None)
        if draw is None or case.policy_truth[failure] == UNCLEAR:
            continue
        by_name = {m.name: m for m in (draw.measurements if has_baseline else draw.alone)}
        numbers = [f.read(by_name) for f in features]
        missing = [n for n in numbers if isinstance(n, Missing)]
        if missing:
            dropped.append(f"{case.name}: {missing[0].name} ({missing[0].reason})")
            continue
        rows.append(numbers)
        kept.append(case)
    return Table(
        x=np.array(rows, dtype=float).reshape(len(rows), len(features)),
        y=np.array([case.truth[failure] == "present" for case in kept], dtype=int),
        names=tuple(case.name for case in kept),
        bases=tuple(case.base for case in kept),
        recipes=tuple(case.recipe for case in kept),
        signs=np.array([f.sign for f in features], dtype=int),
        dropped=tuple(dropped),
    )
