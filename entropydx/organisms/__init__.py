"""Organisms: recipes that grow small checkpoints with a failure planted by its real cause.

`recipes()` lists them without importing torch; `grow(name, out)` trains one and checks it; `check.check` measures one
again. `series_recipes()` and `grow_series(name, out)` do the same for checkpoints of one run that goes wrong at a known
step.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from entropydx.organisms.catalogue import (
    Recipe,
    SeriesRecipe,
    find_recipe,
    find_series,
    recipes,
    series_recipes,
)

if TYPE_CHECKING:
    from entropydx.organisms.growing import grow
    from entropydx.organisms.series import grow_series

__all__ = [
    "Recipe",
    "SeriesRecipe",
    "find_recipe",
    "find_series",
    "grow",
    "grow_series",
    "recipes",
    "series_recipes",
]

_LAZY = {"grow": "growing", "grow_series": "series"}
"""Torch loads only when something grows."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"entropydx.organisms.{_LAZY[name]}"), name)
