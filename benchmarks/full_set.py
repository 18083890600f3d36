"""What the default set of probes costs: seconds and tokens of the main draw, of every condition, and of every pass.

    python benchmarks/full_set.py fixtures/organisms/tiny-healthy --baseline fixtures/organisms/tiny-base
    python benchmarks/full_set.py path/to/SmolLM2-135M-Instruct.Q4_1.gguf

Stages run one after another in one process; the share is of all seconds. Other arguments are those of a quick
`entropydx diagnose`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from entropydx import pipeline, store
from entropydx.config import Settings, resolve


class Clock:
    """A `Progress` that keeps the seconds of every stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "reading", time.monotonic()

    def start(self, stage: str, total: int | None) -> None:
        """End the stage before, and begin another."""
        now = time.monotonic()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now

    def advance(self, n: int = 1, note: str = "") -> None:
        """Ignore."""

    def warn(self, message: str) -> None:
        """Ignore."""


def tokens_by_part(run: Path) -> dict[str, int]:
    """Return the tokens drawn or scored in every part of a finished run."""
    found = {}
    for role, laid in json.loads((run / "run.json").read_text())["passes"].items():
        parts = {"main draw": role, **{name: at["part"] for name, at in laid["conditions"].items()}}
        for name, part in parts.items():
            groups = store.read_groups(run, part)
            found[f"{role}: {name}"] = sum(c.n_tokens for g in groups for c in g.completions)
        for name, part in laid["scores"].items():
            found[f"{role}: {name} (scored)"] = sum(len(s.token_ids) for s in store.read_scores(run, part))
    return found


def main() -> None:
    """Run once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--baseline")
    parser.add_argument("--run-dir", help="Keep the run here; without it nothing is kept.")
    arguments = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run_dir or folder
        config = resolve(arguments.checkpoint, Settings(baseline=arguments.baseline, run_dir=run))
        began = time.monotonic()
        report = pipeline.diagnose(config, clock)
        whole = time.monotonic() - began
        clock.start("", None)
        tokens = tokens_by_part(Path(run))
    print(f"{config.prompts} prompts x {config.samples} samples x {config.max_new_tokens} tokens, {whole:.0f} s in all")
    print(
        f"{report.cost.tokens_generated} tokens drawn, {report.cost.tokens_scored} scored: {report.diagnosis.label}\n"
    )
    print("| stage | seconds | share |\n|---|---|---|")
    for stage, seconds in clock.seconds.items():
        print(f"| {stage.replace(arguments.checkpoint, 'checkpoint')} | {seconds:.1f} | {seconds / whole:.0%} |")
    print("\n| part | tokens |\n|---|---|")
    for part, n in tokens.items():
        print(f"| {part} | {n} |")


if __name__ == "__main__":
    main()
