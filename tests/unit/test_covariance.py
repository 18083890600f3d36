"""KL-Cov and Clip-Cov in the lab: verl's own functions are the oracle, and plain GRPO the limit."""

import ast
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from entropydx.organisms import find_recipe
from entropydx.organisms.covariance import LOSSES, clip_cov, kl_cov
from entropydx.organisms.doses import GRPODose
from entropydx.organisms.growing import train_run
from entropydx.protocols import Silent
from entropydx.recommending import find_remedy

ROOT = Path(__file__).parents[2]
VERL = Path(sys.prefix) / "trainers" / "verl"
SETTINGS = {
    "kl_cov": {"kl_cov_ratio": 0.05, "ppo_kl_coef": 1.5},
    "clip_cov": {
        "clip_cov_ratio": 0.05,
        "clip_cov_lb": 0.1,
        "clip_cov_ub": 5.0,
        "clip_ratio_low": 0.5,
        "clip_ratio_high": 0.5,
    },
}


def _functions(file: str, *names: str, **space: Any) -> dict[str, Any]:
    """Return functions of verl, run without what their module imports."""
    tree = ast.parse((VERL / file).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(found) == len(names)
    for node in found:
        node.decorator_list, node.returns = [], None
        for argument in node.args.args:
            argument.annotation = None
    exec(compile(ast.Module(found, type_ignores=[]), file, "exec"), space)
    return space


def _verl(name: str, log_prob: Any, old: Any, advantages: Any, mask: Any, settings: dict[str, float]) -> Any:
    tools = SimpleNamespace(**_functions("utils/torch_functional.py", "masked_sum", "masked_mean", torch=torch))
    function = f"compute_policy_loss_{name}"
    space = _functions(
        "trainer/ppo/core_algos.py", "agg_loss", function, torch=torch, verl_F=tools, AlgoConfig=type(None)
    )
    config = SimpleNamespace(
        policy_loss=SimpleNamespace(**settings),
        clip_ratio=0.2,
        clip_ratio_low=settings.get("clip_ratio_low"),
        clip_ratio_high=settings.get("clip_ratio_high"),
        global_batch_info={},
    )
    loss, _ = space[function](old, log_prob, advantages, mask, "token-mean", config)
    return loss


def _batch(seed: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    old = -torch.rand(6, 40, generator=draw) * 3
    log_prob = (old + torch.randn(6, 40, generator=draw) * 0.5).clamp(max=0)
    advantages = torch.randn(6, 1, generator=draw).expand(6, 40).clone()
    lengths = torch.randint(5, 41, (6, 1), generator=draw)
    return log_prob, old, advantages, (torch.arange(40) < lengths).long()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_verls(name: str, seed: int) -> None:
    log_prob, old, advantages, mask = _batch(seed)
    ours, theirs = log_prob.clone().requires_grad_(), log_prob.clone().requires_grad_()
    torch.manual_seed(seed)
    losses = LOSSES[name](ours, old, advantages, mask, SETTINGS[name])
    loss = (losses * mask).sum() / mask.sum()
    torch.manual_seed(seed)
    expected = _verl(name, theirs, old, advantages, mask, SETTINGS[name])
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_settings_of_a_loss_are_the_catalogues_keys() -> None:
    for name in LOSSES:
        config = {key.rpartition(".")[2]: value for key, value in find_remedy(name).config["verl"].items()}
        assert config.pop("loss_mode") == name
        assert config.keys() == SETTINGS[name].keys()


def test_kl_cov_has_no_gradient_of_its_own_at_the_rollouts_policy() -> None:
    """With one update a rollout the difference is 0, and so is the slope of its absolute value there."""
    log_prob, _, advantages, mask = _batch(0)
    grads = []
    for price in (0.0, 10.0):
        own = log_prob.clone().requires_grad_()
        kl_cov(own, log_prob, advantages, mask, {"kl_cov_ratio": 0.5, "ppo_kl_coef": price}).sum().backward()
        grads.append(own.grad)
    assert torch.equal(*grads)


def test_clip_cov_takes_away_its_share_of_tokens_and_none_outside_of_the_bounds() -> None:
    log_prob, old, advantages, mask = _batch(1)
    n = int(mask.sum())
    none = clip_cov(log_prob, old, advantages, mask, {**SETTINGS["clip_cov"], "clip_cov_lb": 4.9})
    some = clip_cov(log_prob, old, advantages, mask, SETTINGS["clip_cov"])
    assert int((none * mask != 0).sum()) == n
    assert int((some * mask != 0).sum()) == n - int(n * 0.05)


def test_a_training_with_a_price_of_nothing_is_plain_grpo(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    parent, base = ROOT / "fixtures/organisms/tiny-base", replace(find_recipe("tiny-base"), parent="tiny-base")
    plain = GRPODose(
        steps=2, learning_rate=1e-3, beta=0.0, schedule="constant", prompts_per_step=4, group_size=4, n_problems=8
    )
    verl = (("policy_loss.loss_mode", "kl_cov"), ("policy_loss.kl_cov_ratio", 0.1), ("policy_loss.ppo_kl_coef", 0.0))
    weights = []
    for name, dose in {"plain": plain, "free": replace(plain, verl=verl)}.items():
        train_run([(replace(base, name=name, dose=dose), tmp_path / name)], parent, 0, Silent())
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    start = load_file(parent / "model.safetensors")
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=0, atol=2e-4)
    assert any(not torch.equal(weights[0][name], start[name]) for name in start)
