"""From what the probes require to what is asked of an engine: prompts with more in them, and passages to score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from entropydx import verifiers
from entropydx.types import (
    Completion,
    DrawCondition,
    Group,
    Passage,
    Prompt,
    SamplingParams,
    ScorePass,
    known,
)

SOLUTION = "\n\nCorrect solution: {}\n\nCorrectly solve the original question."
"""How arXiv:2603.24472's authors put a solution into a prompt (read in their code)."""
USUAL_CUE = "\n\nAnswer: "
MAX_CUE = 40
"""Characters before the reference's answer that are searched for its cue."""
THINKING = (("<think>", "\n</think>\n\n"), ("<thinking>", "\n</thinking>\n\n"), ("[THINK]", "\n[/THINK]\n\n"))
"""Opening mark of reasoning, and what closes it before an answer is asked for."""
OTHER_SAMPLES = 4
"""Completions of a prompt that the other checkpoint scores."""
CROSS_PROMPTS = 16
"""Prompts of the cross pass, which takes their square in forward passes."""
CROSS_TOKENS = 128
"""Tokens of a completion in the cross pass."""
HIDDEN_PROMPTS = 64
RANK_STRIDE = 20
"""Tokens between two effective ranks, as in the evaluation code of arXiv:2509.23808."""


# ── drawing under a condition ─────────────────────────────────────────────────────────────────────


def condition_params(condition: DrawCondition, main: SamplingParams, deployment: tuple[float, float]) -> SamplingParams:
    """Return the sampling parameters of a condition, from those of the main draw."""
    temperature, top_p = (condition.temperature, condition.top_p) if not condition.deployment else deployment
    temperature = main.temperature if temperature is None else temperature
    n_samples = 1 if temperature == 0 else min(main.n_samples, max(2, round(condition.sample_share * main.n_samples)))
    limit = main.max_new_tokens if condition.max_new_tokens is None else condition.max_new_tokens
    return replace(
        main,
        temperature=temperature,
        top_p=main.top_p if top_p is None else top_p,
        n_samples=n_samples,
        max_new_tokens=min(limit, main.max_new_tokens),
    )


def first_prompts(condition: DrawCondition, prompts: Sequence[Prompt]) -> Sequence[Prompt]:
    """Return the first prompts of a run, which a condition covers."""
    return prompts[: math.ceil(condition.prompt_share * len(prompts))][: condition.max_prompts]


def condition_prompts(
    condition: DrawCondition, prompts: Sequence[Prompt], own: Mapping[str, Group], whole: Sequence[Prompt] | None = None
) -> list[Prompt] | str:
    """Return the prompts of a condition with what it gives in them, or why there are none.

    Parameters
    ----------
    own : mapping
        The checkpoint's main groups by prompt id, whose reasoning is given.
    whole : sequence of Prompt, optional
        All prompts of the run, when `prompts` are a shard of them: its first ones are what a condition covers.
    """
    held = {p.id for p in prompts}
    chosen = [p for p in first_prompts(condition, prompts if whole is None else whole) if p.id in held]
    if condition.given == "prompt":
        return chosen
    if condition.given == "solution":
        guided = [p for prompt in chosen if (p := with_solution(prompt)) is not None]
        return guided or "no prompt of the suite has a reference solution"
    opened = opened_by_the_template(own.values())
    forced = [
        p for prompt in chosen if (p := with_reasoning(prompt, own[prompt.id], condition.share, opened)) is not None
    ]
    return forced or "no prompt has an answer cue: give the suite's records a `reference` or an `answer_cue`"


def with_solution(prompt: Prompt) -> Prompt | None:
    """Return the prompt with its solution in it: the suite's own `guided` text, else the reference after the prompt."""
    *before, last = prompt.messages or ({"content": prompt.prompt or ""},)
    if prompt.guided is not None:
        text = prompt.guided
    elif prompt.reference is not None:
        text = last["content"] + SOLUTION.format(prompt.reference)
    else:
        return None
    if prompt.messages is None:
        return replace(prompt, prompt=text)
    return replace(prompt, messages=(*before, {**last, "content": text}))  # a system message stays as it is


def opened_by_the_template(groups: Iterable[Group]) -> str | None:
    """Return the opening mark of reasoning that the prompts end in; None when completions open their own, or none.

    Chat templates of some thinking models open the reasoning in the generation prompt. Their completions close what
    they never opened: at least half of those that ended, so that a stray mark of another model does not count.
    """
    ended = [c.text for g in groups for c in g.completions if c.finish_reason == "stop"]
    for opening, closing in THINKING:
        heads = [text.partition(closing.strip()) for text in ended]
        if 0 < len(ended) <= 2 * sum(bool(mark) and opening not in head for head, mark, _ in heads):
            return opening
    return None


def with_reasoning(prompt: Prompt, own: Group, share: float, opened: str | None = None) -> Prompt | None:
    """Return the prompt continued by a part of its first completion's reasoning and the cue of the answer.

    None when nothing tells how an answer is asked for. The reasoning is what stands before the answer's cue; it is cut
    between two tokens where the engine tells where they are, and open thinking tags are closed.

    Parameters
    ----------
    opened : str, optional
        The mark of reasoning that the prompt itself opens, see `opened_by_the_template`.
    """
    cue = answer_cue(prompt)
    if cue is None:
        return None
    part = "" if share == 0 else _part(own.completions[0], cue, share)
    for opening, closing in THINKING:
        if (opening in part or opening == opened) and closing.strip() not in part:
            part += closing
    return replace(prompt, prefill=part + cue)


def _part(completion: Completion, cue: str, share: float) -> str:
    end = len(completion.text) if completion.answer_span is None else completion.answer_span[0]
    reasoning = completion.text[:end].removesuffix(cue)
    if completion.offsets is None:
        return reasoning[: round(share * len(reasoning))]
    ends = [int(o) for o in completion.offsets if o <= len(reasoning)]
    kept = round(share * len(ends))
    return reasoning[: ends[kept - 1]] if kept else ""


def answer_cue(prompt: Prompt) -> str | None:
    """Return what a completion writes right before its answer, or None when nothing tells.

    The record's own cue comes first. A verifier without a pattern of its own knows `Answer: `. A pattern's cue is read
    off the reference: the shortest end of the text before its answer that lets the verifier find that answer, back to
    the start of its word, and with the white space before it.
    """
    if prompt.answer_cue is not None:
        return prompt.answer_cue
    if prompt.verifier.extract is None:
        return USUAL_CUE
    span = None if prompt.reference is None else verifiers.grade(prompt, prompt.reference).span
    if prompt.reference is None or span is None:
        return None
    before, rest = prompt.reference[: span[0]], prompt.reference[span[0] :]
    for n in range(min(MAX_CUE, len(before)) + 1):
        head, tail = before[: len(before) - n], before[len(before) - n :]
        inside_a_word = head[-1:].isalpha() and tail[:1].isalpha()
        if not inside_a_word and verifiers.grade(prompt, tail + rest).grade == 1:
            return head[len(head.rstrip()) :] + tail
    return None


# ── passages to score ─────────────────────────────────────────────────────────────────────────────


def passages(
    name: ScorePass, groups: Sequence[Group], other: Sequence[Group], whole: Sequence[Prompt] | None = None
) -> list[Passage] | str:
    """Return the passages of a pass, or why there are none.

    Parameters
    ----------
    groups, other : sequence of Group
        What the scoring checkpoint and the other one drew, in the suite's order.
    whole : sequence of Prompt, optional
        All prompts of the run, when the groups are of a shard of them: its first ones are what a pass covers.
    """
    if name == "reference":
        return _references(groups) or "no prompt of the suite has a reference solution"
    if name == "other":
        return [_passage(g.prompt, g, k) for g in other for k in range(min(OTHER_SAMPLES, len(g.completions)))]
    if name == "hidden":
        return [_passage(g.prompt, g, 0) for g in _first(groups, HIDDEN_PROMPTS, whole)]
    chosen = _first(groups, CROSS_PROMPTS, whole)
    if len(chosen) < 2:
        return "needs at least 2 prompts"
    return [_passage(after.prompt, source, 0, CROSS_TOKENS) for after in chosen for source in chosen]


def _first(groups: Sequence[Group], n: int, whole: Sequence[Prompt] | None) -> Sequence[Group]:
    """Return those of the groups that are of the first `n` prompts of the run."""
    if whole is None:
        return groups[:n]
    covered = {p.id for p in whole[:n]}
    return [g for g in groups if g.prompt.id in covered]


def _references(groups: Sequence[Group]) -> list[Passage]:
    return [
        Passage(prompt=g.prompt, source_id=g.prompt.id, sample_index=0, text=g.prompt.reference)
        for g in groups
        if g.prompt.reference is not None
    ]


def _passage(prompt: Prompt, source: Group, index: int, limit: int | None = None) -> Passage:
    ids = known(source.completions[index].token_ids)[:limit]
    return Passage(prompt=prompt, source_id=source.prompt.id, sample_index=index, token_ids=ids)


def rank_stride(name: ScorePass, max_new_tokens: int) -> int:
    """Return the tokens between two effective ranks of a pass, 0 when it has none; short completions get 8 windows."""
    return min(RANK_STRIDE, max(max_new_tokens // 8, 2)) if name == "hidden" else 0
