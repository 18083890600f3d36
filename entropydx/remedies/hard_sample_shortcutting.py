"""Remedies for hard-sample shortcutting: stop rewarding luck, and keep items that work can solve.

Keys are tested against the last release named under `versions`; effects carry the provenance of the papers.
"""

from entropydx.remedies._releases import RELEASES
from entropydx.types import Clash, Label, Promise, Remedy, Threshold

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
            "harmful ones were often broken (arXiv:2605.28388, abstract and third-party notes).",
        ),
        references=("arXiv:2605.28388",),
        order=10,
        stages=("rl",),
        promises=(
            Promise(
                measurement="shortcutting.easy_regression",
                direction="rises",
                source="what training on such items alone had lost (arXiv:2605.28388, abstract)",
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
        why="There the advantage tells work from luck. TRL has no filter of its own: filter the data set beforehand; "
        "verl's drops only groups that are all right or all wrong.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={
            "verl": {
                "algorithm.filter_groups.enable": True,
                "algorithm.filter_groups.metric": "acc",
                "algorithm.filter_groups.max_num_gen_batches": 10,
            },
            "openrlhf": {"--algo.dynamic_filtering_enable": "", "--algo.dynamic_filtering_range": "0.2 0.8"},
        },
        versions={"verl": RELEASES["verl"], "openrlhf": RELEASES["openrlhf"]},
        inert_when="all items lie in the band",
        expected="Medium items were best in all three settings of the study (arXiv:2605.28388, abstract and "
        "third-party notes).",
        watch=("shortcutting.easy_regression", "sampling_spread.pass_at_1@easy"),
        stop_when="the filter throws most batches away: the data set is the problem",
        evidence=(
            "Items of medium difficulty were best in all three settings (arXiv:2605.28388, abstract and third-party "
            "notes).",
            "verl's filter_groups drops only groups that are all right or all wrong (read in its source).",
            "Against it: under a fixed annotation budget the hardest tenth gave most, and had mixed outcomes "
            "(arXiv:2508.14094, third-party note): what harms is a pass rate of 0, not difficulty.",
        ),
        references=("arXiv:2605.28388", "arXiv:2508.14094"),
        order=20,
        stages=("rl",),
        promises=(
            Promise(
                measurement="shortcutting.easy_regression",
                direction="rises",
                source="what training on items of pass rate 0 had lost (arXiv:2605.28388, abstract)",
            ),
            Promise(
                measurement="sampling_spread.pass_at_1",
                direction="rises",
                source="medium items were best in all three settings (arXiv:2605.28388, abstract)",
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
            "openrlhf": {"--algo.advantage.no_std_norm": ""},
        },
        versions=RELEASES,
        inert_when="the estimator does not normalise by group (PPO with a critic, REINFORCE++)",
        expected="A fluke weighs 1.75 times an even success instead of 2.65 times (derived).",
        watch=("shortcutting.answer_reuse", "shortcutting.cot_gain", "sampling_spread.pass_at_1@easy"),
        stop_when="learning stalls: advantages are smaller now, so raise the learning rate first",
        evidence=(
            "The weights follow from the trainers' own advantage (Bessel-corrected, read in their source): derived.",
        ),
        references=("arXiv:2503.20783",),
        order=30,
        stages=("rl",),
        clashes=(
            Clash(
                framework="verl",
                key="algorithm.adv_estimator",
                op="==",
                value="gae",
                effect="inert",
                why="generalised advantages of a critic are not normalised by group",
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
        "0.083 at K = 8, 0.042 at 16.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={
            "trl": {"num_generations": 16, "per_device_train_batch_size": 16},
            "verl": {"actor_rollout_ref.rollout.n": 16},
            "openrlhf": {"--rollout.n_samples_per_prompt": 16},
        },
        versions=RELEASES,
        inert_when="the pass rate of the items is 0: no group size finds what is not there",
        expected="The degenerate share of groups falls as the formula says (arXiv:2606.18487, abstract, for K = 8).",
        watch=("entropy_forecast.degenerate_groups", "frac_reward_zero_std in TRL's log"),
        stop_when="the step time doubles without fewer degenerate groups",
        evidence=("The line 0.083 at K = 8 is 1 - 2^(-1/K) (arXiv:2606.18487, abstract; other K derived).",),
        references=("arXiv:2606.18487",),
        order=40,
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
        order=50,
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
