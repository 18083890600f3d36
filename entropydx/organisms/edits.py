"""Checkpoints that are changed without training: rounded, damaged, or given other sampling settings."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import PreTrainedModel

from entropydx.organisms.doses import EditDose


def edit_weights(model: PreTrainedModel, dose: EditDose, seed: int) -> None:
    """Change the weights in place; the kinds that leave them alone do nothing here."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        if dose.kind == "quantise":
            for weight in _matrices(model):
                weight.copy_(round_rows(weight, int(dose.amount)))
        elif dose.kind == "noise":
            for weight in _matrices(model):
                weight.add_(torch.randn(weight.shape, generator=generator) * weight.std() * dose.amount)
        elif dose.kind == "blank_layer":
            for name, weight in model.named_parameters():
                if _layer(name) >= model.config.num_hidden_layers - int(dose.amount):
                    weight.zero_()


def round_rows(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the matrix with each row rounded to `bits` bits, symmetric about 0, its largest magnitude kept."""
    levels = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny) / levels
    rounded: torch.Tensor = (weight / scale).round() * scale
    return rounded


def _matrices(model: PreTrainedModel) -> list[torch.Tensor]:
    return [weight for weight in model.parameters() if weight.dim() == 2]


def _layer(name: str) -> int:
    return next((int(part) for part in name.split(".") if part.isdigit()), -1)


def edit_files(folder: Path, dose: EditDose, seed: int) -> None:
    """Change the settings beside the weights of a saved checkpoint."""
    if dose.kind == "decoding":
        _rewrite(folder / "generation_config.json", do_sample=True, temperature=dose.amount)
    elif dose.kind == "vocabulary":
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        _exchange(tokenizer["model"]["vocab"], dose.amount, seed)
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=2, ensure_ascii=False) + "\n")


def _rewrite(path: Path, **settings: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings, indent=2) + "\n")


def _exchange(vocabulary: dict[str, int], share: float, seed: int) -> None:
    """Give a share of the tokens, the special ones aside, the ids of one another."""
    names = [name for name in vocabulary if not (name.startswith("<") and name.endswith(">"))]
    generator = torch.Generator().manual_seed(seed)
    chosen = [names[i] for i in torch.randperm(len(names), generator=generator)[: round(share * len(names))]]
    ids = [vocabulary[name] for name in chosen]
    vocabulary.update(zip(chosen, ids[1:] + ids[:1], strict=True))
