"""One fit: standardised, its penalty chosen by an inner cross-validation, calibrated on scores of unseen cases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from entropydx.classifier import Coefficients
from entropydx.fitting.models import CHOSEN, MODELS, Fitter, Linear, Scorer, base_rate
from entropydx.fitting.table import Table
from entropydx.types import FloatArray, IntArray

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Inverse strengths of the penalty that are tried."""
BOOSTING_STRENGTHS = (0.1, 1.0, 10.0)
INNER_FOLDS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A fitted and calibrated model, whatever its kind."""

    center: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray
    model: Scorer
    slope: float
    offset: float
    strength: float

    def log_odds(self, x: FloatArray) -> FloatArray:
        """Return (N,) calibrated log-odds of (N, P) features, held within the range of the training."""
        z = (np.clip(x, self.low, self.high) - self.center) / self.scale
        return np.asarray(self.slope * self.model.log_odds(z) + self.offset)

    def uncalibrated(self) -> Fit:
        """Return the fit with the model's own probabilities."""
        return replace(self, slope=1.0, offset=0.0)

    def coefficients(self) -> Coefficients:
        """Return what ships, with the calibration folded into the weights; only a linear model has it."""
        if not isinstance(self.model, Linear):
            raise TypeError("only a linear model ships")
        return Coefficients(
            center=self.center,
            scale=self.scale,
            weights=self.slope * self.model.weights,
            intercept=self.slope * self.model.intercept + self.offset,
            low=self.low,
            high=self.high,
        )


def standardise(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation (P,) of (N, P) features; that of a constant one is 1."""
    spread = x.std(axis=0)
    return x.mean(axis=0), np.where(spread > 1e-12, spread, 1.0)


def platt(scores: FloatArray, y: IntArray) -> tuple[float, float]:
    """Return slope and offset of Platt's calibration: sigmoid(slope · score + offset) fits the outcomes.

    The targets are Platt's (1999), (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2), so that separable scores keep a finite slope.
    Every case counts as a positive one with the weight of its target and as a negative one with the rest.

    Parameters
    ----------
    scores : (N,) log-odds of cases that the model was not fitted on
    y : (N,) outcomes
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    positive = y.sum()
    targets = np.where(y == 1, (positive + 1) / (positive + 2), 1 / (len(y) - positive + 2))
    both, outcome = np.concatenate([scores, scores])[:, None], np.repeat([1, 0], len(y))
    weight = np.concatenate([targets, 1 - targets])
    model = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit(both, outcome, sample_weight=weight)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def fit(table: Table, rows: IntArray, model: str = CHOSEN) -> Fit:
    """Fit one model on some cases: an inner grouped cross-validation chooses the penalty, and its scores calibrate.

    Parameters
    ----------
    rows : indices of the cases to use
    model : a key of `MODELS`
    """
    x, y, groups = table.x[rows], table.y[rows], table.groups(rows)
    fitter = MODELS[model] if 0 < y.sum() < len(y) else _constant
    strengths = BOOSTING_STRENGTHS if model == "monotone boosting" else STRENGTHS
    scores = {c: _out_of_fold(fitter, x, y, groups, c, table.signs) for c in strengths}
    losses = {c: float(np.logaddexp(0.0, -(2 * y - 1) * s).mean()) for c, s in scores.items()}
    strength = min(strengths, key=lambda c: (round(losses[c], 9), c))
    slope, offset = platt(scores[strength], y) if 0 < y.sum() < len(y) else (1.0, 0.0)
    if slope <= 0:  # the scores order nothing: the base rate is all that is known
        slope, offset = 0.0, base_rate(y)
    center, scale = standardise(x)
    return Fit(
        center=center,
        scale=scale,
        low=x.min(axis=0),
        high=x.max(axis=0),
        model=fitter((x - center) / scale, y, strength, table.signs),
        slope=slope,
        offset=offset,
        strength=strength,
    )


def _constant(z: FloatArray, y: IntArray, strength: float, signs: IntArray) -> Linear:
    """Return the base rate: all that cases of one kind can teach."""
    return Linear(np.zeros(z.shape[1]), base_rate(y))


def _out_of_fold(
    fitter: Fitter, x: FloatArray, y: IntArray, groups: IntArray, strength: float, signs: IntArray
) -> FloatArray:
    """Return (N,) log-odds, each by a model that saw no case of its group."""
    scores = np.zeros(len(y))
    fold = _inner_folds(groups, y)
    for part in np.unique(fold):
        train, test = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        center, scale = standardise(x[train])
        use = fitter if 0 < y[train].sum() < len(train) else _constant
        fitted = use((x[train] - center) / scale, y[train], strength, signs)
        held = np.clip(x[test], x[train].min(axis=0), x[train].max(axis=0))
        scores[test] = fitted.log_odds((held - center) / scale)
    return scores


def _inner_folds(groups: IntArray, y: IntArray) -> IntArray:
    """Return the fold (N,) of each case: whole groups, dealt out in turn, those with a present failure first.

    Dealt out by name alone, most of the few groups with the failure could be held out together, and what is left could
    not learn it.
    """
    names = np.unique(groups)
    has_failure = np.array([y[groups == g].any() for g in names])
    order = names[np.argsort(~has_failure, kind="stable")]
    place = {g: i % INNER_FOLDS for i, g in enumerate(order)}
    return np.array([place[g] for g in groups], dtype=int)
