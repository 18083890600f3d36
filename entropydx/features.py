"""What the classifier looks at: for each failure a few scale-free measurements, with a baseline and without.

Only ratios to the baseline (as logarithms), rates, paired changes of rates, and correlations: nothing in nats or
tokens, which do not carry over from one model family to another. Every feature has the sign that the mechanism of the
failure gives it, and none is legitimately missing on a suite in which a thing is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from entropydx.types import Field, Label, Measurement, Missing

Transform = Literal["identity", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One number that the classifier reads off the measurements."""

    measurement: str
    field: Field = "value"
    """The value, or its paired change against the baseline."""
    transform: Transform = "identity"
    sign: Literal[1, -1]
    """1: the more of it, the likelier the failure."""

    @property
    def name(self) -> str:
        """`log token_entropy.mean_ratio`, `change of sampling_spread.coverage`."""
        words = ["change of"] * (self.field == "delta") + ["log"] * (self.transform == "log")
        return " ".join([*words, self.measurement])

    def read(self, by_name: Mapping[str, Measurement]) -> float | Missing:
        """Return the feature, or `Missing` with the reason: not measured, no change, or no logarithm."""
        measurement = by_name.get(self.measurement)
        if measurement is None:
            return Missing(name=self.name, reason="no probe measured it")
        if isinstance(measurement, Missing):
            return Missing(name=self.name, reason=measurement.reason)
        number = measurement.value if self.field == "value" else measurement.delta
        if number is None:
            return Missing(name=self.name, reason="no paired change against a baseline")
        if self.transform == "identity":
            return number
        return math.log(number) if number > 0 else Missing(name=self.name, reason=f"{number:g} has no logarithm")


FeatureSet = tuple[Feature, ...]


def _value(measurement: str, sign: Literal[1, -1]) -> Feature:
    return Feature(measurement=measurement, sign=sign)


def _change(measurement: str, sign: Literal[1, -1]) -> Feature:
    return Feature(measurement=measurement, field="delta", sign=sign)


def _log(measurement: str, sign: Literal[1, -1]) -> Feature:
    return Feature(measurement=measurement, transform="log", sign=sign)


WITH_BASELINE: Mapping[Label, FeatureSet] = {
    Label.TRAINING_COLLAPSE: (
        _log("token_entropy.mean_ratio", -1),
        # In domain, since a teacher's student loses outside it alone.
        _change("sampling_spread.coverage@in", -1),
        # Agreement beyond correctness: agreement when wrong, defined where nothing is wrong as well.
        _change("confidence.overconfidence@in", 1),
        _change("format_mode.structure_disagreement", -1),
        _change("confidence.domain_gap", -1),
        # A shortcut loses coverage too, by skipping the work, and takes with it what needs no exploration.
        _value("shortcutting.easy_regression", 1),
        _change("shortcutting.share_without_work", -1),
    ),
    Label.INFERENCE_VARIANCE: (
        _change("sampling_spread.majority_gain", 1),
        _change("sampling_spread.g_pass_ratio", -1),
        _change("sampling_spread.maj_at_n", 1),
        _value("decoding.cooling_gain", 1),
        _log("token_entropy.mean_ratio", 1),
        _change("shortcutting.answer_reuse", -1),
        _change("shortcutting.share_without_work", -1),
    ),
    Label.HARD_SAMPLE_SHORTCUTTING: (
        _value("shortcutting.easy_regression", -1),
        _change("shortcutting.answer_reuse", 1),
        _change("shortcutting.share_without_work", 1),
        _change("shortcutting.step_density", -1),
        _change("shortcutting.length_correlation", -1),
        _change("shortcutting.cot_gain", -1),
        _change("sampling_spread.maj_at_n", -1),
        # Noise wins something back by a vote, a guess does not.
        _change("sampling_spread.majority_gain", -1),
    ),
    Label.TEACHER_OVERCONFIDENCE: (
        _change("confidence.domain_gap", 1),
        _change("confidence.overconfidence@out", 1),
        _change("confidence.overconfidence_out_minus_in", 1),
        _change("sampling_spread.pass_at_1@in", 1),
        _change("sampling_spread.coverage@in", 1),
        # Not their ratio: that is missing where the baseline never hedges.
        _change("epistemic_markers.share_with_marker", -1),
        _log("shortcutting.length_ratio", -1),
        _change("epistemic_markers.guided_marker_drop", -1),
    ),
}
"""With a baseline."""

WITHOUT_BASELINE: Mapping[Label, FeatureSet] = {
    Label.TRAINING_COLLAPSE: (
        _value("sampling_spread.wrong_agreement", 1),
        _value("confidence.overconfidence@in", 1),
        _value("sampling_spread.g_pass_ratio", 1),
        _value("sampling_spread.majority_gain", -1),
        _value("confidence.domain_gap", -1),
        _value("sampling_spread.pass_at_1@easy", 1),
        _value("shortcutting.share_without_work", -1),
    ),
    Label.INFERENCE_VARIANCE: (
        _value("sampling_spread.majority_gain", 1),
        _value("sampling_spread.g_pass_ratio", -1),
        _value("sampling_spread.maj_at_n", 1),
        _value("decoding.cooling_gain", 1),
        _value("shortcutting.answer_reuse", -1),
        _value("shortcutting.share_without_work", -1),
    ),
    Label.HARD_SAMPLE_SHORTCUTTING: (
        _value("sampling_spread.pass_at_1@easy", -1),
        _value("shortcutting.answer_reuse", 1),
        _value("shortcutting.share_without_work", 1),
        _value("shortcutting.step_density", -1),
        _value("shortcutting.length_correlation", -1),
        _value("shortcutting.cot_gain", -1),
        _value("sampling_spread.majority_gain", -1),
    ),
    Label.TEACHER_OVERCONFIDENCE: (
        _value("confidence.domain_gap", 1),
        _value("confidence.overconfidence@out", 1),
        _value("confidence.overconfidence_out_minus_in", 1),
        _value("sampling_spread.pass_at_1@in", 1),
        _value("epistemic_markers.share_with_marker", -1),
        _value("epistemic_markers.guided_marker_drop", -1),
    ),
}
"""Of the checkpoint alone."""


def feature_sets(*, has_baseline: bool) -> Mapping[Label, FeatureSet]:
    """Return the features of each failure."""
    return WITH_BASELINE if has_baseline else WITHOUT_BASELINE
