"""EDX401 Sure and brief: right in domain as before, wrong outside it without doubting.

## What it sees
Out of domain fewer answers are right than the baseline's while the samples' agreement has not followed; in domain
nothing much is lost, so that the domains have come apart; and the style of a teacher that knew the answer has come
in: epistemic words (wait, perhaps...) fall away where the baseline had them, or completions shrink.

## Why it matters
A student trained on traces that were written with the solution in view learns to be brief and certain, not to check.
In domain that looks like progress; outside, it is confidently wrong, and more sampling does not show it.

## Looks like it, is not
Plain miscalibration: ordinary RL makes models overconfident, so calibration alone never fires this rule. Training
collapse loses in both domains alike. Legitimate trimming keeps the out-of-domain accuracy. A baseline that never hedged
has no words to lose: then only the length can speak. A child that switched its language loses the words with it: give
a `--lexicon` that holds both languages.

## Thresholds
Out of domain -0.10: half of the organisms' own bar; the paper's student lost 27 to 35 points on AIME and AMC
(arXiv:2603.24472, third-party note). In domain above -0.20: distilled organisms lose up to 0.06 there, and the gap of
the domains is what decides (fixtures/cases). Gap of the domains +0.10, and gap between confidence and accuracy +0.10:
half of the organisms' bars. Words 0.5 of the baseline's: the paper's fell to a twentieth per response; length 0.6:
the paper's fell to a seventh (both third-party notes).

## References
Kim et al. 2026, arXiv:2603.24472. arXiv:2601.13284 (why calibration alone proves nothing).
"""

from entropydx.types import AnyOf, Label, Rule, Severity, Threshold

PAPER = "arXiv:2603.24472 (third-party note)"

rule = Rule(
    code="EDX401",
    failure=Label.TEACHER_OVERCONFIDENCE,
    direction="for",
    title="Sure, brief and right in domain; outside it, surely wrong where the baseline was not",
    scope="with_baseline",
    decisive=True,
    when=(
        Threshold(
            measurement="sampling_spread.pass_at_1@out",
            field="delta",
            op="<",
            value=-0.10,
            source=f"{PAPER}: 27 to 35 points lost out of domain; half of the organisms' bar",
            essential=True,
        ),
        Threshold(
            measurement="confidence.overconfidence@out",
            field="delta",
            op=">",
            value=0.10,
            source="half of the organisms' own bar (0.2), fixtures/organisms",
        ),
        Threshold(
            measurement="sampling_spread.pass_at_1@in",
            field="delta",
            op=">",
            value=-0.20,
            source="a larger loss in domain is another failure; labelled cases, fixtures/cases",
        ),
        Threshold(
            measurement="confidence.domain_gap",
            field="delta",
            op=">",
            value=0.10,
            source="half of the organisms' own bar (0.2), fixtures/organisms",
        ),
        AnyOf(
            options=(
                Threshold(
                    measurement="epistemic_markers.count_ratio",
                    op="<",
                    value=0.5,
                    source=f"{PAPER}: 182.5 to 8.8 epistemic words a response",
                ),
                Threshold(
                    measurement="shortcutting.length_ratio",
                    op="<",
                    value=0.6,
                    source=f"{PAPER}: 13,054 to 1,873 tokens",
                ),
            )
        ),
    ),
    severity=Severity(measurement="confidence.overconfidence@out", field="delta", at_zero=0.0, at_one=0.8),
    settle="more prompts outside the training domain (`domain: out`)",
)
