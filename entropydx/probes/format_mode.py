"""Which surface formats the completions take, and how many of them are left.

## What it measures
Two views. *Modes*: a fixed list of formats that post-trained models use, one per completion, found by rules in a
fixed order (think-tags, JSON, table, python function, code block, latex-boxed, numbered steps, bullets, equations,
bare answer, prose). *Structure*: clusters of text shape, for private notations (`probes/_structure.py`), made over
checkpoint and baseline together. For both: the distribution's entropy in nats, its `effective_number` exp(entropy),
the `dominant_share`, the Jensen-Shannon divergence from the baseline in nats (0 to ln 2), and the `disagreement`: the
unbiased chance that two completions of the *same* prompt differ in format, which a mixture of task types cannot
inflate.

## What confounds it
Tasks that ask for one format; a forced template. A python function is `^def name(`, not the substring `def` of the
reference implementation (arXiv:2504.07912), which matches "define". The divergence is biased upwards at small
samples.

## What it costs
Beyond the main draw: nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

import numpy as np

from entropydx import stats
from entropydx.probes._paired import NO_BASELINE, Paired, strata
from entropydx.probes._structure import cluster
from entropydx.protocols import Probe
from entropydx.types import FloatArray, Group, IntArray, Measurement, Missing, Requires, Samples

SHORT_ANSWER = 3
"""Words; a reply of at most so many on one line is a bare answer."""
_INDENT = r"[^\S\n]*"
"""Spaces within a line: `\\s*` would run over the newlines of a degenerate completion from each of them, n² steps."""
_EQUATION = re.compile(r"[\w)\]}]\s*=\s*[-\w(\[{\\]")


def _is_json(text: str) -> bool:
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not body.startswith(("{", "[")):
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _matches(pattern: str, at_least: int = 1) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.MULTILINE)
    return lambda text: sum(1 for _ in compiled.finditer(text)) >= at_least


MODES: dict[str, Callable[[str], bool]] = {
    "think_tags": _matches(r"</?think(?:ing)?>|<\|begin_of_thought\|>|</?reasoning>"),
    "json": _is_json,
    "table": _matches(rf"^{_INDENT}\|.*\|{_INDENT}$", 2),
    "python_function": _matches(rf"^{_INDENT}def \w+\("),
    "code_block": _matches(rf"^{_INDENT}```"),
    "latex_boxed": _matches(r"\\boxed\s*\{"),
    "numbered_steps": _matches(rf"^{_INDENT}(?:\*\*)?(?:\(?\d+[.):]|step \d+\b|Step \d+\b)", 2),
    "bullets": _matches(rf"^{_INDENT}[-*•][^\S\n]+\S", 2),
    "bare_answer": lambda text: "\n" not in text.strip() and len(text.split()) <= SHORT_ANSWER and "=" not in text,
    "equations": lambda text: len(_EQUATION.findall(text)) >= 2,
}
"""In order of precedence; what matches none is prose."""
MODE_NAMES = (*MODES, "prose")


def mode_of(text: str) -> str:
    """Return the first mode that a completion shows, `prose` when it shows none."""
    return next((name for name, matches in MODES.items() if matches(text)), "prose")


def _count(labels: Sequence[Sequence[int]], n_categories: int) -> IntArray:
    return np.stack([np.bincount(np.asarray(row, dtype=int), minlength=n_categories) for row in labels])


class _View:
    """Format counts of checkpoint and baseline, (N, M) each, under one way of telling formats apart."""

    def __init__(self, prefix: str, counts: IntArray, baseline: IntArray | None) -> None:
        self.prefix, self.counts, self.baseline = prefix, counts, baseline

    def measure(self, part: Paired) -> list[Measurement]:
        """Return entropy, effective number, dominant share, disagreement and divergence."""
        found = [
            self._pooled(part, "entropy", "nats", stats.shannon_entropy, None),
            self._pooled(part, "effective_number", "formats", stats.effective_number, None),
            self._pooled(part, "dominant_share", "share of completions", lambda p: p.max(axis=-1), (0.0, 1.0)),
        ]
        disagreement = [None if c is None else _disagreement(c) for c in (self.counts, self.baseline)]
        assert disagreement[0] is not None  # the checkpoint always has counts
        found.append(
            part.population.estimate(
                f"format_mode.{self.prefix}disagreement",
                "share of pairs",
                disagreement[0],
                disagreement[1],
                bounds=(0, 1),
            )
        )
        return [*found, self._divergence(part)]

    def _pooled(
        self,
        part: Paired,
        name: str,
        unit: str,
        functional: Callable[[FloatArray], FloatArray],
        bounds: tuple[float, float] | None,
    ) -> Measurement:
        base = None if self.baseline is None else stats.mixture_statistic(self.baseline.astype(float), functional)
        ours = stats.mixture_statistic(self.counts.astype(float), functional)
        return part.population.estimate(f"format_mode.{self.prefix}{name}", unit, ours, base, bounds=bounds)

    def _divergence(self, part: Paired) -> Measurement:
        name = f"format_mode.{self.prefix}js_divergence"
        if self.baseline is None:
            return Missing(name=name, reason=NO_BASELINE)
        both = np.hstack([self.counts, self.baseline]).astype(float)
        width = self.counts.shape[1]

        def functional(p: FloatArray) -> FloatArray:
            return stats.js_divergence(2 * p[:, :width], 2 * p[:, width:])

        statistic = stats.mixture_statistic(both, functional)
        return part.population.estimate(name, "nats", statistic, bounds=(0, float(np.log(2))))


def _disagreement(counts: IntArray) -> stats.Statistic:
    return stats.mean_statistic(np.array([1 - stats.pairwise_agreement(row) for row in counts]))


class FormatMode:
    """The distribution over surface formats, by known modes and by structure."""

    requires = Requires(n_samples=2)

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return the share of every mode, and both views' diversity."""
        part = next(strata(samples, baseline, samples.params.seed))
        if not part.groups:
            return [Missing(name="format_mode.entropy", reason="no prompt in common with the baseline")]
        modes, structure = self._views(part)
        shares = [self._share(part, modes, i, name) for i, name in enumerate(MODE_NAMES)]
        return [*shares, *modes.measure(part), *structure.measure(part)]

    @staticmethod
    def _share(part: Paired, modes: _View, index: int, name: str) -> Measurement:
        def share(counts: IntArray) -> stats.Statistic:
            return stats.ratio_statistic(counts[:, index].astype(float), counts.sum(axis=1).astype(float))

        base = None if modes.baseline is None else share(modes.baseline)
        return part.population.estimate(
            f"format_mode.share_{name}", "share of completions", share(modes.counts), base, bounds=(0, 1)
        )

    @staticmethod
    def _views(part: Paired) -> tuple[_View, _View]:
        ours = _texts(part.groups)
        theirs = None if part.baseline is None else _texts(part.baseline)

        def modes(rows: list[list[str]]) -> IntArray:
            return _count([[MODE_NAMES.index(mode_of(t)) for t in row] for row in rows], len(MODE_NAMES))

        flat = [t for rows in (ours, theirs or []) for row in rows for t in row]
        numbers = iter(cluster(flat))
        clusters = [[[next(numbers) for _ in row] for row in rows] for rows in (ours, theirs or [])]
        width = 1 + max((n for rows in clusters for row in rows for n in row), default=0)
        return (
            _View("", modes(ours), None if theirs is None else modes(theirs)),
            _View("structure_", _count(clusters[0], width), None if theirs is None else _count(clusters[1], width)),
        )


def _texts(groups: tuple[Group, ...]) -> list[list[str]]:
    return [[c.text for c in g.completions] for g in groups]


probe: Probe = FormatMode()
