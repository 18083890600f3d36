"""EDX404 The domains have come apart.

## What it sees
The accuracy in domain exceeds that outside it by more than it did in the baseline.

## Why it matters
Distillation from a teacher that knew the answer keeps the domain that it covered and loses others.

## Looks like it, is not
A specialist, who gains in domain and loses nothing outside: `sampling_spread.pass_at_1@out` says which. Evidence beside
EDX401, never decisive.

## Thresholds
0.10: half of the loss outside that the organisms' own bar asks for.

## References
Kim et al. 2026, arXiv:2603.24472.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX404",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="for",
    title="Accuracy in domain and outside it have come apart",
    scope="with_baseline",
    when=(
        Threshold(
            measurement="confidence.domain_gap",
            field="delta",
            op=">",
            value=0.10,
            source="half of the organisms' own bar (0.2), fixtures/organisms",
        ),
    ),
)
