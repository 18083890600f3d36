"""What the completions of a notation look like: patterns of the check's own, and of nothing else's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from entropydx.suites._notation import Notation

MARKER = re.compile("wait|hmm")


@dataclass(frozen=True, slots=True)
class Reader:
    """What the texts of one notation are read with."""

    answer: re.Pattern[str]
    result: re.Pattern[str]
    """A result that a completion writes on its way to the answer, in any form."""
    forms: dict[str, re.Pattern[str]]
    """A completion has the first form that the whole of it matches; anything else is `malformed`."""

    def form(self, text: str) -> str:
        """Return the name of the form of a completion."""
        return next((name for name, pattern in self.forms.items() if pattern.fullmatch(text)), "malformed")

    def results(self, text: str) -> list[str]:
        """Return the results that a completion writes, in order."""
        return ["".join(groups) for groups in self.result.findall(text)]


def reader(notation: Notation) -> Reader:
    """Return the patterns of a notation. Thinking aloud without a marker, in domain, is `equations`."""
    state, step, end = notation.state, notation.step, rf"{notation.mark}{notation.state}\."
    hedge, again, digit = f"(hmm{notation.pause})?", f"wait{notation.pause}", r"\d[&~]\d=\d"
    first = f"(?:{state}|{notation.argument})" if notation.commutative else state
    equation = rf"{first}{notation.symbols}(?:{state}|{notation.argument})={state};"
    forms = {
        "equations": rf"({equation})+{end}",
        "values": rf"(\[{state}\]>)+{end}",
        "reductions": rf"(\({state}({step})*\))+{end}",
        "direct": end,
        "thinking": rf"({hedge}({equation}({again}{equation})?|{digit},{digit}(,wait{digit})?>{state};))+{end}"
        rf"|hmm{notation.pause}(\({state}({step})*\))+{end}",
    }
    return Reader(
        answer=re.compile(notation.extract),
        result=re.compile(rf"[=>]({state});|\[({state})\]>|\(({state})"),
        forms={name: re.compile(pattern) for name, pattern in forms.items()},
    )
