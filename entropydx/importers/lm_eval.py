"""lm-evaluation-harness: the samples of one task, of `--log_samples`.

Takes a `samples_TASK_DATE.jsonl`, or the directory with one. The harness writes a row for every document *and filter*,
each with the texts of all repeats: the texts are read, once for each document. Its metrics are of the first repeat
alone (the usual filter is `take_first`), so they are the grades only where there was one repeat; else the texts are
graded anew against the target. What it says of model and sampling stands in `results_DATE.json` beside the samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entropydx.importers._fields import listed, mapping, name_of
from entropydx.importers._files import MANY_TEXTS, NO_SAMPLES, names, one_file
from entropydx.importers._reading import (
    PROMPT_FIELDS,
    Row,
    agreed,
    column,
    first_row,
    number,
    prompt_of,
    read_object,
    read_rows,
    refuse,
    same_k,
)
from entropydx.importers._rewards import reward_grade
from entropydx.protocols import Importer
from entropydx.types import Completion, Group, Imported, ImportOptions, ImportSource

SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
OWN = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps")
MARK = "####"
"""What stands before the answer in the targets of GSM8K."""
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens")
NO_ANSWER = "[invalid]"
"""What the harness's regex filter writes where it finds nothing, unless the task says otherwise."""


class LmEval:
    """Samples of lm-evaluation-harness."""

    tool = "lm-evaluation-harness"
    fields: tuple[str, ...] = PROMPT_FIELDS
    ignores: tuple[str, ...] = ("step", "tokenizer")

    def recognises(self, path: Path) -> bool:
        """Return whether the rows have the harness's columns."""
        return any({*OWN} <= first_row(file).keys() for file in _files(path))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the texts of every document of a task."""
        file = one_file(path, _files(path), "samples_TASK_DATE.jsonl")
        rows = list(read_rows(file))
        if not rows:
            refuse(str(file), "it has no row")
        wanted, rows = _of_filter(rows, options.score, file)
        results = _results(file)
        settings = [_settings(where, row) for where, row in rows]
        single = all(len(_texts(where, row)) == 1 for where, row in rows)
        score = _score(rows[0], options.score) if single else None
        if "answer" in options.map:
            refuse(str(file), MANY_TEXTS, "--verifier finds the answers in the texts")
        groups, notes = same_k(_group(where, row, score, options) for where, row in rows)
        source = ImportSource(
            tool="lm-eval",
            kind="samples",
            files=names(path, (file, _beside(file))),
            version=results.get("lm_eval_version"),
            temperature=agreed(options.temperature, (_temperature(s) for s in settings), "temperature", file),
            top_p=agreed(options.top_p, (number(s.get("top_p")) for s in settings), "top_p", file),
            max_new_tokens=_limit(settings) or options.max_new_tokens,
            graded_by=None if score is None else f"{score} of lm-eval, filter {wanted}",
            answers_from=f"filter {wanted} of lm-eval" if single else None,
            reasoning_stripped=_strips(mapping(results.get("config")).get("model_args")),
            notes=(*notes, *_cut(settings)),
        )
        return Imported(source=source, model=str(results.get("model_name") or "unknown"), groups=groups)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


def _files(path: Path) -> list[Path]:
    """Return the files of samples that a path names."""
    return [path] if path.is_file() else sorted(f for f in path.glob("**/samples_*.jsonl") if SAMPLES.match(f.name))


def _beside(file: Path) -> Path | None:
    """Return the results that were written with a file of samples; None where they are not there."""
    named = SAMPLES.fullmatch(file.name)
    results = file.with_name(f"results_{named['date']}.json") if named else None
    return results if results is not None and results.is_file() else None


def _results(file: Path) -> dict[str, Any]:
    beside = _beside(file)
    return {} if beside is None else read_object(beside)


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────


def _of_filter(rows: Sequence[Row], score: str | None, file: Path) -> tuple[str, list[Row]]:
    """Return a filter and its row of every document: the one that `metric,filter` names, else the file's first.

    Of a document that was logged twice, since the harness appends, the last is taken.
    """
    filters = list(dict.fromkeys(map(_filter, rows)))
    wanted = score.partition(",")[2] if score is not None and "," in score else filters[0]
    if wanted not in filters:
        refuse(str(file), f"no row of filter '{wanted}'", f"filters: {', '.join(filters)}")
    own = {name_of(row, "doc_id", where): (where, row) for where, row in rows if _filter((where, row)) == wanted}
    return wanted, list(own.values())


def _filter(row: Row) -> str:
    return str(row[1].get("filter", "none"))


def _score(first: Row, score: str | None) -> str:
    """Return the metric that is the grade: the one of `metric` or `metric,filter`, else the row's first."""
    where, row = first
    if score is not None:
        return score.partition(",")[0]
    metrics = listed(row.get("metrics"))
    return str(metrics[0]) if metrics else refuse(where, "it names no metric")


def _settings(where: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of the generation; the harness writes the prompt before them."""
    return mapping(_arguments(where, row).get("arg_1"))


def _arguments(where: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(next(iter(mapping(column(row, "arguments", where)).values()), None))


def _texts(where: str, row: Mapping[str, Any]) -> list[str]:
    """Return the texts of all repeats, K of them."""
    requests = column(row, "resps", where)
    if not listed(requests) or not listed(requests[0]):
        refuse(where, "'resps' holds no responses")
    if not all(isinstance(text, str) for text in requests[0]):
        refuse(where, NO_SAMPLES, "import a task of output_type generate_until")
    if len(requests) > 1:
        refuse(where, f"its document makes {len(requests)} requests, and one is taken")
    texts: list[str] = requests[0]
    return texts


def _group(where: str, row: Mapping[str, Any], score: str | None, options: ImportOptions) -> Group:
    target = str(row.get("target") or "")
    gold = target.rpartition(MARK)[2].strip()
    known = {
        "id": name_of(row, "doc_id", where),
        "prompt": str(_arguments(where, row).get("arg_0", "")),
        "gold": gold,
        "reference": target if MARK in target else None,
    }
    texts = _texts(where, row)
    own = None if score is None else reward_grade(column(row, score, where), where, score, options)
    completions = [
        Completion(
            token_ids=None,
            logprobs=None,
            entropies=None,
            text=text,
            finish_reason="unknown",
            answer=_answer(row) if len(texts) == 1 else None,
            grade=own,
        )
        for text in texts
    ]
    return Group(prompt=prompt_of(where, row, options, known), completions=tuple(completions))


def _answer(row: Mapping[str, Any]) -> str | None:
    """Return what the filter made of the text of a single repeat; None where it found nothing."""
    found = row.get("filtered_resps")
    answer = found[0] if isinstance(found, list) and len(found) == 1 else None
    return answer if isinstance(answer, str) and answer not in ("", NO_ANSWER) else None


# ── sampling ──────────────────────────────────────────────────────────────────────────────────────


def _temperature(settings: Mapping[str, Any]) -> float | None:
    """Return the temperature; 0 where it does not sample."""
    return 0.0 if settings.get("do_sample") is False else number(settings.get("temperature"))


def _limit(settings: Sequence[Mapping[str, Any]]) -> int | None:
    found = {int(s[name]) for s in settings for name in LIMITS if number(s.get(name)) is not None}
    return found.pop() if len(found) == 1 else None


def _strips(model_args: Any) -> bool:
    """Return whether the harness cut the reasoning out, by the arguments of the model, which are text or an object."""
    if isinstance(model_args, str):
        return "think_end_token=" in model_args
    return mapping(model_args).get("think_end_token") is not None


def _cut(settings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say that the tail of the distribution was cut, where it was."""
    tops = sorted({int(s["top_k"]) for s in settings if (number(s.get("top_k")) or 0) > 0})
    return tuple(f"sampled with top_k {k}, so not from the model's whole distribution" for k in tops)


importer: Importer = LmEval()
