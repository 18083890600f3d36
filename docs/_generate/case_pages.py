"""The page of the labelled cases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from entropydx.cases import Case, labels, load_cases

CHECKED = {
    "pass@1": "pass@1",
    "majority": "majority",
    "pass@16": "pass@16",
    "pass@1/easy/in": "easy, in",
    "pass@1/out": "pass@1 out",
    "agreement_when_wrong/in": "agree when wrong, in",
    "overconfidence/out": "overconfidence out",
    "steps_written": "steps",
    "token_entropy": "entropy",
}
"""Number of the independent check to its heading."""


def cases_page(folder: Path) -> str:
    """Return the labelled cases: base, mechanism, dose, what was meant, what the check found, and its numbers."""
    cases = load_cases(folder)
    parts = [
        "# Labelled cases\n",
        "Generated from `fixtures/cases`. A case is one checkpoint whose cause is known because we caused it "
        "([ADR 9](../adr/0009-organism-lab.md)); what it *is* says the independent check "
        "(`organisms/truth.py`), whatever was meant. Numbers are the checkpoint's, and the baseline's in brackets; "
        "entropy is in nats a token. `entropydx organisms lab NAME --out DIR --cases DIR` grows one again.\n",
        _tally(cases),
    ]
    for base in sorted({case.base for case in cases}):
        parts.append(f"## {base}\n\n" + _cases_table([case for case in cases if case.base == base]))
    parts.append("## Why each mechanism does what it does\n\n" + "\n".join(_whys(cases)) + "\n")
    return "\n".join(parts)


def _tally(cases: list[Case]) -> str:
    counts = Counter(case.label for case in cases)
    listed = ", ".join(f"{counts[label]} {label}" for label in labels(cases))
    mechanisms, bases = len({case.recipe for case in cases}), len({case.base for case in cases})
    return f"{len(cases)} cases of {mechanisms} mechanisms on {bases} bases: {listed}.\n"


def _cases_table(cases: list[Case]) -> str:
    head = ["case", "mechanism", "dose", "meant", "is", "also", *CHECKED.values()]
    rows = [[*_standing(case), *(_checked(case, number) for number in CHECKED)] for case in cases]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def _standing(case: Case) -> list[str]:
    also = [f"{failure} {standing}" for failure, standing in case.truth.items() if standing != "absent"]
    beside = ", ".join(text.removesuffix(" present") for text in also if text != f"{case.label} present")
    return [f"`{case.name}`", case.recipe, f"{case.dose:.2g}", case.aim, case.label, beside or "-"]


def _checked(case: Case, number: str) -> str:
    own, base = case.check.get(number), case.check.get(f"base/{number}")
    return "-" if own is None or base is None else f"{own:.2f} ({base:.2f})"


def _whys(cases: list[Case]) -> list[str]:
    return [f"- `{name}`: {why}" for name, why in sorted({case.recipe: case.why for case in cases}.items())]
