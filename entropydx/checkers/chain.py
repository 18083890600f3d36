"""Computations in the notation of numbers, the suite `tiny`; `_chain` says what is judged."""

from __future__ import annotations

from entropydx.checkers._chain import ChainChecker
from entropydx.protocols import Checker
from entropydx.suites.tiny import NUMBERS

checker: Checker = ChainChecker(NUMBERS)
