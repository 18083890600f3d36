"""EDX312 What the baseline solves nearly always is still solved.

## What it sees
On the items that the baseline gets right in at least 7 of 8 samples, the checkpoint is not worse by more than noise.

## Why it matters
The harm of training on unsolvable items is that it leaks into the easy ones.

## Looks like it, is not
An early stage: length collapses before accuracy falls (arXiv:2605.28388, third-party notes), so watch EDX303.

## Thresholds
-0.05, the bar of EDX301.

## References
Cheng et al. 2026, arXiv:2605.28388.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX312",
    failure=Label.HARD_SAMPLE_SHORTCUTTING,
    direction="against",
    title="Items that the baseline solves nearly always are still solved",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="shortcutting.easy_regression",
            op=">",
            value=-0.05,
            source="arXiv:2605.28388: averages fell by 5.75 and 11.24 points (third-party notes)",
        ),
    ),
)
