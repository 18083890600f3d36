"""Known data sets, recognised by the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Fields = dict[str, Any]

_INTEGER = re.compile(r"\d{1,3}")
_LEVELS = {1: "easy", 2: "easy", 3: "medium", 4: "hard", 5: "hard"}


def apply_preset(records: Sequence[Mapping[str, Any]]) -> list[Fields] | None:
    """Return the records with the fields of a suite, or None when no preset fits their columns.

    | preset   | columns                                             | becomes                                      |
    |----------|-----------------------------------------------------|----------------------------------------------|
    | GSM8K    | `question`, `answer` with `####`                    | numeric; the whole `answer` is the reference |
    | MATH-500 | `problem`, `solution`, `answer`, `level`            | math; levels 1-2 easy, 3 medium, 4-5 hard    |
    | AIME     | `problem`, `answer` (or `Problem`, `Answer`), every | numeric, hard, guess rate 0.001              |
    |          | answer an integer of 0 to 999                       |                                              |
    | any math | `problem`, `answer`                                 | math                                         |

    Other columns are kept, `domain` and `difficulty` as `original_domain` and `original_difficulty`.
    """
    records = [{_OTHER_NAMES.get(name, name): value for name, value in r.items()} for r in records]
    columns = set(records[0])
    if columns & {"prompt", "messages"}:
        return None
    if {"question", "answer"} <= columns and all("####" in str(r.get("answer")) for r in records):
        return [_gsm8k(i, r) for i, r in enumerate(records)]
    if not {"problem", "answer"} <= columns:
        return None
    if "level" in columns:
        return [_math(i, r, "math500") for i, r in enumerate(records)]
    if all(_INTEGER.fullmatch(str(r.get("answer")).strip()) for r in records):
        return [{**_math(i, r, "aime"), "verifier": "numeric", **_AIME} for i, r in enumerate(records)]
    return [_math(i, r, "math") for i, r in enumerate(records)]


_OTHER_NAMES = {
    "ID": "id",
    "Problem": "problem",
    "Solution": "solution",
    "Answer": "answer",
    "domain": "original_domain",
    "difficulty": "original_difficulty",
}
_AIME = {"difficulty": "hard", "guess_rate": 0.001}


def _gsm8k(index: int, record: Mapping[str, Any]) -> Fields:
    rest = {name: value for name, value in record.items() if name not in {"question", "answer"}}
    worked = str(record["answer"])
    return {
        "id": f"gsm8k-{index}",
        **rest,
        "prompt": record["question"],
        "answer": worked.rpartition("####")[2].strip(),
        "reference": worked,
        "verifier": "numeric",
        "family": "gsm8k",
    }


def _math(index: int, record: Mapping[str, Any], family: str) -> Fields:
    rest = {name: value for name, value in record.items() if name not in {"problem", "solution", "unique_id"}}
    level = re.search(r"[1-5]", str(record.get("level", "")))
    return {
        "id": record.get("unique_id") or f"{family}-{index}",
        "difficulty": _LEVELS[int(level[0])] if level else "medium",
        **rest,
        "prompt": record["problem"],
        "reference": record.get("solution"),
        "verifier": "math",
        "family": family,
    }
