"""Planted guesses, skipped work and lost easy items, with their numbers in closed form."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from scipy import stats as scipy_stats

from entropydx import stats
from entropydx.probes import _length, _work
from entropydx.probes._reuse import Answers
from entropydx.probes.shortcutting import probe
from entropydx.types import Completion, Group, Measured, Measurement, Missing, Prompt, Samples, Score
from tests.unit.samples import completion, samples

Found = dict[str, Measurement]


def _measure(ours: Samples, baseline: Samples | None = None) -> Found:
    return {m.name.removeprefix("shortcutting."): m for m in probe.measure(ours, baseline)}


def _measured(found: Found, name: str) -> Measured:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured


def _reason(found: Found, name: str) -> str:
    missing = found[name]
    assert isinstance(missing, Missing), missing
    return missing.reason


def _group(
    number: int,
    completions: Sequence[Completion],
    *,
    gold: str = "1",
    difficulty: str = "medium",
    domain: str = "in",
    steps: int | None = None,
) -> Group:
    prompt = Prompt(id=f"p{number}", prompt="?", answer=gold, difficulty=difficulty, domain=domain)  # type: ignore[arg-type]
    return Group(prompt=prompt, completions=tuple(completions), n_reference_steps=steps)


def _says(answer: str | None, *, right: bool = False) -> Completion:
    return completion(answer, right=right)


def _written(text: str, answer: str, *, steps: tuple[bool, ...] | None = None) -> Completion:
    """Return a completion whose answer is its last appearance in the text."""
    first = text.rfind(answer)
    return replace(completion(answer, text=text), answer_span=(first, first + len(answer)), steps=steps)


def _long(n_tokens: int) -> Completion:
    return completion(entropies=[0.5] * n_tokens)


# ── answers ───────────────────────────────────────────────────────────────────────────────────────


def test_everyone_answers_seven() -> None:
    groups = [_group(i, [_says("7")] * 4, gold=str(i)) for i in range(20)]
    found = _measure(samples(groups))
    assert _measured(found, "answer_reuse").value == 1  # the gold answers never agree
    top = _measured(found, "top_answer_share")
    assert top.value == pytest.approx(1 - 1 / 20)
    assert top.note == "commonest: '7' 1.000"


def test_a_model_that_is_right_reuses_as_much_as_the_truth_whatever_the_gold_marginal() -> None:
    groups = [_group(i, [_says(f"0{i % 2}", right=True)] * 4, gold=str(i % 2)) for i in range(20)]
    found = _measure(samples(groups))
    assert _measured(found, "answer_reuse").value == 0
    assert _measured(found, "top_answer_share").value == 0


def test_reuse_is_the_mean_over_pairs_of_prompts_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    said = rng.integers(0, 4, (9, 5))
    golds = rng.integers(0, 4, 9)
    groups = [
        _group(i, [_says(str(a)) for a in row], gold=str(g)) for i, (row, g) in enumerate(zip(said, golds, strict=True))
    ]
    groups.append(_group(9, [_says(None)] * 5, gold="3"))  # states nothing: in no pair
    agree = [np.mean([a == b for a, b in product(said[i], said[j])]) for i, j in combinations(range(9), 2)]
    gold = [golds[i] == golds[j] for i, j in combinations(range(9), 2)]
    found = _measured(_measure(samples(groups)), "answer_reuse")
    assert found.value == pytest.approx(np.mean(agree) - np.mean(gold))
    assert found.n == 9


def test_reuse_is_unbiased_and_its_weights_are_copies_of_prompts() -> None:
    """A prompt of weight 2 is two prompts, less the pairs of one with itself."""
    groups = [_group(i, [_says(a)] * 2, gold=str(i)) for i, a in enumerate("aab")]
    weights = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 0.0]])
    found = Answers.of(tuple(groups)).reuse()(weights)
    assert found[0] == 1  # the pairs (0, 1), twice: both say a
    assert found[1] == 0
    assert np.isnan(found[2])


def test_reuse_covers_the_truth_at_its_nominal_rate() -> None:
    rng = np.random.default_rng(1)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    truth, hits = float((p**2).sum()), 0
    for trial in range(60):
        said = rng.choice(4, size=(40, 4), p=p)
        groups = [_group(i, [_says(str(a)) for a in row], gold=f"g{i}") for i, row in enumerate(said)]
        ci = _measured(_measure(samples(groups, seed=trial)), "answer_reuse").ci
        assert ci is not None
        hits += ci[0] <= truth <= ci[1]
    assert hits >= 55  # 98.75 % intervals: 60 tries miss 6 times with a chance of 2e-5


def test_reuse_against_a_baseline_is_paired() -> None:
    ours = samples([_group(i, [_says("7")] * 2, gold=str(i), difficulty="hard") for i in range(12)])
    theirs = samples(
        [_group(i, [_says(str(i), right=True)] * 2, gold=str(i), difficulty="hard") for i in range(12)], fingerprint="b"
    )
    for name in ("answer_reuse", "answer_reuse@hard"):
        found = _measured(_measure(ours, theirs), name)
        assert (found.value, found.baseline, found.delta) == (1, 0, 1)
    assert "no such prompt" in _reason(_measure(ours, theirs), "answer_reuse@easy")


# ── the text ──────────────────────────────────────────────────────────────────────────────────────


def test_appearances_of_the_final_answer_are_whole_numbers_and_whole_words() -> None:
    text = "130 and 30.5 and 30, then 1,30 and A30."
    assert _work.appearances(_written(text, "30")) == [text.index("30,"), text.rindex("30")]
    assert _work.appearances(_written("cat concat cat", "cat")) == [0, 11]
    assert _work.appearances(completion("30")) is None


def test_commit_position_and_repetition_are_exact() -> None:
    late = _written("37+05=42;42-12=30;A30.", "30")  # 22 characters, 30 first at 15
    early = _written("A30.", "30")
    again = _written("30 30 30 or", "30")
    found = _measure(samples([_group(0, [late, early]), _group(1, [again, again])]))
    assert _measured(found, "commit_position").value == pytest.approx(np.mean([(15 / 22 + 1 / 4) / 2, 0]))
    assert _measured(found, "repetition").value == pytest.approx(np.mean([0.5, 2]))
    nowhere = _measure(samples([_group(i, [_says("7")] * 2) for i in range(3)]))
    assert "located" in _reason(nowhere, "commit_position")


def test_distinct_pairs_by_hand_in_words_and_in_characters() -> None:
    words = [_group(i, [completion(text="a b a b a")]) for i in range(2)]
    assert _measured(_measure(samples(words)), "distinct_2").value == pytest.approx(2 / 4)
    marks = [_group(i, [completion(text="(1)(1)")]) for i in range(2)]
    found = _measured(_measure(samples(marks)), "distinct_2")
    assert found.value == pytest.approx(len(set(pairwise("(1)(1)"))) / 5)
    assert "characters" in found.unit
    assert _work.distinct_2(True)(completion(text="w " * 1000)) == pytest.approx(1 / 99)


# ── computations ──────────────────────────────────────────────────────────────────────────────────


def test_steps_are_counted_against_the_worked_solution() -> None:
    full, half, bare = (replace(completion(), steps=s) for s in ((True, True), (False,), ()))
    groups = [_group(0, [full, half], steps=2), _group(1, [bare, bare], steps=1), _group(2, [full, bare], steps=0)]
    found = _measure(samples(groups))
    assert _measured(found, "step_density").value == pytest.approx(3 / 6)
    assert _measured(found, "step_density").n == 2
    assert _measured(found, "share_without_work").value == pytest.approx(np.mean([0, 1]))
    assert _measured(found, "step_validity").value == pytest.approx(np.mean([2 / 3, 1]))


def test_a_model_that_never_works_still_has_an_interval() -> None:
    bare = replace(completion(), steps=())
    found = _measure(samples([_group(i, [bare] * 3, steps=2) for i in range(30)]))
    for name, value in (("step_density", 0), ("share_without_work", 1)):
        row = _measured(found, name)
        assert row.value == value
        assert row.ci is not None
    assert "no completion writes" in _reason(found, "step_validity")


def test_unchecked_steps_are_missing() -> None:
    found = _measure(samples([_group(i, [completion()] * 2) for i in range(3)]))
    assert "worked solution" in _reason(found, "step_density")
    assert "checked" in _reason(found, "step_validity")


# ── length ────────────────────────────────────────────────────────────────────────────────────────


def _sized(tokens: Sequence[int], steps: bool = True) -> Samples:
    levels = ("easy", "medium", "hard")
    return samples(
        [
            _group(i, [_long(t + i % 5), _long(t)], difficulty=levels[i % 3], steps=1 + i % 3 if steps else None)
            for i, t in enumerate(tokens)
        ]
    )


def test_length_that_follows_difficulty_and_length_that_ignores_it() -> None:
    follows = _measure(_sized([(10, 20, 40)[i % 3] for i in range(60)]))
    assert _measured(follows, "length_slope").value == pytest.approx((40 + 1) / (10 + 1), rel=1e-9)
    assert _measured(follows, "length_correlation").value > 0.9
    ignores = _measure(samples([_group(i, [_long(5)] * 2, difficulty=("easy", "hard")[i % 2]) for i in range(40)]))
    assert _measured(ignores, "length_slope").value == 1
    flat = _measured(ignores, "length_correlation")
    assert flat.value == 0
    assert flat.ci is not None
    assert flat.ci[1] == -flat.ci[0] > 0.5  # at 40 prompts; a mean would be known to 0.24
    assert flat.note == "against the rank of the difficulty"


def test_length_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(3)
    made = _sized([int(t) for t in rng.integers(3, 9, 50)])
    means = [np.mean([c.n_tokens for c in g.completions]) for g in made.groups]
    expected = scipy_stats.spearmanr([g.n_reference_steps for g in made.groups], means).statistic
    assert _measured(_measure(made), "length_correlation").value == pytest.approx(expected)


def test_weighted_rank_correlation_is_that_of_repeated_prompts() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 4, 25).astype(float), rng.integers(0, 6, 25).astype(float)
    weights = stats.bootstrap_weights(25)[:40]
    expected = [scipy_stats.spearmanr(np.repeat(x, w), np.repeat(y, w)).statistic for w in weights.astype(int)]
    assert _length.rank_correlation(x, y)(weights) == pytest.approx(expected)


def test_length_ratio_is_that_of_medians() -> None:
    ours, theirs = _sized([3] * 20), replace(_sized([60] * 20), checkpoint=samples([], fingerprint="b").checkpoint)
    found = _measured(_measure(ours, theirs), "length_ratio")
    expected = [np.median([c.n_tokens for g in s.groups for c in g.completions]) for s in (ours, theirs)]
    assert found.value == pytest.approx(expected[0] / expected[1])
    assert "baseline" in _reason(_measure(ours), "length_ratio")


def test_a_median_on_a_step_is_certain_once_prompts_are_eight() -> None:
    theirs = replace(_sized([]), checkpoint=samples([], fingerprint="b").checkpoint)
    for n, ci in ((8, (1, 1)), (7, None)):
        ours = samples([_group(i, [_long(9)] * 2) for i in range(n)])
        found = _measured(_measure(ours, replace(theirs, groups=ours.groups)), "length_ratio")
        assert (found.value, found.ci) == (1, ci)
        assert ("no interval" in (found.note or "").removesuffix(": the interval can have no width")) == (ci is None)


def test_length_slope_needs_both_ends() -> None:
    found = _measure(samples([_group(i, [_long(3)], difficulty="easy") for i in range(5)]))
    assert "has 5 and 0" in _reason(found, "length_slope")
    assert "ask for the same" in _reason(found, "length_correlation")


# ── forced answers ────────────────────────────────────────────────────────────────────────────────


def _rated(n: int, right: int, of: int, **fields: str) -> tuple[Group, ...]:
    return tuple(
        _group(i, [_says("1", right=True)] * right + [_says("7")] * (of - right), **fields)  # type: ignore[arg-type]
        for i in range(n)
    )


def test_forced_accuracy_and_what_the_reasoning_brings() -> None:
    ours = samples(_rated(20, 3, 4, difficulty="easy"))
    theirs = samples(_rated(20, 4, 4, difficulty="easy"), fingerprint="b")
    ours = replace(ours, conditions={"forced_0": _rated(16, 1, 2), "forced_50": _rated(16, 2, 2)})
    theirs = replace(theirs, conditions={"forced_0": _rated(12, 0, 2)})
    found = _measure(ours, theirs)
    forced = _measured(found, "forced_accuracy_0")
    assert (forced.value, forced.baseline, forced.n) == (0.5, 0, 12)  # the prompts of both
    gain = _measured(found, "cot_gain")
    assert (gain.value, gain.baseline, gain.delta) == (0.25, 1, -0.75)
    assert _measured(found, "cot_gain@easy").value == 0.25
    assert "@hard" in _reason(found, "cot_gain@hard")
    assert _measured(found, "cot_gain_ratio").value == pytest.approx(1 / 3)
    alone = _measured(found, "forced_accuracy_50")
    assert (alone.value, alone.n, alone.delta) == (1, 16, None)
    assert alone.note is not None
    assert "'forced_50' was not drawn" in alone.note
    assert "was not drawn" in _reason(found, "forced_accuracy_75")


def test_a_skipped_condition_gives_its_own_reason_and_a_hopeless_model_no_ratio() -> None:
    ours = replace(
        samples(_rated(20, 0, 4)), conditions={"forced_0": _rated(20, 0, 2)}, skipped={"forced_25": "no cue"}
    )
    found = _measure(ours)
    assert _reason(found, "forced_accuracy_25") == "no cue"
    assert _measured(found, "cot_gain").value == 0
    assert "too few" in _reason(found, "cot_gain_ratio")
    assert _reason(_measure(replace(ours, conditions={}, skipped={"forced_0": "why"})), "cot_gain@easy") == "why"


def test_answers_forced_at_temperature_one_are_not_compared_with_a_cooler_main_draw() -> None:
    ours = replace(samples(_rated(20, 3, 4)), conditions={"forced_0": _rated(20, 1, 2)})
    cool = _measure(replace(ours, params=replace(ours.params, temperature=0.6)))
    for name in ("cot_gain", "cot_gain@easy", "cot_gain_ratio"):
        assert "temperature 0.6" in _reason(cool, name)
    assert _measured(cool, "forced_accuracy_0").value == 0.5


# ── easy items ────────────────────────────────────────────────────────────────────────────────────


def _noisy(rates: np.ndarray, k: int, seed: int, fingerprint: str) -> Samples:
    rng = np.random.default_rng(seed)
    groups = [
        _group(
            i, [_says("1" if hit else "7", right=bool(hit)) for hit in rng.random(k) < p], domain=("in", "out")[i % 2]
        )
        for i, p in enumerate(rates)
    ]
    return samples(groups, fingerprint=fingerprint)


def test_easy_items_that_were_lost() -> None:
    rates = np.repeat([1.0, 0.3], 30)
    lost = np.repeat([0.5, 0.3], 30)
    found = _measured(_measure(_noisy(lost, 16, 1, "a"), _noisy(rates, 16, 2, "b")), "easy_regression")
    assert found.n == 30
    assert found.value == pytest.approx(-0.5, abs=0.1)  # 240 coin flips: three standard errors
    assert found.ci is not None
    assert found.ci[1] < 0
    assert "30 of 60" in (found.note or "")


def test_selection_by_luck_does_not_look_like_a_regression() -> None:
    """Two draws of one model: selecting and comparing on the same samples would show a fall of about 0.2."""
    rates = np.full(400, 0.6)
    changes, naive = [], []
    for seed in range(12):
        ours, theirs = _noisy(rates, 8, seed, "a"), _noisy(rates, 8, 100 + seed, "b")
        changes.append(_measured(_measure_easy(ours, theirs), "easy_regression").value)
        picked = [(g, h) for g, h in zip(ours.groups, theirs.groups, strict=True) if h.grades.mean() >= 7 / 8]
        naive.append(np.mean([g.grades.mean() - h.grades.mean() for g, h in picked]))
    # About 52 prompts with 4 samples in each of 12 runs, twice: a standard error of 0.014.
    assert np.mean(changes) == pytest.approx(0, abs=0.05)
    assert np.mean(naive) < -0.2


def _measure_easy(ours: Samples, theirs: Samples) -> Found:
    from entropydx.probes._paired import strata
    from entropydx.probes.shortcutting import _easy_regression

    found = _easy_regression(next(strata(ours, theirs)))
    return {found.name.removeprefix("shortcutting."): found}


def test_a_checkpoint_against_itself_has_not_changed_at_all() -> None:
    ours = _noisy(np.full(30, 0.95), 8, 0, "same")
    found = _measured(_measure(ours, ours), "easy_regression")
    assert (found.value, found.ci) == (0, (0, 0))


def test_easy_regression_says_what_it_lacks() -> None:
    ours = _noisy(np.full(10, 0.0), 8, 0, "a")
    assert "baseline" in _reason(_measure(ours), "easy_regression")
    assert "only 0 of 10" in _reason(_measure(ours, replace(ours)), "easy_regression")
    one = samples(_rated(5, 1, 1))
    assert "2 samples" in _reason(_measure(one, one), "easy_regression")


# ── tokens of the answer ──────────────────────────────────────────────────────────────────────────


def _spelt(entropies: Sequence[float], logprobs: Sequence[float]) -> Completion:
    """Return `ab` `=` `4` `2` and a stop token that writes nothing; the answer is `42`."""
    made = completion("42", text="ab=42", entropies=entropies)
    return replace(
        made,
        token_ids=np.arange(5),
        logprobs=np.array(logprobs),
        offsets=np.array([2, 3, 4, 5, 5]),
        answer_span=(3, 5),
    )


def test_entropy_on_the_answer_against_that_before_it() -> None:
    groups = [_group(i, [_spelt([1, 3, 0.5, 0.5, 9], [-1] * 5)] * 2) for i in range(4)]
    found = _measured(_measure(samples(groups)), "span_entropy_contrast")
    assert found.value == pytest.approx(0.5 / 2)
    plain = _measure(samples([_group(i, [_says("7")]) for i in range(4)]))
    assert "tokens" in _reason(plain, "span_entropy_contrast")


def test_divergence_from_the_baseline_on_the_answer_against_that_before_it() -> None:
    ours = samples([_group(i, [_spelt([1] * 5, [-1, -1, -0.1, -0.1, -5])] * 2) for i in range(6)])
    scored = [
        Score(
            prompt_id=f"p{i}",
            source_id=f"p{i}",
            sample_index=k,
            token_ids=np.arange(5),
            logprobs=np.array([-1.5, -1.0, -2.1, -3.1 - i, 0.0]),
            entropies=np.ones(5),
        )
        for i in range(6)
        for k in range(2)
    ]
    theirs = replace(samples(ours.groups, fingerprint="b"), scores={"other": tuple(scored)})
    found = _measured(_measure(ours, theirs), "answer_kl_contrast")
    assert found.value == pytest.approx((2 + 3 + 2.5) / 2 - 0.25)  # the mean of i is 2.5
    assert "0.25 before it" in (found.note or "")
    assert found.ci is not None
    assert "not drawn" in _reason(_measure(ours, samples(ours.groups, fingerprint="b")), "answer_kl_contrast")
    assert "baseline" in _reason(_measure(ours), "answer_kl_contrast")
    cool = replace(ours, params=replace(ours.params, temperature=0.6))
    assert "temperature 0.6" in _reason(_measure(cool, theirs), "answer_kl_contrast")


# ── nothing, and everything ───────────────────────────────────────────────────────────────────────


def test_no_samples_give_only_missing_under_the_same_names() -> None:
    empty, full = _measure(samples([])), _measure(samples(_rated(6, 1, 2)))
    assert all(isinstance(m, Missing) for m in empty.values())
    assert set(empty) == set(full)


def test_a_baseline_of_other_prompts_gives_only_missing() -> None:
    others = samples([_group(100 + i, [completion()] * 2) for i in range(6)], fingerprint="b")
    found = _measure(samples(_rated(6, 1, 2)), others)
    assert all(isinstance(m, Missing) for m in found.values())
    assert "in common" in _reason(found, "answer_reuse")
