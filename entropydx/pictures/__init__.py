"""What a page draws, computed from a report and, where they are at hand, from its samples. Pure; numpy only.

A number that the report holds is drawn as the report holds it. What it does not hold (the baseline's own intervals,
histograms, single samples) is computed here, with the same statistics at the same level.
"""

from __future__ import annotations

from collections.abc import Mapping

from entropydx import stats
from entropydx.pictures import boards, coverage, formats, reliability, spread, strips
from entropydx.probes._paired import Paired, strata
from entropydx.types import Pictures, Report, Role, Samples

NO_SAMPLES = "only the report is at hand; the run directory also has the samples that this is drawn from"
NO_PROMPTS = "no prompt was drawn, or none in common with the baseline"


def of(report: Report, samples: Mapping[Role, Samples] | None = None) -> Pictures:
    """Return the pictures of a report.

    Parameters
    ----------
    samples : mapping, optional
        The samples that the report is about, by role; without them only curves and bars can be drawn.
    """
    own = (samples or {}).get("checkpoint")
    with stats.at_level(report.protocol.ci_level):
        if own is None:
            return _of_report(report, NO_SAMPLES)
        part = next(strata(own, (samples or {}).get("baseline"), own.params.seed))
        return _of_samples(report, samples or {}, part) if part.groups else _of_report(report, NO_PROMPTS)


def _of_report(report: Report, reason: str) -> Pictures:
    """Return what can be drawn without samples."""
    drawn = Pictures(coverage=coverage.curves(report, None), formats=formats.modes(report, None))
    needs_samples = dict.fromkeys(("shapes", "spread", "reliability", "strips", "boards"), reason)
    return _with_reasons(report, drawn, needs_samples)


def _of_samples(report: Report, samples: Mapping[Role, Samples], part: Paired) -> Pictures:
    picks = strips.choose(report, part)
    forks = strips.forks(part)
    drawn = Pictures(
        coverage=coverage.curves(report, part),
        formats=formats.modes(report, part),
        shapes=formats.shapes(part),
        spread=spread.spread(part),
        reliability=reliability.diagrams(part),
        forks=forks,
        strips=tuple(strips.pair(pick, part) for pick in picks),
        boards=boards.boards([pick.prompt_id for pick in picks], part),
    )
    imported = {name: source.tool for name, s in samples.items() if (source := s.imported) is not None}
    notes = {"strips": f"drawn by {', '.join(sorted(set(imported.values())))}, and imported"} if imported else {}
    return _with_reasons(report, drawn, {}, notes)


def _with_reasons(
    report: Report, drawn: Pictures, known: Mapping[str, str], notes: Mapping[str, str] | None = None
) -> Pictures:
    """Return the pictures with the reason of every one that is empty."""
    reasons = {
        "coverage": _absent(report, "sampling_spread.pass_at_1"),
        "formats": _absent(report, "format_mode.share_prose"),
        "spread": "the samples are not graded",
        "reliability": "the samples are not graded",
        "strips": NO_PROMPTS,
        "boards": NO_PROMPTS,
        "shapes": "a share has an interval from 2 prompts on",
    } | dict(known)
    return Pictures(
        coverage=drawn.coverage,
        formats=drawn.formats,
        shapes=drawn.shapes,
        spread=drawn.spread,
        reliability=drawn.reliability,
        forks=drawn.forks,
        strips=drawn.strips,
        boards=drawn.boards,
        missing={name: reason for name, reason in reasons.items() if not getattr(drawn, name)},
        notes=notes or {},
    )


def _absent(report: Report, name: str) -> str:
    return report.row(name).missing_reason or "it was not measured in this run"
