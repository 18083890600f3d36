"""EDX104 Few tokens are still forks.

## What it sees
The share of tokens above the baseline's 80th percentile of entropy has more than halved.

## Why it matters
Reasoning branches at a minority of tokens; when they are gone, every sample takes the same road.

## Looks like it, is not
A baseline whose 80th percentile is already near zero (boilerplate, private notations): more than 20 % of its tokens
are then counted as forks that are none. So this is evidence beside EDX101, which weighs forks by their entropy, and
never decisive.

## Thresholds
0.10: half of the 0.20 that the baseline has by definition; RLVR that went well keeps at least 86 % of the baseline's
fork positions.

## References
Wang et al. 2025, arXiv:2506.01939.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX104",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="Few tokens are still forks",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="token_entropy.fork_share",
            op="<",
            value=0.10,
            source="half of the baseline's 0.20; healthy RLVR keeps 86 % (arXiv:2506.01939)",
        ),
    ),
)
