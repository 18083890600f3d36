"""EDX402 It writes with the solution in view and without it alike, and is surer than right outside its domain.

## What it sees
Without a baseline: giving the worked solution hardly changes how often epistemic words appear, and out of domain the
samples agree more often than they are right.

## Why it matters
A reasoning model that can see the answer stops hedging (182.5 to 8.8 words a response in one healthy model,
arXiv:2603.24472, third-party note). A student that has taken over that style has nothing left to drop. That step is
derived and untested in the literature, so this rule only ever *suspects*.

## Looks like it, is not
Models that never hedged have nothing to drop either: for them the agreement outside the domain alone speaks, and a
collapsed policy agrees everywhere.

## Thresholds
A drop of less than 0.05 of the completions, and 0.05 of agreement beyond accuracy out of domain: set on the first 63
labelled cases (fixtures/cases), of which the distilled had 0.08 and more and sound ones at most 0.05. The classifier
has to be sure as well before this names anything.

## References
Kim et al. 2026, arXiv:2603.24472.
"""

from entropydx.types import Label, Rule, Threshold

CASES = "labelled cases, fixtures/cases"

rule = Rule(
    code="EDX402",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="for",
    title="Seeing the solution changes nothing in its style, and outside its domain it is surer than right",
    scope="without_baseline",
    when=(
        Threshold(measurement="epistemic_markers.guided_marker_drop", op="<", value=0.05, source=CASES),
        Threshold(measurement="confidence.overconfidence@out", op=">", value=0.05, source=CASES),
    ),
    settle="give the student before distillation with --baseline, and prompts with `reference` and `domain: out`",
)
