"""EDX411 Outside the domain as many answers are right as before.

## What it sees
The out-of-domain accuracy has not fallen by more than noise.

## Why it matters
Overconfidence of this kind is a loss outside the domain that was distilled.

## Looks like it, is not
A suite whose "out" prompts are close to the training data shows no loss that others would.

## Thresholds
-0.05: the organisms' bar for what counts as kept (DESIGN of the organisms; arXiv:2603.24472 has losses of 27 to 35
points).

## References
Kim et al. 2026, arXiv:2603.24472.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX411",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="against",
    title="Out-of-domain accuracy has not fallen",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="sampling_spread.pass_at_1@out",
            field="delta",
            op=">",
            value=-0.05,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
