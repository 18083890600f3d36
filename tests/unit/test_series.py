"""The law, the change point and the order of events, against closed forms, brute force and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from entropydx import series
from entropydx.series import LEVEL, N_PERMUTATIONS, change_point, fit_law, hold_out, holm, moved_since

STEPS = tuple(20.0 * i for i in range(9))
ENTROPY = np.array([0.9, 0.7, 0.55, 0.4, 0.3, 0.2, 0.12, 0.06])
EARLY = np.array([0.5, 0.45, 0.4, 0.1, 0.05])
NAMES = [f"checkpoint-{i}" for i in range(8)]


def law(a=0.2, b=0.8, noise=0.0, seed=0):
    return b - a * np.exp(ENTROPY) + noise * np.random.default_rng(seed).normal(size=len(ENTROPY))


# ── the law ───────────────────────────────────────────────────────────────────────────────────────


def test_exact_points_give_the_exact_law():
    fit = fit_law(ENTROPY, law(), NAMES)
    assert (fit.a, fit.b, fit.ceiling) == pytest.approx((0.2, 0.8, 0.6))
    assert fit.headroom == pytest.approx(0.2 * (np.exp(ENTROPY[-1]) - 1))
    assert (fit.r_squared, fit.residual_sd, fit.held_out_rmse) == pytest.approx((1, 0, 0), abs=1e-9)
    assert fit.a_ci == pytest.approx((0.2, 0.2))
    assert fit.holds is True
    assert [p.name for p in fit.held_out] == NAMES[4:]


def test_coefficients_and_intervals_are_those_of_ordinary_least_squares():
    reward = law(noise=0.02, seed=3)
    fit = fit_law(ENTROPY, reward, NAMES)
    oracle = stats.linregress(-np.exp(ENTROPY), reward)
    t = stats.t.ppf(0.975, 6)
    assert (fit.a, fit.b) == pytest.approx((oracle.slope, oracle.intercept))
    assert fit.a_ci == pytest.approx((oracle.slope - t * oracle.stderr, oracle.slope + t * oracle.stderr))
    reach = t * oracle.intercept_stderr
    assert fit.b_ci == pytest.approx((oracle.intercept - reach, oracle.intercept + reach))
    assert fit.r_squared == pytest.approx(oracle.rvalue**2)
    # The ceiling is the intercept of the same regression with the design moved by one.
    moved = stats.linregress(1 - np.exp(ENTROPY), reward)
    assert fit.ceiling == pytest.approx(moved.intercept)
    assert fit.ceiling_ci == pytest.approx(
        (moved.intercept - t * moved.intercept_stderr, moved.intercept + t * moved.intercept_stderr)
    )


def test_the_prediction_interval_is_the_textbook_one():
    reward = law(noise=0.02, seed=4)
    first = hold_out(ENTROPY, reward, NAMES)[0]
    x, y, new = -np.exp(ENTROPY[:4]), reward[:4], -np.exp(ENTROPY[4])
    oracle = stats.linregress(x, y)
    sd = np.sqrt(np.sum((y - oracle.intercept - oracle.slope * x) ** 2) / 2)
    reach = stats.t.ppf(1 - 0.05 / 4 / 2, 2) * sd
    reach *= np.sqrt(1 + 1 / 4 + (new - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    assert first.predicted == pytest.approx(oracle.intercept + oracle.slope * new)
    assert first.interval == pytest.approx((first.predicted - reach, first.predicted + reach))


def test_a_second_half_that_leaves_the_law_is_said_to():
    reward = law()
    reward[6:] -= 0.3
    fit = fit_law(ENTROPY, reward, NAMES, noise=0.01)
    assert fit.holds is False
    assert "2 of 4 later points, checkpoint-6 first" in fit.why
    assert [p.inside for p in fit.held_out] == [True, True, False, False]


def test_accuracy_that_falls_with_entropy_is_not_the_law():
    fit = fit_law(ENTROPY, law(a=-0.2), NAMES)
    assert fit.holds is False
    assert fit.a == pytest.approx(-0.2)
    assert "below 0" in fit.why


@pytest.mark.parametrize(
    ("entropy", "reward", "why"),
    [
        (ENTROPY[:4], law()[:4], "needs 5 or more points that have both numbers, has 4"),
        (np.full(8, 0.3), law(), "does not move"),
        (0.3 + 0.001 * ENTROPY, 0.5 + 0.01 * np.cos(np.arange(8)), "hardly moved"),
        (ENTROPY, np.zeros(8), "pass@1 does not move"),
        (ENTROPY, np.full(8, 0.3), "pass@1 does not move"),
        (ENTROPY, 0.5 + 0.01 * np.cos(2 * np.arange(8)), "holds 0"),
        (EARLY, 0.8 - 0.2 * np.exp(EARLY) + np.array([0.004, -0.006, 0.004, 0, 0]), "no test"),
    ],
    ids=["few", "constant", "hardly", "all wrong", "constant reward", "no relation", "too wide"],
)
def test_where_it_cannot_be_told_it_says_why(entropy, reward, why):
    fit = fit_law(entropy, reward, NAMES[: len(reward)], noise=0.0)
    assert fit.holds is None
    assert why in fit.why
    assert (fit.a is None) == ("needs" in why or "does not" in why)


def test_points_that_lie_on_a_line_by_chance_are_not_taken_for_certain():
    exact, noisy = fit_law(ENTROPY, law(), NAMES), fit_law(ENTROPY, law(), NAMES, noise=0.02)
    assert np.ptp(exact.a_ci) == pytest.approx(0, abs=1e-9)
    spread = np.sum((np.exp(ENTROPY) - np.exp(ENTROPY).mean()) ** 2)
    assert np.ptp(noisy.a_ci) == pytest.approx(2 * stats.t.ppf(0.975, 6) * 0.02 / np.sqrt(spread))


@pytest.mark.slow
def test_the_intervals_of_the_law_cover_the_truth_and_the_second_half_is_predicted():
    fits = [fit_law(ENTROPY, law(noise=0.02, seed=seed), NAMES) for seed in range(600)]
    truth = {"a": 0.2, "b": 0.8, "ceiling": 0.6, "headroom": 0.2 * (np.exp(ENTROPY[-1]) - 1)}
    for name, value in truth.items():
        covered = np.mean([lo <= value <= hi for lo, hi in (getattr(f, f"{name}_ci") for f in fits)])
        assert 0.93 <= covered <= 0.97, (name, covered)
    joint = np.mean([all(p.inside for p in f.held_out) for f in fits])
    assert 0.95 <= joint <= 1


# ── the change point ──────────────────────────────────────────────────────────────────────────────


def jump(at):
    return np.where(np.array(STEPS) > at, -1.0, 0.0)


def stick(at, end=np.inf):
    return -np.clip(np.array(STEPS) - at, 0, end - at) / 40


@pytest.mark.parametrize("at", [20.0, 60.0, 100.0])
def test_a_jump_is_found_between_its_two_checkpoints(at):
    change = change_point(STEPS, jump(at))
    assert STEPS[change.last_before] == at
    assert change.ci == pytest.approx((at, at + 20))
    assert change.at == pytest.approx(at + 10)
    assert (change.before, change.after, change.explained) == pytest.approx((0, -1, 1))


@pytest.mark.parametrize("at", [20.0, 50.0, 60.0, 85.0])
def test_a_decline_is_found_where_it_begins(at):
    for shape in (stick(at), stick(at, at + 50)):
        change = change_point(STEPS, shape)
        assert change.at == pytest.approx(at)
        assert STEPS[change.last_before] <= at < STEPS[change.last_before + 1]
        assert change.explained == pytest.approx(1)


def test_a_decline_from_the_start_reaches_back_to_the_start():
    change = change_point(STEPS, stick(0.0))
    assert change.ci[0] == 0
    assert change.last_before == 0


def test_unequal_steps_are_an_axis_like_any_other():
    steps = (0.0, 5.0, 10.0, 50.0, 100.0, 200.0, 400.0)
    change = change_point(steps, np.array([0, 0, 0, 0, -1.0, -1.0, -1.0]))
    assert (steps[change.last_before], change.ci) == (50, (50, 100))


def test_nothing_is_found_in_a_constant_or_in_four_points():
    assert change_point(STEPS, np.full(9, 0.3)) is None
    assert change_point(STEPS[:4], np.array([0.0, 0, 1, 1])) is None


def test_the_p_value_is_that_of_every_permutation_of_a_brute_force_search():
    x, y = STEPS[:5], np.array([0.1, 0.0, 0.2, 0.9, 1.4])
    starts, ramps = series._ramps(tuple(x))
    assert len(starts) == len(ramps)

    def best(values):
        total = np.sum((values - values.mean()) ** 2)
        rest = []
        for ramp in ramps:
            design = np.column_stack([np.ones(5), ramp])
            rest.append(np.sum((values - design @ np.linalg.lstsq(design, values, rcond=None)[0]) ** 2))
        return 1 - min(rest) / total

    observed = best(y)
    exact = np.mean([best(y[list(order)]) >= observed - 1e-9 for order in itertools.permutations(range(5))])
    change = change_point(x, y)
    assert change.explained == pytest.approx(observed)
    assert change.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / N_PERMUTATIONS))
    assert change == change_point(x, y), "deterministic"


def test_noise_that_is_known_widens_the_interval():
    sure, unsure = change_point(STEPS, stick(60.0)), change_point(STEPS, stick(60.0), noise=0.3)
    assert sure.at == unsure.at
    assert unsure.ci[0] < sure.ci[0]
    assert unsure.ci[1] > sure.ci[1]


PLANTED = {
    "jump": (jump(60.0), 0.1, 60.0),
    "broken stick": (stick(60.0), 0.1, 60.0),
    "ramp to a floor": (stick(60.0, 110.0), 0.1, 60.0),
    "begin between two": (stick(70.0), 0.1, 70.0),
    "drift, then collapse": (stick(60.0) - np.array(STEPS) / 400, 0.1, 60.0),
    "relaxation": (-2 * (1 - np.exp(-np.clip(np.array(STEPS) - 60, 0, None) / 30)), 0.1, 60.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_the_interval_covers_the_planted_onset_in_nine_draws_of_ten(name):
    shape, sd, truth = PLANTED[name]
    rng = np.random.default_rng(7)
    found = [change_point(STEPS, shape + rng.normal(0, sd, 9)) for _ in range(200)]
    assert np.mean([c.ci[0] <= truth <= c.ci[1] for c in found]) >= 0.9
    assert np.mean([abs(STEPS[c.last_before] - truth) <= 20 for c in found]) >= 0.95
    assert np.mean([c.p_value <= 0.05 for c in found]) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 9, 14])
def test_false_alarms_stay_at_one_in_twenty(n):
    rng = np.random.default_rng(11)
    x = tuple(20.0 * i for i in range(n))
    alarms = np.mean([change_point(x, rng.standard_t(4, n)).p_value <= 1 - LEVEL for _ in range(500)])
    # One standard error of 500 draws at 0.05 is 0.0097.
    assert alarms <= 0.05 + 2 * 0.0097


def test_holm_rejects_step_by_step():
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.2, 0.5]) == [False, False]
    assert holm([]) == []


# ── what moved first ──────────────────────────────────────────────────────────────────────────────

INSIDE, ABOVE, BELOW = (0.1, (-1.0, 1.0)), (1.0, (0.5, 1.5)), (-1.0, (-1.5, -0.5))
FAR, TINY = (-9.0, (-9.5, -8.5)), (-1.0, (-1.1, -0.9))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([INSIDE, BELOW, BELOW], (1, False)),
        ([INSIDE, BELOW, INSIDE, BELOW], (3, False)),
        ([ABOVE, BELOW, ABOVE, ABOVE], (2, True)),
        ([INSIDE, None, ABOVE], (2, True)),
        ([BELOW, None], None),
        ([BELOW, INSIDE], None),
        ([(0.0, (0.0, 0.0)), BELOW], (1, False)),
        ([(0.0, (0.0, 0.0))] * 3, None),
        ([INSIDE, TINY, TINY, FAR], (3, False)),
        ([INSIDE, TINY, TINY, TINY], (1, False)),
        ([], None),
    ],
)
def test_moved_is_moved_for_good_and_a_fifth_of_the_way(changes, expected):
    assert moved_since(changes) == expected
