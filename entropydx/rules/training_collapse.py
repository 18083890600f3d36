"""EDX101 The policy has stopped exploring.

## What it sees
Token entropy on the checkpoint's own samples is well below the baseline's, and the wrong answers to a problem agree
with one another as they did not before; and either problems that the baseline reached with some of its samples are
reached no more, or the agreement is so great that hardly anything else could be.

## Why it matters
Group-relative RL ranks the samples of one prompt; when they are all alike there is nothing left to rank, and more
steps buy nothing.

## Looks like it, is not
Saturated tasks (nearly all right: excused below); a temperature under 1 at sampling; a deterministic task; concise
supervised tuning that keeps coverage. Low entropy alone never fires this rule: sound organisms end at 0.45 of their
baseline's, controlled runs at about 0.4 (arXiv:2510.10959, read in a third-party note).

## Thresholds
Set between the collapsed and the sound ones of the first 63 labelled cases (fixtures/cases), and not moved since.
Entropy ratio 0.7: collapsed 0.04 to 0.59, distilled ones, which agree when wrong too, 0.76 and more; uncontrolled
runs in the literature go to 0.27 (arXiv:2505.22617, derived). Agreement when wrong +0.15: collapsed +0.31 and more,
sound at most +0.17. Agreement +0.30, without lost support: above all but the collapsed, and a guessing organism whose
entropy rises. Support kept 0.95: collapsed 0.62 to 0.83, sound 0.93 and more with intervals that reach 0.95; the edge
of ordinary, healthy RLVR is a net change of -0.01 to -0.06 (arXiv:2507.14843, third-party note). Each alone overlaps
in later cases; the three together are what decides.

## References
Cui et al. 2025, arXiv:2505.22617. Wang et al. 2025, arXiv:2506.01939. Yue et al. 2025, arXiv:2504.13837 (coverage at
large k).
"""

from entropydx.types import AnyOf, Label, Rule, Severity, Threshold

CASES = "labelled cases, fixtures/cases"

rule = Rule(
    code="EDX101",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="The policy has stopped exploring: less entropy, wrong answers that agree, and problems no longer reached",
    scope="with_baseline",
    decisive=True,
    when=(
        Threshold(measurement="token_entropy.mean_ratio", op="<", value=0.7, source=CASES),
        Threshold(measurement="sampling_spread.wrong_agreement", field="delta", op=">", value=0.15, source=CASES),
        AnyOf(
            options=(
                Threshold(measurement="coverage.support_retention", op="<", value=0.95, source=CASES),
                Threshold(
                    measurement="sampling_spread.wrong_agreement", field="delta", op=">", value=0.30, source=CASES
                ),
            )
        ),
    ),
    unless=(
        Threshold(
            measurement="sampling_spread.pass_at_1",
            op=">",
            value=0.95,
            source="saturated: at most one sample in twenty is wrong, so diversity has nothing to find",
        ),
    ),
    severity=Severity(measurement="token_entropy.mean_ratio", at_zero=0.8, at_one=0.0),
    settle="more prompts, or a suite with more problems that the baseline gets only sometimes",
)
