"""EDX913 The training log's entropy rose to more than three times its beginning.

## What it sees
In an imported training log: the entropy of the last tenth of the logged steps is more than three times that of the
first tenth of the same run, with its whole interval.

## Why it matters
A runaway entropy is none of the four failures: an oversized entropy bonus, a learning rate that is too high, or a
clipping range that is too wide take the policy apart, and its rewards follow.

## Looks like it, is not
Longer reasoning, more varied and still right, raises entropy too, though hardly threefold. A run that began from a
collapsed checkpoint has little to multiply. So the rule keeps `healthy` from being said, and names no failure.

## Thresholds
+200 % of the run's own beginning: the factor of EDX905, which demands on samples that votes go wrong as well.

## References
verl issues 2738, 6382 (user reports of rising entropy before collapse).
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX913",
    failure=Label.ABNORMAL,
    direction="for",
    title="The training log's entropy rose to more than three times its beginning",
    scope="logged",
    when=(
        Threshold(
            measurement="training_log.entropy_change",
            op=">",
            value=2.0,
            source="three times the beginning: the factor of EDX905",
        ),
    ),
    settle="`entropydx diagnose` of the last checkpoint, with the one before the training as --baseline",
)
