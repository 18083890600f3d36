"""What a gate asks of a report: table `[gate]` of `entropydx.toml`, or `[tool.entropydx.gate]` of `pyproject.toml`.

    [gate]
    fail = ["training_collapse", "hard_sample_shortcutting", "abnormal"]
    warn = ["inference_variance"]
    min_confidence = "medium"

    [gate.bounds."sampling_spread.pass_at_1"]
    min = 0.5

    [gate.regression."sampling_spread.pass_at_1"]
    max_drop = 0.03

docs/reference/gate.md lists every key. The file's settings (suite, budget, baseline...) stand beside the table.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from entropydx import plugins
from entropydx.config import PYPROJECT_TABLE, project_table, validated
from entropydx.errors import ConfigError
from entropydx.types import FAILURES, Confidence, Field, Label

DEFAULT = "default"
"""What a gate without a policy file calls its policy."""
Outcome = Literal["pass", "warn", "inconclusive", "fail"]
CAN_FAIL = (*FAILURES, Label.ABNORMAL)
ORDER: tuple[Confidence, ...] = ("low", "medium", "high")
"""Confidences, the weakest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Between what a measurement must lie, by its whole interval."""

    measurement: str
    min: float | None = None
    max: float | None = None
    on: Field = "value"
    """`delta` is the paired change against the run's own baseline."""
    undecided: Outcome = "inconclusive"
    """What an interval across the bound means. A measurement without a number or an interval is at best a warning."""

    @property
    def limits(self) -> dict[str, float | None]:
        """What was given, by its key."""
        return {"min": self.min, "max": self.max}


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """By how much a measurement may be worse than in the report that the gate compares with."""

    measurement: str
    max_drop: float | None = None
    max_rise: float | None = None
    undecided: Outcome = "inconclusive"
    """As for a bound."""

    @property
    def on(self) -> Field:
        """What is compared: a change."""
        return "delta"

    @property
    def limits(self) -> dict[str, float | None]:
        """What was given, by its key."""
        return {"max_drop": self.max_drop, "max_rise": self.max_rise}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole policy. The default one gives the exit code of `entropydx diagnose`."""

    fail: tuple[Label, ...] = CAN_FAIL
    """What fails when it is present, as the primary label or beside it: the four failures, and `abnormal`."""
    warn: tuple[Label, ...] = ()
    """What warns when it is present."""
    require: tuple[Label, ...] = ()
    """Failures that must be tested and absent: open or untested, they make the gate inconclusive."""
    min_confidence: Confidence = "low"
    """A failure below it warns, and is inconclusive where it is required to be absent."""
    inconclusive: Outcome = "inconclusive"
    """What it means when a diagnosis cannot decide."""
    untested: Outcome = "pass"
    """What a failure means that could not be tested, as long as another one could."""
    against: str | None = None
    """The report or run directory that the regressions are measured against."""
    bounds: tuple[Bound, ...] = ()
    regression: tuple[Regression, ...] = ()
    source: str = DEFAULT
    """The file."""

    @property
    def sha(self) -> str:
        """sha256 over everything that is asked, wherever it is written."""
        asked = {key: value for key, value in asdict(self).items() if key not in {"source", "against"}}
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def asked(self) -> tuple[Label, ...]:
        """The failures that the policy says something about."""
        return tuple(f for f in FAILURES if f in {*self.fail, *self.warn, *self.require})

    @property
    def measurements(self) -> tuple[str, ...]:
        """The measurements that bounds and regressions name, each once."""
        return tuple(dict.fromkeys([*(b.measurement for b in self.bounds), *(r.measurement for r in self.regression)]))


P = TypeVar("P", Bound, Regression)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def load_policy(path: Path | None = None) -> Policy:
    """Return the policy of a file; without one that of the project's file, or the default when that has none.

    Raises
    ------
    ConfigError
        The file is unreadable or not TOML, it was named and has no table `[gate]`, or a key or a value of it cannot
        work; the message names the file and the key.
    """
    whole, where = project_table(path)
    if "gate" not in whole:
        if path is not None:
            raise ConfigError(f"{where} has no table [gate]", "an empty one is the default policy")
        return Policy()
    source = where.removesuffix(PYPROJECT_TABLE)
    return read_policy(whole["gate"], source, "gate" if source == where else "tool.entropydx.gate")


def read_policy(table: object, source: str, name: str = "gate") -> Policy:
    """Return the policy that a table states.

    Parameters
    ----------
    source : str
        The file.
    name : str
        Of the table, for errors.

    Raises
    ------
    ConfigError
        A key or a value that cannot work.
    """
    where = f"{source} [{name}]"
    given = {key.replace("-", "_"): value for key, value in _as_table(table, where).items()}
    if "source" in given:
        raise ConfigError(f"{where}: unknown key 'source'", "the file itself is the source")
    _check_words(given, where)
    bounds, regression = (_as_table(given.get(key, {}), f"{where}: '{key}'") for key in ("bounds", "regression"))
    parts = {
        "bounds": tuple(_parts(Bound, bounds, f"{source} [{name}.bounds")),
        "regression": tuple(_parts(Regression, regression, f"{source} [{name}.regression")),
    }
    policy = validated(Policy, {**given, **parts, "source": source}, where)
    if policy.against is not None and not policy.regression:
        raise ConfigError(f"{where}: 'against' compares nothing", f"add [{name}.regression]")
    if "fail" not in given:
        policy = replace(policy, fail=tuple(label for label in CAN_FAIL if label not in policy.warn))
    for key, labels in (("fail", policy.fail), ("require", policy.require)):
        if both := set(policy.warn) & set(labels):
            raise ConfigError(f"{where}: '{min(both)}' is in `{key}` and in `warn`", "leave it in one of them")
    return policy


def _as_table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {value!r}", "it must be a table, and a name with dots in it stands in quotes")
    return value


def _check_words(table: Mapping[str, Any], where: str) -> None:
    """Refuse words that a key does not know, with the nearest that it does; pydantic would list them all."""
    labels = {"fail": CAN_FAIL, "warn": CAN_FAIL, "require": FAILURES}
    for key, known in labels.items():
        words = table.get(key, [])
        if not isinstance(words, list):
            raise ConfigError(f"{where}: '{key}' is {words!r}", "it must be a list of labels")
        for word in words:
            if word == Label.INCONCLUSIVE:
                raise ConfigError(f"{where}: '{key}' has 'inconclusive'", "the key `inconclusive` says what it means")
            _check_word(f"{where}: '{key}' has", word, list(map(str, known)))
    choices = {"inconclusive": get_args(Outcome), "untested": get_args(Outcome), "min_confidence": ORDER}
    for key in choices.keys() & table.keys():
        _check_word(f"{where}: '{key}' is", table[key], list(choices[key]))


def _check_word(what: str, word: object, known: list[str]) -> None:
    if word not in known:
        near = difflib.get_close_matches(str(word), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(known)}"
        raise ConfigError(f"{what} {word!r}", hint)


def _parts(kind: type[P], tables: Mapping[str, Any], where: str) -> Iterator[P]:
    """Yield what the tables of `[gate.bounds]` or `[gate.regression]` ask; a list of tables asks several things."""
    for name, value in tables.items():
        here, seen = f'{where}."{name}"]', set()
        _check_probe(name, here)
        for item in value if isinstance(value, list) else [value]:
            table = _as_table(item, here)
            if "measurement" in table:
                raise ConfigError(f"{here}: unknown key 'measurement'", "the name of the table is the measurement")
            if "undecided" in table:
                _check_word(f"{here}: 'undecided' is", table["undecided"], list(get_args(Outcome)))
            for key in (key for key, value in table.items() if isinstance(value, bool)):
                raise ConfigError(f"{here}: '{key}' is {str(table[key]).lower()}", "it must be a number")
            part = validated(kind, {**table, "measurement": name}, here)
            _check_limits(part, here)
            if (field := part.on) in seen:
                raise ConfigError(f"{here}: two tables are about its {field}", "put their keys into one")
            seen.add(field)
            yield part


def _check_probe(name: str, where: str) -> None:
    """Refuse a measurement of a probe that does not exist; which measurements a probe gives depends on the run."""
    probe, dot, _ = name.partition(".")
    known = plugins.names("probe")
    if probe in known and not dot:
        raise ConfigError(f"{where} names a probe", f'a measurement of it stands in quotes: "{name}.NAME"')
    if probe not in known:
        near = difflib.get_close_matches(probe, known, n=1)
        hint = f"did you mean '{name.replace(probe, near[0], 1)}'?" if near else f"probes: {', '.join(known)}"
        raise ConfigError(f"{where}: no probe measures '{name}'", hint)


def _check_limits(part: Bound | Regression, where: str) -> None:
    limits = part.limits
    if all(limit is None for limit in limits.values()):
        raise ConfigError(f"{where} has no limit", f"give {' or '.join(limits)}")
    for key, limit in limits.items():
        if limit is not None and not math.isfinite(limit):
            raise ConfigError(f"{where}: '{key}' is {limit}", "it must be a finite number")
        if limit is not None and limit < 0 and isinstance(part, Regression):
            raise ConfigError(f"{where}: '{key}' is {limit:g}", "it must be at least 0")
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{where}: min {low:g} is above max {high:g}", "nothing could pass")


def check_names(policy: Policy, known: Collection[str]) -> None:
    """Check that the run will give every measurement that the policy names, before anything is drawn.

    Parameters
    ----------
    known : collection of str
        What the run's probes give, without strata: which strata there are depends on the suite.

    Raises
    ------
    ConfigError
        A measurement that none of them gives; the hint is the nearest one.
    """
    for name in policy.measurements:
        stem, at, stratum = name.partition("@")
        if stem not in known:
            near = difflib.get_close_matches(stem, known, n=1)
            hint = f"did you mean '{near[0]}{at}{stratum}'?" if near else "`entropydx list probe` shows the probes"
            raise ConfigError(f"{policy.source}: no probe of this run measures '{name}'", hint)
