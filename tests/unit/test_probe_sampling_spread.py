"""Spread of hand-counted answers."""

from math import log

import numpy as np
import pytest
from scipy import stats as scipy_stats

from entropydx.probes._votes import Votes
from entropydx.probes.sampling_spread import powers_of_two, probe
from entropydx.types import Group, Measured, Missing
from tests.unit.samples import completion, group, samples, votes


def _measure(groups: list[Group]) -> dict[str, Measured | Missing]:
    return {m.name: m for m in probe.measure(samples(groups), None)}


def _value(found: dict[str, Measured | Missing], name: str) -> float:
    measured = found[f"sampling_spread.{name}"]
    assert isinstance(measured, Measured), measured
    return measured.value


def test_always_right_or_always_wrong() -> None:
    found = _measure([votes(0, 4), votes(1, 4), votes(2, 0, ["7"] * 4), votes(3, 0, ["8"] * 4)])
    assert _value(found, "pass_at_1") == _value(found, "coverage") == _value(found, "maj_at_n") == 0.5
    assert _value(found, "majority_gain") == 0
    assert _value(found, "within_variance") == 0
    assert _value(found, "icc") == 1
    assert _value(found, "wrong_agreement") == 1
    assert _value(found, "g_pass_ratio") == 1


def test_coin_flip_on_every_prompt() -> None:
    found = _measure([votes(i, 3, ["7", "8", "9"]) for i in range(5)])
    assert _value(found, "pass_at_1") == 0.5
    assert _value(found, "maj_at_n") == 1
    assert _value(found, "majority_gain") == 0.5
    assert _value(found, "within_variance") == pytest.approx(0.25 * 6 / 5)
    assert _value(found, "icc") < 0
    assert _value(found, "wrong_agreement") == 0
    assert _value(found, "pass_at_1@majority_right") == 0.5
    # k = 3 of 6 with 3 right: all right 1/20, at least two (tau 0.5 -> ceil 1.5) 10/20.
    assert _value(found, "g_pass_ratio") == pytest.approx(0.1)


def test_answer_entropy_counts_equal_answers_once_however_written() -> None:
    found = _measure([votes(i, 2, [" 1,000 ", "1000"]) for i in range(3)])
    assert _value(found, "answer_entropy") == pytest.approx(log(2))
    assert _value(found, "wrong_agreement") == 1


def test_missing_answers_never_vote_but_count_as_disagreement() -> None:
    v = Votes.of(votes(0, 1, [None, None, None]))
    assert v.majority == 1
    assert v.entropy == pytest.approx(scipy_stats.entropy([1, 3]))
    assert Votes.of(votes(0, 0, [None, None])).majority == 0


def test_ties_share_the_majority() -> None:
    assert Votes.of(votes(0, 2, ["7", "7"])).majority == 0.5
    assert Votes.of(votes(0, 1, ["7", "8"])).majority == pytest.approx(1 / 3)


def test_majority_splits_count_their_prompts() -> None:
    found = _measure([votes(0, 3, ["7"]), votes(1, 4), votes(2, 1, ["7"] * 3)])
    right = found["sampling_spread.pass_at_1@majority_right"]
    assert isinstance(right, Measured)
    assert right.n == 2
    assert right.value == pytest.approx(0.875)
    wrong = found["sampling_spread.answer_entropy@majority_wrong"]
    assert isinstance(wrong, Measured)
    assert wrong.value == pytest.approx(scipy_stats.entropy([1, 3]))


def test_icc_matches_the_anova_of_scipy() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(6, rng.beta(1, 1, 40))
    found = _measure([votes(i, int(c), ["7"] * (6 - int(c))) for i, c in enumerate(right)])
    f = scipy_stats.f_oneway(*[[1] * c + [0] * (6 - c) for c in right]).statistic
    assert _value(found, "icc") == pytest.approx((f - 1) / (f - 1 + 6))


def test_between_variance_is_unbiased_for_the_spread_of_ability() -> None:
    rng = np.random.default_rng(1)
    right = rng.binomial(8, rng.beta(2, 2, 3000))
    found = _measure([votes(i, int(c), ["7"] * (8 - int(c))) for i, c in enumerate(right)])
    assert _value(found, "between_variance") == pytest.approx(1 / 20, abs=0.004)  # Var of Beta(2, 2)


def test_no_wrong_answers_leave_their_agreement_missing() -> None:
    assert isinstance(_measure([votes(i, 4) for i in range(3)])["sampling_spread.wrong_agreement"], Missing)


def test_strata_and_curve_names() -> None:
    groups = [group(i, [completion()] * 8, difficulty="easy", domain="out") for i in range(3)]
    names = set(_measure(groups))
    assert {"sampling_spread.pass_at_1@easy", "sampling_spread.coverage@out"} <= names
    assert {f"sampling_spread.pass_at_{k}" for k in (1, 2, 4, 8)} <= names
    assert powers_of_two(12) == [1, 2, 4, 8, 12]


def test_an_improved_checkpoint_is_not_less_reliable_where_both_can() -> None:
    baseline = [votes(i, 8) if i < 12 else votes(i, 0, "abcdefgh") for i in range(24)]
    better = [votes(i, 8) if i < 12 else votes(i, 5, "abc") for i in range(24)]
    found = {m.name: m for m in probe.measure(samples(better), samples(baseline, fingerprint="g"))}
    reliability = found["sampling_spread.pass_at_1@majority_right"]
    assert isinstance(reliability, Measured)
    assert reliability.value == pytest.approx((1 + 5 / 8) / 2)
    assert reliability.delta == 0


def test_two_samples_have_no_stability() -> None:
    found = _measure([votes(i, 1, "a") for i in range(8)])
    assert isinstance(found["sampling_spread.g_pass_ratio"], Missing)
    assert not [name for name in found if "g_pass_at" in name], "mG-Pass@1 is an empty sum, whatever the model"
