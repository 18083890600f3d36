"""The models that are compared: (N, P) standardised features and (N,) outcomes to log-odds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from entropydx.classifier import sigmoid
from entropydx.types import FloatArray, IntArray


def base_rate(y: IntArray) -> float:
    """Return the log-odds of the share of ones, with half a case added to each side."""
    return float(np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5)))


class Scorer(Protocol):
    """A fitted model."""

    def log_odds(self, z: FloatArray) -> FloatArray:
        """Return (N,) log-odds of (N, P) standardised features."""


class Fitter(Protocol):
    """Fits standardised features (N, P) and outcomes (N,) with an inverse penalty; returns what scores new rows."""

    def __call__(self, z: FloatArray, y: IntArray, strength: float, signs: IntArray) -> Scorer:
        """Return the fitted model."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A logistic regression."""

    weights: FloatArray
    intercept: float

    def log_odds(self, z: FloatArray) -> FloatArray:
        """Return (N,) log-odds of (N, P) standardised features."""
        return np.asarray(z @ self.weights + self.intercept)


def ridge(z: FloatArray, y: IntArray, strength: float, signs: IntArray | None = None) -> Linear:
    """Return the minimum of strength · sum of log losses + |w|²/2, by scikit-learn; the intercept is not penalised."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only training needs it

    if z.shape[1] == 0:
        return Linear(np.zeros(0), base_rate(y))
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(z, y)
    return Linear(np.asarray(model.coef_[0], dtype=float), float(model.intercept_[0]))


def penalised(
    z: FloatArray, y: IntArray, strength: float, signs: IntArray | None = None, l1_ratio: float = 0.0
) -> Linear:
    """Return the minimum of strength · sum of log losses + (1 - r) |w|²/2 + r sum|w|, r the `l1_ratio`.

    With `signs` no weight may have the other sign. Each weight is the difference of two that are not negative, so that
    the problem is smooth with bounds (L-BFGS-B), and the minimum is found to machine precision for N of hundreds.

    Parameters
    ----------
    signs : (P,) of 1 and -1, optional
    l1_ratio : float
        In [0, 1].
    """
    from scipy.optimize import minimize  # noqa: PLC0415

    p = z.shape[1]
    outcome = 2.0 * y - 1.0

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights, intercept = parameters[:p] - parameters[p:-1], parameters[-1]
        margin = outcome * (z @ weights + intercept)
        pull = -strength * outcome * sigmoid(-margin)
        value = strength * np.logaddexp(0.0, -margin).sum() + (1 - l1_ratio) / 2 * weights @ weights
        value += l1_ratio * parameters[:-1].sum()
        slope = z.T @ pull + (1 - l1_ratio) * weights
        return float(value), np.concatenate([slope + l1_ratio, -slope + l1_ratio, [pull.sum()]])

    bounds = [(0.0, None if signs is None or signs[i % p] == (1 if i < p else -1) else 0.0) for i in range(2 * p)]
    options = {"maxiter": 5000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30}
    start = np.concatenate([np.zeros(2 * p), [base_rate(y)]])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)], options=options).x
    return Linear(found[:p] - found[p:-1], float(found[-1]))


def lasso(z: FloatArray, y: IntArray, strength: float, signs: IntArray | None = None) -> Linear:
    """Return the logistic regression with an absolute penalty."""
    return penalised(z, y, strength, l1_ratio=1.0)


def elastic_net(z: FloatArray, y: IntArray, strength: float, signs: IntArray | None = None) -> Linear:
    """Return the logistic regression with half of each penalty."""
    return penalised(z, y, strength, l1_ratio=0.5)


def signed(z: FloatArray, y: IntArray, strength: float, signs: IntArray) -> Linear:
    """Return the ridge regression in which no weight contradicts the mechanism.

    At its minimum the features whose bound holds have weight 0, and the others are at the minimum of the ridge
    regression on them alone, which is fitted last: that solver gives the same digits everywhere.
    """
    rough = penalised(z, y, strength, signs)
    free = np.flatnonzero(np.abs(rough.weights) > 1e-6)
    fine = ridge(z[:, free], y, strength)
    weights = np.zeros(z.shape[1])
    weights[free] = fine.weights
    return Linear(weights, fine.intercept) if np.all(weights * signs >= 0) else rough


def boosting(z: FloatArray, y: IntArray, strength: float, signs: IntArray) -> Scorer:
    """Return monotone boosted trees; `strength` is the inverse of the penalty on their leaves."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    model = HistGradientBoostingClassifier(
        monotonic_cst=signs,
        l2_regularization=1 / strength,
        learning_rate=0.1,
        max_iter=60,
        max_leaf_nodes=4,
        min_samples_leaf=5,
        early_stopping=False,
        random_state=0,
    ).fit(z, y)
    return _Trees(model)


@dataclass(frozen=True, slots=True)
class _Trees:
    model: Any

    def log_odds(self, z: FloatArray) -> FloatArray:
        return np.asarray(self.model.decision_function(z), dtype=float)


MODELS: Mapping[str, Fitter] = {
    "ridge": ridge,
    "lasso": lasso,
    "elastic net": elastic_net,
    "signed ridge": signed,
    "monotone boosting": boosting,
}
"""What is compared."""
CHOSEN = "signed ridge"
"""What ships: see ADR 8."""
