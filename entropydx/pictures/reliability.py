"""Reliability diagrams: how sure, against how often right, in domain and out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entropydx import calibration, scoring, stats
from entropydx.probes._paired import Paired
from entropydx.probes.confidence import NO_DOMAIN, NO_SPAN, Traits
from entropydx.types import ConfidenceKind, Domain, Estimate, FloatArray, Group, Reliability, ReliabilityBin, Role

NO_VOTE = "no completion states an answer, or none was looked for"


def diagrams(part: Paired) -> tuple[Reliability, ...]:
    """Return the diagrams of the vote and of the answer's own probability, in and out of domain.

    Nothing when a completion has no grade.
    """
    sides: dict[Role, tuple[Group, ...]] = {"checkpoint": part.groups}
    if part.baseline is not None:
        sides["baseline"] = part.baseline
    if any(c.grade is None for groups in sides.values() for g in groups for c in g.completions):
        return ()
    domains: tuple[Domain, ...] = ("in", "out")
    kinds: tuple[ConfidenceKind, ...] = ("vote", "span")
    read = {role: [(g.prompt.domain, Traits.of(g)) for g in groups] for role, groups in sides.items()}
    return tuple(
        _diagram(kind, domain, {role: [t for d, t in of if d == domain] for role, of in read.items()})
        for kind in kinds
        for domain in domains
    )


def _diagram(kind: ConfidenceKind, domain: Domain, traits: dict[Role, list[Traits]]) -> Reliability:
    if not traits["checkpoint"]:
        return Reliability(kind=kind, domain=domain, missing=NO_DOMAIN[f"@{domain}"])
    curves = {role: bins(*_values(kind, of)) for role, of in traits.items()}
    if not curves["checkpoint"]:
        return Reliability(kind=kind, domain=domain, missing=NO_VOTE if kind == "vote" else NO_SPAN)
    return Reliability(kind=kind, domain=domain, curves={role: found for role, found in curves.items() if found})


def _values(kind: ConfidenceKind, traits: Sequence[Traits]) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return confidences and outcomes, an array for each prompt."""
    if kind == "span":
        return [t.span_probability for t in traits], [t.span_right for t in traits]
    voted = [t for t in traits if np.isfinite(t.modal_share)]
    return [np.array([t.modal_share]) for t in voted], [np.array([t.modal_right]) for t in voted]


def bins(confidences: Sequence[FloatArray], outcomes: Sequence[FloatArray]) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a diagram, those of the calibration error of `confidence.ece`; empty ones are left out.

    The interval of a bin is Wilson's over its *effective number of prompts*, the square of its number of completions
    over the sum of the squares of each prompt's (Kish 1965): completions of one prompt are no independent evidence, and
    a mean of values in [0, 1] varies at most as much as that of as many coins. It is therefore rather too wide.

    Parameters
    ----------
    confidences, outcomes : N arrays
        In [0, 1], one for each prompt.
    """
    if not sum(len(c) for c in confidences):
        return ()
    edges = calibration.equal_mass_edges(confidences)
    places = [np.searchsorted(edges, c, side="right") for c in confidences]
    found = (_bin(confidences, outcomes, [p == number for p in places]) for number in range(len(edges) + 1))
    return tuple(b for b in found if b is not None)


def _bin(
    confidences: Sequence[FloatArray], outcomes: Sequence[FloatArray], inside: Sequence[np.ndarray]
) -> ReliabilityBin | None:
    sizes = np.array([np.count_nonzero(m) for m in inside], dtype=float)
    total = float(sizes.sum())
    if not total:
        return None
    stated = sum(float(c[m].sum()) for c, m in zip(confidences, inside, strict=True)) / total
    right = min(max(sum(float(y[m].sum()) for y, m in zip(outcomes, inside, strict=True)) / total, 0.0), 1.0)
    effective = max(int(total**2 / float((sizes**2).sum()) + 1e-9), 1)
    ci = scoring.wilson(right * effective, effective, 1 - 2 * stats.tail())
    observed = Estimate(value=right, ci=ci, n=int(np.count_nonzero(sizes)))
    return ReliabilityBin(confidence=stated, observed=observed, n_values=int(total))
