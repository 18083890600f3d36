"""Report <-> JSON: the type hints of `entropydx.types` are what is written, what is read and what is published.

Strict JSON: no NaN, no Infinity, ASCII only (a report quotes model output, and a terminal obeys control characters),
no `##[` (a log of GitHub Actions obeys what follows; it is written with an escape, and read as it was), keys in the
order of the dataclass fields, floats at 6 significant digits. `Remedy.for_` is `for` in the document.

pydantic is not used here: between its 2.7 and 2.14 the schema of plain dataclasses changes with the release, and a
published schema must not depend on what else is installed.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import math
from collections import Counter
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from entropydx import types
from entropydx.errors import ReportError
from entropydx.types import FAILURES, SCHEMA_VERSION, TRAJECTORY_VERSION, Report, Trajectory

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R")
SIGNIFICANT_DIGITS = 6
"""Digits of every float in the document; integers are written whole."""

SCHEMA_ID = f"urn:entropydx:report:{SCHEMA_VERSION}"
MEND = "write it again with `entropydx triage`; `entropydx schema` prints what is expected"
SCALARS: dict[Any, tuple[str, str]] = {
    str: ("string", "a string"),
    bool: ("boolean", "true or false"),
    int: ("integer", "a whole number"),
    float: ("number", "a number"),
}
"""Python type to its JSON Schema name and to the words of an error."""


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


def to_json(record: DataclassInstance) -> str:
    """Write a report, or the document of a gate, a series, a sweep..., as strict JSON, ending in a newline.

    Raises
    ------
    ReportError
        A field holds NaN, Infinity, or something that JSON has no word for; the message names the field.
    """
    return json.dumps(_plain(record, ""), indent=2, allow_nan=False).replace("##[", "#\\u0023[") + "\n"


def to_line(record: DataclassInstance) -> str:
    """Write a record as `to_json` does, on one line that ends in a newline."""
    return json.dumps(_plain(record, ""), allow_nan=False) + "\n"


def _plain(value: Any, where: str) -> Any:
    """Return `value` as JSON's own types; `where` is its path in the document."""
    if dataclasses.is_dataclass(value):
        return {_key(f.name): _plain(getattr(value, f.name), _join(where, f)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {_text(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return _rounded(value, where)
    if isinstance(value, str):
        return _text(value)
    raise ReportError(f"{where} is a {type(value).__name__}, which JSON cannot hold", "give a plain Python value")


def _rounded(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise ReportError(f"{where} is {value}, which is not a number", "say null and give a `missing_reason`")
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _text(value: str) -> str:
    """Replace lone surrogates (a file name in a foreign encoding), which no JSON reader has to accept."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _key(name: str) -> str:
    return name.rstrip("_")


def _join(where: str, field: dataclasses.Field[Any]) -> str:
    return f"{where}.{_key(field.name)}".lstrip(".")


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def load_report(path: Path | str) -> Report:
    """Read a report file.

    Raises
    ------
    ReportError
        The file cannot be read, is not JSON, has another `schema_version`, or has a field that is wrong.
    """
    return from_json(_text_of(path, "give a report file, from `--json FILE`"), path)


def load_trajectory(path: Path | str) -> Trajectory:
    """Read the document of a series.

    Raises
    ------
    ReportError
        The file cannot be read, is not such a document, or has another `schema_version`.
    """
    hint = "give the document of `entropydx trajectory --json FILE`"
    try:
        found = from_line(Trajectory, _text_of(path, hint), str(path))
    except ReportError as error:
        raise ReportError(error.message, hint) from error
    if found.schema_version != TRAJECTORY_VERSION:
        wrong = f"schema_version is {json.dumps(found.schema_version)}, and this entropydx reads"
        again = "write it again with the same `entropydx trajectory` command, which draws nothing"
        raise ReportError(f"{path}: {wrong} {json.dumps(TRAJECTORY_VERSION)}", again)
    return found


def _text_of(path: Path | str, hint: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{path}: is not UTF-8 text", hint) from error


def from_json(text: str, where: Path | str = "report") -> Report:
    """Read a report.

    A field that has a default may be left out; an unknown field is an error.

    Parameters
    ----------
    text : str
        The document.
    where : Path or str
        What an error calls the document.

    Raises
    ------
    ReportError
        Not strict JSON, another `schema_version`, or a wrong field; the message names it.
    """
    try:
        document = json.loads(text, parse_constant=_not_json, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{where}: is not strict JSON: {error}", MEND) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ReportError(f"{where}: is not an entropydx report: it has no schema_version", MEND)
    if version != SCHEMA_VERSION:
        found = (
            f"{where}: schema_version is {json.dumps(version)}, and this entropydx reads {json.dumps(SCHEMA_VERSION)}"
        )
        raise ReportError(found, "write it again with `entropydx triage`, or use the release that wrote it")
    try:
        report: Report = _read(Report, document, "")
        _check(report)
    except _FieldError as error:
        raise ReportError(f"{where}: {error}", MEND) from error
    return report


def from_line(kind: type[R], text: str, where: str) -> R:
    """Read a record that `to_line` wrote; `where` is what an error calls it.

    Raises
    ------
    ReportError
        Not strict JSON, or a wrong field.
    """
    try:
        record: R = _read(kind, json.loads(text, parse_constant=_not_json, parse_float=_finite), "")
    except (ValueError, RecursionError, _FieldError) as error:
        raise ReportError(f"{where}: {error}") from error
    return record


class _FieldError(Exception):
    """A field that is not what the schema says."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where or 'the document'} {problem}")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(literal: str) -> float:
    if not math.isfinite(value := float(literal)):
        raise ValueError(f"{literal} is out of range")
    return value


def _expected(where: str, what: str, value: Any) -> _FieldError:
    got = json.dumps(value)
    return _FieldError(where, f"should be {what}, and is {got if len(got) <= 40 else got[:37] + '...'}")


def _read(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as an instance of the type hint `kind`."""
    origin, args = get_origin(kind), get_args(kind)
    if NoneType in args:
        return None if value is None else _read(args[0], value, where)
    if dataclasses.is_dataclass(kind):
        return _read_record(kind, value, where)
    if origin is tuple:
        return _read_tuple(args, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise _expected(where, "an object", value)
        return {key: _read(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is Literal or _is_enum(kind):
        return _read_choice(kind, value, where)
    return value if kind is Any else _read_scalar(kind, value, where)


def _read_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _expected(where, "an object", value)
    hints, fields = _hints(kind), {_key(f.name): f for f in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise _FieldError(f"{where}.{key}".lstrip("."), "is not a field of the schema")
    for key, field in fields.items():
        if key not in value and not _has_default(field):
            raise _FieldError(_join(where, field), "is missing")
    return kind(
        **{f.name: _read(hints[f.name], value[key], _join(where, f)) for key, f in fields.items() if key in value}
    )


def _read_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _expected(where, "a list", value)
    kinds = (args[0],) * len(value) if args[-1] is Ellipsis else args
    if len(value) != len(kinds):
        raise _expected(where, f"a list of {len(kinds)}", value)
    return tuple(_read(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _read_choice(kind: Any, value: Any, where: str) -> Any:
    choices = _choices(kind)
    if not isinstance(value, str) or value not in choices:
        raise _expected(where, f"one of {', '.join(choices)}", value)
    return kind(value) if _is_enum(kind) else value


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    accepted = (int, float) if kind is float else (kind,)
    if type(value) not in accepted:
        raise _expected(where, SCALARS[kind][1], value)
    try:
        return kind(value)
    except OverflowError:
        raise _expected(where, "a number within a double's range", value) from None


def _check(report: Report) -> None:
    """Check what type hints cannot say; the schema says the same."""
    failures = report.diagnosis.failures
    if set(failures) != set(FAILURES):
        raise _expected("diagnosis.failures", f"an object with the keys {', '.join(FAILURES)}", sorted(failures))
    names = Counter(row.name for row in report.measurements)
    for i, row in enumerate(report.measurements):
        if names[row.name] > 1:
            raise _FieldError(f"measurements[{i}]", f"is {row.name} a second time: which of them holds cannot be told")
        if (row.value is None) == (row.missing_reason is None):
            raise _FieldError(f"measurements[{i}]", f"({row.name}) should have either a value or a missing_reason")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _choices(kind: Any) -> list[str]:
    return [str(choice) for choice in (kind if _is_enum(kind) else get_args(kind))]


# ── the schema ────────────────────────────────────────────────────────────────────────────────────


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the documents that `to_json` writes; field docstrings become descriptions."""
    docs = _field_docs()
    records = {record.__name__: _record_schema(record, docs) for record in _records(Report)}
    report = records.pop("Report")
    records["Diagnosis"]["properties"]["failures"] |= {
        "properties": {failure: {"$ref": "#/$defs/FailureAssessment"} for failure in FAILURES},
        "required": list(FAILURES),
        "additionalProperties": False,
    }
    records["MeasurementRow"]["oneOf"] = [
        {"properties": {"value": {"type": "number"}, "missing_reason": {"type": "null"}}},
        {"properties": {"value": {"type": "null"}, "missing_reason": {"type": "string"}}},
    ]
    report["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    labels = {"description": inspect.getdoc(types.Label), "type": "string", "enum": _choices(types.Label)}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, "title": "entropydx report"}
    return json.loads(json.dumps({**head, **report, "$defs": {"Label": labels, **records}}))  # type: ignore[no-any-return]


def _record_schema(record: Any, docs: dict[tuple[str, str], str]) -> dict[str, Any]:
    properties = {}
    for name, kind in _hints(record).items():
        doc = docs.get((record.__name__, name))
        properties[_key(name)] = ({"description": doc} if doc else {}) | _kind_schema(kind)
    return {
        "description": inspect.getdoc(record),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _kind_schema(kind: Any) -> dict[str, Any]:
    """Return the schema of one type hint."""
    origin, args = get_origin(kind), get_args(kind)
    if NoneType in args:
        return {"anyOf": [_kind_schema(args[0]), {"type": "null"}]}
    if dataclasses.is_dataclass(kind) or _is_enum(kind):
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin is tuple:
        return {"type": "array"} | _items_schema(args)
    if origin is dict:
        return {"type": "object", "additionalProperties": _kind_schema(args[1])}
    if origin is Literal:
        return {"type": "string", "enum": _choices(kind)}
    return {"type": SCALARS[kind][0]} if kind in SCALARS else {}


def _items_schema(args: tuple[Any, ...]) -> dict[str, Any]:
    if args[-1] is Ellipsis:
        return {"items": _kind_schema(args[0])}
    return {"prefixItems": [_kind_schema(arg) for arg in args], "items": False, "minItems": len(args)}


def _records(kind: Any) -> dict[Any, None]:
    """Return the dataclasses that a type hint reaches, each once, a record before what is inside it."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        inside = [_records(hint) for hint in _hints(kind).values()]
        return {kind: None} | {record: None for part in inside for record in part}
    return {record: None for arg in get_args(kind) if arg is not Ellipsis for record in _records(arg)}


def _field_docs() -> dict[tuple[str, str], str]:
    """Return the string literal under each field of `entropydx.types`, by class and field name."""
    docs = {}
    for record in _records(Report):
        # What records share stands in a base class.
        bases: tuple[type, ...] = record.__mro__
        for base in (kind for kind in bases if kind.__module__.startswith(types.__name__)):
            source = ast.parse(inspect.getsource(base)).body[0]
            assert isinstance(source, ast.ClassDef)
            for pair in itertools.pairwise(source.body):
                match pair:
                    case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(doc))):
                        docs[record.__name__, field] = inspect.cleandoc(doc)
    return docs
