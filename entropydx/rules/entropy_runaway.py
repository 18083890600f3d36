"""EDX905 Entropy has multiplied against the baseline, and the ability has gone with it.

## What it sees
Token entropy more than three times the baseline's, and a majority vote that lost more than 0.20.

## Why it matters
As EDX904, caught earlier: the text is not yet noise, but what the model knew is already lost in it.

## Looks like it, is not
Inference variance, where the majority vote still holds.

## Thresholds
Ratio 3: above the committed noisy organism. Majority -0.20: the bound on the other side of which EDX201 speaks.

## References
verl issues 2738, 6382 (user reports of rising entropy before collapse).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX905",
    failure=Label.ABNORMAL,
    direction="for",
    title="Entropy has multiplied against the baseline, and the majority vote fell with it",
    scope="with_baseline",
    decisive=True,
    when=(
        Threshold(
            measurement="token_entropy.mean_ratio",
            op=">",
            value=3.0,
            source="above the noisy organism, fixtures/organisms",
        ),
        Threshold(
            measurement="sampling_spread.maj_at_n",
            field="delta",
            op="<",
            value=-0.20,
            source="beyond the bound of EDX201",
        ),
    ),
    settle="lower the entropy coefficient or clip_high, and go back to a checkpoint from before the rise",
)
