"""The trainers of TRL, verl and OpenRLHF: what each does when its file is silent, and by which keys a file is known.

Defaults are those of TRL 1.16.0, verl 0.9.1 and OpenRLHF 0.11.2, keys those of the same releases; both are tested
against them. Only keys that the catalogue or the reader of a file need stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entropydx.trl_keys import CLASSES, EITHER, candidates, chosen
from entropydx.types import Stage


def _keys(words: str) -> frozenset[str]:
    return frozenset(words.split())


BASE: dict[str, Any] = {
    "gradient_accumulation_steps": 1,
    "per_device_train_batch_size": 8,
    "use_liger_kernel": False,
    "use_peft": False,
}
"""Of every trainer of TRL; the last is an argument of its scripts."""
_DRAWN: dict[str, Any] = {
    **BASE,
    "generation_batch_size": None,
    "num_generations": 8,
    "num_iterations": 1,
    "steps_per_generation": None,
    "temperature": 1.0,
    "top_p": 1.0,
}
_RLOO: dict[str, Any] = {
    **_DRAWN,
    "beta": 0.05,
    "epsilon": 0.2,
    "epsilon_high": None,
    "mask_truncated_completions": False,
    "num_generations": 2,
    "ref_model_mixup_alpha": 0.6,
    "ref_model_sync_steps": 512,
    "sync_ref_model": False,
}
_TRL: dict[str, dict[str, Any]] = {
    "grpo": {
        **_RLOO,
        "beta": 0.0,
        "entropy_coef": 0.0,
        "entropy_coef_delta": 0.005,
        "entropy_coef_max": 1.0,
        "entropy_target": 0.2,
        "importance_sampling_level": "token",
        "loss_type": "dapo",
        "num_generations": 8,
        "scale_rewards": "group",
        "top_entropy_quantile": 1.0,
        "use_adaptive_entropy": False,
    },
    "rloo": _RLOO,
    "sdpo": {
        **_DRAWN,
        "beta": 0.0,
        "dont_reprompt_on_self_success": True,
        "epsilon": 0.2,
        "epsilon_high": None,
        "importance_sampling_level": "token",
        "loss_type": "dapo",
        "mask_truncated_completions": False,
        "remove_thinking_from_demonstration": False,
        "scale_rewards": "group",
        "teacher_model_kind": "ema",
        "use_successful_as_teacher": True,
    },
    "sdft": {**_DRAWN, "teacher_model_kind": "base"},
    "async_grpo": {
        **BASE,
        "epsilon": 0.2,
        "epsilon_high": None,
        "num_generations": 8,
        "temperature": 1.0,
        "top_p": 1.0,
    },
    "a2po": {**BASE, "temperature": 1.0, "top_p": 1.0},
    "distillation": BASE,  # several trainers, whose temperatures differ
    "sft": {**BASE, "loss_type": "nll"},
}
_VERL: dict[str, Any] = {
    "actor_rollout_ref.actor.clip_ratio_c": 3.0,
    "actor_rollout_ref.actor.clip_ratio_high": 0.2,
    "actor_rollout_ref.actor.clip_ratio_low": 0.2,
    "actor_rollout_ref.actor.entropy_coeff": 0,
    "actor_rollout_ref.actor.kl_loss_coef": 0.001,
    "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
    "actor_rollout_ref.actor.policy_loss.clip_cov_lb": 1.0,
    "actor_rollout_ref.actor.policy_loss.clip_cov_ratio": 0.0002,
    "actor_rollout_ref.actor.policy_loss.clip_cov_ub": 5.0,
    "actor_rollout_ref.actor.policy_loss.kl_cov_ratio": 0.0002,
    "actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla",
    "actor_rollout_ref.actor.policy_loss.ppo_kl_coef": 0.1,
    "actor_rollout_ref.actor.ppo_epochs": 1,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 256,
    "actor_rollout_ref.actor.tau_neg": 1.05,
    "actor_rollout_ref.actor.tau_pos": 1.0,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "actor_rollout_ref.rollout.n": 1,
    "actor_rollout_ref.rollout.temperature": 1.0,
    "actor_rollout_ref.rollout.top_p": 1,
    "algorithm.adv_estimator": "gae",
    "algorithm.filter_groups.enable": False,
    "algorithm.filter_groups.metric": "reward",
    "algorithm.norm_adv_by_std_in_grpo": True,
    "algorithm.rollout_correction.bypass_mode": False,
    "algorithm.rollout_correction.loss_type": "ppo_clip",
    "data.train_batch_size": 1024,
    "trainer.use_v1": True,
}
_OPENRLHF: dict[str, Any] = {
    "--actor.entropy_coef": None,
    "--actor.eps_clip_low_high": None,
    "--actor.policy_loss_type": "ppo",
    "--algo.advantage.estimator": "gae",
    "--algo.dynamic_filtering_enable": False,
    "--algo.dynamic_filtering_range": [0, 1],
    "--algo.kl.estimator": "k1",
    "--algo.kl.init_coef": 0.01,
    "--algo.kl.use_loss": False,
    "--reward.overlong_buffer_len": None,
    "--rollout.batch_size": 1024,
    "--rollout.n_samples_per_prompt": 1,
    "--rollout.temperature": 1.0,
    "--rollout.top_p": 1.0,
    "--train.batch_size": 128,
    "--train.max_epochs": 1,
}
_TRL.update(
    {either: dict(set.intersection(*(set(_TRL[name].items()) for name in both))) for either, both in EITHER.items()}
)
TRAINERS: dict[str, dict[str, dict[str, Any]]] = {
    "trl": _TRL,
    "verl": {"ppo": _VERL, "sft": {}},
    "openrlhf": {"ppo": _OPENRLHF, "sft": {}},
}
"""Framework to its trainers to the defaults of each; the first is the one that most remedies are for. What a file of
two trainers is called has the defaults that they share."""
STAGE_OF: dict[str, Stage] = {
    "grpo": "rl",
    "rloo": "rl",
    "grpo_or_rloo": "rl",
    "async_grpo": "rl",
    "a2po": "rl",
    "ppo": "rl",
    "sdpo": "distillation",
    "sdft": "distillation",
    "self_distillation": "distillation",
    "distillation": "distillation",
    "sft": "sft",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "trl": {**_TRL["sdpo"], **_TRL["grpo"]},
    "verl": _VERL,
    "openrlhf": _OPENRLHF,
}
"""Every key that is known of a framework, with the default of the first trainer that has it."""

# ── verl and OpenRLHF: a root alone is a word that anybody may use ────────────────────────────────

VERL_KEYS = frozenset(
    f"{root}.{child}"
    for root, children in (
        ("actor_rollout_ref", "actor rollout ref model hybrid_engine"),
        (
            "algorithm",
            "adv_estimator filter_groups kl_ctrl kl_penalty norm_adv_by_std_in_grpo rollout_correction "
            "use_kl_in_reward use_pf_ppo",
        ),
    )
    for child in children.split()
)
VERL_SFT_ROOTS = {"optim", "data", "trainer", "model"}
VERL_SFT_KEYS = frozenset(("data.train_files", "data.micro_batch_size_per_gpu", "trainer.default_local_dir"))
OPENRLHF_RL = frozenset(
    f"{root}.{child}"
    for root, children in (
        (
            "actor",
            "dual_clip entropy_coef eps_clip eps_clip_low_high gradient_checkpointing_enable loss_agg_mode "
            "model_name_or_path num_gpus_per_node num_nodes policy_loss_type",
        ),
        ("algo", "advantage dynamic_filtering_enable dynamic_filtering_range kl"),
        ("rollout", "batch_size max_new_tokens micro_batch_size n_samples_per_prompt vllm_generate_batch_size"),
        ("train", "async_enable colocate_all colocate_actor_ref num_episodes"),
    )
    for child in children.split()
)
OPENRLHF_ANY = _keys(
    "data.input_key data.input_template data.max_len ds.adam_offload ds.attn_implementation ds.lora ds.packing_samples "
    "ds.param_dtype ds.zero_stage ds.zpg"
)
OPENRLHF_PREFERENCE = frozenset(("data.chosen_key", "data.rejected_key", "model.beta", "model.ipo_enable"))

OLD_OPENRLHF = _keys(
    "advantage_estimator init_kl_coef kl_estimator max_epochs micro_rollout_batch_size micro_train_batch_size "
    "n_samples_per_prompt prompt_max_len rollout_batch_size train_batch_size use_kl_loss zero_stage"
)
"""Flags of releases before 0.11, which renamed them."""
STARTED: dict[str, tuple[str, str]] = {
    "train_ppo_ray": ("openrlhf", "ppo"),
    "train_sft": ("openrlhf", "sft"),
    "main_ppo": ("verl", "ppo"),
    "sft_trainer": ("verl", "sft"),
    **{name: ("trl", name) for name in ("sft", "grpo", "rloo", "distillation")},
    **dict.fromkeys(("gkd", "gold"), ("trl", "distillation")),
    **{name: ("trl", family) for name, family in CLASSES.items() if family != "preference"},
}
"""What a script starts or builds, to the framework and the trainer; what is not here is of preference tuning."""


def recognised(flat: Mapping[str, Any]) -> tuple[str, str, Stage] | None:
    """Return framework, trainer and stage of dotted keys; None: they are of none that the catalogue is for."""
    bare = [key.lstrip("-") for key in flat]
    roots = {key.split(".")[0] for key in bare}
    pairs = {".".join(key.split(".")[:2]) for key in bare if "." in key}
    if VERL_KEYS & pairs:
        return "verl", "ppo", "distillation" if flat.get("distillation.enabled") is True else "rl"
    if roots >= VERL_SFT_ROOTS and VERL_SFT_KEYS & pairs:
        return "verl", "sft", "sft"
    if OPENRLHF_RL & pairs:
        return "openrlhf", "ppo", "rl"
    if OPENRLHF_ANY & pairs:
        return None if OPENRLHF_PREFERENCE & pairs else ("openrlhf", "sft", "sft")
    trainer = chosen(candidates(roots, flat.get("loss_type")), roots)
    return None if trainer is None else ("trl", trainer, STAGE_OF[trainer])


def preference(flat: Mapping[str, Any]) -> bool:
    """Return whether keys are of preference tuning or a reward model, which no remedy is for."""
    keys = {key.lstrip("-") for key in flat}
    return bool(keys & OPENRLHF_PREFERENCE) or candidates(keys, flat.get("loss_type")) == {"preference"}
