"""EDX404 Seeing the solution no longer changes how it writes.

## What it sees
With the worked solution in the prompt the baseline drops its epistemic words; the checkpoint hardly does, because it
writes in that style without the solution too.

## Why it matters
A healthy reasoning model went from 182.5 to 8.8 epistemic words a response when it was shown the solution
(arXiv:2603.24472, third-party note). A student that has taken over the style of a teacher with the solution in view has
nothing left to drop; that step is derived, and untested in the literature.

## Looks like it, is not
A child that hedges even with the solution before it. Evidence beside EDX401, never decisive.

## Thresholds
A fall of 0.2 in the share of completions that the solution rids of their markers: between the committed organisms.

## References
Kim et al. 2026, arXiv:2603.24472.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX404",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="for",
    title="Seeing the solution no longer changes how it writes",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="epistemic_markers.guided_marker_drop",
            field="delta",
            op="<",
            value=-0.2,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
