"""Flags, `entropydx.toml` / `[tool.entropydx]`, and what a checkpoint says of itself, to one frozen `RunConfig`.

Precedence: a flag, then the project's TOML, then the checkpoint's own `entropydx.toml` (table `[checkpoint]`: only
which suite it understands and a size that fits it), then the budget. pydantic validates at this edge and nowhere
else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from entropydx.errors import ConfigError, reading

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")

CONFIG_FILE = "entropydx.toml"
PYPROJECT = "pyproject.toml"
PYPROJECT_TABLE = " [tool.entropydx]"
"""What stands behind its name in errors."""
OTHER_TABLES = {"checkpoint", "gate", "watch"}
"""Tables of a project file that are no settings of a diagnosis."""
DEFAULT_SUITE = "core"
SIDECAR_KEYS = {"suite", "prompts", "samples", "max_new_tokens"}
"""What a checkpoint may say of itself; anything else in its table is refused."""
MAX_SEED = 2**63 - 1
"""Largest seed that every generator of random numbers takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A fixed size of the sampling: prompts x samples x tokens."""

    prompts: int
    samples: int
    max_new_tokens: int


BUDGETS = {
    "quick": Budget(prompts=54, samples=8, max_new_tokens=192),
    "standard": Budget(prompts=108, samples=16, max_new_tokens=1024),
    "thorough": Budget(prompts=216, samples=32, max_new_tokens=4096),
}
"""Prompts are multiples of 27: nine built-in families at three difficulties."""
MOST_PROMPTS = 432
"""Of a budget in tokens: what it pays for decides, and hardly any failure is decided by more prompts than this."""
UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may set, by flag or TOML key; None means not set."""

    baseline: str | None = None
    base_model: str | None = None
    suite: str | None = None
    map: dict[str, str] | None = None
    """Field of the suite's record to the column of the file, such as {prompt = "question"}."""
    engine: str | None = None
    endpoint: str | None = None
    """Address of an OpenAI-compatible server."""
    baseline_endpoint: str | None = None
    vocab_size: int | None = None
    """V of a model that only a server has."""
    budget: str | int | None = None
    """A name of `BUDGETS`, or about how many tokens to draw: 200000, 200k, 1.5M."""
    adaptive: bool | None = None
    """Look after rounds of prompts, and stop when every failure is decided."""
    prompts: int | None = None
    samples: int | None = None
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    device: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    batch_rows: int | None = None
    cuda_graphs: bool | None = None
    workers: int | None = None
    ray: str | None = None
    thinking: Literal["auto", "on", "off"] | None = None
    deploy_temperature: float | None = None
    deploy_top_p: float | None = None
    lexicon: str | None = None
    """A file of epistemic markers, one a line."""
    probes: str | None = None
    """Names joined by commas."""
    shard: str | None = None
    """i/N: draw only this part of the run."""
    run_dir: str | None = None
    train_config: str | None = None
    """The training configuration of TRL, verl or OpenRLHF: YAML, JSON, or a script that gives it."""
    stage: Literal["sft", "rl", "distillation"] | None = None
    """Of the training that made the checkpoint, where its configuration does not say it."""
    allow_pickle: bool | None = None
    trust_remote_code: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that one diagnosis needs, resolved."""

    checkpoint: str
    baseline: str | None = None
    base_model: str | None = None
    suite: str = DEFAULT_SUITE
    suite_source: str = "default"
    """flag, config, checkpoint or default."""
    map: Mapping[str, str] = field(default_factory=dict)
    engine: str = "hf"
    endpoint: str | None = None
    """Address of an OpenAI-compatible server, for engines that ask one."""
    baseline_endpoint: str | None = None
    """Of the baseline's server; None: the checkpoint's."""
    vocab_size: int = 0
    """V of a model that only a server has; 0 when nobody says."""
    budget: str = "quick"
    tokens: int | None = None
    """About how many tokens to draw; None: as many as the prompts take."""
    adaptive: bool = True
    """Look after rounds of prompts, and stop when every failure is decided."""
    prompts: int = BUDGETS["quick"].prompts
    samples: int = BUDGETS["quick"].samples
    max_new_tokens: int = BUDGETS["quick"].max_new_tokens
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    batch_rows: int = 0
    cuda_graphs: bool = False
    """Record the decode steps of engine hf on a GPU, and replay them."""
    workers: int | None = None
    """Processes, or with `ray` actors, that the work is shared out to; None: this process alone, or what the cluster
    has room for."""
    ray: str | None = None
    """Address of a Ray cluster; `auto` finds one, `local` starts one; None: no Ray."""
    thinking: Literal["auto", "on", "off"] = "auto"
    deploy_temperature: float | None = None
    """Of the deployment sampling; None: what the checkpoint's own generation_config says."""
    deploy_top_p: float | None = None
    lexicon: str | None = None
    probes: str | None = None
    """None: all of them."""
    shard: str | None = None
    """i/N, from 1/N to N/N; None: the whole run."""
    run_dir: str | None = None
    train_config: str | None = None
    """File of the training configuration; the recommendations are held against it."""
    stage: Literal["sft", "rl", "distillation"] | None = None
    """Of the training; None: what the configuration or the trainer's log says."""
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        _check_range("prompts", self.prompts, 1, None)
        _check_range("samples", self.samples, 2, None)
        _check_range("max_new_tokens", self.max_new_tokens, 1, None)
        _check_range("temperature", self.temperature, 0.0, 10.0)
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("batch_rows", self.batch_rows, 0, None)
        _check_range("vocab_size", self.vocab_size, 0, None)
        if self.probes is not None and not self.probes.replace(",", "").strip():
            raise ConfigError(f"--probes {self.probes!r} names no probe", "leave it out to run all of them")
        _check_range("workers", 1 if self.workers is None else self.workers, 1, None)
        if self.tokens is not None and not self.adaptive:
            raise ConfigError(
                "a budget in tokens needs rounds, and here all prompts are drawn at once", "use --budget with a name"
            )
        _check_top_p("top-p", self.top_p)
        if self.deploy_temperature is not None:
            _check_range("deploy_temperature", self.deploy_temperature, 0.0, 10.0)
        if self.deploy_top_p is not None:
            _check_top_p("deploy-top-p", self.deploy_top_p)
        if self.shard is not None:
            parse_shard(self.shard)


def parse_shard(text: str) -> tuple[int, int]:
    """Return i and N of a shard `i/N`.

    Raises
    ------
    ConfigError
        It is not written so, or i is not between 1 and N.
    """
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"--shard {text} is no part of a run", "give i/N with i from 1 to N, for example 2/8")
    return int(index), int(count)


def _check_range(name: str, value: float, low: float, high: float | None) -> None:
    if value != value or value < low or (high is not None and value > high):  # noqa: PLR0124 - NaN is not itself
        limit = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise ConfigError(f"{name.replace('_', '-')} is {value}", f"it must be {limit}")


def _check_top_p(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ConfigError(f"{name} is {value}", "it must be above 0 and at most 1")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def settings(table: Mapping[str, Any], where: str) -> Settings:
    """Return validated settings; keys may use hyphens, None means not set.

    Raises
    ------
    ConfigError
        An unknown key (with the nearest one), or a value of the wrong type; `where` names the source.
    """
    budget = table.get("budget")
    if isinstance(budget, bool | float):
        raise ConfigError(f"{where}: 'budget' is {budget!r}", f"a name ({', '.join(BUDGETS)}), or 200k")
    found = validated(Settings, table, where)
    if found.budget is not None:
        _budget(found.budget, where)
    return found


def validated(kind: type[R], table: Mapping[str, Any], where: str) -> R:
    """Return a record of a TOML table; keys may use hyphens.

    Parameters
    ----------
    kind : dataclass
        Its fields are the keys, and their type hints what is accepted.
    where : str
        Names the source in an error.

    Raises
    ------
    ConfigError
        An unknown key (with the nearest one), one that is missing, or a value that is empty or of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - keeps `--help` fast

    known = {f.name for f in fields(kind)}
    given = {key.replace("-", "_"): value for key, value in table.items()}
    for key, value in given.items():
        if isinstance(value, str) and not value.strip():
            raise ConfigError(f"{where}: '{key}' is empty", "leave it out, or give it a value")
    for key in given.keys() - known:
        import difflib  # noqa: PLC0415

        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        raise ConfigError(f"{where}: unknown key '{key}'", hint)
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: '{key}' is {first['input']!r}: {first['msg']}") from error


def load_project(path: Path | None = None) -> Settings:
    """Return the project's settings: `path`, else ./entropydx.toml, else [tool.entropydx] of ./pyproject.toml.

    Raises
    ------
    ConfigError
        The file is unreadable, not TOML, or has an unknown key or a value of the wrong type.
    """
    table, where = project_table(path)
    return settings({key: value for key, value in table.items() if key not in OTHER_TABLES}, where)


@reading(ConfigError)
def project_table(path: Path | None = None) -> tuple[dict[str, Any], str]:
    """Return the whole table that `load_project` reads, the parts of other commands included, and what it is called.

    Raises
    ------
    ConfigError
        The file is unreadable or not TOML.
    """
    if path is None:
        path = next((p for p in (Path(CONFIG_FILE), Path(PYPROJECT)) if p.is_file()), None)
    if path is None:
        return {}, ""
    if path.name != PYPROJECT:
        return _read_toml(path), str(path)
    table: dict[str, Any] = _read_toml(path).get("tool", {}).get("entropydx", {})
    return table, f"{path}{PYPROJECT_TABLE}"


@reading(ConfigError)
def load_sidecar(checkpoint: str) -> Settings:
    """Return what a checkpoint directory says of itself: the suite that it understands and a fitting size."""
    path = Path(checkpoint) / CONFIG_FILE
    if not path.is_file():
        return Settings()
    table = _read_toml(path).get("checkpoint", {})
    foreign = set(table) - SIDECAR_KEYS
    if foreign:
        raise ConfigError(
            f"{path} [checkpoint]: '{sorted(foreign)[0]}' cannot be set by a checkpoint",
            f"only {', '.join(sorted(SIDECAR_KEYS))} can",
        )
    return settings(table, f"{path} [checkpoint]")


def resolve(checkpoint: str, flags: Settings, project: Settings | None = None) -> RunConfig:
    """Merge flags, project file, checkpoint sidecar and budget into a `RunConfig`.

    Raises
    ------
    ConfigError
        No checkpoint is named, any value is out of range, or the sidecar is unreadable.
    """
    if not checkpoint.strip():
        raise ConfigError("the checkpoint's name is empty", "is a variable not set?")
    project = project or Settings()
    sidecar = load_sidecar(checkpoint)
    if flags.budget or project.budget:
        # A budget that was asked for is larger or smaller on purpose; what the model can take in one answer stays.
        sidecar = replace(sidecar, prompts=None, samples=None)
    chosen = {f.name: value for f in fields(Settings) if (value := _first(f.name, flags, project, sidecar)) is not None}
    name, tokens = _budget(chosen.get("budget", "quick"), "the budget")
    size = BUDGETS[name] if tokens is None else replace(BUDGETS["quick"], prompts=MOST_PROMPTS)
    sizes = {"prompts": size.prompts, "samples": size.samples, "max_new_tokens": size.max_new_tokens}
    adjusted = "" if sizes.keys().isdisjoint(chosen) else ", adjusted"
    config = RunConfig(checkpoint=checkpoint, suite_source=_suite_source(flags, project, sidecar))
    return replace(config, **{**sizes, **chosen, "budget": name + adjusted, "tokens": tokens})


def _budget(asked: str | int, where: str) -> tuple[str, int | None]:
    """Return the name of a budget, and its tokens when it is a number of them; `where` names the source."""
    text = str(asked).strip()
    if text in BUDGETS:
        return text, None
    number = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", text.replace("_", ""))
    tokens = round(float(number[1]) * UNITS[number[2].lower()]) if number else 0
    if tokens < 1:
        raise ConfigError(
            f"{where}: budget '{text}' is neither a name nor a number of tokens", f"{', '.join(BUDGETS)}, or 200k"
        )
    return f"{tokens} tokens", tokens


def _first(name: str, *sources: Settings) -> Any:
    return next((value for s in sources if (value := getattr(s, name)) is not None), None)


def _suite_source(flags: Settings, project: Settings, sidecar: Settings) -> str:
    for settings, source in ((flags, "flag"), (project, "config"), (sidecar, "checkpoint")):
        if settings.suite is not None:
            return source
    return "default"
