"""The tool judged by its own labelled cases: what it gets right, what it gets wrong, and why.

    cases -> verdicts (judging) -> figures (tallies) -> Quality (examining), with bars (bars) and causes (blame)

`examine(folder)` does all of it in seconds; `redraw` samples the committed organisms afresh, in minutes. Cases, rules
and coefficients are fixed, and so is every figure: the same tree gives the same document.
"""

from entropydx.selftest.examining import (
    CASES,
    COMMITTED,
    REFERENCE,
    examine,
    is_comparable,
    losses,
    pages,
    stale,
)
from entropydx.selftest.redrawing import RUNS, redraw

__all__ = ["CASES", "COMMITTED", "REFERENCE", "RUNS", "examine", "is_comparable", "losses", "pages", "redraw", "stale"]
