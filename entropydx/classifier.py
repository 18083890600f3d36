"""The second witness: for each failure a calibrated probability, or no opinion and the reason why.

Logistic regressions whose coefficients are a JSON document; `fitting` makes it from labelled cases. Nothing but numpy
is needed here. Each of the four failures is judged for itself, because they can co-occur.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from entropydx.errors import ConfigError
from entropydx.features import Feature
from entropydx.types import FAILURES, FloatArray, Label, Measurement, Missing

SHIPPED = Path(__file__).parent / "data" / "classifier.json"
VERSION = 1
MARGIN = 1.0
"""How far beyond the range of its training a feature may lie, in widths of that range; argued in ADR 8."""
MODES = {True: "with_baseline", False: "without_baseline"}
NONE_SHIPPED = "no classifier is shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one feature adds to an opinion."""

    feature: str
    """As `Feature.name`."""
    value: float
    log_odds: float
    """Added to the log-odds of the failure, against a case that has the mean of the training cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureOpinion:
    """The classifier on one failure."""

    probability: float | None
    """Calibrated, among cases like those of its training; None: it abstains."""
    abstention: str = ""
    """Why it abstains: `missing: NAME (reason)`, or `outside the training domain: NAME = value, seen low..high`."""
    contributions: tuple[Contribution, ...] = ()
    """The largest first; none when it abstains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """The classifier on all four."""

    failures: Mapping[str, FailureOpinion]
    """By the label's value."""

    def probability(self, failure: Label) -> float | None:
        """Return the probability of a failure, None where the classifier abstains."""
        return self.failures[failure].probability

    def label(self) -> Label | None:
        """Return the likeliest failure of at least one half, else `healthy` where it spoke on all four, else None."""
        known = {f: p for f in FAILURES if (p := self.probability(f)) is not None}
        likely = [f for f, p in known.items() if p >= 0.5]
        if likely:
            return max(likely, key=lambda f: known[f])
        return Label.HEALTHY if len(known) == len(FAILURES) else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coefficients:
    """One fitted logistic regression of P features, and where it may be used.

    p = sigmoid(z · weights + intercept), with z = (x - center) / scale and x held within `low` and `high`: what lies
    outside, but not too far, counts as the edge, so that no evidence is extrapolated.
    """

    center: FloatArray
    """(P,)"""
    scale: FloatArray
    """(P,) positive."""
    weights: FloatArray
    """(P,)"""
    intercept: float
    low: FloatArray
    """(P,) smallest value in training."""
    high: FloatArray
    """(P,) largest value in training."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Coefficients:
        """Return the coefficients of a document; anything missing or of another length is an error."""
        arrays = {k: np.array(document[k], dtype=float) for k in ("center", "scale", "weights", "low", "high")}
        if len({a.shape for a in arrays.values()}) != 1:
            raise ValueError("arrays of different lengths")
        return cls(
            center=arrays["center"],
            scale=arrays["scale"],
            weights=arrays["weights"],
            low=arrays["low"],
            high=arrays["high"],
            intercept=float(document["intercept"]),
        )

    def terms(self, x: FloatArray) -> FloatArray:
        """Return what each feature adds to the log-odds; `x` is (..., P), as is the result."""
        held = np.clip(x, self.low, self.high)
        return np.asarray(self.weights * (held - self.center) / self.scale)

    def log_odds(self, x: FloatArray) -> FloatArray:
        """Return the log-odds of `x` (..., P)."""
        return np.asarray(self.terms(x).sum(axis=-1) + self.intercept)


def outside(x: FloatArray, low: FloatArray, high: FloatArray) -> int | None:
    """Return the index of the feature (P,) that lies furthest outside its training range and the margin; None: none."""
    width = high - low
    # A feature that was constant in training still gets room for its rounding.
    beyond = np.maximum(low - x, x - high) - MARGIN * width - 1e-9 * (1 + np.abs(high))
    worst = int(np.argmax(beyond / np.maximum(width, 1e-9)))
    return worst if beyond[worst] > 0 else None


def sigmoid(log_odds: FloatArray | float) -> FloatArray:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(log_odds))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FailureModel:
    """What was fitted for one failure."""

    features: tuple[Feature, ...]
    whole: Coefficients
    """Fitted on every case."""
    folds: Mapping[str, Coefficients]
    """Fitted without one base or one recipe: `base=NAME`, `recipe=NAME`."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FailureModel:
        """Return the model of a document."""
        features = tuple(Feature(**f) for f in document["features"])
        whole = Coefficients.from_json(document["whole"])
        if len(features) != len(whole.weights):
            raise ValueError("as many weights as features are needed")
        return cls(
            features=features,
            whole=whole,
            folds={name: Coefficients.from_json(c) for name, c in document["folds"].items()},
        )

    def assess(self, by_name: Mapping[str, Measurement], fold: str | None) -> FailureOpinion:
        """Return the opinion; `fold` names the coefficients."""
        numbers = [f.read(by_name) for f in self.features]
        for number in numbers:
            if isinstance(number, Missing):
                return FailureOpinion(probability=None, abstention=f"missing: {number.name} ({number.reason})")
        x = np.array(numbers, dtype=float)
        used = self.whole if fold is None else self.folds[fold]
        worst = outside(x, used.low, used.high)
        if worst is not None:
            seen = f"{used.low[worst]:.3g}..{used.high[worst]:.3g}"
            reason = f"outside the training domain: {self.features[worst].name} = {x[worst]:.3g}, seen {seen}"
            return FailureOpinion(probability=None, abstention=reason)
        terms = zip(self.features, x, used.terms(x), strict=True)
        parts = [Contribution(feature=f.name, value=float(v), log_odds=float(t)) for f, v, t in terms]
        return FailureOpinion(
            probability=float(sigmoid(used.log_odds(x))),
            contributions=tuple(sorted(parts, key=lambda c: -abs(c.log_odds))),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """The four models of each mode; without any it abstains from everything."""

    models: Mapping[str, Mapping[str, FailureModel]] = field(default_factory=dict)
    """`with_baseline` and `without_baseline`, to the model of each failure."""
    trained: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on, with which versions, and how well that went."""

    @classmethod
    def load(cls, path: Path | None = None) -> Classifier:
        """Return the classifier of a document; by default the one that is shipped, read once, or one that abstains.

        Raises
        ------
        ConfigError
            `path` cannot be read, or a document is broken.
        """
        if path is not None:
            return _read(path)
        return _shipped()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could give an opinion."""
        return not self.models

    def folds(self, *, has_baseline: bool) -> frozenset[str]:
        """Return the names that `assess` takes as `fold`: `base=NAME` and `recipe=NAME` of every training case."""
        models = self.models.get(MODES[has_baseline], {})
        return frozenset().union(*(m.folds for m in models.values()))

    def assess(self, by_name: Mapping[str, Measurement], has_baseline: bool, fold: str | None = None) -> Opinion:
        """Return the opinion on one checkpoint.

        Parameters
        ----------
        by_name : mapping of str to Measurement
            Every measurement of the run, by its name.
        has_baseline : bool
            Whether the run was compared with a baseline.
        fold : str, optional
            `base=NAME` or `recipe=NAME`: judge with coefficients that never saw the cases of that base or recipe. One
            that is not in the training cases at all is left out already, so `folds` tells whether to name it.

        Raises
        ------
        ConfigError
            There are no such coefficients.
        """
        if self.is_empty:
            silent = FailureOpinion(probability=None, abstention=NONE_SHIPPED)
            return Opinion(failures={str(f): silent for f in FAILURES})
        if fold is not None and fold not in self.folds(has_baseline=has_baseline):
            raise ConfigError(f"the classifier was not trained with '{fold}' left out", "see Classifier.folds")
        models = self.models[MODES[has_baseline]]
        return Opinion(failures={str(f): models[f].assess(by_name, fold) for f in FAILURES})


@cache
def _shipped() -> Classifier:
    return _read(SHIPPED) if SHIPPED.exists() else Classifier()


def _read(path: Path) -> Classifier:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']}, not {VERSION}")
        models = {
            mode: {str(f): FailureModel.from_json(document["models"][mode][f]) for f in FAILURES}
            for mode in MODES.values()
        }
        return Classifier(models=models, trained=document["trained"])
    except OSError as error:
        raise ConfigError(f"cannot read the classifier {path}: {error.strerror}", "name a file that exists") from error
    except (ValueError, KeyError, TypeError) as error:
        hint = "train it again with `make train-classifier`, or install entropydx again"
        raise ConfigError(f"{path} is not a classifier document: {error}", hint) from error
