"""What a shell script gives a trainer: its flags and Hydra's overrides, read as text; nothing is run.

A variable is followed to the value that the script gives it, or to its default in `${NAME:-default}`. What hangs on
anything else, or is given twice and differently, is left as an interpolation, which counts as not known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SUFFIXES = (".sh", ".bash", ".zsh", ".slurm", ".sbatch", ".txt")
HOPS = 20
"""Of one variable to the next."""
LONGEST = 10_000
"""Characters of a value that variables are still put into."""
DEEPEST = 5
"""Quoted commands inside one another."""
SAYING = ("echo", "printf", "cat")
"""Commands whose words are said, and given to nothing."""
_QUOTED = r""""(?:\\.|[^"\\])*"|'[^']*'"""
_COMMENT = re.compile(rf"({_QUOTED}|\\.)|(?<!\S)#[^\n]*", re.DOTALL)
_ARRAY = re.compile(r"^(\s*)(?:(?:export|declare|local|readonly)\s+(?:-\w+\s+)?)?[A-Za-z_]\w*\+?=\(", re.MULTILINE)
_WORKED_OUT = re.compile(r"\$\(\((?:[^()]|\([^()]*\))*\)\)|\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`")
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_FLAG = re.compile(r"--([A-Za-z][\w.\-]*)(?:=(.*))?", re.DOTALL)
_OVERRIDE = re.compile(r"\+{0,2}([A-Za-z_][\w@/\-]*\.[\w.@/\-]*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-=]([^{}]*))?\}|\$(\w+)")
_ALONE = re.compile(r"\$\{?\w+\}?")
_REST = re.compile(r"\$\{?[@*].*")
_COMMAND = re.compile(r"(?:^|\s)(?:--[A-Za-z]|\+{0,2}[A-Za-z_]\w*\.[\w.]+=)")
_STOP = re.compile(r"[|&;()\\]+|[12&]?[<>].*|--")
_ENTRIES = (
    re.compile(r"openrlhf\.cli\.(train_\w+)"),
    re.compile(r"verl\.trainer\.(?:fsdp_)?(main_ppo|sft_trainer)"),
    re.compile(r"\btrl\s+(sft|grpo|rloo|distillation|dpo|kto|reward)\s"),
    re.compile(r"(?:^|[\s/])(sft|grpo|rloo|distillation|gkd|gold|dpo|kto|reward)\.py\b"),
)
"""How a script starts a trainer: OpenRLHF's and verl's modules, TRL's command, or a script named as TRL's own are."""


def shell_settings(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that a shell script gives, as words, and the names of the trainers that it starts."""
    plain = _COMMENT.sub(lambda m: m[1] or "", text)
    plain = re.sub(_QUOTED, lambda m: m[0].replace("\\\n", " ").replace("\n", " "), plain, flags=re.DOTALL)
    plain = _WORKED_OUT.sub("$(...)", plain.replace("\\\n", " "))
    plain = _ARRAY.sub(r"\1", plain)
    lines = [words for line in plain.splitlines() if (words := _words(line)) and words[0] not in SAYING]
    variables = _variables(lines)
    given: dict[str, list[Any]] = {}
    for words in lines:
        for key, value in dict(_settings(words, variables, DEEPEST)).items():
            given.setdefault(key, []).append(value)
    names = sorted({name for pattern in _ENTRIES for name in pattern.findall(plain)})
    return {key: _agreed(values) for key, values in given.items()}, names


def _words(line: str) -> list[str]:
    """Return the words of a line, without its quotes; none, where these do not close, as in prose."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _variables(lines: Iterable[list[str]]) -> dict[str, str]:
    """Return the variables that are given one value, however often."""
    found: dict[str, set[str]] = {}
    for words in lines:
        for word in words:
            given = _ASSIGNED.fullmatch(word.rstrip(";"))
            if given is not None:
                own = re.fullmatch(rf"\$\{{{given[1]}:?[-=](.*)\}}", given[2], re.DOTALL)  # X=${X:-default}
                found.setdefault(given[1], set()).add(own[1] if own else given[2])
    return {name: values.pop() if len(values) == 1 else "${...}" for name, values in found.items()}


def _settings(words: Iterable[str], variables: Mapping[str, str], depth: int) -> Iterator[tuple[str, Any]]:
    """Yield each setting of a command, and those of a command that is quoted inside it."""
    flag: str | None = None
    values: list[str] = []
    for word in _expanded(words, variables):
        flagged, override = _FLAG.fullmatch(word), _OVERRIDE.fullmatch(word)
        ends = flagged or override or _STOP.fullmatch(word)
        if flag is not None and ends:
            yield flag, _value(values)
            flag = None
        if flagged is not None and flagged[2] is None:
            flag, values = _name(flagged[1]), []
        elif flagged is not None:
            yield _name(flagged[1]), _read(flagged[2])
        elif override is not None:
            yield override[1], _read(override[2])
        elif depth and " " in word and _COMMAND.search(word):
            yield from _settings(_words(word), {}, depth - 1)
        elif flag is not None and not ends and not _REST.fullmatch(word):
            values.append(word.removesuffix(";"))
    if flag is not None:
        yield flag, _value(values)


def _expanded(words: Iterable[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Yield each word with its variables followed; one that is a variable alone may stand for several words."""
    for word in words:
        followed = _followed(word, variables)
        if _ALONE.fullmatch(word) and followed != word and " " in followed.strip():
            yield from _words(followed)
        else:
            yield followed


def _followed(word: str, variables: Mapping[str, str]) -> str:
    """Return a word with the script's own variables in it, or their defaults; others stay."""

    def of(found: re.Match[str]) -> str:
        return variables.get(found[1] or found[3], found[0] if found[2] is None else found[2])

    for _ in range(HOPS):
        followed = _VARIABLE.sub(of, word)
        if followed == word or len(followed) > LONGEST:
            break
        word = followed
    return word


def _name(flag: str) -> str:
    """Return the key of a flag; TRL's parser takes a hyphen for an underscore."""
    return flag if "." in flag else flag.replace("-", "_")


def _value(values: list[str]) -> Any:
    """Return what a flag is given: a switch, a value, or several."""
    read = [_read(value) for value in values]
    return True if not read else read[0] if len(read) == 1 else read


def _read(value: str) -> Any:
    """Return a value as a word; one that the shell works out is an interpolation."""
    if "$" not in value:
        return value
    bare = re.fullmatch(r"\$(\w+)", value)
    return f"${{{bare[1]}}}" if bare else value if "${" in value else "${...}"


def _agreed(values: list[Any]) -> Any:
    """Return the value that a key is given, or, where it is given several, that it is not known which."""
    kinds = {repr(value) for value in values}
    return values[0] if len(kinds) == 1 else "${...}"
