"""EDX211 Where the majority is right, single samples are right too.

## What it sees
On the problems whose majority vote is right, at least 85 of 100 single samples are right.

## Why it matters
It speaks against inference variance: asking twice gives the same quality.

## Looks like it, is not
A collapsed policy is reliable as well: this clears variance only.

## Thresholds
0.85: above the committed noisy organism and below the committed healthy ones (fixtures/organisms).

## References
Liu et al. 2024, arXiv:2412.13147.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX211",
    failure=Label.INFERENCE_VARIANCE,
    direction="against",
    title="Where the majority is right, single samples are right too",
    when=(
        Threshold(
            measurement="sampling_spread.pass_at_1@majority_right",
            op=">",
            value=0.85,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
