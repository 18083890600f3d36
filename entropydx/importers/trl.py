"""TRL: the log in `trainer_state.json`, and the completions of GRPO and RLOO.

Takes a `trainer_state.json`, a `checkpoint-N`, a `completions_*.parquet` (of `log_completions=True`), or the output
directory with any of them. A file of completions holds no group and no right answer: the completions of one prompt in
one step are a group, and a reward column is the grade where it lies in [0, 1]. `training_args.bin`, which knows the
temperature, is a pickle and is never opened: `--logged-temperature` says it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entropydx.errors import ImportFileError
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
    prompt_id,
    prompt_of,
    read_object,
    read_rows,
    refuse,
    same_k,
)
from entropydx.protocols import Importer
from entropydx.training_log import measure_log
from entropydx.types import Completion, Group, Imported, ImportOptions, ImportSource, Measurement

STATE = "trainer_state.json"
COMPLETIONS = re.compile(r"completions_(\d+)\.parquet")
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
OWN = ("step", "prompt", "completion", "advantage")
"""Columns that every file of completions has; the others are rewards, and what reward functions log beside them."""
NAMES: Names = {
    "entropy": ("entropy",),
    "reward": ("reward",),
    "reward_std": ("reward_std",),
    "zero_std": ("frac_reward_zero_std",),
    "length": ("completions/mean_length", "completion_length"),
    "truncated": ("completions/clipped_ratio",),
    "kl": ("kl",),
    "grad_norm": ("grad_norm",),
}
ON_DATA: Names = {"data_entropy": ("entropy",), "grad_norm": ("grad_norm",)}
"""Of trainers without a reward (SFT, DPO, KTO): their entropy is on the tokens of the data set."""
NOT_A_LOG = "it has no log_history: is it of transformers?"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The files of one run."""

    base: Path
    """What their names are relative to."""
    completions: tuple[Path, ...] = ()
    """By their steps."""
    state: Path | None = None
    """The newest log, which holds the whole history."""

    @classmethod
    def at(cls, path: Path) -> _Found:
        """Look for them."""
        if path.is_file():
            files = (path,) if COMPLETIONS.fullmatch(path.name) else ()
            return cls(base=path.parent, completions=files, state=path if path.name == STATE else None)
        inside = [f for f in (*path.glob("completions/*"), *path.glob("*")) if COMPLETIONS.fullmatch(f.name)]
        states = [f for f in path.glob(f"checkpoint-*/{STATE}") if CHECKPOINT.fullmatch(f.parent.name)]
        states.sort(key=lambda f: int(f.parent.name.removeprefix("checkpoint-")))
        own = path / STATE
        return cls(
            base=path,
            completions=tuple(sorted(inside, key=lambda f: int(COMPLETIONS.sub(r"\1", f.name)))),
            state=own if own.is_file() else states[-1] if states else None,
        )

    def name(self, file: Path) -> str:
        """Return a file as it is named in the report."""
        return file.relative_to(self.base).as_posix()


class TRL:
    """Logs and completions of TRL's trainers."""

    tool = "TRL"
    fields: tuple[str, ...] = (*PROMPT_FIELDS, "answer")
    ignores: tuple[str, ...] = ("tokenizer",)

    def recognises(self, path: Path) -> bool:
        """Return whether files of these names are there, and completions have TRL's columns."""
        found = _Found.at(path)
        if found.completions:
            return {*OWN} <= first_row(found.completions[-1]).keys()
        return found.state is not None

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the completions of one step and what the log says, as far as they are there."""
        found = _Found.at(path)
        if found.state is None and not found.completions:
            refuse(str(path), f"neither a {STATE} nor a file of completions is there")
        file, groups, score, notes = _samples(found.completions, options)
        step = int(COMPLETIONS.sub(r"\1", file.name)) if file is not None else options.step
        measurements: tuple[Measurement, ...] = ()
        if found.state is not None:
            step, measurements = _log(found.state, step, options.temperature)
        source = ImportSource(
            tool="trl",
            kind="samples" if groups else "log",
            files=tuple(found.name(f) for f in (file, found.state) if f is not None),
            step=step,
            temperature=options.temperature,
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            aggregation="token-mean" if measurements else None,
            estimator="full-vocabulary" if measurements else None,
            graded_by=None if score is None else f"reward column '{score}'",
            answers_from=f"column '{options.map['answer']}'" if "answer" in options.map else None,
            notes=notes,
        )
        return Imported(source=source, model="unknown", groups=groups, measurements=measurements)


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def _log(file: Path, step: int | None, temperature: float | None) -> tuple[int, tuple[Measurement, ...]]:
    """Return the last step that is read, the wanted one or that of the log's end, and what the log says until then."""
    history = read_object(file).get("log_history")
    if not isinstance(history, list):
        refuse(str(file), NOT_A_LOG)
    rows = [(int(row["step"]), row) for row in history if isinstance(row, Mapping) and number(row.get("step"))]
    rows = [(at, row) for at, row in rows if step is None or at <= step]
    if not rows:
        refuse(str(file), "nothing was logged" if step is None else f"nothing was logged up to step {step}")
    on_policy = any("reward" in row for _, row in rows)
    note = log_note("TRL", temperature, "full vocabulary", "mean over tokens")
    on_data = "on the tokens of the data set, not the policy's own"
    log = training_log(rows, NAMES if on_policy else ON_DATA)
    return rows[-1][0] if step is None else step, measure_log(log, note if on_policy else on_data)


# ── completions ───────────────────────────────────────────────────────────────────────────────────


def _samples(
    files: Sequence[Path], options: ImportOptions
) -> tuple[Path | None, tuple[Group, ...], str | None, tuple[str, ...]]:
    """Return the file of a step, its groups, their reward column, and what was left out; nothing without a file."""
    if not files:
        return None, (), None, ()
    file, rows = _chosen(files, options.step)
    if not rows:
        refuse(str(file), "it has no row")
    score = _reward(file, rows, options)
    groups, notes = same_k(_groups(rows, score, options))
    return file, groups, score, notes


def _chosen(files: Sequence[Path], step: int | None) -> tuple[Path, list[Row]]:
    """Return the file of a step, of the last one when none is named, and its rows."""
    steps = {int(COMPLETIONS.sub(r"\1", file.name)): file for file in files}
    if step is not None and step not in steps:
        refuse(str(files[-1].parent), f"no completions of step {step}", f"steps: {', '.join(map(str, steps))}")
    file = files[-1] if step is None else steps[step]
    return file, list(read_rows(file))


def _reward(file: Path, rows: Sequence[Row], options: ImportOptions) -> str | None:
    """Return the column that is the grade; None where a verifier grades instead.

    Raises
    ------
    ImportFileError
        No column lies in [0, 1], or more than one does.
    """
    if options.score is not None:
        return options.score
    known = {*OWN, *(options.map[name] for name in TRL.fields if name in options.map)}
    numeric = [name for name in rows[0][1] if name not in known and _numbers(rows, name)]
    usable = [name for name in numeric if all(0 <= value <= 1 for value in _numbers(rows, name))]
    if len(usable) == 1:
        return usable[0]
    if options.verifier is not None and not usable:
        return None
    if usable:
        raise ImportFileError(f"{file}: several columns may be the grade: {', '.join(usable)}", "--score names it")
    have = f"its rewards are {', '.join(numeric)}" if numeric else "it has no rewards"
    raise ImportFileError(f"{file}: no reward lies in [0, 1], so none is a grade: {have}", SCORE_HINT)


def _numbers(rows: Sequence[Row], name: str) -> list[float]:
    """Return the numbers of a column; an empty list where it holds anything else."""
    values = [row.get(name) for _, row in rows]
    found = [float(v) if isinstance(v, bool) else number(v) for v in values if v is not None]
    return [] if None in found else [v for v in found if v is not None]


def _groups(rows: Sequence[Row], score: str | None, options: ImportOptions) -> list[Group]:
    by_prompt: dict[str, list[Row]] = defaultdict(list)
    for where, row in rows:
        by_prompt[prompt_id(_said(where, row, "prompt"))].append((where, row))
    return [_group(name, members, score, options) for name, members in by_prompt.items()]


def _group(name: str, members: Sequence[Row], score: str | None, options: ImportOptions) -> Group:
    where, row = members[0]
    asked = _said(where, row, "prompt")
    known = {"id": name, "prompt": asked} if isinstance(asked, str) else {"id": name, "messages": tuple(asked)}
    return Group(
        prompt=prompt_of(where, row, options, known),
        completions=tuple(_completion(where, row, score, options) for where, row in members),
    )


def _said(where: str, row: Mapping[str, Any], name: str) -> str | list[dict[str, str]]:
    """Return a prompt or a completion as text, or as messages of text.

    Raises
    ------
    ImportFileError
        It is neither.
    """
    value = column(row, name, where)
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(m, Mapping) for m in value):
        refuse(where, f"'{name}' is {value!r:.40}, neither text nor messages")
    return [{"role": str(m.get("role")), "content": _content(m.get("content"))} for m in value]


def _content(content: Any) -> str:
    """Return a message's text; of several parts those that are text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(p["text"] for p in parts if isinstance(p, Mapping) and isinstance(p.get("text"), str))


def _completion(where: str, row: Mapping[str, Any], score: str | None, options: ImportOptions) -> Completion:
    written = _said(where, row, "completion")
    answer = lookup(row, options.map["answer"], where) if "answer" in options.map else None
    return Completion(
        token_ids=None,
        logprobs=None,
        entropies=None,
        text=written if isinstance(written, str) else "\n".join(m["content"] for m in written),
        finish_reason="unknown",
        answer=None if answer is None else str(answer),
        grade=None if score is None else grade(lookup(row, score, where), where, score),
    )


importer: Importer = TRL()
