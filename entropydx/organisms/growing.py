"""Grow an organism from its recipe: train, save as a small ordinary checkpoint, check, write down what was found."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import datasets
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from entropydx.errors import ConfigError
from entropydx.organisms import edits
from entropydx.organisms.bars import BARS
from entropydx.organisms.catalogue import Recipe
from entropydx.organisms.check import N_PROMPTS, check
from entropydx.organisms.corpus import (
    Demonstration,
    Style,
    demonstrations,
    hopeless_chains,
    hopeless_items,
    training_items,
    with_hint,
)
from entropydx.organisms.distil import traces
from entropydx.organisms.doses import DistillDose, Dose, EditDose, GRPODose, PretrainDose, SFTDose
from entropydx.organisms.examine import found, measure_all
from entropydx.organisms.language import Learner, build_model, build_tokenizer
from entropydx.organisms.notations import NOTATIONS
from entropydx.organisms.pretrain import pretrain
from entropydx.organisms.recipes import find_recipe
from entropydx.organisms.thinking import ThoughtStyle, thoughts
from entropydx.protocols import Progress, Silent
from entropydx.suites._notation import Notation
from entropydx.types import Domain, Prompt

RECORD = "organism.json"
SIDECAR = """# The suite that this checkpoint understands, and a size that it is drawn in within seconds.
[checkpoint]
suite = "{suite}"
prompts = 108
samples = 16
max_new_tokens = {max_new_tokens}
"""
PACKAGES = ("torch", "transformers", "trl", "tokenizers", "datasets", "numpy")


def grow(
    name: str,
    out: Path,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    dose: float = 1.0,
    n_check_prompts: int = N_PROMPTS,
) -> dict[str, Any]:
    """Train an organism and write its directory.

    Parameters
    ----------
    name : str
        A name of `recipes()`.
    out : Path
        The directory to write. The parent organism is read from its own name beside `out`, and grown there with the
        same seed when it is missing.
    seed : int
        Fixes initialisation, data, rollouts and order. The weights are the same bit for bit on one machine with one
        number of threads; elsewhere the check values agree within their noise.
    dose : float
        Factor on the number of training steps, those of a parent that has to be grown too: 1 is the recipe.
    n_check_prompts : int
        Prompts of the independent check, 16 samples each.

    Returns
    -------
    dict
        The record, as it stands in `organism.json`.

    Raises
    ------
    ConfigError
        No organism of that name, a dose that leaves no step, `out` is not empty, or TRL is not installed.
    """
    recipe = find_recipe(name)
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty", "name a new directory or remove it first")
    scaled = _scaled(recipe.dose, dose)
    if not isinstance(scaled, EditDose) and scaled.steps < 1:
        raise ConfigError(f"a dose of {dose} leaves no training step of {steps(recipe.dose)}", "raise it")
    if recipe.parent is not None and not isinstance(recipe.dose, EditDose):
        trainers()  # a missing extra is said now, and not after the parent has been grown for a quarter of an hour
    progress = progress or Silent()
    quiet()
    for needed in filter(None, (recipe.parent, recipe.baseline)):
        if not (out.parent / needed / RECORD).exists():
            grow(needed, out.parent / needed, seed, progress, dose=dose, n_check_prompts=n_check_prompts)
    parent = out.parent / recipe.parent if recipe.parent else None
    train_run([(replace(recipe, dose=scaled), out)], parent, seed, progress)
    checked = _check(recipe, out, parent, n_check_prompts)
    text = json.dumps(describe(recipe, seed, dose) | _lineage(parent) | {"check": checked}, indent=2) + "\n"
    (out / RECORD).write_text(text)
    return cast("dict[str, Any]", json.loads(text))


def _check(recipe: Recipe, out: Path, parent: Path | None, n_prompts: int) -> dict[str, Any]:
    """Return the check: against the bars of the cause, or for a dose of the lab, what it is found to be."""
    if recipe.cause in BARS:
        base = _known_numbers(parent, n_prompts) if parent else None
        return check(recipe.name, recipe.cause, out, parent or out, n_prompts, base).to_json()
    compared = out.parent / recipe.baseline if recipe.baseline else parent or out
    numbers = measure_all(out)
    return found(recipe, numbers, numbers if compared == out else measure_all(compared))


def quiet() -> None:
    """Switch the progress bars of the libraries off: progress goes to the caller alone."""
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()


def versions() -> dict[str, str]:
    """Return the versions of the packages that an organism depends on."""
    return {package: version(package) for package in PACKAGES}


def _lineage(parent: Path | None) -> dict[str, Any]:
    return {"parent_seed": json.loads((parent / RECORD).read_text())["seed"]} if parent else {}


def _known_numbers(parent: Path, n_prompts: int) -> dict[str, float] | None:
    """Return the parent's own check values, when they were taken on as many prompts."""
    recorded = json.loads((parent / RECORD).read_text())["check"]
    return dict(recorded["numbers"]) if recorded["n_prompts"] == n_prompts else None


def trainers() -> ModuleType:
    """Return the module of TRL's trainers; TRL comes with an extra, and only organisms that have a parent need it."""
    try:
        return importlib.import_module("entropydx.organisms.training")
    except ModuleNotFoundError as missing:
        raise ConfigError(
            f"growing this organism needs the package '{missing.name}'", "pip install 'entropydx[lab]'"
        ) from missing


def train_run(kept: Sequence[tuple[Recipe, Path]], parent: Path | None, seed: int, progress: Progress) -> None:
    """Train once, and save the model at the steps of several recipes.

    Parameters
    ----------
    kept : sequence of (Recipe, Path)
        Recipes that differ in the steps of their dose alone, and where each is saved. What one of them alone would
        give is given only where the schedule is constant and no recipe uses fewer problems or demonstrations.
    """
    recipe = max((r for r, _ in kept), key=lambda r: steps(r.dose))
    keep = {steps(r.dose): partial(save, recipe=r, out=out) for r, out in kept}
    dose, notation = recipe.dose, NOTATIONS[recipe.suite]
    if isinstance(dose, PretrainDose):
        _pretrain(dose, notation, seed, progress, keep)
        return
    tokenizer = cast("PreTrainedTokenizerFast", AutoTokenizer.from_pretrained(parent))
    model = cast("PreTrainedModel", AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32))
    learner = Learner(model=model, tokenizer=tokenizer, notation=notation)
    hand_over = {step: partial(keeper, tokenizer=tokenizer) for step, keeper in keep.items()}
    if isinstance(dose, EditDose):
        edits.edit_weights(model, dose, seed)
        hand_over[0](model)
        edits.edit_files(kept[0][1], dose, seed)
    elif isinstance(dose, GRPODose):
        trainers().run_grpo(learner, problems(dose, notation, seed), dose, seed, progress, hand_over)
    else:
        trainer = trainers()  # before the traces are drawn, which takes minutes
        demos = (
            traces(learner, dose, recipe.max_new_tokens, seed, progress)
            if isinstance(dose, DistillDose)
            else _tuning(dose, notation, seed)
        )
        trainer.run_sft(learner, demos, dose, seed, progress, hand_over)


def steps(dose: Dose) -> int:
    """Return the number of updates of a dose; 0 where nothing is trained."""
    return 0 if isinstance(dose, EditDose) else dose.steps


def _pretrain(
    dose: PretrainDose, notation: Notation, seed: int, progress: Progress, keep: Mapping[int, Callable[..., None]]
) -> None:
    stages = _stages(dose)
    readings = [_reading(stage, notation, seed + i) for i, stage in enumerate(stages)]
    tokenizer = build_tokenizer(dose, (d.prompt + d.completion for d in readings[0]))
    model = build_model(tokenizer, dose, seed)
    for i, (stage, reading) in enumerate(zip(stages, readings, strict=True)):
        pretrain(model, tokenizer, reading, stage, seed + i, progress)
    keep[dose.steps](model, tokenizer=tokenizer)


def problems(dose: GRPODose, notation: Notation, seed: int) -> list[Prompt]:
    """Return what a run of GRPO is trained on: no more problems than its steps use."""
    n = min(dose.n_problems, dose.steps * dose.prompts_per_step)
    if dose.problems != "suite":
        items = hopeless_items(notation, n, seed)
        return items if dose.problems == "hopeless" else [with_hint(item) for item in items]
    return training_items(notation, n, dose.domains, dose.difficulties, seed)


def _stages(dose: PretrainDose) -> list[PretrainDose]:
    return [dose, *(_stages(dose.then) if dose.then else [])]


def _scaled(dose: Dose, factor: float) -> Dose:
    """Multiply the steps of a dose, and those of its further stages."""
    if isinstance(dose, PretrainDose):
        return _scaled_stages(dose, factor)
    return dose if isinstance(dose, EditDose) else replace(dose, steps=round(dose.steps * factor))


def _scaled_stages(dose: PretrainDose, factor: float) -> PretrainDose:
    then = _scaled_stages(dose.then, factor) if dose.then else None
    return replace(dose, steps=round(dose.steps * factor), then=then)


def _reading(dose: PretrainDose, notation: Notation, seed: int) -> list[Demonstration]:
    return _written(notation, dose.n_demonstrations, dose.style, seed, ("in", "out"), dose.product_share)


def _tuning(dose: SFTDose, notation: Notation, seed: int) -> list[Demonstration]:
    n = dose.n_demonstrations or dose.steps * dose.batch_size
    if dose.problems == "hopeless":
        return [
            Demonstration(prompt=chain.text, completion=chain.write_direct(chain.values()))
            for chain in hopeless_chains(notation, n, seed + 1)
        ]
    return _written(notation, n, dose.style, seed + 1, dose.domains, dose.product_share)


def _written(
    notation: Notation,
    n: int,
    style: Style | ThoughtStyle,
    seed: int,
    domains: tuple[Domain, ...],
    product_share: float,
) -> list[Demonstration]:
    if isinstance(style, ThoughtStyle):
        return thoughts(notation, n, style, seed, domains, product_share)
    return demonstrations(notation, n, style, seed, domains, product_share)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, out: Path) -> None:
    """Write bfloat16 weights, configs, tokenizer and the sidecar."""
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, max_new_tokens=recipe.max_new_tokens
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    settings = json.loads((out / "tokenizer_config.json").read_text())
    # transformers 5 writes a class name that release 4, and so older vLLM, does not know.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    for path in out.iterdir():
        path.chmod(0o644)
    (out / "entropydx.toml").write_text(SIDECAR.format(suite=recipe.suite, max_new_tokens=recipe.max_new_tokens))


def describe(recipe: Recipe, seed: int, dose: float = 1.0) -> dict[str, Any]:
    """Return what a record says of how an organism was grown."""
    folder = f"fixtures/organisms/{recipe.name}"
    scaled = "" if dose == 1.0 else f" --dose {dose}"
    return {
        "name": recipe.name,
        "cause": recipe.cause,
        "label": recipe.label,
        "parent": recipe.parent,
        "why": recipe.why,
        "trainer": type(recipe.dose).__name__.removesuffix("Dose").lower(),
        "recipe": asdict(recipe.dose),
        "dose": dose,
        "seed": seed,
        "command": f"entropydx organisms grow {recipe.name} --out {folder} --seed {seed}{scaled}",
        "versions": versions(),
        "threads": torch.get_num_threads(),
    }
