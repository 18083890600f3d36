"""The notations that organisms speak, by the suite that each comes with."""

from __future__ import annotations

from entropydx.suites._notation import Notation
from entropydx.suites.tiny import NUMBERS
from entropydx.suites.tiny_grid import GRID
from entropydx.suites.tiny_words import WORDS

NOTATIONS: dict[str, Notation] = {notation.name: notation for notation in (NUMBERS, WORDS, GRID)}
