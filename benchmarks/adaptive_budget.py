"""What rounds save on the committed organisms, whether they change a label, and their error rate on A/A runs.

    OMP_NUM_THREADS=1 python benchmarks/adaptive_budget.py --seeds 0 1 --twins 100

Each organism is diagnosed against its base at the fixed budget; the rounds are then replayed on the same samples, which
draws nothing. An A/A run compares a sound closed-form policy with a twin of the same truth and other noise, so every
accusation is a false one; it is counted at the fixed budget, with rounds, and with rounds whose intervals have the
level of a single look (which is what peeking would do).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from entropydx import looks, pipeline
from entropydx.cases import load_cases
from entropydx.config import RunConfig, Settings, resolve
from entropydx.types import FAILURES, Report

Run = tuple[Report, Report]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--twins", type=int, default=200)
    parser.add_argument("--organisms", type=Path, default=Path("fixtures/organisms"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        organisms(arguments.organisms, arguments.seeds, Path(folder))
        twins(arguments.twins, Path(folder))


def organisms(root: Path, seeds: list[int], folder: Path) -> None:
    """Print one row per organism and seed: the label at both budgets, the tokens, the rounds."""
    print("| organism | seed | fixed | with rounds | tokens | rounds | stopped |\n|---|---|---|---|---|---|---|")
    shares, same, cases = [], 0, load_cases(Path("fixtures/cases"))
    bases = {case.name: case.baseline for case in cases}
    for path in sorted(p for p in root.iterdir() if p.name in bases):
        for seed in seeds:
            base = bases[path.name]
            settings = Settings(
                baseline=None if base == path.name else str(root / base),
                seed=seed,
                run_dir=str(folder / f"{path.name}-{seed}"),
            )
            fixed, rounds = both(resolve(str(path), settings))
            share = rounds.cost.tokens_generated / fixed.cost.tokens_generated
            labels = [f"{r.diagnosis.label} ({r.diagnosis.confidence})" for r in (fixed, rounds)]
            shares.append(share)
            same += fixed.diagnosis.label == rounds.diagnosis.label
            print(
                f"| {path.name} | {seed} | {' | '.join(labels)} | {share:.2f} | {rounds.cost.rounds} | "
                f"{rounds.cost.stop} |",
                flush=True,
            )
    print(f"\nmedian share of the tokens {statistics.median(shares):.3f}, mean {statistics.mean(shares):.3f}; ", end="")
    print(f"the same label in {same} of {len(shares)}\n")


def both(config: RunConfig) -> Run:
    """Return the reports of the fixed budget and of rounds over the same samples."""
    fixed = pipeline.diagnose(replace(config, adaptive=False))
    return fixed, pipeline.diagnose(config)


def twins(n: int, folder: Path) -> None:
    """Print how often a sound policy is accused, and how often a failure of it is called present, in A/A runs."""
    ways = ("fixed", "rounds", "rounds at one level")
    labels: dict[str, Counter[str]] = {way: Counter() for way in ways}
    accused = Counter[str]()
    for seed in range(1000, 1000 + n):
        for way, report in zip(ways, _twin(seed, folder), strict=True):
            labels[way][str(report.diagnosis.label)] += 1
            accused[way] += any(report.diagnosis.failures[f].status == "present" for f in FAILURES)
    print(f"| A/A, {n} runs | labels | accused |\n|---|---|---|")
    for way in ways:
        found = ", ".join(f"{label} {count}" for label, count in labels[way].most_common())
        print(f"| {way} | {found} | {accused[way]} of {n} |", flush=True)


def _twin(seed: int, folder: Path) -> Iterator[Report]:
    settings = Settings(
        engine="synthetic", baseline="synthetic:healthy", suite="core", prompts=108, samples=16, seed=seed
    )
    config = resolve("synthetic:twin", replace(settings, run_dir=str(folder / f"twin-{seed}")))
    yield from both(config)
    levels = looks.levels
    looks.levels = lambda seen, level, whole=None: (level,) * len(seen)
    try:
        yield pipeline.diagnose(config)
    finally:
        looks.levels = levels


if __name__ == "__main__":
    main()
