"""Training: every fit against scikit-learn, scipy or a closed form; the document against the models it came from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from entropydx.cases import write_case
from entropydx.classifier import Classifier, sigmoid
from entropydx.errors import ConfigError
from entropydx.features import WITH_BASELINE, feature_sets
from entropydx.fitting.__main__ import main
from entropydx.fitting.comparison import END, START, compare, markdown, write_block
from entropydx.fitting.fit import _inner_folds, fit, platt, standardise
from entropydx.fitting.models import MODELS, Linear, boosting, lasso, penalised, ridge, signed
from entropydx.fitting.scores import figures, judge
from entropydx.fitting.table import tabulate
from entropydx.fitting.training import cases_sha, document_text, fit_folds, fold_names, train
from entropydx.types import FAILURES, Label, Missing
from tests.unit.labelled_cases import BASES, cases

COLLAPSE = Label.TRAINING_COLLAPSE


@pytest.fixture(scope="module")
def document():
    return train(cases(per_cell=1))


@pytest.fixture(scope="module")
def classifier(document, tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "classifier.json"
    path.write_text(document_text(document))
    return Classifier.load(path)


@pytest.fixture
def table():
    return tabulate(cases(), COLLAPSE, WITH_BASELINE[COLLAPSE], has_baseline=True)


def _problem(seed: int = 0, n: int = 60, p: int = 4):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, p))
    truth = z @ np.array([1.5, -1.0, 0.5, 0.0])[:p]
    return z, (truth + rng.logistic(size=n) > 0).astype(int)


# ── the shipped coefficients ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["with_baseline", "without_baseline"])
@pytest.mark.parametrize("failure", FAILURES)
def test_the_document_gives_the_probabilities_of_scikit_learn(classifier, mode, failure):
    """Refit each model with scikit-learn alone, on the features whose sign holds, with the penalty that was chosen."""
    model, table_ = classifier.models[mode][failure], _table(failure, mode)
    strength = classifier.trained["nested"][mode][failure]["strength"]
    z = (table_.x - table_.x.mean(axis=0)) / table_.x.std(axis=0)
    used = np.flatnonzero(model.whole.weights)
    oracle = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-12).fit(z[:, used], table_.y)
    expected = oracle.predict_proba(z[:, used])[:, 1]
    assert_allclose(sigmoid(model.whole.log_odds(table_.x)), expected, atol=1e-9)
    assert np.all(model.whole.weights * table_.signs >= 0)


def _table(failure: Label, mode: str):
    has_baseline = mode == "with_baseline"
    return tabulate(
        cases(per_cell=1), failure, feature_sets(has_baseline=has_baseline)[failure], has_baseline=has_baseline
    )


def test_a_case_is_judged_by_the_coefficients_that_never_saw_it(classifier):
    """The coefficients of a fold are those of a training on the other cases alone."""
    kept = [c for c in cases(per_cell=1) if c.base != "gpt"]
    alone = fit(tabulate(kept, COLLAPSE, WITH_BASELINE[COLLAPSE], has_baseline=True), np.arange(len(kept)))
    fold = classifier.models["with_baseline"][COLLAPSE].folds["base=gpt"]
    expected = alone.uncalibrated().coefficients()
    assert_allclose(fold.weights, expected.weights, rtol=1e-9)
    assert_allclose(fold.log_odds(fold.high), expected.log_odds(expected.high), rtol=1e-9)
    assert classifier.folds(has_baseline=True) == set(fold_names(cases()))
    assert len(fold_names(cases())) == len(BASES) + 10


def test_training_is_reproducible_to_the_byte(tmp_path: Path, document, capsys):
    for case in reversed(cases(per_cell=1)):
        write_case(case, tmp_path / "cases")
    out = tmp_path / "classifier.json"
    assert main([str(tmp_path / "cases"), "--out", str(out)]) == 0
    assert "with_baseline training_collapse" in capsys.readouterr().out
    assert out.read_text() == document_text(document), "trained apart, from cases in another order"
    read = json.loads(out.read_text())
    assert read["trained"]["cases"] == sorted(c.name for c in cases(per_cell=1))
    assert read["trained"]["sha"] == cases_sha(cases(per_cell=1)) != cases_sha(cases(per_cell=1)[1:])


def test_unclear_cases_and_other_seeds_do_not_train():
    some = cases()
    unclear = replace(some[0], truth=dict(some[0].truth) | {"training_collapse": "unclear"})
    later = replace(some[1], draws=(replace(some[1].draws[0], seed=1),))
    table = tabulate([unclear, later, *some[2:]], COLLAPSE, WITH_BASELINE[COLLAPSE], has_baseline=True)
    assert not {some[0].name, some[1].name} & set(table.names)
    assert len(table.y) == len(some) - 2
    again = tabulate([unclear], Label.INFERENCE_VARIANCE, WITH_BASELINE[Label.INFERENCE_VARIANCE], has_baseline=True)
    assert again.y.tolist() == [0]


def test_a_case_without_a_feature_is_left_out_and_named():
    some = cases()
    name = "sampling_spread.coverage@in"
    rows = tuple(Missing(name=name, reason="none") if m.name == name else m for m in some[0].draws[0].measurements)
    poor = replace(some[0], draws=(replace(some[0].draws[0], measurements=rows),))
    table = tabulate([poor, *some[1:]], COLLAPSE, WITH_BASELINE[COLLAPSE], has_baseline=True)
    assert table.dropped == (f"{some[0].name}: change of {name} (none)",)
    assert len(table.y) == len(some) - 1


def test_a_failure_that_no_case_has_is_an_error(tmp_path: Path, capsys):
    healthy = [c for c in cases() if c.label != COLLAPSE]
    with pytest.raises(ConfigError, match="0 labelled cases with training collapse"):
        train(healthy)
    write_case(healthy[0], tmp_path)
    assert main([str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
    assert "grow more cases" in capsys.readouterr().err


# ── models ────────────────────────────────────────────────────────────────────────────────────────


def test_the_smooth_solver_agrees_with_scikit_learn():
    z, y = _problem()
    for strength in (0.1, 1.0):
        ours, theirs = penalised(z, y, strength, 0.0), ridge(z, y, strength)
        assert_allclose(ours.weights, theirs.weights, atol=1e-5)
        assert_allclose(ours.intercept, theirs.intercept, atol=1e-5)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_absolute_penalties_agree_with_scikit_learn(l1_ratio: float):
    z, y = _problem()
    theirs = LogisticRegression(C=0.3, l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=100_000).fit(z, y)
    ours = penalised(z, y, 0.3, l1_ratio=l1_ratio)
    assert_allclose(ours.weights, theirs.coef_[0], atol=1e-5)
    assert_allclose(ours.intercept, theirs.intercept_[0], atol=1e-5)
    assert_allclose(lasso(z, y, 0.3).weights, penalised(z, y, 0.3, l1_ratio=1.0).weights)


def test_signs_that_hold_change_nothing_and_signs_that_do_not_give_zero():
    z, y = _problem()
    free = ridge(z, y, 1.0)
    agreeing = np.sign(free.weights).astype(int)
    assert_allclose(signed(z, y, 1.0, agreeing).weights, free.weights, atol=1e-9)
    against = agreeing * np.array([1, -1, 1, 1])
    bound = signed(z, y, 1.0, against)
    assert bound.weights[1] == 0
    assert_allclose(bound.weights[[0, 2, 3]], ridge(z[:, [0, 2, 3]], y, 1.0).weights, atol=1e-9)
    nothing = signed(z, y, 1.0, -agreeing)
    assert np.all(nothing.weights == 0)
    assert_allclose(nothing.intercept, np.log(y.mean() / (1 - y.mean())), atol=1e-2)


def test_a_sign_constrained_minimum_cannot_be_improved():
    """Karush-Kuhn-Tucker: at a bound the loss rises inwards; elsewhere its slope is 0."""
    z, y = _problem(3)
    signs = np.array([1, 1, -1, 1])
    found = signed(z, y, 1.0, signs)
    pull = sigmoid(z @ found.weights + found.intercept) - y
    slope = z.T @ pull + found.weights
    bound = found.weights == 0
    assert bound.any()
    assert np.all(slope[bound] * signs[bound] >= -1e-6)
    assert_allclose(slope[~bound], 0, atol=1e-6)


def test_boosting_obeys_the_signs():
    z, y = _problem()
    signs = np.array([1, -1, 1, -1])
    model = boosting(z, y, 1.0, signs)
    for column, sign in enumerate(signs):
        line = np.zeros((50, 4))
        line[:, column] = np.linspace(-3, 3, 50)
        assert np.all(np.diff(model.log_odds(line)) * sign >= -1e-12)


def test_platt_has_the_closed_form_of_two_scores():
    """With two distinct scores the fit meets the mean of the smoothed targets at each of them."""
    scores, y = np.array([-1.0] * 5 + [2.0] * 4), np.array([0, 0, 0, 0, 1, 1, 1, 1, 0])
    slope, offset = platt(scores, y)
    high, low = 5 / 6, 1 / 7  # 4 positive cases, 5 negative: (4 + 1) / (4 + 2) and 1 / (5 + 2)
    first, second = (4 * low + high) / 5, (3 * high + low) / 4
    assert_allclose(sigmoid(slope * -1.0 + offset), first, atol=1e-6)
    assert_allclose(sigmoid(slope * 2.0 + offset), second, atol=1e-6)


def test_a_calibration_is_folded_into_what_ships(table):
    fitted = fit(table, np.arange(len(table.y)))
    assert fitted.slope != 1
    assert_allclose(fitted.coefficients().log_odds(table.x), fitted.log_odds(table.x), rtol=1e-9)
    own = fitted.uncalibrated()
    assert_allclose(fitted.log_odds(table.x), fitted.slope * own.log_odds(table.x) + fitted.offset, rtol=1e-9)


def test_scores_that_order_nothing_leave_the_base_rate(table):
    rng = np.random.default_rng(1)
    noise = replace(table, x=rng.normal(size=table.x.shape), y=(np.arange(len(table.y)) % 4 == 0).astype(int))
    fitted = fit(noise, np.arange(len(noise.y)))
    assert np.all(np.abs(sigmoid(fitted.log_odds(noise.x)) - 0.25) < 0.2)


def test_one_kind_of_case_gives_its_base_rate(table):
    rows = np.flatnonzero(table.y == 0)
    fitted = fit(table, rows)
    assert_allclose(sigmoid(fitted.log_odds(table.x)), 0.5 / (len(rows) + 1), rtol=1e-6)


def test_a_constant_feature_keeps_a_scale():
    center, scale = standardise(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert_allclose(center, [2, 5])
    assert_allclose(scale, [1, 1])


# ── figures ───────────────────────────────────────────────────────────────────────────────────────


def test_figures_of_known_probabilities():
    found = figures(np.array([0.9, 0.2, np.nan, 0.6]), np.array([1, 0, 1, 0]))
    assert (found["n"], found["n_present"], found["n_abstained"]) == (4, 2, 1)
    assert_allclose(found["brier"], (0.01 + 0.04 + 0.36) / 3, rtol=1e-3)
    assert_allclose(found["log_loss"], -np.log([0.9, 0.8, 0.4]).mean(), rtol=1e-3)
    assert_allclose(found["reference_brier"], 2 / 9, rtol=1e-3)
    assert_allclose(found["f1"], 2 / 3, rtol=1e-3)
    assert "brier" not in figures(np.array([np.nan]), np.array([1]))


def test_left_out_probabilities_find_the_planted_failures(table):
    fitted = fit_folds(table, fold_names(cases()), "ridge")
    for kind in ("base", "recipe"):
        found = figures(judge(table, fitted, kind), table.y)
        assert found["brier"] < 0.75 * found["reference_brier"]
        assert found["n_abstained"] < 0.1 * found["n"]


@pytest.mark.slow
def test_the_comparison_goes_into_the_page(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("entropydx.fitting.comparison.MODELS", {"ridge": MODELS["ridge"]})
    rows = compare(cases(per_cell=1))
    assert len(rows) == 8
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    write_block(page, markdown(rows, 30))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| with baseline | base | ridge | Platt |" in text
    page.write_text("no markers")
    with pytest.raises(ConfigError, match="no part that is generated"):
        write_block(page, "x")


def test_inner_folds_spread_the_failure_and_keep_groups_whole():
    groups = np.repeat(np.arange(12), 3)
    y = np.isin(groups, [0, 6]).astype(int)
    folds = _inner_folds(groups, y)
    assert all(len(set(folds[groups == g])) == 1 for g in range(12))
    assert len(set(folds[y == 1])) == 2
    assert np.bincount(folds).tolist() == [6] * 6


def test_only_a_linear_model_ships(table):
    assert isinstance(fit(table, np.arange(len(table.y))).model, Linear)
    with pytest.raises(TypeError, match="linear"):
        fit(table, np.arange(len(table.y)), "monotone boosting").coefficients()
