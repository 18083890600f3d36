"""EDX904 The next-token distribution is close to uniform.

## What it sees
Mean token entropy is more than half of ln V, the entropy of a uniform guess over the whole vocabulary.

## Why it matters
Entropy that *rises* until the text is noise is as common a wreck of RL runs as collapse, and none of the four
failures: its cure is the opposite of collapse's.

## Looks like it, is not
Noisy but able models (their majority is right: inference variance); a high sampling temperature does not matter,
entropies are taken at temperature 1.

## Thresholds
0.5 of ln V: base models sit at 0.3-1.0 nats (third-party note), 0.03-0.09 of ln V at V = 50k-150k; the weakest sound
model measured here, SmolLM2-135M-Instruct in 4 bits, at 0.24 (docs/examples/smollm2.md).

## References
verl issues 2738, 6382 (user reports of rising entropy before collapse).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX904",
    failure=Label.ABNORMAL,
    direction="for",
    title="The next-token distribution is close to uniform",
    decisive=True,
    when=(
        Threshold(
            measurement="token_entropy.normalized",
            op=">",
            value=0.5,
            source="half of a uniform guess; SmolLM2-135M in 4 bits measured at 0.24",
        ),
    ),
    settle="lower the entropy coefficient or clip_high, and go back to a checkpoint from before the rise",
)
