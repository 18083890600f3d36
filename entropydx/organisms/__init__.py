"""Organisms: recipes that grow small checkpoints with a failure planted by its real cause.

`recipes()` lists them without importing torch; `grow(name, out)` trains one and checks it; `check.check` measures one
again. `series_recipes()` and `grow_series(name, out)` do the same for checkpoints of one run that goes wrong at a known
step, `adapter_recipes()` and `grow_adapter(name, out)` for LoRA adapters on SmolLM2.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from entropydx.organisms.catalogue import (
    Recipe,
    SeriesRecipe,
    find_series,
    series_recipes,
)
from entropydx.organisms.recipes import find_recipe, recipes
from entropydx.organisms.smollm2 import AdapterRecipe, adapter_recipes, find_adapter

if TYPE_CHECKING:
    from entropydx.organisms.adapters import grow_adapter
    from entropydx.organisms.growing import grow
    from entropydx.organisms.series import grow_series

__all__ = [
    "AdapterRecipe",
    "Recipe",
    "SeriesRecipe",
    "adapter_recipes",
    "find_adapter",
    "find_recipe",
    "find_series",
    "grow",
    "grow_adapter",
    "grow_series",
    "recipes",
    "series_recipes",
]

_LAZY = {"grow": "growing", "grow_adapter": "adapters", "grow_series": "series"}
"""Torch loads only when something grows."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"entropydx.organisms.{_LAZY[name]}"), name)
