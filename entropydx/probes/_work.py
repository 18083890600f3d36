"""What a completion writes on its way to the answer: when the answer appears, and which computations lead to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from entropydx import stats
from entropydx.probes._spans import answer_tokens
from entropydx.types import Completion, FloatArray, Group

WINDOW = 100
"""Words or characters of a text in which repetition is looked for: a longer text repeats more, whatever it says."""


def per_prompt(value: Callable[[Completion], float | None]) -> Callable[[tuple[Group, ...]], FloatArray]:
    """Return a function to the mean of `value` over each prompt's completions, (N,); NaN where none has one."""

    def values(groups: tuple[Group, ...]) -> FloatArray:
        rows = [[v for c in g.completions if (v := value(c)) is not None] for g in groups]
        return np.array([np.mean(row) if row else np.nan for row in rows], dtype=float)

    return values


# ── the answer in the text ────────────────────────────────────────────────────────────────────────


def _whole(answer: str) -> re.Pattern[str]:
    """Return a pattern of the answer as a whole number or word: `30` is neither in `130` nor in `30.5`."""
    before = r"(?<!\d)(?<!\d[.,])" if answer[0].isdigit() else r"(?<![^\W\d_])" if answer[0].isalpha() else ""
    after = r"(?![.,]?\d)" if answer[-1].isdigit() else r"(?![^\W\d_])" if answer[-1].isalpha() else ""
    return re.compile(before + re.escape(answer) + after)


def appearances(completion: Completion) -> list[int] | None:
    """Return where the final answer's string begins in the text, every time; None when there is no answer to find."""
    if completion.answer_span is None:
        return None
    first, last = completion.answer_span
    answer = completion.text[first:last]
    if not answer:
        return None
    return sorted({first, *(m.start() for m in _whole(answer).finditer(completion.text))})


def commit_position(completion: Completion) -> float | None:
    """Return where the final answer first appears, as a part of the text's characters, in [0, 1)."""
    found = appearances(completion)
    return None if found is None else found[0] / len(completion.text)


def repeats(completion: Completion) -> float | None:
    """Return how often the final answer appears beyond the first time."""
    found = appearances(completion)
    return None if found is None else float(len(found) - 1)


# ── repetition ────────────────────────────────────────────────────────────────────────────────────


def in_words(groups: Sequence[Group]) -> bool:
    """Return whether most texts have words between spaces; a private notation has none, and is read by characters."""
    texts = [c.text for g in groups for c in g.completions]
    return 2 * sum(len(t.split(None, 2)) > 2 for t in texts) > len(texts)


def distinct_2(words: bool) -> Callable[[Completion], float | None]:
    """Return a function to the share of distinct ones among the adjacent pairs of the first `WINDOW` units."""

    def value(completion: Completion) -> float | None:
        units: Sequence[str] = completion.text.split() if words else completion.text
        pairs = list(pairwise(units[:WINDOW]))
        return len(set(pairs)) / len(pairs) if pairs else None

    return value


# ── computations ──────────────────────────────────────────────────────────────────────────────────


def asks_for_steps(group: Group) -> bool:
    """Return whether the worked solution of a prompt has a computation."""
    return bool(group.n_reference_steps)


def without_work(groups: tuple[Group, ...]) -> FloatArray:
    """Return the share of completions without a computation, (N,); NaN where the worked solution has none either."""
    shares = per_prompt(lambda c: None if c.steps is None else float(not c.steps))(groups)
    return np.where([asks_for_steps(g) for g in groups], shares, np.nan)


def validity(groups: tuple[Group, ...]) -> FloatArray:
    """Return the share of the written computations that are true, (N,); NaN where none is written."""
    steps = [[right for c in g.completions for right in c.steps or ()] for g in groups]
    return np.array([np.mean(row) if row else np.nan for row in steps], dtype=float)


def densest(groups: tuple[Group, ...]) -> float:
    """Return the most computations that a prompt's completions write for one of its worked solution; 1 at least."""
    written, asked = step_counts(groups)
    return float(np.nanmax([1.0, *stats.divide(written, asked)]))


def step_counts(groups: tuple[Group, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the computations written in each prompt's completions, and those that the worked solution would have."""
    checked = [[c.steps for c in g.completions if c.steps is not None] if asks_for_steps(g) else [] for g in groups]
    written = np.array([float(sum(map(len, row))) for row in checked])
    return written, np.array(
        [float(len(row) * (g.n_reference_steps or 0)) for g, row in zip(groups, checked, strict=True)]
    )


# ── answer span and what stands before it ─────────────────────────────────────────────────────────


def span_sums(pairs: Sequence[tuple[Completion, FloatArray]]) -> FloatArray:
    """Return (sum, tokens) on the answer, then (sum, tokens) before it, of per-token values over completions, (4,).

    Completions whose answer is not located, or stands at the very start, add nothing.
    """
    total = np.zeros(4)
    for completion, values in pairs:
        inside = answer_tokens(completion)
        if inside is None or inside[0]:
            continue
        before: NDArray[np.bool_] = np.arange(len(inside)) < np.argmax(inside)
        kept = np.isfinite(values)
        if not (inside[: len(values)] & kept).any() or not (before[: len(values)] & kept).any():
            continue
        for i, mask in enumerate((inside[: len(values)] & kept, before[: len(values)] & kept)):
            total[2 * i : 2 * i + 2] += values[mask].sum(), np.count_nonzero(mask)
    return total


def span_means(sums: FloatArray) -> tuple[stats.Statistic, stats.Statistic]:
    """Return the mean over the tokens on the answer, and over those before it, of (N, 4) sums."""
    return stats.ratio_statistic(sums[:, 0], sums[:, 1]), stats.ratio_statistic(sums[:, 2], sums[:, 3])
