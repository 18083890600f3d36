"""What a user may ask of a watch, by flag or in the `[watch]` table of the policy file."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from entropydx.config import validated
from entropydx.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """How often to look, what to diagnose, and when and how to raise the alarm."""

    poll: float = 10.0
    """Seconds between two looks at the directory; a checkpoint counts when it has not changed for one of them."""
    every: int = 1
    """Diagnose a checkpoint only this many training steps after the last one that was judged."""
    all: bool = False
    """Diagnose every checkpoint, in order of step, however far behind; otherwise always the newest."""
    confirm: int = 1
    """Times in a row that a check has to fail before the alarm goes off."""
    cooldown: float = 300.0
    """Seconds between two alarms. 5 minutes is what Prometheus' Alertmanager waits between two notifications of a
    group (`group_interval`)."""
    command: str | None = None
    """Run on an alarm, without a shell, with the line on its standard input."""
    webhook: str | None = None
    """Address that the line is posted to on an alarm."""
    action_timeout: float = 60.0
    """Seconds that the command, and each try of the webhook, may take."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("poll", self.poll, 0.1),
            ("every", self.every, 1),
            ("confirm", self.confirm, 1),
            ("cooldown", self.cooldown, 0),
            ("action-timeout", self.action_timeout, 0.1),
        ):
            if not value >= least:
                raise ConfigError(f"{name} is {value}", f"it must be at least {least:g}")
        if self.command is not None:
            _check_command(self.command)
        if self.webhook is not None and not _is_web(self.webhook):
            raise ConfigError("the webhook is no http:// or https:// address", "give the whole URL")


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _check_command(command: str) -> None:
    """Refuse a command that cannot be run now and not at the first alarm."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the command {command} cannot be read: {error}", "quote it as for a shell") from error
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(f"there is no command '{words[0] if words else ''}'", "give a program that can be run")


def watch_rules(table: Mapping[str, Any], flags: Mapping[str, Any], where: str) -> WatchRules:
    """Return the rules of the `[watch]` table, with the flags that were given (not None) over them.

    Raises
    ------
    ConfigError
        An unknown key, a value of the wrong type or out of range; `where` names the file.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} [watch] is {table!r}", "it must be a table")
    given = {key: value for key, value in flags.items() if value is not None}
    return replace(validated(WatchRules, table, f"{where} [watch]"), **given)
