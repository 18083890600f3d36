"""Planted accuracy and spread over temperature, greedy texts that differ at known places, a known deployment."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from entropydx.probes.decoding import agreement, probe
from entropydx.types import Completion, Group, Measured, Missing, Samples
from tests.unit.samples import completion, group, samples, votes

Found = dict[str, Measured | Missing]


def _measure(given: Samples) -> Found:
    return {m.name.removeprefix("decoding."): m for m in probe.measure(given, None)}


def _measured(found: Found, name: str) -> Measured:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured


def _right(counts: Sequence[int], k: int) -> tuple[Group, ...]:
    return tuple(votes(i, c, ["7"] * (k - c)) for i, c in enumerate(counts))


def _ladder(**extra: tuple[Group, ...]) -> Samples:
    """Return four prompts whose spread grows with the temperature; the main draw has 8 prompts and 8 samples."""
    return replace(
        samples(_right([2, 2, 2, 2, 8, 8, 8, 8], 8)),
        conditions={
            "greedy": _right([1, 1, 1, 0], 1),
            "temperature_30": _right([4, 4, 4, 0], 4),
            "temperature_60": _right([3, 3, 3, 1], 4),
            **extra,
        },
    )


def test_accuracy_and_spread_at_each_temperature_are_over_the_same_prompts_and_samples() -> None:
    found = _measure(_ladder())
    # Of the main draw, four prompts and the first four samples, of which two are right.
    accuracies = {"accuracy_at_0": 3 / 4, "accuracy_at_30": 3 / 4, "accuracy_at_60": 10 / 16, "accuracy_at_100": 1 / 2}
    spreads = {"spread_at_0": 0, "spread_at_30": 0, "spread_at_60": 1 / 4, "spread_at_100": 1 / 3}
    for name, value in {**accuracies, **spreads}.items():
        assert _measured(found, name).value == pytest.approx(value)
        assert _measured(found, name).n == 4
    note = _measured(found, "spread_at_0").note
    assert note is not None
    assert "by construction" in note


def test_temperature_slope_is_the_least_squares_line() -> None:
    slope = _measured(_measure(_ladder()), "temperature_slope")
    line = np.polyfit([0, 0.3, 0.6, 1.0], [0, 0, 1 / 4, 1 / 3], 1)
    assert slope.value == pytest.approx(line[0])
    assert slope.ci is not None
    assert slope.ci[0] < slope.value < slope.ci[1], "four prompts that agree are not certainty"


def test_cooling_gain_is_paired() -> None:
    gain = _measured(_measure(_ladder()), "cooling_gain")
    assert gain.value == pytest.approx(10 / 16 - 1 / 2)
    changes = np.array([1 / 4, 1 / 4, 1 / 4, -1 / 4])
    assert gain.value == pytest.approx(changes.mean())
    assert gain.ci is not None
    assert -1 / 4 <= gain.ci[0] < gain.value < gain.ci[1] <= 1 / 4, "no wider than the changes of the prompts"


def test_a_temperature_that_was_not_drawn_leaves_out_what_needs_it_only() -> None:
    given = _ladder()
    fewer = {name: groups for name, groups in given.conditions.items() if name != "temperature_30"}
    found = _measure(replace(given, conditions=fewer, skipped={"temperature_30": "the budget ended"}))
    for name in ("accuracy_at_30", "spread_at_30", "temperature_slope"):
        assert found[name] == Missing(name=f"decoding.{name}", reason="the budget ended")
    assert _measured(found, "cooling_gain").value == pytest.approx(1 / 8)
    assert _measured(found, "spread_at_60").value == pytest.approx(1 / 4)


def test_a_main_draw_off_temperature_1_says_nothing_of_temperature_1() -> None:
    given = _ladder(deployment=_right([4] * 4, 4))
    found = _measure(replace(given, params=replace(given.params, temperature=0.7)))
    needs_it = ("accuracy_at_100", "spread_at_100", "temperature_slope", "cooling_gain", "spread_deployment_change")
    for name in needs_it:
        missing = found[name]
        assert isinstance(missing, Missing)
        assert "temperature 0.7" in missing.reason
    assert _measured(found, "accuracy_at_60").value == pytest.approx(10 / 16)
    assert _measured(found, "pass_at_1_deployment").value == 1


# ── numerics ──────────────────────────────────────────────────────────────────────────────────────


def _greedy(number: int, tokens: Sequence[int]) -> Group:
    made: Completion = replace(completion(), token_ids=np.array(tokens, dtype=int))
    return group(number, [made])


@pytest.mark.parametrize(
    ("batched", "alone", "same", "prefix"),
    [
        ([1, 2, 3], [1, 2, 3], 1, 1),
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4], 1, 1),  # the second was cut at the limit of 4
        ([1, 2, 9], [1, 2, 3], 0, 2 / 3),
        ([1, 2], [1, 2, 3], 0, 2 / 3),  # the first stopped by itself
        ([9, 2, 3, 4], [1, 2, 3, 4], 0, 0),
        ([], [], 1, 1),
    ],
)
def test_greedy_texts_agree_up_to_the_shorter_limit(
    batched: list[int], alone: list[int], same: float, prefix: float
) -> None:
    assert agreement(_greedy(0, batched), _greedy(0, alone), limit=4) == (same, pytest.approx(prefix))


def test_repeatability_is_over_the_prompts_that_were_drawn_alone() -> None:
    batched = tuple(_greedy(i, [1, 2, 3, 4]) for i in range(6))
    alone = (_greedy(0, [1, 2, 3, 4]), _greedy(1, [1, 2, 3, 4]), _greedy(2, [1, 2, 3, 4]), _greedy(3, [1, 9, 3, 4]))
    given = replace(samples(_right([2] * 6, 4)), conditions={"greedy": batched, "greedy_alone": alone})
    found = _measure(given)
    assert _measured(found, "greedy_repeatability").value == pytest.approx(3 / 4)
    assert _measured(found, "greedy_agreement_prefix").value == pytest.approx((3 + 1 / 4) / 4)
    assert _measured(found, "greedy_repeatability").n == 4


def test_full_agreement_of_a_few_prompts_is_not_certainty() -> None:
    texts = tuple(_greedy(i, [1, 2]) for i in range(8))
    given = replace(samples(_right([2] * 8, 4)), conditions={"greedy": texts, "greedy_alone": texts})
    repeats = _measured(_measure(given), "greedy_repeatability")
    # Clopper-Pearson for 8 of 8, at the level of every interval.
    assert repeats.ci == (pytest.approx(0.00625 ** (1 / 8)), 1)


# ── deployment ────────────────────────────────────────────────────────────────────────────────────


def test_deployment_against_the_main_draw_on_the_same_prompts_and_samples() -> None:
    found = _measure(_ladder(deployment=_right([3, 3, 4, 4], 4)))
    truth = {
        "pass_at_1_deployment": 14 / 16,
        "pass_at_1_deployment_change": 14 / 16 - 1 / 2,
        "spread_deployment": (1 / 4 + 1 / 4) / 4,
        "spread_deployment_change": 1 / 8 - 1 / 3,
        # Three of four vote for the right answer on the first two; two of four tie in the main draw.
        "majority_gain_deployment": (1 / 4 + 1 / 4) / 4,
        "majority_gain_deployment_change": 1 / 8 - 0,
    }
    for name, value in truth.items():
        assert _measured(found, name).value == pytest.approx(value)
        assert _measured(found, name).ci is not None


def test_deployment_that_is_the_policy_itself_is_missing_with_that_reason() -> None:
    reason = "the model is deployed with temperature 1 and top_p 1, which is the main draw"
    found = _measure(replace(_ladder(), skipped={"deployment": reason}))
    for name in ("spread_deployment", "pass_at_1_deployment_change", "majority_gain_deployment"):
        assert found[name] == Missing(name=f"decoding.{name}", reason=reason)


def test_what_was_not_drawn_is_missing_with_its_reason() -> None:
    found = _measure(samples(_right([2] * 4, 4)))
    assert found["accuracy_at_0"] == Missing(name="decoding.accuracy_at_0", reason="'greedy' was not drawn in this run")
    assert _measured(found, "spread_at_100").value == pytest.approx(1 / 3)
    missing = {"spread_at_30", "temperature_slope", "cooling_gain", "greedy_repeatability", "spread_deployment"}
    assert all(isinstance(found[name], Missing) for name in missing)
    assert all(isinstance(m, Missing) for m in probe.measure(samples([]), None))
    other = tuple(replace(g, prompt=replace(g.prompt, id=f"q{i}")) for i, g in enumerate(_right([1, 1], 2)))
    apart = _measure(replace(samples(_right([2] * 4, 4)), conditions=dict.fromkeys(_ladder().conditions, other)))
    assert all(isinstance(m, Missing) for name, m in apart.items()), "no prompt that all of them have"
