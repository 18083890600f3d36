"""Suites from files and data sets, checked record by record before a token is drawn."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, get_args

from entropydx.errors import SuiteError, VerifierError, nearest
from entropydx.suites._presets import apply_preset
from entropydx.suites._sources import read_records
from entropydx.types import Difficulty, Domain, Prompt, VerifierSpec
from entropydx.verifiers import check_prompt, check_spec

FIELDS = (*(f.name for f in fields(Prompt) if f.name not in {"extra", "prefill"}), "extract", "tolerance")
"""Fields of a record; any other is kept in `Prompt.extra`."""

_VERIFIER_FIELDS = tuple(f.name for f in fields(VerifierSpec))


def load_suite_file(
    path_or_dataset: str | Path, mapping: Mapping[str, str] | None = None, limit: int | None = None
) -> list[Prompt]:
    """Return the prompts of a suite file or data set.

    Parameters
    ----------
    path_or_dataset : str or Path
        See `suites._sources.read_records`.
    mapping : mapping of str to str, optional
        Field of a record to the column that holds it, for columns with other names. Where the mapping or a preset makes
        the records and they have no id, they are numbered.
    limit : int, optional
        Read only the first so many records.

    Raises
    ------
    SuiteError
        A record cannot be used; the message names the place, the field, and how to mend it.
    """
    records = read_records(path_or_dataset, limit)
    if not records:
        raise SuiteError(f"{path_or_dataset}: no records", 'write {"id": ..., "prompt": ..., "answer": ...} a line')
    places, rows = [where for where, _ in records], [row for _, row in records]
    if mapping:
        rows = _mapped(str(path_or_dataset), rows, mapping)
    rows = apply_preset(rows) or rows
    prompts = [_to_prompt(where, row) for where, row in zip(places, rows, strict=True)]
    _check_unique(places, prompts)
    return prompts


def suite_sha(prompts: Sequence[Prompt]) -> str:
    """Return the sha256, in hexadecimal, over the canonical JSON of all prompts in their order."""
    names = [f.name for f in fields(Prompt) if f.name != "prefill"]  # never a suite's own
    records = [{name: _plain(getattr(prompt, name)) for name in names} for prompt in prompts]
    canonical = json.dumps(records, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value as strict JSON has it."""
    if isinstance(value, VerifierSpec):
        return {name: getattr(value, name) for name in _VERIFIER_FIELDS}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _mapped(source: str, rows: list[dict[str, Any]], mapping: Mapping[str, str]) -> list[dict[str, Any]]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for field, column in mapping.items():
        if field not in FIELDS:
            raise SuiteError(f"--map {field}={column}: no field '{field}'", nearest(field, FIELDS))
        if column not in columns:
            raise SuiteError(f"--map {field}={column}: {source} has no column '{column}'", nearest(column, columns))
    taken = set(mapping.values())
    return [
        {
            "id": f"row-{i}",
            **{column: value for column, value in row.items() if column not in taken},
            **{field: row.get(column) for field, column in mapping.items()},
        }
        for i, row in enumerate(rows, start=1)
    ]


def _check_unique(places: Sequence[str], prompts: Sequence[Prompt]) -> None:
    first: dict[str, str] = {}
    for where, prompt in zip(places, prompts, strict=True):
        if prompt.id in first:
            raise SuiteError(
                f"{where}, field 'id': '{prompt.id}' is taken by {first[prompt.id]}", "give every record its own id"
            )
        first[prompt.id] = where


# ── one record ────────────────────────────────────────────────────────────────────────────────────


class _FieldError(Exception):
    """A field that cannot be used; `_to_prompt` adds the place."""

    def __init__(self, field: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.field, self.message, self.hint = field, message, hint


def _to_prompt(where: str, row: Mapping[str, Any]) -> Prompt:
    """Return a record as a checked prompt; null and empty text are the same as an absent field."""
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    try:
        prompt = _build(given)
        _verified("verifier", partial(check_spec, prompt.verifier))
        _verified("answer", partial(check_prompt, prompt))
    except _FieldError as bad:
        raise SuiteError(f"{where}, field '{bad.field}': {bad.message}", bad.hint) from bad
    return prompt


def _build(given: Mapping[str, Any]) -> Prompt:
    if ("prompt" in given) == ("messages" in given):
        problem = "given together with 'messages'" if "prompt" in given else "missing"
        raise _FieldError(
            "prompt", problem, "give either 'prompt' or 'messages', or name its column: --map prompt=COLUMN"
        )
    return Prompt(
        id=_required(given, "id"),
        prompt=_text(given, "prompt"),
        messages=_messages(given),
        answer=_required(given, "answer"),
        verifier=_verifier(given),
        domain=_one_of(given, "domain", get_args(Domain), "in"),
        difficulty=_one_of(given, "difficulty", get_args(Difficulty), "medium"),
        guess_rate=_guess_rate(given),
        reference=_text(given, "reference"),
        guided=_text(given, "guided"),
        answer_cue=_text(given, "answer_cue"),
        checker=_text(given, "checker") or "arithmetic",
        family=_text(given, "family") or "unnamed",
        extra={name: _plain(value) for name, value in given.items() if name not in FIELDS},
    )


def _verified(field: str, check: partial[None]) -> None:
    try:
        check()
    except VerifierError as error:
        raise _FieldError(field, error.message, error.hint) from error


def _text(given: Mapping[str, Any], field: str) -> str | None:
    value = given.get(field)
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
        raise _FieldError(field, f"{value!r:.60} is not text", "write it in quotes")
    return None if value is None else str(value)


def _required(given: Mapping[str, Any], field: str) -> str:
    value = _text(given, field)
    if value is None or not value.strip():
        raise _FieldError(field, "missing", f"add it, or name its column: --map {field}=COLUMN")
    return value


def _one_of(given: Mapping[str, Any], field: str, options: Sequence[str], default: str) -> Any:
    value = given.get(field, default)
    if value not in options:
        raise _FieldError(field, f"{value!r:.60} is unknown", f"use {', '.join(options)}")
    return value


def _number(given: Mapping[str, Any], field: str) -> float | None:
    value = given.get(field)
    try:
        number = None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = None
    if value is not None and (number is None or not math.isfinite(number)):
        raise _FieldError(field, f"{value!r:.60} is not a number", "write a number such as 0.1")
    return number


def _guess_rate(given: Mapping[str, Any]) -> float | None:
    rate = _number(given, "guess_rate")
    if rate is not None and not 0 <= rate <= 1:
        raise _FieldError("guess_rate", f"{rate:g} is not in [0, 1]", "it is the probability of a right blind guess")
    return rate


def _messages(given: Mapping[str, Any]) -> tuple[Mapping[str, str], ...] | None:
    if "messages" not in given:
        return None
    messages = given["messages"]
    if not isinstance(messages, list) or not messages or not all(_is_message(m) for m in messages):
        raise _FieldError("messages", "not a list of messages", 'write [{"role": "user", "content": "..."}]')
    return tuple({"role": m["role"], "content": m["content"]} for m in messages)


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and all(isinstance(message.get(part), str) for part in ("role", "content"))


def _verifier(given: Mapping[str, Any]) -> VerifierSpec:
    """Return the verifier: an object, its JSON, or a type's name; `extract` and `tolerance` may stand beside it."""
    raw = given.get("verifier", {})
    if isinstance(raw, str):
        raw = _json_object(raw) if raw.lstrip().startswith("{") else {"type": raw}
    if not isinstance(raw, Mapping):
        raise _FieldError("verifier", f"{raw!r:.60} is not an object", 'write {"type": "exact", "extract": "A(\\\\d)"}')
    unknown = [name for name in raw if name not in _VERIFIER_FIELDS]
    if unknown:
        raise _FieldError("verifier", f"unknown part '{unknown[0]}'", nearest(unknown[0], _VERIFIER_FIELDS))
    parts = {name: given[name] for name in ("extract", "tolerance") if name in given}
    parts |= {name: value for name, value in raw.items() if value is not None}
    return VerifierSpec(
        type=_text(parts, "type") or "exact",
        extract=_text(parts, "extract"),
        tolerance=_number(parts, "tolerance") or 0.0,
    )


def _json_object(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise _FieldError("verifier", f"not valid JSON: {error}", "write an object, or the name of a type") from error
