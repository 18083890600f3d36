"""EDX909 Fewer answers are right than the baseline's.

## What it sees
Single samples are right less often than the baseline's, or fewer problems are solved by any sample, by more than
ordinary training costs.

## Why it matters
A checkpoint that lost ability is not healthy because no tested failure explains the loss. This rule names no cause:
it only keeps `healthy` from being said.

## Looks like it, is not
Where a failure is present, the loss is that failure's; a trade of one domain for another shows in the strata `@in`
and `@out`.

## Thresholds
0.05 of the samples or problems: the edge of the net support change of ordinary, healthy RLVR, -0.01 to -0.06
(arXiv:2507.14843, read in a third-party note).

## References
arXiv:2507.14843.
"""

from entropydx.types import AnyOf, Label, Rule, Threshold

SOURCE = "arXiv:2507.14843 (third-party note): healthy net change -0.01 to -0.06"

rule = Rule(
    code="EDX909",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="Fewer answers are right than the baseline's",
    scope="with_baseline",
    when=(
        AnyOf(
            options=(
                Threshold(measurement="sampling_spread.pass_at_1", field="delta", op="<", value=-0.05, source=SOURCE),
                Threshold(measurement="sampling_spread.coverage", field="delta", op="<", value=-0.05, source=SOURCE),
            )
        ),
    ),
    settle="compare the strata in the measurements, and read samples: the loss is real, its cause is not tested here",
)
