"""Computations in the notation of the board, the suite `tiny_grid`; `_chain` says what is judged."""

from __future__ import annotations

from entropydx.checkers._chain import ChainChecker
from entropydx.protocols import Checker
from entropydx.suites.tiny_grid import GRID

checker: Checker = ChainChecker(GRID)
