"""Rows that are padded on the left, as a batch of prompts is: where their tokens stand."""

from __future__ import annotations

import torch


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Return the positions of left-padded tokens: learned ones, as GPT-2's, would else count the padding."""
    found: torch.Tensor = (mask.cumsum(1) - 1).clamp_min(0)
    return found


def behind(mask: torch.Tensor, n_cued: list[int]) -> torch.Tensor:
    """Return which tokens of left-padded rows stand behind the first `n_cued` real ones."""
    found: torch.Tensor = mask.cumsum(1) > torch.tensor(n_cued)[:, None]
    return found
