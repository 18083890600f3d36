"""From a configuration to the engines that serve it: one for the checkpoint, one for its baseline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from entropydx import plugins
from entropydx.checkpoint import HUB_ID
from entropydx.config import RunConfig
from entropydx.errors import ConfigError
from entropydx.fleet import Fleet, local_fleet
from entropydx.protocols import Engine, EngineOptions, Progress
from entropydx.types import Role

SERVERLESS = ("hf", "vllm", "synthetic")
"""Engines that have the model themselves: they ask no server, and know its vocabulary."""


def hire(config: RunConfig) -> Fleet | None:
    """Return the workers that a configuration asks for, or None where this process does the work itself.

    Raises
    ------
    ConfigError
        They are more than the GPUs, no Ray cluster answers, or Ray is not installed.
    """
    if config.ray is not None:
        from entropydx import cluster  # noqa: PLC0415 - an extra

        return cluster.hire(config.ray, config.workers, config.device)
    if config.workers is None or config.workers == 1:
        return None
    if config.device not in {"auto", "cpu", "cuda"}:
        raise ConfigError(
            f"{config.workers} workers cannot share device {config.device}",
            "leave --device out: each worker gets a GPU of its own",
        )
    n_gpus = 0
    if config.device != "cpu":
        from entropydx.runtime import gpu_count  # noqa: PLC0415 - imports torch

        n_gpus = gpu_count()
    return local_fleet(config.workers, n_gpus)


def open_engines(config: RunConfig, progress: Progress, fleet: Fleet | None = None) -> dict[Role, Engine]:
    """Return an engine for each role; weights are loaded only when something has to be drawn.

    Parameters
    ----------
    fleet : Fleet, optional
        Workers that are there already; None hires what the configuration asks for, for these engines alone.
    """
    _check_used(config)
    fleet = fleet or hire(config)
    options = EngineOptions(
        base_model=config.base_model,
        device=config.device,
        dtype=config.dtype,
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
        batch_rows=config.batch_rows,
        cuda_graphs=config.cuda_graphs,
        endpoint=config.endpoint,
        vocab_size=config.vocab_size,
    )

    def opened(ref: str, options: EngineOptions) -> Engine:
        if fleet is not None:
            return fleet.open(config.engine, ref, options, progress)
        engine_type: type[Engine] = plugins.load("engine", config.engine)
        return engine_type(ref, options, progress)

    engines: dict[Role, Engine] = {"checkpoint": opened(config.checkpoint, options)}
    if config.baseline is not None:
        theirs = config.baseline_endpoint or config.endpoint
        engines["baseline"] = opened(config.baseline, replace(options, endpoint=theirs))
        _check_told_apart(engines, theirs != config.endpoint)
    _check_base_model(config, engines, progress)
    return engines


def _check_used(config: RunConfig) -> None:
    """Refuse settings that the engine has no use for: whoever gave them means another one."""
    if config.engine not in SERVERLESS:
        return
    if config.endpoint or config.baseline_endpoint:
        raise ConfigError(f"engine '{config.engine}' asks no server, and an endpoint is given", "add --engine openai")
    if config.vocab_size:
        raise ConfigError(
            f"engine '{config.engine}' knows the model's vocabulary, and --vocab-size {config.vocab_size} is given",
            "leave it out, or add --engine openai: it is for a model that only a server has",
        )


def _check_base_model(config: RunConfig, engines: Mapping[Role, Engine], progress: Progress) -> None:
    """Refuse a base model that is not there, and remark on one that nothing needs: of several, one may be an adapter.

    An adapter whose base model is not there is refused when it is opened.
    """
    if config.base_model is None or any(engine.info.format == "peft" for engine in engines.values()):
        return
    problem = f"--base-model {config.base_model} changes nothing: {config.checkpoint} is no PEFT adapter"
    if not (os.path.exists(os.path.expanduser(config.base_model)) or HUB_ID.fullmatch(config.base_model)):
        raise ConfigError(f"{problem}, and nothing is at {config.base_model}", "leave --base-model out")
    progress.warn(problem)


def _check_told_apart(engines: Mapping[Role, Engine], two_servers: bool) -> None:
    """Refuse two servers whose models cannot be told apart: their samples would pass for one model's."""
    ours, theirs = engines["checkpoint"].info, engines["baseline"].info
    if two_servers and ours.format == theirs.format == "server" and ours.fingerprint == theirs.fingerprint:
        raise ConfigError(
            f"both servers call their model '{ours.ref}', and say the same of it",
            "serve the two under different names, or give the checkpoints' directories",
        )
