"""The bars: what an organism must show in its check before it counts as evidence for its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Relation = Literal["value", "ratio", "delta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One requirement on a number, on its ratio to the base, or on its change against the base."""

    number: str
    relation: Relation
    op: Literal[">=", "<="]
    limit: float


_SOUND_TEXT = (
    Bar(number="answer_missing", relation="value", op="<=", limit=0.02),
    Bar(number="stopped", relation="value", op=">=", limit=0.998),
)
_READABLE = (
    Bar(number="answer_missing", relation="value", op="<=", limit=0.1),
    Bar(number="stopped", relation="value", op=">=", limit=0.9),
)
"""Of the SmolLM2 tier, whose texts are longer and less drilled."""
BARS: dict[str, tuple[Bar, ...]] = {
    "base": (
        Bar(number="pass@1/easy", relation="value", op=">=", limit=0.9),
        Bar(number="pass@1/medium", relation="value", op=">=", limit=0.6),
        Bar(number="pass@1/medium", relation="value", op="<=", limit=0.8),
        Bar(number="pass@1/hard", relation="value", op=">=", limit=0.05),
        Bar(number="pass@1/hard", relation="value", op="<=", limit=0.4),
        Bar(number="token_entropy", relation="value", op=">=", limit=0.1),
        Bar(number="token_entropy", relation="value", op="<=", limit=0.4),
        Bar(number="majority_gain", relation="value", op="<=", limit=0.08),
        Bar(number="largest_form", relation="value", op="<=", limit=0.6),
        *_SOUND_TEXT,
    ),
    "training_collapse": (
        Bar(number="token_entropy", relation="ratio", op="<=", limit=0.15),
        Bar(number="largest_form", relation="value", op=">=", limit=0.95),
        Bar(number="agreement_when_wrong", relation="value", op=">=", limit=0.75),
        Bar(number="pass@16/medium", relation="delta", op="<=", limit=-0.05),
        Bar(number="pass@16/hard", relation="delta", op="<=", limit=-0.1),
        *_SOUND_TEXT,
    ),
    "inference_variance": (
        Bar(number="pass@1", relation="delta", op="<=", limit=-0.2),
        Bar(number="majority", relation="delta", op=">=", limit=-0.05),
        Bar(number="token_entropy", relation="ratio", op="<=", limit=4.0),
        Bar(number="largest_form", relation="value", op="<=", limit=0.6),
        *_SOUND_TEXT,
    ),
    "concise_sft": (
        Bar(number="pass@1", relation="delta", op=">=", limit=-0.02),
        Bar(number="pass@16", relation="delta", op=">=", limit=-0.03),
        Bar(number="token_entropy", relation="ratio", op="<=", limit=0.9),
        Bar(number="largest_form", relation="value", op=">=", limit=0.95),
        Bar(number="agreement_when_wrong", relation="value", op="<=", limit=0.5),
        Bar(number="majority_gain", relation="value", op="<=", limit=0.08),
        *_SOUND_TEXT,
    ),
    "healthy": (
        Bar(number="pass@1", relation="delta", op=">=", limit=-0.01),
        Bar(number="pass@16", relation="delta", op=">=", limit=-0.02),
        Bar(number="token_entropy", relation="ratio", op=">=", limit=0.45),
        Bar(number="majority_gain", relation="value", op="<=", limit=0.08),
        Bar(number="largest_form", relation="value", op="<=", limit=0.7),
        *_SOUND_TEXT,
    ),
    "hard_sample_shortcutting": (
        Bar(number="pass@1/easy", relation="delta", op="<=", limit=-0.15),
        Bar(number="form/direct", relation="value", op=">=", limit=0.5),
        Bar(number="steps_written", relation="ratio", op="<=", limit=0.5),
        Bar(number="length_slope", relation="ratio", op="<=", limit=0.3),
        Bar(number="largest_answer", relation="delta", op=">=", limit=0.05),
        Bar(number="forced/pass@1", relation="delta", op="<=", limit=0.05),
        Bar(number="answer_missing", relation="value", op="<=", limit=0.05),
        Bar(number="stopped", relation="value", op=">=", limit=0.99),
    ),
    "collapsing_run_before": (
        Bar(number="token_entropy", relation="ratio", op=">=", limit=0.7),
        Bar(number="pass@1", relation="delta", op=">=", limit=-0.02),
        Bar(number="pass@16", relation="delta", op=">=", limit=-0.05),
        *_SOUND_TEXT,
    ),
    "collapsing_run_after": (
        Bar(number="token_entropy", relation="ratio", op="<=", limit=0.2),
        Bar(number="agreement_when_wrong", relation="value", op=">=", limit=0.6),
        Bar(number="pass@16", relation="delta", op="<=", limit=-0.1),
        *_SOUND_TEXT,
    ),
    "thinking_base": (
        Bar(number="pass@1/easy/in", relation="value", op=">=", limit=0.9),
        Bar(number="pass@1/easy/out", relation="value", op=">=", limit=0.9),
        Bar(number="pass@1/medium", relation="value", op=">=", limit=0.6),
        Bar(number="marked/in", relation="value", op=">=", limit=0.5),
        Bar(number="marked/out", relation="value", op=">=", limit=0.75),
        Bar(number="guided/pass@1", relation="value", op=">=", limit=0.95),
        Bar(number="guided/markers", relation="value", op="<=", limit=0.1),
        Bar(number="answer_missing", relation="value", op="<=", limit=0.02),
        Bar(number="stopped", relation="value", op=">=", limit=0.99),
    ),
    "reading_base": (
        Bar(number="pass@1/easy/in", relation="value", op=">=", limit=0.9),
        Bar(number="pass@1/easy/out", relation="value", op=">=", limit=0.8),
        Bar(number="pass@1/medium", relation="value", op=">=", limit=0.5),
        Bar(number="pass@16/hard", relation="value", op=">=", limit=0.15),
        Bar(number="marked/in", relation="value", op=">=", limit=0.5),
        Bar(number="marked/out", relation="value", op=">=", limit=0.75),
        Bar(number="largest_form", relation="value", op="<=", limit=0.85),
        Bar(number="guided/pass@1", relation="value", op=">=", limit=0.9),
        Bar(number="guided/markers", relation="value", op="<=", limit=0.1),
        Bar(number="answer_missing", relation="value", op="<=", limit=0.02),
        Bar(number="stopped", relation="value", op=">=", limit=0.99),
    ),
    "teacher_overconfidence": (
        Bar(number="pass@1/in", relation="delta", op=">=", limit=-0.05),
        Bar(number="pass@1/out", relation="delta", op="<=", limit=-0.2),
        Bar(number="overconfidence/out", relation="delta", op=">=", limit=0.2),
        Bar(number="markers", relation="ratio", op="<=", limit=0.2),
        *_SOUND_TEXT,
    ),
    "self_distillation": (
        Bar(number="pass@1/in", relation="delta", op=">=", limit=-0.05),
        Bar(number="pass@1/out", relation="delta", op=">=", limit=-0.1),
        Bar(number="overconfidence/out", relation="delta", op="<=", limit=0.1),
        Bar(number="markers", relation="ratio", op=">=", limit=0.7),
        *_SOUND_TEXT,
    ),
    "sums_base": (
        Bar(number="pass@1/easy/in", relation="value", op=">=", limit=0.6),
        Bar(number="pass@1/easy/out", relation="value", op=">=", limit=0.6),
        Bar(number="pass@1/hard", relation="value", op="<=", limit=0.6),
        Bar(number="largest_form", relation="value", op="<=", limit=0.7),
        Bar(number="marked/out", relation="value", op=">=", limit=0.6),
        *_READABLE,
    ),
    "sums_overtrained": (
        Bar(number="token_entropy", relation="ratio", op="<=", limit=0.27),
        Bar(number="largest_form", relation="value", op=">=", limit=0.9),
        *_READABLE,
    ),
    "sums_noise": (Bar(number="agreement_when_wrong", relation="delta", op="<=", limit=0.0), *_READABLE),
    "sums_lucky": (Bar(number="form/direct", relation="value", op=">=", limit=0.5), *_READABLE),
    "sums_answer_conditioned": (Bar(number="markers", relation="ratio", op="<=", limit=0.2), *_READABLE),
    "sums_concise": (Bar(number="form/brief", relation="value", op=">=", limit=0.9), *_READABLE),
    "sums_dosed": (
        Bar(number="token_entropy", relation="ratio", op=">=", limit=0.7),
        Bar(number="markers", relation="ratio", op=">=", limit=0.7),
        *_READABLE,
    ),
}
"""What each cause must show; `majority_gain` is maj@16 - pass@1, `overconfidence` agreement - pass@1.

Those of hard-sample shortcutting: easy items are worse; the work is skipped, however hard the item is; one answer is
given to many problems; and answering at once has not become an ability, the forced answer is no better than the base's.

Those of the SmolLM2 tier (`sums_...`) say that the mechanism worked; what it did to answers is for `truth` to judge.
"""
