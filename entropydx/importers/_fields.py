"""Fields of a tool's rows as what they have to be, or one clear line of what they are instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from entropydx.importers._reading import column, number, refuse
from entropydx.types import FloatArray, IntArray


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object of a document; an empty one where something else stands, or nothing."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """Return a list of a document; an empty one where something else stands, or nothing."""
    return value if isinstance(value, list) else []


def text(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a field that is a text.

    Raises
    ------
    ImportFileError
        It is not there, or something else.
    """
    value = column(row, name, where)
    return value if isinstance(value, str) else refuse(where, f"'{name}' is {value!r:.40}, which is no text")


def name_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a field that names something: a text, or a number that stands for one.

    Raises
    ------
    ImportFileError
        It is not there, or something else.
    """
    value = column(row, name, where)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        refuse(where, f"'{name}' is {value!r:.40}, which names nothing")
    return str(value)


def whole(value: Any, name: str, where: str) -> int:
    """Return a whole number.

    Raises
    ------
    ImportFileError
        It is none.
    """
    found = number(value)
    if found is None or not found.is_integer():
        refuse(where, f"'{name}' is {value!r:.40}, which is no whole number")
    return int(found)


def numbers(values: Any, name: str, where: str) -> FloatArray:
    """Return a list of numbers, (T,); truth values are 0 and 1, and what is not finite is NaN.

    Raises
    ------
    ImportFileError
        It is no list, or has something else in it.
    """
    if not isinstance(values, list) or not all(v is None or isinstance(v, int | float) for v in values):
        refuse(where, f"'{name}' is no list of numbers")
    return np.array([float(v) if isinstance(v, bool) else number(v) for v in values], dtype=float)


def token_ids(values: Any, name: str, where: str) -> IntArray:
    """Return the ids of tokens, (T,).

    Raises
    ------
    ImportFileError
        They are no list of whole numbers of at least 0.
    """
    found = numbers(values, name, where)
    if not ((found >= 0) & (found < 2**31) & (found == np.floor(found))).all():
        refuse(where, f"'{name}' is no list of token ids")
    return found.astype(np.int32)
