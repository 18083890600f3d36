"""Forks whose place, number and words are planted."""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import numpy as np
import pytest

from entropydx.probes.forking_tokens import fork_weights, probe
from entropydx.types import Completion, FloatArray, Measured, Measurement, Missing, Samples
from tests.unit.samples import group, samples
from tests.unit.scored_samples import delta, drawn, score, scored, value


def _measure(ours: Samples, base: Samples | None = None) -> dict[str, Measurement]:
    return {m.name.removeprefix("forking_tokens."): m for m in probe.measure(ours, base)}


def _alike(entropies: Sequence[float] | FloatArray, fingerprint: str = "f") -> Samples:
    return samples([group(i, [drawn(entropies)] * 2) for i in range(4)], fingerprint=fingerprint)


def test_a_uniform_model_is_flat() -> None:
    found = _measure(_alike([log(100)] * 7))
    for fifth in range(1, 6):
        assert value(found, f"entropy_position_{fifth}") == pytest.approx(log(100))
    assert value(found, "entropy_share_first_fifth") == pytest.approx(0.2)
    assert value(found, "entropy_share_top20") == pytest.approx(0.2)


def test_positions_of_a_staircase() -> None:
    found = _measure(_alike([1, 1, 2, 2, 3, 3, 4, 4, 5, 5]))
    assert [value(found, f"entropy_position_{i}") for i in range(1, 6)] == pytest.approx([1, 2, 3, 4, 5])
    assert value(found, "entropy_share_first_fifth") == pytest.approx(2 / 30)


def test_a_token_across_a_border_counts_in_both_parts() -> None:
    # Fifths of six tokens are 1.2 tokens long: the second token gives a fifth of itself to the first.
    found = _measure(_alike([6, 5, 0, 0, 0, 0]))
    assert value(found, "entropy_position_1") == pytest.approx((6 + 0.2 * 5) / 1.2)
    assert value(found, "entropy_position_2") == pytest.approx(0.8 * 5 / 1.2)
    assert value(found, "entropy_share_first_fifth") == pytest.approx(7 / 11)


def test_completions_below_five_tokens_have_no_fifths() -> None:
    groups = [group(i, [drawn([9.0] * 4), drawn([1.0] * 5)]) for i in range(3)]
    assert value(_measure(samples(groups)), "entropy_position_1") == pytest.approx(1)
    found = _measure(_alike([1.0] * 4))
    assert isinstance(found["entropy_position_3"], Missing)
    assert isinstance(found["entropy_share_first_fifth"], Missing)
    assert isinstance(found["entropy_share_top20"], Measured)


def test_two_levels_have_their_share() -> None:
    ours, base = _alike([0.1] * 80 + [2.0] * 20, "a"), _alike([0.1] * 60 + [1.0] * 40, "b")
    found = _measure(ours, base)
    assert value(found, "entropy_share_top20") == pytest.approx(40 / 48)
    assert delta(found, "entropy_share_top20") == pytest.approx(40 / 48 - 20 / 46)


def test_share_of_the_top_fifth_agrees_with_sorting_and_with_the_exponential_law() -> None:
    levels = np.random.default_rng(0).exponential(size=(40, 300))
    found = _measure(samples([group(i, [drawn(h)]) for i, h in enumerate(levels)]))
    ordered = np.sort(levels, axis=None)[::-1]
    share = found["entropy_share_top20"]
    assert isinstance(share, Measured)
    assert share.value == pytest.approx(ordered[:2400].sum() / ordered.sum(), abs=1e-4)
    # The Lorenz curve of an exponential: the top q holds q (1 - ln q).
    assert share.ci is not None
    assert share.ci[0] < 0.2 * (1 - log(0.2)) < share.ci[1]


def test_fork_weights_sum_to_a_fifth_whatever_ties() -> None:
    weights = fork_weights([np.array([3.0, 1, 1, 2]), np.array([2.0, 0, 0, 0, 0, 0])])
    assert weights[0].tolist() == [1, 0, 0, 0.5]
    assert weights[1].tolist() == [0.5, 0, 0, 0, 0, 0]
    assert fork_weights([np.ones(10)])[0] == pytest.approx(np.full(10, 0.2))
    assert [len(w) for w in fork_weights([np.array([]), np.array([])])] == [0, 0]


def _on_same_text(ours: Sequence[float], theirs: Sequence[float]) -> tuple[Samples, Samples]:
    """Return two models that have these entropies on either's text, token by token."""
    pair = []
    for own, other, fingerprint in ((ours, ours, "a"), (theirs, theirs, "b")):
        groups = [group(i, [drawn(own)] * 2) for i in range(4)]
        scores = [score(i, other, sample_index=k) for i in range(4) for k in range(2)]
        pair.append(scored(groups, {"other": scores}, fingerprint=fingerprint))
    return pair[0], pair[1]


FORKS_AT = {"0 and 1": [9, 8, 0, 1, 2, 3, 0, 1, 2, 3], "1 and 2": [0, 8, 9, 1, 2, 3, 0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (FORKS_AT["0 and 1"], FORKS_AT["0 and 1"], 1.0),
        ([0.001 * h for h in FORKS_AT["0 and 1"]], FORKS_AT["0 and 1"], 1.0),
        (FORKS_AT["1 and 2"], FORKS_AT["0 and 1"], 0.5),
        ([0, 0, 0, 0, 0, 0, 0, 0, 8, 9], FORKS_AT["0 and 1"], 0.0),
        ([1.0] * 10, FORKS_AT["0 and 1"], 0.2),
        ([1.0] * 10, [2.0] * 10, 1.0),
    ],
)
def test_overlap_of_forks_on_the_same_text(ours: list[float], theirs: list[float], expected: float) -> None:
    found = _measure(*_on_same_text(ours, theirs))
    assert value(found, "overlap_on_baseline_text") == pytest.approx(expected)
    assert value(found, "overlap_on_own_text") == pytest.approx(expected)


def test_each_text_has_its_own_overlap() -> None:
    ours, base = _on_same_text(FORKS_AT["0 and 1"], FORKS_AT["0 and 1"])
    moved = tuple(score(i, FORKS_AT["1 and 2"], sample_index=k) for i in range(4) for k in range(2))
    found = _measure(replace(ours, scores={"other": moved}), base)
    assert value(found, "overlap_on_baseline_text") == pytest.approx(0.5)
    assert value(found, "overlap_on_own_text") == pytest.approx(1.0)


def test_independent_models_overlap_by_chance() -> None:
    rng = np.random.default_rng(2)
    groups = [group(i, [drawn(rng.exponential(size=50))]) for i in range(40)]
    scores = [score(i, rng.exponential(size=50)) for i in range(40)]
    ours = scored(groups, {"other": scores}, fingerprint="a")
    overlap = _measure(ours, scored(groups, {}, fingerprint="b"))["overlap_on_baseline_text"]
    assert isinstance(overlap, Measured)
    assert overlap.ci is not None
    assert overlap.ci[0] < 0.2 < overlap.ci[1]


def test_overlap_without_a_pass_or_a_baseline_says_why() -> None:
    ours, base = _on_same_text(FORKS_AT["0 and 1"], FORKS_AT["0 and 1"])
    alone = _measure(ours)
    skipped = _measure(*(replace(s, scores={}, skipped={"other": "other tokenizer"}) for s in (ours, base)))
    undrawn = _measure(*(replace(s, scores={}) for s in (ours, base)))
    for found, reason in ((alone, "no baseline"), (skipped, "other tokenizer"), (undrawn, "was not drawn")):
        for name in ("overlap_on_baseline_text", "overlap_on_own_text"):
            missing = found[name]
            assert isinstance(missing, Missing)
            assert reason in missing.reason


def _forking(word: str, h: float = 2.0) -> Completion:
    """Return ten tokens, two of which fork: `word` and the same in capitals."""
    words = [word, " a", " b", " c", " d", f" {word.upper()}", " a", " b", " c", "."]
    return drawn([h, 0.1, 0.2, 0.1, 0.3, h, 0.1, 0.2, 0.1, 0.0], words=words)


def test_planted_fork_types_are_named_counted_and_compared() -> None:
    ours = samples([group(i, [_forking("wait"), _forking("thus")]) for i in range(5)], fingerprint="a")
    base = samples([group(i, [_forking("wait"), _forking("hmm"), _forking("so")]) for i in range(5)], fingerprint="b")
    found = _measure(ours, base)
    number = found["n_fork_types"]
    assert isinstance(number, Measured)
    assert number.value == pytest.approx(2)
    assert number.delta == pytest.approx(-1)
    assert number.note is not None
    assert number.note.startswith("most common forks: 'thus' 50 %, 'wait' 50 %")
    # One of the two lists' three is shared.
    overlap = found["type_overlap"]
    assert isinstance(overlap, Measured)
    assert overlap.value == pytest.approx(1 / 3)
    assert "'hmm' 33 %" in str(overlap.note)


def test_uneven_fork_types_have_their_effective_number() -> None:
    found = _measure(samples([group(i, [_forking("wait")] * 3 + [_forking("thus")]) for i in range(5)]))
    assert value(found, "n_fork_types") == pytest.approx(1 / (0.75**2 + 0.25**2))


def test_number_of_fork_types_agrees_with_counting_pairs_and_does_not_grow_with_the_sample() -> None:
    rng = np.random.default_rng(4)
    law = rng.dirichlet(np.full(30, 0.5))

    def planted(n: int, repeats: int) -> list[list[str]]:
        return [[f"w{k:02}" for k in rng.choice(30, size=repeats, p=law)] for _ in range(n)]

    def measured(words: list[list[str]]) -> Measured:
        found = _measure(samples([group(i, [_forking(w) for w in of_prompt]) for i, of_prompt in enumerate(words)]))
        number = found["n_fork_types"]
        assert isinstance(number, Measured)
        assert number.ci is not None
        assert number.ci[0] < number.value < number.ci[1]
        return number

    words = planted(12, 5)
    pairs = [
        a == b for i, ours in enumerate(words) for j, other in enumerate(words) if i != j for a in ours for b in other
    ]
    assert measured(words).value == pytest.approx(1 / np.mean(pairs))
    truth = 1 / (law**2).sum()
    for n in (40, 160):
        ci = measured(planted(n, 6)).ci
        assert ci is not None
        assert ci[0] < truth < ci[1]


def test_rare_types_and_tokens_without_text_are_no_types() -> None:
    broken = drawn([2.0, 0.1, 0.2, 0.1, 2.0, 0.3, 0.1, 0.1, 0.1, 0.1], words=["\n\n", *"abc", "", *"defgh"])
    groups = [group(i, [broken]) for i in range(4)]
    found = _measure(samples([*groups, group(4, [_forking("once")])]))
    # Of the ordered pairs of forks of two prompts, 4 x 3 are line breaks; 2 x 8 more join one with `once`.
    assert value(found, "n_fork_types") == pytest.approx((12 + 16) / 12)
    assert r"'\n' 100 %" in str(found["n_fork_types"].note)  # type: ignore[union-attr]


def test_the_twenty_commonest_types_are_compared() -> None:
    def forking(shift: int) -> list[Completion]:
        return [_forking(f"w{i + shift:02}x") for i in range(25) for _ in range(1 if i < 20 else 2)]

    ours = samples([group(i, forking(0)) for i in range(3)], fingerprint="a")
    found = _measure(ours, samples([group(i, forking(0)) for i in range(3)], fingerprint="b"))
    assert value(found, "type_overlap") == 1
    # The first model has 25 types of its own, the second 25 others.
    found = _measure(ours, samples([group(i, forking(100)) for i in range(3)], fingerprint="b"))
    assert value(found, "type_overlap") == 0


def test_types_that_no_two_prompts_share_have_no_number() -> None:
    missing = _measure(samples([group(i, [_forking(f"only{i}")] * 3) for i in range(3)]))["n_fork_types"]
    assert isinstance(missing, Missing)
    assert "two prompts" in missing.reason


def test_fork_types_need_offsets_and_enough_forks() -> None:
    plain = _alike([1.0, 2.0, 3.0, 4.0, 5.0])
    with_text = samples([group(i, [_forking("wait")] * 2) for i in range(4)], fingerprint="b")
    few = samples([group(i, [_forking(f"only{i}")]) for i in range(2)])
    for ours, base, reason in (
        (plain, None, "the checkpoint's completions"),
        (few, None, "no type of token forks 3 times"),
        (with_text, plain, "the baseline's completions"),
        (with_text, None, "no baseline"),
    ):
        missing = _measure(ours, base)["type_overlap"]
        assert isinstance(missing, Missing)
        assert reason in missing.reason
    assert isinstance(_measure(with_text, plain)["n_fork_types"], Measured)


def test_a_baseline_that_is_the_checkpoint_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    words = [f" w{i}" for i in range(50)]
    both = samples([group(i, [drawn(rng.exponential(size=50), words=words)] * 2) for i in range(10)])
    found = _measure(both, both)
    for name in ("entropy_position_1", "entropy_share_first_fifth", "entropy_share_top20"):
        assert delta(found, name) == 0
        assert found[name].delta_ci == (0, 0)  # type: ignore[union-attr]
    assert value(found, "type_overlap") == 1


def test_empty_samples_and_empty_completions_are_missing() -> None:
    for nothing in (samples([]), samples([group(i, [drawn([])]) for i in range(3)])):
        assert all(isinstance(m, Missing) for m in _measure(nothing).values())
        assert all(isinstance(m, Missing) for m in _measure(nothing, _alike([1.0] * 6, "b")).values())
