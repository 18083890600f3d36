"""Clashes that are alike but for the value that a setting has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from entropydx.types import Clash


def each_of(
    framework: str, key: str, values: Iterable[str], effect: Literal["inert", "conflict"], why: str
) -> Iterator[Clash]:
    """Yield a clash for every value; `why` has `{}` where the value is named."""
    for value in values:
        yield Clash(framework=framework, key=key, op="==", value=value, effect=effect, why=why.format(value))
