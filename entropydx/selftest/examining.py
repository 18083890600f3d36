"""Cases to figures to pages: everything that `entropydx selftest` says without sampling."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from entropydx import __version__, document, pipeline
from entropydx.cases import UNCLEAR, Case, load_cases
from entropydx.classifier import Classifier
from entropydx.errors import ConfigError
from entropydx.protocols import Progress, Silent
from entropydx.reporters import _quality_page
from entropydx.selftest import tallies
from entropydx.selftest.bars import held, load_committed, worse
from entropydx.selftest.blame import misled
from entropydx.selftest.judging import READINGS, SCOPES, Verdict, judge
from entropydx.types import FAILURES, QUALITY_VERSION, CaseVerdicts, Mistake, Quality, Reading, Rule, Tool

CASES = Path("fixtures") / "cases"
"""Where the labelled cases are, below the root of a checkout."""
REFERENCE = Path("docs") / "reference"
"""Where the generated pages are, below the root of a checkout."""
COMMITTED = REFERENCE / "quality.json"
"""The figures that must not get worse."""
LISTED: Reading = "leave_one_base_out"
"""The reading whose verdicts and mistakes are listed one by one."""


def examine(folder: Path, progress: Progress | None = None, classifier: Classifier | None = None) -> Quality:
    """Judge the labelled cases of a folder, and return how good the verdicts are.

    Parameters
    ----------
    classifier : Classifier, optional
        By default the one that ships.

    Raises
    ------
    ConfigError
        The folder is not there, holds no case, or holds a file that is not one.
    """
    if not folder.is_dir():
        raise ConfigError(f"no directory {folder}", "run it in a checkout of entropydx, or name one with --cases")
    cases = load_cases(folder)
    verdicts = judge(cases, classifier or Classifier.load(), progress or Silent())
    quality = _tally(cases, verdicts, _fingerprint(folder))
    return replace(quality, bars=held(quality))


def _fingerprint(folder: Path) -> str:
    """Return a SHA-256 of the files, whatever the folder is called."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.json")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _tally(cases: Sequence[Case], verdicts: Sequence[Verdict], sha: str) -> Quality:
    rules = pipeline.rules()
    held_out = READINGS[1:]
    return Quality(
        quality_version=QUALITY_VERSION,
        tool=Tool(name="entropydx", version=__version__),
        cases_sha=sha,
        tiers=tallies.counted(c.tier for c in cases),
        bases=tallies.counted(c.base for c in cases),
        recipes=tallies.counted(c.recipe for c in cases),
        truths=tallies.counted(c.label for c in cases),
        n_draws=sum(len(c.draws) for c in cases),
        n_groups=len({(c.base, c.recipe) for c in cases}),
        tuned_on=tallies.TUNED_ON,
        outcomes=tuple(tallies.outcome(verdicts, s, r) for s in SCOPES for r in READINGS),
        rules=tallies.rule_scores(verdicts, rules),
        classifier=tuple(x for s in SCOPES for r in READINGS for x in tallies.classifier_scores(verdicts, s, r)),
        calibration=tuple(x for s in SCOPES for r in held_out for x in tallies.calibration(verdicts, s, r)),
        repeats=tuple(tallies.repeats(verdicts, s, r) for s in SCOPES for r in READINGS),
        against_itself=tuple(tallies.against_itself(verdicts, r) for r in READINGS),
        doses=tuple(tallies.dose_response(verdicts, str(f), s) for f in FAILURES for s in SCOPES),
        mistakes=mistakes(verdicts, {r.code: r for r in rules}),
        cases=_verdicts_of(cases, verdicts),
        bars=(),
    )


def mistakes(verdicts: Sequence[Verdict], rules: dict[str, Rule]) -> tuple[Mistake, ...]:
    """Return the verdicts that the checks contradict, those of one case and label together; `unclear` ones are none."""
    grouped: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for scope in SCOPES:
        for v in tallies.compared(verdicts, scope, LISTED):
            if v.truth not in {UNCLEAR, v.label}:
                grouped[scope, v.case.name, v.label].append(v)
    return tuple(_mistake(mine, rules) for mine in grouped.values())


def _mistake(mine: Sequence[Verdict], rules: dict[str, Rule]) -> Mistake:
    first = mine[0]
    return Mistake(
        case=first.case.name,
        scope=first.scope,
        truth=first.truth,
        verdict=first.label,
        n=len(mine),
        of=len(first.case.draws),
        planted=first.case.why,
        misled=misled(first, rules),
    )


def _verdicts_of(cases: Sequence[Case], verdicts: Sequence[Verdict]) -> tuple[CaseVerdicts, ...]:
    said: dict[tuple[str, str], list[str]] = defaultdict(list)
    for scope in SCOPES:
        for v in tallies.compared(verdicts, scope, LISTED):
            said[v.case.name, scope].append(v.label)
    return tuple(
        CaseVerdicts(
            case=c.name,
            base=c.base,
            recipe=c.recipe,
            dose=c.dose,
            truth=c.label,
            with_baseline=tuple(said[c.name, "with_baseline"]),
            without_baseline=tuple(said[c.name, "without_baseline"]),
        )
        for c in cases
    )


# ── the committed pages ───────────────────────────────────────────────────────────────────────────


def pages(quality: Quality, reference: Path = REFERENCE) -> dict[Path, str]:
    """Return the generated pages of a directory and what they should hold: the page, its diagram, the document."""
    return {
        reference / "quality.md": _quality_page.page(quality),
        reference / _quality_page.DIAGRAM: _quality_page.diagram(quality),
        reference / COMMITTED.name: document.to_json(replace(quality, redrawn=())),
    }


def stale(quality: Quality, reference: Path = REFERENCE) -> list[Path]:
    """Return the generated pages that are not what they should be."""
    return [
        path
        for path, text in pages(quality, reference).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def is_comparable(quality: Quality, committed: Path) -> bool:
    """Return whether the committed document is of the same cases: other cases have other figures."""
    old = load_committed(committed)
    return old is not None and old["cases_sha"] == quality.cases_sha


def losses(quality: Quality, committed: Path) -> list[str]:
    """Return the bars whose figure is worse than the committed one, a line each; none where the cases are others.

    Raises
    ------
    ConfigError
        The committed file is not a document of this kind.
    """
    old = load_committed(committed)
    if old is None or not is_comparable(quality, committed):
        return []
    return worse(json.loads(document.to_json(quality)), old)
