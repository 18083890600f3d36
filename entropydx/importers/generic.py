"""Any tool: one row for each completion, JSON Lines or Parquet, in the columns of docs/reference/import-format.md.

`text` and `prompt_id` or `prompt` (or `messages`) are what it takes; everything else may be left out, and what is left
out is unknown. The `completions-ROLE.parquet` of a run directory of entropydx is of this format too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entropydx.importers._entropy import imported_entropy
from entropydx.importers._reading import (
    LINES,
    TABLES,
    Row,
    agreed,
    finish_reason,
    first_row,
    lookup,
    number,
    of_step,
    prompt_id,
    prompt_of,
    read_rows,
    refuse,
    same_k,
)
from entropydx.importers._rewards import reward_grade
from entropydx.protocols import Importer
from entropydx.types import Completion, FloatArray, Group, Imported, ImportOptions, ImportSource, Measurement

FIELDS: Mapping[str, tuple[str, ...]] = {
    "text": ("completion", "response", "output"),
    "prompt_id": ("id",),
    "prompt": ("input", "question"),
    "messages": (),
    "sample_index": ("sample_idx",),
    "grade": ("correct", "score", "reward"),
    "gold": ("target", "ground_truth"),
    "answer": (),
    "finish_reason": ("stop_reason",),
    "token_ids": (),
    "logprobs": (),
    "entropies": ("entropy",),
    "temperature": (),
    "step": (),
    "model": (),
    "domain": (),
    "difficulty": (),
    "family": (),
    "reference": (),
}
"""Field of the format to the other names that it is found under, the first that is there."""


class Generic:
    """The documented format."""

    tool = "the generic format"
    fields: tuple[str, ...] = tuple(FIELDS)
    ignores: tuple[str, ...] = ("tokenizer",)

    def recognises(self, path: Path) -> bool:
        """Return whether the first row has a text and a prompt."""
        if not path.is_file() or path.suffix.lower() not in (*TABLES, *LINES):
            return False
        row = _ours("", first_row(path), ImportOptions())
        return "text" in row and bool(row.keys() & {"prompt_id", "prompt", "messages"})

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the completions of one step, by prompt."""
        rows = [(where, _ours(where, row, options)) for where, row in read_rows(path)]
        step, rows = of_step(rows, options.step, path)
        by_prompt = _by_prompt(rows)
        groups, notes = same_k(_group(members, options) for members in by_prompt)
        temperature = agreed(options.temperature, (number(r.get("temperature")) for _, r in rows), "temperature", path)
        entropies = _entropies(by_prompt, temperature)
        graded = any(c.grade is not None for g in groups for c in g.completions)
        source = ImportSource(
            tool="generic",
            kind="samples",
            files=(path.name,),
            step=step,
            temperature=temperature,
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            estimator="full-vocabulary" if entropies else None,
            graded_by=f"column '{options.score or 'grade'}'" if graded else None,
            answers_from="column 'answer'" if any("answer" in row for _, row in rows) else None,
            notes=notes,
        )
        models = {str(row["model"]) for _, row in rows if row.get("model")}
        model = models.pop() if len(models) == 1 else "unknown"
        return Imported(source=source, model=model, groups=groups, measurements=entropies)


def _ours(where: str, row: Mapping[str, Any], options: ImportOptions) -> dict[str, Any]:
    """Return the fields of a row under our names; a field that its row does not have is not there."""
    named = {**options.map, **({"grade": options.score} if options.score else {})}
    found = {ours: lookup(row, theirs, where) for ours, theirs in named.items() if ours in FIELDS}
    for ours, aliases in FIELDS.items():
        theirs = next((name for name in (ours, *aliases) if name in row), None)
        if ours not in found and theirs is not None:
            found[ours] = row[theirs]
    return found


def _by_prompt(rows: Iterable[Row]) -> list[list[Row]]:
    """Return the rows of each prompt, by their sample's index where every one has it, else as they stand."""
    by_prompt: dict[str, list[Row]] = defaultdict(list)
    for where, row in rows:
        by_prompt[_name(where, row)].append((where, row))
    for members in by_prompt.values():
        if all(number(row.get("sample_index")) is not None for _, row in members):
            members.sort(key=lambda member: number(member[1]["sample_index"]) or 0.0)
    return list(by_prompt.values())


def _name(where: str, row: Mapping[str, Any]) -> str:
    """Return the prompt's id, or one that follows from what was asked."""
    prompt, messages = row.get("prompt"), row.get("messages")
    if not (isinstance(prompt, str | None) and (messages is None or _are_messages(messages))):
        asked = prompt if messages is None else messages
        refuse(where, f"{asked!r:.60} is no prompt", 'write text, or [{"role": "user", "content": "..."}] as messages')
    if row.get("prompt_id") is not None:
        return str(row["prompt_id"])
    if not messages and not prompt:
        refuse(
            where, "neither 'prompt_id' nor 'prompt' nor 'messages'", "--map prompt=COLUMN names the prompt's column"
        )
    return prompt_id(messages or prompt or "")


def _are_messages(value: Any) -> bool:
    parts = ("role", "content")
    return isinstance(value, list) and all(
        isinstance(m, Mapping) and all(isinstance(m.get(part), str) for part in parts) for m in value
    )


def _group(members: Sequence[Row], options: ImportOptions) -> Group:
    where, row = members[0]
    asked = {"messages": tuple(row["messages"])} if row.get("messages") else {"prompt": row.get("prompt")}
    for there, other in members:
        if any(row.get(name) and other.get(name) not in (None, row[name]) for name in ("prompt", "messages")):
            refuse(there, f"prompt '{_name(where, row)}' has another text than at {where}", "one id names one prompt")
    known = {name: row.get(name) for name in ("gold", "domain", "difficulty", "family", "reference")}
    prompt = prompt_of(where, row, ImportOptions(), {"id": _name(where, row), **asked, **known})
    return Group(prompt=prompt, completions=tuple(_completion(*member, options) for member in members))


def _completion(where: str, row: Mapping[str, Any], options: ImportOptions) -> Completion:
    text = row.get("text")
    if not isinstance(text, str):
        refuse(where, f"'text' is {text!r:.40}, which is no text", "--map text=COLUMN names the completion's column")
    ids = _per_token(where, row, "token_ids", None)
    answer = row.get("answer")
    return Completion(
        token_ids=None if ids is None else ids.astype(np.int32),
        logprobs=None if ids is None else _per_token(where, row, "logprobs", len(ids)),
        entropies=None,
        text=text,
        finish_reason=finish_reason(row.get("finish_reason")),
        answer=None if answer is None else str(answer),
        grade=reward_grade(row.get("grade"), where, options.score or "grade", options),
    )


def _per_token(where: str, row: Mapping[str, Any], name: str, n_tokens: int | None) -> FloatArray | None:
    """Return the numbers of a row's tokens, (T,); None where it has none."""
    if row.get(name) is None:
        return None
    values = [number(value) for value in row[name]] if isinstance(row[name], list) else [None]
    if None in values or n_tokens not in (None, len(values)):
        count = f" of the {n_tokens} tokens" if n_tokens is not None else " token"
        refuse(where, f"'{name}' is not a list of one finite number for each{count}")
    return np.array(values, dtype=float)


def _entropies(by_prompt: Iterable[Sequence[Row]], temperature: float | None) -> tuple[Measurement, ...]:
    """Return the mean of the entropies that the file has; nothing where it has none."""
    told = [
        [values for where, row in members if (values := _per_token(where, row, "entropies", None)) is not None]
        for members in by_prompt
    ]
    if not any(told):
        return ()
    at = f"temperature {temperature:g}" if temperature is not None else "an unknown temperature"
    return imported_entropy(told, f"as the file has it, at {at}: not comparable with token_entropy.mean")


importer: Importer = Generic()
