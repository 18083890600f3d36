"""EDX105 Right answers to one problem are written in one way.

## What it sees
Among right completions of like length the texts differ much less than the baseline's.

## Why it matters
Accuracy narrows outputs by itself, because wrong ones disappear. What narrows among the right ones is the rest: the
part of the loss of diversity that no gain in quality explains (arXiv:2604.16027, abstract).

## Looks like it, is not
Supervised tuning on one format, which is sound where coverage is kept: evidence beside EDX101, never decisive.

## Thresholds
A fall of 0.15 in the mean distance of two texts: between the committed organisms.

## References
arXiv:2604.16027. arXiv:2610.07405 (correct-only, length-matched comparison, read in a digest).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX105",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="Right answers to one problem are written more alike than they were",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="coverage.correct_diversity",
            field="delta",
            op="<",
            value=-0.15,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
