"""EDX305 Completions depend less on their prompts.

## What it sees
The completions tell less about which prompt they answer than the baseline's: the mutual information of prompt and
completion has fallen.

## Why it matters
A guess, or a template, fits any prompt. Entropy does not show it: it may stay high while the text ignores its input
(template collapse, arXiv:2604.06268, abstract).

## Looks like it, is not
Short answers carry less information however good they are. Evidence beside EDX301, never decisive.

## Thresholds
A fall of 0.05 of its maximum, ln of the number of prompts compared: between the committed organisms.

## References
arXiv:2604.06268 (RAGEN-2).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX305",
    failure=Label.HARD_SAMPLE_SHORTCUTTING,
    direction="for",
    title="Completions depend less on their prompts",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="input_dependence.mutual_information_share",
            field="delta",
            op="<",
            value=-0.05,
            source="labelled organisms, fixtures/organisms",
        ),
    ),
)
