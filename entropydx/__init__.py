"""entropydx: which failure a language-model checkpoint has, how sure that is, and what to change.

>>> import entropydx
>>> report = entropydx.diagnose("path/to/checkpoint", baseline="path/to/base")  # doctest: +SKIP
>>> report.diagnosis.label, report.exit_code  # doctest: +SKIP

Importing this package imports nothing heavy; `diagnose` imports torch when it runs, `load_report` never does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entropydx.protocols import Progress
    from entropydx.types import Compared as Compared
    from entropydx.types import Report as Report
    from entropydx.types import Sweep as Sweep
    from entropydx.types import Trajectory as Trajectory

__version__ = "0.1.0"
__all__ = [
    "Compared",
    "Report",
    "Sweep",
    "Trajectory",
    "__version__",
    "compare",
    "diagnose",
    "load_report",
    "sweep",
    "trajectory",
]


def diagnose(checkpoint: str | Path, *, progress: Progress | None = None, **settings: Any) -> Report:
    """Diagnose a checkpoint.

    Parameters
    ----------
    checkpoint : str or Path
        A Hugging Face directory, a PEFT adapter directory, a .gguf file, or a hub id.
    progress : Progress, optional
        Receives stages and remarks; silent when left out.
    **settings
        As the flags of `entropydx diagnose`, with underscores: baseline, suite, budget, prompts, samples, seed...
        A project file in the working directory is not read.

    Returns
    -------
    Report
        Its `exit_code` is the one that the command would return.

    Raises
    ------
    EntropydxError
        The run could not happen; the message says what, where and how to mend it.
    """
    from entropydx import config, pipeline  # noqa: PLC0415 - torch and pydantic are imported when they are needed

    return pipeline.diagnose(config.resolve(str(checkpoint), config.settings(settings, "diagnose()")), progress)


def trajectory(*checkpoints: str | Path, progress: Progress | None = None, **settings: Any) -> Trajectory:
    """Diagnose a series of checkpoints of one run.

    Parameters
    ----------
    *checkpoints : str or Path
        Two or more in the order of training, or one directory that holds `checkpoint-N` or `global_step_N`.
    progress : Progress, optional
        Receives stages and remarks; silent when left out.
    **settings
        As for `diagnose`; the baseline is the first checkpoint unless one is named, and `run_dir` is the directory of
        the series, whose finished checkpoints are not drawn again.

    Returns
    -------
    Trajectory
        Its `exit_code` is that of the last checkpoint's diagnosis; 2 when a newer one of the directory, named in
        `left_out`, could not be diagnosed.

    Raises
    ------
    EntropydxError
        The series could not be diagnosed; the message says what, where and how to mend it.
    """
    from entropydx import config, trajectories  # noqa: PLC0415

    refs = [str(checkpoint) for checkpoint in checkpoints]
    return trajectories.trace(refs, config.settings(settings, "trajectory()"), progress=progress)


def sweep(*checkpoints: str | Path, progress: Progress | None = None, **settings: Any) -> Sweep:
    """Diagnose many checkpoints, each on its own; one that cannot run does not stop the others.

    Parameters
    ----------
    *checkpoints : str or Path
        In any order, or one directory that holds several.
    progress : Progress, optional
        Receives stages and remarks; silent when left out.
    **settings
        As for `diagnose`; `run_dir` is the directory of the sweep, whose finished checkpoints are not drawn again.

    Returns
    -------
    Sweep
        The worst first; `to_frame()` is the table.

    Raises
    ------
    EntropydxError
        Nothing could run; the message says what, where and how to mend it.
    """
    from entropydx import config, sweeps  # noqa: PLC0415

    refs = [str(checkpoint) for checkpoint in checkpoints]
    return sweeps.sweep(refs, config.settings(settings, "sweep()"), progress=progress)


def compare(
    *runs: str | Path, remedy: str | None = None, progress: Progress | None = None, **settings: Any
) -> Compared:
    """Say what changed between a run and later ones, and whether what was done in between worked.

    Parameters
    ----------
    *runs : str or Path
        Run directories, report files, or checkpoints, which are diagnosed first; the one from before first.
    remedy : str, optional
        Id of the remedy of the catalogue that was tried in between: each pair says whether it did what it promised.
    progress : Progress, optional
        Receives stages and remarks; silent when left out.
    **settings
        For the checkpoints, as for `diagnose`; `run_dir` is the directory of the comparison.

    Returns
    -------
    Compared
        One pair for every later run; `to_frame()` is the table of the changes.

    Raises
    ------
    EntropydxError
        Two runs do not compare, one could not be read or diagnosed, or the catalogue has no such remedy.
    """
    from entropydx import comparisons, config  # noqa: PLC0415

    flags = config.settings(settings, "compare()")
    return comparisons.compare([str(run) for run in runs], flags, progress=progress, remedy=remedy)


def load_report(path: str | Path) -> Report:
    """Read a report that `diagnose` wrote.

    Raises
    ------
    ReportError
        The file is not a report of this schema.
    """
    from entropydx import document  # noqa: PLC0415

    return document.load_report(Path(path))


def __getattr__(name: str) -> Any:
    if name in {"Compared", "Report", "Sweep", "Trajectory"}:
        from entropydx import types  # noqa: PLC0415 - numpy is imported when it is needed

        return getattr(types, name)
    raise AttributeError(f"module 'entropydx' has no attribute '{name}'")
