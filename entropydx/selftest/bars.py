"""What the tool must show on its labelled cases: the bars, as data, and the figures that they are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entropydx.errors import ConfigError
from entropydx.types import (
    FAILURES,
    READING_WORDS,
    SCOPE_WORDS,
    BarResult,
    Figure,
    Label,
    Op,
    Outcome,
    Quality,
    Reading,
    Scope,
)

ISSUE = "issue 4, What it must show"
LAB = "issue 4, The lab"
TOLERANCE = 5e-4
"""Largest loss that is no change. Cases, rules and coefficients are fixed, so a figure moves only when one of them
does; as a share of fewer than a thousand verdicts it then moves by more than twice this, and another machine's
arithmetic by far less."""
MAX_NAMED = 4
"""Errors that are named behind a missed bar."""
PAIR_NAMES = {
    (Label.TRAINING_COLLAPSE, Label.TEACHER_OVERCONFIDENCE): "collapse told from overconfidence",
    (Label.HARD_SAMPLE_SHORTCUTTING, Label.INFERENCE_VARIANCE): "shortcutting told from variance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A limit that a figure must reach."""

    figure: str
    """A key of `figures`."""
    op: Op
    """`>`: at least; `<`: at most."""
    limit: float
    source: str = ISSUE


def _where(scope: Scope, reading: Reading) -> str:
    return f"{SCOPE_WORDS[scope]}, {READING_WORDS[reading]}"


def _bars() -> tuple[Bar, ...]:
    bars = [Bar(figure="tiny cases", op=">", limit=80, source=LAB)]
    limits: dict[Scope, float] = {"with_baseline": 0.90, "without_baseline": 0.75}
    held_out: tuple[Reading, ...] = ("leave_one_base_out", "leave_one_recipe_out")
    for scope, limit in limits.items():
        for reading in held_out:
            where = _where(scope, reading)
            bars.append(Bar(figure=f"macro-F1, {where}", op=">", limit=limit))
            bars.append(Bar(figure=f"false alarms on sound cases, {where}", op="<", limit=0.05))
            if scope == "with_baseline":
                bars += [Bar(figure=f"{words}, {where}", op=">", limit=0.90) for words in PAIR_NAMES.values()]
        bars.append(Bar(figure=f"label flips between seeds, {SCOPE_WORDS[scope]}", op="<", limit=0.02))
    bars.append(Bar(figure="accused as its own baseline", op="<", limit=0.02))
    bars += [Bar(figure=f"dose-response of {f.words}, with a baseline", op=">", limit=0.8) for f in FAILURES]
    return tuple(bars)


BARS = _bars()
"""Macro-F1 and false alarms are asked of both scopes; pairs and dose-response where a baseline is given, because three
of the four failures are changes."""


def figures(quality: Quality) -> dict[str, Figure]:
    """Return the headline figures, by the names that bars and pages use."""
    n_tiny = quality.tiers.get("tiny", 0)
    found = {"tiny cases": Figure(value=n_tiny, ci=None, n=n_tiny, groups=quality.n_groups, note="a count")}
    for outcome in quality.outcomes:
        where = _where(outcome.scope, outcome.reading)
        found[f"macro-F1, {where}"] = outcome.macro_f1
        found[f"macro-F1 on bases that no threshold was set on, {where}"] = outcome.macro_f1_unseen
        found[f"false alarms on sound cases, {where}"] = outcome.false_alarms
        for pair in outcome.pairs:
            found[f"{PAIR_NAMES[pair.labels]}, {where}"] = pair.accuracy  # type: ignore[index]
    for repeat in quality.repeats:
        if repeat.reading == "in_sample":
            found[f"label flips between seeds, {SCOPE_WORDS[repeat.scope]}"] = repeat.flips
    for comparison in quality.against_itself:
        if comparison.reading == "in_sample":
            found["accused as its own baseline"] = comparison.accused
    for dose in quality.doses:
        found[f"dose-response of {Label(dose.failure).words}, {SCOPE_WORDS[dose.scope]}"] = dose.rho
    return found


def _words(label: str) -> str:
    return label.replace("_", " ")


def held(quality: Quality) -> tuple[BarResult, ...]:
    """Return every bar with the figure that it is held against; `met` is None where there is none."""
    found = figures(quality)
    return tuple(_held(bar, found[bar.figure], quality) for bar in BARS)


def _held(bar: Bar, figure: Figure, quality: Quality) -> BarResult:
    met = None
    if figure.value is not None:
        met = figure.value >= bar.limit if bar.op == ">" else figure.value <= bar.limit
    return BarResult(
        name=bar.figure,
        op=bar.op,
        limit=bar.limit,
        source=bar.source,
        figure=figure,
        met=met,
        why=_missed_by(bar.figure, quality) if met is False else "",
    )


def _missed_by(name: str, quality: Quality) -> str:
    """Return what keeps a figure from its bar."""
    for outcome in quality.outcomes:
        if _where(outcome.scope, outcome.reading) in name:
            return _errors_of(outcome, name)
    for repeat in quality.repeats:
        if name == f"label flips between seeds, {SCOPE_WORDS[repeat.scope]}":
            return f"flips: {', '.join(repeat.flipped)}"
    for dose in quality.doses:
        if name == f"dose-response of {Label(dose.failure).words}, {SCOPE_WORDS[dose.scope]}":
            flat = sorted(dose.series, key=lambda s: s.rho)[:MAX_NAMED]
            return "lowest: " + ", ".join(f"{s.recipe} on {s.base} {s.rho:.2f}" for s in flat)
    return ""


def _errors_of(outcome: Outcome, name: str) -> str:
    if name.startswith("false alarms"):
        accused = sorted((a for a in outcome.alarms if a.alarms), key=lambda a: -a.alarms)[:MAX_NAMED]
        return "accused: " + ", ".join(f"{a.recipe} {a.alarms} of {a.n}" for a in accused)
    told = next((set(pair) for pair, words in PAIR_NAMES.items() if name.startswith(words)), set(outcome.truths))
    errors = [
        (count, f"{count} {_words(truth)} called {_words(verdict)}")
        for truth, row in zip(outcome.truths, outcome.matrix, strict=True)
        for verdict, count in zip(outcome.verdicts, row, strict=True)
        if truth in told and truth not in {verdict, "unclear"} and count
    ]
    return ", ".join(words for _, words in sorted(errors, key=lambda e: -e[0])[:MAX_NAMED])


# ── worse than before ─────────────────────────────────────────────────────────────────────────────


def load_committed(path: Path) -> dict[str, Any] | None:
    """Return a committed document; None where there is none.

    Raises
    ------
    ConfigError
        The file is not such a document.
    """
    if not path.is_file():
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        worse(document, document)
        str(document["cases_sha"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not a document of `entropydx selftest --json`: {error}") from error
    return document


def worse(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Return the bars whose figure is worse than in an older document, a line each.

    Parameters
    ----------
    new, old : mappings
        The JSON documents of `Quality`. A figure that is no longer there is worse; a bar that is new is not compared.
    """
    before = {bar["name"]: (bar["op"], bar["figure"]["value"]) for bar in old["bars"]}
    lines = []
    for bar in new["bars"]:
        op, value = before.get(bar["name"], (bar["op"], None))
        now = bar["figure"]["value"]
        if value is None:
            continue
        loss = float("inf") if now is None else (value - now if op == ">" else now - value)
        if loss > TOLERANCE:
            lines.append(f"{bar['name']}: {'no figure' if now is None else f'{now:.3f}'}, was {value:.3f}")
    return lines
