"""EDX201 It can, but not reliably, and the baseline was more reliable.

## What it sees
A majority vote wins much over a single sample; on the problems whose majority is right, single samples are right less
often than the baseline's; and the majority itself is not much worse than the baseline's.

## Why it matters
The ability is there and the sampling loses it: voting, temperature and thinking budget help, more exploration does
not.

## Looks like it, is not
A weak model on hard prompts (its majority is wrong too); flaky answer extraction and truncation (instrument rules come
first); entropy explosion; shortcutting, whose spread also rises but whose majority is wrong.

## Thresholds
Majority gain 0.10 and reliability -0.10: between the committed organisms (fixtures/organisms); for scale,
+20 to +22 % are reported for parallel thinking at equal budget (arXiv:2506.04210, abstract). Majority -0.20: beyond it
the ability itself has gone.

## References
Ghosal et al. 2025, arXiv:2506.04210. Liu et al. 2024, arXiv:2412.13147 (stability). arXiv:2512.06710 (repeat counts).
"""

from entropydx.types import Label, Rule, Severity, Threshold

CASES = "labelled organisms, fixtures/organisms"

rule = Rule(
    code="EDX201",
    failure=Label.INFERENCE_VARIANCE,
    direction="for",
    title="It can, but not reliably: voting recovers what single samples lose, and the baseline lost less",
    scope="with_baseline",
    decisive=True,
    when=(
        Threshold(measurement="sampling_spread.majority_gain", op=">", value=0.10, source=CASES),
        Threshold(
            measurement="sampling_spread.pass_at_1@majority_right", field="delta", op="<", value=-0.10, source=CASES
        ),
        Threshold(
            measurement="sampling_spread.maj_at_n",
            field="delta",
            op=">",
            value=-0.20,
            source="a larger fall is lost ability, not spread",
        ),
    ),
    severity=Severity(measurement="sampling_spread.majority_gain", at_zero=0.05, at_one=0.5),
    settle="more samples per prompt (--samples) and more prompts of medium difficulty",
)
