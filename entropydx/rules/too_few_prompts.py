"""EDX906 Too few prompts for an interval that can be trusted.

## What it sees
Fewer than 20 prompts were measured.

## Why it matters
The prompt is the unit of every interval. Below about 20 of them the bootstrap interval covers less than it promises.

## Looks like it, is not
Many samples of few prompts: they do not help.

## Thresholds
20: measured coverage of the 98.75 % interval is 0.946-0.973 at 6 prompts, 0.975-0.995 at 16, and 0.973 or more from 24
on (benchmarks/interval_coverage.py).

## References
Hesterberg 2015, arXiv:1411.5279.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX906",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="Too few prompts for an interval that can be trusted",
    decisive=True,
    when=(
        Threshold(
            measurement="instrument.n_prompts",
            op="<",
            value=20,
            source="measured coverage, benchmarks/interval_coverage.py",
        ),
    ),
    settle="raise --prompts to 20 or more",
)
