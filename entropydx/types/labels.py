"""The words that records are written with: outcomes, strata, statuses."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

Domain = Literal["in", "out"]
Difficulty = Literal["easy", "medium", "hard"]
FinishReason = Literal["stop", "length", "non_finite", "unknown"]
Role = Literal["checkpoint", "baseline"]


class Label(StrEnum):
    """The seven outcomes of a diagnosis."""

    TRAINING_COLLAPSE = "training_collapse"
    INFERENCE_VARIANCE = "inference_variance"
    HARD_SAMPLE_SHORTCUTTING = "hard_sample_shortcutting"
    TEACHER_OVERCONFIDENCE = "teacher_overconfidence"
    HEALTHY = "healthy"
    ABNORMAL = "abnormal"
    INCONCLUSIVE = "inconclusive"

    @property
    def words(self) -> str:
        """The label as a person writes it: `training collapse`."""
        return self.value.replace("_", " ")


FAILURES: tuple[Label, ...] = (
    Label.TRAINING_COLLAPSE,
    Label.INFERENCE_VARIANCE,
    Label.HARD_SAMPLE_SHORTCUTTING,
    Label.TEACHER_OVERCONFIDENCE,
)
"""The four failures that can be diagnosed; they may co-occur."""
