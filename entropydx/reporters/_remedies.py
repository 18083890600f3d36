"""What to do, in the words of each framework's own configuration, and what not to do."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from entropydx.reporters._layout import grid, hanging, section
from entropydx.reporters._words import listed
from entropydx.types import Label, LeftOut, Recommendation, Report, Setting, Training

SHELL = ("verl", "openrlhf")
"""Frameworks that are configured on a command line; the others by keyword arguments."""


NOTHING_FITS = "No remedy of the catalogue fits what was measured, the stage of training and the other failures:"


def settings(framework: str, config: dict[str, Any]) -> list[str]:
    """Return every setting as its framework reads it: a keyword argument, a Hydra override or a flag."""
    if framework == "openrlhf":
        return [_flag(key, value) for key, value in config.items()]
    if framework == "verl":
        return [shlex.quote(f"{key}={_yaml(value)}") for key, value in config.items()]
    return [f"{key}={value!r}" for key, value in config.items()]


def _flag(key: str, value: Any) -> str:
    """Return a flag and its words; text is taken as typed, so `"0.2 0.28"` is two words and `""` is none."""
    name = key.lstrip("-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    given = value.split() if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(word)) for word in given)])


def _yaml(value: Any) -> str:
    """Return a value in YAML's flow style; a string stays bare, as Hydra reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def snippet(framework: str, config: dict[str, Any], width: int) -> str:
    """Return settings to be copied: on one line when they fit in `width`, else one a line."""
    found = settings(framework, config)
    separator, continued = (" ", " \\\n") if framework in SHELL else (", ", ",\n")
    line = separator.join(found)
    return line if len(line) <= width else continued.join(found)


def active(report: Report) -> set[Label]:
    """Return the labels that remedies are chosen for: every failure that is present, and the verdict."""
    present = {Label(name) for name, failure in report.diagnosis.failures.items() if failure.status == "present"}
    return present | {report.diagnosis.label}


def warnings(report: Report) -> list[str]:
    """Return what must not be done here: remedies of other failures by their names, each group with its reason."""
    by_reason: dict[str, list[str]] = {}
    for entry in report.contraindicated:
        by_reason.setdefault(entry.why, []).append(entry.id)
    return [f"{', '.join(names)}: {why}" for why, names in by_reason.items()]


def remedy_sections(report: Report, width: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield what to do and what not to do."""
    training = own_training(report)
    if training is not None:
        yield section("The training configuration", *_training(training))
    advised = [_remedy(i, r, report, width, verbose) for i, r in enumerate(report.recommendations, start=1)]
    if advised or report.left_out:
        nothing = [] if advised else [hanging("  ", NOTHING_FITS)]
        yield section("What to do", *advised, *nothing, *_others(report.left_out, verbose or not advised))
    if report.contraindicated:
        told = (hanging("  do NOT use ", words, prefix_style="bold red") for words in warnings(report))
        yield section("What NOT to do", *told)


def _others(left_out: Sequence[LeftOut], verbose: bool) -> Iterator[RenderableType]:
    """Yield the remedies that were left out, each with its reason, or how many there are."""
    if verbose:
        yield from (hanging("  not ", f"{entry.title}: {entry.why}", style="dim") for entry in left_out)
    elif left_out:
        n = len(left_out)
        yield hanging("  ", f"{n} other{'s' * (n > 1)} left out: --verbose says why", style="dim")


def _remedy(rank: int, remedy: Recommendation, report: Report, width: int, verbose: bool) -> Group:
    head = f"  {rank}. "
    parts: list[RenderableType] = [hanging(head, remedy.title, style="bold"), hanging("     ", remedy.why)]
    shown = own_framework(remedy, report.training)
    names = max((len(name) for name in shown), default=0)
    for framework, config in shown.items():
        parts.append(_snippet(framework, config, names, width - names - 7))
    parts += [_setting(setting) for setting in remedy.settings]
    parts += [hanging(f"     {word}: ", text, style="dim") for word, text in particulars(remedy)]
    if verbose:
        parts.append(hanging("     ", basis(remedy), style="dim"))
    parts += _limits(remedy, active(report))
    return Group(*parts)


def own_training(report: Report) -> Training | None:
    """Return the training whose configuration was given; None: the stage at most is known, which the reasons name."""
    training = report.training
    return training if training is not None and (training.framework or training.warnings) else None


def own_framework(remedy: Recommendation, training: Training | None) -> dict[str, dict[str, Any]]:
    """Return the settings for the framework that the user trains with, where it is known and has any; else for all."""
    framework = None if training is None else training.framework
    return {framework: remedy.config[framework]} if framework in remedy.config else remedy.config


def particulars(remedy: Recommendation) -> list[tuple[str, str]]:
    """Return what there is to know before and while using a remedy, each with the word that it goes under."""
    found = [
        ("chosen because", remedy.chosen_because),
        ("expect", remedy.expected),
        ("does nothing when", remedy.inert_when),
        ("watch", "; ".join(remedy.watch)),
        ("stop when", remedy.stop_when),
        ("afterwards", f"entropydx compare BEFORE AFTER --remedy {remedy.id}"),
    ]
    return [(word, text.rstrip(".")) for word, text in found if text]


def training_words(training: Training) -> str:
    """Return what is known of the training, in a sentence."""
    updates = training.updates_per_rollout
    facts = [
        f"{training.framework}" if training.framework else "",
        f"stage {training.stage} ({training.source})" if training.stage else "stage not known",
        f"{updates:g} update{'s' * (updates != 1)} per rollout" if updates is not None else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def setting_words(setting: Setting) -> str:
    """Return a recommended setting beside the user's own, in a line that needs no colour."""
    mark = {"already": "=", "add": "+", "change": "~", "unknown": "?"}.get(setting.status, "!")
    wanted, said = setting_parts(setting)
    return f"{mark} {wanted}: {said}"


def setting_parts(setting: Setting) -> tuple[str, str]:
    """Return a recommended setting as its framework reads it, and what the user's own configuration says of it."""
    (wanted,) = settings(setting.framework, {setting.key: setting.recommended})
    if setting.status == "already":
        why = f": {setting.current!r}, and {setting.why}" if setting.why else ""
        return wanted, f"there already{'' if setting.in_file else ', as the default'}{why}"
    if setting.status in ("add", "unknown") and setting.why and not setting.in_file:
        return wanted, f"the file is silent, and {setting.why}"
    if setting.status == "unknown":
        return wanted, f"the file says {setting.current!r}: {setting.why}"
    says = "the file says" if setting.in_file else "the file is silent, and the default is"
    why = f"; {setting.status.upper()}: {setting.why}" if setting.why else ""
    return wanted, f"{says} {setting.current!r}{why}"


_SETTING_STYLE = {"already": "dim", "inert": "yellow", "unknown": "yellow", "conflict": "bold red"}


def _setting(setting: Setting) -> RenderableType:
    return hanging("       ", setting_words(setting), style=_SETTING_STYLE.get(setting.status, "green"))


def _training(training: Training) -> Iterator[RenderableType]:
    yield hanging("  ", training_words(training))
    if training.assumed:
        yield hanging("  ASSUMED ", training.assumed, prefix_style="bold yellow")
    for warning in training.warnings:
        yield hanging("  POISON ", warning, prefix_style="bold red")


def basis(remedy: Recommendation) -> str:
    """Return what a remedy rests on, and the releases whose keys were read."""
    found = [sentence.rstrip(".") for sentence in remedy.evidence]
    if remedy.versions:
        found.append(f"keys as in {', '.join(' '.join(pair) for pair in remedy.versions.items())}")
    return "; ".join(found)


def _snippet(framework: str, config: dict[str, Any], names: int, width: int) -> RenderableType:
    """Return settings beside their framework; lines too long for that start at the margin, unbroken, for copying."""
    name, lines = Text(framework, style="dim"), snippet(framework, config, width)
    code = Text(lines, style="green", no_wrap=True, overflow="ignore")
    if max(map(cell_len, lines.split("\n"))) > width:
        return Group(Padding(name, (0, 0, 0, 5)), code)
    return grid([names, None], [[name, code]], indent=5)


def _limits(remedy: Recommendation, here: set[Label]) -> Iterator[RenderableType]:
    for word, limit in limits(remedy, here):
        yield hanging(f"     {word} ", limit, prefix_style="bold red")


def limits(remedy: Recommendation, here: set[Label]) -> list[tuple[str, str]]:
    """Return where a remedy must not be used, apart for the failures that are present beside its own."""
    conflicts = [label for label in remedy.contraindicated_for if label in here]
    elsewhere = [label for label in remedy.contraindicated_for if label not in here]
    beside = [("BUT", f"it is contraindicated for {listed(conflicts)}, which is present too")] if conflicts else []
    return beside + ([("do NOT", f"use it for {listed(elsewhere)}")] if elsewhere else [])
