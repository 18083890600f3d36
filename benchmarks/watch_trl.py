"""A watch on runs that TRL is really training in another process: one that collapses, one that stays healthy.

    OMP_NUM_THREADS=1 python benchmarks/watch_trl.py --out DIR --json benchmarks/watch_trl.json

Process 1 trains `tiny-base` with `trl.GRPOTrainer` by the recipe of the series `tiny-collapsing`, whose configuration
is edited at step 60, and saves `checkpoint-N` as any TRL run does. Process 2 is `entropydx watch`.
The healthy run is the same one whose configuration is never edited. The time line says at which step the trainer was
when a line came. The script exits 1 when the alarm does not go off while the collapsing run goes on, or goes off for
another failure, or on the healthy run.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "fixtures" / "organisms" / "tiny-base"
KINDS = {"collapsing": "training_collapse", "healthy": None}
"""Run to the label of its alarm."""
SAVE_STEPS = 20
SAVE_TOTAL_LIMIT = 3
WATCH = ("--poll", "1", "--idle-timeout", "900", "--baseline", str(BASE), "--device", "cpu")
SIZE = ("--suite", "tiny", "--prompts", "108", "--samples", "16", "--max-new-tokens", "64")
"""What the organisms' own `entropydx.toml` says; a checkpoint of TRL has none."""
KEPT = ("event", "name", "step", "verdict", "fired", "held_back", "label", "confidence", "text", "wall_s", "waited_s")


def train(kind: str, out: Path, steps: int, seed: int, edited_at: int | None = None) -> None:
    """Process 1: train, save as TRL does, and write the step that is done into a file.

    Parameters
    ----------
    edited_at : int, optional
        Step of the edit of the collapsing run; None: that of the recipe.
    """
    from entropydx.organisms.catalogue import find_series
    from entropydx.organisms.growing import problems, quiet
    from entropydx.organisms.series import LOGGING_STEPS, load_learner, series_trainer
    from entropydx.organisms.training import GRPO_NOTE, Report, common_settings
    from entropydx.organisms.training import train as run
    from entropydx.protocols import Silent

    class StepFile(Silent):
        done = 0

        def advance(self, n: int = 1, note: str = "") -> None:
            self.done += n
            step_file(out).write_text(str(self.done), encoding="utf-8")

    quiet()
    recipe = find_series("tiny-collapsing")
    recipe = replace(recipe, dose=replace(recipe.dose, steps=steps))
    change = steps + 1 if kind == "healthy" else edited_at or recipe.change.step
    recipe = replace(recipe, change=replace(recipe.change, step=change))
    learner = load_learner(recipe, BASE)
    common = common_settings(str(out), steps, recipe.dose.learning_rate, seed, LOGGING_STEPS)
    common |= {"save_strategy": "steps", "save_steps": SAVE_STEPS, "save_total_limit": SAVE_TOTAL_LIMIT}
    callbacks = [Report(StepFile(), "grpo", GRPO_NOTE)]
    run(series_trainer(learner, problems(recipe.dose, learner.notation, seed), recipe, common, callbacks))


def step_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.step")


def time_line(kind: str, out: Path, steps: int, seed: int = 0, edited_at: int | None = None) -> dict[str, Any]:
    """Start both processes, and return every line of the watch with where the trainer was when it came.

    Parameters
    ----------
    edited_at : int, optional
        As in `train`; then both processes are ended at the alarm.
    """
    out.mkdir(parents=True)
    call = [sys.executable, __file__, "--train", kind, "--out", str(out), "--steps", str(steps), "--seed", str(seed)]
    call += [] if edited_at is None else ["--edited-at", str(edited_at)]
    started = time.monotonic()
    with (out.with_name(f"{kind}.train.log")).open("wb") as said:
        trainer = subprocess.Popen(call, stdout=said, stderr=said)
    watch = [sys.executable, "-m", "entropydx", "watch", str(out), *WATCH, *SIZE, "--until-step", str(steps)]
    watch += ["--run-dir", str(out.with_name(f"{kind}.watch"))]
    lines = []
    with trainer, subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        for text in watcher.stdout:
            line = json.loads(text)
            step = step_file(out).read_text(encoding="utf-8") if step_file(out).exists() else "0"
            seen = {"at_s": round(time.monotonic() - started, 1), "trainer_step": int(step or 0)}
            lines.append({**seen, "training": trainer.poll() is None, **{key: line[key] for key in KEPT}})
            if line["fired"] and edited_at is not None:
                trainer.terminate()
                watcher.send_signal(signal.SIGINT)
    codes = {"watch_exit_code": watcher.returncode, "trainer_exit_code": trainer.returncode}
    return {"run": kind, "steps": steps, "seconds": round(time.monotonic() - started, 1), **codes, "lines": lines}


def faults(run: dict[str, Any]) -> list[str]:
    """Return what a time line should not show."""
    wanted = KINDS[run["run"]]
    alarms = [line for line in run["lines"] if line["fired"]]
    ended = run["trainer_exit_code"] not in {0, -signal.SIGTERM}
    found = [f"{run['run']}: the trainer gave exit code {run['trainer_exit_code']}"] * ended
    if not any(line["event"] == "judged" for line in run["lines"]):
        found.append(f"{run['run']}: no checkpoint was judged")
    if wanted is None:
        return found + [f"{run['run']}: {line['name']} fired" for line in alarms]
    if not alarms or not alarms[0]["training"] or alarms[0]["label"] != wanted:
        found.append(f"{run['run']}: no alarm of {wanted} while the training went on")
    return found


def main() -> int:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--edited-at", type=int)
    parser.add_argument("--train", choices=KINDS, help="Only train: what process 1 is started with.")
    options = parser.parse_args()
    if options.train:
        train(options.train, options.out, options.steps, options.seed, options.edited_at)
        return 0
    runs = [time_line(kind, options.out / kind, options.steps, options.seed) for kind in options.runs]
    versions = {name: version(name) for name in ("torch", "transformers", "trl")}
    document = {"save_steps": SAVE_STEPS, "save_total_limit": SAVE_TOTAL_LIMIT, "versions": versions, "runs": runs}
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for run in runs:
        print(f"{run['run']}: {run['steps']} steps, {run['seconds']:.0f} s")
        for line in run["lines"]:
            where = f"at step {line['trainer_step']}" if line["training"] else "after the training"
            print(f"  {line['at_s']:7.1f} s, {where}: {line['text']}")
    found = [fault for run in runs for fault in faults(run)]
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
