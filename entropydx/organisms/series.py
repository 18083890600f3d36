"""A series of checkpoints of one GRPO run whose settings are edited at a known step: the onset of its failure."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast, TrainerCallback

from entropydx.errors import ConfigError
from entropydx.organisms.catalogue import SeriesRecipe, find_series
from entropydx.organisms.check import N_SAMPLES, judge, measure
from entropydx.organisms.growing import RECORD, grow, problems, quiet, save, trainers, versions
from entropydx.organisms.language import Learner
from entropydx.organisms.notations import NOTATIONS
from entropydx.organisms.recipes import find_recipe
from entropydx.protocols import Progress, Silent
from entropydx.types import Prompt

SERIES_RECORD = "series.json"
N_PROMPTS = 288
"""Prompts of the check of each checkpoint, 16 samples each: a dozen checkpoints are checked in a few minutes."""
LOGGING_STEPS = 5
"""Updates between two entries of the trainer's log, which is stored once per checkpoint."""
NUMBERS = ("token_entropy", "pass@1", "pass@16", "largest_form", "agreement_when_wrong", "answer_missing", "stopped")
"""What the record repeats of the check of each checkpoint."""
BEFORE, AFTER = "collapsing_run_before", "collapsing_run_after"
"""Keys of the bars on the checkpoint at the change and on the last one."""


class _Edit(TrainerCallback):  # type: ignore[misc]
    """Gives a running `GRPOTrainer` the settings of the recipe: those of its dose, then those of its change."""

    def __init__(self, trainer: Any, recipe: SeriesRecipe) -> None:
        self.trainer, self.recipe = trainer, recipe

    def on_step_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **kwargs: Any
    ) -> None:
        """Set the settings of the update that is about to be done."""
        recipe = self.recipe
        now = recipe.dose if state.global_step < recipe.change.step else recipe.change
        self.trainer.beta, self.trainer.entropy_coef = now.beta, now.entropy_coef
        for group in optimizer.param_groups:
            group["lr"] = now.learning_rate
        # A constant schedule multiplies these by 1 after each update, so the log says what was used.
        lr_scheduler.base_lrs = [now.learning_rate for _ in lr_scheduler.base_lrs]


class _Keep(TrainerCallback):  # type: ignore[misc]
    """Stores a checkpoint, in the layout of a trainer of TRL without its optimizer, when its step has been logged."""

    def __init__(self, recipe: SeriesRecipe, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
        self.recipe, self.tokenizer, self.out = recipe, tokenizer, out

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], model: Any, **kwargs: Any) -> None:
        """Write `checkpoint-N`; the summary that a trainer logs at its end comes after its last checkpoint."""
        if "reward" in logs and state.global_step in self.recipe.kept:
            folder = self.out / f"checkpoint-{state.global_step}"
            save(copy.deepcopy(model), self.tokenizer, find_recipe(self.recipe.parent), folder)
            state.save_to_json(str(folder / "trainer_state.json"))


def series_trainer(
    learner: Learner,
    items: list[Prompt],
    recipe: SeriesRecipe,
    common: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> Any:
    """Return `trl.GRPOTrainer`, ready to train the run of a series, whose settings change at the recipe's step.

    Parameters
    ----------
    common : dict
        What `training.common_settings` returns.
    """
    # The trainer takes an entropy bonus only when it is built with one, so it is built with that of the change.
    dose = replace(recipe.dose, entropy_coef=recipe.change.entropy_coef)
    trainer = trainers().grpo_trainer(learner, items, dose, common, callbacks)
    trainer.add_callback(_Edit(trainer, recipe))
    return trainer


def load_learner(recipe: SeriesRecipe, parent: Path) -> Learner:
    """Return the parent of a series, ready to be trained."""
    tokenizer = cast("PreTrainedTokenizerFast", AutoTokenizer.from_pretrained(parent))
    model = cast("PreTrainedModel", AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32))
    return Learner(model=model, tokenizer=tokenizer, notation=NOTATIONS[find_recipe(recipe.parent).suite])


def run_series(
    parent: Path, items: list[Prompt], recipe: SeriesRecipe, out: Path, seed: int, progress: Progress
) -> None:
    """Train the parent with one trainer, whose optimizer goes through the change; write what is kept below `out`."""
    training = trainers()
    learner = load_learner(recipe, parent)
    with tempfile.TemporaryDirectory() as folder:
        common = training.common_settings(folder, recipe.dose.steps, recipe.dose.learning_rate, seed, LOGGING_STEPS)
        report = training.Report(progress, "grpo", training.GRPO_NOTE)
        callbacks = [report, _Keep(recipe, learner.tokenizer, out)]
        training.train(series_trainer(learner, items, recipe, common, callbacks))


def grow_series(
    name: str,
    out: Path,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    n_check_prompts: int = N_PROMPTS,
) -> dict[str, Any]:
    """Train a run, write its checkpoints as `out/checkpoint-N`, check each, and write `out/series.json`.

    Parameters
    ----------
    name : str
        A name of `series_recipes()`.
    out : Path
        The directory to write. The parent organism is read from its own name beside `out`, or from `organisms` beside
        the parent directory of `out`; where it is in neither, it is grown beside `out` with the same seed.
    seed : int
        Fixes problems, rollouts and order.
    n_check_prompts : int
        Prompts of the independent check of each checkpoint, 16 samples each.

    Returns
    -------
    dict
        The record, as it stands in `series.json`.

    Raises
    ------
    ConfigError
        No series of that name, `out` is not empty, or TRL is not installed.
    """
    recipe = find_series(name)
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty", "name a new directory or remove it first")
    trainers()
    progress = progress or Silent()
    quiet()
    parent = _parent(recipe, out, seed, progress)
    _copy(parent, out / "checkpoint-0")
    notation = NOTATIONS[find_recipe(recipe.parent).suite]
    run_series(parent, problems(recipe.dose, notation, seed), recipe, out, seed, progress)
    record = _record(recipe, seed, parent) | _checked(recipe, out, n_check_prompts, progress)
    text = json.dumps(record, indent=2) + "\n"
    (out / SERIES_RECORD).write_text(text)
    return cast("dict[str, Any]", json.loads(text))


def _parent(recipe: SeriesRecipe, out: Path, seed: int, progress: Progress) -> Path:
    beside = out.parent / recipe.parent
    places = (beside, out.parent.parent / "organisms" / recipe.parent)
    found = next((place for place in places if (place / RECORD).exists()), None)
    if found is None:
        grow(recipe.parent, beside, seed, progress)
    return found or beside


def _copy(parent: Path, folder: Path) -> None:
    """Copy the parent without its record, which speaks of the parent alone."""
    shutil.copytree(parent, folder, ignore=shutil.ignore_patterns(RECORD))


def _checked(recipe: SeriesRecipe, out: Path, n_prompts: int, progress: Progress) -> dict[str, Any]:
    """Measure every checkpoint and hold the one at the change and the last one against the bars of a series."""
    steps = (0, *recipe.kept)
    progress.start("check", len(steps))
    measured = {}
    for step in steps:
        measured[step] = measure(out / f"checkpoint-{step}", n_prompts)
        progress.advance(1, f"step {step}: {measured[step]['token_entropy']:.4f} nats")
    bars = [
        {"step": step, **result.to_json()}
        for cause, step in ((BEFORE, recipe.change.step), (AFTER, steps[-1]))
        for result in judge(cause, measured[step], measured[0])
    ]
    return {
        "check": {
            "passed": all(bar["passed"] for bar in bars),
            "n_prompts": n_prompts,
            "n_samples": N_SAMPLES,
            "bars": bars,
        },
        "checkpoints": [_checkpoint(out, step, measured[step]) for step in steps],
    }


def _checkpoint(out: Path, step: int, measured: dict[str, float]) -> dict[str, Any]:
    """Return the entry of one checkpoint; what has no value there, such as a reward at step 0, has no key."""
    folder = out / f"checkpoint-{step}"
    state = folder / "trainer_state.json"
    logged = json.loads(state.read_text())["log_history"][-1] if state.exists() else {}
    numbers = {number: round(measured[number], 4) for number in NUMBERS if number in measured}
    training = {"reward": "reward", "rollout_entropy": "entropy", "kl": "kl", "learning_rate": "learning_rate"}
    return {
        "name": folder.name,
        "step": step,
        "check": numbers,
        "training": {name: round(logged[key], 6) for name, key in training.items() if key in logged},
    }


def _record(recipe: SeriesRecipe, seed: int, parent: Path) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "label": recipe.label,
        "parent": recipe.parent,
        "parent_seed": json.loads((parent / RECORD).read_text())["seed"],
        "why": recipe.why,
        "trainer": "grpo",
        "recipe": asdict(recipe.dose),
        "change": asdict(recipe.change),
        "onset": recipe.change.step,
        "logging_steps": LOGGING_STEPS,
        "seed": seed,
        "command": f"entropydx organisms grow {recipe.name} --out fixtures/series/{recipe.name} --seed {seed}",
        "versions": versions(),
        "threads": torch.get_num_threads(),
    }
