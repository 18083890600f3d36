"""Remedies for teacher-induced overconfidence: let the teacher know less, and let the student meet more.

Keys were read in the source of the releases named under `versions`; effects carry the provenance of the papers. The
authors of arXiv:2603.24472 propose no fix: what stands here is read off their comparisons.
"""

from entropydx.types import Label, Remedy

remedy = (
    Remedy(
        id="uninformed_traces",
        title="Distil traces that were written without the solution in view",
        why="The harm is in the style of a writer who knows the answer, not in the answers: as many correct traces, "
        "sampled without the solution, left the same student nearly as it was.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={
            "trl": {"remove_thinking_from_demonstration": True},
            "verl": {"actor_rollout_ref.actor.self_distillation.remove_thinking_from_demonstration": True},
        },
        versions={"trl": "1.16 (experimental SDPOConfig)", "verl": "the authors' SDPO fork"},
        evidence=(
            "R1-Distill-Qwen-7B, AIME24 54.8: 51.0 after 800 correct unguided traces, 20.2 after 800 correct "
            "solution-guided ones (arXiv:2603.24472, read in a third-party note).",
        ),
        references=("arXiv:2603.24472",),
    ),
    Remedy(
        id="frozen_teacher",
        title="Freeze the teacher: no moving average of the student",
        why="A teacher that follows its student hardens what the student has taken over, in a loop.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={
            "trl": {"teacher_model_kind": "base"},
            "verl": {"actor_rollout_ref.actor.self_distillation.teacher_update_rate": 0.0},
        },
        versions={"trl": "1.16 (experimental SDPOConfig)", "verl": "the authors' SDPO fork"},
        evidence=(
            "A moving average at 0.05 was worse than a frozen teacher (arXiv:2603.24472, third-party note); it is the "
            "default of TRL's experimental SDPO (read in its source).",
        ),
        references=("arXiv:2603.24472",),
    ),
    Remedy(
        id="wider_coverage",
        title="Widen what is trained on, and mix in RL on the model's own attempts",
        why="What is lost is what the distilled problems do not cover; RL without the solution keeps rewarding checks "
        "that work.",
        for_=(Label.TEACHER_OVERCONFIDENCE,),
        contraindicated_for=(),
        config={},
        versions={},
        evidence=(
            "GRPO on the same problems: AIME24 54.7 to 56.0 (arXiv:2603.24472, third-party note); with 512 or more "
            "distilled problems out-of-domain accuracy fell, with 1 to 128 self-distillation won.",
        ),
        references=("arXiv:2603.24472",),
    ),
)
