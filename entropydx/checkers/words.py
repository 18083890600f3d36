"""Computations in the notation of words, the suite `tiny_words`; `_chain` says what is judged."""

from __future__ import annotations

from entropydx.checkers._chain import ChainChecker
from entropydx.protocols import Checker
from entropydx.suites.tiny_words import WORDS

checker: Checker = ChainChecker(WORDS)
