"""The independent check of the SmolLM2 tier: `transformers.generate`, patterns of its own, and counting.

What an adapter is comes from `truth.judge`, as in the tiny tier; the bars are those of its cause. The prompts are fewer
than there, since a token costs a thousand times as much: a share is known to about 0.07, and only large effects count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from entropydx.organisms.adapters import MAX_NEW_TOKENS, load_base, prompt_text, with_adapter
from entropydx.organisms.check import CHECK_SEED, N_SAMPLES, Outcome, count, judge
from entropydx.organisms.forms import Reader
from entropydx.organisms.smollm2 import AdapterRecipe
from entropydx.organisms.truth import judge as name_failures
from entropydx.suites.small_sums import suite
from entropydx.types import Prompt

N_PROMPTS = 24
BATCH = 8
"""Prompts that are decoded together."""
_NUMBER = r"-?\d+"
_STEP = rf"{_NUMBER} [-+*/] {_NUMBER} = {_NUMBER}"
_END = rf"answer: {_NUMBER}"
READER = Reader(
    answer=re.compile(rf"answer: ({_NUMBER})"),
    result=re.compile(rf"[-+*/] {_NUMBER} = ({_NUMBER})"),
    forms={
        "equations": re.compile(rf"((hmm, |wait, )?{_STEP}\n)+{_END}"),
        "numbered": re.compile(rf"(\d\. (hmm, |wait, )?{_STEP}\n)+{_END}"),
        "prose": re.compile(rf"(hmm, )?first {_STEP}(, (wait, )?then {_STEP})*\.\n{_END}"),
        "brief": re.compile(rf"({_STEP}; )+{_END}"),
        "direct": re.compile(_END),
    },
)
"""Of texts in lower case."""


class _Entropies(LogitsProcessor):  # type: ignore[misc]
    """Notes the entropy of every next-token distribution, in nats, and changes nothing."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, (rows, V), as they are."""
        logprobs = scores.log_softmax(-1)
        self.steps.append(-(logprobs.exp() * logprobs).sum(-1))
        return scores


@torch.no_grad()
def draw(model: Any, tokenizer: Any, items: Sequence[Prompt], n_samples: int = N_SAMPLES) -> list[Outcome]:
    """Sample prompts of one length in tokens at temperature 1; each is read once for all of its samples."""
    texts = [prompt_text(tokenizer, str(item.prompt)) for item in items]
    ids = tokenizer(texts, add_special_tokens=False, return_tensors="pt").input_ids
    cache = DynamicCache(config=model.config)
    model(input_ids=ids[:, :-1], past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.batch_repeat_interleave(n_samples)
    rows, entropies, stop = ids.repeat_interleave(n_samples, dim=0), _Entropies(), tokenizer.eos_token_id
    drawn = model.generate(
        input_ids=rows,
        attention_mask=torch.ones_like(rows),
        past_key_values=cache,
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        max_new_tokens=MAX_NEW_TOKENS,
        eos_token_id=stop,
        pad_token_id=stop,
        logits_processor=LogitsProcessorList([entropies]),
    )[:, ids.shape[1] :]
    noted = torch.stack(entropies.steps, dim=1)
    own = [slice(i * n_samples, (i + 1) * n_samples) for i in range(len(items))]
    return [_outcome(item, tokenizer, drawn[s], noted[s]) for item, s in zip(items, own, strict=True)]


def _outcome(item: Prompt, tokenizer: Any, drawn: torch.Tensor, entropies: torch.Tensor) -> Outcome:
    """Return the samples of one prompt from what was drawn for it, (K, T), and the entropies there."""
    ends = drawn == tokenizer.eos_token_id
    stopped = ends.any(1)
    lengths = torch.where(stopped, ends.int().argmax(1) + 1, drawn.shape[1]).tolist()
    texts = [text.strip().lower() for text in tokenizer.batch_decode(drawn, skip_special_tokens=True)]
    return Outcome(
        item=item,
        texts=texts,
        answers=[(READER.answer.findall(text) or [None])[-1] for text in texts],
        stopped=stopped.tolist(),
        entropies=[h for row, n in zip(entropies, lengths, strict=True) for h in row[:n].tolist()],
    )


def measure(adapter: Path, model: Path, n_prompts: int = N_PROMPTS) -> dict[str, float]:
    """Sample an adapter and count; the numbers are those of `check.count`.

    Parameters
    ----------
    model : Path
        The GGUF file under the adapter.
    """
    base, tokenizer = load_base(model, torch.float32)
    merged = with_adapter(base, adapter, trainable=False).merge_and_unload().eval()
    torch.manual_seed(CHECK_SEED)
    batches = by_length(suite.prompts(CHECK_SEED, n_prompts), tokenizer)
    return count([outcome for batch in batches for outcome in draw(merged, tokenizer, batch)], READER)


def by_length(items: Sequence[Prompt], tokenizer: Any) -> list[list[Prompt]]:
    """Return prompts in batches that are of one length in tokens, so that nothing has to be padded."""
    lengths = {item.id: len(tokenizer(str(item.prompt), add_special_tokens=False).input_ids) for item in items}
    ordered = sorted(items, key=lambda item: lengths[item.id])
    groups = [list(group) for _, group in groupby(ordered, key=lambda item: lengths[item.id])]
    return [group[i : i + BATCH] for group in groups for i in range(0, len(group), BATCH)]


def check(
    recipe: AdapterRecipe, adapter: Path, model: Path, base: dict[str, float] | None, n_prompts: int = N_PROMPTS
) -> dict[str, Any]:
    """Return the check of an adapter, as it stands in its record.

    Parameters
    ----------
    base : dict, optional
        The numbers of the base of the tier, on the same prompts; None: the adapter is that base.

    Returns
    -------
    dict
        `label` and `truth` by `truth.judge`; `bars` of the cause; `passed`: the label is the recipe's, and every bar is
        met; the `numbers`, and those of the `base`.
    """
    numbers = measure(adapter, model, n_prompts)
    return verdict(recipe, numbers, base or numbers) | {"n_prompts": n_prompts, "n_samples": N_SAMPLES}


def verdict(recipe: AdapterRecipe, numbers: dict[str, float], base: dict[str, float]) -> dict[str, Any]:
    """Return label, truth and bars of an adapter by its numbers."""
    label, truth = name_failures(numbers, base, recipe.label)
    bars = judge(recipe.cause, numbers, base)
    return {
        "label": str(label),
        "passed": label == recipe.label and all(bar.passed for bar in bars),
        "truth": truth,
        "prompt_seed": CHECK_SEED,
        "bars": [bar.to_json() for bar in bars],
        "numbers": {key: round(value, 4) for key, value in numbers.items()},
        "base": {key: round(value, 4) for key, value in base.items()},
    }
