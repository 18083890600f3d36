"""Forward passes over left-padded prompts and what follows them, with the key-value cache.

Shape letters: P prompts of one prefill, L their padded length, B rows, C positions, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entropydx.errors import EngineError


@dataclass(slots=True)
class Prefix:
    """What a prefill leaves behind for P prompts."""

    cache: Any
    logits: Tensor
    """(P, V) of the last position."""
    mask: Tensor
    """(P, L) 1 where there is a token, 0 where there is left padding."""


class Forward:
    """Runs one model; holds which arguments its forward takes.

    Parameters
    ----------
    model : PreTrainedModel
        A causal LM in eval mode whose forward takes `past_key_values`.

    Raises
    ------
    EngineError
        It keeps no key-value cache (here, or at the first prefill).
    """

    def __init__(self, model: Any) -> None:
        arguments = inspect.signature(model.forward).parameters
        if "past_key_values" not in arguments:
            raise _no_cache(model)
        self._model = model
        self._takes_positions = "position_ids" in arguments
        self.takes_any_mask = self._takes_positions and model.config._attn_implementation == "sdpa"
        """Whether a mask (B, 1, 1, W) of truth values can say what each row sees."""
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in arguments else {}

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Prefix:
        """Run the prompts together, each padded on the left."""
        longest = max(map(len, prompts))
        ids = torch.zeros((len(prompts), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):
            ids[i, longest - len(prompt) :] = torch.tensor(prompt)
            mask[i, longest - len(prompt) :] = 1
        output = self._run(ids, mask, (mask.cumsum(-1) - 1).clamp_min(0), None, self._last_only)
        cache = output.past_key_values
        if not hasattr(cache, "layers"):
            raise _no_cache(self._model)
        return Prefix(cache, output.logits[:, -1], mask.to(output.logits.device))

    def last(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """Return the (B, V) logits of the last of C further positions; the cache grows in place."""
        logits: Tensor = self._run(ids, mask, positions, cache, self._last_only).logits[:, -1]
        return logits

    def every(
        self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any, *, hidden: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits of C further positions, and the hidden states that they come from.

        Returns
        -------
        logits : Tensor
            (B, C, V)
        states : Tensor or None
            (B, C, D) of the last layer, after the final norm; None unless `hidden`.
        """
        output = self._run(ids, mask, positions, cache, {"output_hidden_states": True} if hidden else {})
        return output.logits, output.hidden_states[-1] if hidden else None

    def _run(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any, options: dict[str, Any]) -> Any:
        device = self._model.device
        inputs: dict[str, Any] = {"input_ids": ids.to(device), "attention_mask": mask.to(device), **options}
        if self._takes_positions:
            inputs["position_ids"] = positions.to(device)
        return self._model(**inputs, past_key_values=cache, use_cache=True, return_dict=True)


def _no_cache(model: Any) -> EngineError:
    return EngineError(
        f"{type(model).__name__} keeps no transformers key-value cache, which engine 'hf' needs",
        "sample it with another engine",
    )
