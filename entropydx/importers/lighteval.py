"""lighteval: the details of one task (`--save-details`).

Takes a `details_TASK_DATE.parquet`, or a directory with one. A row holds all samples of a document, and metrics of all
of them together: they are a grade only of a single sample; else the texts are graded anew against the gold choice. The
model and its sampling stand in `results/MODEL/results_DATE.json`. The accelerate backend pads its outputs with the end
token, and what stands behind the first one is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entropydx.importers._fields import listed, mapping, text, token_ids
from entropydx.importers._files import MANY_TEXTS, NO_SAMPLES, names, one_file, with_reasoning
from entropydx.importers._reading import (
    PROMPT_FIELDS,
    SCORE_HINT,
    Row,
    column,
    first_row,
    number,
    prompt_id,
    prompt_of,
    read_object,
    read_rows,
    refuse,
    same_k,
)
from entropydx.importers._rewards import reward_grade
from entropydx.protocols import Importer
from entropydx.types import Completion, FinishReason, Group, Imported, ImportOptions, ImportSource

DETAILS = re.compile(r"details_.+_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.parquet")
OWN = ("doc", "metric", "model_response")


class Lighteval:
    """Details of lighteval."""

    tool = "lighteval"
    fields: tuple[str, ...] = PROMPT_FIELDS
    ignores: tuple[str, ...] = ("step", "tokenizer")

    def recognises(self, path: Path) -> bool:
        """Return whether the file has the columns of details."""
        return any({*OWN} == first_row(file).keys() for file in _files(path))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the samples of every document of a task."""
        file = one_file(path, _files(path), "details_TASK_DATE.parquet")
        rows = list(read_rows(file))
        if not rows:
            refuse(str(file), "it has no row")
        beside = _beside(file)
        general = mapping((read_object(beside) if beside else {}).get("config_general"))
        config = mapping(general.get("model_config"))
        sampling = mapping(config.get("generation_parameters"))
        if "answer" in options.map:
            refuse(str(file), MANY_TEXTS, "--verifier finds the answers in the texts")
        limit = _limit(rows, sampling)
        score = _score(rows, options)
        groups, notes = same_k(_groups(rows, score, _Endings(_end_token(rows), limit), options))
        top_p = number(sampling.get("top_p"))
        written = number(sampling.get("temperature"))
        source = ImportSource(
            tool="lighteval",
            kind="samples",
            files=names(path, (file, beside)),
            temperature=options.temperature if written is None else written,
            top_p=options.top_p if top_p is None else top_p,
            max_new_tokens=limit or options.max_new_tokens,
            graded_by=None if score is None else f"{score} of lighteval",
            notes=notes,
        )
        return Imported(source=source, model=str(general.get("model_name") or "unknown"), groups=groups)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    return sorted(f for f in path.glob("**/details_*.parquet") if DETAILS.fullmatch(f.name))


def _beside(file: Path) -> Path | None:
    """Return the results of the run that wrote the details at DIR/details/MODEL/DATE, or that stand beside them."""
    named = DETAILS.fullmatch(file.name)
    if named is None:
        return None
    name = f"results_{named['date']}.json"
    above = [*file.resolve().parents][:6]
    details = next((p for p in above if p.name == "details"), None)
    model = file.resolve().parent.parent.relative_to(details) if details in above[1:] and details else None
    places = [file.with_name(name)]
    if details is not None and model is not None:
        places.append(details.parent / "results" / model / name)
    return next((place for place in places if place.is_file()), None)


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────


def _limit(rows: Sequence[Row], sampling: Mapping[str, Any]) -> int | None:
    """Return the token limit of a completion: the model's own, else the task's."""
    own = number(sampling.get("max_new_tokens"))
    sizes = {number(mapping(row.get("doc")).get("generation_size")) for _, row in rows}
    size = own if own is not None else sizes.pop() if len(sizes) == 1 else None
    return None if size is None else int(size)


def _texts(where: str, row: Mapping[str, Any]) -> list[str]:
    response = mapping(column(row, "model_response", where))
    texts = listed(response.get("text"))
    if not texts and response.get("logprobs"):
        refuse(where, NO_SAMPLES, "import the details of a generative task")
    if not texts or not all(isinstance(text, str) for text in texts):
        refuse(where, "'model_response' has no texts: are the details of lighteval 0.11 or newer?")
    kept = listed(response.get("reasonings")) or [None] * len(texts)
    if len(kept) != len(texts):
        refuse(where, f"'model_response' has {len(texts)} texts and {len(kept)} reasonings")
    return [with_reasoning(reasoning, text) for reasoning, text in zip(kept, texts, strict=True)]


def _score(rows: Sequence[Row], options: ImportOptions) -> str | None:
    """Return the metric that is the grade; None where it is of several samples at once, or a verifier grades."""
    if any(len(_texts(where, row)) > 1 for where, row in rows):
        return None
    if options.score is not None:
        return options.score
    known = list(mapping(column(rows[0][1], "metric", rows[0][0])))
    if len(known) > 1 and options.verifier is None:
        refuse(rows[0][0], f"several metrics were taken: {', '.join(known)}", SCORE_HINT)
    return known[0] if len(known) == 1 else None


def _groups(rows: Sequence[Row], score: str | None, endings: _Endings, options: ImportOptions) -> list[Group]:
    return [_group(where, row, score, endings, options) for where, row in rows]


def _group(where: str, row: Mapping[str, Any], score: str | None, endings: _Endings, options: ImportOptions) -> Group:
    doc = mapping(column(row, "doc", where))
    choices, index = listed(doc.get("choices")), doc.get("gold_index")
    gold = choices[index] if isinstance(index, int) and 0 <= index < len(choices) else None
    asked = text(doc, "query", where)
    known = {"id": doc.get("id") or prompt_id(asked), "prompt": asked, "gold": gold}
    metrics = mapping(column(row, "metric", where))
    own = None if score is None else reward_grade(column(metrics, score, where), where, score, options)
    texts = _texts(where, row)
    outputs: list[list[int]] | list[None] = _outputs(where, row) or [None] * len(texts)
    if len(outputs) != len(texts):
        refuse(where, f"'model_response' has {len(texts)} texts and {len(outputs)} lists of tokens")
    completions = []
    for written, ids in zip(texts, outputs, strict=True):
        tokens = endings.cut(ids)
        completions.append(
            Completion(
                token_ids=None if tokens is None else np.array(tokens, dtype=np.int32),
                logprobs=None,
                entropies=None,
                text=written,
                finish_reason=endings.reason(tokens),
                grade=own,
            )
        )
    return Group(prompt=prompt_of(where, row, options, known), completions=tuple(completions))


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────


def _outputs(where: str, row: Mapping[str, Any]) -> list[list[int]]:
    outputs = listed(mapping(row.get("model_response")).get("output_tokens"))
    return [token_ids(ids, "output_tokens", where).tolist() for ids in outputs]


def _end_token(rows: Sequence[Row]) -> int | None:
    """Return the token that ends completions: after its first place in any of them nothing but itself stands.

    None where no token is so, or where two end most of them: then it is not known what is padding.
    """
    outputs = [ids for where, row in rows for ids in _outputs(where, row) if ids]
    last = Counter(ids[-1] for ids in outputs)
    ends = [t for t in last if all(set(ids[ids.index(t) :]) == {t} for ids in outputs if t in ids)]
    ends = [t for t in ends if 2 * last[t] > len(outputs)]
    return ends[0] if len(ends) == 1 else None


@dataclass(frozen=True, slots=True)
class _Endings:
    """Where the completions of a file end."""

    end: int | None
    """The end token; None where it is not known, and neither then is what is padding."""
    limit: int | None
    """Most tokens of a completion."""

    def cut(self, ids: list[int] | None) -> list[int] | None:
        """Return the tokens up to the first end token, with it; None where they are not known."""
        if ids is None or self.end is None:
            return None
        return ids[: ids.index(self.end) + 1] if self.end in ids else ids

    def reason(self, ids: list[int] | None) -> FinishReason:
        """Return how a completion ended; one that is shorter than the limit and has no end token, nobody knows."""
        if ids is None:
            return "unknown"
        if self.end in ids:
            return "stop"
        return "length" if self.limit is not None and len(ids) >= self.limit else "unknown"


importer: Importer = Lighteval()
