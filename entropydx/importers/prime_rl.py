"""prime-rl: the token exports of its trainer (`enable_token_export`).

Takes a run directory, its `token_exports`, a `step_N` of it, or one `rank_R.jsonl`; all ranks of one step are read. A
row holds the tokens of a sequence and no text. Its entropies prime-rl takes over the full vocabulary, at the
temperature that it sampled at: the value at position i is of the distribution that token i was drawn from, and
`loss_mask` leaves out prompts and the padding of the first position. They are all that is read, unless `--tokenizer`
names the model's tokenizer: then the texts can be written out, and the samples are read with them. The sequences with
the same tokens before the first that was trained on are of one prompt. The reward is the grade where it lies in [0, 1].
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entropydx.errors import ImportFileError
from entropydx.importers._entropy import imported_entropy
from entropydx.importers._fields import listed, numbers, token_ids
from entropydx.importers._files import by_step, names
from entropydx.importers._log import log_note
from entropydx.importers._reading import (
    Row,
    agreed,
    column,
    first_row,
    lookup,
    number,
    prompt_id,
    prompt_of,
    read_rows,
    refuse,
    same_k,
)
from entropydx.importers._rewards import reward_grade
from entropydx.protocols import Importer
from entropydx.types import Completion, FloatArray, Group, Imported, ImportOptions, ImportSource, IntArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OWN = ("schema_version", "token_ids", "loss_mask", "entropy", "trainer_logprobs", "step")
EXPORTS = "token_exports"
STEP = re.compile(r"step_(\d+)")
STABLE = "STABLE"
"""The marker of a step that every rank has written."""
NO_TEXT = "a token export holds no text: with --tokenizer its samples could be diagnosed, and not its entropy alone"
TURNS = "the model spoke more than once in it, and one turn is taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """One row."""

    prompt: tuple[int, ...]
    """Tokens before the first that was trained on."""
    ids: IntArray
    """(T,) that were trained on."""
    entropies: FloatArray
    """(T,) nats, at the sampling temperature."""
    turns: int
    """Runs of trained tokens."""
    row: Row


class PrimeRL:
    """Token exports of prime-rl."""

    tool = "prime-rl"
    fields: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()

    def recognises(self, path: Path) -> bool:
        """Return whether the first row of a rank has the exporter's columns."""
        ranks = _ranks(path)
        return bool(ranks) and {*OWN} <= first_row(ranks[-1][1]).keys()

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the logged entropy of one step."""
        files = _of_step(path, options.step)
        rows = [row for file in files for row in read_rows(file)]
        if not rows:
            refuse(str(path), "it has no row")
        temperatures = (number(t) for _, row in rows for t in listed(row.get("temperatures")))
        temperature = agreed(options.temperature, temperatures, "temperature", path)
        by_prompt: dict[tuple[int, ...], list[_Sequence]] = defaultdict(list)
        for sequence in filter(None, (_sequence(*row) for row in rows)):
            by_prompt[sequence.prompt].append(sequence)
        tokenizer = None if options.tokenizer is None else _tokenizer(Path(options.tokenizer))
        told = () if tokenizer is None else (_group(members, tokenizer, options) for members in by_prompt.values())
        groups, notes = same_k(told)
        note = log_note("prime-rl", temperature, "full vocabulary", "over the tokens that it trained on")
        source = ImportSource(
            tool="prime-rl",
            kind="samples" if groups else "log",
            files=names(path, files),
            step=_step(rows),
            temperature=temperature,
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            aggregation="token-mean",
            estimator="full-vocabulary",
            graded_by="reward of prime-rl" if any(c.grade is not None for g in groups for c in g.completions) else None,
            notes=(*notes, *(() if groups else (NO_TEXT,)), *_unfinished(files)),
        )
        entropies = imported_entropy([[s.entropies for s in members] for members in by_prompt.values()], note)
        return Imported(source=source, model="unknown", groups=groups, measurements=entropies)


def _ranks(path: Path) -> list[tuple[int, Path]]:
    """Return the files of all ranks with their steps, by step."""
    if path.is_file():
        named = STEP.fullmatch(path.parent.name)
        return [(int(named[1]) if named else -1, path)] if path.suffix.lower() == ".jsonl" else []
    places = [path, *path.glob("step_*"), *path.glob(f"{EXPORTS}/step_*")]
    steps = [(int(m[1]), place) for place in places if (m := STEP.fullmatch(place.name))]
    return sorted((step, file) for step, place in steps for file in place.glob("rank_*.jsonl"))


def _of_step(path: Path, wanted: int | None) -> list[Path]:
    """Return the ranks of a step; without a wish, of the last that every rank has written, else of the last."""
    ranks = _ranks(path)
    if not ranks:
        refuse(str(path), f"no {EXPORTS}/step_N/rank_R.jsonl is there", "prime-rl writes them with enable_token_export")
    steps: dict[int, list[Path]] = defaultdict(list)
    for step, file in ranks:
        steps[step].append(file)
    whole = [step for step, files in steps.items() if (files[0].parent / STABLE).is_file()]
    return by_step(path, steps, wanted if len(steps) > 1 else None, max(whole, default=None))


def _unfinished(files: Sequence[Path]) -> tuple[str, ...]:
    if (files[0].parent / STABLE).is_file():
        return ()
    return (f"no {STABLE} stands beside {files[0].name}: not every rank may have written its rows",)


def _step(rows: Sequence[Row]) -> int | None:
    where, row = rows[-1]
    step = number(row.get("export_step", column(row, "step", where)))
    return None if step is None else int(step)


def _sequence(where: str, row: dict[str, Any]) -> _Sequence | None:
    """Return a row's trained tokens; None where there are none."""
    ids = token_ids(column(row, "token_ids", where), "token_ids", where)
    mask, entropy = (numbers(column(row, name, where), name, where) for name in ("loss_mask", "entropy"))
    if not len(ids) == len(mask) == len(entropy):
        refuse(where, "'token_ids', 'loss_mask' and 'entropy' are not of one length")
    own = np.flatnonzero(mask == 1)
    if not len(own):
        return None
    if np.isnan(entropy[own]).any():
        refuse(where, "'entropy' is not a finite number at every token that was trained on")
    return _Sequence(
        prompt=tuple(ids[: own[0]].tolist()),
        ids=ids[own],
        entropies=entropy[own],
        turns=1 + int((np.diff(own) > 1).sum()),
        row=(where, row),
    )


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────


def _tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer  # noqa: PLC0415 - comes with transformers, and takes a while

    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises no other
        raise ImportFileError(f"{file} is no tokenizer that can be read: {error}") from error


def _group(members: Sequence[_Sequence], tokenizer: Tokenizer, options: ImportOptions) -> Group:
    where, row = members[0].row
    asked = tokenizer.decode(list(members[0].prompt), skip_special_tokens=True)
    known = {"id": prompt_id(asked), "prompt": asked, "family": row.get("env_name")}
    return Group(
        prompt=prompt_of(where, row, options, known),
        completions=tuple(_completion(sequence, tokenizer, options) for sequence in members),
    )


def _completion(sequence: _Sequence, tokenizer: Tokenizer, options: ImportOptions) -> Completion:
    where, row = sequence.row
    if sequence.turns > 1:
        refuse(where, TURNS)
    return Completion(
        token_ids=sequence.ids,
        logprobs=None,
        entropies=None,
        text=tokenizer.decode(sequence.ids.tolist(), skip_special_tokens=True),
        finish_reason="unknown",
        grade=_reward(where, row, len(sequence.prompt), options),
    )


def _reward(where: str, row: Mapping[str, Any], first: int, options: ImportOptions) -> float | None:
    """Return the reward of a sequence, which is written at each of its tokens; None where there is none."""
    name = options.score or "rewards"
    value = lookup(row, name, where) if options.score else row.get(name)
    if isinstance(value, list):
        value = value[first] if first < len(value) else None
    return None if value is None else reward_grade(value, where, name, options)


importer: Importer = PrimeRL()
