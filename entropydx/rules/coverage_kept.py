"""EDX112 As many problems are still solved by some sample as by the baseline.

## What it sees
The share of problems that at least one of K samples solves has not fallen.

## Why it matters
Coverage at large k against the baseline is the accepted test of collapse: narrowing that costs no problem is quality
control.

## Looks like it, is not
K is small here: coverage lost at k of hundreds cannot be seen. It also depends only on per-problem success, so it
does not certify diversity.

## Thresholds
A fall of less than 0.05 of the problems: the net support change of ordinary, healthy RLVR is -0.01 to -0.06
(arXiv:2507.14843, read in a third-party note).

## References
Yue et al. 2025, arXiv:2504.13837. arXiv:2507.14843.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX112",
    failure=Label.TRAINING_COLLAPSE,
    direction="against",
    title="Coverage (pass@K) has not fallen",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="sampling_spread.coverage",
            field="delta",
            op=">",
            value=-0.05,
            source="arXiv:2507.14843 (third-party note): healthy net change -0.01 to -0.06",
        ),
    ),
)
