"""EDX101 The policy has stopped exploring.

## What it sees
Token entropy on the checkpoint's own samples is a small fraction of the baseline's, few tokens are still forks, and
the loss is behavioural: either fewer problems are solved by any of K samples, or the wrong answers to a problem agree
with one another.

## Why it matters
Group-relative RL ranks the samples of one prompt; when they are all alike there is nothing left to rank, and more
steps buy nothing.

## Looks like it, is not
Saturated tasks (nearly all right: excused below); a temperature under 1 at sampling; a deterministic task; concise
supervised tuning that keeps coverage. Low entropy alone never fires this rule: controlled runs end at about 0.4 of
their initial entropy (arXiv:2510.10959, read in a third-party note) and are healthy.

## Thresholds
Entropy ratio 0.27: uncontrolled runs spend 73 % of their entropy in the first 200 steps (arXiv:2505.22617; the
remaining 0.27 is derived). Fork mass 0.4 (the entropy on tokens above the baseline's 80th percentile): what
controlled runs keep (arXiv:2510.10959, third-party note). Coverage -0.05: the edge of the net support change of
ordinary, healthy RLVR (arXiv:2507.14843, third-party note). Wrong-answer agreement + 0.15: between the committed
organisms (fixtures/organisms).

## References
Cui et al. 2025, arXiv:2505.22617. Wang et al. 2025, arXiv:2506.01939. Yue et al. 2025, arXiv:2504.13837 (coverage at
large k).
"""

from entropydx.types import AnyOf, Label, Rule, Severity, Threshold

rule = Rule(
    code="EDX101",
    failure=Label.TRAINING_COLLAPSE,
    direction="for",
    title="The policy has stopped exploring: entropy and forks are a fraction of the baseline's, and it costs answers",
    scope="with_baseline",
    decisive=True,
    when=(
        Threshold(
            measurement="token_entropy.mean_ratio",
            op="<",
            value=0.27,
            source="arXiv:2505.22617: 73 % of entropy is spent in uncontrolled runs (derived)",
        ),
        Threshold(
            measurement="token_entropy.fork_mass_ratio",
            op="<",
            value=0.4,
            source="arXiv:2510.10959 (third-party note): controlled runs keep about 0.4 of the entropy",
        ),
        AnyOf(
            options=(
                Threshold(
                    measurement="sampling_spread.coverage",
                    field="delta",
                    op="<",
                    value=-0.05,
                    source="arXiv:2507.14843 (third-party note): healthy net change -0.01 to -0.06",
                ),
                Threshold(
                    measurement="sampling_spread.wrong_agreement",
                    field="delta",
                    op=">",
                    value=0.15,
                    source="labelled organisms, fixtures/organisms",
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
    severity=Severity(measurement="token_entropy.mean_ratio", at_zero=0.4, at_one=0.0),
    settle="more prompts, or a suite with more problems that the baseline gets only sometimes",
)
