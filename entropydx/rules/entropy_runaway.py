"""EDX905 Entropy has multiplied against the baseline, and the ability has gone with it.

## What it sees
Token entropy more than three times the baseline's, a majority vote that lost more than 0.20, and texts that are no
more alike in their form than the baseline's.

## Why it matters
As EDX904, caught earlier: the text is not yet noise, but what the model knew is already lost in it.

## Looks like it, is not
Inference variance, where the majority vote still holds. Guessing in place of work, whose entropy multiplies too: all
samples then have one form, that of the bare answer.

## Thresholds
Ratio 3: above the committed noisy organism. Majority -0.20: the bound on the other side of which EDX201 speaks. Form
-0.1: organisms that guess without writing had -0.29 to -0.65 on the first 63 labelled cases (fixtures/cases); those
that babble keep their forms.

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
        Threshold(
            measurement="format_mode.structure_disagreement",
            field="delta",
            op=">",
            value=-0.1,
            source="labelled cases, fixtures/cases: -0.29 to -0.65 where bare guesses have replaced the work",
        ),
    ),
    settle="lower the entropy coefficient or clip_high, and go back to a checkpoint from before the rise",
)
