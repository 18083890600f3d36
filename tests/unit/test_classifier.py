"""The classifier at diagnosis: probabilities, abstention, folds, and what it does not import."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from entropydx.classifier import MARGIN, NONE_SHIPPED, SHIPPED, Classifier, Coefficients, outside, sigmoid
from entropydx.errors import ConfigError
from entropydx.features import WITH_BASELINE, WITHOUT_BASELINE, Feature, feature_sets
from entropydx.fitting.training import document_text, train
from entropydx.types import FAILURES, Label, Measured, Measurement, Missing
from tests.unit.labelled_cases import cases, measurements

COLLAPSE = Label.TRAINING_COLLAPSE


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("classifier") / "classifier.json"
    path.write_text(document_text(train(cases(per_cell=1))))
    return path


@pytest.fixture(scope="module")
def classifier(path: Path) -> Classifier:
    return Classifier.load(path)


@pytest.fixture
def collapsed() -> dict[str, Measurement]:
    """A checkpoint whose collapse is as plain as the cases make it, without noise."""
    quiet = {m.name: 0.0 for m in measurements(COLLAPSE, np.random.default_rng(0))}
    features = [f for s in (WITH_BASELINE, WITHOUT_BASELINE) for f in s[COLLAPSE]]
    signs = {f.measurement: f.sign for f in features}
    logs = {
        f.measurement
        for s in (WITH_BASELINE, WITHOUT_BASELINE)
        for fs in s.values()
        for f in fs
        if f.transform == "log"
    }
    rows: dict[str, Measurement] = {}
    for name in quiet:
        change = 1.5 * signs.get(name, 0)
        value = float(np.exp(change)) if name in logs else change
        rows[name] = Measured(name=name, value=value, unit="", n=40, ci=None, baseline=0.0, delta=change)
    return rows


def test_a_plain_collapse_is_named_and_explained(classifier, collapsed):
    for has_baseline in (True, False):
        opinion = classifier.assess(collapsed, has_baseline)
        assert opinion.label() == COLLAPSE
        said = opinion.failures[COLLAPSE]
        model = classifier.models["with_baseline" if has_baseline else "without_baseline"][COLLAPSE]
        used = model.whole
        total = sum(c.log_odds for c in said.contributions) + used.intercept
        assert_allclose(said.probability, 1 / (1 + np.exp(-total)), rtol=1e-12)
        sizes = [abs(c.log_odds) for c in said.contributions]
        assert sizes == sorted(sizes, reverse=True)
        assert {c.feature for c in said.contributions} == {f.name for f in model.features}


def test_without_signs_of_anything_it_says_healthy(classifier, collapsed):
    calm = {
        n: Measured(name=n, value=1.0 if n.endswith("ratio") else 0.0, unit="", n=40, ci=None, baseline=0.0, delta=0.0)
        for n in collapsed
    }
    opinion = classifier.assess(calm, True)
    assert opinion.label() == Label.HEALTHY
    assert all((p := opinion.probability(f)) is not None and p < 0.5 for f in FAILURES)


def test_it_abstains_on_a_missing_feature_of_that_failure_alone(classifier, collapsed):
    name = "sampling_spread.coverage@in"
    opinion = classifier.assess(collapsed | {name: Missing(name=name, reason="no grades")}, True)
    assert opinion.failures[COLLAPSE].abstention == f"missing: change of {name} (no grades)"
    assert opinion.probability(COLLAPSE) is None
    assert opinion.failures[COLLAPSE].contributions == ()
    assert opinion.probability(Label.INFERENCE_VARIANCE) is not None
    assert opinion.label() is None, "health needs all four"


def test_it_abstains_outside_its_training_domain_and_says_where(classifier, collapsed):
    name = "token_entropy.mean_ratio"
    used = classifier.models["with_baseline"][COLLAPSE].whole
    edge = used.low[0] - MARGIN * (used.high[0] - used.low[0])

    def opinion(log_ratio: float):
        row = Measured(name=name, value=float(np.exp(log_ratio)), unit="", n=40, ci=None)
        return classifier.assess(collapsed | {name: row}, True).failures[COLLAPSE]

    assert opinion(edge + 1e-6).probability == opinion(used.low[0]).probability, "nothing is extrapolated"
    said = opinion(edge - 1e-3).abstention
    assert said.startswith(f"outside the training domain: log {name} = ")
    assert f"seen {used.low[0]:.3g}..{used.high[0]:.3g}" in said


def test_the_feature_that_is_furthest_outside_is_named():
    low, high = np.array([0.0, 0.0, 3.0]), np.array([1.0, 10.0, 3.0])
    edge = np.array([1 + MARGIN, 10 + 10 * MARGIN, 3.0])
    assert outside(np.array([0.5, 5.0, 3.0]), low, high) is None
    assert outside(edge, low, high) is None
    assert outside(np.array([-MARGIN, -10 * MARGIN, 3.0]), low, high) is None
    assert outside(edge + np.array([0.05, 0.1, 0.0]), low, high) == 0, "in widths of the range"
    assert outside(edge + np.array([0.05, 1.0, 0.0]), low, high) == 1
    assert outside(edge + np.array([0.0, 0.0, 0.1]), low, high) == 2, "constant in training"


@pytest.mark.parametrize(
    ("measurement", "field", "transform", "reason"),
    [
        (None, "value", "identity", "no probe measured it"),
        (Missing(name="a.b", reason="no text"), "value", "identity", "no text"),
        (Measured(name="a.b", value=1.0, unit="", n=1, ci=None), "delta", "identity", "no paired change"),
        (Measured(name="a.b", value=0.0, unit="", n=1, ci=None), "value", "log", "has no logarithm"),
    ],
)
def test_a_feature_that_cannot_be_read_says_why(measurement, field, transform, reason):
    feature = Feature(measurement="a.b", field=field, transform=transform, sign=1)
    found = feature.read({"a.b": measurement} if measurement else {})
    assert isinstance(found, Missing)
    assert reason in found.reason


def test_features_read_values_changes_and_logarithms():
    rows = {"a.b": Measured(name="a.b", value=np.e, unit="", n=1, ci=None, baseline=1.0, delta=0.5)}
    assert Feature(measurement="a.b", sign=1).read(rows) == np.e
    assert Feature(measurement="a.b", sign=1, field="delta").read(rows) == 0.5
    assert Feature(measurement="a.b", sign=1, transform="log").read(rows) == 1.0
    assert Feature(measurement="a.b", sign=1, field="delta").name == "change of a.b"


def test_no_feature_is_in_nats_or_tokens_and_none_is_there_twice():
    nats = {"token_entropy.mean", "sampling_spread.answer_entropy", "instrument.completion_length"}
    for has_baseline in (True, False):
        for features in feature_sets(has_baseline=has_baseline).values():
            names = [f.name for f in features]
            assert 5 <= len(set(names)) == len(names) <= 9
            assert not nats & {f.measurement for f in features}
            assert has_baseline or all(f.field == "value" for f in features)


def test_a_fold_has_coefficients_of_its_own(classifier, collapsed):
    whole, left_out = classifier.assess(collapsed, True), classifier.assess(collapsed, True, "base=llama")
    assert whole.probability(COLLAPSE) != left_out.probability(COLLAPSE)
    used = classifier.models["with_baseline"][COLLAPSE].folds["base=llama"]
    x = np.array([f.read(collapsed) for f in WITH_BASELINE[COLLAPSE]])
    assert_allclose(left_out.probability(COLLAPSE), sigmoid(used.log_odds(x)), rtol=1e-12)
    with pytest.raises(ConfigError, match="'base=none' left out"):
        classifier.assess(collapsed, True, "base=none")


def test_the_formula_of_the_coefficients():
    one = np.ones(1)
    used = Coefficients(center=one, scale=2 * one, weights=3 * one, intercept=0.5, low=-one, high=9 * one)
    assert_allclose(used.log_odds(np.array([5.0])), 3 * (5 - 1) / 2 + 0.5)
    assert_allclose(used.log_odds(np.array([10.0])), used.log_odds(np.array([9.0])))
    assert_allclose(sigmoid(np.array([-800.0, 0.0, 800.0])), [0, 0.5, 1])


# ── loading ───────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_classifier_abstains_from_everything(collapsed):
    opinion = Classifier().assess(collapsed, True)
    assert opinion.label() is None
    assert {o.abstention for o in opinion.failures.values()} == {NONE_SHIPPED}


def test_a_missing_or_broken_file_is_one_clear_line(tmp_path: Path, path: Path):
    with pytest.raises(ConfigError, match="cannot read the classifier"):
        Classifier.load(tmp_path / "none.json")
    whole = json.loads(path.read_text())
    cut = json.loads(path.read_text())
    cut["models"]["with_baseline"]["training_collapse"]["whole"]["weights"].pop()
    broken = [{}, whole | {"version": 99}, {k: v for k, v in whole.items() if k != "models"}, cut]
    for document in [*map(json.dumps, broken), "{", path.read_text()[:-50]]:
        bad = tmp_path / "bad.json"
        bad.write_text(document)
        with pytest.raises(ConfigError, match="is not a classifier document") as caught:
            Classifier.load(bad)
        assert "train-classifier" in caught.value.hint


@pytest.mark.skipif(not SHIPPED.exists(), reason="no classifier is shipped")
def test_the_shipped_classifier_loads_fast_and_knows_what_it_was_trained_on():
    started = time.perf_counter()
    loaded = Classifier.load(SHIPPED)
    assert time.perf_counter() - started < 0.1, "measured: 5 ms; ten times that on a busy machine"
    assert Classifier.load() is Classifier.load(), "read once"
    assert len(loaded.trained["cases"]) > 0
    assert {"entropydx", "scikit-learn"} <= set(loaded.trained["versions"])
    for has_baseline in (True, False):
        mode = "with_baseline" if has_baseline else "without_baseline"
        for failure, features in feature_sets(has_baseline=has_baseline).items():
            assert loaded.models[mode][failure].features == features, "train again: the features have changed"


def test_nothing_heavy_is_imported_at_diagnosis():
    code = (
        "import sys, entropydx.pipeline\n"
        "from entropydx.classifier import Classifier\n"
        "Classifier.load().assess({}, True)\n"
        "sys.exit(bool({'sklearn', 'torch', 'entropydx.fitting'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
