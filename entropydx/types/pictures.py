"""What a page draws beside the numbers of the report: curves, bars, and samples with the entropy of every token.

Computed by `entropydx.pictures` from the report and, where they are at hand, from the samples; a reporter only draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from entropydx.types.evidence import Interval
from entropydx.types.labels import Domain, Role

ConfidenceKind = Literal["vote", "span"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number that is drawn, with its interval."""

    value: float
    ci: Interval | None
    n: int
    """Prompts behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line."""

    role: Role
    x: tuple[float, ...]
    points: tuple[Estimate, ...]
    """One for each x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One category, of the checkpoint and of the baseline."""

    name: str
    own: Estimate
    baseline: Estimate | None
    example: str = ""
    """A text of this category; empty where the name says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How many prompts have how many right completions of K."""

    n_samples: int
    """K."""
    bins: tuple[Bar, ...]
    """Share of prompts in each bin, by the number of right completions; with more than 16 samples bins are wider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The confidences of one bin, and how often they were right."""

    confidence: float
    """Mean, in [0, 1]."""
    observed: Estimate
    """Share that was right."""
    n_values: int
    """Votes or completions in the bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """One diagram: stated confidence against how often it was right."""

    kind: ConfidenceKind
    domain: Domain
    curves: Mapping[Role, tuple[ReliabilityBin, ...]] = field(default_factory=dict)
    missing: str = ""
    """Why there is no diagram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One completion, token by token."""

    role: Role
    text: str
    """The part that is shown."""
    tokens: tuple[str, ...]
    """What each token writes; empty where that, or the entropies, are not known: see `missing`."""
    entropies: tuple[float, ...]
    """nats, one for each token."""
    n_tokens: int
    """Of the whole completion."""
    mean_entropy: float | None
    """Of the whole completion, nats a token; None where it is not known."""
    answer: str | None
    grade: float | None
    cut: bool
    """Whether the shown part is not all of it."""
    missing: str = ""
    """Why there are no tokens or no entropies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripPair:
    """A completion of the checkpoint and the baseline's of the same prompt and the same noise."""

    why: str
    """What it is an example of."""
    prompt_id: str
    sample_index: int
    prompt: str
    gold: str
    own: Strip
    baseline: Strip | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forks:
    """Above what entropy a token is drawn as a fork."""

    thresholds: Mapping[Role, float]
    """nats, by whose tokens they are."""
    source: str
    """Whose percentile that is, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Completions of one prompt that are written alike."""

    text: str
    count: int
    answer: str | None
    grade: float | None
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All completions of one prompt, the commonest text first."""

    prompt_id: str
    prompt: str
    gold: str
    stratum: str
    own: tuple[Answers, ...]
    baseline: tuple[Answers, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Everything that is drawn; what is empty has its reason in `missing`."""

    coverage: tuple[Curve, ...] = ()
    formats: tuple[Bar, ...] = ()
    shapes: tuple[Bar, ...] = ()
    """Clusters of text shape, with an example each."""
    spread: Spread | None = None
    reliability: tuple[Reliability, ...] = ()
    forks: Forks | None = None
    strips: tuple[StripPair, ...] = ()
    boards: tuple[Board, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    """Field to why it is empty."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Field to what to know when reading it."""
