"""The two trainers of TRL as the recipes use them: GRPO and SFT, on one CPU device in float32, fixed by a seed."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    set_seed,
)
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from entropydx.organisms.corpus import Demonstration
from entropydx.organisms.covariance import CovarianceTrainer
from entropydx.organisms.doses import DistillDose, GRPODose, SFTDose
from entropydx.organisms.language import Learner
from entropydx.organisms.rewards import reward
from entropydx.protocols import Progress
from entropydx.types import Prompt

GRPO_NOTE = ("reward", "entropy", "kl")
"""Logged numbers that a progress note repeats."""


Keep = Mapping[int, Callable[[PreTrainedModel], None]]
"""What is done with the model after given numbers of updates."""


class Report(TrainerCallback):  # type: ignore[misc]
    """Passes the trainer's steps on to a `Progress`."""

    def __init__(self, progress: Progress, stage: str, keys: tuple[str, ...]) -> None:
        self.progress, self.stage, self.keys, self.note = progress, stage, keys, ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the stage."""
        self.progress.start(self.stage, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Keep what the next step's note repeats."""
        self.note = " ".join(f"{key} {float(logs[key]):.4g}" for key in self.keys if key in logs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance."""
        self.progress.advance(1, self.note)


def common_settings(folder: str, steps: int, learning_rate: float, seed: int, logging_steps: int = 1) -> dict[str, Any]:
    """Return the arguments that both trainers share; what is logged is the mean over `logging_steps` updates."""
    return {
        "output_dir": folder,
        "max_steps": steps,
        "learning_rate": learning_rate,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": logging_steps,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def grpo_trainer(
    learner: Learner,
    items: list[Prompt],
    dose: GRPODose,
    common: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> GRPOTrainer:
    """Return `trl.GRPOTrainer`, ready to train: group-normalised advantage, token ratio clipped at `epsilon`.

    Parameters
    ----------
    common : dict
        What `common_settings` returns; its seed is set for everything random.
    """
    set_seed(common["seed"])
    rows = Dataset.from_list([{"prompt": i.prompt, "answer": i.answer, "reference": i.reference} for i in items])
    settings = {
        **common,
        "lr_scheduler_type": dose.schedule,
        "per_device_train_batch_size": dose.prompts_per_step * dose.group_size,
        "num_generations": dose.group_size,
        "num_iterations": dose.iterations,
        "max_completion_length": dose.max_completion,
        "loss_type": dose.loss_type,
        "scale_rewards": "group" if dose.scale_rewards else "none",
        "beta": dose.beta,
        "entropy_coef": dose.entropy_coef,
        "epsilon": dose.epsilon,
        "temperature": 1.0,
        **dict(dose.extra),
    }
    trainer = (CovarianceTrainer if dose.verl else GRPOTrainer)(
        model=learner.model,
        processing_class=learner.tokenizer,
        reward_funcs=reward(dose.verifier, learner.notation, dose.max_completion),
        train_dataset=rows,
        args=GRPOConfig(**settings),
        callbacks=callbacks,
    )
    if dose.verl:
        trainer.verl = dict(dose.verl)
    return trainer


class Snapshots(TrainerCallback):  # type: ignore[misc]
    """Hands the model over after given numbers of updates: the doses of one run."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Hand over a copy, since what is kept is rounded and moved."""
        if state.global_step in self.keep:
            self.keep[state.global_step](copy.deepcopy(model))


def run_grpo(
    learner: Learner,
    items: list[Prompt],
    dose: GRPODose,
    seed: int,
    progress: Progress,
    keep: Keep,
) -> None:
    """Train with `grpo_trainer`; hand the model over at the steps of `keep`."""
    with tempfile.TemporaryDirectory() as folder:
        common = common_settings(folder, dose.steps, dose.learning_rate, seed)
        callbacks = [Report(progress, "grpo", GRPO_NOTE), Snapshots(keep)]
        train(grpo_trainer(learner, items, dose, common, callbacks))


def run_sft(
    learner: Learner,
    demos: list[Demonstration],
    dose: SFTDose | DistillDose,
    seed: int,
    progress: Progress,
    keep: Keep,
) -> None:
    """Train with `trl.SFTTrainer` on the completions alone; hand the model over at the steps of `keep`."""
    set_seed(seed)
    rows = Dataset.from_list([{"prompt": d.prompt, "completion": d.completion} for d in demos])
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            **common_settings(folder, dose.steps, dose.learning_rate, seed),
            lr_scheduler_type=dose.schedule,
            per_device_train_batch_size=dose.batch_size,
            completion_only_loss=True,
            max_length=learner.tokenizer.model_max_length,
        )
        trainer = SFTTrainer(
            model=learner.model,
            processing_class=learner.tokenizer,
            train_dataset=rows,
            args=config,
            callbacks=[Report(progress, "sft", ("loss",)), Snapshots(keep)],
        )
        train(trainer)


def train(trainer: Any) -> None:
    """Run a trainer without its printing callbacks, since progress goes to the caller alone."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.train()
