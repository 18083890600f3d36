"""Pretraining of the base in plain torch; docs/adr/0005-organisms.md says why not with a trainer of TRL."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from entropydx.organisms.corpus import Demonstration
from entropydx.organisms.doses import PretrainDose
from entropydx.protocols import Progress

IGNORED = -100
"""Target of a position that carries no loss: the prompt and the padding."""
WARMUP = 100


def encode(demos: list[Demonstration], tokenizer: PreTrainedTokenizerFast) -> list[tuple[list[int], int]]:
    """Return, for each demonstration, its token ids with the stop token, and the length of its prompt."""
    prompts = tokenizer([d.prompt for d in demos], add_special_tokens=False)["input_ids"]
    completions = tokenizer([d.completion for d in demos], add_special_tokens=False)["input_ids"]
    stop = [tokenizer.eos_token_id]
    return [(p + c + stop, len(p)) for p, c in zip(prompts, completions, strict=True)]


def collate(rows: list[tuple[list[int], int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return right-padded ids and targets, both (B, T); causal attention never sees the padding to the right."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), pad)
    targets = torch.full((len(rows), width), IGNORED)
    for i, (row, n_prompt) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        targets[i, n_prompt : len(row)] = ids[i, n_prompt : len(row)]
    return ids, targets


def batches(rows: list[tuple[list[int], int]], size: int, seed: int) -> Iterator[list[tuple[list[int], int]]]:
    """Yield batches of `size` without end; rows of like length go together, which halves the padding."""
    rng = np.random.default_rng((seed, 0xBA))
    while True:
        order = rng.permutation(len(rows))
        for block in np.array_split(order, max(1, len(order) // (size * 8))):
            by_length = sorted(block.tolist(), key=lambda i: len(rows[i][0]))
            parts = [by_length[i : i + size] for i in range(0, len(by_length) - size + 1, size)]
            for j in rng.permutation(len(parts)):
                yield [rows[i] for i in parts[j]]


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: linear warm-up, then a cosine down to a twentieth."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    done = (step - WARMUP) / max(1, steps - WARMUP)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    demos: list[Demonstration],
    dose: PretrainDose,
    seed: int,
    progress: Progress,
) -> None:
    """Train `model` in place on the completions of `demos` by next-token cross-entropy."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=dose.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate_factor(s, dose.steps))
    stream = batches(encode(demos, tokenizer), dose.batch_size, seed)
    progress.start("pretrain", dose.steps)
    model.train()
    for _ in range(dose.steps):
        ids, targets = collate(next(stream), tokenizer.pad_token_id)
        logits = model(input_ids=ids[:, :-1]).logits
        loss = cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.advance(1, f"loss {loss.item():.4f}")
    model.eval()
