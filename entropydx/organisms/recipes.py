"""Every recipe of the tiny tier by its name: those of the catalogue, then those of the lab."""

from __future__ import annotations

from functools import lru_cache

from entropydx.errors import ConfigError
from entropydx.organisms.catalogue import RECIPES, Recipe
from entropydx.organisms.mechanisms import lab_recipes


@lru_cache(maxsize=1)
def recipes() -> tuple[Recipe, ...]:
    """Return every recipe; a parent comes before its children, and the doses of one mechanism stand together."""
    return (*RECIPES, *lab_recipes())


def find_recipe(name: str) -> Recipe:
    """Return the recipe of an organism.

    Raises
    ------
    ConfigError
        No recipe has that name.
    """
    for recipe in recipes():
        if recipe.name == name:
            return recipe
    raise ConfigError(f"no organism named '{name}'", "`entropydx organisms list` names them all")
