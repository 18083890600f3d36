"""The trainers of TRL, verl and OpenRLHF: what each does when its file is silent, and by which keys a file is known.

Defaults are those of TRL 1.16.0, verl 0.9.1 and OpenRLHF 0.11.2, keys those of the same releases; both are tested
against them. Only keys that the catalogue or the reader of a file need stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        "loss_type": "dapo",
        "mask_truncated_completions": False,
        "remove_thinking_from_demonstration": False,
        "scale_rewards": "group",
        "teacher_model_kind": "ema",
        "use_successful_as_teacher": True,
    },
    "sdft": {**_DRAWN, "teacher_model_kind": "base"},
    "self_distillation": _DRAWN,  # SDPO or SDFT, by keys that both have: their teachers differ
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
TRAINERS: dict[str, dict[str, dict[str, Any]]] = {
    "trl": _TRL,
    "verl": {"ppo": _VERL, "sft": {}},
    "openrlhf": {"ppo": _OPENRLHF, "sft": {}},
}
"""Framework to its trainers to the defaults of each; the first is the one that most remedies are for."""
STAGE_OF: dict[str, Stage] = {
    "grpo": "rl",
    "rloo": "rl",
    "ppo": "rl",
    "sdpo": "distillation",
    "sdft": "distillation",
    "self_distillation": "distillation",
    "distillation": "distillation",
    "sft": "sft",
}
CONFIGURATION = {
    "grpo": "GRPOConfig",
    "rloo": "RLOOConfig",
    "sdpo": "SDPOConfig",
    "sdft": "SDFTConfig",
    "self_distillation": "SDPOConfig or SDFTConfig",
    "distillation": "DistillationConfig or alike",
    "sft": "SFTConfig",
}
"""A trainer of TRL to the words for its configuration."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "trl": {**_TRL["sdpo"], **_TRL["grpo"]},
    "verl": _VERL,
    "openrlhf": _OPENRLHF,
}
"""Every key that is known of a framework, with the default of the first trainer that has it."""

# ── TRL: keys by which a trainer is known ─────────────────────────────────────────────────────────

SDPO_ONLY = _keys(
    "dont_reprompt_on_self_success distillation_weight environment_feedback_only_without_solution feedback_template "
    "include_environment_feedback max_reprompt_len remove_thinking_from_demonstration reprompt_template "
    "solution_template success_reward_threshold use_successful_as_teacher"
)
SDFT_ONLY = frozenset(("generate_from_teacher", "num_loss_tokens_to_skip", "teacher_prompt_template"))
SELF_DISTILLATION = _keys(
    "distillation_add_tail distillation_alpha distillation_is_clip distillation_mode distillation_topk "
    "teacher_model_kind teacher_sync_steps teacher_update_rate"
)
"""Of SDPO and of SDFT."""
SDPO_RL = frozenset(("beta", "epsilon", "epsilon_high", "loss_type", "mask_truncated_completions", "scale_rewards"))
"""Of SDPO and of GRPO, not of SDFT."""
DISTILLATION_ONLY = _keys(
    "distillation_objective iw_opd_epsilon iw_opd_gamma lmbda loss_add_tail loss_top_k reverse_kl_top_1_mode seq_kd "
    "teacher_model_init_kwargs teacher_model_name_or_path teacher_model_revision teacher_model_server_url "
    "teacher_server_urls teacher_tokenizer_name_or_path use_uld_loss"
)
RLOO_ONLY = frozenset(("normalize_advantages", "reward_clip_range"))
RL_ONLY = RLOO_ONLY | _keys(
    "entropy_coef epsilon epsilon_high importance_sampling_level num_generations num_iterations reward_funcs "
    "scale_rewards steps_per_generation top_entropy_quantile use_adaptive_entropy"
)
GRPO_LOSSES = _keys("bnpo cispo dapo dr_grpo grpo luspo sapo vespo")
SFT_LOSSES = frozenset(("nll", "chunked_nll", "dft"))
ONLINE = _keys(
    "generation_batch_size log_completions max_completion_length max_prompt_length use_vllm vllm_mode "
    "vllm_gpu_memory_utilization vllm_server_host"
)
"""Of trainers that draw completions."""
PREFERENCE = _keys(
    "center_rewards_coefficient cpo_alpha desirable_weight f_divergence_type label_smoothing ld_alpha "
    "missing_eos_penalty precompute_ref_log_probs reward_model_path simpo_gamma undesirable_weight"
)
"""Of DPO, KTO, CPO, online DPO and reward models."""
SFT_ONLY = _keys("assistant_only_loss completion_only_loss dataset_text_field eval_packing packing packing_strategy")
TRAINING = _keys(
    "dataset_name learning_rate max_steps model_name_or_path num_train_epochs output_dir per_device_train_batch_size"
)
"""Of every trainer."""

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
    trainer = _trl_trainer(roots, flat.get("loss_type"))
    return None if trainer is None else ("trl", trainer, STAGE_OF[trainer])


def _trl_trainer(keys: set[str], loss: Any) -> str | None:
    """Return which trainer of TRL has such keys, those of the rarest first: most are of several."""
    named = loss if isinstance(loss, str) else None
    if keys & (SDPO_ONLY | SDFT_ONLY | SELF_DISTILLATION):
        return _self_distilling(keys)
    if keys & DISTILLATION_ONLY:
        return "distillation"
    if keys & RL_ONLY or named in GRPO_LOSSES:
        return "rloo" if keys & RLOO_ONLY else "grpo"
    if preference(keys) or (loss is not None and named not in SFT_LOSSES):
        return None
    if keys & ONLINE:
        return "grpo"
    plain = "max_length" in keys and keys & TRAINING  # the length alone is a key of anything
    return "sft" if keys & SFT_ONLY or named is not None or plain else None


def _self_distilling(keys: set[str]) -> str:
    if keys & SDPO_ONLY or (keys & SDPO_RL and not keys & SDFT_ONLY):
        return "sdpo"
    return "sdft" if keys & SDFT_ONLY else "self_distillation"


def preference(keys: set[str]) -> bool:
    """Return whether keys are of preference tuning or a reward model, which no remedy is for."""
    return bool(keys & (PREFERENCE | OPENRLHF_PREFERENCE)) or {"max_length", "beta"} <= keys
