"""Whether the measurement itself can be trusted: truncation, extraction, empty output, broken numbers, template leaks.

Every share is over completions, clustered by prompt. `extraction_failure_rate` is over completions that ended by
themselves, so that a truncated one is not counted twice. `template_leak_rate` counts completions that write the
*next* turn's role marker as text (`user:`, `<|im_start|>`, `[INST]`...), the usual sign of a wrong or missing chat
template.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from entropydx import stats
from entropydx.probes._paired import Build, strata
from entropydx.protocols import Probe
from entropydx.types import Completion, Group, Measured, Measurement, Missing, Requires, Samples

ROLE_MARKER = re.compile(
    r"<\|(?:im_start|im_end|start_header_id|user|assistant|system|eot_id)\|>|\[/?INST\]|<(?:start|end)_of_turn>"
    r"|^#{2,3} (?:Human|User|Instruction|Assistant|Response):?|^(?:Human|User|Assistant|user|assistant)(?::|$)",
    re.MULTILINE,
)


def _rate(hit: Callable[[Completion], bool], among: Callable[[Completion], bool] = lambda completion: True) -> Build:
    """Return a builder of the share of completions that `hit`, of those in `among`."""

    def build(groups: tuple[Group, ...]) -> stats.Statistic:
        kept = [[c for c in g.completions if among(c)] for g in groups]
        hits = np.array([float(sum(map(hit, cs))) for cs in kept])
        return stats.ratio_statistic(hits, np.array([float(len(cs)) for cs in kept]))

    return build


RATES: dict[str, Build] = {
    "truncation_rate": _rate(lambda c: c.finish_reason == "length"),
    "extraction_failure_rate": _rate(lambda c: c.answer is None, lambda c: c.finish_reason == "stop"),
    "empty_rate": _rate(lambda c: not c.text.strip()),
    "template_leak_rate": _rate(lambda c: bool(ROLE_MARKER.search(c.text))),
}


class Instrument:
    """The state of the measurement, before anything is said of the model."""

    requires = Requires(grades=True)

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the four rates, the completion length, and the counts of prompts and of broken completions."""
        whole = next(strata(samples, baseline, samples.params.seed))
        found = [
            whole.estimate(f"instrument.{name}", "share of completions", build, bounds=(0, 1))
            for name, build in RATES.items()
        ]
        lengths: Build = lambda groups: stats.mean_statistic(  # noqa: E731 - one use, beside its siblings
            np.array([np.mean([c.n_tokens for c in g.completions]) for g in groups])
        )
        found.append(whole.estimate("instrument.completion_length", "tokens", lengths))
        broken = sum(c.finish_reason == "non_finite" for g in whole.groups for c in g.completions)
        n = len(whole.groups)
        return [*found, _counted("n_prompts", n, "prompts", n), _counted("n_non_finite", broken, "completions", n)]


def _counted(name: str, count: int, unit: str, n: int) -> Measurement:
    """Return a count over this very sample, which has no sampling error."""
    name = f"instrument.{name}"
    if n == 0:
        return Missing(name=name, reason="nothing was sampled")
    exactly = (float(count), float(count))
    return Measured(name=name, value=float(count), unit=unit, n=n, ci=exactly, note="a count, known exactly")


probe: Probe = Instrument()
