"""EDX103 One surface format is left where the baseline used several.

## What it sees
Two completions of the same prompt differed in format in the baseline, and no longer do.

## Why it matters
Early RL picks one format of the pretraining mixture and amplifies it (arXiv:2504.07912); that it is typically, but not
necessarily, the best one is read in third-party notes.

## Looks like it, is not
Supervised tuning on one format, or a template that forces it: narrowing alone is no loss of ability, so this is
evidence beside EDX101 and never decisive.

## Thresholds
A fall of more than 0.25 in the chance that two completions differ; a baseline mixing two formats evenly has 0.5.

## References
Zhao et al. 2025, "Echo Chamber", arXiv:2504.07912.
"""

from entropydx.types import AnyOf, Label, Rule, Threshold

rule = Rule(
    code="EDX103",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="Repeats of one prompt no longer differ in format",
    scope="with_baseline",
    when=(
        AnyOf(
            options=(
                Threshold(
                    measurement="format_mode.disagreement",
                    field="delta",
                    op="<",
                    value=-0.25,
                    source="half of an even two-format mixture (0.5)",
                ),
                Threshold(
                    measurement="format_mode.structure_disagreement",
                    field="delta",
                    op="<",
                    value=-0.25,
                    source="half of an even two-format mixture (0.5)",
                ),
            )
        ),
    ),
)
