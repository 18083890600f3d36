"""The page of the settings: what `entropydx.toml` may hold, from the options of `entropydx diagnose`."""

from __future__ import annotations

import ast
import inspect
import types
from dataclasses import MISSING, fields
from string import Template
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from entropydx import config
from entropydx.cli import app

OF_THE_BUDGET = set(get_type_hints(config.Budget))
TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false"}
RENAMED = {"map": "map_", "adaptive": "no_adaptive"}
"""Setting to the parameter of its option, where they differ; the line under the field says what such a key does."""
ENVIRONMENT = {
    "OPENAI_API_KEY": "the key that `--engine openai` sends; written nowhere",
    "CUDA_VISIBLE_DEVICES": "the GPUs that may be used; `--workers` gives each worker one of them",
    "OMP_NUM_THREADS": "threads on a CPU; workers share them",
    "OMP_WAIT_POLICY": "`PASSIVE` unless set: spinning threads cost a tiny model most of its time",
    "HF_HUB_OFFLINE": "`1`: a hub id is looked up in the cache only",
    "RAY_ADDRESS": "the cluster that `--ray auto` joins",
    "NO_COLOR, COLUMNS": "of the terminal",
    "GITHUB_ACTIONS": "`true`: [a summary and annotations](../how-to/ci.md) are written",
    "CI_PROJECT_DIR": "of GitLab: paths in its report are relative to it",
}
"""What is read from the environment, and what for."""


PAGE = Template("""\
# Settings

Generated from `entropydx.config.Settings` and the options of `entropydx diagnose`.

Everything that a flag of `diagnose` sets can stand in a file: `entropydx.toml` in the working directory, else the table
`[tool.entropydx]` of `pyproject.toml`, or what `--config FILE` names. Keys are the flags without their dashes;
`max-new-tokens` and `max_new_tokens` are the same. An unknown key, or a value of another type, stops the command with
the nearest key (exit code 2).

```toml
# entropydx.toml
baseline = "runs/sft/final"
suite = "problems.jsonl"
budget = "standard"
seed = 7
```

Who wins, the first that says something:

1. a flag,
2. the file,
3. the checkpoint's own `entropydx.toml`, table `[checkpoint]` (below),
4. the budget, for the numbers of prompts, samples and tokens,
5. the default.

A budget that a flag or the file names overrides the numbers of prompts and samples that the checkpoint asks for. The
tables $tables of the same file belong to the commands of these names.

| key | flag | type | default | what it does |
|---|---|---|---|---|
$settings

## Budgets

| `budget` | prompts | samples | tokens of a completion |
|---|---|---|---|
$budgets

What a budget means, and when a run stops before it is spent: [when a run stops](../explanation/adaptive-budget.md).

## What a checkpoint may say

A checkpoint directory may hold an `entropydx.toml` whose table `[checkpoint]` names the suite that the model
understands and a size that fits it: $sidecar. Anything else there is refused.

```toml
[checkpoint]
suite = "tiny"
prompts = 108
```

## Environment variables

None of them is needed. `entropydx doctor` prints those that matter on this machine; vLLM's own stand in
[its how-to](../how-to/big-models.md).

| variable | what it does |
|---|---|
$variables
""")


def settings_page() -> str:
    """Return the table of keys, where they come from, and which wins."""
    budgets = [f"| `{n}` | {b.prompts} | {b.samples} | {b.max_new_tokens} |" for n, b in config.BUDGETS.items()]
    variables = [f"| {_names(names.split(', '))} | {what} |" for names, what in ENVIRONMENT.items()]
    return PAGE.substitute(
        settings="\n".join(_rows()),
        budgets="\n".join(budgets),
        sidecar=_names(sorted(config.SIDECAR_KEYS)),
        tables=_names([f"[{name}]" for name in sorted(config.OTHER_TABLES - {"checkpoint"})]),
        variables="\n".join(variables),
    )


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _rows() -> list[str]:
    command: Any = typer.main.get_command(app)
    options = {option.name: option for option in command.commands["diagnose"].params}
    documented = _field_documentation()
    rows = []
    for setting in fields(config.Settings):
        option = options[RENAMED.get(setting.name, setting.name)]
        meaning = documented[setting.name] if setting.name in RENAMED else option.help
        flag = next(name for name in option.opts if name.startswith("--"))
        cells = (f"`{setting.name}`", f"`{flag}`", _type(setting.name), _default(setting.name), meaning)
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return rows


def _field_documentation() -> dict[str, str]:
    """Return the line under each field of `Settings` that has one."""
    (record,) = ast.parse(inspect.getsource(config.Settings)).body
    assert isinstance(record, ast.ClassDef)
    found = {}
    for field, text in zip(record.body, record.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def _type(name: str) -> str:
    return " or ".join(_word(kind) for kind in _members(get_type_hints(config.Settings)[name]))


def _members(hint: Any) -> tuple[Any, ...]:
    union = get_origin(hint) in (Union, types.UnionType)
    return tuple(kind for kind in get_args(hint) if kind is not type(None)) if union else (hint,)


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    return "table of texts" if get_origin(kind) is dict else TYPES[kind]


def _default(name: str) -> str:
    if name in OF_THE_BUDGET:
        return "of the budget"
    field = next(field for field in fields(config.RunConfig) if field.name == name)
    value = None if field.default is MISSING else field.default
    if value is None:
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
