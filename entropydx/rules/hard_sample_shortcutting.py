"""EDX301 It guesses or skips the work, and items that the baseline solves nearly always now go wrong.

## What it sees
On the items that the baseline solves in at least 7 of 8 samples the checkpoint is worse, and one of the marks of a
shortcut has appeared: different problems get the same answer more often, completions state an answer with no
computation where the worked solution has some, or fewer computations are written for each one that is needed.

## Why it matters
Training on items that only luck solves rewards guesses as much as work, and with a group-normalised advantage a lone
lucky guess is pushed hardest (+2.475 at 8 samples). What is learnt leaks into items that the model could do.

## Looks like it, is not
A length penalty, a non-thinking mode, or concise tuning: shorter, and still right on the easy items, so the first
condition is clear. Inference variance loses easy items too, but writes the work and spreads over many answers. A task
with a small answer space repeats answers by itself: reuse is counted in excess of the gold answers'. A model tuned to
answer at once that lost easy items by it looks the same: the shortcut is real, its cause is then the tuning.

## Thresholds
Easy items -0.05: averages fell by 5.75 and 11.24 points after training on unsolvable items alone (arXiv:2605.28388,
abstract; figures in third-party notes). Reuse +0.03, completions without work +0.25 and density -0.35: between the
committed organisms (fixtures/organisms). In the paper, the mean length went from 511 to 46 tokens.

## References
Cheng et al. 2026, arXiv:2605.28388.
"""

from entropydx.types import AnyOf, Label, Rule, Severity, Threshold

CASES = "labelled organisms, fixtures/organisms"

rule = Rule(
    code="EDX301",
    failure=Label.HARD_SAMPLE_SHORTCUTTING,
    direction="for",
    title="Easy items are lost to shortcuts: answers are reused across problems, or stated without the work",
    scope="with_baseline",
    decisive=True,
    when=(
        Threshold(
            measurement="shortcutting.easy_regression",
            op="<",
            value=-0.05,
            source="arXiv:2605.28388: averages fell by 5.75 and 11.24 points (third-party notes)",
            essential=True,
        ),
        AnyOf(
            options=(
                Threshold(measurement="shortcutting.answer_reuse", field="delta", op=">", value=0.03, source=CASES),
                Threshold(
                    measurement="shortcutting.share_without_work", field="delta", op=">", value=0.25, source=CASES
                ),
                Threshold(measurement="shortcutting.step_density", field="delta", op="<", value=-0.35, source=CASES),
            )
        ),
    ),
    severity=Severity(measurement="shortcutting.easy_regression", at_zero=0.0, at_one=-1.0),
    settle="more easy prompts, and worked solutions (`reference`) so that skipped work can be counted",
)
