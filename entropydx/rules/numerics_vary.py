"""EDX214 Greedy texts change with the batch.

## What it sees
The same prompt, decoded greedily alone and in a batch, gives different texts more often than not.

## Why it matters
Then part of the spread is arithmetic: rounding that depends on the batch, not the policy. It is mended with
batch-invariant kernels or float32, not with training.

## Looks like it, is not
A handful of prompts is compared, so only a gross case is decided.

## Thresholds
Half of the prompts. For scale: 1,000 identical greedy requests to one large model gave 80 different texts, identical
in their first 102 tokens (Thinking Machines 2025, read in three third-party notes).

## References
arXiv:2506.09501 (numerical nondeterminism, read in third-party notes).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX214",
    failure=Label.INFERENCE_VARIANCE,
    direction="against",
    title="Greedy texts change with the batch: part of the spread is the hardware's",
    when=(
        Threshold(
            measurement="decoding.greedy_repeatability",
            op="<",
            value=0.5,
            source="more prompts change than stay: no published line",
        ),
    ),
)
