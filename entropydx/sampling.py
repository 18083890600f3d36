"""Everything that is asked of an engine for one role: the main draw, the conditions, the scored passages; resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from entropydx import passes, plugins, store, verifiers
from entropydx.errors import ContextError, EngineError, RunStoreError
from entropydx.planning import Plan
from entropydx.protocols import Checker, Engine, Progress
from entropydx.types import (
    CheckpointInfo,
    Completion,
    DrawCondition,
    Group,
    ImportSource,
    LoggedParams,
    Passage,
    Prompt,
    Role,
    Samples,
    SamplingParams,
    Score,
    ScorePass,
)

Asked = TypeVar("Asked", Prompt, Passage)
Given = TypeVar("Given")
PER_WRITE = 32
"""Scores, or groups of a condition, between two synced writes: they are cheap to make again, and a sync costs
milliseconds. The main draw is synced for every prompt."""
NO_BASELINE = "no baseline was given"


class StageProgress:
    """A `Progress` that adds to each stage what the engine is being asked for."""

    def __init__(self, inner: Progress) -> None:
        self._inner, self.doing = inner, ""

    def start(self, stage: str, total: int | None) -> None:
        """Begin a stage."""
        self._inner.start(f"{stage}, {self.doing}" if self.doing else stage, total)

    def advance(self, n: int = 1, note: str = "") -> None:
        """Pass on."""
        self._inner.advance(n, note)

    def warn(self, message: str) -> None:
        """Pass on."""
        self._inner.warn(message)


# ── grading ───────────────────────────────────────────────────────────────────────────────────────


def grade(group: Group) -> Group:
    """Return the group with every answer extracted and graded, and every computation checked."""
    checked = check(group)
    return replace(checked, completions=tuple(_grade(group.prompt, c) for c in checked.completions))


def check(group: Group) -> Group:
    """Return the group with every computation checked; grades and answers stay what they are."""
    prompt = group.prompt
    checker: Checker = plugins.load("checker", prompt.checker)
    return replace(
        group,
        completions=tuple(replace(c, steps=checker(prompt, c.text)) for c in group.completions),
        n_reference_steps=None if prompt.reference is None else len(checker(prompt, prompt.reference)),
    )


def _grade(prompt: Prompt, completion: Completion) -> Completion:
    # A prefilled completion goes on from the cue of its answer, which the verifier has to see.
    graded = verifiers.grade(prompt, prompt.prefill + completion.text)
    span, skipped = graded.span, len(prompt.prefill)
    if prompt.prefill and span is not None and span[1] <= skipped:  # found in what was given: nothing was answered
        graded, span = verifiers.Graded(answer=None, grade=0.0, reason="no_answer"), None
    return replace(
        completion,
        answer=graded.answer,
        grade=graded.grade,
        answer_span=None if span is None or span[0] < skipped else (span[0] - skipped, span[1] - skipped),
    )


# ── one role ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True, kw_only=True)
class Drawer:
    """Asks one engine for what the plan needs and the run directory does not hold yet."""

    engine: Engine
    role: Role
    todo: Plan
    run: store.RunStore
    progress: StageProgress
    parts: dict[str, Any] = field(default_factory=lambda: {"conditions": {}, "scores": {}})
    """Where in the run directory everything lies, for its manifest."""
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[Any]] = field(default_factory=dict)
    """By part: ids of the prompts, or keys of the texts, that do not fit into the model's context."""
    asked: bool = False
    """Whether the engine was asked for anything, and so holds weights."""
    announce: bool = True
    """Tell, once, what the run directory holds already."""

    def main(self) -> Samples:
        """Return the main draw."""
        groups = self._groups(self.role, self.todo.prompts, self.todo.params)
        return Samples(checkpoint=self.engine.info, params=self.todo.params, groups=groups, lexicon=self.todo.lexicon)

    def without_the_rest(self, samples: Samples, reason: str) -> Samples:
        """Return the samples with everything that the plan asks for beside the main draw marked as not drawn."""
        rest = [*(c.name for c in self.todo.requires.conditions), *self.todo.requires.scores]
        self.skipped.update(dict.fromkeys(rest, reason))
        return replace(samples, skipped=dict(self.skipped))

    def draw(self) -> Samples:
        """Return the main draw, every condition, and every pass over the role's own texts and the references."""
        samples = self.main()
        groups = samples.groups
        conditions = {c.name: drawn for c in self.todo.requires.conditions if (drawn := self._condition(c, groups))}
        own = [name for name in self.todo.requires.scores if name != "other"]
        scores: dict[str, tuple[Score, ...]] = {n: scored for n in own if (scored := self._pass(n, groups, ()))}
        if "other" in self.todo.requires.scores:
            self.skipped["other"] = NO_BASELINE
        return replace(samples, conditions=conditions, scores=scores, skipped=dict(self.skipped))

    def score_other(self, samples: Samples, other: Samples) -> Samples:
        """Return the samples with the other checkpoint's texts scored too, where the probes ask for that."""
        if "other" not in self.todo.requires.scores:
            return samples
        del self.skipped["other"]
        scored: tuple[Score, ...] = ()
        if None in (mine := self.engine.info.tokenizer_sha, other.checkpoint.tokenizer_sha):
            self.skipped["other"] = "the engine does not say which tokenizer it uses"
        elif mine != other.checkpoint.tokenizer_sha:
            self.skipped["other"] = "checkpoint and baseline have different tokenizers"
        else:
            scored = self._pass("other", samples.groups, other.groups)
        scores = {**samples.scores, "other": scored} if scored else samples.scores
        return replace(samples, scores=scores, skipped=dict(self.skipped))

    def _tell_what_is_held(self, held: int) -> None:
        wanted, path = len(self.todo.prompts), self.run.path
        if held == wanted:
            self.progress.warn(f"{self.role}: all {wanted} prompts of this round are in {path}; nothing is drawn")
        elif held:
            self.progress.warn(f"{self.role}: {held} of {wanted} prompts are in {path} and are not drawn again")

    def _groups(
        self, part: str, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0
    ) -> tuple[Group, ...]:
        groups = self.run.recover(part)
        held = {g.prompt.id: _given(g.prompt) for g in groups}
        # What a condition gives may have changed under its name: a damaged group of the main draw was drawn again.
        missing = [p for p in prompts if held.get(p.id) != _given(p)]
        fits = {p.id for p in prompts}
        if part == self.role and self.announce:
            self._tell_what_is_held(len(prompts) - len(missing))
            self.announce = False
        if missing:
            drawn, too_long = self._fitting(part, missing, lambda kept: self.engine.generate(kept, params, batch_rows))
            fits -= {p.id for p in too_long}
            per_write = 1 if part == self.role else PER_WRITE
            while some := [grade(group) for group in islice(drawn, per_write)]:
                self.run.append(part, *some)
            # Read back, so that a run that was interrupted and one that was not measure the very same numbers.
            groups = self.run.recover(part)
        return _in_order(groups, [p.id for p in prompts if p.id in fits])

    def _fitting(
        self, part: str, items: Sequence[Asked], ask: Callable[[Sequence[Asked]], Iterator[Given]]
    ) -> tuple[Iterator[Given], Sequence[Asked]]:
        """Ask the engine; beside the main draw without what is too long for the model's context, which comes second."""
        too_long: list[Asked] = []
        try:
            answers = ask(items)
        except ContextError as error:
            if part == self.role:
                raise
            too_long = [items[i] for i in sorted(error.indices)]
            self.left_out[part] = [named(item) for item in too_long]
            self.progress.warn(
                f"{self.role}, {self.progress.doing}: {len(too_long)} of {len(items)} do not fit and are left out: "
                f"{error.message}"
            )
            kept = [item for i, item in enumerate(items) if i not in error.indices]
            if not kept:
                return iter(()), too_long
            answers = ask(kept)
        self.asked = True
        return answers, too_long

    def _condition(self, condition: DrawCondition, own: tuple[Group, ...]) -> tuple[Group, ...]:
        if self.role == "baseline" and not condition.baseline:
            return ()
        deployment = self.todo.deployment(self.engine) if condition.deployment else (1.0, 1.0)
        held = {g.prompt.id: g for g in own}
        prompts = passes.condition_prompts(condition, self.todo.prompts, held, self.todo.whole)
        for reason in (deployment, prompts):
            if isinstance(reason, str):
                self.skipped[condition.name] = reason
                return ()
        assert not isinstance(deployment, str)
        assert not isinstance(prompts, str)
        params = passes.condition_params(condition, self.todo.params, deployment)
        # Named by all that it is drawn with, so that another deployment or version does not find these samples.
        part = (
            f"{self.role}-{condition.name}-k{params.n_samples}-t{params.temperature:g}-p{params.top_p:g}"
            f"-n{params.max_new_tokens}"
        )
        self.progress.doing = condition.name
        try:
            groups = self._groups(part, prompts, params, condition.batch_rows)
        except EngineError as error:  # what comes beside the main draw is no reason to stop
            self.skipped[condition.name] = error.message
            return ()
        finally:
            self.progress.doing = ""
        if not groups:
            self.skipped[condition.name] = "no prompt fits into the model's context"
            return ()
        self.parts["conditions"][condition.name] = {"part": part, "prompts": [g.prompt.id for g in groups]}
        return groups

    def _pass(self, name: ScorePass, own: Sequence[Group], other: Sequence[Group]) -> tuple[Score, ...]:
        asked: list[Passage] | str = f"the engine does not score for the pass {name}"
        if name in self.engine.provides.scores:
            asked = passes.passages(name, own, other, self.todo.whole)
        if isinstance(asked, str):
            self.skipped[name] = asked
            return ()
        part = f"{self.role}-{name}"
        held = {s.key: s for s in self.run.recover_scores(part)}
        missing = [p for p in asked if not _is_scored(p, held.get(p.key))]
        fits = {p.key for p in asked}
        self.progress.doing = name
        try:
            if missing:
                stride = passes.rank_stride(name, self.todo.params.max_new_tokens)
                scored, too_long = self._fitting(
                    part, missing, lambda kept: self.engine.score(kept, stride, self.todo.params.thinking)
                )
                fits -= {p.key for p in too_long}
                while some := list(islice(scored, PER_WRITE)):
                    self.run.append_scores(part, *some)
        except EngineError as error:
            self.skipped[name] = error.message
            return ()
        finally:
            self.progress.doing = ""
        if not fits:
            self.skipped[name] = "no text fits into the model's context"
            return ()
        self.parts["scores"][name] = part
        scores = [s for s in self.run.recover_scores(part) if s.key in fits]
        return _scores_in_order(scores, [p.id for p in self.todo.prompts])

    def manifest(self) -> dict[str, Any]:
        """Return where everything of this role lies, and what is not there and why."""
        return {**self.parts, "skipped": self.skipped, "left_out": self.left_out}


def named(item: Prompt | Passage) -> str | list[str | int]:
    """Return what names an item of a part in strict JSON."""
    return item.id if isinstance(item, Prompt) else list(item.key)


def _given(prompt: Prompt) -> tuple[object, ...]:
    """Return what the engine renders of a prompt."""
    return prompt.prompt, prompt.messages, prompt.prefill


def _is_scored(passage: Passage, held: Score | None) -> bool:
    """Return whether a score is at hand and of the very tokens; a score may end before its passage does."""
    if held is None or passage.token_ids is None:
        return held is not None
    return np.array_equal(held.token_ids, passage.token_ids[: len(held.token_ids)])


def _scores_in_order(scores: Iterable[Score], order: Sequence[str]) -> tuple[Score, ...]:
    """Return the last score of every passage, in the plan's order, however they lie in their file."""
    place = {name: i for i, name in enumerate(order)}
    last = {s.key: s for s in scores}
    return tuple(sorted(last.values(), key=lambda s: (place[s.prompt_id], place[s.source_id], s.sample_index)))


def _in_order(groups: Iterable[Group], order: Sequence[str]) -> tuple[Group, ...]:
    held = {g.prompt.id: g for g in groups}
    return tuple(held[name] for name in order)


# ── reading a finished run ────────────────────────────────────────────────────────────────────────


def read_samples(
    path: Path, role: Role, info: CheckpointInfo, params: SamplingParams | LoggedParams, run: Mapping[str, Any]
) -> Samples:
    """Return the samples of one role of a finished run, in the plan's order: the bootstrap is a function of it.

    Parameters
    ----------
    run : mapping
        The run's manifest.

    Raises
    ------
    RunStoreError
        Samples that the manifest names are gone.
    """
    laid = run["passes"][role]
    source = source_of(run["protocol"].get("imported" if role == "checkpoint" else "imported_baseline"))
    order = run["prompts"]
    # The directory may hold more than this look of it: a larger budget was drawn there before, or begun since.
    known = set(order)
    scores = {
        name: _scores_in_order([s for s in store.read_scores(path, part) if {s.prompt_id, s.source_id} <= known], order)
        for name, part in laid["scores"].items()
    }
    return Samples(
        checkpoint=info,
        params=params if source is None else logged_params(source, params.n_samples),
        groups=_stored(path, role, order),
        conditions={name: _stored(path, at["part"], at["prompts"]) for name, at in laid["conditions"].items()},
        scores=scores,
        skipped=laid["skipped"],
        lexicon=tuple(run["protocol"]["lexicon"]),
        imported=source,
    )


def source_of(document: Mapping[str, Any] | None) -> ImportSource | None:
    """Return where imported samples come from, as a manifest holds it."""
    if document is None:
        return None
    return ImportSource(**{**document, "files": tuple(document["files"]), "notes": tuple(document["notes"])})


def logged_params(source: ImportSource, n_samples: int) -> LoggedParams:
    """Return how another tool sampled, as far as it says."""
    return LoggedParams(
        n_samples=n_samples,
        max_new_tokens=source.max_new_tokens,
        temperature=source.temperature,
        top_p=source.top_p,
    )


def _stored(path: Path, part: str, order: Sequence[str]) -> tuple[Group, ...]:
    groups = store.read_groups(path, part)
    held = {g.prompt.id for g in groups}
    lost = [name for name in order if name not in held]
    if lost:
        raise RunStoreError(
            f"the run in {path} has lost the {part} samples of {len(lost)} prompts, '{lost[0]}' first",
            "run the same `entropydx diagnose` again: it draws them",
        )
    return _in_order(groups, order)
