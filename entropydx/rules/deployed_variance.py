"""EDX204 As it is deployed, a vote recovers what single samples lose, and the policy itself lost less.

## What it sees
Sampled as generation_config.json or the flags say, a majority vote wins much over a single sample, and single samples
are right less often than those of the policy at temperature 1 on the same prompts.

## Why it matters
The weights are sound and the sampling settings are not: temperature and top_p are what to change, and no training is
needed.

## Looks like it, is not
A deployment that is so hot that its vote is wrong too is broken, and is not called unreliable here.

## Thresholds
Majority gain 0.10 as in EDX201, and pass@1 -0.05 against the policy: labelled organisms (fixtures/cases).

## References
arXiv:2412.13147 (stability under the sampling in use).
"""

from entropydx.types import Label, Rule, Severity, Threshold

CASES = "labelled organisms, fixtures/cases"

rule = Rule(
    code="EDX204",
    failure=Label.INFERENCE_VARIANCE,
    direction="for",
    title="As it is deployed a vote recovers what single samples lose, and the policy itself loses less",
    decisive=True,
    when=(
        Threshold(measurement="decoding.majority_gain_deployment", op=">", value=0.10, source=CASES, essential=True),
        Threshold(measurement="decoding.pass_at_1_deployment_change", op="<", value=-0.05, source=CASES),
    ),
    severity=Severity(measurement="decoding.majority_gain_deployment", at_zero=0.05, at_one=0.5),
    settle="a lower --deploy-temperature, or the sampling settings that are really deployed",
)
