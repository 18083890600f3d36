"""Which configuration classes of TRL have a key, and whose a file with some of them may be.

The table is that of TRL 1.16.0, tested against its source: every key that one of its configuration classes declares
beyond the arguments that every trainer takes, with the families of classes that have it. Most keys are of several.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import Any


def _keys(words: str) -> frozenset[str]:
    return frozenset(words.split())


FAMILIES = ("grpo", "rloo", "sdpo", "sdft", "async_grpo", "a2po", "distillation", "sft", "preference")
"""Trainers, in the order of the table. `distillation` is of six classes and `preference` of seven: DPO, KTO, CPO, ORPO,
TPO, online DPO and reward models, which no remedy is for."""
CONFIGURATION = {
    "grpo": "GRPOConfig",
    "rloo": "RLOOConfig",
    "grpo_or_rloo": "GRPOConfig or RLOOConfig",
    "sdpo": "SDPOConfig",
    "sdft": "SDFTConfig",
    "self_distillation": "SDPOConfig or SDFTConfig",
    "async_grpo": "AsyncGRPOConfig",
    "a2po": "A2POConfig",
    "distillation": "DistillationConfig or alike",
    "sft": "SFTConfig",
    "preference": "DPOConfig or another of preference tuning",
}
"""A trainer of TRL to the words for its configuration."""
CLASSES = {
    **{CONFIGURATION[name]: name for name in ("grpo", "rloo", "sdpo", "sdft", "async_grpo", "a2po", "sft")},
    **dict.fromkeys(
        (
            "AsyncDistillationConfig",
            "DistillationConfig",
            "GKDConfig",
            "GOLDConfig",
            "IWOPDConfig",
            "ServerDistillationConfig",
        ),
        "distillation",
    ),
    **dict.fromkeys(
        ("CPOConfig", "DPOConfig", "KTOConfig", "ORPOConfig", "OnlineDPOConfig", "RewardConfig", "TPOConfig"),
        "preference",
    ),
}
"""Configuration class to its family. GMPOConfig is not here: it has GRPO's keys, and means others by its clip range."""
EITHER = {"grpo_or_rloo": ("grpo", "rloo"), "self_distillation": ("sdpo", "sdft")}
"""What a file is called whose keys two trainers share, to these two: it is answered for both."""
TELLS = {
    "grpo": "top_entropy_quantile: 1.0",
    "rloo": "normalize_advantages: false",
    "sdpo": "use_successful_as_teacher: true",
    "sdft": "generate_from_teacher: false",
    "sft": "packing: false",
}
"""A trainer to a key of its own at its default: in a file it changes nothing, and tells whose the file is."""

_ROWS = (
    (
        "grpo",
        "cast_lm_head_to_fp32 delta entropy_coef entropy_coef_delta entropy_coef_max entropy_coef_min entropy_target "
        "log_completions_hub_repo multi_objective_aggregation off_policy_mask_threshold sapo_temperature_neg "
        "sapo_temperature_pos top_entropy_quantile use_adaptive_entropy use_bias_correction_kl vespo_k_neg "
        "vespo_k_pos vespo_lambda_neg vespo_lambda_pos vllm_importance_sampling_cap vllm_importance_sampling_clip_max "
        "vllm_importance_sampling_clip_min vllm_importance_sampling_correction vllm_importance_sampling_mode",
    ),
    ("rloo", "normalize_advantages reward_clip_range"),
    (
        "sdpo",
        "diagnostics_flat_tolerance diagnostics_warning_interval distillation_weight dont_reprompt_on_self_success "
        "environment_feedback_only_without_solution feedback_template include_environment_feedback max_reprompt_len "
        "remove_thinking_from_demonstration reprompt_template solution_template success_reward_threshold "
        "use_successful_as_teacher",
    ),
    ("sdft", "generate_from_teacher num_loss_tokens_to_skip teacher_prompt_template"),
    ("async_grpo", "fork_threshold_tokens"),
    ("a2po", "beta1 beta2 filter_all_incorrect num_value_samples"),
    (
        "distillation",
        "add_tail_bucket callbacks distillation_objective iw_opd_epsilon iw_opd_gamma lmbda log_completions_steps "
        "loss_add_tail loss_top_k reverse_kl_top_1_mode seq_kd teacher_model_init_kwargs teacher_model_name_or_path "
        "teacher_model_revision teacher_model_server_url teacher_server_urls teacher_temperature "
        "teacher_tokenizer_name_or_path teacher_top_k uld_crossentropy_weight uld_distillation_weight "
        "uld_hybrid_matched_weight uld_hybrid_unmatched_weight uld_skip_student_eos uld_skip_teacher_eos "
        "uld_student_temperature uld_teacher_temperature uld_token_merge_strategy uld_use_hybrid_loss "
        "use_extended_uld use_uld_loss vllm_sync_frequency wandb_log_unique_prompts",
    ),
    (
        "preference",
        "alpha center_rewards_coefficient cpo_alpha desirable_weight discopop_tau f_alpha_divergence_coef "
        "f_divergence_type generate_during_eval is_encoder_decoder label_smoothing ld_alpha loss_weights "
        "missing_eos_penalty padding_value precompute_ref_batch_size precompute_ref_log_probs reward_model_path "
        "simpo_gamma tpo_alpha tpo_l_gamma undesirable_weight use_weighting",
    ),
    (
        "grpo rloo",
        "log_multimodal transformers_continuous_batching_config use_transformers_continuous_batching "
        "use_transformers_paged",
    ),
    ("grpo sdpo", "importance_sampling_level scale_rewards"),
    (
        "sdpo sdft",
        "distillation_add_tail distillation_alpha distillation_is_clip distillation_mode distillation_topk "
        "teacher_model_kind teacher_sync_steps teacher_update_rate",
    ),
    (
        "async_grpo distillation",
        "heartbeat_stale_after_s max_inflight_tasks max_staleness queue_maxsize request_timeout token_budget "
        "weight_sync_steps weight_sync_timeout",
    ),
    (
        "distillation sft",
        "assistant_only_loss completion_only_loss dataset_kwargs dataset_text_field eval_packing packing "
        "packing_strategy",
    ),
    ("distillation preference", "max_new_tokens"),
    ("grpo rloo sdpo", "mask_truncated_completions"),
    ("grpo rloo distillation", "log_unique_prompts"),
    ("grpo rloo preference", "ref_model_mixup_alpha ref_model_sync_steps sync_ref_model"),
    ("grpo async_grpo distillation", "max_tool_calling_iterations"),
    ("sdpo sdft distillation", "use_teacher_server"),
    (
        "distillation sft preference",
        "activation_offloading chat_template_path dataset_num_proc eos_token max_length pad_token padding_free "
        "truncation_mode",
    ),
    ("grpo rloo sdpo sdft", "num_generations_eval num_iterations steps_per_generation"),
    ("grpo rloo sdpo async_grpo", "epsilon epsilon_high"),
    ("grpo rloo async_grpo distillation", "log_completions num_completions_to_print"),
    ("grpo rloo distillation preference", "vllm_structured_outputs_regex"),
    ("sdpo sdft a2po distillation", "max_prompt_length"),
    ("grpo rloo sdpo sdft distillation", "generation_batch_size vllm_max_model_length"),
    ("grpo rloo sdpo a2po preference", "reward_weights"),
    ("grpo rloo sdpo distillation preference", "beta"),
    ("grpo rloo distillation sft preference", "pad_to_multiple_of"),
    ("grpo sdpo distillation sft preference", "loss_type"),
    ("grpo rloo sdpo sdft async_grpo distillation", "chat_template_kwargs num_generations"),
    ("grpo rloo sdpo sdft distillation sft", "shuffle_dataset"),
    (
        "grpo rloo sdpo sdft distillation preference",
        "cache_implementation disable_dropout ds3_gather_for_generation generation_kwargs use_vllm "
        "vllm_enable_sleep_mode vllm_gpu_memory_utilization vllm_group_port vllm_mode vllm_model_impl "
        "vllm_server_host vllm_server_port vllm_tensor_parallel_size",
    ),
    ("grpo rloo async_grpo distillation sft preference", "router_aux_loss_coef"),
    (
        "grpo rloo sdpo sdft async_grpo distillation preference",
        "min_p repetition_penalty vllm_server_base_url vllm_server_timeout",
    ),
    (
        "grpo rloo sdpo sdft async_grpo a2po distillation preference",
        "max_completion_length temperature top_k top_p",
    ),
    ("grpo rloo sdpo sdft async_grpo a2po distillation sft preference", "model_init_kwargs trust_remote_code"),
)
HAVE: dict[str, frozenset[str]] = {
    **{key: _keys(have) for have, keys in _ROWS for key in keys.split()},
    **dict.fromkeys(("reward_funcs", "reward_model_name_or_path"), _keys("grpo rloo")),
}
"""Key to the families that have it; the last two are arguments of TRL's own scripts."""
MOVED = frozenset(("callbacks", "max_prompt_length", "wandb_log_unique_prompts"))
"""Keys that were other trainers' in earlier releases, or are the user's own: they tell nothing."""
GENERIC = _keys(
    "alpha beta beta1 beta2 cache_implementation chat_template_kwargs delta disable_dropout eos_token "
    "generation_kwargs is_encoder_decoder label_smoothing loss_type max_length "
    "max_new_tokens min_p model_init_kwargs pad_to_multiple_of pad_token padding_value "
    "repetition_penalty request_timeout router_aux_loss_coef shuffle_dataset temperature top_k top_p "
    "trust_remote_code"
)
"""Words that a file of anything may use: they count beside others of TRL, and make no file one of TRL."""
TRAINING = _keys(
    "dataset_name learning_rate max_steps model_name_or_path num_train_epochs output_dir per_device_train_batch_size"
)
"""Arguments of every trainer of TRL: a file that has two of them is one of training."""
LOSSES = {
    "grpo": _keys("bnpo cispo dapo dr_grpo grpo luspo sapo vespo"),
    "sdpo": _keys("bnpo dapo dr_grpo grpo"),
    "sft": _keys("nll chunked_nll dft"),
    "distillation": _keys("nll chunked_nll dft"),
    "preference": _keys(
        "aot aot_unpaired apo_down apo_zero apo_zero_unpaired bco_pair discopop exo_pair hinge ipo kto nca_pair robust "
        "sft sigmoid sigmoid_norm simpo sppo_hard tpo-l"
    ),
}
"""A family to the values of its `loss_type`. The two of distillation that have the key have it of SFTConfig."""


def by_loss(loss: Any) -> frozenset[str] | None:
    """Return the families that have a loss of this name, or losses; None: it is no name that is known."""
    names = {name for name in (loss if isinstance(loss, list) else [loss]) if isinstance(name, str)}
    found = {family for family, losses in LOSSES.items() if names & losses}
    return frozenset(found) or None


def candidates(keys: Collection[str], loss: Any = None) -> frozenset[str]:
    """Return the families that a file may be of: those that have all of its keys; none: nothing makes it TRL's.

    Where none has them all, the rarest keys decide. Distillation is one only where a key of a teacher is there, without
    which none of its trainers starts.
    """
    told = {key: HAVE[key] for key in keys if key in HAVE and key not in MOVED}
    named = by_loss(loss)
    if named is not None:
        told["loss_type"] = named
    weak = "max_length" in told and ("beta" in told or not TRAINING.isdisjoint(keys))
    if named == frozenset({"preference"}):  # `sigmoid` alone is anybody's word
        weak = weak or len(TRAINING.intersection(keys)) + ("beta" in told) > 1
    if not (told.keys() - GENERIC or weak or (named is not None and named != {"preference"})):
        return frozenset()
    taught = {"distillation"} in told.values()
    open_ = [family for family in FAMILIES if family != "distillation" or taught]
    whole = frozenset(family for family in open_ if all(family in have for have in told.values()))
    if whole:
        return whole
    score = {family: sum(Fraction(1, len(have)) for have in told.values() if family in have) for family in open_}
    return frozenset(family for family, n in score.items() if n == max(score.values()))


def chosen(found: frozenset[str], keys: Collection[str]) -> str | None:
    """Return the trainer that a file is read as, of the families that it may be of; None: they are too far apart."""
    if found & {"grpo", "rloo"}:
        drawn = any(HAVE[key] & {"sdft", "a2po"} for key in keys if key in HAVE and key not in GENERIC)
        if "preference" in found and not drawn:
            return None
        return "grpo_or_rloo" if found >= {"grpo", "rloo"} else next(iter(found & {"grpo", "rloo"}))
    if found >= {"sdpo", "sdft"}:
        return "self_distillation"
    return next((name for name in ("sft", "sdpo", "sdft", "distillation", "async_grpo", "a2po") if name in found), None)


def assumed(trainer: str, found: Collection[str]) -> str:
    """Return what was assumed of a file that may be of several configuration classes, and what would tell."""
    read = EITHER.get(trainer, (trainer,))
    others = [name for name in FAMILIES if name in found and name not in read]
    if not others and trainer not in EITHER:
        return ""
    parts = [f"read as of {CONFIGURATION[trainer]}"]
    if trainer in EITHER:
        parts.append("which both have its keys: what comes first holds for both")
    if others:
        has = "have" if len(others) > 1 else "has"
        parts.append(f"though {' and '.join(CONFIGURATION[name] for name in others)} {has} them too")
    telling = [f"{TELLS[name]} of {CONFIGURATION[name]}" for name in FAMILIES if name in found and name in TELLS]
    told = f"{', '.join(parts)}. A key of its own would tell, and change nothing: {', '.join(telling)}"
    return f"{told}; for preference tuning there is no remedy: leave the file out" if "preference" in others else told
