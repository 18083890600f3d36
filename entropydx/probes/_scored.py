"""Scored passages lined up with the prompts and the completions that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from entropydx import stats
from entropydx.probes._drawn import absence
from entropydx.types import Completion, FloatArray, Group, Measurement, Missing, Samples, Score, ScorePass

Tokens = list[FloatArray]
"""One value per token, one array for every prompt; an empty array where the prompt has nothing to measure."""
PerPrompt = TypeVar("PerPrompt", FloatArray, list[Score])
"""What one prompt has: its tokens' values, or its scores."""


def absent(samples: Samples, name: ScorePass) -> str | None:
    """Return why a pass is not at hand, or None when it is."""
    return None if samples.scores.get(name) else absence(samples, name)


def own_prompt(groups: Sequence[Group], scores: Sequence[Score]) -> list[list[Score]]:
    """Return for every group the scores of its own passages after its own prompt, in the order of its completions."""
    by_prompt: dict[str, list[Score]] = defaultdict(list)
    for score in sorted(scores, key=lambda s: s.sample_index):
        if score.prompt_id == score.source_id:
            by_prompt[score.prompt_id].append(score)
    return [by_prompt[g.prompt.id] for g in groups]


def same_tokens(groups: Sequence[Group], scores: Sequence[Score]) -> list[list[tuple[Completion, Score]]]:
    """Return for every group its completions, each with what another checkpoint says of its first tokens.

    A score whose token ids are not those of the completion is left out: two models can be compared token by token only
    on the same tokens.
    """
    return [
        [
            (g.completions[s.sample_index], s)
            for s in scored
            if s.sample_index < len(g.completions)
            and (ids := g.completions[s.sample_index].token_ids) is not None
            and np.array_equal(s.token_ids, ids[: len(s.token_ids)])
        ]
        for g, scored in zip(groups, own_prompt(groups, scores), strict=True)
    ]


def joined(values: Iterable[FloatArray]) -> FloatArray:
    """Return the arrays end to end; none of them give an empty array."""
    return np.concatenate([np.array([]), *values])


def where_both(ours: list[PerPrompt], theirs: list[PerPrompt]) -> tuple[list[PerPrompt], list[PerPrompt]]:
    """Empty both sides of every prompt on which either has nothing, so that a comparison is over the same prompts."""
    kept = [len(a) > 0 and len(b) > 0 for a, b in zip(ours, theirs, strict=True)]
    return (
        [a if keep else a[:0] for a, keep in zip(ours, kept, strict=True)],
        [b if keep else b[:0] for b, keep in zip(theirs, kept, strict=True)],
    )


def n_present(tokens: Tokens) -> int:
    """Return the number of prompts that have a token."""
    return sum(len(t) > 0 for t in tokens)


def token_mean(tokens: Tokens) -> stats.Statistic:
    """Return the mean over all tokens, as a function of prompt weights."""
    return stats.ratio_statistic(np.array([t.sum() for t in tokens]), np.array([float(len(t)) for t in tokens]))


def noted(found: Measurement, note: str | None) -> Measurement:
    """Put a note before the one that a measurement has; a missing one keeps its reason alone."""
    if note is None or isinstance(found, Missing):
        return found
    return replace(found, note=note if found.note is None else f"{note}; {found.note}")
