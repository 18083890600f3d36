"""Shards of a run, drawn by `shards`, put together: the run that one machine would have drawn, without its weights.

    check: shards of one run, all there, all complete -> gather their lines -> lay out as one run -> measure, triage

What the whole run asks for is worked out again on what the shards hold, by the code that draws. Whatever is found
missing then is an error and never a smaller sample.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

from entropydx import document, pipeline, store
from entropydx.config import RunConfig, parse_shard
from entropydx.errors import EngineError, RunStoreError, reading
from entropydx.planning import Plan, plan_for
from entropydx.protocols import Progress, Silent
from entropydx.provenance import Provenance, run_directory, stored_training
from entropydx.rounds import Rounds
from entropydx.sampling import Asked, Drawer, Given, StageProgress, named
from entropydx.shards import command_line
from entropydx.suite_file import suite_sha
from entropydx.types import CheckpointInfo, Group, Passage, Prompt, Report, Requires, Role, SamplingParams, Score

SHOWN = 3
"""Commands of an error message."""
PLACES = {"device", "batch_rows", "versions"}
"""Parts of a protocol in which shards may differ: they were drawn on different machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The directory of one shard."""

    path: Path
    index: int
    count: int
    key: Mapping[str, Any]
    """Of the whole run."""
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """i/N."""
        return f"{self.index}/{self.count}"

    @property
    def complete(self) -> bool:
        """Whether everything that it was asked for is drawn."""
        return "passes" in self.manifest

    @property
    def config(self) -> RunConfig | None:
        """What it was asked for with; None when it was interrupted before it wrote that down."""
        try:
            return RunConfig(**self.manifest["shard"]["config"])
        except KeyError:
            return None
        except TypeError as error:
            raise RunStoreError(f"{self.path} was drawn by another version: {error}", "draw it again") from error

    def origin(self) -> Provenance:
        """Return where its samples come from."""
        return Provenance.from_manifest({**self.manifest, "key": self.key})


# ── which shards ──────────────────────────────────────────────────────────────────────────────────


def line_up(paths: Sequence[Path]) -> list[Shard]:
    """Return the shards of one run in their order, all of them, each complete.

    Raises
    ------
    RunStoreError
        A directory is no shard, or one of another run; a shard is missing, incomplete, or given by two directories.
    """
    found: dict[int, Shard] = {}
    for shard in [_open(path) for path in dict.fromkeys(p.resolve() for p in paths)]:
        first = next(iter(found.values()), shard)
        _check_same_run(first, shard)
        twin = found.setdefault(shard.index, shard)
        if twin is not shard:
            raise RunStoreError(f"{twin.path} and {shard.path} are both shard {shard.name}", "give one of them")
    _check_complete(found)
    shards = [found[i] for i in sorted(found)]
    for shard in shards[1:]:
        _check_same_protocol(shards[0], shard)
    _check_dealt(shards)
    return shards


def _open(path: Path) -> Shard:
    manifest = store.read_manifest(path)
    key = dict(manifest["key"])
    name = key.pop("shard", None)
    if name is None:
        raise RunStoreError(f"{path} is no shard but a whole run", "`entropydx triage` judges it")
    index, count = parse_shard(name)
    return Shard(path=path, index=index, count=count, key=key, manifest=manifest)


def _check_same_run(first: Shard, shard: Shard) -> None:
    differing = [k for k in {**first.key, **shard.key} if first.key.get(k) != shard.key.get(k)]
    changes = [f"{k}: {first.key.get(k)} there, {shard.key.get(k)} here" for k in differing[:3]]
    if first.count != shard.count:
        changes.append(f"shard {first.name} there, {shard.name} here")
    if changes:
        raise RunStoreError(
            f"{first.path} and {shard.path} are not shards of one run ({'; '.join(changes)})", "merge them apart"
        )


def _check_complete(found: Mapping[int, Shard]) -> None:
    some = next(iter(found.values()))
    problems, commands = [], []
    for index in range(1, some.count + 1):
        shard = found.get(index)
        if shard is not None and shard.complete:
            continue
        name = f"{index}/{some.count}"
        problems.append(f"shard {name} is missing" if shard is None else f"shard {name} in {shard.path} is incomplete")
        commands.append(_command(found.values(), name, shard))
    if problems:
        listed = " and ".join(f"`{c}`" for c in commands[:SHOWN]) + (" and so on" if len(commands) > SHOWN else "")
        draws = "draws it" if len(commands) == 1 else "draw them"
        raise RunStoreError("; ".join(problems), f"a part of a run gets no verdict: {listed} {draws}")


def _command(found: Iterator[Shard] | Any, name: str, shard: Shard | None) -> str:
    """Return the command that draws a shard, from what it or any other was asked for with."""
    given = [s for s in ([shard] if shard else []) + list(found) if s.config is not None]
    if not given:
        return f"entropydx diagnose ... --shard {name}"
    config = given[0].config
    assert config is not None
    if shard is not None:
        config = replace(config, run_dir=str(shard.path))
    elif config.run_dir is not None:  # the directories were named by hand, and this one's name is not known
        config = replace(config, run_dir=str(given[0].path.with_name(f"shard-{name.replace('/', 'of')}")))
    return command_line(config, name)


def _check_same_protocol(first: Shard, shard: Shard) -> None:
    ours, theirs = first.manifest["protocol"], shard.manifest["protocol"]
    for name in sorted({*ours, *theirs} - PLACES - {"n_prompts"}):
        if ours.get(name) != theirs.get(name):
            raise RunStoreError(
                f"shards {first.name} and {shard.name} were asked for different things "
                f"({name}: {ours.get(name)} and {theirs.get(name)})",
                "repeat one of them with the other's flags; what it holds is not drawn again",
            )


def _check_dealt(shards: Sequence[Shard]) -> None:
    whole = shards[0].manifest["shard"]["whole"]
    dealt = sorted(name for s in shards for name in s.manifest["prompts"])
    if dealt != sorted(whole):
        raise RunStoreError(
            f"the shards hold {len(set(dealt))} of the run's {len(whole)} prompts, or some of them twice: they were "
            "dealt by different versions",
            "draw all shards with one version",
        )


# ── putting them together ─────────────────────────────────────────────────────────────────────────


def merge(paths: Sequence[Path], run_dir: Path | None = None, progress: Progress | None = None) -> Report:
    """Return the report of the run that some shards make up; needs neither torch nor weights.

    The shards are left as they are. Merged again, the run stays as it is.

    Parameters
    ----------
    paths : sequence of Path
        The shards' directories, in any order.
    run_dir : Path, optional
        Where the whole run is put; None is the default directory of the same `diagnose` without `--shard`.

    Raises
    ------
    RunStoreError
        As `line_up`; or samples are not there that a shard's manifest names.
    """
    started = time.monotonic()
    stages = StageProgress(progress or Silent())
    shards = line_up(paths)
    config = shards[0].config
    assert config is not None
    config = replace(config, run_dir=None if run_dir is None else str(run_dir))
    _remark_on_versions(shards, stages)
    with store.RunStore(run_directory(config, shards[0].key), shards[0].key) as run:
        gather(run.path, [s.path for s in shards])
        engines = {role: StoredEngine(shards, role) for role in shards[0].manifest["shard"]["engines"]}
        todo = _plan(config, shards, run)
        joiner = partial(Joiner, shards=shards, command=command_line(replace(config, run_dir=str(run.path))))
        look = Rounds(
            todo=todo, engines=engines, run=run, progress=stages, judge=_judged_later, adaptive=False, drawer=joiner
        ).everything()
        origin = pipeline.provenance(config, todo, engines, look, (0, 0.0, time.monotonic() - started))
        reason = f"all {len(todo.prompts)} prompts were drawn, in {len(shards)} shards"
        # As the shards read it: this machine need not have the file.
        training = stored_training(shards[0].manifest.get("training"))
        origin = replace(origin, cost=replace(origin.cost, stop_reason=reason), training=training)
        run.write_manifest({**origin.to_manifest(), **pipeline.laid_out(look)})
        report = pipeline.retriage(run.path)
        run.write_report(document.to_json(report))
        for role, samples in look.drawn.items():
            run.export(role, samples)
    return report


def _judged_later(*_: object) -> NoReturn:
    raise AssertionError("a merged run is judged as it is read back")


def _remark_on_versions(shards: Sequence[Shard], progress: Progress) -> None:
    versions = [s.manifest["protocol"]["versions"] for s in shards]
    for name in sorted({name for found in versions for name in found}):
        known = sorted({str(found.get(name)) for found in versions})
        if len(known) > 1:
            progress.warn(f"the shards were drawn with different versions of {name}: {', '.join(known)}")


def _plan(config: RunConfig, shards: Sequence[Shard], run: store.RunStore) -> Plan:
    """Return the plan of the whole run, on the prompts as the shards were given them."""
    held = {g.prompt.id: g.prompt for g in run.recover("checkpoint")}
    whole = shards[0].manifest["shard"]["whole"]
    for shard in shards:
        lost = [name for name in shard.manifest["prompts"] if name not in held]
        if lost:
            raise RunStoreError(
                f"shard {shard.name} in {shard.path} has lost the samples of {len(lost)} prompts, '{lost[0]}' first",
                f"`{_command(shards, shard.name, shard)}` draws them",
            )
    prompts = [held[name] for name in whole]
    if suite_sha(prompts) != shards[0].key["suite"]:
        raise RunStoreError("the shards' prompts are not those of their run", "draw the shards again")
    # The file of markers need not be on this machine.
    lexicon = tuple(shards[0].manifest["protocol"]["lexicon"])
    return replace(plan_for(replace(config, lexicon=None), prompts), lexicon=lexicon)


class StoredEngine:
    """The engine that shards were drawn with, as far as it is told without opening it."""

    def __init__(self, shards: Sequence[Shard], role: Role) -> None:
        facts = [s.manifest["shard"]["engines"][role] for s in shards]
        first = facts[0]
        self.info = CheckpointInfo(**shards[0].manifest[role])
        self.provides = Requires(entropies=True, scores=tuple(first["scores"]))
        self.scoring: str = first["scoring"]
        self.device = ", ".join(dict.fromkeys(f["device"] for f in facts))
        self.uses_chat_template: bool = first["uses_chat_template"]
        self.batch_rows: int = max(f["batch_rows"] for f in facts)
        self.leaves_room = True
        self.deployment = None if first["deployment"] is None else tuple(first["deployment"])

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0) -> Iterator[Group]:
        """Never called: `Joiner` says why a sample is not there."""
        raise AssertionError("a merge draws nothing")

    def score(
        self, passages: Sequence[Passage], rank_stride: int = 0, thinking: Literal["auto", "on", "off"] = "auto"
    ) -> Iterator[Score]:
        """Never called, as `generate`."""
        raise AssertionError("a merge scores nothing")

    def close(self) -> None:
        """Nothing to free."""


@dataclass(slots=True, kw_only=True)
class Joiner(Drawer):
    """A `Drawer` that finds everything in the run directory, or says why it is not there."""

    shards: Sequence[Shard]
    command: str
    """What draws the rest of the whole run."""

    def _fitting(
        self, part: str, items: Sequence[Asked], ask: Callable[[Sequence[Asked]], Iterator[Given]]
    ) -> tuple[Iterator[Given], Sequence[Asked]]:
        """Return no answers and what the shards left out; raise what kept a shard from drawing the rest."""
        laid = [s.manifest["passes"][self.role] for s in self.shards]
        too_long = [name for passes in laid for name in passes["left_out"].get(part, ())]
        absent = [item for item in items if named(item) not in too_long]
        if absent:
            owner = self._owner(absent[0])
            reason = owner.manifest["passes"][self.role]["skipped"].get(self.progress.doing)
            if reason is not None:
                raise EngineError(reason)
            raise RunStoreError(
                f"shard {owner.name} in {owner.path} does not hold {len(absent)} of the {part} samples as the whole "
                "run draws them",
                f"`{self.command}` draws them into the merged run",
            )
        self.left_out[part] = [named(item) for item in items]
        return iter(()), items

    def _owner(self, item: Prompt | Passage) -> Shard:
        name = item.id if isinstance(item, Prompt) else item.prompt.id
        return next(s for s in self.shards if name in s.manifest["prompts"])


def gather(to: Path, sources: Sequence[Path]) -> None:
    """Add every line of samples and scores that other run directories have and one does not hold yet, file by file.

    Each file is replaced in one step, and is left as it is where nothing is new to it. A torn last line is left out.

    Raises
    ------
    RunStoreError
        The disk is full, or a file cannot be read or written.
    """
    kinds = ("samples", "scores")
    for name in sorted({f.name for s in sources for kind in kinds for f in s.glob(f"{kind}-*.jsonl")}):
        temporary = to / f".{name}.tmp"
        try:
            if _join(temporary, to / name, [source / name for source in sources]):
                temporary.replace(to / name)
            temporary.unlink(missing_ok=True)
        except OSError as error:
            raise RunStoreError(
                f"cannot write {to / name}: {error.strerror}", "make room, and run the same command"
            ) from error


def _join(to: Path, held: Path, others: Sequence[Path]) -> int:
    """Write the whole lines of `held`, then those of the others that are not among them; return how many are new."""
    seen: set[bytes] = set()  # digests: lines of long completions are too large to be held
    new = 0
    with to.open("wb") as file:
        for source in (held, *others):
            for line in _whole_lines(source):
                digest = hashlib.sha256(line).digest()
                if digest not in seen:
                    seen.add(digest)
                    file.write(line)
                    new += source is not held
        file.flush()
        os.fsync(file.fileno())
    return new


def _whole_lines(file: Path) -> Iterator[bytes]:
    if file.is_file():
        with reading(RunStoreError, file), file.open("rb") as handle:
            yield from (line for line in handle if line.endswith(b"\n"))
