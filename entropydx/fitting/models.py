"""The models that are compared: (N, P) standardised features and (N,) outcomes to log-odds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from entropydx.classifier import sigmoid
from entropydx.types import FloatArray, IntArray


def base_rate(y: IntArray) -> float:
    """Return the log-odds of the share of ones, with half a case added to each side."""
    return float(np.log((y.sum() + 0.5) / (len(y) - y.sum() + 0.5)))


BoolArray = NDArray[np.bool_]


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

    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(z, y)
    return Linear(np.asarray(model.coef_[0], dtype=float), float(model.intercept_[0]))


def penalised(z: FloatArray, y: IntArray, strength: float, l1_ratio: float) -> Linear:
    """Return the minimum of strength · sum of log losses + (1 - r) |w|²/2 + r sum|w|, r the `l1_ratio` in [0, 1].

    Each weight is the difference of two that are not negative, so that the problem is smooth with bounds (L-BFGS-B).
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

    bounds = [(0.0, None)] * (2 * p) + [(None, None)]
    options = {"maxiter": 5000, "maxfun": 50_000, "ftol": 1e-13, "gtol": 1e-7, "maxcor": 30}
    start = np.concatenate([np.zeros(2 * p), [base_rate(y)]])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Linear(found[:p] - found[p:-1], float(found[-1]))


def lasso(z: FloatArray, y: IntArray, strength: float, signs: IntArray | None = None) -> Linear:
    """Return the logistic regression with an absolute penalty."""
    return penalised(z, y, strength, l1_ratio=1.0)


def elastic_net(z: FloatArray, y: IntArray, strength: float, signs: IntArray | None = None) -> Linear:
    """Return the logistic regression with half of each penalty."""
    return penalised(z, y, strength, l1_ratio=0.5)


def signed(z: FloatArray, y: IntArray, strength: float, signs: IntArray) -> Linear:
    """Return the ridge regression in which no weight contradicts the mechanism: its weight is 0 where one would.

    By projected Newton steps (Bertsekas 1982) with a halving line search, which give the same digits everywhere: the
    problem is strictly convex, and at its end the free weights solve the ridge regression on their features alone.
    """
    flipped = np.column_stack([z * signs, np.ones(len(y))])
    penalty = np.append(np.ones(z.shape[1]), 0.0)
    outcome = 2.0 * y - 1.0

    def loss(w: FloatArray) -> float:
        return float(strength * np.logaddexp(0.0, -outcome * (flipped @ w)).sum() + penalty @ w**2 / 2)

    w = np.append(np.zeros(z.shape[1]), base_rate(y))
    for _ in range(200):
        p = sigmoid(flipped @ w)
        slope = strength * flipped.T @ (p - y) + penalty * w
        free = ~((w <= 0) & (slope > 0) & (penalty > 0))
        if np.abs(slope[free]).max() < 1e-11 * max(1.0, strength):
            break
        inside = flipped[:, free]
        curvature = strength * (inside.T * (p * (1 - p))) @ inside + np.diag(penalty[free])
        step = np.zeros_like(w)
        step[free] = -np.linalg.solve(curvature, slope[free])
        w = _line_search(loss, w, step, penalty > 0)
    return Linear(w[:-1] * signs, float(w[-1]))


def _line_search(
    loss: Callable[[FloatArray], float], w: FloatArray, step: FloatArray, bounded: BoolArray
) -> FloatArray:
    """Return the first of w + step, w + step/2... that is no worse, with the bounded ones kept from below 0."""
    before = loss(w)
    for halvings in range(40):
        tried = w + step / 2**halvings
        tried = np.where(bounded, np.maximum(tried, 0.0), tried)
        if loss(tried) <= before + 1e-13 * abs(before):
            return np.asarray(tried)
    return w


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
