"""EDX907 Most completions are empty, or never end where the baseline's do.

## What it sees
More than half of the completions are empty, or completions run into the token limit far more often than the baseline's.

## Why it matters
The model says nothing, or cannot stop: broken, and none of the four failures.

## Looks like it, is not
A limit that is too small for a long-reasoning model cuts nearly all of its completions off as well. Without a baseline
that ends within the same limit the two cannot be told apart, and EDX901 speaks alone.

## Thresholds
0.5 empty: the majority. Truncation + 0.5: half of all completions ended for the baseline and no longer do.

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import AnyOf, Label, Rule, Threshold

rule = Rule(
    code="EDX907",
    failure=Label.ABNORMAL,
    direction="for",
    title="Most completions are empty, or never end where the baseline's do",
    decisive=True,
    when=(
        AnyOf(
            options=(
                Threshold(measurement="instrument.empty_rate", op=">", value=0.5, source="most completions"),
                Threshold(
                    measurement="instrument.truncation_rate",
                    field="delta",
                    op=">",
                    value=0.5,
                    source="half of all completions no longer end",
                ),
            )
        ),
    ),
    settle="check the end token and the chat template",
)
