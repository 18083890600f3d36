"""Whether the measurement itself can be trusted: truncation, extraction, empty output, broken numbers, template leaks.

Every share is over completions, clustered by prompt. `extraction_failure_rate` is over completions that ended by
themselves, so that a truncated one is not counted twice. `template_leak_rate` counts completions that write the
*next* turn's role marker as text (`user:`, `<|im_start|>`, `[INST]`...), the usual sign of a wrong or missing chat
template. With a baseline the four rates and the broken completions are also taken over the baseline's samples
(`@baseline`): a change against samples that cannot be trusted cannot be trusted. `temperature` is the setting that the
samples were drawn at. Of samples that another tool wrote down, what it did not say is missing: how completions ended,
the stated answers, the temperature; lengths may be in words.

## What it costs
Beyond the main draw: nothing.
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
    r"|^#{2,3} (?:Human|User|Instruction|Assistant|Response):?[ \t]*$|^(?:Human|User|Assistant|user|assistant)(?::|$)",
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

    requires = Requires(
        grades=True,
        parts={
            "grades": (),
            "answers": ("extraction_failure_rate",),
            "endings": ("truncation_rate", "extraction_failure_rate", "n_non_finite"),
        },
    )

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the four rates, the completion length, the counts of prompts and broken completions, the setting."""
        whole = next(strata(samples, baseline, samples.params.seed))
        found = [
            whole.estimate(f"instrument.{name}", "share of completions", build, bounds=(0, 1))
            for name, build in RATES.items()
        ]
        lengths: Build = lambda groups: stats.mean_statistic(  # noqa: E731 - one use, beside its siblings
            np.array([np.mean([c.n_tokens for c in g.completions]) for g in groups])
        )
        found.append(whole.estimate("instrument.completion_length", whole.length_unit, lengths, per_token=True))
        n = len(whole.groups)
        found += [
            _exact("n_prompts", n, "prompts", n),
            _exact("n_non_finite", _n_broken(whole.groups), "completions", n),
            _temperature(samples.params.temperature, n),
        ]
        return found if whole.baseline is None else [*found, *_of_baseline(whole.baseline, whole.population)]


def _temperature(value: float | None, n: int) -> Measurement:
    if value is None:
        return Missing(name="instrument.temperature", reason="unknown: the tool does not say it (--logged-temperature)")
    return _exact("temperature", value, "", n)


def _n_broken(groups: tuple[Group, ...]) -> int:
    return sum(c.finish_reason == "non_finite" for g in groups for c in g.completions)


def _of_baseline(groups: tuple[Group, ...], population: stats.Population) -> list[Measurement]:
    rates = [
        population.estimate(f"instrument.{name}@baseline", "share of completions", build(groups), bounds=(0, 1))
        for name, build in RATES.items()
    ]
    return [*rates, _exact("n_non_finite@baseline", _n_broken(groups), "completions", len(groups))]


def _exact(name: str, value: float, unit: str, n: int) -> Measurement:
    """Return a count over this very sample, or a setting: it has no sampling error."""
    name = f"instrument.{name}"
    if n == 0:
        return Missing(name=name, reason="nothing was sampled")
    return Measured(
        name=name, value=float(value), unit=unit, n=n, ci=(float(value), float(value)), note="known exactly"
    )


probe: Probe = Instrument()
