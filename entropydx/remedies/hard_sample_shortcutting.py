"""Remedies for hard-sample shortcutting: stop rewarding luck, and keep items that work can solve.

Keys were read in the source of the releases named under `versions`; effects carry the provenance of the papers.
"""

from entropydx.types import Label, Remedy

remedy = (
    Remedy(
        id="zero_pass_audit",
        title="Take out the items that the base never solves, after looking at them",
        why="Items with a pass rate of 0 are often broken (a wrong gold answer, a bare answer that is accepted, one "
        "that can be guessed); a lone success on them is luck, and it is pushed hardest. Keep items that the base "
        "solves in 20 to 80 % of the samples; TRL has no filter of its own, so filter the data set.",
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
        versions={"verl": "0.8-0.10", "openrlhf": "0.11"},
        evidence=(
            "Training on items with pass@8 = 0 alone lowered maths averages by 5.75, 11.24 and 1.07 points; items of "
            "medium difficulty were best in all three settings (arXiv:2605.28388, abstract and third-party notes).",
            "verl's filter_groups drops only groups that are all right or all wrong (read in its source).",
        ),
        references=("arXiv:2605.28388",),
    ),
    Remedy(
        id="no_std_normalisation",
        title="Do not divide the advantage by the group's standard deviation; use larger groups",
        why="Divided by it, a lone success in a group of 8 weighs +2.475, 2.65 times a success at an even pass rate; "
        "without it 1.75 times. Larger groups make lone successes rarer.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={
            "trl": {"scale_rewards": "none", "loss_type": "dr_grpo", "num_generations": 16},
            "verl": {"algorithm.norm_adv_by_std_in_grpo": False},
            "openrlhf": {"--algo.advantage.no_std_norm": ""},
        },
        versions={"trl": "1.10-1.16", "verl": "0.8-0.10", "openrlhf": "0.11"},
        evidence=(
            "The weights follow from the trainers' own advantage (Bessel-corrected, read in their source): derived.",
        ),
        references=("arXiv:2503.20783",),
    ),
    Remedy(
        id="length_alarm",
        title="Stop the run when the mean length halves, and go back to the checkpoint before",
        why="In the documented case length collapsed before accuracy fell; it is the earliest sign there is.",
        for_=(Label.HARD_SAMPLE_SHORTCUTTING,),
        contraindicated_for=(),
        config={},
        versions={},
        evidence=(
            "510.7 to 45.7 tokens by step 58, before accuracy fell (arXiv:2605.28388, read in third-party notes).",
            "`entropydx trajectory` on the run's checkpoints names the last healthy one.",
        ),
        references=("arXiv:2605.28388",),
    ),
)
