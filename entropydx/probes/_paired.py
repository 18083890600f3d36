"""Checkpoint and baseline lined up prompt by prompt: what every probe starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from entropydx.stats import Population, Statistic
from entropydx.types import FloatArray, Group, Interval, Measurement, Missing, Samples

Build = Callable[[tuple[Group, ...]], Statistic]
"""Makes a statistic from the groups of one stratum, in prompt order."""

NO_BASELINE = "no baseline was given"
OTHER_TOKENIZER = "checkpoint and baseline have different tokenizers, so what is counted per token does not compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The groups of one stratum, and the baseline's groups of the same prompts in the same order."""

    suffix: str
    """"" for all prompts, else `@stratum`."""
    groups: tuple[Group, ...]
    baseline: tuple[Group, ...] | None
    population: Population
    apart: str | None = None
    """Why what is counted per token does not compare; None when a token of one is a token of the other."""
    length_unit: Literal["tokens", "words"] = "tokens"
    """What the lengths of the checkpoint's completions are counted in."""

    @property
    def tokens_compare(self) -> bool:
        """Whether what is counted per token compares."""
        return self.apart is None

    def estimate(  # noqa: PLR0913 - the fields of one measurement
        self,
        name: str,
        unit: str,
        build: Build,
        *,
        bounds: Interval | None = None,
        n: int | None = None,
        note: str | None = None,
        per_token: bool = False,
    ) -> Measurement:
        """Estimate `build(groups)`, and its paired change when there is a baseline.

        What is counted `per_token` has no change against a baseline with another tokenizer, or another unit of length.
        """
        comparable = self.tokens_compare or not per_token
        base = build(self.baseline) if self.baseline is not None and comparable else None
        return self.population.estimate(
            name + self.suffix, unit, build(self.groups), base, bounds=bounds, n=n, note=note
        )

    def mean_where_defined(
        self, name: str, unit: str, values: Callable[[tuple[Group, ...]], FloatArray], *, bounds: Interval | None = None
    ) -> Measurement:
        """Estimate the mean of per-prompt values with NaN, and its change where both define it."""
        base = None if self.baseline is None else values(self.baseline)
        return self.population.mean_where_defined(name + self.suffix, unit, values(self.groups), base, bounds=bounds)

    def ratio(
        self,
        name: str,
        build: Build,
        note: str | None = None,
        *,
        bounds: Interval | None = None,
        per_token: bool = True,
    ) -> Measurement:
        """Estimate `build(groups) / build(baseline)`; `bounds` as in `Population.ratio`.

        Missing when there is no baseline, or when tokens are counted and its tokens are not those of the checkpoint.
        """
        if self.baseline is None:
            return Missing(name=name + self.suffix, reason=NO_BASELINE)
        if per_token and self.apart is not None:
            return Missing(name=name + self.suffix, reason=self.apart)
        ours, theirs = build(self.groups), build(self.baseline)
        return self.population.ratio(name + self.suffix, ours, theirs, note, bounds=bounds)


def strata(samples: Samples, baseline: Samples | None, seed: int = 0) -> Iterator[Paired]:
    """Yield all prompts first (suffix ""), then every stratum that has a prompt.

    With a baseline only the prompts that both have are kept, so that every change is paired.
    """
    if baseline is None:
        for suffix, groups in samples.strata():
            yield Paired(
                suffix=suffix,
                groups=groups,
                baseline=None,
                population=Population(n_prompts=len(groups), seed=seed),
                length_unit=samples.length_unit,
            )
        return
    theirs = {g.prompt.id: g for g in baseline.groups}
    apart = _apart(samples, baseline)
    same = _drawer(samples) == _drawer(baseline)
    for suffix, groups in samples.strata():
        common = tuple(g for g in groups if g.prompt.id in theirs)
        yield Paired(
            suffix=suffix,
            groups=common,
            baseline=tuple(theirs[g.prompt.id] for g in common),
            population=Population(n_prompts=len(common), seed=seed, same=same),
            apart=apart,
            length_unit=samples.length_unit,
        )


def _drawer(samples: Samples) -> tuple[object, ...]:
    """Return what decides the completions of a prompt."""
    return samples.checkpoint.fingerprint, samples.checkpoint.dtype, samples.params


def _apart(samples: Samples, baseline: Samples) -> str | None:
    """Return why what is counted per token of one does not compare with the other."""
    ours, theirs = samples.length_unit, baseline.length_unit
    if ours != theirs:
        return f"lengths are counted in {ours} here and in {theirs} in the baseline, which do not compare"
    tokenizers = {samples.checkpoint.tokenizer_sha, baseline.checkpoint.tokenizer_sha} - {None}
    return OTHER_TOKENIZER if len(tokenizers) > 1 else None
