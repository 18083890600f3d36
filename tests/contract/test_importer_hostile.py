"""Every field of every tool's rows, replaced by what it cannot be: read, or refused in one line; never a traceback."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from entropydx import plugins
from entropydx.errors import EntropydxError
from entropydx.types import ImportOptions

IMPORTS = Path(__file__).parents[2] / "fixtures" / "imports"
ABSENT = object()
VALUES = (None, [], {}, "x", [None], {"a": 1}, 1e400, ["x"], ABSENT)
FILES = {
    "verl": ("verl/rollout_v1/60.jsonl", "verl/rollout_v0/0.jsonl", "verl/tiny/grpo.jsonl"),
    "prime_rl": ("prime_rl/token_exports/step_12/rank_0.jsonl",),
    "nemo_rl": ("nemo_rl/train_data_step12.jsonl", "nemo_rl/val_data_step12.jsonl"),
    "lm_eval": ("lm_eval/tiny-base/samples_*.jsonl", "lm_eval/choice/samples_*.jsonl"),
    "inspect": ("inspect/tiny-base.json",),
    "lighteval": ("lighteval/details/tiny-base/*/*.parquet",),
    "trl": ("trl/completions/completions_00040.parquet",),
    "generic": ("generic/completions-checkpoint.parquet",),
}
CASES = [(tool, pattern) for tool, patterns in FILES.items() for pattern in patterns]
N_ROWS, DEPTH = 2, 4


def _read(file: Path) -> list[Any]:
    if file.suffix == ".parquet":
        return pyarrow.parquet.read_table(file).to_pylist()[:N_ROWS]
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()[:N_ROWS]]
    log = json.loads(file.read_text())
    return [{**log, "samples": log["samples"][:N_ROWS]}]


def _written(rows: list[Any], file: Path) -> bool:
    """Write rows as the tool would; a table has no place for values of several types."""
    if file.suffix == ".parquet":
        try:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        except (pyarrow.ArrowException, OverflowError):
            return False
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return True


def _places(value: Any, depth: int, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every field of an object, and of the first of every list."""
    keys = list(value) if isinstance(value, dict) else [0] if isinstance(value, list) and value else []
    for key in keys:
        yield (*before, key)
        if depth:
            yield from _places(value[key], depth - 1, (*before, key))


def _put(row: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        row = row[key]
    if value is ABSENT:
        del row[place[-1]]
    else:
        row[place[-1]] = value


@pytest.mark.slow
@pytest.mark.parametrize(("tool", "pattern"), CASES, ids=[pattern for _, pattern in CASES])
def test_no_field_breaks_an_importer(tool: str, pattern: str, tmp_path: Path) -> None:
    importer = plugins.load("importer", tool)
    original = next(IMPORTS.glob(pattern))
    rows = _read(original)
    file = tmp_path / original.name
    tried, refusals = 0, []
    for place in _places(rows[0], DEPTH):
        for value in VALUES:
            changed = copy.deepcopy(rows)
            _put(changed[0], place, value)
            if not _written(changed, file):
                continue
            tried += 1
            importer.recognises(file)
            try:
                importer.read(file, ImportOptions())
            except EntropydxError as error:
                refusals.append(str(error))
    assert 0 < len(refusals) < tried or "choice" in pattern
    assert not any("\n" in message for message in refusals)
