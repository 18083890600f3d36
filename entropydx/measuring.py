"""One probe on samples that may not tell what it requires: what is unknown comes out as missing, under its own name.

What may be unknown: the exact entropies, where a server drew; and, where another tool drew, whatever that tool did not
write down (`types.Need`), or more than one completion of a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from entropydx.protocols import Probe
from entropydx.types import Completion, Group, Measurement, Missing, Need, Requires, Samples

UNKNOWN = (
    "the exact entropies are unknown, because the server's model was not at hand to score its tokens: "
    "entropy_bounds says between what their mean lies"
)
UNKNOWN_BASELINE = (
    "the exact entropies of the baseline are unknown, because its model was not at hand to score its tokens"
)
UNWRITTEN = "imported samples have no exact entropies: `entropydx diagnose` of the checkpoint measures them"
REASONS: Mapping[Need, str] = {
    "grades": "the samples are not graded: the tool wrote no grade in [0, 1], and there is no gold answer to grade by "
    "(--score names a column, --map gold=COLUMN the gold answers)",
    "answers": "the tool wrote no answers that it found in the texts (--verifier, with --extract, finds them)",
    "gold": "the tool wrote no gold answers (--map gold=COLUMN)",
    "endings": "the tool does not say how its completions ended, by themselves or at the token limit",
}
"""Need to why it is not met."""
OF_BASELINE = "@baseline"
"""Stratum of what is measured on the baseline's own samples."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that some samples do not tell."""

    reason: str
    needed_by: Callable[[str], bool]
    """Whether a measurement, by what follows its probe's name, depends on it."""


def measure(probe: Probe, samples: Samples, baseline: Samples | None) -> list[Measurement]:
    """Return what a probe measures, with everything missing that depends on what the samples do not tell.

    Which measurements a probe gives may depend on the strata and on there being a baseline, so the probe is asked for
    all of them, on stand-ins that have zeros for what is unknown, and for a single completion two of it. Those that
    depend on it are then missing; the others cannot have changed. What only the baseline lacks costs the comparison:
    there the checkpoint is measured by itself.
    """
    ours = lacks(probe.requires, samples)
    theirs = [] if baseline is None else lacks(probe.requires, baseline)
    if not ours and not theirs:
        return probe.measure(samples, baseline)
    stand_in = _stand_in(probe.requires, samples)
    found = probe.measure(stand_in, None if baseline is None else _stand_in(probe.requires, baseline))
    alone = {m.name: m for m in probe.measure(stand_in, None)} if theirs else {}
    return [_told(m, ours, theirs, alone) for m in found]


def _told(
    measurement: Measurement, ours: list[Lack], theirs: list[Lack], alone: Mapping[str, Measurement]
) -> Measurement:
    """Return a measurement of a stand-in where it holds of the samples themselves, else what does."""
    name = measurement.name
    tail = name.partition(".")[2]
    of_baseline = tail.endswith(OF_BASELINE)
    for lack in theirs if of_baseline else ours:
        if lack.needed_by(tail):
            return Missing(name=name, reason=_of_baseline(lack.reason) if of_baseline else lack.reason)
    blocking = [] if of_baseline else [lack.reason for lack in theirs if lack.needed_by(tail)]
    if not blocking:
        return measurement
    own = alone.get(name)
    return Missing(name=name, reason=_of_baseline(blocking[0])) if own is None or isinstance(own, Missing) else own


def _of_baseline(reason: str) -> str:
    return UNKNOWN_BASELINE if reason == UNKNOWN else f"of the baseline, {reason}"


def lacks(requires: Requires, samples: Samples) -> list[Lack]:
    """Return what a probe requires and samples do not tell, the widest first."""
    found = []
    if requires.entropies and not samples.exact_entropies:
        found.append(Lack(UNKNOWN if samples.imported is None else UNWRITTEN, lambda tail: True))
    if samples.groups and samples.n_samples < requires.n_samples:
        reason = f"needs {requires.n_samples} samples of every prompt, has {samples.n_samples}"
        found.append(Lack(reason, lambda tail: not _names(tail, requires.single)))
    known: dict[Need, bool] = {
        "grades": samples.known_grades or not requires.grades,
        "answers": samples.known_answers,
        "gold": samples.known_gold,
        "endings": samples.known_endings,
    }
    for need, met in known.items():
        named = requires.parts.get(need, None if need == "grades" else ())
        if not met and named != ():
            found.append(Lack(REASONS[need], _one_of(named)))
    return found


def _one_of(named: tuple[str, ...] | None) -> Callable[[str], bool]:
    return lambda tail: named is None or _names(tail, named)


def _names(tail: str, named: tuple[str, ...]) -> bool:
    """Return whether `statistic@stratum` is among some, by its statistic or whole."""
    return tail in named or tail.partition("@")[0] in named


def _stand_in(requires: Requires, samples: Samples) -> Samples:
    """Return samples in which a probe can compute, whatever the real ones lack."""
    times = 1 if not samples.groups or not samples.n_samples else -(-requires.n_samples // samples.n_samples)
    return replace(samples, groups=tuple(_group(g, requires, times) for g in samples.groups))


def _group(group: Group, requires: Requires, times: int) -> Group:
    return replace(group, completions=tuple(_completion(c, requires) for c in group.completions) * times)


def _completion(completion: Completion, requires: Requires) -> Completion:
    grade = 0.0 if completion.grade is None else completion.grade
    if not requires.entropies or completion.entropies is not None:
        return replace(completion, grade=grade)
    zeros = np.zeros(completion.n_tokens)
    return replace(completion, grade=grade, logprobs=zeros, entropies=zeros)
