"""Traces of a checkpoint that answers for its own student: drawn with or without the solution, kept when right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from entropydx.errors import ConfigError
from entropydx.organisms.corpus import Demonstration, is_right, training_items
from entropydx.organisms.doses import DistillDose
from entropydx.organisms.language import Learner
from entropydx.organisms.thinking import strip
from entropydx.protocols import Progress

ROWS = 256
"""Prompts decoded together."""


def traces(
    learner: Learner,
    dose: DistillDose,
    max_new_tokens: int,
    seed: int,
    progress: Progress,
) -> list[Demonstration]:
    """Return the right completions of the teacher, each under the *unguided* prompt of its problem.

    The recipe of Kim et al. (arXiv 2603.24472): the teacher is the student itself, given the worked solution; its
    correctness-filtered traces are what the student is then trained on, without the solution.

    Raises
    ------
    ConfigError
        Nothing that the teacher wrote is right.
    """
    notation, model = learner.notation, learner.model
    items = training_items(notation, dose.n_problems, dose.domains, dose.difficulties, seed)
    prompts = [item.guided if dose.guided else item.prompt for item in items]
    torch.manual_seed(seed)
    model.eval()
    progress.start("traces", len(prompts))
    texts: list[list[str | None]] = []
    for first in range(0, len(prompts), ROWS):
        texts += _complete(learner, prompts[first : first + ROWS], dose.samples, max_new_tokens)
        progress.advance(ROWS, "")
    kept = [
        Demonstration(prompt=str(item.prompt), completion=strip(text, notation) if dose.strip else text)
        for item, own in zip(items, texts, strict=True)
        for text in own
        if text is not None and is_right(notation, text, item.answer)
    ]
    if not kept:
        raise ConfigError("the teacher wrote nothing right", "distil from a parent that knows the notation")
    return [kept[i] for i in np.random.default_rng((seed, 0xD1)).permutation(len(kept))]


@torch.no_grad()
def _complete(
    learner: Learner,
    prompts: Sequence[str | None],
    samples: int,
    max_new_tokens: int,
) -> list[list[str | None]]:
    """Sample at temperature 1; None stands for a completion that did not stop."""
    model, tokenizer = learner.model, learner.tokenizer
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    ids = model.generate(
        **inputs,
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_return_sequences=samples,
        max_new_tokens=max_new_tokens,
    )[:, inputs["input_ids"].shape[1] :]
    stopped = (ids == tokenizer.eos_token_id).any(1).tolist()
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    rows = [text if stop else None for text, stop in zip(texts, stopped, strict=True)]
    return [rows[i * samples : (i + 1) * samples] for i in range(len(prompts))]
