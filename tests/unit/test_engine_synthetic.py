"""The synthetic engine does what its profiles and its docstring say; the oracles are closed forms and counts."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from entropydx import plugins, verifiers
from entropydx.engines._profiles import AUTHORS, PROFILES, VOCAB_SIZE, Profile, sharpened
from entropydx.engines.synthetic import HEDGE, SyntheticEngine
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import EPISTEMIC_MARKERS, Passage, SamplingParams

PROMPTS = plugins.load("suite", "tiny").prompts(0, 120)


def engine(name):
    return SyntheticEngine(f"synthetic:{name}", EngineOptions(), Silent())


def draw(name, prompts=PROMPTS, n=8, **params):
    return list(engine(name).generate(prompts, SamplingParams(n_samples=n, max_new_tokens=64, **params)))


def rate_right(groups):
    grades = [verifiers.grade(g.prompt, g.prompt.prefill + c.text).grade for g in groups for c in g.completions]
    return np.mean(grades)


def own_passages(groups):
    return [
        Passage(prompt=g.prompt, source_id=g.prompt.id, sample_index=k, token_ids=c.token_ids)
        for g in groups
        for k, c in enumerate(g.completions)
    ]


@pytest.mark.parametrize("name", ["healthy", "collapsed", "shortcut", "exploded"])
def test_mean_entropy_is_the_closed_form(name):
    ids = np.arange(VOCAB_SIZE)
    assert PROFILES[name].entropies(ids).mean() == pytest.approx(PROFILES[name].mean_entropy, rel=0.02)
    assert PROFILES[name].entropies(ids).min() > 0
    assert PROFILES[name].entropies(ids).max() <= np.log(VOCAB_SIZE)


def test_entropies_off_the_forks_are_exponential():
    entropies = Profile(fork_share=1e-9).entropies(np.arange(0, VOCAB_SIZE, AUTHORS))
    assert scipy.stats.kstest(entropies, "expon", args=(0, 0.05)).statistic < 1e-3


@pytest.mark.parametrize("name", ["healthy", "collapsed", "shortcut"])
def test_own_completions_score_as_they_were_drawn(name):
    groups = draw(name, n=2)
    scores = list(engine(name).score(own_passages(groups)))
    completions = [c for g in groups for c in g.completions]
    assert len(scores) == len(completions)
    for score, completion in zip(scores, completions, strict=True):
        np.testing.assert_array_equal(score.entropies, completion.entropies)
        np.testing.assert_array_equal(score.logprobs, completion.logprobs)


def test_the_divergence_of_two_policies_is_their_mean_absolute_difference_in_entropy():
    groups = draw("healthy", n=2)
    drawn = np.concatenate([c.logprobs for g in groups for c in g.completions])
    ids = np.concatenate([c.token_ids for g in groups for c in g.completions])
    for name in ("collapsed", "exploded", "twin"):
        scored = np.concatenate([s.logprobs for s in engine(name).score(own_passages(groups))])
        apart = np.abs(PROFILES[name].entropies(ids) - PROFILES["healthy"].entropies(ids)).mean()
        assert np.mean(drawn - scored) == pytest.approx(apart)
        assert (apart > 0) == (name != "twin")


def test_another_prompt_costs_what_the_profile_says():
    (group,) = draw("shortcut", PROMPTS[:1], n=1)
    passage = own_passages([group])[0]
    elsewhere = replace(passage, prompt=PROMPTS[1])
    for name in ("healthy", "shortcut"):
        own, other = engine(name).score([passage, elsewhere])
        np.testing.assert_allclose(own.logprobs - other.logprobs, PROFILES[name].prompt_use)


def test_references_have_the_same_tokens_for_every_policy():
    passages = [Passage(prompt=p, source_id=p.id, sample_index=0, text=p.reference) for p in PROMPTS[:20]]
    healthy, collapsed = (list(engine(name).score(passages)) for name in ("healthy", "collapsed"))
    for a, b in zip(healthy, collapsed, strict=True):
        np.testing.assert_array_equal(a.token_ids, b.token_ids)
        np.testing.assert_array_equal(a.logprobs, -a.entropies)
        assert (b.logprobs <= a.logprobs).all()
    empty = Passage(prompt=PROMPTS[0], source_id="x", sample_index=0, text="")
    assert [len(s.logprobs) for s in engine("healthy").score([empty])] == [0]


def test_effective_ranks_follow_the_closed_form():
    passage = Passage(prompt=PROMPTS[0], source_id="x", sample_index=0, token_ids=np.arange(100))
    (score,) = engine("collapsed").score([passage], rank_stride=20)
    np.testing.assert_allclose(score.effective_ranks, 8 * (1 - np.exp(-np.array([20, 40, 60, 80, 100]) / 8)))
    (plain,) = engine("collapsed").score([passage])
    assert plain.effective_ranks is None


def test_a_policy_with_nan_logits_scores_nothing():
    (score,) = engine("broken").score(own_passages(draw("healthy", PROMPTS[:1], n=1)))
    assert len(score.token_ids) == len(score.logprobs) == len(score.entropies) == 0


def test_offsets_cut_the_text_evenly():
    for group in draw("healthy", PROMPTS[:10]):
        for c in group.completions:
            widths = np.diff([0, *c.offsets])
            assert c.offsets[-1] == len(c.text)
            assert widths.min() >= 3
            assert widths.max() <= 4
    assert [c.offsets.tolist() for c in draw("empty", PROMPTS[:1])[0].completions] == [[0]] * 8


def test_a_prefill_is_followed_by_the_answer_alone_and_reasoning_is_needed():
    def forced(name, share):
        prompts = [replace(p, prefill=p.reference[: int(share * len(p.reference))] + "A") for p in PROMPTS]
        groups = draw(name, prompts)
        assert all(len(c.text) == len("30.") for g in groups for c in g.completions)
        return rate_right(groups)

    assert forced("healthy", 0.0) < 0.5 * forced("healthy", 0.75)
    assert forced("overconfident", 0.75) > forced("overconfident", 0.0)
    assert forced("shortcut", 0.0) == forced("shortcut", 0.75)


def test_a_prompt_with_its_solution_is_answered_right_and_without_hedges():
    prompts = [replace(p, prompt=p.guided) for p in PROMPTS]
    groups = draw("healthy", prompts)
    assert rate_right(groups) == 1
    assert not any(HEDGE in c.text for g in groups for c in g.completions)


def test_temperature_sharpens_and_greedy_repeats_itself():
    middle = [p for p in PROMPTS if p.difficulty == "easy"]

    def texts(temperature):
        return np.mean([len({c.text for c in g.completions}) for g in draw("noisy", middle, temperature=temperature)])

    spread = [texts(t) for t in (1.0, 0.3, 0.0)]
    assert spread[0] > spread[1] > spread[2] == 1
    assert sharpened(0.7, 1.0) == pytest.approx(0.7)
    assert sharpened(0.7, 0.5) == pytest.approx(0.49 / (0.49 + 0.09))
    assert (sharpened(0.7, 0.0), sharpened(0.3, 0.0), sharpened(1.0, 0.3), sharpened(0.0, 0.3)) == (1, 0, 1, 0)
    assert sharpened(1e-300, 0.001) == 0


def test_hedges_come_as_often_as_planted_and_hold_markers():
    for name in ("healthy", "collapsed", "overconfident"):
        hedged = [HEDGE in c.text for g in draw(name) for c in g.completions]
        assert np.mean(hedged) == pytest.approx(PROFILES[name].hedges, abs=0.05)
    assert sum(word in HEDGE.lower() for word in EPISTEMIC_MARKERS) == 3


def test_the_shortcut_is_one_bare_answer_for_all_problems():
    texts = [c.text for g in draw("shortcut") for c in g.completions]
    common = max(set(texts), key=texts.count)
    assert len(common) == len("A30.")
    assert texts.count(common) / len(texts) == pytest.approx(PROFILES["shortcut"].guesses, abs=0.05)


def test_the_overconfident_policy_fails_out_of_domain_only():
    right = {
        domain: rate_right([g for g in draw("overconfident") if g.prompt.domain == domain]) for domain in ("in", "out")
    }
    assert right["in"] > 0.5
    assert right["out"] == pytest.approx(0.1 * right["in"], abs=0.08)


def test_deployment_comes_from_the_profile():
    assert engine("noisy").deployment == (0.6, 0.95)
    assert engine("healthy").deployment is None
    assert engine("noisy").info.tokenizer_sha == engine("healthy").info.tokenizer_sha
