"""Curves of populations whose pass@k is known, support counted by hand, distances of brute-force pairs."""

from dataclasses import replace
from itertools import combinations
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from entropydx.probes._diversity import pairwise_distance
from entropydx.probes.coverage import log_grid, probe
from entropydx.types import Completion, Group, Measured, Missing
from tests.unit.samples import completion, group, samples, votes

Found = dict[str, Measured | Missing]


def _measure(ours: list[Group], base: list[Group] | None = None, fingerprint: str = "g") -> Found:
    theirs = None if base is None else samples(base, fingerprint=fingerprint)
    return {m.name.removeprefix("coverage."): m for m in probe.measure(samples(ours), theirs)}


def _measured(found: Found, name: str) -> Measured:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured


def _counts(right: list[int], k: int) -> list[Group]:
    return [votes(i, c, ["7"] * (k - c)) for i, c in enumerate(right)]


def _beta_curve(a: float, b: float, k: int) -> np.ndarray:
    """Return E[1 - (1 - p)^j] for p ~ Beta(a, b), j = 1..k."""
    j = np.arange(1, k + 1)
    return 1 - np.exp(special.betaln(a, b + j) - special.betaln(a, b))


def test_crossing_and_changes_of_two_beta_binomial_populations() -> None:
    k, n = 16, 300
    sharp, broad = (0.3, 0.2), (1.5, 2.5)
    change = _beta_curve(*sharp, k) - _beta_curve(*broad, k)
    crossing = 1 + int(np.argmax(change < 0))
    assert 2 < crossing < 8  # the baseline overtakes within the curve
    rng = np.random.default_rng(0)
    ours, base = (_counts(rng.binomial(k, rng.beta(*ab, n)).tolist(), k) for ab in (sharp, broad))
    found = _measure(ours, base)
    crossed = _measured(found, "crossing_k")
    assert abs(crossed.value - crossing) <= 1
    assert crossed.ci is not None
    assert crossed.ci[0] <= crossing <= crossed.ci[1]
    area = integrate.trapezoid(change, np.log(np.arange(1, k + 1))) / log(k)
    for name, truth in {"delta_at_1": change[0], "delta_at_max": change[-1], "area_delta": area}.items():
        measured = _measured(found, name)
        assert measured.ci is not None
        assert measured.ci[0] <= truth <= measured.ci[1]
        assert measured.value == pytest.approx(truth, abs=0.06)
    assert _measured(found, "delta_at_1").value > 0 > _measured(found, "delta_at_max").value


def test_curves_that_do_not_cross_have_no_crossing() -> None:
    better = _measure(_counts([4] * 8, 4), _counts([2] * 8, 4))
    missing = better["crossing_k"]
    assert isinstance(missing, Missing)
    assert missing.reason == "the curves do not cross up to K = 4"
    worse = _measured(_measure(_counts([1] * 8, 4), _counts([2] * 8, 4)), "crossing_k")
    assert worse.value == 1
    assert worse.ci is not None
    assert worse.ci[1] > 1, "eight prompts that agree are not certainty"


def test_against_itself_nothing_changes() -> None:
    groups = _counts([0, 1, 2, 3, 4, 4], 4)
    found = _measure(groups, groups, fingerprint="f")
    for name in ("delta_at_1", "delta_at_max", "area_delta"):
        assert (_measured(found, name).value, _measured(found, name).ci) == (0, (0, 0))
    assert isinstance(found["crossing_k"], Missing)
    assert _measured(found, "support_retention").value == 1
    assert _measured(found, "net_support_change").value == 0


def test_support_is_counted_by_prompt() -> None:
    # 5 kept, 2 lost, 1 found, 2 reached by neither.
    ours = _counts([4, 1, 2, 3, 1, 0, 0, 2, 0, 0], 4)
    base = _counts([1, 1, 4, 2, 3, 1, 2, 0, 0, 0], 4)
    found = _measure(ours, base)
    truth = {
        "support_retention": (5 / 7, 7),
        "net_discovery": (1 / 6, 6),
        "net_support_change": (-1 / 8, 8),
        "newly_reached": (1 / 3, 3),
    }
    for name, (value, n) in truth.items():
        assert _measured(found, name).value == pytest.approx(value)
        assert _measured(found, name).n == n


def test_support_is_compared_at_equal_k() -> None:
    late = [group(i, [completion("7", right=False)] * 4 + [completion()] * 4) for i in range(6)]
    ours, base = [votes(i, 0, ["7"] * 4) for i in range(6)], late
    found = _measure(ours, base)
    assert isinstance(found["support_retention"], Missing)  # in the first four samples nobody reaches anything
    assert _measured(found, "newly_reached").value == 0


def test_support_that_is_not_there_is_missing() -> None:
    found = _measure(_counts([0] * 4, 2), _counts([0] * 4, 2))
    names = ("support_retention", "net_discovery", "net_support_change")
    assert all(isinstance(found[name], Missing) for name in names)
    full = _measure(_counts([2] * 4, 2), _counts([2] * 4, 2))
    assert isinstance(full["newly_reached"], Missing)


def test_area_of_a_change_that_is_linear_in_log_k_is_its_middle() -> None:
    weights = log_grid(32)
    assert weights.sum() == pytest.approx(1)
    assert weights @ np.log(np.arange(1, 33)) == pytest.approx(log(32) / 2)


# ── diversity ─────────────────────────────────────────────────────────────────────────────────────


def _brute(texts: list[str]) -> float:
    distances = []
    for a, b in combinations([t.split() for t in texts], 2):
        if abs(len(a) - len(b)) > 0.2 * max(len(a), len(b)):
            continue
        pairs = [{*zip(["", *t], [*t, ""], strict=True)} for t in (a, b)]
        distances.append(1 - len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1]))
    return float(np.mean(distances)) if distances else float("nan")


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "3", "="]), min_size=0, max_size=7), min_size=0, max_size=6))
def test_distance_is_that_of_all_matched_pairs(texts: list[list[str]]) -> None:
    written = [" ".join(t) for t in texts]
    assert pairwise_distance(written) == pytest.approx(_brute(written), abs=1e-6, nan_ok=True)


def test_distance_is_zero_for_one_text_and_one_for_nothing_shared() -> None:
    assert pairwise_distance(["x = 3", "X=3", "x  =  3"]) == pytest.approx(0, abs=1e-6)
    assert pairwise_distance(["a b c", "d e f"]) == pytest.approx(1)
    assert np.isnan(pairwise_distance(["a b c d e f g h", "a b"]))
    assert np.isnan(pairwise_distance(["a"]))


def _texts(number: int, right: list[str], wrong: list[str]) -> Group:
    def made(text: str, ok: bool) -> Completion:
        return replace(completion("1" if ok else "7", right=ok), text=text)

    return group(number, [*(made(t, True) for t in right), *(made(t, False) for t in wrong)])


def test_diversity_is_apart_for_right_and_wrong_and_paired_where_both_have_it() -> None:
    # Prompt 0: both models have two right answers; prompt 1: only ours has.
    ours = [_texts(0, ["a b c", "a b c"], ["x", "y"]), _texts(1, ["a b", "c d"], ["x", "x"])]
    base = [_texts(0, ["a b c", "d e f"], ["x", "y"]), _texts(1, ["a b"], ["x", "x", "x"])]
    found = _measure(ours, base)
    correct = _measured(found, "correct_diversity")
    assert correct.value == pytest.approx(0.5)
    assert (correct.baseline, correct.delta) == (pytest.approx(1), pytest.approx(-1))
    wrong = _measured(found, "wrong_diversity")
    assert (wrong.value, wrong.delta) == (pytest.approx(0.5), pytest.approx(0))
    alone = _measure(ours)
    assert _measured(alone, "correct_diversity").delta is None


def test_diversity_does_not_depend_on_the_number_of_completions() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdef"), 6)) for _ in range(60)]
    whole = pairwise_distance(texts)
    few = [pairwise_distance(list(rng.choice(texts, 3, replace=False))) for _ in range(400)]
    assert np.mean(few) == pytest.approx(whole, abs=0.02)


def test_what_is_not_there_is_missing_with_its_reason() -> None:
    alone = _measure(_counts([1, 2], 4))
    assert alone["delta_at_1"] == Missing(name="coverage.delta_at_1", reason="no baseline was given")
    assert isinstance(_measure(_counts([4, 4], 4))["wrong_diversity"], Missing)
    assert all(isinstance(m, Missing) for m in _measure([]).values())
    apart = [replace(g, prompt=replace(g.prompt, id=f"q{i}")) for i, g in enumerate(_counts([1, 2], 4))]
    other = _measure(_counts([1, 2], 4), apart)
    assert all(isinstance(m, Missing) and "in common" in m.reason for m in other.values())
    one = _measure(_counts([1, 0, 1], 1), _counts([1, 1, 0], 1))
    missing = one["crossing_k"]
    assert isinstance(missing, Missing)
    assert missing.reason == "needs 2 samples of every prompt, has 1"
