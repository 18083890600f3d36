"""What is read from the files of other tools.

Nothing that a tool did not write down is filled in: an unknown temperature is None, unknown tokens are None, and a
measurement that would need them is missing with that reason. An entropy that another tool logged is never put into
`Completion.entropies`: it was taken at a temperature, over a set of tokens and by an estimator of that tool's own, so
it stands under a name of its own (`imported_entropy.*`, `training_log.*`) with its provenance, and no rule compares it
in absolute terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from entropydx.types.evidence import Measurement
from entropydx.types.inputs import VerifierSpec
from entropydx.types.samples import Group

ImportKind = Literal["samples", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a user says of the files, where these do not say it themselves; None means not said."""

    temperature: float | None = None
    """That the samples were drawn at, or that the logged entropy was taken at."""
    top_p: float | None = None
    max_new_tokens: int | None = None
    step: int | None = None
    """Training step to read, of files that hold several; None: the last one."""
    verifier: VerifierSpec | None = None
    """Grades the texts anew; None: the tool's own grades, or a verifier where the tool's rows have none."""
    score: str | None = None
    """The column, metric or scorer whose value is the grade; None: the tool's usual one."""
    map: Mapping[str, str] = field(default_factory=dict)
    """Field of our record (`domain`, `difficulty`, `answer`...) to the column of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSource:
    """Where imported data come from; what the tool does not say is None."""

    tool: str
    """The importer's name: trl, verl, lm-eval..."""
    kind: ImportKind
    files: tuple[str, ...]
    """Relative to what the user named."""
    version: str | None = None
    """The tool's own, where its files carry it."""
    step: int | None = None
    """Training step."""
    temperature: float | None = None
    aggregation: str | None = None
    """How the tool aggregates its entropy over tokens: `token-mean`, `seq-mean-token-sum`..."""
    estimator: str | None = None
    """Of its entropy: `full-vocabulary` or `sampled-nll`."""
    graded_by: str | None = None
    """Whose grades these are: a column of the tool, or a verifier of entropydx."""
    reasoning_stripped: bool = False
    """The tool cut the reasoning out before it wrote the text."""
    notes: tuple[str, ...] = ()
    """What was left out or assumed, in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Imported:
    """What an importer returns: samples, or measurements of a log, or both."""

    source: ImportSource
    model: str
    """What the tool calls the model; `unknown` when it does not."""
    groups: tuple[Group, ...] = ()
    """All with the same K, graded."""
    measurements: tuple[Measurement, ...] = ()
    """Of what the tool logged itself, each named `imported_entropy.*` or `training_log.*`."""
