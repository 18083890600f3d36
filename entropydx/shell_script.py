"""What a shell script gives a trainer: its flags and Hydra's overrides, read as text; nothing is run.

A variable is followed to the value that the script gives it, or to its default in `${NAME:-default}`. What hangs on
anything else, or is given twice and differently, is left as an interpolation, which counts as not known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

SUFFIXES = (".sh", ".bash", ".zsh", ".slurm", ".sbatch", ".txt")
HOPS = 20
"""Of one variable to the next."""
LONGEST = 10_000
"""Characters of a value that variables are still put into."""
MOST = 200_000
"""Characters that variables stand for, in a whole script; those of after it stay."""
DEEPEST = 5
"""Quoted commands inside one another."""
SAYING = ("echo", "printf", "cat")
"""Commands whose words are said, and given to nothing."""
BEFORE = ("if", "then", "elif", "else", "while", "until", "do", "time", "!", "{")
"""Words that stand before a command."""
TAKING = ("read", "getopts", "mapfile", "readarray", "unset", "let", "printf")
"""Commands that change the variables that they name."""
SEVERAL = ("eps_clip_low_high", "dynamic_filtering_range", "reward_weights")
"""Flags of several values, of which one that is not known is a part."""
_QUOTED = r""""(?:\\.|[^"\\])*"|'[^']*'"""
_COMMENT = re.compile(rf"({_QUOTED}|\\.)|(?<!\S)#[^\n]*", re.DOTALL)
_PARTS = re.compile(
    rf"({_QUOTED}|\\.)|(\$\{{[^{{}}]*\}})|(?<!\w)([A-Za-z_]\w*)(?:\[[^\[\]\s]*\])?\+?=\("
    r"|(&&|(?<![<>])&(?![>&])|;+|(?<!>)\||[\n()])",
    re.DOTALL,
)
"""What keeps its words together, an array's begin, and what ends a command."""
_WORKED_OUT = re.compile(r"\$\(\((?:[^()]|\([^()]*\))*\)\)|\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`")
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)(\[[^\[\]]*\])?(\+?)=(.*)", re.DOTALL)
_SUMS = re.compile(r"\(\(([^()]*)")
_COUNTED = re.compile(r"(?<!\w)([A-Za-z_]\w*)\s*(?:\+\+|--|(?:[-+*/%&|^]|<<|>>)?=(?!=))|(?:\+\+|--)\s*([A-Za-z_]\w*)")
_FLAG = re.compile(r"--([A-Za-z][\w.\-]*)(?:=(.*))?", re.DOTALL)
_OVERRIDE = re.compile(r"\+{0,2}([A-Za-z_][\w@/\-]*\.[\w.@/\-]*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-=]([^{}]*))?\}|\$(\w+)")
_UNKNOWN = re.compile(r"(?:\$\{(?:[^{}]|\{[^{}]*\})*\}|\$\w+|\$[@*])+")
_REST = re.compile(r"\$\{?[@*].*")
_COMMAND = re.compile(r"(?:^|\s)(?:--[A-Za-z]|\+{0,2}[A-Za-z_]\w*\.[\w.]+=)")
_STOP = re.compile(r"[\\}]|[12&]?[<>].*|--")
_ENTRIES = (
    re.compile(r"openrlhf\.cli\.(train_\w+)"),
    re.compile(r"verl\.trainer\.(?:fsdp_)?(main_ppo|sft_trainer)"),
    re.compile(r"""(?:^|[\s"'=]|bin/)trl\s+(sft|grpo|rloo|distillation|dpo|kto|reward)(?!\S)"""),
    re.compile(r"(?:^|[\s/])(sft|grpo|rloo|distillation|gkd|gold|dpo|kto|reward)\.py(?![\w.])"),
)
"""How a script starts a trainer: OpenRLHF's and verl's modules, TRL's command, or a script named as TRL's own are."""


def shell_settings(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that a shell script gives, as words, and the names of the trainers that it starts."""
    plain = _COMMENT.sub(lambda m: m[1] or "", text)
    plain = re.sub(rf"{_QUOTED}|\\.", lambda m: m[0].replace("\\\n", " ").replace("\n", " "), plain, flags=re.DOTALL)
    plain = plain.replace("\\\n", " ")
    counted = {name for sums in _SUMS.findall(plain) for found in _COUNTED.findall(sums) for name in found if name}
    left = _commands(_WORKED_OUT.sub("${...}", plain))
    names = {name for words in left for pattern in _ENTRIES for name in pattern.findall(" ".join(words))}
    variables, nothing = _Variables(left, counted), _Variables((), ())
    given: dict[str, list[Any]] = {}
    for depth in range(DEEPEST + 1):
        quoted: list[str] = []
        for words in left:
            for key, value in dict(_settings(words, nothing if depth else variables, quoted)).items():
                given.setdefault(key, []).append(value)
        left = [words for word in quoted for words in _commands(word)]
    return {key: _agreed(values) for key, values in given.items()}, sorted(names)


def _commands(text: str) -> list[list[str]]:
    """Return the words of each command, an array's as one, without those that only say something."""
    within = 0

    def part(found: re.Match[str]) -> str:
        nonlocal within
        kept, braced, array, end = found.groups()
        if kept:
            return str(kept)
        if braced:
            return "${...}" if re.match(r"\$\{\w+:?\+", braced) else _together(braced)
        if array:
            within = 1
            return f"{array}=${{...}}\n"
        if within and end in "\n()":
            within += {"(": 1, ")": -1}.get(end, 0)
            return " " if within else "\n"
        within = 0
        return "\n"

    commands = []
    for line in _PARTS.sub(part, text).splitlines():
        words = _words(line)
        first = next((i for i, word in enumerate(words) if word not in BEFORE), len(words))
        if words[first:] and (words[first] not in SAYING or words[first : first + 2] == ["printf", "-v"]):
            commands.append(words[first:])
    return commands


def _together(braced: str) -> str:
    """Return `${NAME:-some words}` as one word."""
    return f'"{braced}"' if any(c.isspace() for c in braced) and not set("\"'\\") & set(braced) else braced


def _words(line: str) -> list[str]:
    """Return the words of a line, without its quotes; none, where these do not close, as in prose."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


class _Variables:
    """The variables of a script, and how much may still be put in their places."""

    def __init__(self, commands: Iterable[list[str]], counted: Iterable[str]) -> None:
        found: dict[str, set[str]] = {}
        unknown = set(counted)
        for words in commands:
            unknown |= _taken(words)
            for given in filter(None, map(_ASSIGNED.fullmatch, words)):
                own = re.fullmatch(rf"\$\{{{given[1]}:?[-=](.*)\}}", given[4], re.DOTALL)  # X=${X:-default}
                found.setdefault(given[1], set()).add(own[1] if own else given[4])
                if given[2] or given[3]:
                    unknown.add(given[1])
        self._values = {name: values.pop() if len(values) == 1 else "${...}" for name, values in found.items()}
        self._values |= {name: f"${{{name}}}" for name in unknown}
        self._left = MOST

    def _of(self, found: re.Match[str]) -> str:
        value = self._values.get(found[1] or found[3])
        if value is None:
            return found[0] if found[2] is None else found[2]
        self._left -= len(value)
        return "${...}" if self._left < 0 else value

    def followed(self, word: str) -> str:
        """Return a word with the script's own variables in it, or their defaults; others stay."""
        for _ in range(HOPS):
            followed = _VARIABLE.sub(self._of, word)
            if followed == word or len(followed) > LONGEST:
                break
            word = followed
        return word

    def expanded(self, words: Iterable[str]) -> Iterator[str]:
        """Yield each word with its variables followed; one that is a variable alone may stand for several words."""
        for word in words:
            followed = self.followed(word)
            if _VARIABLE.fullmatch(word) and followed != word and " " in followed.strip():
                yield from _words(followed)
            else:
                yield followed


def _taken(words: list[str]) -> set[str]:
    """Return the variables that a command changes to what is not read here."""
    taken = {name for word, name in pairwise(words) if word in ("for", "select")}
    at = next((i for i, word in enumerate(words) if word in TAKING), len(words))
    named = (re.match(r"[A-Za-z_]\w*", word.lstrip("+-")) for word in words[at + 1 :])
    return taken | {found[0] for found in named if found}


def _settings(words: Iterable[str], variables: _Variables, quoted: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield each setting of a command; what is quoted in it and looks like a command itself is added to `quoted`."""
    flag: str | None = None
    values: list[str] = []
    for word in variables.expanded(words):
        flagged, override = _FLAG.fullmatch(word), _OVERRIDE.fullmatch(word)
        ends = flagged or override or _STOP.fullmatch(word)
        if flag is not None and ends:
            yield flag, _value(flag, values)
            flag = None
        if flagged is not None and flagged[2] is None:
            flag, values = _name(flagged[1]), []
        elif flagged is not None:
            yield _name(flagged[1]), _read(flagged[2])
        elif override is not None:
            yield override[1], _read(override[2])
        elif " " in word and _COMMAND.search(word):
            quoted.append(word)
        elif flag is not None and not _REST.fullmatch(word):
            values.append(word)
    if flag is not None:
        yield flag, _value(flag, values)


def _name(flag: str) -> str:
    """Return the key of a flag; TRL's parser takes a hyphen for an underscore."""
    return flag if "." in flag else flag.replace("-", "_")


def _value(flag: str, values: list[str]) -> Any:
    """Return what a flag is given: a switch, a value, or several.

    An unknown variable after a complete value, as in `--beta 0.1 $MORE`, stands for further flags.
    """
    several = flag.endswith(SEVERAL)
    while len(values) > 1 and (not values[-1] or (_UNKNOWN.fullmatch(values[-1]) and not several)):
        values.pop()
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
