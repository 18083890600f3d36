"""Remedies for inference variance: change how answers are drawn and chosen, not how much the policy explores."""

from entropydx.types import Label, Remedy

remedy = (
    Remedy(
        id="majority_vote",
        title="Draw several answers and take the majority",
        why="The majority is right where single samples are not: voting turns the spread into accuracy at once.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(Label.TRAINING_COLLAPSE,),
        config={"decoding": {"n": 16}},
        versions={},
        evidence=(
            "The measurement sampling_spread.majority_gain of this report is what it would win on this suite.",
            "Parallel thinking with a majority vote: up to +20 to +22 % at equal budget (arXiv:2506.04210, abstract).",
        ),
        references=("arXiv:2203.11171", "arXiv:2506.04210"),
    ),
    Remedy(
        id="lower_temperature",
        title="Serve at a lower temperature and a nucleus",
        why="Spread that comes from sampling shrinks with temperature; measure again at the new setting before "
        "trusting it.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(Label.TRAINING_COLLAPSE,),
        config={"decoding": {"temperature": 0.6, "top_p": 0.95}},
        versions={},
        evidence=("The DeepSeek-R1 evaluation settings (read in the README of KlearReasoner, not in a paper).",),
        references=("https://github.com/suu990901/KlearReasoner",),
    ),
    Remedy(
        id="calibration_reward",
        title="If it must be mended in training: reward calibrated confidence, and clean contradictory labels",
        why="Noisy or contradictory demonstrations teach a lottery. A proper scoring rule couples correctness and"
        " confidence.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(),
        config={},
        versions={},
        evidence=("RLCR: HotpotQA ECE 0.37 to 0.03 (arXiv:2507.16806, abstract and third-party note).",),
        references=("arXiv:2507.16806",),
    ),
)
