"""How good probabilities are that were given to cases whose base, or recipe, was left out of the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from entropydx.calibration import ece_statistic
from entropydx.classifier import outside, sigmoid
from entropydx.fitting.fit import Fit
from entropydx.fitting.table import Table
from entropydx.types import FloatArray, IntArray

Kind = Literal["base", "recipe"]
KINDS: tuple[Kind, ...] = ("base", "recipe")


def judge(table: Table, fitted: Mapping[str, Fit], kind: Kind) -> FloatArray:
    """Return (N,) probabilities, each by the fit without the case's base (or recipe); NaN outside that fit's domain."""
    owners = table.bases if kind == "base" else table.recipes
    probabilities = np.full(len(table.y), np.nan)
    for i, owner in enumerate(owners):
        used, x = fitted[f"{kind}={owner}"], table.x[i]
        if outside(x, used.low, used.high) is None:
            probabilities[i] = sigmoid(used.log_odds(x[None])[0])
    return probabilities


def figures(probabilities: FloatArray, y: IntArray) -> dict[str, Any]:
    """Return what the probabilities (N,) are worth against the outcomes (N,).

    `brier` (Brier 1950) and `log_loss` (nats) are means over the cases that were judged, `ece` is debiased (see
    `calibration.ece_statistic`; left out where too few were judged), `f1` is at one half; `reference_brier` is that of
    always naming the base rate.
    """
    judged = ~np.isnan(probabilities)
    p, truth = probabilities[judged], y[judged]
    counts = {"n": len(y), "n_present": int(y.sum()), "n_abstained": int((~judged).sum())}
    if not judged.any():
        return counts
    called = p >= 0.5
    hits = int((called & (truth == 1)).sum())
    ones = [np.array([v]) for v in p], [np.array([float(v)]) for v in truth]
    sure = np.clip(np.where(truth == 1, p, 1 - p), 1e-12, 1.0)
    values = {
        "brier": float(np.mean((p - truth) ** 2)),
        "reference_brier": float(truth.mean() * (1 - truth.mean())),
        "log_loss": float(-np.log(sure).mean()),
        "ece": float(ece_statistic(*ones)(np.ones((1, len(p))))[0]),
        "f1": 2 * hits / max(int(called.sum() + truth.sum()), 1),
    }
    return counts | {key: float(f"{value:.4g}") for key, value in values.items() if np.isfinite(value)}
