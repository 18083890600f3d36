"""The sampling plan: which prompts, drawn how, for which probes; checked before a token is drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from random import Random

from entropydx import plugins
from entropydx.config import RunConfig
from entropydx.errors import ConfigError, EngineCapabilityError, PluginNotFoundError, SuiteError
from entropydx.lexicon import load_lexicon
from entropydx.protocols import Engine, Probe, Suite
from entropydx.suite_file import load_suite_file
from entropydx.types import EPISTEMIC_MARKERS, Prompt, Requires, SamplingParams, Training


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be drawn, and what will be measured on it."""

    prompts: tuple[Prompt, ...]
    """What is drawn: all prompts of the run, its first ones, or a shard of it."""
    params: SamplingParams
    probes: Mapping[str, Probe]
    requires: Requires
    lexicon: tuple[str, ...]
    deploy_temperature: float | None = None
    deploy_top_p: float | None = None
    whole: tuple[Prompt, ...] | None = None
    """All prompts of the run, when `prompts` are a shard of them: conditions and passes cover its first ones."""
    training: Training | None = None
    """What is known of the training, read once and before anything is drawn: its file may be gone hours later."""

    def deployment(self, engine: Engine) -> tuple[float, float] | str:
        """Return temperature and top_p of the deployment sampling, or why there is none to draw with."""
        own = engine.deployment
        if own is None and self.deploy_temperature is None and self.deploy_top_p is None:
            return (
                "the checkpoint's generation_config names no sampling: "
                "--deploy-temperature and --deploy-top-p would say how it is deployed"
            )
        temperature, top_p = own or (1.0, 1.0)
        chosen = (
            temperature if self.deploy_temperature is None else self.deploy_temperature,
            top_p if self.deploy_top_p is None else self.deploy_top_p,
        )
        if chosen == (self.params.temperature, self.params.top_p):
            return "the deployment sampling is the one that the policy was measured with"
        return chosen


def plan(config: RunConfig) -> Plan:
    """Return the sampling plan: the union of what the chosen probes require, on the chosen suite.

    Raises
    ------
    SuiteError
        The suite has no prompts, or a prompt names a checker that does not exist.
    PluginNotFoundError
        A probe or a suite that does not exist.
    ConfigError
        Two probes require different conditions of one name, or the lexicon cannot be read; or a shard is asked for,
        which is planned in `shards` and gets no verdict.
    """
    if config.shard is not None:
        raise ConfigError(f"shard {config.shard} is a part of a run", "only `entropydx diagnose --shard` draws it")
    prompts = resolve_suite(config.suite, config.seed, config.prompts, config.map)
    if not prompts:
        raise SuiteError(f"suite '{config.suite}' has no prompts")
    checkers = plugins.names("checker")
    for prompt in prompts:
        if prompt.checker not in checkers:
            raise SuiteError(
                f"prompt '{prompt.id}': no checker named '{prompt.checker}'", f"known: {', '.join(checkers)}"
            )
    return plan_for(config, in_balanced_order(prompts, config.seed))


def plan_for(config: RunConfig, prompts: Sequence[Prompt]) -> Plan:
    """Return the sampling plan on given prompts, in their order.

    Raises
    ------
    PluginNotFoundError
        A probe that does not exist.
    ConfigError
        Two probes require different conditions of one name, or the lexicon cannot be read.
    """
    probes = chosen_probes(config.probes)
    requires = reduce(lambda a, b: a | b, (p.requires for p in probes.values()), Requires())
    names = [c.name for c in requires.conditions]
    if twice := {n for n in names if names.count(n) > 1}:
        raise ConfigError(f"two probes require different conditions named '{min(twice)}'", "rename one of them")
    params = SamplingParams(
        n_samples=config.samples,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        seed=config.seed,
        thinking=config.thinking,
    )
    return Plan(
        prompts=tuple(prompts),
        params=params,
        probes=probes,
        requires=requires,
        lexicon=EPISTEMIC_MARKERS if config.lexicon is None else load_lexicon(Path(config.lexicon)),
        deploy_temperature=config.deploy_temperature,
        deploy_top_p=config.deploy_top_p,
    )


def in_balanced_order(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """Return the prompts in a random order of which every beginning has about the shares of the whole.

    A run is looked at after a part of its prompts, and what lies beside the main draw takes the first ones: the order
    of a file, often by difficulty, would bias both. Each stratum (difficulty, domain, family) is shuffled and spread
    evenly over the whole, every prompt at random within its own cell (systematic sampling, Cochran 1977, ch. 8).
    """
    rng = Random(f"order:{seed}")
    strata: dict[tuple[str, str, str], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        strata[prompt.difficulty, prompt.domain, prompt.family].append(prompt)
    placed: list[tuple[float, Prompt]] = []
    for stratum in strata.values():
        rng.shuffle(stratum)
        placed += [((i + rng.random()) / len(stratum), prompt) for i, prompt in enumerate(stratum)]
    return [prompt for _, prompt in sorted(placed, key=lambda pair: pair[0])]


def chosen_probes(names: str | None) -> dict[str, Probe]:
    """Return the probes named in a list with commas, in the order of their names; None is all of them.

    The instrument is always among them: without it no measurement is known to be one.
    """
    if names is None:
        return dict(plugins.load_all("probe"))
    wanted = sorted({"instrument", *(part.strip() for part in names.split(",") if part.strip())})
    return {name: plugins.load("probe", name) for name in wanted}


def resolve_suite(name: str, seed: int, n_prompts: int, mapping: Mapping[str, str]) -> list[Prompt]:
    """Return the prompts of a suite: built-in names or collections joined by commas, or a file or data set.

    Built-in families are interleaved, so that every prefix is balanced over families and difficulties.

    Raises
    ------
    SuiteError
        The file has a bad record, or the data set cannot be read.
    PluginNotFoundError
        A name that is neither a family, nor a collection, nor a path.
    """
    parts = [part.strip() for part in name.split(",")]
    # A directory `core` in the working directory must not hide the suite; `./core` reaches it.
    found = [_named_suites(part) for part in parts]
    if not all(found) and (Path(name).exists() or "/" in name or "." in name):
        return load_suite_file(name, dict(mapping) or None, n_prompts)
    for part, named in zip(parts, found, strict=True):
        if not named:
            raise PluginNotFoundError("suite", part, plugins.names("suite"))
    # A suite that is named twice, or by its collection too, would give every prompt twice.
    suites = list({key: suite for named in found for key, suite in named.items()}.values())
    each = -(-n_prompts // len(suites))
    columns = [suite.prompts(seed, each) for suite in suites]
    return [prompt for row in zip(*columns, strict=True) for prompt in row][:n_prompts]


def _named_suites(name: str) -> dict[str, Suite]:
    """Return the suite of that name, else those of that collection, else nothing."""
    if name in plugins.names("suite"):
        return {name: plugins.load("suite", name)}
    return {key: suite for key, suite in plugins.load_all("suite").items() if name in suite.collections}


def check_capability(engine: Engine, name: str, requires: Requires, n_samples: int) -> None:
    """Check that an engine can serve the plan.

    Raises
    ------
    EngineCapabilityError
        It draws too few samples, the probes need more, or it says nothing of entropies.
    """
    if n_samples > engine.provides.n_samples:
        raise EngineCapabilityError(
            f"engine '{name}' draws at most {engine.provides.n_samples} samples of a prompt, not {n_samples}",
            "lower --samples",
        )
    if requires.n_samples > n_samples:
        raise EngineCapabilityError(
            f"the probes require {requires.n_samples} samples of a prompt, not {n_samples}", "raise --samples"
        )
    # Where they are only bounded, what needs them is missing from the report; see `measuring`.
    if requires.entropies and not engine.provides.entropies and engine.scoring != "top_k":
        raise EngineCapabilityError(
            f"engine '{name}' gives no exact entropies, which the probes require", "use --engine hf"
        )
