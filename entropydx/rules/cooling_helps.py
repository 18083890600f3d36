"""EDX203 Cooler sampling gives right answers back.

## What it sees
At temperature 0.6 single samples are right clearly more often than at 1, on the same prompts with the same noise.

## Why it matters
The right answer is the likeliest one and the draw loses it: the loss is in the sampling, and can be mended there.

## Looks like it, is not
Most models gain a little from cooling; an exploded entropy gains much (its own rule speaks first). Evidence beside
EDX201, never decisive.

## Thresholds
0.05 of the samples: between the committed organisms.

## References
Renze and Guven 2024, arXiv:2402.05201 (temperature hardly matters for sound models on problem solving, abstract).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX203",
    failure=Label.INFERENCE_VARIANCE,
    direction="for",
    title="Cooler sampling gives right answers back",
    when=(
        Threshold(
            measurement="decoding.cooling_gain",
            op=">",
            value=0.05,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
