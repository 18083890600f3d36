"""The file that a training was started with, as flat settings: YAML, JSON, overrides, a shell or a Python script.

Nothing of it is executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from entropydx.errors import ConfigError
from entropydx.python_script import NotReadError, python_settings
from entropydx.shell_script import SUFFIXES, shell_settings

MEND = "give the YAML, the JSON, the shell or the Python script that TRL, verl or OpenRLHF was started with"
NOT_SEEN = "{} is not seen: where this file is silent the trainer's own default is shown"
VERL_OWN = ("ppo_trainer", "ppo_megatron_trainer", "sft_trainer_engine")
"""Configurations that come with verl: its defaults are theirs."""
MOST_SETTINGS = 100_000
"""A few aliases of YAML can stand for more settings than memory holds; the three frameworks have some hundreds."""
LONGEST_SCRIPT = 100_000
"""Characters; what is longer is a log, or a model's answers."""
LONGEST = 200
"""Characters of a setting that is a word, and values of one that is a list."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file sets."""

    flat: dict[str, Any]
    """By dotted keys."""
    trainers: tuple[str, ...] = ()
    """What names the trainer beside the keys: a class of TRL, or what a shell script starts."""
    unseen: str = ""
    """What is set elsewhere, in words."""
    script: bool = False
    """Whether `${name}` is a variable of a script, and no other key of the file."""


def read_settings(path: Path) -> Settings:
    """Return what a file sets.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds no settings.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", MEND) from error
    except ValueError as error:
        raise ConfigError(f"{path} is no text", MEND) from error
    script = path.suffix in (".py", *SUFFIXES) or text.startswith("#!")
    document = None if script else _document(path, text)
    script = script or isinstance(document, str)
    if script and len(text) > LONGEST_SCRIPT:
        raise ConfigError(f"{path} is longer than a script that starts a training", MEND)
    if script:
        return _of_python(path, text) if path.suffix == ".py" else _of_shell(path, text)
    return Settings({key: number(value) for key, value in _flat(path, document).items()})


def _of_python(path: Path, text: str) -> Settings:
    try:
        flat, name, unseen = python_settings(text)
    except NotReadError as error:
        raise ConfigError(f"{path} {error}", error.mend) from error
    return Settings(flat, (name,), NOT_SEEN.format(unseen) if unseen else "", script=True)


def _of_shell(path: Path, text: str) -> Settings:
    given, names = shell_settings(text)
    if not given and not names:
        raise ConfigError(f"{path} holds no settings", MEND)
    elsewhere, base = given.get("config"), given.get("config_name")
    if isinstance(elsewhere, str) and not any("." in key for key in given):
        raise ConfigError(f"{path} takes its settings from {elsewhere[:LONGEST]}", "give that file")
    unseen = ""
    if isinstance(base, str) and base.removesuffix(".yaml") not in VERL_OWN:
        unseen = NOT_SEEN.format(f"what {base[:LONGEST]} sets")
    return Settings({key: _typed(value) for key, value in given.items()}, tuple(names), unseen, script=True)


def _typed(value: Any) -> Any:
    """Return a word, or several, as what they say; what is too long for a setting stays."""
    if isinstance(value, list | str) and len(value) > LONGEST:
        return value
    if isinstance(value, list):
        return [_typed(part) for part in value]
    return number(_override(value)) if isinstance(value, str) else value


def _document(path: Path, text: str) -> Any:
    import yaml  # noqa: PLC0415 - keeps `--help` fast

    try:
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is neither YAML nor JSON: {_what(error)}", MEND) from error


def _what(error: Exception) -> str:
    """Return what is wrong and where, without the line itself, on which a secret may stand."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:
        return f"{problem}, line {mark.line + 1}"
    return " ".join(str(error).split())[:200]


def _flat(path: Path, document: Any) -> dict[str, Any]:
    """Return dotted keys; a list of `key=value` strings is one of Hydra's overrides, in which `~key` takes one out."""
    if isinstance(document, list):
        document = [item for item in document if not (isinstance(item, str) and item.startswith("~"))]
    if document and isinstance(document, list) and all(isinstance(item, str) and "=" in item for item in document):
        pairs = (item.lstrip("+").split("=", 1) for item in document)
        return {key: _override(value) for key, value in pairs}
    if not isinstance(document, dict) or not document:
        raise ConfigError(f"{path} holds no settings", MEND)
    try:
        leaves = list(islice(_leaves(document, ""), MOST_SETTINGS + 1))
    except RecursionError as error:
        raise ConfigError(f"{path} is nested without an end", MEND) from error
    if len(leaves) > MOST_SETTINGS:
        raise ConfigError(f"{path} holds more than {MOST_SETTINGS:,} settings", MEND)
    return dict(leaves)


def _override(value: str) -> Any:
    """Return the value of one of Hydra's overrides; what is no YAML is a word, as Hydra's own grammar has more."""
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(value)
    except (ValueError, RecursionError, yaml.YAMLError):
        return value


def number(value: Any) -> Any:
    """Return the number that a word is: PyYAML reads 1e-3 as a word, and all three frameworks read it as a number."""
    if not isinstance(value, str) or len(value) > LONGEST or not _NUMBER.fullmatch(value):
        return value
    return int(value) if value.lstrip("+-").isdecimal() else float(value)


def _leaves(table: Mapping[Any, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
