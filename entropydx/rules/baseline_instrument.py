"""EDX911 The baseline's samples cannot be trusted.

## What it sees
In the baseline's own samples: truncation, unreadable answers, role markers, empty completions or broken numbers, past
the bars that hold for the checkpoint.

## Why it matters
Most verdicts are changes against the baseline. Against one that is cut off, silent or broken, every checkpoint looks
improved, and a real loss is hidden.

## Looks like it, is not
A base model that never stops by itself: raise --max-new-tokens, or compare with the supervised checkpoint after it.

## Thresholds
Those of EDX901, EDX902, EDX903, EDX907 and EDX908.

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import AnyOf, Label, Rule, Threshold

ABSTAIN = "probe protocol: abstain above 10 %"

rule = Rule(
    code="EDX911",
    failure=Label.INCONCLUSIVE,
    direction="for",
    title="The baseline's samples cannot be trusted, so no change against it can",
    scope="with_baseline",
    decisive=True,
    when=(
        AnyOf(
            options=(
                Threshold(measurement="instrument.truncation_rate@baseline", op=">", value=0.10, source=ABSTAIN),
                Threshold(
                    measurement="instrument.extraction_failure_rate@baseline", op=">", value=0.10, source=ABSTAIN
                ),
                Threshold(measurement="instrument.template_leak_rate@baseline", op=">", value=0.10, source=ABSTAIN),
                Threshold(measurement="instrument.empty_rate@baseline", op=">", value=0.5, source="most completions"),
                Threshold(
                    measurement="instrument.n_non_finite@baseline",
                    op=">",
                    value=0.0,
                    source="a sound model never produces one",
                ),
            )
        ),
    ),
    settle="diagnose the baseline alone to see what is wrong with it, or raise --max-new-tokens where it was cut off",
)
