"""What a Python script gives a trainer of TRL: the arguments of the configuration that it builds, read and never run.

A name is followed to the one literal that it is given; what is worked out is left as an interpolation, which counts as
not known.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from entropydx.trl_keys import CLASSES

LONGEST = 60
"""Characters that are kept of an expression."""
UNSEEN = "what the command line gives beside it"
STARRED = "what ** adds to it"


class NotReadError(Exception):
    """Why a Python script tells no configuration, and what would."""

    def __init__(self, why: str, mend: str) -> None:
        super().__init__(why)
        self.mend = mend


@dataclass(frozen=True, slots=True)
class _Built:
    """One configuration that a script builds, or the defaults of a class of its own."""

    name: str
    """TRL's class."""
    given: list[tuple[str, ast.expr]]
    note: str


def python_settings(text: str) -> tuple[dict[str, Any], str, str]:
    """Return the settings of the configuration that a script builds, its class, and what of it is not in the script.

    Raises
    ------
    NotReadError
        The script is no Python, or builds no configuration of TRL, or several.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise NotReadError(f"is no Python{where}", "give the file that the training was started with") from error
    own = {node.name: name for node in _classes(tree) for name in map(_last, node.bases) if name in CLASSES}
    built = [*_calls(tree, own)] or [*_defaults(tree, own)]
    if not built:
        named = sorted(CLASSES.keys() & {_last(node) for node in ast.walk(tree) if isinstance(node, ast.expr)})
        why = f"takes the settings of its {named[0]} from elsewhere" if named else "builds no configuration of TRL"
        raise NotReadError(why, "give the shell script or the YAML that the training was started with")
    if len(built) > 1:
        why = f"builds several configurations, {', '.join(sorted(b.name for b in built))}"
        raise NotReadError(why, "give a file with the one that made the checkpoint")
    (one,) = built
    constants = _constants(tree)
    settings = {key: _value(node, constants) for key, node in one.given}
    if any(k.arg == "peft_config" and not _is_none(k.value) for k in ast.walk(tree) if isinstance(k, ast.keyword)):
        settings["use_peft"] = True  # as TRL's scripts say it
    return settings, one.name, one.note


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def _last(node: ast.expr) -> str:
    """Return the last part of a dotted name; empty: it is none."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _calls(tree: ast.Module, own: dict[str, str]) -> Iterator[_Built]:
    """Yield what builds a configuration of TRL, or of a class of the script's own that extends one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last(node.func) in CLASSES.keys() | own.keys():
            name = _last(node.func)
            given = [(key, value) for cls in _classes(tree) if cls.name == name for key, value in _fields(cls)]
            given += [(k.arg, k.value) for k in node.keywords if k.arg is not None]
            starred = any(k.arg is None for k in node.keywords)
            yield _Built(own.get(name, name), given, STARRED if starred else "")


def _defaults(tree: ast.Module, own: dict[str, str]) -> Iterator[_Built]:
    """Yield the defaults of the script's own classes, which the command line may overrule."""
    for cls in _classes(tree):
        if cls.name in own:
            yield _Built(own[cls.name], [*_fields(cls)], UNSEEN)


def _fields(cls: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """Yield each field of a dataclass that has a default."""
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            value = node.value
            if isinstance(value, ast.Call) and _last(value.func) == "field":
                value = next((k.value for k in value.keywords if k.arg == "default"), value)
            yield node.target.id, value


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the names that are given one value, once, and are nothing else."""
    found: dict[str, list[ast.expr]] = {}
    stored = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    for node in ast.walk(tree):
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.Assign) and isinstance(target, ast.Name):
            found.setdefault(target.id, []).append(node.value)
    often = Counter(name.id for name in stored)
    often.update(arg.arg for arg in ast.walk(tree) if isinstance(arg, ast.arg))
    return {name: values[0] for name, values in found.items() if often[name] == 1}


def _value(node: ast.expr, constants: dict[str, ast.expr]) -> Any:
    """Return what an expression says outright; else the expression, as an interpolation."""
    followed = constants.get(node.id, node) if isinstance(node, ast.Name) else node
    try:
        value = ast.literal_eval(followed)
    except (ValueError, TypeError, RecursionError):
        return f"${{{_expression(node)}}}"
    return list(value) if isinstance(value, tuple) else value


def _expression(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:LONGEST]
    except RecursionError:
        return "..."


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
