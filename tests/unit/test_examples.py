"""Excerpts that illustrate the finding that they stand under."""

from entropydx.examples import EXCERPT, PICKS, pick_examples
from entropydx.plugins import load_all
from entropydx.types import Finding, Label
from tests.unit.samples import completion, group, samples


def _fired(code: str, *, decisive: bool = True) -> Finding:
    return Finding(
        code=code,
        failure=Label.TRAINING_COLLAPSE,
        direction="for",
        status="fired",
        strength=1.0,
        statement="s",
        decisive=decisive,
        evidence=(),
    )


def test_every_pick_is_a_rule_and_every_decisive_accusation_has_one() -> None:
    rules = {r.code: r for r in load_all("rule").values()}
    assert set(PICKS) <= set(rules)
    without = {code for code, r in rules.items() if r.decisive and code not in PICKS}
    # No sample of the main draw shows too few prompts, a broken baseline, or the deployment's sampling.
    assert without == {"EDX204", "EDX906", "EDX911"}


def test_variance_is_shown_by_two_repeats_of_a_prompt_that_goes_both_ways() -> None:
    sure = group(0, [completion(text="sure")] * 3)
    mixed = group(1, [completion(text="good"), completion(text="bad", right=False), completion(text="good")])
    examples = pick_examples([_fired("EDX201")], samples([sure, mixed]))
    assert [(e.prompt_id, e.sample_index, e.excerpt) for e in examples] == [("p1", 0, "good"), ("p1", 1, "bad")]


def test_truncation_is_shown_by_truncated_completions_cut_to_length() -> None:
    cut = completion(None, text="x" * 1000, finish="length", right=False)
    examples = pick_examples([_fired("EDX901")], samples([group(0, [completion(), cut])]))
    assert [(e.sample_index, len(e.excerpt)) for e in examples] == [(1, EXCERPT)]


def test_nothing_fired_nothing_shown() -> None:
    assert pick_examples([], samples([group(0, [completion()])])) == ()
