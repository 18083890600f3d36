"""Organisms: recipes that grow small checkpoints with a failure planted by its real cause.

`recipes()` lists them without importing torch; `grow(name, out)` trains one and checks it; `check.check` measures one
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entropydx.organisms.catalogue import Recipe, find_recipe, recipes

if TYPE_CHECKING:
    from entropydx.organisms.growing import grow

__all__ = ["Recipe", "find_recipe", "grow", "recipes"]


def __getattr__(name: str) -> Any:
    if name != "grow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from entropydx.organisms.growing import grow  # noqa: PLC0415  # torch loads only when something grows

    return grow
