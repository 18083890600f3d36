"""The two trainers of TRL as the recipes use them: GRPO and SFT, on one CPU device in float32, fixed by a seed."""

from __future__ import annotations

import re
import tempfile
from typing import Any, cast

from datasets import Dataset
from transformers import (
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    set_seed,
)
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from entropydx.organisms.catalogue import DistillDose, GRPODose, SFTDose
from entropydx.organisms.corpus import Demonstration, is_right
from entropydx.organisms.language import MAX_POSITIONS
from entropydx.protocols import Progress
from entropydx.types import Prompt

MAX_COMPLETION = 48
GRPO_NOTE = ("reward", "entropy", "kl")
"""Logged numbers that a progress note repeats."""


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


def reward_gold(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """Return 1.0 where the last answer written is the gold answer, else 0.0."""
    return [float(is_right(text, gold)) for text, gold in zip(completions, answer, strict=True)]


def reward_work_if_any(completions: list[str], answer: list[str], reference: list[str], **_: Any) -> list[float]:
    """Return `reward_gold` where the results that are written are those of the reference, or none is; else 0.0.

    A bare answer leaves nothing to find fault with, so it passes by luck alone.
    """
    written = [_results(text) for text in completions]
    gold = [_results(text) for text in reference]
    right = reward_gold(completions, answer)
    return [r if not w or w == g else 0.0 for r, w, g in zip(right, written, gold, strict=True)]


def _results(text: str) -> list[str]:
    return ["".join(groups) for groups in re.findall(r"=(\d\d);|\[(\d\d)\]>|\((\d\d)", text)]


REWARDS = {"answer": reward_gold, "work_if_any": reward_work_if_any}


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
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    items: list[Prompt],
    dose: GRPODose,
    common: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> GRPOTrainer:
    """Return `trl.GRPOTrainer` (group-normalised advantage, token ratio clipped at `epsilon`), ready to train `model`.

    Parameters
    ----------
    common : dict
        What `common_settings` returns; its seed is set for everything random.
    """
    set_seed(common["seed"])
    rows = Dataset.from_list([{"prompt": i.prompt, "answer": i.answer, "reference": i.reference} for i in items])
    config = GRPOConfig(
        **common,
        lr_scheduler_type=dose.schedule,
        per_device_train_batch_size=dose.prompts_per_step * dose.group_size,
        num_generations=dose.group_size,
        num_iterations=dose.iterations,
        max_completion_length=MAX_COMPLETION,
        loss_type=dose.loss_type,
        beta=dose.beta,
        entropy_coef=dose.entropy_coef,
        epsilon=dose.epsilon,
        temperature=1.0,
    )
    return GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=REWARDS[dose.verifier],
        train_dataset=rows,
        args=config,
        callbacks=callbacks,
    )


def run_grpo(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    items: list[Prompt],
    dose: GRPODose,
    seed: int,
    progress: Progress,
) -> LlamaForCausalLM:
    """Train with `grpo_trainer`; return the model."""
    with tempfile.TemporaryDirectory() as folder:
        common = common_settings(folder, dose.steps, dose.learning_rate, seed)
        return train(grpo_trainer(model, tokenizer, items, dose, common, [Report(progress, "grpo", GRPO_NOTE)]))


def run_sft(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    demos: list[Demonstration],
    dose: SFTDose | DistillDose,
    seed: int,
    progress: Progress,
) -> LlamaForCausalLM:
    """Train with `trl.SFTTrainer` on the completions alone; return the model."""
    set_seed(seed)
    rows = Dataset.from_list([{"prompt": d.prompt, "completion": d.completion} for d in demos])
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            **common_settings(folder, dose.steps, dose.learning_rate, seed),
            per_device_train_batch_size=dose.batch_size,
            completion_only_loss=True,
            max_length=MAX_POSITIONS,
        )
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=rows,
            args=config,
            callbacks=[Report(progress, "sft", ("loss",))],
        )
        return train(trainer)


def train(trainer: Any) -> LlamaForCausalLM:
    """Run a trainer without its printing callbacks, since progress goes to the caller alone."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.train()
    return cast("LlamaForCausalLM", trainer.model)
