"""Labelled cases: what was measured on a checkpoint whose cause and effect are known, one JSON document each.

A case holds every measurement of one or more draws of the checkpoint, with the baseline and without, so that rules,
classifier and triage can be judged again in milliseconds, with no torch and no weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from entropydx.errors import ConfigError
from entropydx.types import FAILURES, Label, Measured, Measurement, Missing

Truth = Literal["present", "absent", "unclear"]
UNCLEAR: Literal["unclear"] = "unclear"
LABELS = (*map(str, FAILURES), str(Label.HEALTHY), str(Label.ABNORMAL), UNCLEAR)
"""What a case can be, the four failures first."""
DIGITS = 4
"""Significant digits that are kept of a number."""
REDUNDANT = re.compile(r"sampling_spread\.pass_at_(?!(?:1|2|4|8|16)(?:@|$))\d+")
"""Rows that are not kept: they lie on a curve between rows that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The measurements of one diagnosis."""

    seed: int
    measurements: tuple[Measurement, ...]
    """With the baseline."""
    alone: tuple[Measurement, ...]
    """The same samples without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One checkpoint of known cause."""

    name: str
    tier: str
    """`tiny` or `smollm2`."""
    base: str
    """The family that it is left out with: the root of its line."""
    baseline: str
    """The checkpoint that it was compared with."""
    recipe: str
    """The mechanism, whatever base and dose: what it is left out with."""
    aim: str
    """The label that the recipe is meant to bring about."""
    dose: float
    """In (0, 1]: its place among the doses of its recipe, i/n for the i-th of n from faint to severe."""
    seed: int
    """Of the training."""
    label: str
    """What the independent check says that it is: a `types.Label`, or `unclear` between the bars."""
    truth: Mapping[str, Truth]
    """What the check says of each failure."""
    why: str
    check: Mapping[str, float]
    """Numbers of the independent check, with those of the baseline behind `base/`."""
    draws: tuple[Draw, ...] = field(repr=False)

    @property
    def policy_truth(self) -> Mapping[str, Truth]:
        """The truth of each failure where the policy at temperature 1 can show it.

        What the check says of inference variance may come from the deployment's sampling, where that was drawn: it is
        `unclear` then, for a judge that does not look at the deployment.
        """
        deployed = any(number.startswith("deployed/") for number in self.check)
        hidden: dict[str, Truth] = {str(Label.INFERENCE_VARIANCE): UNCLEAR} if deployed else {}
        return {**self.truth, **hidden}

    @property
    def is_sound(self) -> bool:
        """Whether the check found none of the four failures and nothing else wrong."""
        return self.label == Label.HEALTHY


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return value


def _row(measurement: Measurement) -> dict[str, Any]:
    if isinstance(measurement, Missing):
        return {"missing": measurement.reason}
    fields = asdict(measurement)
    del fields["name"], fields["note"]
    return {key: _rounded(value) for key, value in fields.items() if value is not None}


def _measurement(name: str, row: Mapping[str, Any]) -> Measurement:
    if "missing" in row:
        return Missing(name=name, reason=row["missing"])
    pairs = {key: (row[key][0], row[key][1]) for key in ("ci", "delta_ci") if key in row}
    return Measured(**{"name": name, "ci": None, **row, **pairs})


def _draw_to_json(draw: Draw) -> dict[str, Any]:
    both, alone = (
        {m.name: _row(m) for m in part if not REDUNDANT.match(m.name)} for part in (draw.measurements, draw.alone)
    )
    without = {name: _without_baseline(row) for name, row in both.items()}
    return {
        "seed": draw.seed,
        "measurements": both,
        # What a run without a baseline says otherwise; null where it says nothing under that name.
        "alone": {name: alone.get(name) for name in [*both, *alone] if alone.get(name) != without.get(name)},
    }


def _without_baseline(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("baseline", "delta", "delta_ci")}


def _draw_from_json(document: Mapping[str, Any]) -> Draw:
    both = document["measurements"]
    alone = {name: _without_baseline(row) for name, row in both.items()} | document["alone"]
    return Draw(
        seed=document["seed"],
        measurements=tuple(_measurement(name, row) for name, row in both.items()),
        alone=tuple(_measurement(name, row) for name, row in alone.items() if row is not None),
    )


def to_json(case: Case) -> str:
    """Return the document of a case: a line for each measurement, so that a diff can be read."""
    head = {key: getattr(case, key) for key in Case.__dataclass_fields__ if key != "draws"}
    head["check"] = {key: _rounded(value) for key, value in case.check.items()}
    document = {**head, "truth": dict(case.truth), "draws": [_draw_to_json(draw) for draw in case.draws]}
    return _lines(document) + "\n"


def _lines(document: Mapping[str, Any], depth: int = 0) -> str:
    """Return JSON with one line for each entry of the outer objects, and leaves compact."""
    pad = " " * (depth + 1)
    parts = []
    for key, value in document.items():
        deep = depth < 2 and isinstance(value, dict) and any(isinstance(v, dict) for v in value.values())
        if key == "draws":
            text = "[\n" + ",\n".join(pad + _lines(draw, 1) for draw in value) + "]"
        elif deep:
            text = _lines(value, depth + 1)
        else:
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        parts.append(f"{pad}{json.dumps(key)}:{text}")
    return "{\n" + ",\n".join(parts) + "}"


def from_json(text: str) -> Case:
    """Return the case of a document.

    Raises
    ------
    ValueError
        The document is no case; the message says why.
    """
    try:
        document = json.loads(text)
        draws = tuple(_draw_from_json(d) for d in document.pop("draws"))
        case = Case(**document, draws=draws)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    _check(case)
    return case


def _check(case: Case) -> None:
    """Refuse what would be judged wrongly or not at all."""
    if case.label not in LABELS:
        raise ValueError(f"label '{case.label}' is none of {', '.join(LABELS)}")
    if set(case.truth) != {str(f) for f in FAILURES} or not set(case.truth.values()) <= set(get_args(Truth)):
        raise ValueError("truth must say present, absent or unclear of each of the four failures")
    if not case.draws:
        raise ValueError("no draw")
    numbers = [
        case.dose,
        *case.check.values(),
        *(m.value for d in case.draws for m in d.measurements if is_measured(m)),
    ]
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError("a dose, a check value or a measurement is not a number")


def is_measured(measurement: Measurement) -> TypeGuard[Measured]:
    """Return whether there is a number."""
    return isinstance(measurement, Measured)


def write_case(case: Case, folder: Path) -> Path:
    """Write a case as `folder/NAME.json`; return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.name}.json"
    path.write_text(to_json(case))
    return path


def load_cases(folder: Path) -> list[Case]:
    """Return the cases of a folder and of the folders in it, by name.

    Raises
    ------
    ConfigError
        There is none, or a file is not a case.
    """
    cases = []
    for path in sorted(folder.rglob("*.json")):
        try:
            cases.append(from_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is not a labelled case: {error}", "grow it again, or remove it") from error
    if not cases:
        raise ConfigError(f"no labelled case in {folder}", "name the folder of the cases with --cases")
    return sorted(cases, key=lambda case: case.name)


def labels(cases: Sequence[Case]) -> list[str]:
    """Return the labels that occur, the four failures first."""
    return [label for label in LABELS if any(case.label == label for case in cases)]
