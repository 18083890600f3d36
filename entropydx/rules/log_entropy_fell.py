"""EDX106 The training log's entropy fell as far as it does in uncontrolled runs.

## What it sees
In an imported training log: the entropy of the last tenth of the logged steps, over that of the first tenth of the same
run, has fallen by more than 73 %, with its whole interval.

## Why it matters
Without entropy there is nothing to rank within a group: 73 % of the entropy and 76 % of all gains were spent in the
first 200 of 2,400 gradient steps of uncontrolled runs, and nearly all of both by step 800.

## Looks like it, is not
A task that is solved: where almost every sample is right, entropy has no use left. Truncation and shorter completions
change which tokens are counted. A log that begins after the fall (a resumed run) shows none. So the rule makes collapse
suspected, and never present: only samples show whether wrong answers agree and problems are out of reach.

## Thresholds
-73 % of the run's own beginning: what uncontrolled runs spend by the step after which they hardly gain
(arXiv:2505.22617; the paper names no threshold of collapse: derived). Relative to the same log, because trainers take
their entropy at different temperatures, over different tokens and by different estimators.

## References
arXiv:2505.22617.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX106",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="The training log's entropy fell as far as it does in uncontrolled runs",
    scope="logged",
    when=(
        Threshold(
            measurement="training_log.entropy_change",
            op="<",
            value=-0.73,
            source="arXiv:2505.22617: 73 % of entropy is spent in uncontrolled runs (derived)",
        ),
    ),
    settle="`entropydx diagnose` of the last checkpoint, with the one before the training as --baseline",
)
