"""The ways of drawing that probes ask for beside the main draw.

At 8 samples or more, and completions much longer than a forced answer, they are sized to cost less together than it.
"""

from __future__ import annotations

from entropydx.types import DrawCondition

GUIDED = DrawCondition(name="guided", given="solution", prompt_share=0.5, sample_share=0.25)
"""With the worked solution in the prompt (arXiv:2603.24472)."""
FORCED_SHARES = (0.0, 0.25, 0.5, 0.75)
FORCED = {
    share: DrawCondition(
        name=f"forced_{round(100 * share)}", given="reasoning", share=share, sample_share=0.25, max_new_tokens=24
    )
    for share in FORCED_SHARES
}
"""The answer asked for after a part of the reasoning (early answering, Lanham et al. 2023, arXiv:2307.13702)."""
COOLER = {
    temperature: DrawCondition(
        name=f"temperature_{round(100 * temperature)}", temperature=temperature, prompt_share=1 / 3, baseline=False
    )
    for temperature in (0.3, 0.6)
}
"""Between greedy and the policy's own temperature 1."""
GREEDY = DrawCondition(name="greedy", temperature=0.0, prompt_share=1 / 3, baseline=False)
GREEDY_ALONE = DrawCondition(
    name="greedy_alone", temperature=0.0, max_prompts=8, max_new_tokens=128, batch_rows=1, baseline=False
)
"""The first prompts again, one row at a time: another batch size must not give another text."""
DEPLOYMENT = DrawCondition(name="deployment", deployment=True, prompt_share=1.0, baseline=False)
