"""EDX403 Epistemic words have gone.

## What it sees
Completions hold less than half as many of the epistemic words, or of the user's lexicon, as the baseline's.

## Why it matters
They are how a reasoning model marks doubt and starts to check; distillation from a teacher that knew the answer
removes them first.

## Looks like it, is not
RL that trims a verbose model does the same and is sound; a change of language or of domain; words are a proxy for
stating uncertainty, not the thing itself (arXiv:2603.15500, abstract). Evidence beside EDX401, never decisive.

## Thresholds
0.5 of the baseline's count: the paper's fell to a twentieth (third-party note).

## References
Kim et al. 2026, arXiv:2603.24472.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX403",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="for",
    title="Fewer than half of the baseline's epistemic words are left",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="epistemic_markers.count_ratio",
            op="<",
            value=0.5,
            source="arXiv:2603.24472 (third-party note): 182.5 to 8.8 epistemic words a response",
        ),
    ),
)
