"""EDX111 The policy still explores.

## What it sees
Token entropy is at least the share of the baseline's that controlled training keeps.

## Why it matters
It speaks against training collapse: there is still something to rank within a group.

## Looks like it, is not
Shortcutting and noise also keep entropy up; this clears collapse only.

## Thresholds
0.4 of the baseline: where adaptive entropy control did best (arXiv:2510.10959, read in a third-party note).

## References
arXiv:2510.10959.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX111",
    failure=Label.TRAINING_COLLAPSE,
    direction="against",
    title="Token entropy is at the level that controlled training keeps",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="token_entropy.mean_ratio",
            op=">",
            value=0.4,
            source="arXiv:2510.10959 (third-party note): best target about 0.4 of the initial entropy",
        ),
    ),
)
