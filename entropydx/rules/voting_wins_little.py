"""EDX212 A majority vote would win little.

## What it sees
maj@K is within 0.05 of pass@1.

## Why it matters
Recoverable spread is what inference variance is; where voting recovers nothing, errors are not noise.

## Looks like it, is not
A weak model whose majority is wrong also gains nothing from voting.

## Thresholds
0.05: half of what EDX201 demands, so that the two cannot both fire.

## References
Wang et al. 2022, arXiv:2203.11171 (self-consistency).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX212",
    failure=Label.INFERENCE_VARIANCE,
    direction="against",
    title="A majority vote would win little over a single sample",
    when=(
        Threshold(
            measurement="sampling_spread.majority_gain", op="<", value=0.05, source="half of what EDX201 demands"
        ),
    ),
)
