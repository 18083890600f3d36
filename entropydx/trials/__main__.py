"""Write what the trials say of the remedies into the package: `python -m entropydx.trials fixtures/trials`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from entropydx.trials import TRIALS, read_cells, summarise
from entropydx.trials.conclusions import conclude, to_json

SHIPPED = Path(__file__).parents[1] / "data" / "trials.json"


def main(folder: Path) -> None:
    """Read the outcomes in a directory and write the shipped file."""
    cells = read_cells(folder)
    found = [c for trial in TRIALS for c in conclude(trial, summarise(trial, cells))]
    SHIPPED.write_text(json.dumps(to_json(found), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
