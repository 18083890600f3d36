"""EDX912 Hardly any problem is solved.

## What it sees
Almost no problem has a single right sample.

## Why it matters
Spread and agreement of *right* answers cannot show where there are none: variance would be cleared by a model that
can do nothing. This rule names no cause: it only keeps `healthy` from being said.

## Looks like it, is not
A suite that is too hard for a sound model, which is the usual reason.

## Thresholds
0.10 of the problems: with 54 prompts that is five problems on which the two failures could have shown.

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX912",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="Hardly any problem is solved, so a failure could hardly have shown",
    when=(
        Threshold(
            measurement="sampling_spread.coverage",
            op="<",
            value=0.10,
            source="five problems of the quick budget's 54; fewer cannot show a spread",
        ),
    ),
    settle="probe with an easier suite (--suite), of which the model solves a part",
)
