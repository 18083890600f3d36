"""EDX908 Completions write role markers as text.

## What it sees
More than one completion in ten contains a role marker of a chat format (`user:`, `[INST]`, `<|im_start|>`...).

## Why it matters
It is the usual sign of a wrong or missing chat template, or of an end token that the tokenizer does not know: the
model plays both sides, and everything after its first answer is noise.

## Looks like it, is not
A base model without a template that continues a dialogue.

## Thresholds
0.10: abstain above it, as for truncation.

## References
docs/explanation/how-triage-works.md.
"""

from entropydx.types import Label, Rule, Threshold

rule = Rule(
    code="EDX908",
    failure=Label.ABNORMAL,
    direction="for",
    title="Completions write role markers as text: the chat template or the end token is wrong",
    decisive=True,
    when=(
        Threshold(
            measurement="instrument.template_leak_rate",
            op=">",
            value=0.10,
            source="probe protocol: abstain above 10 %",
        ),
    ),
    settle="check chat_template and eos_token_id against the model's documentation",
)
