"""The losses that hold entropy by covariance, which verl has and TRL has not, inside TRL's trainer.

Source: Cui et al., "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models", arXiv:2505.22617,
equations 9 to 13, as verl's `compute_policy_loss_kl_cov` and `compute_policy_loss_clip_cov` have them; a test holds
these to those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Mapping[str, float]], Tensor]


def kl_cov(log_prob: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, settings: Mapping[str, float]) -> Tensor:
    """Return the loss of each token: the tokens of highest covariance pay for moving away from the rollout's policy.

    Parameters
    ----------
    log_prob, old, advantages, mask : tensor
        [completions, tokens]: log-probability in nats under the policy and under that of the rollout, advantage, and
        1 for each token of a completion.
    settings : mapping
        `kl_cov_ratio`: share of the tokens that pay, in (0, 1]; at least one does. `ppo_kl_coef`: price of one nat of
        absolute difference.
    """
    valid = mask > 0
    covariance = _covariance(log_prob.detach(), advantages, valid).masked_fill(~valid, -torch.inf).flatten()
    n_paying = max(1, int(int(valid.sum()) * settings["kl_cov_ratio"]))
    paying = torch.zeros_like(covariance)
    paying[covariance.topk(n_paying).indices] = settings["ppo_kl_coef"]
    moved = log_prob - old
    return -advantages * moved.exp() + paying.view_as(moved) * moved.abs()


def clip_cov(log_prob: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, settings: Mapping[str, float]) -> Tensor:
    """Return the loss of each token, 0 for some of those whose covariance lies between two bounds, drawn at random.

    Parameters
    ----------
    log_prob, old, advantages, mask : tensor
        As `kl_cov` takes them.
    settings : mapping
        `clip_cov_ratio`: share of all tokens that are set to 0, as far as so many lie between the bounds; at least one.
        `clip_cov_lb`, `clip_cov_ub`: the bounds, both exclusive. `clip_ratio_low`, `clip_ratio_high`: the ordinary
        clip, which 1 and 1 leave at [0, 2]; what it holds is not drawn.
    """
    valid = mask > 0
    ratio = (log_prob - old).exp()
    free = -advantages * ratio
    held = -advantages * ratio.clamp(1 - settings["clip_ratio_low"], 1 + settings["clip_ratio_high"])
    covariance = _covariance(log_prob.detach(), advantages, valid)
    inside = (covariance > settings["clip_cov_lb"]) & (covariance < settings["clip_cov_ub"])
    between = torch.nonzero(valid & (held <= free) & inside)
    n_clipped = max(1, int(int(valid.sum()) * settings["clip_cov_ratio"]))
    clipped = between[torch.randperm(len(between))[:n_clipped]]
    kept = torch.ones_like(advantages)
    kept[clipped[:, 0], clipped[:, 1]] = 0
    return torch.maximum(free, held) * kept


LOSSES: dict[str, Loss] = {"kl_cov": kl_cov, "clip_cov": clip_cov}
"""By verl's `policy_loss.loss_mode`."""


class CovarianceTrainer(GRPOTrainer):  # type: ignore[misc]
    """`trl.GRPOTrainer` with one of `LOSSES`, averaged over tokens; without KL to a reference or entropy term."""

    verl: dict[str, Any]
    """verl's own keys below `actor_rollout_ref.actor`, that of the loss among them."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        tokens, mask = inputs["completion_ids"], inputs["completion_mask"]
        log_prob, entropies, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], tokens], dim=1),
            torch.cat([inputs["prompt_mask"], mask], dim=1),
            tokens.size(1),
            compute_entropy=True,
        )
        old = inputs.get("old_per_token_logps")
        old = log_prob.detach() if old is None else old
        settings = {key.rpartition(".")[2]: value for key, value in self.verl.items()}
        loss = LOSSES[settings.pop("loss_mode")]
        advantages = inputs["advantages"].unsqueeze(1).expand_as(log_prob)
        losses = loss(log_prob, old, advantages, mask, settings)
        n_tokens = mask.sum().clamp(min=1)
        self._metrics["train"]["entropy"].append(((entropies * mask).sum() / n_tokens).item())
        mean: Tensor = (losses * mask).sum() / n_tokens
        return mean


def _covariance(log_prob: Tensor, advantages: Tensor, valid: Tensor) -> Tensor:
    """Return the product of both deviations from the mean over valid tokens, for every token."""
    return (advantages - advantages[valid].mean()) * (log_prob - log_prob[valid].mean())
