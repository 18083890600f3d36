"""EDX907 Most completions are empty or never end.

## What it sees
More than half of the completions are empty, or more than nine in ten run into the token limit.

## Why it matters
The model says nothing, or cannot stop: broken, and none of the four failures.

## Looks like it, is not
A limit that is too small for a long-reasoning model: raise --max-new-tokens first.

## Thresholds
0.5 empty, 0.9 truncated: the majority, and nearly all.

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import AnyOf, Label, Rule, Threshold

rule = Rule(
    code="EDX907",
    failure=Label.ABNORMAL,
    direction="for",
    title="Most completions are empty or never end",
    decisive=True,
    when=(
        AnyOf(
            options=(
                Threshold(measurement="instrument.empty_rate", op=">", value=0.5, source="most completions"),
                Threshold(measurement="instrument.truncation_rate", op=">", value=0.9, source="nearly all completions"),
            )
        ),
    ),
    settle="check the end token and the chat template, and raise --max-new-tokens",
)
