"""Velocity and acceleration by hand, and matched length on prompts of known lengths."""

from collections.abc import Sequence

import numpy as np
import pytest

from entropydx.probes.effective_rank import probe, velocities
from entropydx.types import Measured, Measurement, Missing, Samples
from tests.unit.samples import completion, group
from tests.unit.scored_samples import delta, score, scored, value

STRIDE = 20


def _measure(ours: Samples, base: Samples | None = None) -> dict[str, Measurement]:
    return {m.name.removeprefix("effective_rank."): m for m in probe.measure(ours, base)}


def _samples(ranks: Sequence[Sequence[float] | None], fingerprint: str = "f", stride: int = STRIDE) -> Samples:
    """Return one prompt for every entry; None for a prompt that was not scored."""
    groups = [group(i, [completion()] * 2) for i in range(len(ranks))]
    hidden = [score(i, ranks=r, stride=stride) for i, r in enumerate(ranks) if r is not None]
    return scored(groups, {"hidden": hidden}, fingerprint=fingerprint)


def test_rank_velocity_and_acceleration_by_hand() -> None:
    # ERV_1 = 3 - 1, ERV_2 = 5 - (1 + 3)/2, ERA_2 = 3 - 2; and twice that.
    found = _measure(_samples([[1, 3, 5], [2, 6, 10]]))
    assert value(found, "rank") == 7.5
    assert value(found, "velocity") == 3.75
    assert value(found, "acceleration") == 1.5


def test_velocities_agree_with_a_plain_loop() -> None:
    ranks = np.random.default_rng(0).uniform(1, 30, size=(5, 9))
    by_hand = [[row[j] - sum(row[:j]) / j for j in range(1, 9)] for row in ranks.tolist()]
    assert velocities(ranks) == pytest.approx(np.array(by_hand))


def test_everything_is_compared_at_the_length_that_half_of_the_prompts_reach_in_both() -> None:
    ours = _samples([[1, 2, 3, 9], [1, 2, 5, 9], [4, 4], [8]], fingerprint="a")
    base = _samples([[1, 2, 4], [1, 2, 7], [4, 4, 4], [8, 8, 8]], fingerprint="b")
    found = _measure(ours, base)
    rank = found["rank"]
    assert isinstance(rank, Measured)
    # Both reach 3, 3, 2, 1 windows: two of four prompts reach three.
    assert (rank.value, rank.baseline, rank.n) == (4.0, 5.5, 2)
    assert rank.delta == -1.5
    assert rank.note is not None
    assert rank.note.startswith("at the first 60 tokens, which 2 prompts reach")


def test_without_a_baseline_the_length_is_the_checkpoints_own() -> None:
    found = _measure(_samples([[1, 2, 3, 4, 5], [1, 2, 3, 4], [1]]))
    rank = found["rank"]
    assert isinstance(rank, Measured)
    assert rank.value == 4
    assert rank.baseline is None
    assert "80 tokens" in str(rank.note)


def test_a_change_of_the_same_texts_is_zero() -> None:
    both = _samples([[1, 3, 5], [2, 6, 10], [1, 1, 4]])
    found = _measure(both, both)
    for name in ("rank", "velocity", "acceleration"):
        assert delta(found, name) == 0
        assert found[name].delta_ci == (0, 0)  # type: ignore[union-attr]


def test_prompts_that_were_not_scored_do_not_count() -> None:
    found = _measure(_samples([[1, 2, 3], [3, 4, 5], None, None, None, None]))
    rank = found["rank"]
    assert isinstance(rank, Measured)
    assert (rank.value, rank.n) == (4.0, 2)


@pytest.mark.parametrize(("windows", "measured"), [(0, set()), (1, {"rank"}), (2, {"rank", "velocity"})])
def test_too_few_windows_are_missing(windows: int, measured: set[str]) -> None:
    found = _measure(_samples([[1.0, 2.0][:windows], [2.0, 4.0][:windows]]))
    assert {name for name, m in found.items() if isinstance(m, Measured)} == measured
    acceleration = found["acceleration"]
    assert isinstance(acceleration, Missing)
    assert "needs 3 windows of 20 tokens" in acceleration.reason


def test_without_the_pass_the_reason_is_given() -> None:
    groups = [group(i, [completion()] * 2) for i in range(3)]
    for skipped, reason in (({"hidden": "the engine shows none"}, "the engine shows none"), ({}, "was not drawn")):
        for missing in _measure(scored(groups, {}, skipped=skipped)).values():
            assert isinstance(missing, Missing)
            assert reason in missing.reason
    assert all(isinstance(m, Missing) for m in _measure(scored([], {})).values())


def test_a_baseline_that_cannot_be_compared_gives_no_change() -> None:
    ours = _samples([[1, 3, 5], [2, 6, 10]], fingerprint="a")
    unscored = scored(ours.groups, {}, fingerprint="b", skipped={"hidden": "too little memory"})
    for base, why in (
        (unscored, "no change: too little memory"),
        (_samples([[1], [1]], fingerprint="b", stride=40), "lie 40 tokens apart, the checkpoint's 20"),
    ):
        rank = _measure(ours, base)["rank"]
        assert isinstance(rank, Measured)
        assert rank.value == 7.5
        assert rank.delta is None
        assert why in str(rank.note)


def test_no_prompt_in_common_is_missing() -> None:
    base = scored([group(i + 9, [completion()]) for i in range(2)], {"hidden": [score(9, ranks=[1, 2], stride=STRIDE)]})
    assert all(isinstance(m, Missing) for m in _measure(_samples([[1, 3], [2, 6]], fingerprint="a"), base).values())
