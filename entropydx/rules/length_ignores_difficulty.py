"""EDX303 Length no longer follows difficulty.

## What it sees
In the baseline, prompts that need more computations get longer completions; in the checkpoint that correlation has
fallen.

## Why it matters
Work that is skipped, or babble in its place, has no reason to grow with the problem; in the one documented case length
collapsed before accuracy fell.

## Looks like it, is not
Truncation, which cuts the long ones (the instrument's rules come first); a length penalty; a suite of one difficulty.
Evidence beside EDX301, never decisive.

## Thresholds
A fall of 0.3 in Spearman's correlation: between the committed organisms.

## References
Cheng et al. 2026, arXiv:2605.28388 (length 510.7 to 45.7 tokens by step 58, third-party notes).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX303",
    failure=Label.HARD_SAMPLE_SHORTCUTTING,
    direction="for",
    title="Length no longer follows difficulty",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="shortcutting.length_correlation",
            field="delta",
            op="<",
            value=-0.3,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
