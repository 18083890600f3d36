"""What one can implement. A plugin is one file; the attribute named after the kind is the plugin.

| kind     | file             | attribute  | it must be                              |
|----------|------------------|------------|-----------------------------------------|
| engine   | engines/x.py     | `engine`   | a class satisfying `Engine`             |
| suite    | suites/x.py      | `suite`    | an object satisfying `Suite`            |
| probe    | probes/x.py      | `probe`    | an object satisfying `Probe`            |
| rule     | rules/x.py       | `rule`     | a `types.Rule` value                    |
| remedy   | remedies/x.py    | `remedy`   | a tuple of `types.Remedy` values        |
| reporter | reporters/x.py   | `reporter` | an object satisfying `Reporter`         |
| checker  | checkers/x.py    | `checker`  | a function satisfying `Checker`         |
| importer | importers/x.py   | `importer` | an object satisfying `Importer`         |

Third parties register the same attributes under the entry-point groups `entropydx.engines`, `entropydx.probes`...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from entropydx.types import (
    CheckpointInfo,
    Group,
    Imported,
    ImportOptions,
    Measurement,
    Passage,
    Prompt,
    Report,
    Requires,
    Samples,
    SamplingParams,
    Score,
)


class Progress(Protocol):
    """Receives what long stages do; the command line draws bars, a library user may ignore it."""

    def start(self, stage: str, total: int | None) -> None:
        """Begin a stage of `total` units; None when the length is unknown."""
        ...

    def advance(self, n: int = 1, note: str = "") -> None:
        """`n` more units are done; `note` is a short remark such as a speed."""
        ...

    def warn(self, message: str) -> None:
        """Tell the user of something that is worth knowing and does not stop the run."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def start(self, stage: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Ignore."""

    def warn(self, message: str) -> None:
        """Ignore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How a checkpoint is opened and run; nothing here changes which tokens are drawn, save `dtype`."""

    base_model: str | None = None
    """The model under a PEFT adapter, when its own record of it cannot be resolved."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    dtype: str = "auto"
    """auto, float32, bfloat16 or float16."""
    allow_pickle: bool = False
    trust_remote_code: bool = False
    batch_rows: int = 0
    """Most rows decoded together; 0 lets the engine choose."""
    cuda_graphs: bool = False
    """Record decode steps on a CUDA device and replay them, where the engine and the model allow it."""
    endpoint: str | None = None
    """Address of the server that draws, such as `http://host:8000/v1`; only of engines that ask one."""
    vocab_size: int = 0
    """V of a model that is known by its name alone; 0 when nobody says."""


class Engine(Protocol):
    """Draws completions from one checkpoint.

    `Engine(ref, options, progress)` resolves and fingerprints the checkpoint, and may put off loading its weights
    until `generate`. `generate` yields groups in any order, each exactly once, complete and ungraded.
    """

    provides: Requires
    """Capabilities; `n_samples` is the largest K it can serve."""
    scoring: str
    """`in_loop` or `rescored` when entropies are exact and full-vocabulary, `top_k` when they are only bounded."""

    def __init__(self, ref: str, options: EngineOptions, progress: Progress) -> None: ...

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint, with the dtype that it runs in."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, in words."""
        ...

    @property
    def uses_chat_template(self) -> bool:
        """Whether prompts go through a chat template."""
        ...

    @property
    def batch_rows(self) -> int:
        """Most rows decoded together so far; 0 before anything was drawn."""
        ...

    @property
    def leaves_room(self) -> bool:
        """Whether another model of the same size would fit beside this one, now that its weights are loaded."""
        ...

    @property
    def deployment(self) -> tuple[float, float] | None:
        """Temperature and top_p that the checkpoint itself asks to be sampled with; None when it asks for nothing."""
        ...

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams, batch_rows: int = 0) -> Iterator[Group]:
        """Draw `params.n_samples` completions of every prompt; `batch_rows` above 0 overrides the options'.

        A prompt's `prefill` stands before the completion and is not part of it.
        """
        ...

    def score(
        self, passages: Sequence[Passage], rank_stride: int = 0, thinking: Literal["auto", "on", "off"] = "auto"
    ) -> Iterator[Score]:
        """Score passages in one teacher-forced pass each, in any order; `rank_stride` above 0 adds effective ranks.

        `thinking` is that of the `SamplingParams` which the texts were drawn with, so that prompts are rendered alike.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...


class Suite(Protocol):
    """A seeded source of prompts."""

    collections: tuple[str, ...]
    """Names under which several suites run together; `core` is the default collection."""

    def prompts(self, seed: int, n: int) -> list[Prompt]:
        """Return `n` prompts, cycling over difficulties; a seed fixes them, and more of them only adds at the end."""
        ...


class Probe(Protocol):
    """Turns samples into measurements."""

    requires: Requires

    def measure(self, samples: Samples, baseline: Samples | None) -> list[Measurement]:
        """Return every measurement of the probe: measured, or missing with the reason. Pure; numpy only."""
        ...


class Checker(Protocol):
    """Tells true computations from false ones in the text of a completion."""

    def __call__(self, prompt: Prompt, text: str) -> tuple[bool, ...]:
        """Return whether each computation that `text` writes down is true, in their order; pure and linear-time."""
        ...


class Importer(Protocol):
    """Reads the files of another tool. Pure but for reading them; imports no torch, and nothing of the tool."""

    tool: str
    """The tool as it writes itself: `TRL`, `lm-evaluation-harness`."""
    fields: tuple[str, ...]
    """What `--map` may name a column for."""
    ignores: tuple[str, ...]
    """Options that it does not look at, of `step` and `tokenizer`: a user who gives one is told so."""

    def recognises(self, path: Path) -> bool:
        """Return whether a file or directory is of this tool, by its names and its first bytes; never raises."""
        ...

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return what the files say, and nothing that they do not.

        Raises
        ------
        ImportFileError
            A file is damaged, or lacks what it takes; the message names file, line or row, and column.
        """
        ...


class Reporter(Protocol):
    """Renders a report."""

    def render(self, report: Report) -> str:
        """Return the document. Pure."""
        ...
