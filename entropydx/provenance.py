"""Where a report's samples come from: the run's key, the protocol as it was, the versions, the cost."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import resource
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from entropydx.config import RunConfig
from entropydx.errors import RunStoreError
from entropydx.planning import Plan
from entropydx.protocols import Engine
from entropydx.sampling import logged_params, source_of
from entropydx.suite_file import suite_sha
from entropydx.types import (
    CheckpointInfo,
    Cost,
    LoggedParams,
    Prompt,
    Protocol,
    Role,
    Samples,
    SamplingParams,
    Training,
)

VERSIONED = ("entropydx", "torch", "transformers", "tokenizers", "numpy", "datasets")
DIAGNOSE = "`entropydx diagnose` of the checkpoint, with the one from before the training as --baseline"
_FLAG = re.compile(r"--[a-z-]+")
RUNS = Path("entropydx-runs")
"""Where run directories go when none is named; the same command finds its own run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the report says of how its samples came about."""

    checkpoint: CheckpointInfo
    baseline: CheckpointInfo | None
    protocol: Protocol
    cost: Cost
    training: Training | None = None

    def to_manifest(self) -> dict[str, Any]:
        """Return it as plain JSON values, for the run directory."""
        return {
            "checkpoint": asdict(self.checkpoint),
            "baseline": None if self.baseline is None else asdict(self.baseline),
            "protocol": asdict(self.protocol),
            "cost": asdict(self.cost),
            "training": None if self.training is None else asdict(self.training),
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Provenance:
        """Return what `to_manifest` wrote.

        Raises
        ------
        RunStoreError
            The manifest lacks a part, or has one that this version does not know; or it is that of a shard.
        """
        if (shard := manifest.get("key", {}).get("shard")) is not None:
            raise RunStoreError(
                f"this is shard {shard} of a run, and a part of a run gets no verdict",
                "`entropydx merge` puts the shards together",
            )
        try:
            return cls(
                checkpoint=CheckpointInfo(**manifest["checkpoint"]),
                baseline=None if manifest["baseline"] is None else CheckpointInfo(**manifest["baseline"]),
                protocol=_protocol(manifest["protocol"]),
                cost=Cost(**manifest["cost"]),
                training=stored_training(manifest.get("training")),
            )
        except (KeyError, TypeError) as error:
            raise RunStoreError(
                f"the run's manifest is damaged, or of another version: {error}", "run `entropydx diagnose` again"
            ) from error

    @property
    def against_itself(self) -> bool:
        """Whether the baseline is the checkpoint: every change is then zero, which clears nothing."""
        return self.baseline is not None and self.baseline.fingerprint == self.checkpoint.fingerprint

    @property
    def compares(self) -> bool:
        """Whether the samples can be judged against a baseline."""
        return self.baseline is not None and not self.against_itself

    def caveats(self) -> tuple[str, ...]:
        """Return what a reader must know before the verdict: departures from the protocol that it is made for."""
        found = list(_of_import(self.protocol)) if self.protocol.n_prompts else []
        temperature, top_p = self.protocol.temperature, self.protocol.top_p
        if temperature is not None and top_p is not None and (temperature != 1 or top_p != 1):
            found.append(
                f"Sampled at temperature {temperature:g} and top_p {top_p:g}: the verdict holds for this setting; the "
                "policy itself is measured at 1 and 1."
            )
        if self.protocol.scoring == "top_k":
            found.append(
                "The server tells no exact entropies, and the weights were not at hand to score its tokens: what rests "
                "on entropy is neither found nor ruled out."
            )
        theirs = self.baseline
        if theirs is None:
            return tuple(found)
        if self.against_itself:
            found.append("The baseline is the checkpoint itself: it is judged as if none were given.")
        return (*found, *self._differences(theirs))

    def _differences(self, theirs: CheckpointInfo) -> tuple[str, ...]:
        """Return what makes checkpoint and baseline hard to compare."""
        found, ours = [], self.checkpoint
        if None not in (ours.tokenizer_sha, theirs.tokenizer_sha):
            if ours.tokenizer_sha != theirs.tokenizer_sha:
                found.append(
                    "Checkpoint and baseline have different vocabularies: entropies and lengths are per token, and do "
                    "not compare."
                )
        elif theirs.vocab_size != ours.vocab_size:
            found.append(
                f"The baseline's vocabulary has {theirs.vocab_size} entries and the checkpoint's {ours.vocab_size}: "
                "unless the tokenizer is the same, entropies per token do not compare."
            )
        if (theirs.chat_template_sha is None) != (ours.chat_template_sha is None):
            found.append("Only one of checkpoint and baseline has a chat template, so they saw different prompts.")
        elif theirs.chat_template_sha != ours.chat_template_sha:
            found.append(
                "Checkpoint and baseline have different chat templates, so they may have seen different prompts."
            )
        return tuple(found)

    def settling(self, advice: tuple[str, ...]) -> tuple[str, ...]:
        """Return what would settle the verdict: of imported samples, what can be done about those."""
        source = self.protocol.imported
        if source is None:
            return advice
        if source.kind == "log":
            return (f"{DIAGNOSE}: a log alone decides nothing",)
        kept = (a for a in advice if not set(_FLAG.findall(a)) - {"--baseline"})
        return (f"{DIAGNOSE}: it measures what the files ({source.tool}) do not tell", *kept)

    @property
    def params(self) -> SamplingParams | LoggedParams:
        """How the samples were drawn."""
        if self.protocol.imported is not None:
            return logged_params(self.protocol.imported, self.protocol.n_samples)
        names = ("n_samples", "max_new_tokens", "temperature", "top_p", "seed", "thinking")
        return SamplingParams(**{name: getattr(self.protocol, name) for name in names})


def _protocol(document: Mapping[str, Any]) -> Protocol:
    """Return a protocol as a manifest holds it."""
    sources = {name: source_of(document.get(name)) for name in ("imported", "imported_baseline")}
    return Protocol(**{**document, **sources, "lexicon": tuple(document["lexicon"])})


def _of_import(protocol: Protocol) -> Iterator[str]:
    """Yield what a reader must know of samples that another tool drew."""
    ours, theirs = protocol.imported, protocol.imported_baseline
    if ours is None:
        return
    if ours.temperature is None:
        yield f"The files ({ours.tool}) do not say the sampling temperature: the verdict holds for that one alone."
    if theirs is not None and theirs.temperature != ours.temperature:
        known = [f"{t:g}" if t is not None else "an unknown one" for t in (ours.temperature, theirs.temperature)]
        yield f"Checkpoint and baseline were sampled at different temperatures ({' and '.join(known)})."
    if ours.reasoning_stripped:
        yield f"{ours.tool} cut the reasoning out: what is measured of texts is measured of the rest."
    for role, source in (("", ours), ("Of the baseline: ", theirs)):
        for note in source.notes if source is not None else ():
            if role and note in ours.notes:
                continue
            yield f"{role}{note[:1].upper()}{note[1:]}."


def stored_training(stored: Mapping[str, Any] | None) -> Training | None:
    """Return what a manifest says of the training; None where it says nothing."""
    return None if stored is None else Training(**{**stored, "warnings": tuple(stored["warnings"])})


def run_key(prompts: Iterable[Prompt], params: SamplingParams, engines: Mapping[Role, Engine]) -> dict[str, Any]:
    """Return what the drawn tokens depend on; two runs with one key are the same run."""
    return {
        "checkpoint": engines["checkpoint"].info.fingerprint,
        "baseline": engines["baseline"].info.fingerprint if "baseline" in engines else None,
        "suite": suite_sha(list(prompts)),
        "scoring": engines["checkpoint"].scoring,
        "dtype": engines["checkpoint"].info.dtype,
        "baseline_dtype": engines["baseline"].info.dtype if "baseline" in engines else None,
        **asdict(params),
    }


def run_directory(config: RunConfig, key: Mapping[str, Any]) -> Path:
    """Return the named run directory, or the default one, whose name is a function of the run's key."""
    if config.run_dir is not None:
        return Path(config.run_dir)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    return RUNS / f"{Path(config.checkpoint).name}-{digest}"


def describe_protocol(config: RunConfig, todo: Plan, engine: Engine, n_prompts: int, ci_level: float) -> Protocol:
    """Return the protocol as the report states it.

    Parameters
    ----------
    n_prompts : int
        Prompts that were drawn, of those of the plan.
    ci_level : float
        Level of every interval at the last look.
    """
    deployment = todo.deployment(engine)
    deploy_temperature, deploy_top_p = (None, None) if isinstance(deployment, str) else deployment
    return Protocol(
        suite=config.suite,
        suite_sha=suite_sha(todo.prompts),
        suite_source=config.suite_source,
        n_prompts=n_prompts,
        n_planned=len(todo.prompts),
        adaptive=config.adaptive,
        budget=config.budget,
        engine=config.engine,
        scoring=engine.scoring,
        device=engine.device,
        versions=_versions(),
        chat_template=engine.uses_chat_template,
        ci_level=ci_level,
        batch_rows=engine.batch_rows,
        probes=config.probes,
        lexicon=todo.lexicon,
        deploy_temperature=deploy_temperature,
        deploy_top_p=deploy_top_p,
        **asdict(todo.params),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def tokens_generated(drawn: Iterable[Samples]) -> int:
    """Return the tokens of every completion of some samples, conditions included."""
    parts = (part for s in drawn for part in (s.groups, *s.conditions.values()))
    return sum(c.n_tokens for part in parts for g in part for c in g.completions)


def measure_cost(drawn: Iterable[Samples], tokens_drawn: int, sampling_s: float, wall_s: float) -> Cost:
    """Return the cost of a run that was looked at once.

    Parameters
    ----------
    drawn : iterable of Samples
        Everything behind the report, resumed parts included.
    tokens_drawn : int
        Tokens drawn by this process.
    sampling_s, wall_s : float
        Seconds spent sampling, and in all, by this process.
    """
    drawn = list(drawn)
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(
        tokens_generated=tokens_generated(drawn),
        tokens_scored=sum(len(x.token_ids) for s in drawn for scored in s.scores.values() for x in scored),
        wall_s=round(wall_s, 3),
        tokens_per_s=round(tokens_drawn / sampling_s, 1) if tokens_drawn and sampling_s > 0 else None,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    )
