"""EDX902 Too many finished completions have no answer that can be read.

## What it sees
More than one in ten completions that ended by themselves carry no extractable answer.

## Why it matters
Parse failures look like variance and like wrong answers, and are neither.

## Looks like it, is not
A model that refuses or stays silent; read the examples.

## Thresholds
0.10: abstain above it, as for truncation.

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX902",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="Too many finished completions have no answer that can be read",
    decisive=True,
    when=(
        Threshold(
            measurement="instrument.extraction_failure_rate",
            op=">",
            value=0.10,
            source="probe protocol: abstain above 10 %",
        ),
    ),
    settle="read the examples; give the suite an `extract` that fits the model's answer format",
)
