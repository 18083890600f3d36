"""The directory is the registry: a plugin exists because its file exists.

`names` lists without importing; `load` imports one file and takes the attribute named after the kind. Third parties
register through the entry-point group `entropydx.<kind>s` (`entropydx.probes`, ...), under a name that no built-in has.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from entropydx.errors import ConfigError, PluginNotFoundError

PACKAGES = {
    "engine": "entropydx.engines",
    "suite": "entropydx.suites",
    "probe": "entropydx.probes",
    "rule": "entropydx.rules",
    "remedy": "entropydx.remedies",
    "reporter": "entropydx.reporters",
    "checker": "entropydx.checkers",
    "importer": "entropydx.importers",
}
"""Kind to the package whose modules are its plugins; also the entry-point group."""


def _check_kind(kind: str) -> str:
    if kind not in PACKAGES:
        raise PluginNotFoundError("kind of plugin", kind, PACKAGES)
    return PACKAGES[kind]


def builtin_names(kind: str) -> list[str]:
    """Return the sorted names of the plugins that ship with entropydx, without importing them."""
    package = importlib.import_module(_check_kind(kind))
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def names(kind: str) -> list[str]:
    """Return the sorted names of every plugin of a kind, without importing one.

    Raises
    ------
    PluginNotFoundError
        The kind is unknown.
    """
    third_party = (e.name for e in entry_points(group=_check_kind(kind)))
    return sorted({*builtin_names(kind), *third_party})


def load(kind: str, name: str) -> Any:
    """Import one plugin and return the attribute named after its kind.

    Raises
    ------
    PluginNotFoundError
        No plugin of that name; the hint names the nearest one.
    ConfigError
        The plugin's file has no attribute named after the kind.
    """
    module = _module(kind, name)
    if not hasattr(module, kind):
        raise ConfigError(f"plugin {module.__name__} defines no `{kind}`", f"end the file with `{kind} = ...`")
    return getattr(module, kind)


def documentation(kind: str, name: str) -> str:
    """Return the docstring of a plugin's file: its reference page.

    Raises
    ------
    ConfigError
        The file has none.
    """
    module = _module(kind, name)
    if not module.__doc__:
        raise ConfigError(f"plugin {module.__name__} has no docstring", "its docstring is its reference page")
    return module.__doc__.strip()


def _module(kind: str, name: str) -> ModuleType:
    if name in builtin_names(kind):
        return importlib.import_module(f"{PACKAGES[kind]}.{name}")
    found = [e for e in entry_points(group=PACKAGES[kind]) if e.name == name]
    if not found:
        raise PluginNotFoundError(kind, name, names(kind))
    return importlib.import_module(found[0].module)


def load_all(kind: str) -> dict[str, Any]:
    """Import every plugin of a kind, by name."""
    return {name: load(kind, name) for name in names(kind)}
