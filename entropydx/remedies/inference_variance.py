"""Remedies for inference variance: change how answers are drawn and chosen, not how much the policy explores.

Decoding keys are those of OpenAI-compatible requests (`n`, `temperature`, `top_p`, `max_tokens`).
"""

from entropydx.remedies._releases import RELEASES, REQUESTS
from entropydx.types import Label, Promise, Remedy, Threshold

NO_VOTE = (Label.TRAINING_COLLAPSE,)
"""A collapsed policy agrees with itself: voting and cooling have nothing left to choose from."""
SHARPER = (
    Promise(
        measurement="sampling_spread.pass_at_1",
        direction="rises",
        source="what training takes from the spread goes to the majority's answer (derived)",
    ),
    Promise(
        measurement="sampling_spread.majority_gain",
        direction="falls",
        source="samples that agree leave a vote less to win (derived)",
    ),
)

remedy = (
    Remedy(
        id="majority_vote",
        title="Draw several answers and take the majority",
        why="The majority is right where single samples are not: voting turns the spread into accuracy at once.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=NO_VOTE,
        config={"decoding": {"n": 16}},
        versions=REQUESTS,
        inert_when="the samples agree already, or the majority is as often wrong as a single sample",
        expected="sampling_spread.majority_gain of this report, on this suite, at this K.",
        watch=("sampling_spread.majority_gain", "sampling_spread.maj_at_n"),
        stop_when="the gain of doubling n is within its interval of 0",
        evidence=(
            "The measurement sampling_spread.majority_gain of this report is what it would win on this suite.",
            "Parallel thinking with a majority vote: up to +20 to +22 % at equal budget (arXiv:2506.04210, abstract).",
        ),
        references=("arXiv:2203.11171", "arXiv:2506.04210"),
        order=10,
        when=(
            Threshold(
                measurement="sampling_spread.majority_gain",
                op=">",
                value=0.0,
                source="below 0 the vote loses; the interval says how surely it wins",
            ),
        ),
        unmeasured="a vote changes what is served and not what is drawn; what it wins is sampling_spread.majority_gain "
        "of one report",
    ),
    Remedy(
        id="confidence_filter",
        title="Draw several answers, and let the sure ones vote",
        why="Samples that waver somewhere are more often wrong: dropping those whose confidence dips lowest leaves a "
        "better electorate than all of them.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(Label.TRAINING_COLLAPSE, Label.TEACHER_OVERCONFIDENCE),
        config={"decoding": {"n": 16, "logprobs": True}},
        versions=REQUESTS,
        inert_when="confidence does not tell right from wrong: confidence.auroc near 0.5. The filter itself is the "
        "caller's: mean log-probability over a sliding window, lowest window first out",
        expected="AIME25 up to 99.9 % with 512 samples, at 84.7 % fewer tokens (arXiv:2508.15260, abstract).",
        watch=("sampling_spread.majority_gain", "confidence.auroc"),
        stop_when="the filtered vote is no better than the plain one",
        evidence=("Deep think with confidence: AIME25 up to 99.9 % at 512 samples (arXiv:2508.15260, abstract).",),
        references=("arXiv:2508.15260",),
        order=35,
        when=(
            Threshold(
                measurement="confidence.auroc", op=">", value=0.5, source="at chance confidence tells nothing apart"
            ),
        ),
        unmeasured="entropydx counts the plain vote: what a filter adds happens in the caller",
    ),
    Remedy(
        id="lower_temperature",
        title="Serve at a lower temperature and a nucleus",
        why="Spread that comes from sampling shrinks with temperature; measure again at the new setting before "
        "trusting it.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=NO_VOTE,
        config={"decoding": {"temperature": 0.6, "top_p": 0.95}},
        versions=REQUESTS,
        inert_when="the spread does not fall with the temperature: decoding.temperature_slope near 0",
        expected="decoding.cooling_gain of this report: pass@1 at temperature 0.6 less that at 1.",
        watch=("decoding.spread_at_60", "decoding.cooling_gain", "sampling_spread.g_pass_ratio"),
        stop_when="coverage falls: cooling also takes away the right answers that are rare",
        evidence=(
            "The DeepSeek-R1 evaluation settings (read in the README of KlearReasoner, not in a paper). min-p is no "
            "cure of variance: a re-analysis finds no gain (arXiv:2506.13681, abstract).",
            "A temperature that follows confidence, cooler where the model is unsure, is proposed too "
            "(arXiv:2502.19830, abstract).",
        ),
        references=("https://github.com/suu990901/KlearReasoner",),
        order=20,
        when=(
            Threshold(
                measurement="decoding.temperature_slope",
                op=">",
                value=0.0,
                source="without a slope the spread is not made by decoding [D]",
            ),
        ),
        promises=(
            Promise(
                measurement="decoding.pass_at_1_deployment_change",
                direction="rises",
                source="decoding.cooling_gain of the report before, where that is above 0",
            ),
            Promise(
                measurement="decoding.spread_deployment",
                direction="falls",
                source="decoding.temperature_slope of the report before, where that is above 0",
            ),
            Promise(
                measurement="decoding.majority_gain_deployment",
                direction="falls",
                source="samples that agree leave a vote less to win (derived)",
            ),
        ),
    ),
    Remedy(
        id="thinking_budget",
        title="Cap the thinking at the length where it stops helping",
        why="Past its optimum more thinking makes a model waver between candidates: the variance grows and accuracy "
        "falls. Several short chains and a vote cost as much as one long chain.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(Label.HARD_SAMPLE_SHORTCUTTING,),
        config={"decoding": {"max_tokens": 4096}},
        versions=REQUESTS,
        inert_when="completions end well below the cap; and a cap that cuts answers off makes truncation, which is "
        "worse. vLLM has `thinking_token_budget`, which ends the thinking and leaves room for the answer",
        expected="GSM8K 87.3 to 70.3 % as thinking went from 1,100 to 15,980 tokens [N]: what a cap would save there.",
        watch=("instrument.truncation_rate", "instrument.completion_length", "pass@1"),
        stop_when="instrument.truncation_rate rises above a few percent",
        evidence=(
            "More thinking first helps, then hurts, while variance grows (arXiv:2506.04210, abstract); GSM8K 87.3 to "
            "70.3 % (third-party note).",
        ),
        references=("arXiv:2506.04210",),
        order=40,
        when=(
            Threshold(
                measurement="instrument.completion_length",
                op=">",
                value=4096.0,
                source="the cap that is recommended: it cuts nothing that is shorter",
            ),
        ),
        unmeasured="runs of different token limits do not compare",
    ),
    Remedy(
        id="batch_invariant_inference",
        title="Make the numerics independent of the batch",
        why="At temperature 0 the same request gives other tokens beside other requests, since sums are taken in "
        "another order: a spread that no sampling setting takes away.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="greedy answers repeat already: decoding.greedy_repeatability of 1",
        expected="The same tokens for the same greedy request, at some speed; accuracy does not change by it.",
        watch=("decoding.greedy_repeatability", "decoding.greedy_agreement_prefix"),
        stop_when="throughput matters more than repeatability",
        evidence=(
            "1,000 identical greedy requests gave 80 texts (three third-party notes). vLLM: the environment variable "
            "VLLM_BATCH_INVARIANT=1, beta, on GPUs of compute capability 8.0 or 9.0 and later (its documentation).",
        ),
        references=("https://docs.vllm.ai/en/latest/features/batch_invariance.html",),
        order=15,
        when=(
            Threshold(
                measurement="decoding.greedy_repeatability",
                op="<",
                value=1.0,
                source="exact repetition is what batch invariance gives",
            ),
        ),
        promises=(
            Promise(
                measurement="decoding.greedy_repeatability",
                direction="rises",
                source="the same tokens for the same greedy request are what it is defined by (vLLM's documentation)",
            ),
        ),
    ),
    Remedy(
        id="clean_labels",
        title="Take contradictory demonstrations out, and tune on what is left",
        why="Demonstrations that answer like problems differently teach a lottery: the policy that fits them best "
        "draws among their answers.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the demonstrations agree: the spread has another source",
        expected="On a tiny model whose demonstrations contradicted each other the variance went (the trials); no "
        "measurement at scale is known.",
        watch=("sampling_spread.majority_gain", "sampling_spread.pass_at_1", "sampling_spread.within_variance"),
        stop_when="sampling_spread.majority_gain no longer falls while the tuning loss does",
        evidence=(
            "Finding label errors by a model's own disagreement: confident learning (arXiv:1911.00068, from memory).",
        ),
        references=("arXiv:1911.00068",),
        order=25,
        stages=("sft", "distillation"),
        promises=SHARPER,
    ),
    Remedy(
        id="verifiable_rl",
        title="Go on with RL on a verifiable reward, at plain settings",
        why="Where the majority of samples is right, a reward for right answers makes the majority's answer the usual "
        "one: the policy is sharpened. More entropy beside it works the other way.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=NO_VOTE,
        config={},
        versions={},
        inert_when="the majority is as often wrong as a single sample: there is nothing to sharpen towards",
        expected="pass@1 rises towards the majority's accuracy while pass@k hardly moves (arXiv:2402.03300, section "
        "5.2.2, from memory); in the trials it reached it. It spends entropy: past that point it is the road to a "
        "collapse.",
        watch=("sampling_spread.pass_at_1", "sampling_spread.majority_gain", "token_entropy.mean_ratio", "coverage"),
        stop_when="sampling_spread.majority_gain is within its interval of 0, or coverage falls",
        evidence=(
            "RL raised the accuracy of the majority and of single samples, not pass@k (arXiv:2402.03300, from memory).",
            "That no training mends inference variance is a note-writer's inference, which no experiment was found for "
            "before the trials.",
        ),
        references=("arXiv:2402.03300",),
        order=30,
        promises=SHARPER,
    ),
    Remedy(
        id="mask_truncated",
        title="Keep answers that were cut off out of the training, or price them softly",
        why="An answer that is cut off is paid as a wrong one, whatever the work before it: the same problem is then "
        "right or wrong by length, which no policy can learn from.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(Label.HARD_SAMPLE_SHORTCUTTING,),
        config={"trl": {"mask_truncated_completions": True}, "openrlhf": {"--reward.overlong_buffer_len": 4096}},
        versions={name: RELEASES[name] for name in ("trl", "openrlhf")},
        inert_when="no completion reaches the token limit. verl has it as an argument of its DAPO reward manager only",
        expected="Not measured alone in a paper that was checked: it is part of DAPO's script, with a buffer of 4096 "
        "tokens and a price of 1.",
        watch=(
            "instrument.truncation_rate",
            "sampling_spread.within_variance",
            "completions/clipped_ratio in TRL's log",
        ),
        stop_when="completions grow to the limit: raise the limit instead",
        evidence=("Buffer and price as in DAPO's script (read in its source); that it calms the spread: derived.",),
        references=("arXiv:2503.14476",),
        order=50,
        stages=("rl",),
        when=(
            Threshold(
                measurement="instrument.truncation_rate",
                op=">",
                value=0.02,
                source="one answer in fifty is cut; above 0.10 no diagnosis is made (EDX901) [D]",
            ),
        ),
        unmeasured="it acts on the training's own token limit, which entropydx does not see",
    ),
    Remedy(
        id="calibration_reward",
        title="Reward calibrated confidence",
        why="A proper scoring rule, 1[right] - (q - 1[right])² for a stated confidence q, couples correctness and "
        "confidence.",
        for_=(Label.INFERENCE_VARIANCE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the model states no confidence that the reward can read",
        expected="Better calibration: HotpotQA ECE 0.37 to 0.03 (arXiv:2507.16806, abstract and third-party note); "
        "that the spread falls was not shown.",
        watch=("confidence.modal_brier", "sampling_spread.g_pass_ratio"),
        stop_when="stated confidence becomes constant",
        evidence=("RLCR: HotpotQA ECE 0.37 to 0.03 (arXiv:2507.16806, abstract and third-party note).",),
        references=("arXiv:2507.16806",),
        order=60,
        promises=(
            Promise(
                measurement="confidence.modal_brier",
                direction="falls",
                source="the reward is a Brier score (arXiv:2507.16806, abstract); the vote's own: derived",
            ),
        ),
    ),
)
