"""EDX202 It can, but not reliably, judged without a baseline.

## What it sees
A good part of the problems has a right majority, voting wins much over a single sample, and where the majority is
right a single sample often is not.

## Why it matters
As EDX201. Spread is the failure that a single checkpoint shows best, but small or base models have it by nature.

## Looks like it, is not
A weak but sound model; extraction failures; truncation; a suite that sits at the edge of the model's ability.

## Thresholds
Set on the first 63 labelled cases (fixtures/cases): unreliable organisms of two mechanisms had a majority gain of
0.16 to 0.21 and a reliability of 0.61 to 0.73, sound ones at most 0.10 and at least 0.81. So the gain of 0.08 only
says that a vote wins something, and the reliability of 0.8 decides. Majority 0.3: below it there is little ability to
lose.

## References
Ghosal et al. 2025, arXiv:2506.04210. Liu et al. 2024, arXiv:2412.13147.
"""

from entropydx.types import Label, Rule, Severity, Threshold

CASES = "labelled cases, fixtures/cases"

rule = Rule(
    code="EDX202",
    failure=Label.INFERENCE_VARIANCE,
    direction="for",
    title="It can, but not reliably: voting recovers what single samples lose",
    scope="without_baseline",
    decisive=True,
    when=(
        Threshold(measurement="sampling_spread.majority_gain", op=">", value=0.08, source=CASES),
        Threshold(measurement="sampling_spread.pass_at_1@majority_right", op="<", value=0.8, source=CASES),
        Threshold(
            measurement="sampling_spread.maj_at_n",
            op=">",
            value=0.3,
            source="able: a good part of the problems has a right majority",
        ),
    ),
    severity=Severity(measurement="sampling_spread.majority_gain", at_zero=0.05, at_one=0.5),
    settle="give the checkpoint before the suspected training with --baseline, or more prompts that it mostly solves",
)
