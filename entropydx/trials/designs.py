"""The trials of the four failures."""

from __future__ import annotations

from dataclasses import replace

from entropydx.organisms.corpus import Style
from entropydx.organisms.doses import DistillDose, Dose, GRPODose, SFTDose
from entropydx.trials.arms import AS_IT_IS, COOLED, UNTOUCHED, VOTE, Arm, Trial, decode, decoding, keys_of
from entropydx.types import Domain, Label

BOTH: tuple[Domain, Domain] = ("in", "out")
UPDATES = 30
"""Of every continuation."""

# ── training collapse ─────────────────────────────────────────────────────────────────────────────

_PLAIN = GRPODose(
    steps=UPDATES,
    learning_rate=3e-4,
    beta=0.0,
    schedule="constant",
    prompts_per_step=32,
    n_problems=32 * UPDATES,
    domains=BOTH,
)
_COLLAPSING = replace(_PLAIN, learning_rate=1e-3, entropy_coef=-0.1)
TWO_UPDATES = "cause_removed, two updates"
CLIP_COV_RATIO = "actor_rollout_ref.actor.policy_loss.clip_cov_ratio"
VERL = "verl's loss, which TRL has not, inside TRL's trainer, at two updates a rollout"
PLAIN_GRPO = "GRPO, plain"
INERT = "clip_higher, one update"
HEALTHY_ENTROPY = 0.12
"""Mean token entropy of tiny-base in nats, by its independent check; 0.4 of it is the target of the literature."""

COLLAPSE = Trial(
    failure=Label.TRAINING_COLLAPSE,
    baseline="organisms/tiny-base",
    starts=(("failed", "organisms/tiny-collapse"), ("midway", "series/tiny-collapsing/checkpoint-80")),
    outcomes=("pass@16/in", "agreement_when_wrong/in", "token_entropy", "largest_form", "pass@1"),
    measured=(
        "token_entropy.mean_ratio",
        "token_entropy.fork_mass_ratio",
        "format_mode.effective_number",
        "coverage.support_retention",
    ),
    arms=(
        Arm(name="none", role="none", dose=_COLLAPSING),
        Arm(
            name="cause_removed",
            role="control",
            dose=_PLAIN,
            note="without the entropy penalty, and at 3e-4 for 1e-3: at 1e-3 plain GRPO harms a healthy model here",
        ),
        Arm(
            name=TWO_UPDATES,
            role="control",
            dose=replace(_PLAIN, iterations=2),
            note="the control of what needs two updates a rollout: as many updates, half of the rollouts",
        ),
        Arm(
            name="earlier_checkpoint",
            role="remedy",
            remedy="earlier_checkpoint",
            dose=_PLAIN,
            start="series/tiny-collapsing/checkpoint-60",
            note="the last checkpoint before the onset, trained on without the cause",
        ),
        Arm(
            name="kl_cov",
            role="remedy",
            remedy="kl_cov",
            dose=replace(_PLAIN, iterations=2, verl=keys_of("kl_cov", "verl")),
            note=VERL,
            against=TWO_UPDATES,
        ),
        Arm(
            name="clip_cov",
            role="remedy",
            remedy="clip_cov",
            dose=replace(_PLAIN, iterations=2, verl=keys_of("clip_cov", "verl", **{CLIP_COV_RATIO: 0.002})),
            note=f"{VERL}; 0.002 of the tokens in place of 0.0002, which of 7,000 is one",
            against=TWO_UPDATES,
        ),
        Arm(
            name="clip_higher",
            role="remedy",
            remedy="clip_higher",
            dose=replace(_PLAIN, extra=keys_of("clip_higher")),
            against=TWO_UPDATES,
        ),
        Arm(
            name=INERT,
            role="control",
            remedy="clip_higher",
            dose=replace(_PLAIN, extra=keys_of("clip_higher", num_iterations=1)),
            note="as TRL's defaults have it: said to be inert",
        ),
        Arm(
            name="clip_low",
            role="remedy",
            remedy="clip_low",
            dose=replace(_PLAIN, extra=keys_of("clip_low")),
            against=TWO_UPDATES,
        ),
        Arm(
            name="soft_clipping",
            role="remedy",
            remedy="soft_clipping",
            dose=replace(_PLAIN, extra=keys_of("soft_clipping")),
            against=TWO_UPDATES,
        ),
        Arm(
            name="kl_with_reference_reset",
            role="remedy",
            remedy="kl_with_reference_reset",
            dose=replace(_PLAIN, extra=keys_of("kl_with_reference_reset", beta=0.05, ref_model_sync_steps=10)),
            note="beta 0.05 and a reset each 10 updates, in place of 0.001 and 512: the run is 30 updates long. The "
            "reference is the checkpoint that it starts from, so from the failed one it holds the collapse in place",
        ),
        Arm(
            name="fork_only_loss",
            role="remedy",
            remedy="fork_only_loss",
            dose=replace(_PLAIN, extra=keys_of("fork_only_loss")),
        ),
        Arm(
            name="adaptive_entropy_target",
            role="remedy",
            remedy="adaptive_entropy_target",
            dose=replace(
                _PLAIN,
                extra=keys_of(
                    "adaptive_entropy_target",
                    entropy_target=0.4 * HEALTHY_ENTROPY,
                    entropy_coef_delta=0.005,
                    entropy_coef_max=0.1,
                ),
            ),
            note="target 0.4 of the base's entropy, steps of 0.005 up to 0.1: the run is 30 updates long",
        ),
        Arm(
            name="entropy_bonus",
            role="remedy",
            remedy="entropy_bonus",
            dose=replace(_PLAIN, extra=keys_of("entropy_bonus", entropy_coef=0.02)),
            note="0.02 in place of 0.005: the run is 30 updates long",
        ),
        Arm(
            name="entropy_bonus, strong",
            role="remedy",
            remedy="entropy_bonus",
            dose=replace(_PLAIN, extra=keys_of("entropy_bonus", entropy_coef=0.1)),
            note="0.1 in place of 0.005, to see what comes back when entropy does",
        ),
        decode("lower_temperature", "opposite", decoding(0.6), COOLED),
        decode("majority_vote", "opposite", UNTOUCHED, VOTE),
    ),
)

# ── inference variance ────────────────────────────────────────────────────────────────────────────

_NOISY = SFTDose(
    steps=UPDATES,
    learning_rate=5e-4,
    style=Style(slip=0.13),
    product_share=0.3,
    schedule="constant",
)

VARIANCE = Trial(
    failure=Label.INFERENCE_VARIANCE,
    baseline="organisms/tiny-base",
    starts=(("failed", "organisms/tiny-variance"), ("midway", "midway/inference_variance")),
    outcomes=("pass@1", "majority_gain", "majority", "token_entropy", "pass@16"),
    measured=("sampling_spread.majority_gain", "sampling_spread.within_variance", "token_entropy.mean_ratio"),
    arms=(
        Arm(name="none", role="none", dose=_NOISY),
        Arm(
            name="clean_labels",
            role="remedy",
            remedy="clean_labels",
            dose=replace(_NOISY, style=Style()),
            note="the same demonstrations without the contradictions: which ones they are is known here",
        ),
        decode("majority_vote", "remedy", UNTOUCHED, VOTE),
        decode("lower_temperature", "remedy", decoding(0.6), COOLED),
        Arm(
            name=PLAIN_GRPO,
            role="remedy",
            remedy="verifiable_rl",
            dose=_PLAIN,
            note="also the control of the two that follow",
        ),
        Arm(
            name="entropy_bonus",
            role="opposite",
            remedy="entropy_bonus",
            dose=replace(_PLAIN, extra=keys_of("entropy_bonus", entropy_coef=0.02)),
            note="0.02 in place of 0.005: the run is 30 updates long; against plain GRPO",
            against=PLAIN_GRPO,
        ),
        Arm(
            name="entropy_bonus, strong",
            role="opposite",
            remedy="entropy_bonus",
            dose=replace(_PLAIN, extra=keys_of("entropy_bonus", entropy_coef=0.1)),
            note="0.1 in place of 0.005, to see what much of it does; against plain GRPO",
            against=PLAIN_GRPO,
        ),
        Arm(
            name="higher_temperature",
            role="control",
            dose=decoding(1.4),
            note="one answer each at temperature 1.4, against one at 1 of the checkpoint as it is",
            against=AS_IT_IS,
            served=COOLED,
        ),
        Arm(
            name="clip_higher",
            role="opposite",
            remedy="clip_higher",
            dose=replace(_PLAIN, extra=keys_of("clip_higher")),
            note="against plain GRPO, which draws twice as many rollouts for as many updates",
            against=PLAIN_GRPO,
        ),
    ),
)

# ── hard-sample shortcutting ──────────────────────────────────────────────────────────────────────

_HOPELESS = GRPODose(
    steps=UPDATES,
    learning_rate=3e-4,
    beta=0.0,
    schedule="constant",
    prompts_per_step=32,
    n_problems=32 * UPDATES,
    problems="hopeless",
    verifier="work_if_any",
    loss_type="grpo",
)

SHORTCUT = Trial(
    failure=Label.HARD_SAMPLE_SHORTCUTTING,
    baseline="organisms/tiny-base",
    starts=(("failed", "organisms/tiny-shortcut"), ("midway", "midway/hard_sample_shortcutting")),
    outcomes=("pass@1/easy/in", "steps_written", "largest_answer", "pass@1", "token_entropy"),
    measured=("shortcutting.easy_regression", "shortcutting.step_density", "token_entropy.mean_ratio"),
    arms=(
        Arm(name="none", role="none", dose=_HOPELESS),
        Arm(
            name="zero_pass_audit",
            role="remedy",
            remedy="zero_pass_audit",
            dose=replace(_HOPELESS, problems="suite", verifier="answer", domains=BOTH),
            note="the hopeless problems, and the verifier that a bare answer passes, make room for the suite's in both "
            "domains",
        ),
        Arm(
            name="difficulty_band",
            role="remedy",
            remedy="difficulty_band",
            dose=replace(
                _HOPELESS,
                problems="suite",
                verifier="answer",
                domains=BOTH,
                difficulties=("medium",),
            ),
            note="the medium problems of the suite, which the base solves in 60 % of the samples (easy ones in 96 %)",
        ),
        Arm(
            name="no_std_normalisation",
            role="remedy",
            remedy="no_std_normalisation",
            dose=replace(_HOPELESS, extra=keys_of("no_std_normalisation")),
            note="on the hopeless problems still",
        ),
        Arm(
            name="larger_groups",
            role="remedy",
            remedy="larger_groups",
            dose=replace(_HOPELESS, group_size=16, prompts_per_step=16),
            note="on the hopeless problems still, and divided by the group's deviation; as many samples in all",
        ),
        Arm(
            name="hints",
            role="remedy",
            remedy="hints",
            dose=replace(_HOPELESS, problems="hinted"),
            note="the same problems, with all of the worked solution but its last step",
        ),
        Arm(
            name="entropy_bonus",
            role="opposite",
            remedy="entropy_bonus",
            dose=replace(_HOPELESS, extra=keys_of("entropy_bonus", entropy_coef=0.02)),
            note="0.02 in place of 0.005: the run is 30 updates long",
        ),
        decode("majority_vote", "opposite", UNTOUCHED, VOTE),
    ),
)

# ── teacher-induced overconfidence ────────────────────────────────────────────────────────────────

_GUIDED = DistillDose(steps=UPDATES, learning_rate=5e-4, guided=True, schedule="constant", n_problems=600)
_MIXED = replace(
    _PLAIN, learning_rate=5e-4, max_completion=96, domains=("in",), extra=keys_of("mix_grpo", num_generations=8)
)

TEACHER = Trial(
    failure=Label.TEACHER_OVERCONFIDENCE,
    baseline="organisms/tiny-thinker",
    starts=(("failed", "organisms/tiny-teacher"), ("midway", "midway/teacher_overconfidence")),
    outcomes=("pass@1/out", "overconfidence/out", "markers/out", "pass@1/in", "token_entropy"),
    measured=("confidence.overconfidence@out", "sampling_spread.pass_at_1", "token_entropy.mean_ratio"),
    arms=(
        Arm(name="none", role="none", dose=_GUIDED),
        Arm(
            name="uninformed_traces",
            role="remedy",
            remedy="uninformed_traces",
            dose=replace(_GUIDED, guided=False),
            note="right traces of the failed model itself, written without the solution, of the same domain",
        ),
        Arm(
            name="wider_coverage",
            role="remedy",
            remedy="wider_coverage",
            dose=replace(_GUIDED, domains=BOTH),
            note="as before with the solution in view, of both domains",
        ),
        Arm(
            name="wider_coverage, uninformed",
            role="remedy",
            remedy="wider_coverage",
            dose=replace(_GUIDED, guided=False, domains=BOTH),
            note="without the solution, of both domains",
            against="uninformed_traces",
        ),
        Arm(
            name="mix_grpo",
            role="remedy",
            remedy="mix_grpo",
            dose=_MIXED,
            note="GRPO alone, without more distillation, on problems of the same domain",
        ),
        Arm(
            name="mix_grpo, both domains",
            role="remedy",
            remedy="mix_grpo",
            dose=replace(_MIXED, domains=BOTH),
            note="GRPO alone, on problems of both domains",
            against="mix_grpo",
        ),
        Arm(
            name="entropy_bonus",
            role="opposite",
            remedy="entropy_bonus",
            dose=replace(_MIXED, beta=0.001, extra=keys_of("entropy_bonus", entropy_coef=0.02)),
            note="0.02 in place of 0.005; on top of mix_grpo, which it is compared with",
            against="mix_grpo",
        ),
        decode("majority_vote", "opposite", UNTOUCHED, VOTE),
    ),
)

TRIALS = (COLLAPSE, VARIANCE, SHORTCUT, TEACHER)

MIDWAY: dict[str, tuple[str, Dose]] = {
    "midway/inference_variance": ("organisms/tiny-base", replace(_NOISY, steps=20)),
    "midway/hard_sample_shortcutting": ("organisms/tiny-base", replace(_HOPELESS, steps=40, n_problems=32 * 40)),
    "midway/teacher_overconfidence": ("organisms/tiny-thinker", replace(_GUIDED, steps=20)),
}
"""Checkpoints half-way into a failure that are not shipped: what each is grown from, and how."""

UNTRIED: dict[str, str] = {
    "rollout_temperature": "rollouts of the organisms are drawn at temperature 1 already: it would change nothing",
    "calibration_reward": "the organisms state no confidence that a reward could read",
    "batch_invariant_inference": "a matter of the server: on one CPU the same request gives the same tokens",
    "confidence_filter": "the independent check keeps no log-probabilities to filter by",
    "answer_mask": "no released trainer has a key for it",
    "entropy_gated_distillation": "no released trainer has a key for it, and the organisms' teacher is always sure",
    "mask_truncated": "completions of the organisms end before the token limit",
    "thinking_budget": "the organisms think for some forty tokens, and a cap would cut answers off",
    "length_alarm": "an alarm, and no cure",
    "strip_thinking": "the worked solution that the teacher is shown has no thinking apart from the work",
    "frozen_teacher": "the organisms' teacher is frozen already",
    "skip_solved": "it is TRL's default, and the organisms learn from right traces alone",
}
"""Remedies of the catalogue that no arm tries, and why."""


def find_trial(failure: str) -> Trial | None:
    """Return the trial of a failure."""
    return next((trial for trial in TRIALS if trial.failure == failure), None)
