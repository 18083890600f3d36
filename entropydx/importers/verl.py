"""verl: rollouts and validations (`trainer.rollout_data_dir`, `validation_data_dir`), and the log of its file logger.

Takes a `STEP.jsonl`, a directory of them, or the file log. A rollout's group is what stands before the last two `_` of
its `uid`, and the equal inputs of older files that have none. `acc` is the grade where there is one, as verl validates
by it, else `score`. The texts were decoded with `skip_special_tokens`: a marker of thinking that is a special token is
not in them. How the logged entropy was aggregated (`loss_agg_mode`) no file says, and two of its modes make it a sum.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entropydx.errors import ImportFileError
from entropydx.importers._fields import mapping, text, whole
from entropydx.importers._files import by_step, names
from entropydx.importers._log import Names, log_note, training_log
from entropydx.importers._reading import (
    PROMPT_FIELDS,
    SCORE_HINT,
    Row,
    column,
    first_row,
    grade,
    lookup,
    number,
    of_step,
    prompt_id,
    prompt_of,
    read_rows,
    refuse,
    same_k,
)
from entropydx.protocols import Importer
from entropydx.training_log import measure_log
from entropydx.types import Completion, Group, Imported, ImportOptions, ImportSource

OWN = ("input", "output", "score", "step")
NUMBERED = re.compile(r"\d+\.jsonl")
UID = re.compile(r"(?P<sample>.+)_(?P<rollout>\d+)_(?P<output>\d+)")
GRADES = ("acc", "score")
NO_ANSWER = "[INVALID]"
"""What verl's reward functions write for an answer that they did not find."""
METRICS = ("actor/", "critic/", "val-core/", "val-aux/", "response_length/")
NAMES: Names = {
    "entropy": ("actor/entropy",),
    "reward": ("critic/rewards/mean", "critic/score/mean"),
    "length": ("response_length/mean",),
    "truncated": ("response_length/clip_ratio",),
    "kl": ("actor/kl_loss",),
    "grad_norm": ("actor/grad_norm",),
}
AGGREGATION = "a mean over tokens, or with a loss_agg_mode of token-sum or seq-mean-token-sum a sum: no file says which"
SPECIAL = "texts were decoded without special tokens: markers of thinking that are special tokens are not in them"


class Verl:
    """Rollouts and logs of verl."""

    tool = "verl"
    fields: tuple[str, ...] = (*PROMPT_FIELDS, "answer")
    ignores: tuple[str, ...] = ("tokenizer",)

    def recognises(self, path: Path) -> bool:
        """Return whether the first row is a rollout's, or a step of the file log."""
        files = _files(path)
        return bool(files) and (_is_rollout(row := first_row(files[-1])) or _is_log(row))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the rollouts of one step, or what the log says."""
        files = _files(path)
        if not files:
            refuse(str(path), "no STEP.jsonl is there", "name a file, or the directory of rollout_data_dir")
        file = files[0] if len(files) == 1 else by_step(path, {int(f.stem): f for f in files}, options.step)
        rows = list(read_rows(file))
        if rows and _is_log(rows[0][1]):
            return _log(file, rows, options)
        return _samples(path, file, rows, options)


def _files(path: Path) -> list[Path]:
    """Return the files that a path names, by their steps."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".jsonl" else []
    return sorted((f for f in path.glob("*.jsonl") if NUMBERED.fullmatch(f.name)), key=lambda f: int(f.stem))


def _is_rollout(row: Mapping[str, Any]) -> bool:
    return {*OWN} <= row.keys()


def _is_log(row: Mapping[str, Any]) -> bool:
    data = row.get("data")
    return row.keys() == {"step", "data"} and isinstance(data, Mapping) and any(k.startswith(METRICS) for k in data)


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def _log(file: Path, rows: Sequence[Row], options: ImportOptions) -> Imported:
    """Return what the log says, up to the wanted step."""
    last = float("inf") if options.step is None else options.step
    steps = [(whole(column(row, "step", where), "step", where), mapping(row.get("data"))) for where, row in rows]
    steps = [(step, metrics) for step, metrics in steps if step <= last]
    if not steps:
        refuse(str(file), f"nothing was logged up to step {options.step}")
    note = log_note("verl", options.temperature, "full vocabulary", AGGREGATION)
    source = ImportSource(
        tool="verl",
        kind="log",
        files=(file.name,),
        step=max(step for step, _ in steps),
        temperature=options.temperature,
        estimator="full-vocabulary",
        notes=(f"the aggregation of the entropy is unknown: {AGGREGATION}",),
    )
    return Imported(source=source, model="unknown", measurements=measure_log(training_log(steps, NAMES), note))


# ── rollouts ──────────────────────────────────────────────────────────────────────────────────────


def _samples(path: Path, file: Path, rows: Sequence[Row], options: ImportOptions) -> Imported:
    step, rows = of_step(rows, options.step, file)
    score = _grade_column(file, rows, options)
    groups, notes = same_k(_group(name, members, score, options) for name, members in _by_prompt(rows).items())
    pred = options.map.get("answer") or ("pred" if all("pred" in row for _, row in rows) else None)
    source = ImportSource(
        tool="verl",
        kind="samples",
        files=names(path, (file,)),
        step=step,
        temperature=options.temperature,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        graded_by=None if score is None else f"column '{score}' of verl",
        answers_from=None if pred is None else f"column '{pred}' of verl",
        notes=(*notes, SPECIAL),
    )
    return Imported(source=source, model="unknown", groups=groups)


def _grade_column(file: Path, rows: Sequence[Row], options: ImportOptions) -> str | None:
    """Return the column that is the grade; None where a verifier grades instead.

    Raises
    ------
    ImportFileError
        None lies in [0, 1], and no verifier was named.
    """
    if options.score is not None:
        return options.score
    for name in GRADES:
        if all(_is_grade(row.get(name)) for _, row in rows):
            return name
    if options.verifier is not None:
        return None
    raise ImportFileError(f"{file}: neither 'acc' nor 'score' lies in [0, 1], so neither is a grade", SCORE_HINT)


def _is_grade(value: Any) -> bool:
    found = float(value) if isinstance(value, bool) else number(value)
    return found is not None and 0 <= found <= 1


def _by_prompt(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each prompt; of a rollout with several outputs the last, which the score is of."""
    by_prompt: dict[str, dict[Any, Row]] = defaultdict(dict)
    for number_, (where, row) in enumerate(rows):
        uid = str(row.get("uid") or "")
        parts = UID.fullmatch(uid)
        name = parts["sample"] if parts else uid or prompt_id(text(row, "input", where))
        by_prompt[name][parts["rollout"] if parts else number_] = (where, row)
    return {name: list(members.values()) for name, members in by_prompt.items()}


def _group(name: str, members: Sequence[Row], score: str | None, options: ImportOptions) -> Group:
    where, row = members[0]
    gold = row.get("gts")
    known = {"id": name, "prompt": text(row, "input", where), "gold": gold if isinstance(gold, str | int) else None}
    return Group(
        prompt=prompt_of(where, row, options, known),
        completions=tuple(_completion(where, row, score, options) for where, row in members),
    )


def _completion(where: str, row: Mapping[str, Any], score: str | None, options: ImportOptions) -> Completion:
    answer = lookup(row, options.map["answer"], where) if "answer" in options.map else row.get("pred")
    return Completion(
        token_ids=None,
        logprobs=None,
        entropies=None,
        text=text(row, "output", where),
        finish_reason="unknown",
        answer=None if answer in (None, "", NO_ANSWER) else str(answer),
        grade=None if score is None else grade(lookup(row, score, where), where, score),
    )


importer: Importer = Verl()
