"""What every importer needs: rows with their places, grades that are grades, prompts by name, groups of one size."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, get_args

from entropydx.errors import ImportFileError
from entropydx.types import Difficulty, Domain, FinishReason, Group, ImportOptions, Prompt

Row = tuple[str, dict[str, Any]]
"""Where it stands, for error messages, and its fields."""
TABLES = (".parquet", ".pq")
LINES = (".jsonl", ".ndjson", ".json")
BATCH = 256
"""Rows of a Parquet file that are read at once."""
SCORE_HINT = "--score names another column; --verifier grades the texts instead, with --map gold=COLUMN where needed"
PROMPT_FIELDS = ("gold", "domain", "difficulty", "family", "reference")
"""Fields of a prompt that `--map` may name a column for."""
ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "tool_calls", "tool_use"})
CUT = frozenset({"length", "max_tokens", "max_length", "model_length", "truncated"})


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSON Lines or Parquet file.

    Raises
    ------
    ImportFileError
        It cannot be opened, or a line is no JSON object. A torn last line, which a tool that was killed leaves behind,
        is left out.
    """
    return _table(path) if path.suffix.lower() in TABLES else _lines(path)


def _table(path: Path) -> Iterator[Row]:
    import pyarrow.parquet  # noqa: PLC0415 - takes a while, and JSON does without
    from pyarrow.lib import ArrowException  # noqa: PLC0415

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            # Batch by batch: each importer that is asked whether it recognises a file reads its first row.
            rows = (row for batch in file.iter_batches(BATCH) for row in batch.to_pylist())
            yield from ((f"{path}, row {i}", row) for i, row in enumerate(rows, start=1))
    except (OSError, ArrowException) as error:
        raise ImportFileError(f"{path} is not a Parquet file that can be read: {_one_line(error)}") from error


def _lines(path: Path) -> Iterator[Row]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and (row := _line(f"{path}, line {number}", line, first=number == 1)) is not None:
                    yield f"{path}, line {number}", row
    except OSError as error:
        raise ImportFileError(f"{path} cannot be read: {error.strerror}") from error


def _line(where: str, line: bytes, *, first: bool) -> dict[str, Any] | None:
    """Return the object of a line; None where the line is torn, which only the last one can be."""
    try:
        row = parsed(line)
    except (ValueError, RecursionError) as error:
        if not (first or line.endswith(b"\n")):
            return None
        raise ImportFileError(f"{where} is not JSON: {_one_line(error)}", "write one JSON object a line") from error
    if not isinstance(row, dict):
        raise ImportFileError(f"{where} is not a JSON object", "write one JSON object a line")
    return row


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises
    ------
    ImportFileError
        It cannot be opened, or is no JSON object.
    """
    try:
        document = parsed(path.read_bytes())
    except OSError as error:
        raise ImportFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ImportFileError(f"{path} is not JSON: {_one_line(error)}") from error
    if not isinstance(document, dict):
        raise ImportFileError(f"{path} is not a JSON object")
    return document


def parsed(content: bytes) -> Any:
    """Return what a JSON text states, with `?` for halves of surrogate pairs, which no file of ours could hold.

    Raises
    ------
    ValueError, RecursionError
        It is no JSON, or nested too deeply.
    """
    found = json.loads(content)
    if b"\\ud" in content.lower():
        found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    return found


def first_row(path: Path) -> dict[str, Any]:
    """Return the first row of a file, an empty one where there is none or it cannot be read: for `recognises`."""
    try:
        return next(read_rows(path), ("", {}))[1]
    except ImportFileError:
        return {}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# ── fields ────────────────────────────────────────────────────────────────────────────────────────


def number(value: Any) -> float | None:
    """Return a finite number; None for null, NaN, Infinity, a truth value and everything that is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def grade(value: Any, where: str, column: str) -> float | None:
    """Return a tool's own score as a grade; None where it wrote none.

    Raises
    ------
    ImportFileError
        A number outside [0, 1], or something else that is no grade: a reward is not one.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return float(value)
    found = number(value)
    if found is None or not 0 <= found <= 1:
        raise ImportFileError(f"{where}: '{column}' is {value!r:.40}, which is no grade in [0, 1]", SCORE_HINT)
    return found


def finish_reason(value: Any) -> FinishReason:
    """Return how a completion ended, in our words; unknown for what is neither an end nor the token limit."""
    word = value.lower() if isinstance(value, str) else ""
    return "stop" if word in ENDED else "length" if word in CUT else "unknown"


def agreed(said: float | None, written: Iterable[float | None], what: str, path: Path) -> float | None:
    """Return one setting of all rows: as written, else as the user says.

    Raises
    ------
    ImportFileError
        The rows differ, or contradict the user.
    """
    found = {value for value in written if value is not None}
    if len(found) > 1:
        some = ", ".join(f"{value:g}" for value in sorted(found)[:4])
        refuse(str(path), f"rows of different {what} ({some})", "import the rows of one at a time")
    if not found:
        return said
    value = found.pop()
    if said is not None and said != value:
        refuse(str(path), f"{what} is {value:g} in the file, and {said:g} was said", "leave the flag out")
    return value


def of_step(rows: Iterable[Row], wanted: int | None, path: Path) -> tuple[int | None, list[Row]]:
    """Return a training step and its rows: the wanted one, else the last; None and all rows where they name no step.

    Raises
    ------
    ImportFileError
        There is no row, none of the wanted step, or some rows name a step and others none.
    """
    rows = list(rows)
    if not rows:
        refuse(str(path), "it has no row")
    steps = {number(row.get("step")) for _, row in rows}
    known = sorted(int(step) for step in steps if step is not None)
    if not known:
        if wanted is not None:
            refuse(str(path), f"its rows name no step, so none is {wanted}", "leave --step out")
        return None, rows
    if None in steps:
        refuse(str(path), "some rows name a step and others do not")
    step = known[-1] if wanted is None else wanted
    if step not in known:
        refuse(str(path), f"no row of step {wanted}", f"steps: {', '.join(map(str, known[:20]))}")
    return step, [(where, row) for where, row in rows if number(row["step"]) == step]


def column(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Return a field that must be there.

    Raises
    ------
    ImportFileError
        It is not.
    """
    if name not in row:
        have = ", ".join(map(str, row)) or "none"
        raise ImportFileError(f"{where} has no column '{name}'", f"columns: {have:.300}")
    return row[name]


def refuse(where: str, what: str, hint: str = "") -> NoReturn:
    """Raise the error of a row or a file."""
    raise ImportFileError(f"{where}: {what}", hint)


# ── prompts and groups ────────────────────────────────────────────────────────────────────────────


def lookup(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Return a column, or `outer.inner` of a nested one.

    Raises
    ------
    ImportFileError
        It is not there.
    """
    if name in row or "." not in name:
        return column(row, name, where)
    outer, _, inner = name.partition(".")
    nested = column(row, outer, where)
    if not isinstance(nested, Mapping):
        refuse(where, f"'{outer}' holds no columns, so '{name}' is none")
    return lookup(nested, inner, f"{where}, '{outer}'")


def prompt_of(where: str, row: Mapping[str, Any], options: ImportOptions, known: Mapping[str, Any]) -> Prompt:
    """Return the prompt of a row.

    Parameters
    ----------
    known : mapping
        Our fields, as the tool itself has them: `id`, `prompt` or `messages`, `gold`, `domain`, `difficulty`, `family`,
        `reference`; None is unknown. `options.map` overrides them.

    Raises
    ------
    ImportFileError
        A mapped column is not there, or a domain or difficulty is none of ours.
    """
    mapped = {ours: lookup(row, theirs, where) for ours, theirs in options.map.items() if ours in PROMPT_FIELDS}
    given = {name: value for name, value in {**known, **mapped}.items() if value is not None and value != ""}
    for name, words in (("domain", get_args(Domain)), ("difficulty", get_args(Difficulty))):
        if name in given and given[name] not in words:
            refuse(where, f"{name} is {given[name]!r:.40}", f"use {', '.join(words)}")
    return Prompt(
        id=str(given["id"]),
        prompt=given.get("prompt"),
        messages=given.get("messages"),
        answer=_text(given.get("gold", "")),
        domain=given.get("domain", "in"),
        difficulty=given.get("difficulty", "medium"),
        family=str(given.get("family", "unnamed")),
        reference=given.get("reference"),
    )


def _text(value: Any) -> str:
    """Return a gold answer as text: 7.0 of a table that made floats of whole numbers is 7."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def prompt_id(given: str | Sequence[Mapping[str, str]]) -> str:
    """Return a name for a prompt that follows from its text or messages: the same in every file."""
    text = given if isinstance(given, str) else json.dumps([dict(m) for m in given], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def same_k(groups: Iterable[Group]) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Return groups of one K, and what was left out, in sentences.

    K is the commonest number of completions (the largest of equally common ones): prompts with fewer are left out, and
    of prompts with more the first K are kept.
    """
    groups = tuple(groups)
    sizes = Counter(len(g.completions) for g in groups)
    if len(sizes) < 2:
        return groups, ()
    k = max(sizes, key=lambda size: (sizes[size], size))
    short, long = (sum(n for size, n in sizes.items() if sign * size > sign * k) for sign in (-1, 1))
    notes = [f"{short} of {len(groups)} prompts have fewer than {k} completions and are left out"] * bool(short)
    notes += [f"of {long} prompts with more than {k} completions the first {k} are taken"] * bool(long)
    kept = (replace(g, completions=g.completions[:k]) for g in groups if len(g.completions) >= k)
    return tuple(kept), tuple(notes)
