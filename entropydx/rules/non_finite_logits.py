"""EDX903 The logits held NaN or infinity.

## What it sees
At least one completion ended because the next-token distribution was not a distribution.

## Why it matters
Weights or arithmetic are broken; nothing measured on such a model means what it says.

## Looks like it, is not
float16 overflow: run again with --dtype float32 before blaming the weights.

## Thresholds
Any: a sound model never produces one.

## References
IEEE 754.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX903",
    failure=Label.ABNORMAL,
    direction="for",
    title="The logits held NaN or infinity",
    decisive=True,
    when=(
        Threshold(measurement="instrument.n_non_finite", op=">", value=0.0, source="a sound model never produces one"),
    ),
    settle="run again with --dtype float32; if it stays, the weights are broken",
)
