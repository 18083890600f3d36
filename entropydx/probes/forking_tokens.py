"""Where in a completion the policy still chooses, which tokens these are, and whether the baseline chooses there too.

## What it measures
A *fork* is a token of the 20 % with the highest entropy (Wang et al. 2025, arXiv:2506.01939); tokens that tie at the
border count in part, so that the share is 20 % exactly. Entropies in nats, full vocabulary, temperature 1.

`entropy_position_1` ... `_5`: mean entropy per token in each fifth of a completion, by relative position (a token
across a border counts in both parts); completions below 5 tokens have no fifths. `entropy_share_first_fifth`: part of
all entropy that lies there, 0.20 when it is spread evenly. `entropy_share_top20`: part of all entropy that the forks
carry, from 0.20 (every token alike) to 1. Where the forks begin is `token_entropy.p80`; the share of tokens above the
*baseline's* is `token_entropy.fork_share`.

`overlap_on_baseline_text` and `overlap_on_own_text`: both models score the same tokens, and the share of the baseline's
forks that are the checkpoint's too is taken: 1 for equal models, 0.20 by chance. In the RLVR run of that paper it was
still at least 0.8667 at convergence (read in the paper): the baseline's pattern is largely kept. That is a reference
value of one model family, not a threshold.

`n_fork_types`: how many equally common kinds of fork there are, from 1: the inverse chance that two forks of different
prompts are of one type (a Hill number of order 2; unlike exp of a plug-in entropy it does not grow with the number of
forks). A type is the text of a token, stripped and case-folded; tokens without text are left out. The note names the
commonest, of those that fork 3 times. `type_overlap`: overlap of the 20 commonest types with the baseline's 20 (in the
longer list, where there are fewer), from 0 to 1. Wang et al. name `wait`, `however`, `thus`, `since`, `assume` as
typical forks of reasoning, and rank types by mean entropy; here they are ranked by how often they fork.

## What confounds it
Relative positions of truncated completions end at the limit. A main draw at another temperature than 1 visits other
tokens: all of this is then about text that the policy itself would not have written. Easy prompts and short notations
have few forks at all. `type_overlap` of two draws of one model stays below 1, because ranks near the twentieth are
noise. Overlaps compare ranks, so a model whose entropy is nearly gone still has a top 20 %: read them beside
`token_entropy.mean_ratio`.

## What it costs
Beyond the main draw, with a baseline: one forward pass over up to four of the other's K completions of every prompt,
for checkpoint and baseline each (4/K of the main draw's tokens, scored and not decoded).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from entropydx import stats
from entropydx.probes._paired import NO_BASELINE, Build, Paired, strata
from entropydx.probes._scored import absent, joined, noted, same_tokens
from entropydx.protocols import Probe
from entropydx.types import (
    Completion,
    FloatArray,
    Group,
    IntArray,
    Measurement,
    Missing,
    Requires,
    Samples,
    Score,
    known,
)

UNIT = "nats/token"
FIFTHS = 5
ONE_IN = 5
"""One token in five is a fork."""
MIN_FORKS = 3
"""Forks that a type needs to be named or compared."""
TOP_TYPES = 20
CANDIDATES = 100
"""Commonest types of each model that may enter its top in a replicate."""
NAMED_TYPES = 8
NAME_LENGTH = 12
N_BINS = 1024
BLOCK = 500
"""Replicates whose type counts are held at a time."""
Forks = dict[str, float]
"""Number of forks by type."""


def fork_weights(entropies: Sequence[FloatArray]) -> list[FloatArray]:
    """Return for every token how far it is a fork: 1 in the top fifth of all given tokens, 0 below, part at a tie.

    The weights sum to a fifth of the tokens. Same shapes as the input; nats, or anything that orders the tokens.
    """
    pooled = joined(entropies)
    if len(pooled) == 0:
        return [np.array([]) for _ in entropies]
    n_forks = len(pooled) / ONE_IN
    border = np.sort(pooled)[-int(np.ceil(n_forks))]
    part = (n_forks - np.count_nonzero(pooled > border)) / np.count_nonzero(pooled == border)
    return [np.where(h > border, 1.0, np.where(h == border, part, 0.0)) for h in entropies]


# ── where ─────────────────────────────────────────────────────────────────────────────────────────


def _in_fifths(entropies: FloatArray) -> FloatArray:
    """Return the entropy that lies in each fifth of a completion, (5,) nats."""
    n_tokens = len(entropies)
    borders = np.arange(FIFTHS + 1) * n_tokens / FIFTHS
    written = np.concatenate([[0.0], np.cumsum(entropies)])
    result: FloatArray = np.diff(np.interp(borders, np.arange(n_tokens + 1), written))
    return result


def _long(group: Group) -> list[Completion]:
    return [c for c in group.completions if c.n_tokens >= FIFTHS]


def _fifth_sums(groups: tuple[Group, ...]) -> FloatArray:
    """Return the entropy in each fifth, summed over the completions of every prompt, (N, 5) nats."""
    sums = [np.sum([np.zeros(FIFTHS), *(_in_fifths(known(c.entropies)) for c in _long(g))], axis=0) for g in groups]
    return np.array(sums).reshape(len(groups), FIFTHS)


def _position(fifth: int) -> Build:
    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        n_tokens = np.array([sum(c.n_tokens for c in _long(g)) / FIFTHS for g in groups])
        return stats.ratio_statistic(_fifth_sums(groups)[:, fifth], n_tokens)

    return build


def _first_share(groups: tuple[Group, ...]) -> stats.Statistic:
    sums = _fifth_sums(groups)
    return stats.ratio_statistic(sums[:, 0], sums.sum(axis=1))


def _where(part: Paired) -> list[Measurement]:
    n = sum(bool(_long(g)) for g in part.groups)
    found = [part.estimate(f"forking_tokens.entropy_position_{i + 1}", UNIT, _position(i), n=n) for i in range(FIFTHS)]
    name = "forking_tokens.entropy_share_first_fifth"
    return [*found, part.estimate(name, "share of entropy", _first_share, bounds=(0, 1), n=n)]


# ── how much ──────────────────────────────────────────────────────────────────────────────────────


def _entropies(groups: tuple[Group, ...]) -> list[FloatArray]:
    return [joined(known(c.entropies) for c in g.completions) for g in groups]


def _top_share(groups: tuple[Group, ...]) -> stats.Statistic:
    """Return the part of all entropy on the top fifth of the tokens, a point of their Lorenz curve.

    Every replicate has its own top fifth. It is read off per-prompt counts and sums in bins of the pooled ranks; a bin
    that only partly belongs to the top counts by that part, which is exact where its tokens tie.
    """
    tokens = _entropies(groups)
    pooled = joined(tokens)
    if len(pooled) == 0:
        return lambda weights: np.full(len(weights), np.nan)
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, N_BINS + 1)))
    bins = [len(edges) - 1 - np.searchsorted(edges, t) for t in tokens]
    counts = np.array([np.bincount(b, minlength=len(edges)) for b in bins], dtype=float)
    sums = np.array([np.bincount(b, t, len(edges)) for b, t in zip(bins, tokens, strict=True)])

    def statistic(weights: FloatArray) -> FloatArray:
        n, nats = weights @ counts, weights @ sums
        above = np.cumsum(n, axis=1) - n
        part = np.clip(stats.divide(n.sum(axis=1, keepdims=True) / ONE_IN - above, n), 0.0, 1.0)
        return stats.divide(np.where(n > 0, part * nats, 0.0).sum(axis=1), nats.sum(axis=1))

    return statistic


def _how_much(part: Paired) -> Measurement:
    return part.estimate("forking_tokens.entropy_share_top20", "share of entropy", _top_share, bounds=(0, 1))


# ── the same forks as the baseline ────────────────────────────────────────────────────────────────


def _overlap(name: str, part: Paired, texts: list[list[tuple[Completion, Score]]], *, drawn_by_us: bool) -> Measurement:
    """Estimate the share of the baseline's forks on some texts that are the checkpoint's forks too."""
    drawn = fork_weights([joined(known(c.entropies)[: len(s.entropies)] for c, s in pairs) for pairs in texts])
    scored = fork_weights([joined(s.entropies for _, s in pairs) for pairs in texts])
    both = np.array([np.minimum(a, b).sum() for a, b in zip(drawn, scored, strict=True)])
    theirs = np.array([w.sum() for w in (scored if drawn_by_us else drawn)])
    found = part.population.estimate(
        name, "share of forks", stats.ratio_statistic(both, theirs), bounds=(0, 1), n=sum(map(bool, texts))
    )
    return noted(found, "the top 20 % of each model over these texts, held fixed in the interval; 0.20 by chance")


def _overlaps(part: Paired, samples: Samples, baseline: Samples | None) -> Iterator[Measurement]:
    on_theirs, on_ours = "forking_tokens.overlap_on_baseline_text", "forking_tokens.overlap_on_own_text"
    if baseline is None or part.baseline is None:
        yield from (Missing(name=name, reason=NO_BASELINE) for name in (on_theirs, on_ours))
        return
    for name, groups, scorer in ((on_theirs, part.baseline, samples), (on_ours, part.groups, baseline)):
        reason = absent(scorer, "other")
        if reason is not None:
            yield Missing(name=name, reason=reason)
        else:
            texts = same_tokens(groups, scorer.scores["other"])
            yield _overlap(name, part, texts, drawn_by_us=scorer is baseline)


# ── which ─────────────────────────────────────────────────────────────────────────────────────────


def _types(text: str, offsets: IntArray, tokens: IntArray) -> list[str]:
    """Return the type of some tokens; "" for tokens without text, a line break for those that only hold one."""
    starts = np.concatenate([[0], offsets[:-1]])[tokens]
    pieces = [text[start:end] for start, end in zip(starts.tolist(), offsets[tokens].tolist(), strict=True)]
    return [piece.strip().casefold() or ("\n" if "\n" in piece else "") for piece in pieces]


def fork_types(groups: tuple[Group, ...]) -> list[Forks]:
    """Return how many forks of each type the completions of every prompt hold, in parts of a fork at a tie."""
    weights = iter(fork_weights([known(c.entropies) for g in groups for c in g.completions]))
    counted = []
    for group in groups:
        forks: Forks = defaultdict(float)
        for completion, of_tokens in zip(group.completions, weights, strict=False):
            if completion.offsets is None:
                continue
            at = np.flatnonzero(of_tokens)
            kinds = _types(completion.text, np.asarray(completion.offsets), at)
            for kind, weight in zip(kinds, of_tokens[at].tolist(), strict=True):
                if kind:
                    forks[kind] += weight
        counted.append(forks)
    return counted


def _common(counted: list[Forks]) -> Forks:
    """Return the forks of every type that has enough of them, the commonest first, ties by their text."""
    pooled: Forks = defaultdict(float)
    for forks in counted:
        for kind, n in forks.items():
            pooled[kind] += n
    return dict(sorted(((k, n) for k, n in pooled.items() if n >= MIN_FORKS), key=lambda item: (-item[1], item[0])))


def _matrix(counted: list[Forks], kinds: Sequence[str]) -> FloatArray:
    return np.array([[forks.get(k, 0.0) for k in kinds] for forks in counted], dtype=float).reshape(
        len(counted), len(kinds)
    )


def _named(common: Forks) -> str:
    total = sum(common.values())
    return ", ".join(f"{k[:NAME_LENGTH]!r} {100 * n / total:.0f} %" for k, n in list(common.items())[:NAMED_TYPES])


def _shared(counted: list[Forks]) -> list[str]:
    """Return the types that fork in two prompts or more."""
    seen = Counter(kind for forks in counted for kind in forks)
    return [kind for kind, n_prompts in seen.items() if n_prompts > 1]


def _effective_types(counted: list[Forks]) -> stats.Statistic:
    """Return the inverse chance that two forks of *different* prompts are of one type.

    That is the Hill number of order 2 (Simpson 1949) without its bias: it needs no correction for the number of forks,
    while a plug-in entropy falls in every replicate and leaves its own interval. A type of one prompt alone adds to the
    number of forks and to no pair.
    """
    counts = _matrix(counted, _shared(counted))
    total = np.array([sum(forks.values()) for forks in counted])
    alike_within, pairs_within = (counts**2).sum(axis=1), total**2

    def block(weights: FloatArray) -> FloatArray:
        alike = ((weights @ counts) ** 2).sum(axis=1) - weights**2 @ alike_within
        return stats.divide((weights @ total) ** 2 - weights**2 @ pairs_within, np.where(alike > 1e-9, alike, 0.0))

    return lambda weights: np.concatenate([block(w) for w in np.array_split(weights, -(-len(weights) // BLOCK))])


def _top(counts: FloatArray) -> FloatArray:
    """Return which types are the commonest of each row that has enough forks of them, (R, M) of 0 and 1."""
    top = np.zeros(counts.shape)
    np.put_along_axis(top, np.argsort(-counts, axis=1, kind="stable")[:, :TOP_TYPES], 1.0, axis=1)
    return np.where(counts >= MIN_FORKS, top, 0.0)


def _type_overlap(ours: FloatArray, theirs: FloatArray) -> stats.Statistic:
    def statistic(weights: FloatArray) -> FloatArray:
        a, b = _top(weights @ ours), _top(weights @ theirs)
        return stats.divide((a * b).sum(axis=1), np.maximum(a.sum(axis=1), b.sum(axis=1)))

    return statistic


def _which(part: Paired) -> list[Measurement]:
    number, overlap = "forking_tokens.n_fork_types", "forking_tokens.type_overlap"
    ours, reason = _counted(part.groups, "the checkpoint's")
    if reason is not None:
        return [Missing(name=name, reason=reason) for name in (number, overlap)]
    theirs, reason = (None, NO_BASELINE) if part.baseline is None else _counted(part.baseline, "the baseline's")
    found = _number(number, part, ours, theirs if reason is None else None)
    if theirs is None or reason is not None:
        return [found, Missing(name=overlap, reason=reason or NO_BASELINE)]
    common, base = _common(ours), _common(theirs)
    kinds = sorted({*list(common)[:CANDIDATES], *list(base)[:CANDIDATES]})
    shared = part.population.estimate(
        overlap, "share of types", _type_overlap(_matrix(ours, kinds), _matrix(theirs, kinds)), bounds=(0, 1)
    )
    return [found, noted(shared, f"the baseline's most common forks: {_named(base)}")]


def _number(name: str, part: Paired, ours: list[Forks], theirs: list[Forks] | None) -> Measurement:
    if not _shared(ours):
        return Missing(name=name, reason="no type of token forks in two prompts")
    base = None if theirs is None else _effective_types(theirs)
    found = part.population.estimate(name, "types", _effective_types(ours), base)
    return noted(found, f"most common forks: {_named(_common(ours))}")


def _counted(groups: tuple[Group, ...], whose: str) -> tuple[list[Forks], str | None]:
    """Return the fork types of every prompt, and why they are none if so."""
    if not any(c.n_tokens for g in groups for c in g.completions):
        return [], f"{whose} completions hold no token"
    if all(c.offsets is None for g in groups for c in g.completions):
        return [], f"where each token stands in the text was not recorded in {whose} completions"
    counted = fork_types(groups)
    return counted, None if _common(counted) else f"no type of token forks {MIN_FORKS} times in {whose} completions"


class ForkingTokens:
    """Where, how much and on which tokens the policy is undecided."""

    requires = Requires(entropies=True, scores=("other",))

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return every statistic over all prompts."""
        part = next(strata(samples, baseline, samples.params.seed))
        return [*_where(part), _how_much(part), *_overlaps(part, samples, baseline), *_which(part)]


probe: Probe = ForkingTokens()
