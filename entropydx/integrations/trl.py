"""A callback for TRL's trainers and `transformers.Trainer`: every saved checkpoint is diagnosed in another process.

The trainer's random numbers, memory and CUDA context are untouched: what is started is `entropydx watch --once`.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, Self

from transformers import TrainerCallback

from entropydx.config import Settings
from entropydx.errors import ConfigError, RunStoreError
from entropydx.types import WatchLine
from entropydx.watching import WatchRules, read_log

logger = logging.getLogger(__name__)
LAUNCHED = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "ROLE_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)
LAUNCHERS = ("TORCHELASTIC_", "ACCELERATE_", "FSDP_", "PMI_", "OMPI_")
"""Variables, and beginnings of such, that would make the diagnosis take itself for a part of the training."""
OPTIONS = {f.name for f in (*fields(Settings), *fields(WatchRules))} - {"run_dir", "shard"}
"""Flags of `entropydx watch` that the callback does not set itself."""
FOLDER = "entropydx"
LOG, SAID = "watch.jsonl", "watch.log"
"""In `output_dir/entropydx`: the lines of the watch, and what it says beside them."""


class EntropydxCallback(TrainerCallback):  # type: ignore[misc]
    """Diagnoses every checkpoint that the trainer saves, beside the training.

    Parameters
    ----------
    policy : str or Path, optional
        As `--policy` of `entropydx watch`.
    stop_on_failure : bool
        End the training when the alarm goes off. With several processes they agree on it at the next save.
    wait : bool
        Let the trainer wait for each verdict. Otherwise it goes on, and takes notice of a verdict when it is there.
    env : mapping, optional
        Variables of the diagnosis, such as `{"CUDA_VISIBLE_DEVICES": "7"}` for a GPU that the trainer does not use.
    **options
        Flags of `entropydx watch`, with underscores: baseline, suite, budget, device, confirm, command, webhook...

    Raises
    ------
    ConfigError
        An option that `entropydx watch` does not have.

    Notes
    -----
    A failure is a warning of the logger `entropydx.integrations.trl`. The next entry of the trainer's log, which is
    also in `trainer_state.json`, has `entropydx/failed` (1 or 0; not there when the verdict is inconclusive),
    `entropydx/fired` (1 or 0), `entropydx/step` (of the checkpoint) and the word `entropydx/verdict`. Reporters such
    as TensorBoard and W&B get the numbers when the callback stands before them, which `add_to` sees to.
    """

    def __init__(
        self,
        policy: str | Path | None = None,
        *,
        stop_on_failure: bool = False,
        wait: bool = False,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        if unknown := options.keys() - OPTIONS:
            known = ", ".join(sorted(OPTIONS))
            raise ConfigError(f"`entropydx watch` has no option '{min(unknown)}'", f"known: {known}")
        self.stop_on_failure, self.wait = stop_on_failure, wait
        self._flags = [*([] if policy is None else ["--policy", str(policy)]), *_flags(options)]
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._again = False
        self._n_read: int | None = None
        self._entry: dict[str, Any] = {}
        self._stop = False

    def add_to(self, trainer: Any) -> Self:
        """Add it to a trainer before its reporters, so that they get the verdicts too."""
        trainer.callback_handler.callbacks.insert(0, self)
        return self

    # ── what the trainer calls ───────────────────────────────────────────────────────────────────

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the diagnosis of what has just been saved, which is whole by now."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / FOLDER
            self._collect(folder)
            if self._process is None:
                self._start(args.output_dir)
            else:
                self._again = True
            if self.wait and self._process is not None:
                self._process.wait()
                self._collect(folder)
        self._stop_where_due(_agreed(self._stop, args) if self.stop_on_failure else False, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take notice of verdicts that have come."""
        if state.is_world_process_zero:
            self._collect(Path(args.output_dir) / FOLDER)
            if self._again and self._process is None:
                self._start(args.output_dir)
        # One process among several must not stop alone: the others would wait for it for ever.
        self._stop_where_due(self._stop and args.world_size == 1, control)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Put the last verdict into the trainer's log."""
        if self._entry:
            logs.update({key: value for key, value in self._entry.items() if not isinstance(value, str)})
            state.log_history[-1].update(self._entry)
            self._entry = {}

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave a diagnosis that is going on to itself, and see that the last checkpoint gets one."""
        if not state.is_world_process_zero:
            return
        self._collect(Path(args.output_dir) / FOLDER)
        if self._entry:
            state.log_history.append({**self._entry, "step": state.global_step})
            self._entry = {}
        if self._again:
            self._start(args.output_dir)
        if self._process is not None:
            logger.info("a diagnosis goes on; its verdict will be in %s", Path(args.output_dir) / FOLDER / LOG)

    # ── the other process ────────────────────────────────────────────────────────────────────────

    def _start(self, output_dir: str) -> None:
        folder = Path(output_dir) / FOLDER
        self._again = False
        call = [sys.executable, "-m", "entropydx", "watch", output_dir, "--once", *self._flags]
        call += ["--run-dir", str(folder), "--log", str(folder / LOG)]
        try:
            folder.mkdir(exist_ok=True)
            if self._n_read is None:
                self._n_read = len(read_log(folder / LOG))  # of a training that was interrupted
            with (folder / SAID).open("ab") as said:
                self._process = _spawn(call, self._env, said)
        except (RunStoreError, OSError) as error:  # the training goes on without
            logger.warning("no diagnosis could be started: %s", error)

    def _collect(self, folder: Path) -> None:
        """Take notice of the lines of a diagnosis that has ended."""
        if self._process is None or self._process.poll() is None:
            return
        code, self._process = self._process.returncode, None
        try:
            lines = read_log(folder / LOG)
        except (RunStoreError, OSError) as error:
            logger.warning("the verdict cannot be read: %s", error)
            return
        for line in lines[self._n_read or 0 :]:
            self._notice(line)
        if len(lines) == self._n_read:
            logger.warning("`entropydx watch` gave exit code %d and no line; see %s", code, folder / SAID)
        self._n_read = len(lines)

    def _notice(self, line: WatchLine) -> None:
        if line.event != "judged":
            logger.log(logging.WARNING if line.event == "error" else logging.INFO, "%s", line.text)
            return
        logger.log(logging.WARNING if line.verdict == "failed" else logging.INFO, "%s", line.text)
        self._entry = {
            "entropydx/verdict": line.verdict,
            "entropydx/step": line.step,
            "entropydx/fired": int(line.fired),
        }
        if line.verdict != "inconclusive":
            self._entry["entropydx/failed"] = int(line.verdict == "failed")
        self._stop = self._stop or line.fired

    def _stop_where_due(self, due: bool, control: Any) -> None:
        if due and self.stop_on_failure:
            control.should_training_stop = True


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Return options as the command line spells them."""
    flags = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "adaptive":
            flags += [] if value is None or value else ["--no-adaptive"]
        elif isinstance(value, bool):
            flags += [flag] * value
        elif isinstance(value, Mapping):
            flags += [word for key, column in value.items() for word in (flag, f"{key}={column}")]
        elif value is not None:
            flags += [flag, str(value)]
    return flags


def _spawn(call: list[str], env: Mapping[str, str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    kept = {k: v for k, v in os.environ.items() if k not in LAUNCHED and not k.startswith(LAUNCHERS)}
    # In a session of its own, Ctrl-C of the training does not end it.
    return subprocess.Popen(
        call,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env={**kept, **env},
        start_new_session=True,
    )


def _agreed(stop: bool, args: Any) -> bool:
    """Return what the first process of the training says."""
    if args.world_size == 1:
        return stop
    import torch.distributed as dist  # noqa: PLC0415 - only a training of several processes needs it

    said = [stop]
    dist.broadcast_object_list(said, src=0)
    return said[0]
