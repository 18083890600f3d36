"""Samples token by token: which are shown, what each token writes, and which tokens are forks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entropydx.probes._paired import Paired
from entropydx.probes.token_entropy import FORK_QUANTILE, entropies
from entropydx.types import Completion, Forks, Group, Report, Role, Strip, StripPair, known

PAIRS = 4
"""Samples of the checkpoint that are shown, each beside the baseline's."""
FROM_REPORT = 2
"""Of them from the examples of the report, one a prompt."""
MAX_TOKENS = 300
"""Tokens of a sample that are shown: a screen of text on a phone takes 150, and a page is for reading."""
MAX_PIECE = 80
"""Characters of one token; longer ones are runs of one sign."""
MAX_CHARS = 4000
"""Characters that are shown where the tokens are not known."""
PROMPT = 600
"""Characters of a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One sample to show."""

    prompt_id: str
    sample_index: int
    why: str


def prompt_text(group: Group) -> str:
    """Return the beginning of the prompt as text, messages with their roles."""
    own = group.prompt
    whole = own.prompt
    if whole is None:
        whole = "\n".join(f"{m.get('role', '')}: {m.get('content', '')}" for m in own.messages or ())
    return whole if len(whole) <= PROMPT else f"{whole[:PROMPT]}…"


def choose(report: Report, part: Paired) -> list[Pick]:
    """Return up to four samples: the first example of each prompt of the report, then a typical right and a wrong one.

    Typical is the median of the mean entropy a token (of the length, where entropies are unknown).
    """
    groups = {g.prompt.id: g for g in part.groups}
    picks: dict[str, Pick] = {}
    for example in report.examples:
        group = groups.get(example.prompt_id)
        if group is not None and example.sample_index < len(group.completions) and len(picks) < FROM_REPORT:
            pick = Pick(prompt_id=example.prompt_id, sample_index=example.sample_index, why=f"shows {example.about}")
            picks.setdefault(example.prompt_id, pick)
    for right, why in ((True, "a typical right completion"), (False, "a typical wrong completion")):
        others = [g for g in part.groups if g.prompt.id not in picks]
        if (found := _typical(others, right)) is not None:
            picks[found[0]] = Pick(prompt_id=found[0], sample_index=found[1], why=why)
    if not picks and part.groups:
        picks[""] = Pick(prompt_id=part.groups[0].prompt.id, sample_index=0, why="the first prompt; nothing is graded")
    return list(picks.values())[:PAIRS]


def _typical(groups: Sequence[Group], right: bool) -> tuple[str, int] | None:
    candidates = [
        (_level(c), g.prompt.id, i)
        for g in groups
        for i, c in enumerate(g.completions)
        if c.grade is not None and (c.grade >= 1) == right
    ]
    if not candidates:
        return None
    _, prompt_id, index = sorted(candidates)[(len(candidates) - 1) // 2]
    return prompt_id, index


def _level(completion: Completion) -> float:
    mean = _mean(completion)
    return float(completion.n_tokens) if mean is None else mean


def _mean(completion: Completion) -> float | None:
    """Return the mean entropy of the tokens; None where it is unknown or not finite."""
    if completion.entropies is None or not len(completion.entropies):
        return None
    mean = float(np.mean(np.asarray(completion.entropies, dtype=float)))
    return mean if np.isfinite(mean) else None


def forks(part: Paired) -> Forks | None:
    """Return above what entropy a token is a fork: the 80th percentile of `token_entropy.fork_share`.

    That of the baseline for both, so that what the checkpoint has lost is visible; each model's own where there is no
    baseline or another tokenizer. None when no entropy is known.
    """
    sides: dict[Role, tuple[Group, ...]] = {"checkpoint": part.groups}
    if part.baseline is not None:
        sides["baseline"] = part.baseline
    levels = {role: level for role, groups in sides.items() if (level := _quantile(groups)) is not None}
    if not levels:
        return None
    if "baseline" in levels and part.apart is None:
        return Forks(thresholds=dict.fromkeys(sides, levels["baseline"]), source="the baseline's 80th percentile")
    why = f" ({part.apart})" if part.apart else ""
    whose = "each model's own" if len(levels) > 1 else "its own"
    return Forks(thresholds=levels, source=f"{whose} 80th percentile{why}")


def _quantile(groups: Sequence[Group]) -> float | None:
    if any(c.entropies is None for g in groups for c in g.completions):
        return None
    pooled = np.concatenate([np.array([]), *map(entropies, groups)])
    pooled = pooled[np.isfinite(pooled)]
    return float(np.quantile(pooled, FORK_QUANTILE)) if len(pooled) else None


def pair(pick: Pick, part: Paired) -> StripPair:
    """Return a sample of the checkpoint, and the baseline's of the same prompt and number."""
    at = next(i for i, g in enumerate(part.groups) if g.prompt.id == pick.prompt_id)
    group, theirs = part.groups[at], None if part.baseline is None else part.baseline[at]
    other = None
    if theirs is not None and pick.sample_index < len(theirs.completions):
        other = strip("baseline", theirs.completions[pick.sample_index])
    return StripPair(
        why=pick.why,
        prompt_id=pick.prompt_id,
        sample_index=pick.sample_index,
        prompt=prompt_text(group),
        gold=group.prompt.answer,
        own=strip("checkpoint", group.completions[pick.sample_index]),
        baseline=other,
    )


def strip(role: Role, completion: Completion) -> Strip:
    """Return the first tokens of a completion with their entropies, or its text and why there are none."""
    missing = _why_no_tokens(completion)
    tokens: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    text, cut = completion.text[:MAX_CHARS], len(completion.text) > MAX_CHARS
    if not missing:
        ends = [int(end) for end in known(completion.offsets)[:MAX_TOKENS]]
        tokens = tuple(completion.text[a : min(b, a + MAX_PIECE)] for a, b in zip([0, *ends[:-1]], ends, strict=True))
        levels = tuple(float(h) for h in known(completion.entropies)[:MAX_TOKENS])
        text, cut = completion.text[: ends[-1]], completion.n_tokens > MAX_TOKENS
    return Strip(
        role=role,
        text=text,
        tokens=tokens,
        entropies=levels,
        n_tokens=completion.n_tokens,
        mean_entropy=_mean(completion),
        answer=completion.answer,
        grade=completion.grade,
        cut=cut,
        missing=missing,
    )


def _why_no_tokens(completion: Completion) -> str:
    if completion.n_tokens == 0:
        return "the completion is empty"
    if completion.entropies is None:
        bounded = completion.entropy_low is not None or completion.entropy_high is not None
        return "the engine gives bounds of the entropies only" if bounded else "the entropies are not known"
    if completion.offsets is None:
        return "where each token stands in the text was not recorded"
    return "" if np.all(np.isfinite(completion.entropies)) else "the logits held NaN or Inf"
