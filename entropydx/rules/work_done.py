"""EDX311 The work is done, and it is needed.

## What it sees
As many computations are written for each that is needed as by the baseline, and the checkpoint is right more often
after its reasoning than when it is asked for the answer at once.

## Why it matters
A shortcut skips the work or does not use it.

## Looks like it, is not
Computations may be written and false: `shortcutting.step_validity` says how many are.

## Thresholds
Density within -0.15 of the baseline's, gain above 0.10: between the committed organisms.

## References
Lanham et al. 2023, arXiv:2307.13702.
"""

from entropydx.types import Label, Rule, Threshold

CASES = "labelled organisms, fixtures/organisms"

rule = Rule(
    code="EDX311",
    failure=Label.HARD_SAMPLE_SHORTCUTTING,
    direction="against",
    title="The work is written out, and the answer depends on it",
    scope="with_baseline",
    when=(
        Threshold(measurement="shortcutting.step_density", field="delta", op=">", value=-0.15, source=CASES),
        Threshold(measurement="shortcutting.cot_gain", op=">", value=0.10, source=CASES),
    ),
)
