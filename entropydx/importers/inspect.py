"""Inspect (inspect_ai): the samples of a log, `.eval` or `.json`.

Takes a log, or a directory with one. The epochs of a sample are its K completions, and the last thing that the model
said in each is its text. Letters of a scorer are 1, 0, 0.5 and 0 for C, I, P and N, as Inspect counts them. The counts
of tokens that a log holds are not lengths of completions (the hf provider counts a batch's padding, others hidden
reasoning), so lengths are in words. `.eval` files are compressed with Zstandard: `pip install 'entropydx[inspect]'`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entropydx.errors import ImportFileError
from entropydx.importers._fields import listed, mapping, name_of
from entropydx.importers._files import names, one_file, with_reasoning
from entropydx.importers._inspect_log import is_log, read_log
from entropydx.importers._reading import (
    PROMPT_FIELDS,
    Row,
    column,
    finish_reason,
    lookup,
    number,
    prompt_of,
    refuse,
    same_k,
)
from entropydx.importers._rewards import reward_grade
from entropydx.protocols import Importer
from entropydx.types import Completion, Group, Imported, ImportOptions, ImportSource

LETTERS: Mapping[str, float] = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Grades of Inspect's letters: correct, incorrect, partial, no answer (its `value_to_float`)."""
ATTACHMENT = re.compile(r"attachment://([0-9a-f]{32})")


class Inspect:
    """Logs of Inspect."""

    tool = "Inspect"
    fields: tuple[str, ...] = PROMPT_FIELDS
    ignores: tuple[str, ...] = ("step", "tokenizer")

    def recognises(self, path: Path) -> bool:
        """Return whether a file begins as a log does."""
        return any(map(is_log, _files(path)))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the samples of a log, by sample id."""
        file = one_file(path, _files(path), "log (.eval or .json)")
        log, rows = read_log(file)
        whole = [(where, row) for where, row in rows if _said(row)]
        if not whole:
            refuse(str(file), "it holds no sample that the model answered", "was it run with --no-log-samples?")
        evaluation = mapping(column(log, "eval", str(file)))
        scorer = _scorer(whole, file, options)
        groups, notes = same_k(_group(members, scorer, options) for members in _by_sample(whole))
        config = {
            **mapping(evaluation.get("model_generate_config")),
            **mapping(mapping(log.get("plan")).get("config")),
        }
        answered = any(c.answer is not None for g in groups for c in g.completions)
        limit = number(config.get("max_tokens"))
        source = ImportSource(
            tool="inspect",
            kind="samples",
            files=names(path, (file,)),
            version=mapping(evaluation.get("packages")).get("inspect_ai"),
            temperature=_setting(config, "temperature", options.temperature),
            top_p=_setting(config, "top_p", options.top_p),
            max_new_tokens=options.max_new_tokens if limit is None else int(limit),
            graded_by=None if scorer is None else f"scorer '{scorer}' of Inspect",
            answers_from=_answers_from(scorer, options) if answered else None,
            notes=(*notes, *_remarks(log, rows, whole)),
        )
        return Imported(source=source, model=str(evaluation.get("model") or "unknown"), groups=groups)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix in (".eval", ".json") else []
    return sorted(f for f in (*path.glob("*.eval"), *path.glob("*.json")) if is_log(f))


def _setting(config: Mapping[str, Any], name: str, said: float | None) -> float | None:
    written = number(config.get(name))
    return said if written is None else written


def _answers_from(scorer: str | None, options: ImportOptions) -> str:
    return f"column '{options.map['answer']}'" if "answer" in options.map else f"scorer '{scorer}' of Inspect"


def _remarks(log: Mapping[str, Any], rows: Sequence[Row], whole: Sequence[Row]) -> list[str]:
    """Return what else is to be known of a log, in sentences."""
    found = []
    status = log.get("status", "started")
    if status != "success":
        found.append(f"the evaluation did not finish (status {status}): these are the samples until then")
    if len(whole) < len(rows):
        found.append(f"{len(rows) - len(whole)} of {len(rows)} samples have no answer of the model and are left out")
    several = sum(
        sum(mapping(m).get("role") == "assistant" for m in listed(row.get("messages"))) > 1 for _, row in whole
    )
    if several:
        found.append(f"in {several} of {len(whole)} samples the model spoke more than once: its last words are taken")
    return found


# ── samples ───────────────────────────────────────────────────────────────────────────────────────


def _by_sample(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the epochs of every sample, in their order."""
    by_sample: dict[str, list[Row]] = defaultdict(list)
    for where, row in rows:
        by_sample[name_of(row, "id", where)].append((where, row))
    for epochs in by_sample.values():
        epochs.sort(key=lambda epoch: number(epoch[1].get("epoch")) or 0.0)
    return list(by_sample.values())


def _said(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first choice of the model's last output; an empty mapping where there is none."""
    choices = mapping(row.get("output")).get("choices")
    return mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _scorer(rows: Sequence[Row], file: Path, options: ImportOptions) -> str | None:
    """Return the scorer, or `scorer.key`, whose value is the grade; None where nothing was scored.

    Raises
    ------
    ImportFileError
        Several scored, and none was named.
    """
    if options.score is not None:
        return options.score
    known = list(dict.fromkeys(name for _, row in rows for name in mapping(row.get("scores"))))
    if len(known) > 1 and options.verifier is None:
        raise ImportFileError(f"{file}: several scorers graded: {', '.join(known)}", "--score names one")
    return known[0] if len(known) == 1 else None


def _group(epochs: Sequence[Row], scorer: str | None, options: ImportOptions) -> Group:
    where, row = epochs[0]
    target = row.get("target")
    known = {"id": row["id"], "gold": target if isinstance(target, str) else None, **_asked(where, row)}
    return Group(
        prompt=prompt_of(where, row, options, known),
        completions=tuple(_completion(where, row, scorer, options) for where, row in epochs),
    )


def _asked(where: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked, as text or as messages."""
    given = column(row, "input", where)
    if isinstance(given, str):
        return {"prompt": _resolved(given, row)}
    asked = [m for m in map(mapping, listed(given)) if m]
    if not asked:
        refuse(where, "'input' is neither a text nor messages")
    messages = [{"role": str(m.get("role")), "content": _content(m.get("content"), row)} for m in asked]
    return {"messages": tuple(messages)}


def _completion(where: str, row: Mapping[str, Any], scorer: str | None, options: ImportOptions) -> Completion:
    choice = _said(row)
    score = _score(where, row, scorer)
    answer = lookup(row, options.map["answer"], where) if "answer" in options.map else score.get("answer")
    return Completion(
        token_ids=None,
        logprobs=None,
        entropies=None,
        text=_content(mapping(choice.get("message")).get("content"), row),
        finish_reason=finish_reason(choice.get("stop_reason")),
        answer=None if answer is None else str(answer),
        grade=None if scorer is None else _grade(score.get("value"), where, scorer, options),
    )


def _score(where: str, row: Mapping[str, Any], scorer: str | None) -> Mapping[str, Any]:
    """Return a scorer's score; of a scorer with several values the one that `scorer.key` names."""
    scores = mapping(row.get("scores"))
    if scorer is None or scorer in scores or "." not in scorer:
        return mapping(scores.get(scorer or ""))
    name, _, key = scorer.partition(".")
    score = mapping(scores.get(name))
    return {**score, "value": lookup(mapping(score.get("value")), key, where)}


def _grade(value: Any, where: str, scorer: str, options: ImportOptions) -> float | None:
    if isinstance(value, Mapping):
        hint = f"--score {scorer}.KEY names one of: {', '.join(map(str, value))}"
        refuse(where, f"scorer '{scorer}' gave several values", hint)
    letter = LETTERS.get(value) if isinstance(value, str) else None
    return reward_grade(value, where, scorer, options) if letter is None else letter


# ── text ──────────────────────────────────────────────────────────────────────────────────────────


def _content(content: Any, row: Mapping[str, Any]) -> str:
    """Return a message's text; of several parts, those that are text, behind the reasoning."""
    if isinstance(content, str) or content is None:
        return _resolved(content or "", row)
    parts = [mapping(part) for part in listed(content)]
    reasoning = "\n".join(str(p.get("reasoning") or "") for p in parts if p.get("type") == "reasoning")
    text = "".join(str(p.get("text") or "") for p in parts if p.get("type") == "text")
    return with_reasoning(_resolved(reasoning, row), _resolved(text, row))


def _resolved(text: str, row: Mapping[str, Any]) -> str:
    """Return a text with the attachments that stand for its long parts put in."""
    attachments = mapping(row.get("attachments"))
    return ATTACHMENT.sub(lambda found: str(attachments.get(found[1], found[0])), text)


importer: Importer = Inspect()
