"""One probe on samples that may not tell what it requires: what is unknown comes out as missing, under its own name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from entropydx.protocols import Probe
from entropydx.types import Completion, Group, Measurement, Missing, Samples

UNKNOWN = (
    "the exact entropies are unknown, because the server's model was not at hand to score its tokens: "
    "entropy_bounds says between what their mean lies"
)
UNKNOWN_BASELINE = (
    "the exact entropies of the baseline are unknown, because its model was not at hand to score its tokens"
)


def measure(probe: Probe, samples: Samples, baseline: Samples | None) -> list[Measurement]:
    """Return what a probe measures, everything missing where it requires exact entropies and the samples have none.

    Which measurements a probe gives may depend on the strata and on there being a baseline, so their names are asked of
    the probe itself, on stand-ins whose every entropy is 0; nothing but the names of those is used. Where the baseline
    alone lacks entropies, the checkpoint is measured by itself.
    """
    if not probe.requires.entropies:
        return probe.measure(samples, baseline)
    if not samples.exact_entropies:
        names = [m.name for m in probe.measure(_stand_in(samples), None if baseline is None else _stand_in(baseline))]
        return [Missing(name=name, reason=UNKNOWN) for name in names]
    if baseline is None or baseline.exact_entropies:
        return probe.measure(samples, baseline)
    alone = probe.measure(samples, None)
    return [replace(m, reason=UNKNOWN_BASELINE) if isinstance(m, Missing) else m for m in alone]


def _stand_in(samples: Samples) -> Samples:
    return replace(samples, groups=tuple(map(_group, samples.groups)))


def _group(group: Group) -> Group:
    return replace(group, completions=tuple(map(_completion, group.completions)))


def _completion(completion: Completion) -> Completion:
    zeros = np.zeros(completion.n_tokens)
    return replace(completion, logprobs=zeros, entropies=zeros)
