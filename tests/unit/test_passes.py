"""What is put into prompts and which passages are scored, on records whose outcome is plain to see."""

from dataclasses import replace

import numpy as np
import pytest

from entropydx import passes, plugins
from entropydx.types import DrawCondition, Group, Prompt, SamplingParams, VerifierSpec
from tests.unit.samples import completion

TINY = Prompt(
    id="t",
    prompt="37+05-12=",
    answer="30",
    verifier=VerifierSpec(type="exact", extract=r"A(\d\d)\."),
    reference="37+05=42;42-12=30;A30.",
)
MAIN = SamplingParams(n_samples=16, max_new_tokens=64)


def _own(prompt: Prompt, text: str, answer: str, *, offsets: bool = False) -> Group:
    start = text.rfind(answer)
    done = replace(
        completion(answer, text=text, entropies=[0.1] * len(text)),
        answer_span=(start, start + len(answer)),
        offsets=np.arange(1, len(text) + 1) if offsets else None,
    )
    return Group(prompt=prompt, completions=(done,))


def test_the_cue_is_read_off_the_reference_by_the_pattern_that_will_read_the_answer() -> None:
    assert passes.answer_cue(TINY) == "A"
    sum_ = plugins.load("suite", "arithmetic").prompts(0, 1)[0]
    assert passes.answer_cue(sum_) == "\nAnswer: "
    for name in plugins.builtin_names("suite"):
        for prompt in plugins.load("suite", name).prompts(0, 30):
            cue = passes.answer_cue(prompt)
            assert cue is not None
            assert prompt.reference is not None
            assert cue.strip() in prompt.reference


def test_without_a_reference_only_conventions_tell_the_cue() -> None:
    assert passes.answer_cue(replace(TINY, reference=None)) is None
    assert passes.answer_cue(replace(TINY, reference=None, answer_cue="A")) == "A"
    assert passes.answer_cue(Prompt(id="n", prompt="?", answer="4")) == "\n\nAnswer: "


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize(
    ("share", "given"), [(0.0, "A"), (0.5, "37+05=42;A"), (0.25, "37+0A"), (1.0, "37+05=42;42-12=30;A")]
)
def test_a_share_of_the_reasoning_is_given_and_then_the_cue(share: float, given: str, offsets: bool) -> None:
    own = _own(TINY, "37+05=42;42-12=30;A30.", "30", offsets=offsets)
    forced = passes.with_reasoning(TINY, own, share)
    assert forced is not None
    assert forced.prefill == given
    assert (forced.id, forced.prompt) == (TINY.id, TINY.prompt)


def test_open_thinking_is_closed_before_the_answer_is_asked_for() -> None:
    prompt = Prompt(id="n", prompt="?", answer="4")
    forced = passes.with_reasoning(prompt, _own(prompt, "<think>2 and 2</think>\n4", "4"), 0.5)
    assert forced is not None
    assert forced.prefill.startswith("<think>")
    assert forced.prefill.endswith("\n</think>\n\n\n\nAnswer: ")


def test_thinking_that_the_template_opens_is_closed_too() -> None:
    prompt = Prompt(id="n", prompt="?", answer="4")
    opened = _own(prompt, "2 and 2</think>\n4", "4")
    cut_off = Group(prompt=prompt, completions=(completion(None, text="2 and", finish="length"),))
    own_marks = _own(prompt, "<think>2 and 2</think>\n4", "4")
    assert passes.opened_by_the_template([cut_off, opened]) == "<think>"
    assert passes.opened_by_the_template([opened, own_marks, own_marks]) is None, "a stray mark says nothing"
    assert passes.opened_by_the_template([cut_off]) is None
    for share, given in ((0.0, ""), (0.5, "2 and"), (1.0, "2 and")):
        condition = DrawCondition(name="f", given="reasoning", share=share)
        forced = passes.condition_prompts(condition, [prompt], {"n": cut_off, "m": opened})
        assert [p.prefill for p in forced] == [f"{given[: round(share * 5)]}\n</think>\n\n\n\nAnswer: "]  # type: ignore[union-attr]
    assert passes.with_reasoning(prompt, opened, 1.0, "<think>").prefill.count("</think>") == 1  # type: ignore[union-attr]


def test_the_solution_goes_into_the_prompt() -> None:
    plain = passes.with_solution(replace(TINY, prompt="Add."))
    assert plain is not None
    assert plain.prompt == f"Add.\n\nCorrect solution: {TINY.reference}\n\nCorrectly solve the original question."
    own_words = passes.with_solution(replace(TINY, guided="37+05-12=!A30.!"))
    assert own_words is not None
    assert own_words.prompt == "37+05-12=!A30.!"
    chat = passes.with_solution(replace(TINY, prompt=None, messages=({"role": "user", "content": "Add."},)))
    assert chat is not None
    assert chat.messages is not None
    assert chat.messages[-1]["content"] == plain.prompt
    assert passes.with_solution(replace(TINY, reference=None)) is None
    talk = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Add."})
    kept = passes.with_solution(replace(TINY, prompt=None, messages=talk, guided="Add. It is 30."))
    assert kept is not None
    assert kept.messages == (talk[0], {"role": "user", "content": "Add. It is 30."})


def test_a_condition_draws_less_than_the_main_draw() -> None:
    third = DrawCondition(name="x", temperature=0.6, prompt_share=1 / 3, max_new_tokens=24)
    params = passes.condition_params(third, MAIN, (1.0, 1.0))
    assert (params.n_samples, params.temperature, params.max_new_tokens) == (8, 0.6, 24)
    assert passes.condition_params(replace(third, sample_share=0.01), MAIN, (1.0, 1.0)).n_samples == 2
    assert passes.condition_params(replace(third, temperature=0.0), MAIN, (1.0, 1.0)).n_samples == 1
    cooler = replace(MAIN, temperature=0.6, top_p=0.9)
    given = passes.condition_params(DrawCondition(name="g", given="solution"), cooler, (1.0, 1.0))
    assert (given.temperature, given.top_p) == (0.6, 0.9), "what is given is all that differs from the main draw"
    greedy = passes.condition_params(DrawCondition(name="g"), replace(MAIN, temperature=0.0), (1.0, 1.0))
    assert (greedy.temperature, greedy.n_samples) == (0.0, 1)
    deployed = passes.condition_params(DrawCondition(name="d", deployment=True), MAIN, (0.7, 0.9))
    assert (deployed.temperature, deployed.top_p) == (0.7, 0.9)
    prompts = [replace(TINY, id=str(i)) for i in range(10)]
    chosen = passes.condition_prompts(third, prompts, {})
    assert [p.id for p in chosen] == ["0", "1", "2", "3"]
    assert len(passes.condition_prompts(replace(third, prompt_share=1.0, max_prompts=2), prompts, {})) == 2
    bare = [replace(TINY, id="1", reference=None)]
    assert isinstance(passes.condition_prompts(DrawCondition(name="g", given="solution"), bare, {}), str)


def test_the_cross_pass_is_every_completion_after_every_prompt_and_bounded() -> None:
    groups = [_own(replace(TINY, id=str(i)), "1" * 300, "1") for i in range(20)]
    asked = passes.passages("cross", groups, ())
    assert not isinstance(asked, str)
    assert len({p.key for p in asked}) == len(asked) == passes.CROSS_PROMPTS**2
    assert all(p.token_ids is not None and len(p.token_ids) == passes.CROSS_TOKENS for p in asked)
    assert isinstance(passes.passages("cross", groups[:1], ()), str)
    assert isinstance(passes.passages("reference", [_own(replace(TINY, reference=None), "1", "1")], ()), str)
    assert passes.rank_stride("hidden", 64) == 8
    assert passes.rank_stride("hidden", 4096) == 20
    assert passes.rank_stride("cross", 64) == 0
