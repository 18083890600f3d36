"""EDX102 The policy is nearly deterministic, and agrees with itself even when it is wrong.

## What it sees
Without a baseline: mean token entropy below the one published checkpoint-level risk line, and wrong answers that
agree.

## Why it matters
It is what a collapsed policy looks like from outside, but some sound models look so too: this rule only ever
*suspects*.

## Looks like it, is not
An instruct model on short questions; a deterministic task; a family whose entropy is low from the start (in the
source paper a checkpoint at 0.163 nats is the recommended one, and one of another family at 0.185 is safe).

## Thresholds
0.18 nats: arXiv:2606.18487, read in a third-party note; its authors say that only the ranking transfers. Agreement
0.4: among the first 63 labelled cases (fixtures/cases) collapsed organisms had 0.46 to 0.92, sound ones at most 0.27.

## References
arXiv:2606.18487.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX102",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="Almost no token is undecided, and wrong answers to one problem agree",
    scope="without_baseline",
    when=(
        Threshold(
            measurement="token_entropy.mean",
            op="<",
            value=0.18,
            source="arXiv:2606.18487 (third-party note): a soft prior, not transferable between families",
        ),
        Threshold(
            measurement="sampling_spread.wrong_agreement",
            op=">",
            value=0.4,
            source="labelled cases, fixtures/cases",
        ),
    ),
    settle="give the checkpoint before the suspected training with --baseline",
)
