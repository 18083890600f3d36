"""Read the records of a suite, each with the place where it stands, for error messages.

JSON and JSONL are read here, strictly, because `datasets` reports a bad line without its number and turns a field that
only some records have into nulls. CSV, Parquet and Hugging Face data sets go through `datasets`.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from entropydx.errors import SuiteError, reading

Record = tuple[str, dict[str, Any]]
"""Where it stands, and its fields."""

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
TABLE_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet"}
SPLITS = ("test", "validation", "train")
"""Order in which a split is chosen when the source has several and none is named."""

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+(?::[\w.-]+){0,2}")


@reading(SuiteError)
def read_records(source: str | Path, limit: int | None = None) -> list[Record]:
    """Return the records of a suite, in order.

    Parameters
    ----------
    source : str or Path
        A `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file, a data-set directory, or `owner/name[:config[:split]]`
        of the Hugging Face hub. Only the last may use the network.
    limit : int, optional
        Read no more than this many.

    Raises
    ------
    SuiteError
        The source does not exist, is of no known kind, or cannot be parsed.
    """
    path = Path(source)
    kind = path.suffix.lower()
    if not path.exists():
        return _from_hub(str(source), limit)
    if path.is_dir():
        return _from_directory(path, limit)
    if kind in JSON_SUFFIXES:
        return list(islice(_from_json(path), limit))
    if kind in TABLE_SUFFIXES:
        return _from_table(path, TABLE_SUFFIXES[kind], limit)
    raise SuiteError(f"{path}: unknown kind of file", f"use {', '.join((*JSON_SUFFIXES, *TABLE_SUFFIXES))}")


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


def _from_json(path: Path) -> Iterator[Record]:
    if path.suffix.lower() != ".json":
        return _from_lines(path)
    raw = path.read_bytes()
    try:
        document = _parse(raw)
    except ValueError as error:
        if not raw.lstrip().startswith(b"["):
            return _from_lines(path)  # one object a line under the name .json; a bad line is reported there
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SuiteError(f"{path}{line}: not valid JSON: {_reason(error)}", "mend the array") from error
    items = document.get("data", [document]) if isinstance(document, dict) else document
    if not isinstance(items, list):
        raise SuiteError(f"{path}: neither an array of objects nor one object a line", "write one JSON object a line")
    return ((f"{path}, item {i}", _as_object(f"{path}, item {i}", item)) for i, item in enumerate(items, start=1))


def _from_lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                record = _parse(line)
            except ValueError as error:
                raise SuiteError(
                    f"{where}: not valid JSON: {_reason(error)}", "write one JSON object a line"
                ) from error
            yield where, _as_object(where, record)


def _parse(raw: bytes) -> Any:
    """Parse strict JSON; UnicodeDecodeError and JSONDecodeError are ValueErrors too."""
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _reason(error: ValueError) -> str:
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field '{next(n for n in names if names.count(n) > 1)}' occurs twice")
    return record


def _as_object(where: str, record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise SuiteError(f"{where}: not a JSON object", 'write {"id": ..., "prompt": ..., "answer": ...}')
    return record


# ── everything else, through datasets ─────────────────────────────────────────────────────────────


def _from_table(path: Path, builder: str, limit: int | None) -> list[Record]:
    options: dict[str, Any] = {}
    if builder == "csv":
        options = _csv_options(path)
    with _datasets(path) as datasets, tempfile.TemporaryDirectory() as cache:
        table = datasets.load_dataset(
            builder, data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True, **options
        )
        return _rows(path, table, limit)


def _csv_options(path: Path) -> dict[str, Any]:
    """Every column as text: type inference would turn the answer 007 into 7.0, and the answer NA into nothing."""
    from datasets import Features, Value  # noqa: PLC0415

    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    columns = _csv_columns(path, delimiter)
    features = Features({column: Value("string") for column in columns})
    return {"delimiter": delimiter, "keep_default_na": False, "features": features}


def _csv_columns(path: Path, delimiter: str) -> list[str]:
    """Return the header; a longer row is refused, because pandas would take its first cells for an index."""
    n_rows = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, delimiter=delimiter)
            columns = next(rows, [])
            for row in rows:
                n_rows += 1
                if len(row) > len(columns):
                    raise SuiteError(
                        f"{path}, line {rows.line_num}: {len(row)} cells under {len(columns)} columns",
                        "put text that holds the separator in double quotes",
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise SuiteError(f"{path}: not a table: {error}", "save it as CSV in UTF-8") from error
    if not n_rows:
        raise SuiteError(f"{path}: no records", "give it a header line and at least one row")
    return columns


def _from_directory(path: Path, limit: int | None) -> list[Record]:
    with _datasets(path) as datasets, tempfile.TemporaryDirectory() as cache:
        saved = any((path / name).exists() for name in ("dataset_dict.json", "state.json"))
        loaded = datasets.load_from_disk(str(path)) if saved else datasets.load_dataset(str(path), cache_dir=cache)
        return _rows(path, _one_split(loaded), limit)


def _from_hub(source: str, limit: int | None) -> list[Record]:
    name = _HUB_NAME.fullmatch(source)
    if name is None or Path(source).suffix.lower() in (*JSON_SUFFIXES, *TABLE_SUFFIXES):
        raise SuiteError(f"no suite at {source}", "give a file, a directory, or owner/name of a hub data set")
    repository, *rest = source.split(":")
    config, split = (*rest, None, None)[:2]
    with _datasets(source, "download it first, or check its name and the network") as datasets:
        loaded = datasets.load_dataset(repository, config, split=split)
        return _rows(source, loaded if split else _one_split(loaded), limit)


def _one_split(loaded: Any) -> Any:
    if not isinstance(loaded, Mapping):
        return loaded
    return loaded[next((s for s in SPLITS if s in loaded), next(iter(loaded)))]


def _rows(source: str | Path, table: Any, limit: int | None) -> list[Record]:
    return [(f"{source}, row {i}", dict(row)) for i, row in enumerate(islice(table, limit), start=1)]


@contextmanager
def _datasets(source: str | Path, hint: str = "check it, or convert it to JSONL") -> Iterator[Any]:
    """Lend the `datasets` module without its progress bars and logs, and turn its errors into ours."""
    import datasets  # noqa: PLC0415 - a second to import, and JSONL does without

    bars, verbosity = datasets.is_progress_bar_enabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield datasets
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise SuiteError(f"{source}: cannot be read: {reason[:300]}", hint) from error
    finally:
        datasets.logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()
