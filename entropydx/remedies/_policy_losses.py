"""Remedies for training collapse that change the policy loss: the clip, its softer forms, and the covariance losses.

They act on the ratio of the new policy to the one that drew the rollout: with one update per rollout it is 1.
"""

from entropydx.remedies._clashes import each_of
from entropydx.remedies._releases import RELEASES
from entropydx.types import Clash, Course, Label, Promise, Remedy

POISON = (Label.INFERENCE_VARIANCE, Label.ABNORMAL)
"""More exploration makes spread and entropy explosion worse."""
ONE_UPDATE = (
    "with one update per rollout the ratio to the rollout policy is 1 throughout, and it changes nothing "
    "(read in the sources of TRL and verl; of OpenRLHF derived)"
)
ON_POLICY = tuple(
    Clash(framework=name, key="updates_per_rollout", op="<=", value=1, effect="inert", why=ONE_UPDATE)
    for name in ("trl", "verl", "openrlhf")
)
REPLACED = Clash(
    framework="verl",
    key="algorithm.rollout_correction.bypass_mode",
    op="==",
    value=True,
    effect="inert",
    why="verl's older trainer puts a loss_mode of its own in place of any other in bypass mode (read in its source)",
    among=("trainer.use_v1", False),
)
"""Of every remedy that names a loss of verl's."""

LOSS = "actor_rollout_ref.actor.policy_loss.loss_mode"
SEQUENCE = (
    "the ratio is that of a whole sequence, whose bounds are some hundred times closer (3e-4 and 4e-4 in TRL's example "
    "of GSPO): these would clip next to nothing"
)
OTHER_BOUNDS = (
    *each_of(
        "trl",
        "loss_type",
        ("sapo", "vespo"),
        "inert",
        "TRL's {} clips no ratio (read in its trainer/grpo_trainer.py)",
    ),
    Clash(
        framework="trl",
        key="loss_type",
        op="==",
        value="cispo",
        effect="conflict",
        why="TRL's cispo has no lower bound, and takes epsilon_high for the largest weight itself (read in its "
        "trainer/grpo_trainer.py)",
    ),
    Clash(framework="trl", key="importance_sampling_level", op="==", value="sequence", effect="conflict", why=SEQUENCE),
    *each_of(
        "verl",
        LOSS,
        ("dro", "gpg", "kl_cov", "sapo"),
        "inert",
        "verl's {} clips no ratio (read in its trainer/ppo/core_algos.py)",
    ),
    *each_of(
        "verl",
        LOSS,
        ("dppo_kl", "dppo_tv"),
        "conflict",
        "verl's {} takes the bounds for those of a divergence (read in its trainer/ppo/core_algos.py)",
    ),
    Clash(framework="verl", key=LOSS, op="==", value="gspo", effect="conflict", why=SEQUENCE),
    Clash(
        framework="openrlhf",
        key="--actor.policy_loss_type",
        op="==",
        value="gspo",
        effect="conflict",
        why=SEQUENCE,
    ),
)
"""Of what moves the bounds of the clip: losses that have none, or mean something else by them."""


def entropy_promise(direction: Course, source: str) -> Promise:
    """Return a promise about the mean token entropy, which is what most of these are for."""
    return Promise(measurement="token_entropy.mean_ratio", direction=direction, source=source)


COVARIANCE = (
    entropy_promise("rises", "a plateau over ten times the baseline run's (recipe README of arXiv:2505.22617, read)"),
    Promise(
        measurement="sampling_spread.coverage",
        direction="rises",
        source="what goes with the entropy comes back with it (derived; the authors report averages alone)",
    ),
    Promise(
        measurement="sampling_spread.pass_at_1",
        direction="does_not_fall",
        source="averages of seven maths sets rose (recipe README of arXiv:2505.22617, read)",
    ),
)
"""Of both losses that act on the covariance of log-probability and advantage."""

POLICY_LOSSES = (
    Remedy(
        id="kl_cov",
        title="KL-Cov: put a KL penalty on the few tokens that cost the entropy",
        why="A small share of tokens with high covariance of log-probability and advantage drives the loss of entropy. "
        "kl_cov_ratio is 0.002 for 7B and 0.0002 for 32B; verl's default of ppo_kl_coef, 0.1, is not the paper's.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "verl": {
                "actor_rollout_ref.actor.policy_loss.loss_mode": "kl_cov",
                "actor_rollout_ref.actor.policy_loss.kl_cov_ratio": 0.002,
                "actor_rollout_ref.actor.policy_loss.ppo_kl_coef": 1.0,
            }
        },
        versions={"verl": RELEASES["verl"]},
        inert_when="one update is made per rollout (derived: the penalised difference is then 0, and has no gradient)",
        expected="Average of seven maths sets 38.6 to 40.6 (7B), 45.8 to 52.2 (32B); entropy plateau over ten times "
        "the baseline run's (recipe README of arXiv:2505.22617, read).",
        watch=("token_entropy.mean_ratio", "coverage.delta_at_max", "verl's actor/entropy, against its own start"),
        stop_when="entropy rises past the base model's, or validation falls two evaluations in a row",
        evidence=(
            "Average of seven maths sets: 7B 38.6 to 40.6, 32B 45.8 to 52.2; entropy plateau over ten times the "
            "baseline run's (recipe README of arXiv:2505.22617).",
        ),
        references=("arXiv:2505.22617",),
        order=20,
        stages=("rl",),
        clashes=(REPLACED, *ON_POLICY),
        promises=COVARIANCE,
    ),
    Remedy(
        id="clip_cov",
        title="Clip-Cov: leave the few tokens that cost the entropy out of the gradient",
        why="As KL-Cov, by masking: a random small share of the tokens whose covariance lies within bounds gets no "
        "gradient. Ordinary clipping is switched off beside it.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "verl": {
                "actor_rollout_ref.actor.policy_loss.loss_mode": "clip_cov",
                "actor_rollout_ref.actor.policy_loss.clip_cov_ratio": 0.0002,
                "actor_rollout_ref.actor.policy_loss.clip_cov_lb": 1.0,
                "actor_rollout_ref.actor.policy_loss.clip_cov_ub": 5.0,
                "actor_rollout_ref.actor.clip_ratio_low": 1.0,
                "actor_rollout_ref.actor.clip_ratio_high": 1.0,
            }
        },
        versions={"verl": RELEASES["verl"]},
        inert_when="",
        expected="Average of seven maths sets 38.6 to 40.4 (7B), 45.8 to 50.3 (32B) (recipe README of "
        "arXiv:2505.22617, read).",
        watch=("token_entropy.mean_ratio", "coverage.delta_at_max", "verl's actor/entropy, against its own start"),
        stop_when="entropy rises past the base model's, or validation falls two evaluations in a row",
        evidence=(
            "Average of seven maths sets: 7B 38.6 to 40.4, 32B 45.8 to 50.3 (recipe README of arXiv:2505.22617).",
            "Its masking acts with one update per rollout too, where KL-Cov and clip-higher do not (derived).",
        ),
        references=("arXiv:2505.22617",),
        order=25,
        stages=("rl",),
        clashes=(REPLACED,),
        promises=COVARIANCE,
    ),
    Remedy(
        id="clip_higher",
        title="Clip higher: let unlikely tokens grow more than the lower bound lets likely ones shrink",
        why="The upper clip bound holds unlikely tokens down in absolute terms; clipping alone lowers entropy even "
        "under random rewards.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "trl": {"epsilon": 0.2, "epsilon_high": 0.28, "num_iterations": 2},
            "verl": {
                "actor_rollout_ref.actor.clip_ratio_low": 0.2,
                "actor_rollout_ref.actor.clip_ratio_high": 0.28,
                "actor_rollout_ref.actor.clip_ratio_c": 10.0,
            },
            "openrlhf": {"--actor.eps_clip_low_high": "0.2 0.28"},
        },
        versions=RELEASES,
        inert_when="one update is made per rollout, as by TRL's defaults (hence num_iterations) and in verl with one "
        "mini-batch per rollout",
        expected="Small and not always good: AIME24 36 to 38 in one run [N]; the 7B model of another fell from 21.2 to "
        "18.1 (recipe README of arXiv:2505.22617, read).",
        watch=("token_entropy.mean_ratio", "the share of clipped tokens in the trainer's log", "pass@1"),
        stop_when="no token is clipped, or validation falls",
        evidence=(
            "Clip-higher alone: average of seven maths sets 38.6 to 38.8 (7B), 45.8 to 47.2 (32B), and AIME24 of the "
            "7B model 21.2 to 18.1 (recipe README of arXiv:2505.22617).",
            "Clipping at the upper bound lowers entropy even under random rewards; a stronger clip at the lower one "
            "raises it (arXiv:2509.26114, abstract).",
        ),
        references=("arXiv:2503.14476", "arXiv:2509.26114", "arXiv:2505.22617"),
        order=50,
        stages=("rl",),
        clashes=(*OTHER_BOUNDS, *ON_POLICY),
        promises=(
            entropy_promise(
                "rises",
                "what it is for (arXiv:2503.14476); the upper bound is what lowers it (arXiv:2509.26114, abstract)",
            ),
            Promise(
                measurement="sampling_spread.pass_at_1",
                direction="does_not_fall",
                source="AIME24 36 to 38 in one run [N]; one 7B model fell (recipe README of arXiv:2505.22617)",
            ),
        ),
    ),
    Remedy(
        id="clip_low",
        title="Clip lower: hold likely tokens back sooner, and leave the upper bound open",
        why="Clipping at the upper bound lowers entropy, clipping at the lower one raises it: a tighter lower bound "
        "beside a wide upper one leans the balance.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "trl": {"epsilon": 0.15, "epsilon_high": 5.0, "num_iterations": 2},
            "verl": {"actor_rollout_ref.actor.clip_ratio_low": 0.15, "actor_rollout_ref.actor.clip_ratio_high": 5.0},
            "openrlhf": {"--actor.eps_clip_low_high": "0.15 5.0"},
        },
        versions=RELEASES,
        inert_when="one update is made per rollout: nothing is clipped then",
        expected="Entropy rises: 0.15 with a wide upper bound, one 3B model on GSM8K [N].",
        watch=("token_entropy.mean_ratio", "the share of clipped tokens in the trainer's log", "pass@1"),
        stop_when="no token is clipped, entropy passes the base model's, or validation falls",
        evidence=(
            "A stronger clip at the lower bound raises entropy (arXiv:2509.26114, abstract); 0.15 beside a wide upper "
            "bound on Qwen2.5-3B and GSM8K (third-party note). How wide is not said: 5 is this catalogue's.",
        ),
        references=("arXiv:2509.26114",),
        order=52,
        stages=("rl",),
        clashes=(*OTHER_BOUNDS, *ON_POLICY),
        promises=(
            entropy_promise("rises", "a stronger clip at the lower bound raises it (arXiv:2509.26114, abstract)"),
        ),
    ),
    Remedy(
        id="soft_clipping",
        title="Keep the gradient of clipped tokens: CISPO, SAPO, or GPPO's patch",
        why="Hard clipping throws away the gradient of exactly the unlikely tokens that start a new branch; these "
        "losses bound their weight instead. GPPO itself is a patch of the authors, in no released trainer.",
        for_=(Label.TRAINING_COLLAPSE,),
        contraindicated_for=POISON,
        config={
            "trl": {"loss_type": "cispo", "epsilon_high": 5.0, "num_iterations": 2},
            "verl": {
                "actor_rollout_ref.actor.policy_loss.loss_mode": "sapo",
                "actor_rollout_ref.actor.tau_pos": 1.0,
                "actor_rollout_ref.actor.tau_neg": 1.05,
            },
        },
        versions={"trl": RELEASES["trl"], "verl": RELEASES["verl"]},
        inert_when="one update is made per rollout (derived: at a ratio of 1 their weights are those of the plain "
        "policy gradient)",
        expected="Not known for entropy: the curves of GPPO were not checked.",
        watch=("token_entropy.mean_ratio", "cispo_clip_ratio in TRL's log", "pass@1"),
        stop_when="validation falls, or the gradient norm grows",
        evidence=("The losses were read in the sources of TRL, verl and KlearReasoner; no effect was checked.",),
        references=("arXiv:2506.13585", "https://github.com/suu990901/KlearReasoner"),
        order=55,
        stages=("rl",),
        clashes=(
            Clash(
                framework="trl",
                key="importance_sampling_level",
                op="==",
                value="sequence",
                effect="conflict",
                why="with a ratio of whole sequences TRL's cispo loses the sequences' objective (its own warning)",
            ),
            REPLACED,
            *ON_POLICY,
        ),
        promises=(
            entropy_promise("rises", "what keeping those gradients is for (arXiv:2506.13585); no effect was checked"),
        ),
    ),
)
