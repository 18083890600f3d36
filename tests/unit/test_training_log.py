"""The end of a training log against its beginning: closed forms, coverage, and the two rules that read it."""

import numpy as np
import pytest

from entropydx import pipeline, stats, training_log
from entropydx.types import Label, Measured, Missing, TrainingLog


def _log(values, column="entropy"):
    return TrainingLog(steps=tuple(range(1, len(values) + 1)), columns={column: tuple(values)})


def _row(values, name="entropy_change", column="entropy"):
    found = {m.name: m for m in training_log.measure_log(_log(values, column))}
    return found[f"training_log.{name}"]


def test_levels_are_means_over_the_first_and_the_last_tenth() -> None:
    values = [1.0, 2.0, 3.0] + [50.0] * 24 + [1.0, 1.0, 2.0]
    row = _row(values)
    assert isinstance(row, Measured)
    assert row.value == pytest.approx((4 / 3) / 2 - 1)
    assert row.n == 30
    assert row.note == "from 2 to 1.33, steps 1 to 30"
    long = np.arange(1.0, 101.0)
    change = _row(long, "reward_change", "reward")
    assert isinstance(change, Measured)
    assert change.value == pytest.approx(np.mean(long[-10:]) - np.mean(long[:10]))


def test_relative_changes_do_not_depend_on_the_unit() -> None:
    rng = np.random.default_rng(3)
    values = np.exp(-np.linspace(0, 2, 60) + 0.1 * rng.normal(size=60))
    nats, bits = _row(values), _row(values / np.log(2))
    assert isinstance(nats, Measured)
    assert isinstance(bits, Measured)
    assert bits.value == pytest.approx(nats.value)
    assert bits.ci == pytest.approx(nats.ci)


def test_without_correlation_the_variance_of_a_mean_is_that_of_independent_points() -> None:
    assert training_log._inflation(10, 0.0) == pytest.approx(0.1)
    # A random walk's neighbours in the limit: the mean of m equal values varies as one of them.
    assert training_log._inflation(10, 1.0) == pytest.approx(1.0)


def _series(rng, n, rho):
    """Return a decaying series with noise of lag-one correlation rho, and its true relative change."""
    t = np.linspace(0, 1, n)
    level = 0.1 + 0.9 * np.exp(-6 * t)
    noise = np.empty(n)
    noise[0] = rng.normal()
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * rng.normal()
    m = max(n // 10, 3)
    return level * np.exp(0.15 * noise), level[-m:].mean() / level[:m].mean() - 1


@pytest.mark.parametrize(("n", "rho"), [(24, 0.0), (40, 0.5), (100, 0.8)])
def test_intervals_hold_the_true_change(n: int, rho: float) -> None:
    rng = np.random.default_rng(0)
    hits, runs = 0, 150
    for _ in range(runs):
        values, truth = _series(rng, n, rho)
        row = _row(values)
        assert isinstance(row, Measured)
        assert row.ci is not None
        hits += row.ci[0] <= truth <= row.ci[1]
    assert hits / runs >= 0.92


def test_a_higher_level_is_a_wider_interval() -> None:
    values, _ = _series(np.random.default_rng(1), 60, 0.3)
    widths = []
    for level in (0.9, 0.99):
        with stats.at_level(level):
            ci = _row(values).ci
            widths.append(ci[1] - ci[0])
    assert widths[1] > widths[0]


def test_what_cannot_be_known_is_missing_with_its_reason() -> None:
    assert _row([0.5] * 15).reason == "needs 16 logged steps, has 15"
    assert _row([None] * 20).reason == "the trainer did not log it"
    assert _row([0.5] * 20, "kl_end", "entropy").reason == "the trainer did not log it"
    assert "0 at the beginning" in _row([0.0] * 8 + [1.0] * 16).reason
    flat = _row([0.5] * 20)
    assert isinstance(flat, Measured)
    assert (flat.value, flat.ci) == (0.0, None)
    assert "does not vary" in flat.note


def test_a_change_without_an_interval_says_why() -> None:
    spike = [1e-4] * 60
    spike[10] = 5000.0
    row = _row(spike)
    assert isinstance(row, Measured)
    assert row.ci is None
    assert "far above the level" in row.note
    gone = _row([max(1 - i / 30, 0.0) for i in range(60)])
    assert isinstance(gone, Measured)
    assert (gone.value, gone.ci) == (-1.0, None)
    assert "ends at 0" in gone.note


def test_shares_stay_shares() -> None:
    row = _row([0.0, 0.2] * 20, "truncated_end", "truncated")
    assert isinstance(row, Measured)
    assert row.ci[0] == 0.0


def test_the_entropy_of_data_is_another_quantity() -> None:
    names = {m.name for m in training_log.measure_log(_log([0.5] * 20))}
    assert "training_log.data_entropy_change" not in names
    found = {m.name: m for m in training_log.measure_log(_log(np.exp(-np.linspace(0, 3, 40)), "data_entropy"))}
    assert isinstance(found["training_log.entropy_change"], Missing)
    assert found["training_log.data_entropy_change"].value < -0.8
    assert not [f for f in pipeline.find(list(found.values()), has_baseline=False) if f.status == "fired"]


def _codes(values, **measured):
    findings = pipeline.find(list(training_log.measure_log(_log(values))), has_baseline=False)
    return {f.code: f for f in findings if f.code in {"EDX106", "EDX913"}}


def test_a_fall_is_suspected_and_a_rise_is_no_failure() -> None:
    rng = np.random.default_rng(0)
    noise = np.exp(0.05 * rng.normal(size=100))
    fall, rise, calm = np.exp(-np.linspace(0, 3, 100)), np.exp(np.linspace(0, 3, 100)), np.ones(100)
    found = {name: _codes(v * noise) for name, v in {"fall": fall, "rise": rise, "calm": calm}.items()}
    statuses = {name: (codes["EDX106"].status, codes["EDX913"].status) for name, codes in found.items()}
    assert statuses == {"fall": ("fired", "clear"), "rise": ("clear", "fired"), "calm": ("clear", "clear")}
    assert not any(f.decisive for codes in found.values() for f in codes.values())
    judged = pipeline.judge(training_log.measure_log(_log(fall * noise)), has_baseline=False)
    assert judged.diagnosis.label == Label.INCONCLUSIVE
    assert judged.diagnosis.failures["training_collapse"].reason.startswith("suspected: EDX106 fired")
    assert judged.diagnosis.failures["training_collapse"].status == "undetermined"


def test_rules_about_a_log_are_silent_where_there_is_none() -> None:
    codes = {f.code for f in pipeline.find([Missing(name="instrument.n_prompts", reason="x")], has_baseline=False)}
    assert not {"EDX106", "EDX913"} & codes
    assert "EDX906" in codes
