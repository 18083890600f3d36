"""Controlled trials of the remedies on organisms: the same checkpoint continued with and without each.

`TRIALS` is what is tried, `run` fills a directory with one JSON file for each cell, `summarise` reads them all.
"""

from entropydx.trials.arms import Arm, Trial, cells
from entropydx.trials.designs import TRIALS, find_trial
from entropydx.trials.results import Effect, Row, read_base, read_cells, summarise
from entropydx.trials.table import table

__all__ = [
    "TRIALS",
    "Arm",
    "Effect",
    "Row",
    "Trial",
    "cells",
    "find_trial",
    "read_base",
    "read_cells",
    "summarise",
    "table",
]
