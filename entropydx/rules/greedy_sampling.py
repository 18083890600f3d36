"""EDX910 Greedy sampling: the samples of a prompt are copies of one.

## What it sees
The samples were drawn at a temperature of less than 0.1.

## Why it matters
Every claim of this tool rests on how repeats of one prompt differ. Copies agree whatever the model is, so that a
collapsed policy and an unreliable one both look sound.

## Looks like it, is not
A collapsed policy, whose samples are alike although they were drawn at temperature 1.

## Thresholds
0.1: there a token that is 0.7 nats behind the first is drawn once for a thousand times of the first (exp(-0.7/0.1)).

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX910",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="Sampling was greedy, so repeats of a prompt say nothing",
    decisive=True,
    when=(
        Threshold(
            measurement="instrument.temperature",
            op="<",
            value=0.1,
            source="a token 0.7 nats behind the first is drawn one time in a thousand (derived)",
        ),
    ),
    settle="leave --temperature at 1, where the policy is measured",
)
