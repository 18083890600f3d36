"""EDX412 It still marks its doubts.

## What it sees
Epistemic words are left: at least three quarters of the baseline's count.

## Why it matters
A student of a teacher that knew the answer has lost them.

## Looks like it, is not
Filler: words may stay while nothing is checked; `epistemic_markers.self_correction_rate` says whether anything is.

## Thresholds
0.75: between the committed organisms.

## References
Kim et al. 2026, arXiv:2603.24472.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX412",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="against",
    title="Epistemic words are left as they were",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="epistemic_markers.count_ratio",
            op=">",
            value=0.75,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
