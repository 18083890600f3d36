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
from typing import TYPE_CHECKING, Literal

from entropydx.types.evidence import Measurement
from entropydx.types.inputs import VerifierSpec

if TYPE_CHECKING:  # `samples` imports this module
    from entropydx.types.samples import Group

ImportKind = Literal["samples", "log"]
LogColumn = Literal[
    "entropy", "data_entropy", "reward", "reward_std", "zero_std", "length", "truncated", "kl", "grad_norm"
]
"""What trainers log, under one name each.

| column       | what it is                                                                                  |
|--------------|---------------------------------------------------------------------------------------------|
| entropy      | of the policy on what it sampled itself, as the trainer takes it                            |
| data_entropy | of the model on the tokens of a data set (supervised and preference training): another      |
|              | quantity, never set beside the first                                                        |
| reward       | mean reward                                                                                 |
| reward_std   | its standard deviation                                                                      |
| zero_std     | share of the groups in which all rewards are equal, which teach nothing                     |
| length       | mean tokens of a completion                                                                 |
| truncated    | share of the completions that the token limit cut off                                       |
| kl           | to the reference model, as the trainer counts it                                            |
| grad_norm    | norm of the gradient                                                                        |
"""


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
    tokenizer: str | None = None
    """A `tokenizer.json` or its directory, which turns tokens into texts where a tool wrote tokens alone."""
    map: Mapping[str, str] = field(default_factory=dict)
    """Field of ours to the column of theirs: `gold`, the right answer; `answer`, the stated one; `domain`,
    `difficulty`, `family`, `reference`; those of the generic format, docs/reference/import-format.md, for any tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLog:
    """What a trainer logged of itself, S steps; None where it logged nothing at a step."""

    steps: tuple[int, ...]
    """Increasing, each once."""
    columns: Mapping[LogColumn, tuple[float | None, ...]]
    """(S,) each; a column that the trainer does not have is not there."""


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
    top_p: float | None = None
    max_new_tokens: int | None = None
    aggregation: str | None = None
    """How the tool aggregates its entropy over tokens: `token-mean`, `seq-mean-token-sum`..."""
    estimator: str | None = None
    """Of its entropy: `full-vocabulary` or `sampled-nll`."""
    graded_by: str | None = None
    """Whose grades these are, such as `exact_match of lm-eval`; None: nobody's, yet."""
    answers_from: str | None = None
    """Where `Completion.answer` comes from, such as `pred of verl`; None: no answer was looked for, which is not the
    same as that none is stated."""
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
    """All with the same K. A grade is the tool's own where it lies in [0, 1], else None; `importing` grades those that
    have a gold answer, finds answers and checks computations."""
    measurements: tuple[Measurement, ...] = ()
    """Of what the tool logged itself, each named `imported_entropy.*` or `training_log.*`."""
