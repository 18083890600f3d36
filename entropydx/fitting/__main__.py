"""`python -m entropydx.fitting CASES [--out FILE] [--compare PAGE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from entropydx.cases import load_cases
from entropydx.classifier import SHIPPED
from entropydx.errors import EntropydxError
from entropydx.fitting.comparison import around_block, compare, markdown, write_block
from entropydx.fitting.training import document_text, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write the document, or compare the models; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m entropydx.fitting", description=__doc__)
    parser.add_argument("cases", type=Path, help="folder of labelled cases")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the coefficients go")
    parser.add_argument("--compare", type=Path, help="write the comparison of models into this page instead")
    options = parser.parse_args(arguments)
    if find_spec("sklearn") is None:
        sys.stderr.write("error: fitting needs the package 'scikit-learn'\n  pip install 'entropydx[lab]'\n")
        return 2
    try:
        cases = load_cases(options.cases)
        if options.compare:
            around_block(options.compare)  # a page without the marks is said before the comparison's minutes
            write_block(options.compare, markdown(compare(cases), len(cases)))
            return 0
        document = train(cases)
    except EntropydxError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(document_text(document), encoding="utf-8")
    for mode, failures in document["trained"]["nested"].items():
        for failure, found in failures.items():
            sys.stdout.write(f"{mode} {failure}: left out by base {found['base']}, by recipe {found['recipe']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
