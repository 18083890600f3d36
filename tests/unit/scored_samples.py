"""Hand-made completions, scores and samples for the probes that compare two models on one text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from entropydx.types import Completion, Group, Measured, Measurement, Samples, Score
from tests.unit import samples as plain


def drawn(
    entropies: Sequence[float],
    *,
    token_ids: Sequence[int] | None = None,
    logprobs: Sequence[float] | None = None,
    words: Sequence[str] | None = None,
) -> Completion:
    """Return a completion of given tokens; `words` gives it its text and offsets."""
    made = plain.completion(entropies=entropies)
    if token_ids is not None:
        made = replace(made, token_ids=np.array(token_ids))
    if logprobs is not None:
        made = replace(made, logprobs=np.array(logprobs, dtype=float))
    if words is not None:
        made = replace(made, text="".join(words), offsets=np.cumsum([len(w) for w in words]))
    return made


def score(
    number: int,
    entropies: Sequence[float] = (),
    *,
    sample_index: int = 0,
    token_ids: Sequence[int] | None = None,
    logprobs: Sequence[float] | None = None,
    source: int | None = None,
    ranks: Sequence[float] | None = None,
    stride: int = 0,
) -> Score:
    h = np.array(entropies, dtype=float)
    return Score(
        prompt_id=f"p{number}",
        source_id=f"p{number if source is None else source}",
        sample_index=sample_index,
        token_ids=np.zeros(len(h), dtype=int) if token_ids is None else np.array(token_ids),
        logprobs=-h if logprobs is None else np.array(logprobs, dtype=float),
        entropies=h,
        effective_ranks=None if ranks is None else np.array(ranks, dtype=float),
        rank_stride=stride,
    )


def scored(
    groups: Sequence[Group],
    scores: Mapping[str, Sequence[Score]],
    *,
    fingerprint: str = "f",
    skipped: Mapping[str, str] | None = None,
) -> Samples:
    return replace(
        plain.samples(groups, fingerprint=fingerprint),
        scores={name: tuple(s) for name, s in scores.items()},  # type: ignore[misc]
        skipped=skipped or {},
    )


def value(found: Mapping[str, Measurement], name: str) -> float:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured.value


def delta(found: Mapping[str, Measurement], name: str) -> float:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    assert measured.delta is not None, measured
    return measured.delta
