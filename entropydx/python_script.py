"""What a Python script gives a trainer of TRL: the arguments of the configuration that it builds, read and never run.

A name is followed to the one literal that it is given where it is read; what is worked out, or set again after the
configuration is built, is left as an interpolation, which counts as not known.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from entropydx.trl_keys import CLASSES

LONGEST = 60
"""Characters that are kept of an expression."""
UNSEEN = "what the command line gives beside it"
STARRED = "what ** adds to it"
UNNAMED = "what its arguments without a name set"
LATER = "what setattr sets afterwards"
NAMED = 5
"""Configurations that an error names."""
_ELSEWHERE = "give the shell script or the YAML that the training was started with"


class NotReadError(Exception):
    """Why a Python script tells no configuration, and what would."""

    def __init__(self, why: str, mend: str) -> None:
        super().__init__(why)
        self.mend = mend


class _Script:
    """What a script binds, calls and defines: its tree is walked once."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes: list[ast.AST] = []
        self.bound: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.classes: dict[str, list[ast.ClassDef]] = {}
        self.imported: dict[str, str] = {}
        self.within: dict[int, tuple[ast.AST, ...]] = {}
        """A node of a name or a call to the functions and classes around it."""
        self.assigned: dict[str, list[tuple[ast.expr, tuple[ast.AST, ...]]]] = {}
        left: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(tree, ())]
        while left:
            node, around = left.pop()
            self.nodes.append(node)
            self.bound.update(_bound(node))
            if isinstance(node, ast.Name | ast.Call):
                self.within[id(node)] = around
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.read[node.id] += 1
            if isinstance(node, ast.ImportFrom):
                self.imported.update({n.asname: n.name for n in node.names if n.asname})
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.assigned.setdefault(node.targets[0].id, []).append((node.value, around))
            if isinstance(node, ast.ClassDef):
                self.classes.setdefault(node.name, []).append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                around = (*around, node)
            left.extend((child, around) for child in reversed([*ast.iter_child_nodes(node)]))
        self.own = self._own()

    def named(self, node: ast.expr) -> str:
        """Return the last part of a dotted name, as where it is imported from calls it."""
        return self.imported.get(_last(node), _last(node))

    def family(self, node: ast.expr) -> str:
        """Return TRL's class that an expression names, or a class of the script's own extends; empty: none."""
        name = self.named(node)
        return name if name in CLASSES else self.own.get(name, "")

    def _own(self) -> dict[str, str]:
        """Return the classes of the script's own that extend one of TRL's, to that one."""
        extended: dict[str, list[str]] = {}
        for cls in (one for several in self.classes.values() for one in several):
            for base in map(_last, cls.bases):
                extended.setdefault(self.imported.get(base, base), []).append(cls.name)
        own = {name: base for base in CLASSES for name in extended.get(base, ())}
        left = [*own]
        for base in left:
            new = [name for name in extended.get(base, ()) if name not in own]
            own.update(dict.fromkeys(new, own[base]))
            left += new
        return own

    def fields(self, name: str) -> Iterator[tuple[str, ast.expr]]:
        """Yield each field that a class of the script's own gives a default, those of what it extends first."""
        line, seen = [name], {name}
        for one in line:
            bases = {_last(base) for cls in self.classes.get(one, ()) for base in cls.bases} & self.own.keys()
            line += sorted(bases - seen)
            seen |= bases
        for cls in (cls for one in reversed(line) for cls in self.classes.get(one, ())):
            yield from _fields(cls)

    def followed(self, node: ast.expr) -> ast.expr:
        """Return what the name that an expression is stands for, where it is given one value, once, and seen here."""
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load) or self.bound[node.id] != 1:
            return node
        given = self.assigned.get(node.id, [])
        if len(given) != 1:
            return node
        value, around = given[0]
        here = self.within.get(id(node), ())
        in_class = bool(around) and isinstance(around[-1], ast.ClassDef)
        seen = around == here or (around == here[: len(around)] and not in_class)
        grows = isinstance(value, ast.List | ast.Dict | ast.Set) and self.read[node.id] > 1
        return value if seen and not grows else node

    def value(self, node: ast.expr) -> Any:
        """Return what an expression says outright; else the expression, as an interpolation."""
        try:
            value = ast.literal_eval(self.followed(node))
        except (ValueError, TypeError, RecursionError, MemoryError):
            return _unknown(node)
        return list(value) if isinstance(value, tuple) else value


def python_settings(text: str) -> tuple[dict[str, Any], str, str]:
    """Return the settings of the configuration that a script builds, its class, and what of it is not in the script.

    Raises
    ------
    NotReadError
        The script is no Python, or builds no configuration of TRL, or several.
    """
    script = _Script(_parsed(text))
    calls = [node for node in script.nodes if isinstance(node, ast.Call) and script.family(node.func)]
    built = [script.family(node.func) for node in calls] or [script.own[name] for name in script.own]
    if not built:
        named = sorted({script.family(node) for node in script.nodes if isinstance(node, ast.expr)} - {""})
        why = f"takes the settings of its {named[0]} from elsewhere" if named else "builds no configuration of TRL"
        raise NotReadError(why, _ELSEWHERE)
    if not calls and len(built) > 1:
        built = [script.own[name] for name in _outermost(script)]
    if len(built) > 1:
        more = ["..."] if len(built) > NAMED else []
        why = f"builds several configurations, {', '.join([*sorted(built)[:NAMED], *more])}"
        raise NotReadError(why, "give a file with the one that made the checkpoint")
    name = _last(calls[0].func) if calls else next(iter(_outermost(script)))
    given = [*script.fields(name)]
    notes = [] if calls else [UNSEEN]
    for call in calls:
        given += [(k.arg, k.value) for k in call.keywords if k.arg is not None]
        if any(k.arg is None for k in call.keywords):
            notes.append(STARRED)
        if len(call.args) > 1 or any(isinstance(arg, ast.Starred) for arg in call.args):
            notes.append(UNNAMED)  # the first one is where it writes to
    settings = {key: script.value(node) for key, node in given}
    settings |= _adapter(script) | _again(script, notes)
    return settings, built[0], " and ".join(dict.fromkeys(notes))


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the script's own
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise NotReadError(f"is no Python{where}", "give the file that the training was started with") from error


def _outermost(script: _Script) -> list[str]:
    """Return the classes of the script's own that no other one extends."""
    bases = {_last(b) for name in script.own for cls in script.classes[name] for b in cls.bases if _last(b) != name}
    return [name for name in script.own if name not in bases] or [*script.own]


def _bound(node: ast.AST) -> Iterable[str]:
    """Return the names that a node gives something."""
    if isinstance(node, ast.Name):
        return () if isinstance(node.ctx, ast.Load) else (node.id,)
    if isinstance(node, ast.alias):
        return ((node.asname or node.name).split(".")[0],)
    if isinstance(node, ast.arg):
        return (node.arg,)
    if isinstance(node, ast.MatchMapping):
        return (node.rest,) if node.rest else ()
    named = ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return (node.name,) if isinstance(node, named) and node.name else ()


def _last(node: ast.expr) -> str:
    """Return the last part of a dotted name; empty: it is none."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _fields(cls: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """Yield each field of a dataclass that has a default; one without a type is itself, as what it does is not said."""
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            value = node.value
            if isinstance(value, ast.Call) and _last(value.func) == "field":
                value = next((k.value for k in value.keywords if k.arg == "default"), value)
            yield node.target.id, value
        elif isinstance(node, ast.Assign):
            yield from ((target.id, target) for target in node.targets if isinstance(target, ast.Name))


def _adapter(script: _Script) -> dict[str, Any]:
    """Return whether an adapter is trained, as TRL's scripts say it, of the trainer's `peft_config`."""
    given = [n.value for n in script.nodes if isinstance(n, ast.keyword) and n.arg == "peft_config"]
    said: list[Any] = []
    for node in given:
        value = script.followed(node)
        if isinstance(value, ast.Constant) and value.value is None:
            said.append(None)
        elif isinstance(value, ast.Dict) or (isinstance(value, ast.Call) and _last(value.func).endswith("Config")):
            said.append(True)
        else:
            said.append(_unknown(node))
    if not said or said == [None] * len(said):
        return {}
    return {"use_peft": said[0] if said == said[:1] * len(said) else "${peft_config}"}


def _again(script: _Script, notes: list[str]) -> dict[str, Any]:
    """Return what is set after a configuration is built, as not known; what cannot be named is added to the notes."""
    again: dict[str, Any] = {}
    own = {id(n) for name in script.own for cls in script.classes[name] for n in ast.walk(cls)}
    for node in script.nodes:
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            whose = _last(node.value)
            if whose != "generation_config" and (whose != "self" or id(node) in own):
                again[node.attr] = _unknown(node)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and _is_table(node.value):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                again[node.slice.value] = _unknown(node)
            else:
                notes.append(LATER)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_table(node.func.value):
            again |= {k.arg: _unknown(k.value) for k in node.keywords if k.arg is not None}
            if node.func.attr == "update" and (node.args or any(k.arg is None for k in node.keywords)):
                notes.append(LATER)
        elif isinstance(node, ast.Call) and script.named(node.func) in ("replace", "_replace"):
            again |= {k.arg: _unknown(k.value) for k in node.keywords if k.arg is not None}
            notes += [STARRED for k in node.keywords if k.arg is None]
        elif isinstance(node, ast.Call) and _last(node.func) in ("setattr", "__setattr__") and len(node.args) > 1:
            key = node.args[-2]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                again[key.value] = _unknown(node)
            else:
                notes.append(LATER)
    return again


def _is_table(node: ast.expr) -> bool:
    """Return whether an expression is the attributes of something, as `vars(args)` and `args.__dict__` are."""
    return _last(node.func) == "vars" if isinstance(node, ast.Call) else _last(node) == "__dict__"


def _unknown(node: ast.expr) -> str:
    """Return an expression as an interpolation."""
    try:
        return f"${{{ast.unparse(node)[:LONGEST]}}}"
    except RecursionError:
        return "${...}"
