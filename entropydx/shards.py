"""Parts of one run for machines that share nothing but a file system: `--shard i/N`, each into a directory of its own.

A shard draws what the whole run would draw on its prompts, token for token: the noise is keyed by prompt, and the
conditions and passes that cover the run's first prompts cover those of them that the shard has. Texts that are scored
after each other's prompts lie in one shard. No shard gets a verdict; `merging` puts them together.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from entropydx import passes, pipeline, store
from entropydx.config import RunConfig, parse_shard
from entropydx.errors import ConfigError
from entropydx.planning import Plan
from entropydx.protocols import Engine, Progress, Silent
from entropydx.provenance import run_directory, run_key
from entropydx.rounds import Judged, Rounds
from entropydx.sampling import StageProgress
from entropydx.types import Prompt, Role

SCORED = 0.7
"""Cost of a scored token in drawn ones (benchmarks/README.md, full_set.py: 4.1 and 5.8 ms on a CPU)."""
REBUILT = {"checkpoint", "suite", "suite_source", "budget", "tokens", "adaptive", "shard", "run_dir", "map"}
"""Settings that `command_line` does not write as they stand."""
SIZES = {"prompts", "samples", "max_new_tokens"}
OTHERS = "DIR..."
"""What a command calls the directories of the other shards, where they were named by hand and are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnShard:
    """A shard that is complete."""

    index: int
    """From 1 to `count`."""
    count: int
    n_prompts: int
    n_whole: int
    """Prompts of the whole run."""
    path: Path
    merge: str
    """The command that puts the run together, when all its shards are complete; may end in `OTHERS`."""


# ── which prompts ─────────────────────────────────────────────────────────────────────────────────


def deal(todo: Plan, count: int, *, has_baseline: bool) -> tuple[tuple[Prompt, ...], ...]:
    """Return the prompts of every shard, in the plan's order.

    The first shard has all prompts of the cross pass. Every other prompt goes to one of the shards that have the least
    work so far, up to the prompt's own (list scheduling, Graham 1969, SIAM J. Appl. Math. 17:416): to the one with the
    fewest prompts of its family and of its difficulty. The work of two shards then differs by two prompts' at most,
    unless that of the cross pass alone is more than a shard's part.

    Parameters
    ----------
    todo : Plan
        Of the whole run.
    count : int
        N, at least 1.

    Raises
    ------
    ConfigError
        A shard would have no prompts.
    """
    together = todo.prompts[: passes.CROSS_PROMPTS] if "cross" in todo.requires.scores else ()
    most = len(todo.prompts) - max(len(together) - 1, 0)
    if count > most:
        raise ConfigError(
            f"{count} shards are too many for {len(todo.prompts)} prompts",
            f"at most {most}: the first shard draws {max(len(together), 1)} prompts that belong together",
        )
    costs = work(todo, has_baseline=has_baseline)
    hands = [_Hand() for _ in range(count)]
    for prompt in together:
        hands[0].take(prompt, costs[prompt.id])
    rest = todo.prompts[len(together) :]
    for left, prompt in zip(range(len(rest), 0, -1), rest, strict=True):
        empty = [h for h in hands if not h.ids]
        able = empty if len(empty) >= left else hands
        least = min(h.load for h in able)
        light = [h for h in able if h.load < least + costs[prompt.id]]
        chosen = min(light, key=lambda h: (h.kinds[prompt.family] + h.kinds[prompt.difficulty], h.load))
        chosen.take(prompt, costs[prompt.id])
    return tuple(tuple(p for p in todo.prompts if p.id in h.ids) for h in hands)


@dataclass(slots=True)
class _Hand:
    """What one shard has been dealt so far."""

    ids: set[str] = field(default_factory=set)
    load: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    """Prompts of each family and of each difficulty."""

    def take(self, prompt: Prompt, cost: float) -> None:
        self.ids.add(prompt.id)
        self.load += cost
        self.kinds.update((prompt.family, prompt.difficulty))


def work(todo: Plan, *, has_baseline: bool) -> dict[str, float]:
    """Return what each prompt costs with all that is asked of it, in drawn tokens if every text runs to its limit."""
    main, roles = todo.params, 1 + has_baseline
    costs = dict.fromkeys((p.id for p in todo.prompts), float(roles * main.n_samples * main.max_new_tokens))
    for condition in todo.requires.conditions:
        params = passes.condition_params(condition, main, (main.temperature, main.top_p))
        texts = params.n_samples * (roles if condition.baseline else 1)
        for prompt in passes.first_prompts(condition, todo.prompts):
            costs[prompt.id] += texts * params.max_new_tokens
    for prompts, texts, limit in _scored(todo, has_baseline=has_baseline):
        for prompt in prompts:
            costs[prompt.id] += SCORED * roles * texts * min(limit, main.max_new_tokens)
    return costs


def _scored(todo: Plan, *, has_baseline: bool) -> list[tuple[tuple[Prompt, ...], int, int]]:
    """Return the prompts of every pass that is asked for, texts of each of them, and tokens of a text.

    References are left out: one for each prompt, of unknown length, they weigh on all shards alike.
    """
    limit, asked = todo.params.max_new_tokens, todo.requires.scores
    found = []
    if "other" in asked and has_baseline:
        found.append((todo.prompts, min(passes.OTHER_SAMPLES, todo.params.n_samples), limit))
    if "hidden" in asked:
        found.append((todo.prompts[: passes.HIDDEN_PROMPTS], 1, limit))
    if "cross" in asked:
        chosen = todo.prompts[: passes.CROSS_PROMPTS]
        found.append((chosen, len(chosen), passes.CROSS_TOKENS))
    return found


# ── drawing one ───────────────────────────────────────────────────────────────────────────────────


def draw(config: RunConfig, progress: Progress | None = None) -> DrawnShard:
    """Draw one shard of a run into its own directory; the same call resumes.

    Parameters
    ----------
    config : RunConfig
        Its `shard` says which; whatever it says of rounds, the whole budget is drawn.

    Raises
    ------
    EntropydxError
        Anything that kept the shard from being drawn; nothing that was drawn is lost.
    """
    started = time.monotonic()
    assert config.shard is not None
    index, count = parse_shard(config.shard)
    config = replace(config, shard=None, adaptive=False)
    stages = StageProgress(progress or Silent())
    todo, engines = pipeline.prepare(config, stages)
    mine = deal(todo, count, has_baseline="baseline" in engines)[index - 1]
    key = run_key(todo.prompts, todo.params, engines)
    path = shard_directory(config, key, index, count)
    with store.RunStore(path, {**key, "shard": f"{index}/{count}"}) as run:
        if "shard" not in store.read_manifest(path):
            run.write_manifest({"shard": {"config": asdict(config)}})  # so that `merge` can say how to finish it
        before = time.monotonic()
        part = replace(todo, prompts=mine, whole=todo.prompts)
        try:
            look = Rounds(
                todo=part, engines=engines, run=run, progress=stages, judge=_no_verdict, adaptive=False
            ).everything()
        finally:
            for engine in engines.values():
                engine.close()
        spent = (run.tokens_written, time.monotonic() - before, time.monotonic() - started)
        whole = [p.id for p in todo.prompts]
        run.write_manifest(
            {
                **pipeline.provenance(config, todo, engines, look, spent).to_manifest(),
                **pipeline.laid_out(look),
                "shard": {"config": asdict(config), "whole": whole, "engines": _facts(engines)},
            }
        )
    return DrawnShard(
        index=index, count=count, n_prompts=len(mine), n_whole=len(whole), path=path, merge=_merge(config, path, count)
    )


def _no_verdict(*_: object) -> Judged:
    raise AssertionError("a part of a run gets no verdict")


def shard_directory(config: RunConfig, key: Mapping[str, Any], index: int, count: int) -> Path:
    """Return the named run directory, or the default one: that of the whole run, and which shard it is."""
    whole = run_directory(config, key)
    return whole if config.run_dir is not None else whole.with_name(f"{whole.name}-{index}of{count}")


def _facts(engines: Mapping[Role, Engine]) -> dict[str, Any]:
    """Return what `merge` has to know of the engines, which it does not open."""
    return {
        role: {
            "scoring": engine.scoring,
            "device": engine.device,
            "uses_chat_template": engine.uses_chat_template,
            "batch_rows": engine.batch_rows,
            "deployment": engine.deployment,
            "scores": engine.provides.scores,
        }
        for role, engine in engines.items()
    }


# ── commands ──────────────────────────────────────────────────────────────────────────────────────


def command_line(config: RunConfig, shard: str | None = None) -> str:
    """Return the command that asks for a run, or for a shard of it, from the same working directory."""
    words = ["entropydx", "diagnose", config.checkpoint]
    if config.suite_source == "flag":
        words += ["--suite", config.suite]
    name, _, adjusted = config.budget.partition(", ")
    words += ["--budget", name]
    for setting in fields(config):
        value = getattr(config, setting.name)
        written = adjusted if setting.name in SIZES else value != setting.default
        if setting.name in REBUILT or not written:
            continue
        flag = f"--{setting.name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    for pair in config.map.items():
        words += ["--map", "=".join(pair)]
    if shard is not None:
        words += ["--shard", shard]
    if config.run_dir is not None:
        words += ["--run-dir", config.run_dir]
    return shlex.join(words)


def _merge(config: RunConfig, path: Path, count: int) -> str:
    if config.run_dir is None:
        stem = path.name.rpartition("-")[0]
        return f"entropydx merge {shlex.quote(str(path.with_name(stem)))}-*of{count}"
    return f"entropydx merge {shlex.quote(str(path))}{f' {OTHERS}' if count > 1 else ''}"
