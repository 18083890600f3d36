"""Remedies for training collapse: keep or bring back exploration during training.

Keys are tested against the last release named under `versions`; effects carry the provenance of the papers.
"""

from entropydx.remedies._policy_losses import POISON, POLICY_LOSSES, entropy_promise
from entropydx.remedies._releases import RELEASES
from entropydx.types import AnyOf, Clash, Label, Promise, Remedy, Threshold

LIGER = Clash(
    framework="trl",
    key="use_liger_kernel",
    op="==",
    value=True,
    effect="conflict",
    why="TRL up to 1.13 refuses it with Liger, 1.14 and later do not (read in the sources)",
)
ENTROPY_LOW = AnyOf(
    options=(
        Threshold(
            measurement="token_entropy.mean_ratio",
            op="<",
            value=0.7,
            source="labelled cases, as EDX101",
        ),
        Threshold(
            measurement="token_entropy.mean",
            op="<",
            value=0.18,
            source="arXiv:2606.18487, a soft prior of one model ladder [N]",
        ),
    )
)
"""The mean entropy itself is spent; a policy that lost its formats alone has nothing to gain from a bonus."""

remedy = (
    Remedy(
        id="earlier_checkpoint",
        title="Go back to the last checkpoint whose entropy was still up, and continue from there",
        why="Collapse is cheaper to avoid than to undo: most entropy is spent in the first steps, and what supervised "
        "tuning spent, settings of the RL that follows do not bring back.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="no earlier checkpoint was kept, or the first one is collapsed too",
        expected="Re-picking an earlier SFT checkpoint recovered +0.09 pass@10 in the one study of it [N].",
        watch=("`entropydx trajectory RUN_DIR` names the checkpoint", "token_entropy.mean_ratio", "coverage"),
        stop_when="the same settings spend the entropy again: change one of them before the next start",
        evidence=(
            "Re-picking an earlier SFT checkpoint recovered +0.09 pass@10; KL and label smoothing did not rescue the "
            "overtrained ones (arXiv:2606.18487, read in a third-party note).",
            "73 % of entropy is gone in the first 200 of 2,400 steps (arXiv:2505.22617, full text).",
        ),
        references=("arXiv:2606.18487", "arXiv:2505.22617"),
        order=10,
        promises=(
            entropy_promise("rises", "by definition: it is chosen by its entropy"),
            Promise(
                measurement="sampling_spread.coverage",
                direction="rises",
                source="+0.09 pass@10 in the one study of it (arXiv:2606.18487) [N]",
            ),
        ),
    ),
    *POLICY_LOSSES,
    Remedy(
        id="kl_with_reference_reset",
        title="Train with a small KL to the reference, and reset the reference now and then",
        why="The KL keeps what is left of the distribution, formats included; resetting the reference keeps it from "
        "stopping progress. TRL resets by itself with these keys, the optimizer not; in verl and OpenRLHF restart "
        "from a new reference.",
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
        versions=RELEASES,
        inert_when="the reference is the collapsed checkpoint itself: it holds the collapse in place. Start from an "
        "earlier one",
        expected="Steadier entropy at some cost of accuracy: a KL of 0.001-0.1 stabilises the one and lowers the "
        "other [N]; a looser KL goes with a sharper loss of formats [N].",
        watch=("format_mode.disagreement", "token_entropy.mean_ratio", "kl in the trainer's log", "pass@1"),
        stop_when="the KL sits at its limit and validation no longer moves: reset the reference",
        evidence=(
            "ProRL combines a KL of 0.001 with hard resets of reference and optimizer on stagnation (arXiv:2505.24864, "
            "coefficient from arXiv:2507.12507; both read in third-party notes).",
            "A KL of 0.001-0.1 stabilises entropy and lowers accuracy (third-party note): watch the validation score.",
        ),
        references=("arXiv:2505.24864", "arXiv:2507.12507", "arXiv:2504.07912"),
        order=40,
        stages=("rl",),
        clashes=(
            Clash(
                framework="trl",
                key="use_peft",
                op="==",
                value=True,
                effect="conflict",
                why="TRL refuses sync_ref_model with an adapter, which has no reference of its own (read in its "
                "source): take the KL alone, or train all weights",
            ),
        ),
        promises=(
            entropy_promise("does_not_fall", "a KL of 0.001-0.1 stabilises it [N]"),
            Promise(
                measurement="format_mode.disagreement",
                direction="does_not_fall",
                source="a looser KL goes with a sharper loss of formats (arXiv:2504.07912) [N]",
            ),
        ),
    ),
    Remedy(
        id="fork_only_loss",
        title="Learn from the forking tokens alone",
        why="Where the next token is uncertain the path is chosen; updates of the sure tokens in between add little "
        "and sharpen everything.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={"trl": {"top_entropy_quantile": 0.2}},
        versions={"trl": RELEASES["trl"]},
        inert_when="the forks are gone: the quantile is over each batch, and picks a fifth of sure tokens then",
        expected="On base models Qwen3-32B 66.59 to 70.69, 14B 61.40 to 64.39, 8B 53.71 to 54.23 (arXiv:2506.01939, "
        "full text); of a collapsed policy nothing is known.",
        watch=("token_entropy.fork_mass_ratio", "forking_tokens.n_fork_types", "pass@1"),
        stop_when="fork mass falls all the same",
        evidence=(
            "Training on the top 20 % of tokens: Qwen3-32B 66.59 to 70.69, 14B 61.40 to 64.39, 8B 53.71 to 54.23 "
            "(arXiv:2506.01939, full text). TRL's entropy log stays over all tokens (read in its source).",
        ),
        references=("arXiv:2506.01939",),
        order=60,
        stages=("rl",),
        clashes=(LIGER,),
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1",
                direction="rises",
                source="of base models, 53.71 to 54.23 up to 66.59 to 70.69 (arXiv:2506.01939, full text)",
            ),
            Promise(
                measurement="token_entropy.fork_mass_ratio",
                direction="does_not_fall",
                source="the sure tokens in between are no longer sharpened (derived)",
            ),
        ),
    ),
    Remedy(
        id="adaptive_entropy_target",
        title="Hold the entropy at a target, with a small and bounded coefficient",
        why="A bonus that acts only below a target does not push past it. TRL's own limits are 50 and 200 times those "
        "of the authors: with them entropy can explode. Set the target to 0.4 of the entropy that this trainer "
        "logged at the start.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "trl": {
                "use_adaptive_entropy": True,
                "entropy_target": 0.2,
                "entropy_coef_delta": 0.0001,
                "entropy_coef_max": 0.005,
            }
        },
        versions={"trl": RELEASES["trl"]},
        inert_when="the logged entropy is above the target",
        expected="Entropy at the target; a better score is not known to follow: no relation between controlled "
        "entropy and the final score was found (arXiv:2505.22617, read in a third-party note).",
        watch=("entropy and entropy_coef in TRL's log", "sampling_spread.within_variance", "pass@1"),
        stop_when="the coefficient sits at its maximum, or wrong answers start to disagree more than the base's",
        evidence=(
            "Skywork-OR1: target 0.2, steps of 0.0001, at most 0.005, applied below the target alone (read in its "
            "source). The best target was near 0.4 of the entropy at the start (arXiv:2510.10959, third-party note).",
        ),
        references=("https://github.com/SkyworkAI/Skywork-OR1", "arXiv:2510.10959"),
        order=65,
        stages=("rl",),
        when=(ENTROPY_LOW,),
        clashes=(LIGER,),
        promises=(entropy_promise("rises", "the bonus acts below the target (read in Skywork-OR1's source)"),),
    ),
    Remedy(
        id="rollout_temperature",
        title="Draw the rollouts at temperature 1, without a nucleus",
        why="A colder rollout shows the learner its favourite answers only, and it learns them better still.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=(Label.ABNORMAL,),
        config={
            "trl": {"temperature": 1.0, "top_p": 1.0},
            "verl": {
                "actor_rollout_ref.rollout.temperature": 1.0,
                "actor_rollout_ref.rollout.top_p": 1.0,
            },
            "openrlhf": {"--rollout.temperature": 1.0, "--rollout.top_p": 1.0},
        },
        versions=RELEASES,
        inert_when="the rollouts are drawn so already: it is the default of all three",
        expected="Not measured in a paper that was checked; it removes a cause, where it is one.",
        watch=("the trainer's entropy, which is taken at this temperature: its level jumps without any change",),
        stop_when="completions turn to gibberish",
        evidence=("The defaults were read in the sources; ProRL goes to 1.2 (arXiv:2505.24864, third-party note).",),
        references=("arXiv:2505.24864",),
        order=70,
        stages=("rl",),
        promises=(entropy_promise("does_not_fall", "a cause of the loss is removed, where it is one (derived)"),),
    ),
    Remedy(
        id="entropy_bonus",
        title="Last: a constant entropy bonus",
        why="It raises entropy wherever that is cheapest, which is seldom at the forks; its useful range is narrow.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "trl": {"entropy_coef": 0.005},
            "verl": {"actor_rollout_ref.actor.entropy_coeff": 0.005},
            "openrlhf": {"--actor.entropy_coef": 0.005},
        },
        versions=RELEASES,
        inert_when="the coefficient is 0.001 or less: 0.0001 and 0.001 did next to nothing [N]",
        expected="0.005 stabilises entropy without a gain, and may collapse the model; 0.01 explodes [N]: the worst "
        "evidence of all that is here.",
        watch=("token_entropy.mean_ratio", "sampling_spread.within_variance", "pass@1"),
        stop_when="entropy passes the base model's, or pass@1 falls",
        evidence=(
            "0.0001 and 0.001 did next to nothing, 0.005 stabilised without a gain and may collapse the model, 0.01 "
            "exploded (two third-party notes); DeepSWE took it out.",
        ),
        references=("arXiv:2505.22617",),
        order=90,
        stages=("rl",),
        when=(ENTROPY_LOW,),
        clashes=(LIGER,),
        promises=(entropy_promise("does_not_fall", "0.005 stabilises it without a gain [N]"),),
    ),
)
