"""Labelled cases to the document that ships: coefficients, those with each base and each recipe left out, figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from entropydx import __version__
from entropydx.cases import Case, to_json
from entropydx.classifier import MODES, VERSION, Coefficients
from entropydx.features import FeatureSet, feature_sets
from entropydx.fitting.fit import Fit, fit
from entropydx.fitting.models import CHOSEN
from entropydx.fitting.scores import KINDS, figures, judge
from entropydx.fitting.table import Table, tabulate

DIGITS = 12
"""Significant digits of a coefficient: more would differ from machine to machine."""


def fold_names(cases: Sequence[Case]) -> list[str]:
    """Return `base=NAME` and `recipe=NAME` for every base and recipe of the cases."""
    bases, recipes = ({getattr(case, kind) for case in cases} for kind in ("base", "recipe"))
    return [f"base={b}" for b in sorted(bases)] + [f"recipe={r}" for r in sorted(recipes)]


def train(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the document; the same cases give the same bytes.

    Raises
    ------
    ConfigError
        A failure has no case of one of the two kinds.
    """
    ordered = sorted(cases, key=lambda case: case.name)
    used = [case for case in ordered if any(d.seed == 0 for d in case.draws)]
    folds = fold_names(used)
    models: dict[str, dict[str, Any]] = {mode: {} for mode in MODES.values()}
    nested: dict[str, dict[str, Any]] = {mode: {} for mode in MODES.values()}
    for has_baseline, mode in MODES.items():
        for failure, features in feature_sets(has_baseline=has_baseline).items():
            table = tabulate(used, failure, features, has_baseline=has_baseline)
            table.check(failure)
            fitted = uncalibrated(fit_folds(table, folds, CHOSEN))
            models[mode][failure] = _model(features, fitted)
            nested[mode][failure] = {kind: figures(judge(table, fitted, kind), table.y) for kind in KINDS} | {
                "dropped": list(table.dropped),
                "strength": fitted[""].strength,
            }
    trained = {
        "model": CHOSEN,
        "cases": [case.name for case in used],
        "sha": cases_sha(used),
        "versions": {"entropydx": __version__, **{p: version(p) for p in ("numpy", "scipy", "scikit-learn")}},
        "nested": nested,
    }
    return {"version": VERSION, "trained": trained, "models": models}


def fit_folds(table: Table, folds: Sequence[str], model: str) -> dict[str, Fit]:
    """Return the fit on every case under `""`, and that without each base and recipe under the fold's name."""
    everything = np.arange(len(table.y))
    whole = fit(table, everything, model)
    fits = {"": whole}
    for name in folds:
        rows = table.without(name)
        same = len(rows) == len(everything)
        fits[name] = whole if same else fit(table, rows, model)
    return fits


def uncalibrated(fitted: Mapping[str, Fit]) -> dict[str, Fit]:
    """Return the fits with the models' own probabilities: what ships, see ADR 8."""
    return {name: one.uncalibrated() for name, one in fitted.items()}


def cases_sha(cases: Sequence[Case]) -> str:
    """Return the SHA-256 of the documents of the cases, in the order of their names."""
    digest = hashlib.sha256()
    for case in sorted(cases, key=lambda c: c.name):
        digest.update(to_json(case).encode())
    return digest.hexdigest()


def _model(features: FeatureSet, fitted: Mapping[str, Fit]) -> dict[str, Any]:
    return {
        "features": [asdict(f) for f in features],
        "whole": _coefficients(fitted[""].coefficients()),
        "folds": {name: _coefficients(f.coefficients()) for name, f in fitted.items() if name},
    }


def _coefficients(coefficients: Coefficients) -> dict[str, Any]:
    fields = asdict(coefficients)
    return {key: [_rounded(v) for v in value] if np.ndim(value) else _rounded(value) for key, value in fields.items()}


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}") + 0.0


def document_text(document: Mapping[str, Any]) -> str:
    """Return the document as text: a line for each set of coefficients, so that a diff can be read."""
    return _lines(document, 0) + "\n"


def _lines(document: Mapping[str, Any], depth: int) -> str:
    pad = " " * (depth + 1)
    parts = []
    for key, value in document.items():
        nested = isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values())
        deep = nested and "weights" not in value
        text = _lines(value, depth + 1) if deep else json.dumps(value, allow_nan=False, separators=(",", ":"))
        parts.append(f"{pad}{json.dumps(key)}:{text}")
    return "{\n" + ",\n".join(parts) + "\n" + " " * depth + "}"
