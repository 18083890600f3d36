"""NeMo-RL: the samples of a training step (`train_data_stepN.jsonl`) or of a validation (`val_data_stepN.jsonl`).

Takes one of the files, or the log directory with them; of a directory the training steps are read, of the last step
unless one is named. A row is one sample in lists of one. It holds no group and no right answer: the samples of one
prompt are a group, and the reward is the grade where it lies in [0, 1]. Conversations of several turns are refused.
The engine's log-probabilities of the sampled tokens give an estimate of the entropy with one sample a token, the mean
of -log p; NeMo-RL's own `approx_entropy` is the same estimate.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entropydx.importers._entropy import imported_entropy
from entropydx.importers._fields import numbers, token_ids, whole
from entropydx.importers._files import by_step, names
from entropydx.importers._log import log_note
from entropydx.importers._reading import (
    PROMPT_FIELDS,
    Row,
    column,
    first_row,
    lookup,
    prompt_id,
    prompt_of,
    read_rows,
    refuse,
    same_k,
)
from entropydx.importers._rewards import reward_grade
from entropydx.protocols import Importer
from entropydx.types import Completion, FloatArray, Group, Imported, ImportOptions, ImportSource, IntArray

NAMED = re.compile(r"(?P<part>train|val)_data_step(?P<step>\d+)\.jsonl")
OWN = ("content", "rewards", "idx")
TOKENS = ("token_ids", "token_loss_mask", "generation_logprobs")
TURNS = "the conversation has several turns of the model, and one is taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """One row."""

    asked: str
    text: str
    ids: IntArray | None
    """(T,) of the completion; None in a validation."""
    logprobs: FloatArray | None
    """(T,) of the engine that sampled, at its temperature."""
    row: Row


class NemoRL:
    """Samples of NeMo-RL."""

    tool = "NeMo-RL"
    fields: tuple[str, ...] = PROMPT_FIELDS
    ignores: tuple[str, ...] = ("tokenizer",)

    def recognises(self, path: Path) -> bool:
        """Return whether the first row has the columns that every file of samples has, in lists of one."""
        files = _files(path)
        row = first_row(files[-1]) if files else {}
        return {*OWN} <= row.keys() and all(_is_single(row[name]) for name in ("content", "rewards"))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the samples of one step, and the entropy that their log-probabilities estimate."""
        file = _of_step(path, options.step)
        samples = [_sample(where, row) for where, row in read_rows(file)]
        if not samples:
            refuse(str(file), "it has no row")
        by_prompt: dict[str, list[_Sample]] = defaultdict(list)
        for sample in samples:
            by_prompt[prompt_id(sample.asked)].append(sample)
        groups, notes = same_k(_group(name, members, options) for name, members in by_prompt.items())
        told = [[-s.logprobs for s in members if s.logprobs is not None] for members in by_prompt.values()]
        note = log_note("NeMo-RL", options.temperature, "estimated by -log p of the sampled tokens")
        named = NAMED.fullmatch(file.name)
        source = ImportSource(
            tool="nemo-rl",
            kind="samples",
            files=names(path, (file,)),
            step=int(named["step"]) if named else None,
            temperature=options.temperature,
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            aggregation="token-mean" if any(told) else None,
            estimator="sampled-nll" if any(told) else None,
            graded_by="reward of NeMo-RL" if any(c.grade is not None for g in groups for c in g.completions) else None,
            answers_from=f"column '{options.map['answer']}'" if "answer" in options.map else None,
            notes=notes,
        )
        entropy = imported_entropy(told, note) if any(told) else ()
        return Imported(source=source, model="unknown", groups=groups, measurements=entropy)


def _files(path: Path) -> list[Path]:
    """Return the files that a path names: of a directory the training steps, else the validations, by their steps."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".jsonl" else []
    found = [(m["part"], int(m["step"]), f) for f in path.glob("*.jsonl") if (m := NAMED.fullmatch(f.name))]
    part = "train" if any(p == "train" for p, _, _ in found) else "val"
    return [f for p, _, f in sorted(found) if p == part]


def _of_step(path: Path, step: int | None) -> Path:
    files = _files(path)
    if not files:
        refuse(str(path), "no train_data_stepN.jsonl or val_data_stepN.jsonl is there", "name a file or its directory")
    if path.is_file():
        return path
    return by_step(path, {int(m["step"]): f for f in files if (m := NAMED.fullmatch(f.name))}, step)


def _is_single(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1


def _one(where: str, row: Mapping[str, Any], name: str) -> Any:
    """Return a field out of its list of one: NeMo-RL writes batches of one row."""
    value = column(row, name, where)
    return value[0] if _is_single(value) else refuse(where, f"'{name}' is no list of one")


def _sample(where: str, row: dict[str, Any]) -> _Sample:
    content = _one(where, row, "content")
    if not isinstance(content, list) or not content:
        refuse(where, "'content' is no list of messages")
    if all(isinstance(message, Mapping) for message in content):
        return _validated(where, row, content)
    if not all(isinstance(message, str) for message in content):
        refuse(where, "'content' is neither texts nor messages with roles")
    return _trained(where, row, content)


def _validated(where: str, row: dict[str, Any], content: Sequence[Mapping[str, Any]]) -> _Sample:
    """Return a sample of a validation, whose messages have roles."""
    turns = [i for i, message in enumerate(content) if message.get("role") == "assistant"]
    if len(turns) != 1:
        refuse(where, TURNS if turns else "no message is of the assistant")
    asked = "\n".join(str(message.get("content") or "") for message in content[: turns[0]])
    text = str(content[turns[0]].get("content") or "")
    return _Sample(asked=asked, text=text, ids=None, logprobs=None, row=(where, row))


def _trained(where: str, row: dict[str, Any], content: Sequence[str]) -> _Sample:
    """Return a sample of a training step, whose messages have none: the loss mask tells which tokens are the model's.

    What stands behind them is the environment's word on them, the last of the messages.
    """
    length = whole(_one(where, row, "input_lengths"), "input_lengths", where)
    ids = token_ids(_one(where, row, "token_ids"), "token_ids", where)[:length]
    mask, logprobs = (numbers(_one(where, row, name), name, where)[:length] for name in TOKENS[1:])
    if not len(ids) == len(mask) == len(logprobs) == length:
        refuse(where, f"{', '.join(TOKENS)} are not of the length of 'input_lengths'")
    own = np.flatnonzero(mask == 1)
    if not len(own) or own[-1] - own[0] + 1 != len(own):
        refuse(where, TURNS if len(own) else "no token of it is the model's")
    if np.isnan(logprobs[own]).any():
        refuse(where, "'generation_logprobs' is not a finite number at every token of the model")
    turn = len(content) - 1 - int(own[-1] + 1 < length)
    if turn < 1:
        refuse(where, "'content' has no prompt before the completion")
    return _Sample(
        asked="\n".join(content[:turn]),
        text=content[turn],
        ids=ids[own],
        logprobs=logprobs[own],
        row=(where, row),
    )


def _group(name: str, members: Sequence[_Sample], options: ImportOptions) -> Group:
    where, row = members[0].row
    return Group(
        prompt=prompt_of(where, row, options, {"id": name, "prompt": members[0].asked}),
        completions=tuple(_completion(sample, options) for sample in members),
    )


def _completion(sample: _Sample, options: ImportOptions) -> Completion:
    """Return a completion; its log-probabilities are known at temperature 1 only where the user says so of all."""
    where, row = sample.row
    at_one = options.temperature == 1 and options.top_p == 1
    answer = lookup(row, options.map["answer"], where) if "answer" in options.map else None
    score = options.score or "rewards"
    return Completion(
        token_ids=sample.ids,
        logprobs=sample.logprobs if at_one else None,
        entropies=None,
        text=sample.text,
        finish_reason="unknown",
        answer=None if answer is None else str(answer),
        grade=reward_grade(_one(where, row, score), where, score, options),
    )


importer: Importer = NemoRL()
