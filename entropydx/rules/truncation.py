"""EDX901 Too many completions hit the token limit.

## What it sees
More than one in ten completions was cut off by --max-new-tokens.

## Why it matters
A truncated completion has no answer and no end: failure, spread and length are then properties of the limit.

## Looks like it, is not
A model that never stops; EDX907 sees that where a baseline stops within the same limit.

## Thresholds
0.10: abstain above it (protocol of research on reasoning evaluation; truncated, collapsed and wrong are three things).

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX901",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="Too many completions were cut off by the token limit",
    decisive=True,
    when=(
        Threshold(
            measurement="instrument.truncation_rate", op=">", value=0.10, source="probe protocol: abstain above 10 %"
        ),
    ),
    settle="raise --max-new-tokens",
)
