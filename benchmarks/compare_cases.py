"""How often `compare` says the right thing of labelled cases, from their reports alone.

Two questions. A/A: two draws of one checkpoint at two seeds, both ways: how often is a failure said to have appeared or
got worse? And pairs of different checkpoints over one base, every ordered pair of draws at one seed: where the
independent check says that a failure came, went or was never there, what does `compare` say? Reports alone are the
weakest operands: with samples the changes are paired, and patterns can be asked for. The classifier that has a say in
the diagnoses was trained on these cases.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from entropydx import comparisons, pipeline, stats
from entropydx.cases import Case, Draw, load_cases
from entropydx.provenance import Provenance
from entropydx.runs import Run
from entropydx.types import FAILURES, CheckpointInfo, Cost, Pair, Protocol

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
HARM = ("worse", "appeared")


def run_of(case: Case, draw: Draw, name: str) -> Run:
    """Return a case's draw as a report without samples."""
    model = CheckpointInfo(
        ref=name, path=name, fingerprint=case.name, architecture="", n_parameters=0, dtype="", format="hf"
    )
    protocol = Protocol(
        suite="cases",
        suite_sha=f"{draw.seed}",
        n_prompts=108,
        n_samples=16,
        temperature=1.0,
        top_p=1.0,
        max_new_tokens=64,
        seed=draw.seed,
        engine="replay",
        scoring="in_loop",
        device="cpu",
        versions={},
        ci_level=stats.CI_LEVEL,
    )
    cost = Cost(tokens_generated=0, tokens_scored=0, wall_s=0.0, tokens_per_s=None, peak_memory_bytes=None)
    origin = Provenance(
        checkpoint=model, baseline=replace(model, fingerprint=case.baseline), protocol=protocol, cost=cost
    )
    report = pipeline.build_report(origin, pipeline.judge(draw.measurements, has_baseline=True), None)
    return Run(path=Path(name), report=report)


def against_itself(cases: list[Case]) -> Iterator[Pair]:
    """Yield two draws of one checkpoint, both ways."""
    for case in cases:
        runs = [run_of(case, draw, str(i)) for i, draw in enumerate(case.draws)]
        for a, b in permutations(range(len(runs)), 2):
            yield comparisons.compared({str(a): runs[a], str(b): runs[b]}).pairs[0]


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="Take every n-th pair of different checkpoints.")
    every = parser.parse_args().every
    cases = load_cases(CASES)
    same = list(against_itself(cases))
    harmed = sum(p.exit_code == 1 for p in same)
    eased = sum(any(f.change in {"improved", "resolved"} for f in p.failures) for p in same)
    print(f"A/A: {len(same)} comparisons, {harmed} with harm, {eased} with an improvement")
    print(f"     answers {dict(Counter(p.answer for p in same))}")
    print(f"     exit codes {dict(sorted(Counter(p.exit_code for p in same).items()))}")
    said: Counter[tuple[str, str]] = Counter()
    runs = [(case, run_of(case, case.draws[0], case.name)) for case in cases]
    pairs = [pair for pair in permutations(runs, 2) if len({(c.baseline, c.draws[0].seed) for c, _ in pair}) == 1]
    for (before, first), (after, second) in pairs[::every]:
        pair = comparisons.compared({"before": first, "after": second}).pairs[0]
        for failure, found in zip(FAILURES, pair.failures, strict=True):
            truth = before.policy_truth[failure], after.policy_truth[failure]
            if "unclear" not in truth:
                said[" -> ".join(truth), found.change] += 1
    print(f"pairs of different checkpoints: {len(pairs[::every])}")
    for truth in sorted({t for t, _ in said}):
        total = sum(n for (t, _), n in said.items() if t == truth)
        told = ", ".join(f"{change} {n / total:.3f}" for (t, change), n in said.most_common() if t == truth)
        print(f"  {truth} ({total}): {told}")


if __name__ == "__main__":
    main()
