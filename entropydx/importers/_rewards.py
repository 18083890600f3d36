"""Rewards and scores of a tool as grades."""

from __future__ import annotations

from typing import Any

from entropydx.importers._reading import grade, number
from entropydx.types import ImportOptions


def reward_grade(value: Any, where: str, name: str, options: ImportOptions) -> float | None:
    """Return a reward or score as a grade; None where it is none and the user has a verifier for the texts.

    Raises
    ------
    ImportFileError
        It is no grade, and nothing else would grade; or `--score` named it.
    """
    found = number(value)
    if options.verifier is not None and options.score is None and (found is None or not 0 <= found <= 1):
        return None
    return grade(value, where, name)
