"""EDX213 Sampled as it is deployed, a vote would win little.

## What it sees
Under the deployment's own temperature and top_p a majority vote gains hardly anything over a single sample.

## Why it matters
What users meet is the deployment, not the policy at temperature 1: a spread that its sampling removes is not theirs.

## Looks like it, is not
Nothing is said where the checkpoint names no sampling of its own and none is given.

## Thresholds
0.05, the bar of EDX212.

## References
arXiv:2412.13147 (stability under the sampling in use).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX213",
    failure=Label.INFERENCE_VARIANCE,
    direction="against",
    title="Sampled as it is deployed, a vote would win little",
    when=(
        Threshold(
            measurement="decoding.majority_gain_deployment",
            op="<",
            value=0.05,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
