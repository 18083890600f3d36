"""The run directory: append-only, fsynced per prompt, one run of one protocol, one process at a time.

    run.json                  what the run is: its key, the checkpoint, the baseline, the protocol
    samples-checkpoint.jsonl  one line per prompt: the prompt and its K completions
    samples-baseline.jsonl
    samples-ROLE-NAME-*.jsonl the same for everything that was drawn beside them, by the condition's name and settings
    scores-ROLE-NAME.jsonl    one line per text that was scored, by the pass's name
    completions-ROLE.parquet  the same for notebooks: one row per completion
    tokens-ROLE.parquet       one row per token: log-probability and entropy, nats
    report.json               the last report
    lock                      held while a process writes

A line counts once it ends in a newline and parses: a process killed mid-write leaves a torn tail, which is cut off at
the next start, and only that prompt is drawn again. Arrays are little-endian float32 / int32 in base64, so that they
come back exactly.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from entropydx.errors import RunStoreError, reading, remedy
from entropydx.types import Completion, FloatArray, Group, IntArray, Prompt, Role, Samples, Score, VerifierSpec

MANIFEST = "run.json"
REPORT = "report.json"
STORE_VERSION = 2
DAMAGED = "use another --run-dir, or delete this one"
T = TypeVar("T")


def _pack(array: FloatArray | IntArray, dtype: str) -> str:
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode("ascii")


def _unpack(text: str, dtype: str) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


def _pack_known(array: FloatArray | IntArray | None, dtype: str) -> str | None:
    return None if array is None else _pack(array, dtype)


def _unpack_known(text: str | None, dtype: str) -> Any:
    return None if text is None else _unpack(text, dtype)


def encode_group(group: Group) -> str:
    """Return one JSON line, without its newline."""
    completions = [
        {
            "text": c.text,
            "finish_reason": c.finish_reason,
            "answer": c.answer,
            "grade": c.grade,
            "token_ids": _pack_known(c.token_ids, "<i4"),
            "logprobs": _pack_known(c.logprobs, "<f4"),
            "entropies": _pack_known(c.entropies, "<f4"),
            "entropy_low": _pack_known(c.entropy_low, "<f4"),
            "entropy_high": _pack_known(c.entropy_high, "<f4"),
            "offsets": _pack_known(c.offsets, "<i4"),
            "answer_span": c.answer_span,
            "steps": None if c.steps is None else [int(true) for true in c.steps],
        }
        for c in group.completions
    ]
    document = {
        "prompt": asdict(group.prompt),
        "n_prompt_tokens": group.n_prompt_tokens,
        "n_reference_steps": group.n_reference_steps,
        "completions": completions,
    }
    return json.dumps(document, ensure_ascii=True, allow_nan=False)


def decode_group(line: str) -> Group:
    """Return the group of one line; the inverse of `encode_group` at float32."""
    document = json.loads(line)
    prompt = document["prompt"]
    prompt["verifier"] = VerifierSpec(**prompt["verifier"])
    if prompt["messages"] is not None:
        prompt["messages"] = tuple(prompt["messages"])
    completions = tuple(
        Completion(
            token_ids=_unpack_known(c["token_ids"], "<i4"),
            logprobs=_unpack_known(c["logprobs"], "<f4"),
            entropies=_unpack_known(c["entropies"], "<f4"),
            # Runs of before 1.0's servers have no bounds: their entropies are exact.
            entropy_low=_unpack_known(c.get("entropy_low"), "<f4"),
            entropy_high=_unpack_known(c.get("entropy_high"), "<f4"),
            text=c["text"],
            finish_reason=c["finish_reason"],
            answer=c["answer"],
            grade=c["grade"],
            offsets=_unpack_known(c["offsets"], "<i4"),
            answer_span=None if c["answer_span"] is None else tuple(c["answer_span"]),
            steps=None if c["steps"] is None else tuple(map(bool, c["steps"])),
        )
        for c in document["completions"]
    )
    return Group(
        prompt=Prompt(**prompt),
        completions=completions,
        n_prompt_tokens=document["n_prompt_tokens"],
        n_reference_steps=document["n_reference_steps"],
    )


def encode_score(score: Score) -> str:
    """Return one JSON line, without its newline."""
    ranks = score.effective_ranks
    document = {
        "key": score.key,
        "token_ids": _pack(score.token_ids, "<i4"),
        "logprobs": _pack(score.logprobs, "<f4"),
        "entropies": _pack(score.entropies, "<f4"),
        "effective_ranks": None if ranks is None else _pack(ranks, "<f4"),
        "rank_stride": score.rank_stride,
    }
    return json.dumps(document, ensure_ascii=True, allow_nan=False)


def decode_score(line: str) -> Score:
    """Return the score of one line; the inverse of `encode_score` at float32."""
    document = json.loads(line)
    prompt_id, source_id, sample_index = document["key"]
    ranks = document["effective_ranks"]
    return Score(
        prompt_id=prompt_id,
        source_id=source_id,
        sample_index=sample_index,
        token_ids=_unpack(document["token_ids"], "<i4"),
        logprobs=_unpack(document["logprobs"], "<f4"),
        entropies=_unpack(document["entropies"], "<f4"),
        effective_ranks=None if ranks is None else _unpack(ranks, "<f4"),
        rank_stride=document["rank_stride"],
    )


class RunStore:
    """One run directory, opened for writing; use it as a context manager.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    key : mapping
        What makes two runs the same run; every value a string, a number or None.

    Raises
    ------
    RunStoreError
        The directory holds a run with another key, is not a run directory, or another process is writing to it.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path = path
        self.tokens_written = 0
        self._key = dict(key)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunStoreError(f"cannot make the run directory {path}: {error.strerror}", remedy(error)) from error
        self._lock = FileLock(path / "lock")

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunStoreError(
                f"another process is writing to the run directory {self.path}", "wait for it, or use another --run-dir"
            ) from None
        except OSError as error:
            raise RunStoreError(f"cannot write to the run directory {self.path}: {error.strerror}") from error
        try:
            self._claim()
        except RunStoreError:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _claim(self) -> None:
        manifest = self.path / MANIFEST
        if not manifest.is_file():
            if any(self.path.glob("samples-*.jsonl")):
                raise RunStoreError(f"{self.path} has samples but no {MANIFEST}", "use another --run-dir")
            self.write_manifest({})
            return
        held = read_manifest(self.path)["key"]
        differing = [k for k in {**held, **self._key} if held.get(k) != self._key.get(k)]
        if differing:
            changes = "; ".join(f"{k}: {held.get(k)} there, {self._key.get(k)} now" for k in differing[:3])
            raise RunStoreError(f"{self.path} holds another run ({changes})", "use another --run-dir, or delete it")

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Replace `run.json` by the key and `content`, atomically."""
        document = {"store_version": STORE_VERSION, "key": self._key, **content}
        self._replace(MANIFEST, json.dumps(document, indent=1, allow_nan=False))

    def write_report(self, text: str) -> None:
        """Replace `report.json`, atomically."""
        self._replace(REPORT, text)

    def export(self, role: Role, samples: Samples) -> None:
        """Write the samples as Parquet, so that a notebook starts where the report ends."""
        for name, frame in (("completions", samples.to_frame()), ("tokens", samples.tokens_to_frame())):
            temporary, file = self.path / f".{name}.tmp", self.path / f"{name}-{role}.parquet"
            try:
                frame.to_parquet(temporary, index=False)
                temporary.replace(file)
            except OSError as error:
                raise _unwritable(file, error) from error

    def _replace(self, name: str, text: str) -> None:
        temporary = self.path / f".{name}.tmp"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            raise _unwritable(self.path / name, error) from error

    def append(self, part: str, *groups: Group) -> None:
        """Write complete groups, and return when they are on the disk.

        Parameters
        ----------
        part : str
            The role, or `ROLE-CONDITION`.

        Raises
        ------
        RunStoreError
            The disk is full, or the file cannot be written.
        """
        self._write_lines(_samples_file(self.path, part), map(encode_group, groups))
        self.tokens_written += sum(c.n_tokens for group in groups for c in group.completions)

    def append_scores(self, part: str, *scores: Score) -> None:
        """Write scores of one `ROLE-PASS`, and return when they are on the disk; errors as `append`."""
        self._write_lines(_scores_file(self.path, part), map(encode_score, scores))

    @staticmethod
    def _write_lines(path: Path, lines: Iterable[str]) -> None:
        try:
            with path.open("ab") as file:
                file.writelines(line.encode("ascii") + b"\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(path, error) from error

    def recover(self, part: str) -> list[Group]:
        """Return the stored groups of a role or `ROLE-CONDITION`, after cutting off a torn tail.

        Raises
        ------
        RunStoreError
            A line other than the last is damaged.
        """
        cut_torn_tail(_samples_file(self.path, part))
        return read_groups(self.path, part)

    def recover_scores(self, part: str) -> list[Score]:
        """Return the stored scores of a `ROLE-PASS`, as `recover`."""
        cut_torn_tail(_scores_file(self.path, part))
        return read_scores(self.path, part)

    def adopt_baseline(self, source: Path) -> None:
        """Copy what another run drew from this run's baseline, where this run has nothing of it yet.

        Parameters
        ----------
        source : Path
            A run directory whose checkpoint, or else baseline, is this run's baseline, under the same protocol; any
            other is left alone.
        """
        theirs = read_manifest(source)["key"]
        shared = {*self._key, *theirs} - {"checkpoint", "baseline", "dtype", "baseline_dtype"}
        wanted = self._key.get("baseline"), self._key.get("baseline_dtype")
        drawn = {"checkpoint": (theirs.get("checkpoint"), theirs.get("dtype"))}
        drawn["baseline"] = theirs.get("baseline"), theirs.get("baseline_dtype")
        role = next((role for role, model in drawn.items() if model == wanted), None)
        if role is None or any(theirs.get(name) != self._key.get(name) for name in shared):
            return
        for kind in ("samples", "scores"):
            for file in source.glob(f"{kind}-{role}*.jsonl"):
                mine = self.path / file.name.replace(f"-{role}", "-baseline", 1)
                # What was scored of another's text belongs to that other; everything else depends on the drawer alone.
                if not mine.exists() and not file.name.endswith("-other.jsonl"):
                    self._copy(file, mine)

    @staticmethod
    def _copy(file: Path, to: Path) -> None:
        temporary = to.with_name(f".{to.name}.tmp")  # a copy that is cut off must not pass for a whole one
        try:
            shutil.copyfile(file, temporary)
            temporary.replace(to)
        except OSError as error:
            raise _unwritable(to, error) from error


@reading(RunStoreError)
def cut_torn_tail(file: Path) -> None:
    """Cut off the last line of a file when it does not end in a newline: its writer was killed."""
    if not file.is_file():
        return
    # Line by line: a run of long completions is larger than what should be held in memory at once.
    with file.open("r+b") as handle:
        whole = sum(len(line) for line in handle if line.endswith(b"\n"))
        if whole < handle.seek(0, os.SEEK_END):
            handle.truncate(whole)


def _unwritable(path: Path, error: OSError) -> RunStoreError:
    return RunStoreError(
        f"cannot write {path}: {error.strerror}", "what was drawn before is kept: make room, and run the same command"
    )


def _samples_file(path: Path, part: str) -> Path:
    return path / f"samples-{part}.jsonl"


def _scores_file(path: Path, part: str) -> Path:
    return path / f"scores-{part}.jsonl"


@reading(RunStoreError)
def read_manifest(path: Path) -> dict[str, Any]:
    """Return the content of a run's `run.json`.

    Raises
    ------
    RunStoreError
        It is missing, damaged, or written by another version of the store.
    """
    file = path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not path.exists():
            raise RunStoreError(f"nothing is at {path}", "give a run directory or a report file") from None
        raise RunStoreError(f"{path} is not a run directory: it has no {MANIFEST}") from None
    except ValueError as error:
        raise RunStoreError(f"{file} is damaged: {error}", DAMAGED) from error
    if not isinstance(manifest, dict):
        raise RunStoreError(f"{file} is damaged: it is not an object", DAMAGED)
    if (version := manifest.get("store_version")) != STORE_VERSION:
        raise RunStoreError(f"{file} has store_version {version}", f"this version reads {STORE_VERSION}")
    if not isinstance(manifest.get("key"), dict):
        raise RunStoreError(f"{file} is damaged: it names no run", DAMAGED)
    return manifest


def read_groups(path: Path, part: str) -> list[Group]:
    """Return the stored groups of a role or `ROLE-CONDITION`; a torn last line is left out, the file left as it is.

    Raises
    ------
    RunStoreError
        A complete line is damaged; it is named by file and line.
    """
    return _read_lines(_samples_file(path, part), decode_group, "its prompt will be drawn again")


def read_scores(path: Path, part: str) -> list[Score]:
    """Return the stored scores of a `ROLE-PASS`, as `read_groups`."""
    return _read_lines(_scores_file(path, part), decode_score, "its text will be scored again")


@reading(RunStoreError)
def _read_lines(file: Path, decode: Callable[[str], T], after: str) -> list[T]:
    if not file.is_file():
        return []
    found = []
    with file.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                found.append(decode(line.decode("ascii")))
            except (ValueError, KeyError, TypeError) as error:
                raise RunStoreError(f"{file} line {number} is damaged: {error}", f"delete the line; {after}") from error
    return found
