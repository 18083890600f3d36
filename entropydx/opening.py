"""From a configuration to the engines that serve it: one for the checkpoint, one for its baseline."""

from __future__ import annotations

from entropydx import plugins
from entropydx.config import RunConfig
from entropydx.protocols import Engine, EngineOptions, Progress
from entropydx.types import Role


def open_engines(config: RunConfig, progress: Progress) -> dict[Role, Engine]:
    """Return an engine for each role; weights are loaded only when something has to be drawn."""
    engine_type: type[Engine] = plugins.load("engine", config.engine)
    options = EngineOptions(
        base_model=config.base_model,
        device=config.device,
        dtype=config.dtype,
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
        batch_rows=config.batch_rows,
    )
    engines: dict[Role, Engine] = {"checkpoint": engine_type(config.checkpoint, options, progress)}
    if config.baseline is not None:
        engines["baseline"] = engine_type(config.baseline, options, progress)
    return engines
