"""The verdict and the report: exactly the JSON document, schema_version 1.0."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from entropydx.types.evidence import Finding, Interval
from entropydx.types.imports import ImportSource
from entropydx.types.inputs import CheckpointInfo
from entropydx.types.labels import Label
from entropydx.types.remedies import LeftOut, Recommendation, Training

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = "1.0"
Confidence = Literal["high", "medium", "low"]
Presence = Literal["present", "absent", "undetermined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureAssessment:
    """The standing of one of the four failures."""

    status: Presence
    probability: float | None = None
    """Calibrated probability; None where the classifier abstains, which `reason` says why, or none ships."""
    severity: float | None = None
    """In [0, 1]; None when the failure is not present."""
    reason: str = ""
    """Why, in a few words; `untested` when its inputs or probes are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The verdict."""

    label: Label
    confidence: Confidence
    runner_up: Label | None
    summary: str
    failures: dict[str, FailureAssessment]
    rules_label: Label
    """What the rules say alone."""
    classifier_label: Label | None = None
    """What the classifier says alone; None when it does not speak, or abstains without naming a failure."""
    agreement: bool | None = None
    """Whether rules and classifier are on one side about every failure that both decide; None when there is none."""
    would_settle_it: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the samples were drawn and the intervals made."""

    suite: str
    suite_sha: str
    n_prompts: int
    n_samples: int
    temperature: float | None
    """None, like the next three, where samples were imported and their tool does not say."""
    top_p: float | None
    max_new_tokens: int | None
    seed: int | None
    engine: str
    """`import` where another tool drew the samples."""
    scoring: str
    """Where the entropies come from: `in_loop` and `rescored` are exact, full vocabulary; `top_k` are bounds; `none`:
    there are none."""
    device: str
    versions: dict[str, str]
    suite_source: str = "flag"
    """flag, config, checkpoint or default."""
    budget: str = "custom"
    thinking: str = "auto"
    chat_template: bool = False
    """Whether prompts went through the tokenizer's chat template."""
    ci_level: float = 0.95
    """Confidence level of every interval in the report."""
    batch_rows: int = 0
    """Largest number of rows decoded together; 0 when nothing was sampled."""
    probes: str | None = None
    """The probes that were asked for, joined by commas; None: all."""
    lexicon: tuple[str, ...] = ()
    """The epistemic markers that were counted."""
    deploy_temperature: float | None = None
    """Of the deployment condition; None when it was not drawn."""
    deploy_top_p: float | None = None
    adaptive: bool = False
    """Whether the run was looked at after every round, and could stop at any."""
    n_planned: int | None = None
    """Prompts of the whole budget, of which `n_prompts` were drawn; None in reports of before."""
    imported: ImportSource | None = None
    """The tool whose files the samples come from; None where entropydx drew them."""
    imported_baseline: ImportSource | None = None
    """The same of the baseline's samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementRow:
    """One measurement as it stands in the report; a missing one has a `missing_reason` and no value."""

    name: str
    value: float | None = None
    unit: str | None = None
    n: int = 0
    ci: Interval | None = None
    baseline: float | None = None
    delta: float | None = None
    delta_ci: Interval | None = None
    missing_reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sample that shows what a number means."""

    about: str
    """The measurement or rule code that it illustrates."""
    prompt_id: str
    sample_index: int
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the run took."""

    tokens_generated: int
    tokens_scored: int
    wall_s: float
    tokens_per_s: float | None
    """None when nothing was drawn in this run."""
    peak_memory_bytes: int | None
    stopped_early: bool = False
    """Whether prompts of the budget were left."""
    rounds: int = 1
    stop: str = "fixed"
    """fixed: all at once; decided: every failure was; instrument: it failed; budget: the last round was drawn."""
    stop_reason: str = ""
    """The same in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Who wrote the report."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole document; `entropydx schema` prints its JSON Schema."""

    schema_version: str
    tool: Tool
    created_at: str
    exit_code: int
    checkpoint: CheckpointInfo
    baseline: CheckpointInfo | None
    protocol: Protocol
    diagnosis: Diagnosis
    measurements: tuple[MeasurementRow, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    examples: tuple[Example, ...]
    cost: Cost
    training: Training | None = None
    """What is known of the training, which the recommendations depend on; None: nothing was looked at."""
    left_out: tuple[LeftOut, ...] = ()
    """The other remedies for the label, and why each is not recommended; empty also in reports of before."""
    contraindicated: tuple[LeftOut, ...] = ()
    """Remedies of other failures that would deepen one that is present; empty also in reports of before."""

    def row(self, name: str) -> MeasurementRow:
        """Return a measurement by its name; a missing one, when the report has none of that name."""
        absent = MeasurementRow(name=name, missing_reason="the report has no such measurement")
        return next((row for row in self.measurements if row.name == name), absent)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per measurement, with the columns of `MeasurementRow`, intervals as two columns each."""
        import pandas as pd  # noqa: PLC0415 - only notebooks need it

        rows = []
        for measurement in self.measurements:
            row = asdict(measurement)
            for name in ("ci", "delta_ci"):
                low, high = row.pop(name) or (None, None)
                row |= {f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
        return pd.DataFrame(rows)
