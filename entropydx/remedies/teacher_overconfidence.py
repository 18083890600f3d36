"""Remedies for teacher-induced overconfidence: let the teacher know less, and let the student meet more.

Keys are tested against the last release named under `versions`; effects carry the provenance of the papers. The
authors of arXiv:2603.24472 propose no fix: what stands here is read off their comparisons. verl has self-distillation
only in the authors' fork, so no keys are given for it.
"""

from entropydx.remedies._releases import RELEASES
from entropydx.types import Clash, Label, Promise, Remedy

SDPO = {"trl": "1.6-1.16 (experimental SDPOConfig)"}

remedy = (
    Remedy(
        id="uninformed_traces",
        title="Distil traces that were written without the solution in view",
        why="The harm is in the style of a writer who knows the answer, not in the answers: as many correct traces, "
        "sampled without the solution, left the same student nearly as it was.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the traces were written so already",
        expected="AIME24 51.0 instead of 20.2 after 800 correct traces, from 54.8 [N].",
        watch=("sampling_spread.pass_at_1@out", "confidence.overconfidence@out", "epistemic_markers.density_ratio"),
        stop_when="out-of-domain accuracy still falls: then it is the coverage",
        evidence=(
            "R1-Distill-Qwen-7B, AIME24 54.8: 51.0 after 800 correct unguided traces, 20.2 after 800 correct "
            "solution-guided ones (arXiv:2603.24472, read in a third-party note).",
        ),
        references=("arXiv:2603.24472",),
        order=30,
        stages=("sft", "distillation"),
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1@out",
                direction="rises",
                source="AIME24 51.0 in place of 20.2 (arXiv:2603.24472) [N]",
            ),
            Promise(
                measurement="epistemic_markers.count_ratio",
                direction="rises",
                source="182.5 words a text with no solution in view, 8.8 with it (arXiv:2603.24472) [N]",
            ),
            Promise(
                measurement="confidence.overconfidence@out",
                direction="falls",
                source="what is right more often, as surely, is overconfident less (derived)",
            ),
        ),
    ),
    Remedy(
        id="strip_thinking",
        title="Take the thinking out of the demonstration that the teacher is shown",
        why="A teacher that sees an answer without its reasoning has to find the way itself, and keeps its doubts.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={"trl": {"remove_thinking_from_demonstration": True}},
        versions=SDPO,
        inert_when="the demonstrations hold no thinking tags",
        expected="Traces of 12,036 tokens and 159.8 epistemic words, against 1,873 and 8.8 with the whole solution and "
        "13,054 and 182.5 without any [N].",
        watch=("epistemic_markers.count_ratio", "sampling_spread.pass_at_1@out"),
        stop_when="the teacher's accuracy falls to the student's",
        evidence=(
            "Without its thinking the shown solution attenuates the loss of epistemic words (arXiv:2603.24472, "
            "third-party note); TRL's default is to leave it in (read in its source).",
        ),
        references=("arXiv:2603.24472",),
        order=40,
        stages=("distillation",),
        promises=(
            Promise(
                measurement="epistemic_markers.count_ratio",
                direction="rises",
                source="159.8 words a text in place of 8.8 (arXiv:2603.24472) [N]",
            ),
            Promise(
                measurement="shortcutting.length_ratio",
                direction="rises",
                source="12,036 tokens in place of 1,873 (arXiv:2603.24472) [N]",
            ),
        ),
    ),
    Remedy(
        id="frozen_teacher",
        title="Freeze the teacher: no moving average of the student",
        why="A teacher that follows its student hardens what the student has taken over, in a loop.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={"trl": {"teacher_model_kind": "base"}},
        versions=SDPO,
        inert_when="the teacher is another model",
        expected="Better than a moving average at 0.05, by how much was not found [N].",
        watch=("epistemic_markers.density_ratio", "sampling_spread.pass_at_1@out"),
        stop_when="the student has passed the teacher",
        evidence=(
            "A moving average at 0.05 was worse than a frozen teacher (arXiv:2603.24472, third-party note); it is the "
            "default of TRL's experimental SDPO (read in its source).",
        ),
        references=("arXiv:2603.24472",),
        order=45,
        stages=("distillation",),
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1@out",
                direction="rises",
                source="better than a moving average, by how much was not found (arXiv:2603.24472) [N]",
            ),
            Promise(
                measurement="epistemic_markers.count_ratio",
                direction="rises",
                source="the loop that hardens their loss is cut (derived)",
            ),
        ),
    ),
    Remedy(
        id="wider_coverage",
        title="Widen what is trained on",
        why="What is lost is what the distilled problems do not cover.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the model is only ever used in the domain of its training",
        expected="In the trials accuracy outside came back, at some cost inside, and the doubts did not. Against it: "
        "512 or more distilled problems made the loss outside worse, with 1 to 128 self-distillation won [N]; so widen "
        "by other kinds of problems, not by more of the same.",
        watch=("sampling_spread.pass_at_1@out", "confidence.overconfidence_out_minus_in"),
        stop_when="accuracy outside the domain does not move",
        evidence=(
            "With 512 or more distilled problems out-of-domain accuracy fell, with 1 to 128 self-distillation won "
            "(arXiv:2603.24472, third-party note).",
        ),
        references=("arXiv:2603.24472",),
        order=10,
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1@out",
                direction="rises",
                source="what it is for; seen in the trials, in no paper (arXiv:2603.24472) [N]",
            ),
            Promise(
                measurement="confidence.overconfidence@out",
                direction="falls",
                source="what is right more often, as surely, is overconfident less (derived)",
            ),
        ),
    ),
    Remedy(
        id="mix_grpo",
        title="Mix in RL on the model's own attempts, without the solution, on problems of other domains too",
        by_hand=True,
        why="RL without the solution in view keeps rewarding the checks that work. Late in the failure it mends only "
        "the domains that it trains on.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={"trl": {"loss_type": "dapo", "beta": 0.001, "num_generations": 8}},
        versions={"trl": RELEASES["trl"]},
        inert_when="the model never solves the problems that it is trained on",
        expected="GRPO on the same problems: AIME24 54.7 to 56.0 [N]; a model that over-expresses doubts is trimmed by "
        "it too.",
        watch=("sampling_spread.pass_at_1@out", "epistemic_markers.density_ratio", "token_entropy.mean_ratio"),
        stop_when="entropy falls below 0.4 of its start: collapse is the next failure",
        evidence=("GRPO on the same problems: AIME24 54.7 to 56.0 (arXiv:2603.24472, third-party note).",),
        references=("arXiv:2603.24472",),
        order=20,
        stages=("sft", "distillation"),
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1@out",
                direction="rises",
                source="AIME24 54.7 to 56.0 on the same problems (arXiv:2603.24472) [N]",
            ),
        ),
    ),
    Remedy(
        id="skip_solved",
        title="Do not distil onto what the student already solves",
        why="Pulling right answers of its own towards another style adds ambiguity, and nothing to learn.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={"trl": {"dont_reprompt_on_self_success": True}},
        versions=SDPO,
        inert_when="it is TRL's default already",
        expected="Removes the second cause of collapse that was named for SDPO; by how much was not found [N].",
        watch=("sampling_spread.pass_at_1@in", "epistemic_markers.density_ratio"),
        stop_when="too few items are left to learn from",
        evidence=(
            "Ambiguity on samples that are right already is named as the second cause (third-party note); the default "
            "was read in TRL's source.",
        ),
        references=("arXiv:2603.24472",),
        order=50,
        stages=("distillation",),
        clashes=(
            Clash(
                framework="trl",
                key="use_successful_as_teacher",
                op="==",
                value=False,
                effect="inert",
                why="the student's own successes are not used at all",
            ),
        ),
        promises=(
            Promise(
                measurement="sampling_spread.pass_at_1@in",
                direction="does_not_fall",
                source="what is solved already is left alone (derived)",
            ),
            Promise(
                measurement="epistemic_markers.count_ratio",
                direction="does_not_fall",
                source="the second cause that was named is removed (arXiv:2603.24472) [N]",
            ),
        ),
    ),
    Remedy(
        id="entropy_gated_distillation",
        title="Weigh down the positions where the teacher itself is unsure",
        why="Where the teacher's distribution is wide, pulling the student onto one of its tokens takes away a doubt "
        "that was right.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={},
        versions={},
        inert_when="the teacher has seen the answer: then it is sure everywhere, and nothing is weighed down",
        expected="Not known for doubts: the abstract names the weighting with a floor. No released trainer has keys.",
        watch=("epistemic_markers.density_ratio", "confidence.overconfidence@out"),
        stop_when="the loss is all floor: the student learns no more",
        evidence=("Positions of high teacher entropy are weighed down, with a floor (arXiv:2605.13255, abstract).",),
        references=("arXiv:2605.13255",),
        order=60,
        stages=("distillation",),
        promises=(
            Promise(
                measurement="epistemic_markers.density_ratio",
                direction="does_not_fall",
                source="doubtful positions are pulled less (derived; arXiv:2605.13255, abstract)",
            ),
        ),
    ),
)
