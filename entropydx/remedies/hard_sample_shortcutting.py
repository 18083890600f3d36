"""Remedies for hard-sample shortcutting: stop rewarding luck, and keep items that work can solve.

Keys are tested against the last release named under `versions`; effects carry the provenance of the papers.
"""

from entropydx.remedies._clashes import each_of
from entropydx.remedies._releases import RELEASES
from entropydx.types import Clash, Label, Promise, Remedy, Threshold

GROUP_STD = ("grpo", "grpo_vectorized", "gdpo", "grpo_passk")
"""Estimators of verl that divide by it unless told not to (read in its source)."""
NO_GROUP_STD = (
    *("gae", "reinforce_plus_plus", "reinforce_plus_plus_baseline", "rloo", "rloo_vectorized", "opo", "remax", "gpg"),
    *("optimal_token_baseline", "tir_optimal_token_baseline"),
)
"""Estimators of verl whose advantage no group's standard deviation divides (read in its trainer/ppo/core_algos.py)."""
NO_GROUP = {
    "verl": ("algorithm.adv_estimator", ("gae", "reinforce_plus_plus", "remax")),
    "openrlhf": ("--algo.advantage.estimator", ("gae", "reinforce", "flash_reinforce")),
}
"""Estimators that hold no answer against the others to its prompt (read in the same files)."""
ESTIMATOR, SAMPLES = "--algo.advantage.estimator", "--rollout.n_samples_per_prompt"
DR_GRPO = {
    "gae": "give up the critic, and take the group's mean away instead",
    "reinforce": "take the group's mean away, and no longer whiten over the batch",
    "rloo": "take the mean of the whole group away in place of that of the others",
    "reinforce_baseline": "only stop whitening over the batch",
    "flash_reinforce": "take the group's mean away in place of the batch's",
}
"""OpenRLHF's estimators that divide by no group's standard deviation, to what dr_grpo would do in place of each. Only
group_norm divides; dr_grpo is it without the division (read in its trainer/ppo_utils/experience_maker.py)."""
DIVIDED = (
    "divided by the group's standard deviation a lone success weighs +3.75 in a group of 16 for +2.475 in one of 8 "
    "(derived): take no_std_normalisation with it"
)

remedy = (
    Remedy(
        id="zero_pass_audit",
        title="Look at the items that the base never solves, and take out those that are broken or can be guessed",
        why="Items with a pass rate of 0 are often broken (a wrong gold answer, a bare answer that is accepted, one "
        "that can be guessed); a lone success on them is luck, and it is pushed hardest.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the base solves every item now and then",
        expected="What was lost by training on such items alone: 5.75, 11.24 and 1.07 points of maths averages [N].",
        watch=("shortcutting.easy_regression", "shortcutting.answer_reuse", "frac_reward_zero_std in TRL's log"),
        stop_when="no item of pass rate 0 is left",
        evidence=(
            "Training on items with pass@8 = 0 alone lowered maths averages by 5.75, 11.24 and 1.07 points; the "
            "harmful ones were often broken (arXiv:2605.28388, third-party notes). The authors' own remedies are to "
            "ask the question backwards and to follow sparse features (its abstract): no trainer has keys for them.",
        ),
        references=("arXiv:2605.28388",),
        order=10,
        stages=("rl",),
        promises=(
            Promise(
                measurement="shortcutting.easy_regression",
                direction="rises",
                source="such items alone lowered maths averages (arXiv:2605.28388) [N]; easy items: derived",
            ),
            Promise(
                measurement="shortcutting.answer_reuse",
                direction="falls",
                source="guesses are no longer rewarded (derived)",
            ),
        ),
    ),
    Remedy(
        id="difficulty_band",
        title="Train on items that the base solves in 20 to 80 % of the samples",
        by_hand=True,
        why="There the advantage tells work from luck. TRL has no filter of its own: filter the data set beforehand; "
        "verl's drops only groups that are all right or all wrong, by an `acc` that the reward function has to return; "
        "OpenRLHF's takes the mean reward of a prompt, and needs `--reward.remote_url` or `--train.agent_func_path`.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={
            "verl": {
                "algorithm.filter_groups.enable": True,
                "algorithm.filter_groups.metric": "acc",
            },
            "openrlhf": {"--algo.dynamic_filtering_enable": "", "--algo.dynamic_filtering_range": "0.2 0.8"},
        },
        versions={"verl": RELEASES["verl"], "openrlhf": RELEASES["openrlhf"]},
        inert_when="all items lie in the band",
        expected="Medium items were best in all three settings of the study (arXiv:2605.28388, third-party notes).",
        watch=("shortcutting.easy_regression", "sampling_spread.pass_at_1@easy"),
        stop_when="the filter throws most batches away: the data set is the problem",
        evidence=(
            "Items of medium difficulty were best in all three settings (arXiv:2605.28388, third-party notes).",
            "verl's filter_groups drops only groups that are all right or all wrong (read in its source).",
            "Against it: under a fixed annotation budget the hardest tenth gave most, and had mixed outcomes "
            "(arXiv:2508.14094, third-party note): what harms is a pass rate of 0, not difficulty.",
        ),
        references=("arXiv:2605.28388", "arXiv:2508.14094"),
        order=20,
        stages=("rl",),
        clashes=(
            Clash(
                framework="openrlhf",
                key=SAMPLES,
                op="<=",
                value=1,
                effect="conflict",
                why="OpenRLHF refuses to filter with one sample of a prompt (read in its cli/train_ppo_ray.py): draw "
                "more, or filter the data set beforehand",
            ),
            Clash(
                framework="verl",
                key="trainer.use_v1",
                op="==",
                value=False,
                effect="inert",
                why="verl's older trainer does not look at filter_groups (read in its trainer/ppo/ray_trainer.py): "
                "filter the data set beforehand",
            ),
        ),
        promises=(
            Promise(
                measurement="shortcutting.easy_regression",
                direction="rises",
                source="items of pass rate 0 alone lowered maths averages (arXiv:2605.28388) [N]; easy items: derived",
            ),
            Promise(
                measurement="sampling_spread.pass_at_1",
                direction="rises",
                source="medium items were best in all three settings (arXiv:2605.28388) [N]",
            ),
        ),
    ),
    Remedy(
        id="no_std_normalisation",
        title="Do not divide the advantage by the group's standard deviation",
        why="Divided by it, a lone success in a group of 8 weighs +2.475, 2.65 times a success at an even pass rate; "
        "without it 1.75 times.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={
            "trl": {"scale_rewards": "none", "loss_type": "dr_grpo"},
            "verl": {"algorithm.norm_adv_by_std_in_grpo": False},
            "openrlhf": {"--algo.advantage.estimator": "dr_grpo"},
        },
        versions=RELEASES,
        inert_when="the estimator does not normalise by group (a critic's, RLOO, REINFORCE++). OpenRLHF's no_std_norm "
        "leaves the group's division as it is: in place of group_norm, and of no other, dr_grpo takes it out",
        expected="A fluke weighs 1.75 times an even success instead of 2.65 times (derived).",
        watch=("shortcutting.answer_reuse", "shortcutting.cot_gain", "sampling_spread.pass_at_1@easy"),
        stop_when="learning stalls: advantages are smaller now, so raise the learning rate first",
        evidence=(
            "The weights follow from the trainers' own advantage (Bessel-corrected, read in their source): derived.",
        ),
        references=("arXiv:2503.20783",),
        order=40,
        stages=("rl",),
        clashes=(
            *each_of(
                "verl",
                "algorithm.adv_estimator",
                NO_GROUP_STD,
                "inert",
                "verl divides no advantage of {} by its group's standard deviation (read in its source)",
            ),
            *(
                Clash(
                    framework="openrlhf",
                    key=ESTIMATOR,
                    op="==",
                    value=name,
                    effect="inert",
                    why=f"OpenRLHF divides no advantage of {name} by its group's standard deviation: dr_grpo would "
                    f"{instead}, which is another change (read in its source)",
                )
                for name, instead in DR_GRPO.items()
            ),
            Clash(
                framework="openrlhf",
                key=SAMPLES,
                op="<=",
                value=1,
                effect="conflict",
                why="OpenRLHF refuses to start dr_grpo with one sample of a prompt (read in its cli/train_ppo_ray.py)",
            ),
            Clash(
                framework="trl",
                key="importance_sampling_level",
                op="==",
                value="sequence",
                effect="conflict",
                why="with a ratio of whole sequences TRL's dr_grpo loses the sequences' objective (its own warning): "
                "take scale_rewards alone",
            ),
        ),
        promises=(
            Promise(
                measurement="shortcutting.answer_reuse",
                direction="does_not_rise",
                source="a lone success weighs 1.75 times an even one in place of 2.65 times (derived)",
            ),
            Promise(
                measurement="shortcutting.easy_regression",
                direction="does_not_fall",
                source="likewise; no study measured it",
            ),
        ),
    ),
    Remedy(
        id="larger_groups",
        title="Draw larger groups",
        why="Below a pass rate of 1 - 2^(-1/K) most groups hold no success at all, and those that do hold one by luck: "
        "0.083 at K = 8, 0.042 at 16. Where the advantage is divided by the group's standard deviation, a lone success "
        "weighs the more the larger the group is: take that division out first.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={
            "trl": {"num_generations": 16, "per_device_train_batch_size": 16},
            "verl": {"actor_rollout_ref.rollout.n": 16},
            "openrlhf": {"--rollout.n_samples_per_prompt": 16},
        },
        versions=RELEASES,
        inert_when="the pass rate of the items is 0: no group size finds what is not there",
        clashes=(
            Clash(framework="trl", key="scale_rewards", op="!=", value="none", effect="conflict", why=DIVIDED),
            *(
                Clash(
                    framework="verl",
                    key="algorithm.norm_adv_by_std_in_grpo",
                    op="==",
                    value=True,
                    effect="conflict",
                    why=DIVIDED,
                    among=("algorithm.adv_estimator", name),
                )
                for name in GROUP_STD
            ),
            Clash(framework="openrlhf", key=ESTIMATOR, op="==", value="group_norm", effect="conflict", why=DIVIDED),
            *(
                clash
                for framework, (key, names) in NO_GROUP.items()
                for clash in each_of(
                    framework,
                    key,
                    names,
                    "inert",
                    "{} holds no answer against others to its prompt: it has no groups (read in the source)",
                )
            ),
        ),
        expected="The degenerate share of groups falls as the formula says (arXiv:2606.18487, abstract, for K = 8).",
        watch=("entropy_forecast.degenerate_groups", "frac_reward_zero_std in TRL's log"),
        stop_when="the step time doubles without fewer degenerate groups",
        evidence=("The line 0.083 at K = 8 is 1 - 2^(-1/K) (arXiv:2606.18487, abstract; other K derived).",),
        references=("arXiv:2606.18487",),
        order=50,
        stages=("rl",),
        when=(
            Threshold(
                measurement="entropy_forecast.degenerate_groups",
                op=">",
                value=0.5,
                source="by definition of the line: most groups carry no signal (arXiv:2606.18487)",
            ),
        ),
        unmeasured="the size of a group is of the training's rollouts; entropydx draws groups of its own",
    ),
    Remedy(
        id="hints",
        title="Give hard items a hint, or a part of their solution, that keeps the answer",
        why="An item that is never solved teaches nothing; with a prefix of its solution it has successes that come "
        "from work.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(Label.TEACHER_OVERCONFIDENCE,),
        config={},
        versions={},
        inert_when="no worked solutions are at hand",
        expected="+10.11 and +8.64 points at pass@64 = 0 in one study [N].",
        watch=("shortcutting.cot_gain@hard", "sampling_spread.pass_at_1@hard"),
        stop_when="accuracy with the hint rises and without it does not: the model now leans on the hint",
        evidence=("+10.11 and +8.64 points on items with pass@64 = 0 (arXiv:2604.04767, third-party note).",),
        references=("arXiv:2604.04767",),
        order=30,
        stages=("rl",),
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1@hard",
                direction="rises",
                source="+10.11 and +8.64 points at pass@64 = 0 (arXiv:2604.04767) [N]",
            ),
        ),
    ),
    Remedy(
        id="answer_mask",
        title="Take the answer itself out of the loss, and learn from the reasoning alone",
        why="A guess is made in the answer: the answer's tokens move far from the base, those of the reasoning little. "
        "Without a gradient on them luck teaches less.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the answer is bare: then nothing else is left to learn from",
        expected="A weight of 0 was stable where 0.5 to 0.75 collapsed, in one study of rewards by consensus [N]. No "
        "released trainer has a key for it: mask those labels in the collator.",
        watch=("shortcutting.answer_reuse", "shortcutting.cot_gain", "sampling_spread.pass_at_1@easy"),
        stop_when="answers lose their form: the verifier no longer finds them",
        evidence=(
            "The answer's KL to the base rose sharply and the reasoning's slowly; a weight of 0 on it was stable, 0.5 "
            "to 0.75 collapsed (arXiv:2608.03119, third-party note).",
        ),
        references=("arXiv:2608.03119",),
        order=55,
        stages=("rl",),
        promises=(
            Promise(
                measurement="shortcutting.answer_reuse",
                direction="falls",
                source="a lucky answer is no longer pushed (derived; arXiv:2608.03119) [N]",
            ),
        ),
    ),
    Remedy(
        id="length_alarm",
        title="Stop the run when the mean length halves, and go back to the checkpoint before",
        why="In the documented case length collapsed before accuracy fell; it is the earliest sign there is.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="completions were short from the start",
        expected="A stop some tens of steps before accuracy falls, as in the one documented run [N].",
        watch=("shortcutting.length_ratio", "completions/mean_length in TRL's log", "response_length/mean in verl's"),
        stop_when="length is steady and easy items are solved as before",
        evidence=(
            "510.7 to 45.7 tokens by step 58, before accuracy fell (arXiv:2605.28388, read in third-party notes).",
            "`entropydx trajectory` on the run's checkpoints names the last healthy one, `entropydx watch` stops it.",
        ),
        references=("arXiv:2605.28388",),
        order=60,
        when=(
            Threshold(
                measurement="shortcutting.length_ratio",
                op="<",
                value=0.7,
                source="well on the way from 1 to the 0.09 of the documented run (arXiv:2605.28388) [N]; derived",
            ),
        ),
        promises=(
            Promise(
                measurement="shortcutting.length_ratio",
                direction="rises",
                source="the checkpoint before is chosen by it; length fell first (arXiv:2605.28388) [N]",
            ),
            Promise(
                measurement="sampling_spread.pass_at_1",
                direction="does_not_fall",
                source="length fell before accuracy did, in the one documented run (arXiv:2605.28388) [N]",
            ),
        ),
    ),
)
