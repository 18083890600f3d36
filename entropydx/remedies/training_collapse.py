"""Remedies for training collapse: keep or bring back exploration during training.

Keys were read in the source of the releases named under `versions`; effects carry the provenance of the papers.
"""

from entropydx.types import Label, Remedy

POISON = (Label.INFERENCE_VARIANCE, Label.ABNORMAL)
"""More exploration makes spread and entropy explosion worse."""

remedy = (
    Remedy(
        id="earlier_checkpoint",
        title="Go back to the last checkpoint whose entropy was still up, and continue from there",
        why="Collapse is cheaper to avoid than to undo: most entropy is spent in the first steps, and if it was "
        "spent in supervised "
        "tuning, RL-side settings do not bring it back.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=(),
        config={},
        versions={},
        evidence=(
            "Re-picking an earlier SFT checkpoint recovered +0.09 pass@10 (arXiv:2606.18487, read in a third-"
            "party note).",
            "73 % of entropy is gone in the first 200 of 2,400 steps (arXiv:2505.22617, full text).",
        ),
        references=("arXiv:2606.18487", "arXiv:2505.22617"),
    ),
    Remedy(
        id="covariance_control",
        title="Restrain the few tokens that cost the entropy (Clip-Cov or KL-Cov); without verl, clip higher",
        why="A small share of tokens with high covariance of log-probability and advantage drives the loss of entropy. "
        "Clip-higher and (derived) KL-Cov are inert unless a rollout is used for several updates: in TRL hence "
        "num_iterations, in verl more than one mini-batch per rollout. kl_cov_ratio is 0.002 for 7B, 0.0002 for 32B.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "verl": {
                "actor_rollout_ref.actor.policy_loss.loss_mode": "kl_cov",
                "actor_rollout_ref.actor.policy_loss.kl_cov_ratio": 0.002,
                "actor_rollout_ref.actor.policy_loss.ppo_kl_coef": 1.0,
            },
            "trl": {"epsilon": 0.2, "epsilon_high": 0.28, "num_iterations": 2},
            "openrlhf": {"--actor.eps_clip_low_high": "0.2 0.28"},
        },
        versions={"verl": "0.8-0.10", "trl": "1.10-1.16", "openrlhf": "0.11"},
        evidence=(
            "Average of seven maths sets: 7B 38.6 to 40.6, 32B 45.8 to 52.2; entropy plateau over ten times the "
            "baseline run's "
            "(recipe README of arXiv:2505.22617).",
            "Clip-higher alone lowered the 7B model's AIME24 score, 21.2 to 18.1 (same source).",
        ),
        references=("arXiv:2505.22617", "arXiv:2503.14476"),
    ),
    Remedy(
        id="kl_with_reference_reset",
        title="Train with a small KL to the reference, and reset the reference now and then",
        why="The KL keeps what is left of the distribution; resetting the reference keeps it from stopping progress. "
        "TRL resets by itself with these keys, the optimizer not; in verl and OpenRLHF restart from a new reference.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=(),
        config={
            "trl": {
                "beta": 0.001,
                "sync_ref_model": True,
                "ref_model_sync_steps": 512,
                "ref_model_mixup_alpha": 1.0,
            },
            "verl": {
                "actor_rollout_ref.actor.use_kl_loss": True,
                "actor_rollout_ref.actor.kl_loss_coef": 0.001,
                "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
            },
            "openrlhf": {"--algo.kl.use_loss": "", "--algo.kl.estimator": "k3", "--algo.kl.init_coef": 0.001},
        },
        versions={"trl": "1.10-1.16", "verl": "0.8-0.10", "openrlhf": "0.11"},
        evidence=(
            "ProRL combines a KL of 0.001 with hard resets of reference and optimizer on stagnation (arXiv:2505.24864, "
            "coefficient from arXiv:2507.12507; both read in third-party notes).",
            "A KL of 0.001-0.1 stabilises entropy and lowers accuracy (third-party note): watch the validation score.",
        ),
        references=("arXiv:2505.24864", "arXiv:2507.12507"),
    ),
)
