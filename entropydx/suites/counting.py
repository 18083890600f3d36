"""Counting words and letters; the counts are drawn first, so that no count is likelier than another."""

from __future__ import annotations

from random import Random
from string import ascii_lowercase

from entropydx.answer_patterns import LEAD
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item
from entropydx.types import Domain, VerifierSpec
