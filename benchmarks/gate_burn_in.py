"""How often a gate errs: A/A runs of a sound checkpoint, the same policy on failed ones, and a bound set at the truth.

    OMP_NUM_THREADS=1 python benchmarks/gate_burn_in.py --work DIR --out benchmarks/gate_burn_in.json

same      one checkpoint against itself (as the report to compare with) and against its baseline: the same prompts,
          other sampling noise in each run; every failure is a false one
fresh     the same checkpoint against its baseline, on other prompts in each run
power     checkpoints whose failure was planted, under the same policy
limit     a closed-form policy against a twin of the same truth, and a bound of exactly no change: the worst case that
          a bound can be set at

Runs are kept in DIR and verdicts in the file: the same command draws and judges only what is missing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from entropydx import gating, pipeline, scoring, stats, store
from entropydx.config import Settings, resolve
from entropydx.planning import resolve_suite
from entropydx.policy import Bound, Policy, read_policy
from entropydx.types import Prompt

KINDS = ("same", "fresh", "power", "limit")
ORGANISMS = Path("fixtures/organisms")
BUDGET = {"prompts": 54, "samples": 8}
"""Those of `--budget quick`; the token limit is the organism's own."""
REFERENCE_SEED = 1000
POLICY = """
[gate.bounds."instrument.truncation_rate"]
max = 0.25

[gate.bounds."sampling_spread.pass_at_1"]
on = "delta"
min = -0.15

[gate.bounds."token_entropy.mean_ratio"]
min = 0.5

[gate.regression."sampling_spread.pass_at_1"]
max_drop = 0.1

[gate.regression."format_mode.structure_effective_number"]
max_drop = 0.5
"""
SOUND = ("tiny-healthy", "tiny-base", "tiny")
FAILED = {
    "tiny-collapse": ("tiny-base", "tiny"),
    "tiny-variance": ("tiny-base", "tiny"),
    "tiny-shortcut": ("tiny-base", "tiny"),
    "tiny-teacher": ("tiny-thinker", "tiny"),
    "grid-entropy-min-3": ("grid-base", "tiny_grid"),
    "grid-lucky-3": ("grid-base", "tiny_grid"),
    "grid-noise-3": ("grid-base", "tiny_grid"),
    "words-guided-3": ("words-base", "tiny_words"),
}
"""Organism to its baseline and suite."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One gate."""

    kind: str
    organism: str
    settings: Settings
    policy: Policy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("entropydx-runs/gate-burn-in"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gate_burn_in.json"))
    parser.add_argument("--runs", type=int, default=50, help="A/A runs of each kind.")
    parser.add_argument("--power", type=int, default=2, help="Seeds of each failed organism.")
    parser.add_argument("--limit", type=int, default=200, help="Runs with a bound at the truth.")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="Then stop when a kind is done; the same command goes on."
    )
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    policy = read_policy(tomllib.loads(POLICY)["gate"], "benchmarks/gate_burn_in.py")
    rows = json.loads(asked.out.read_text(encoding="utf-8"))["rows"] if asked.out.is_file() else []
    done, until = {(row["kind"], row["organism"], row["seed"]) for row in rows}, time.monotonic() + 60 * asked.minutes
    jobs = itertools.chain(
        same(asked.work, policy, asked.runs),
        power(asked.work, policy, asked.power),
        limit(asked.work, asked.limit),
        fresh(asked.work, policy, asked.runs),
    )
    kind = ""
    for job in jobs:
        if time.monotonic() > until and job.kind != kind:
            break
        kind = job.kind
        if (job.kind, job.organism, job.settings.seed) not in done:
            rows.append(judged(job))
            print({key: rows[-1][key] for key in ("kind", "organism", "seed", "verdict", "reasons")}, flush=True)
            asked.out.write_text(document_of(policy, rows), encoding="utf-8")
    print("".join(table(kind, [row for row in rows if row["kind"] == kind]) for kind in KINDS), end="")


def same(work: Path, policy: Policy, runs: int) -> Iterator[Job]:
    """Yield gates of one checkpoint on one set of prompts; the reference is drawn with a seed of its own."""
    organism, baseline, suite = SOUND
    settings = Settings(**BUDGET, suite=str(suite_file(work, suite)), baseline=str(ORGANISMS / baseline))
    whom = reference(work / "reference", organism, settings)
    for seed in range(runs):
        here = replace(settings, seed=seed, run_dir=str(work / f"same-{seed}"))
        yield Job(kind="same", organism=organism, settings=here, policy=replace(policy, against=whom))


def fresh(work: Path, policy: Policy, runs: int) -> Iterator[Job]:
    """Yield gates on prompts of each seed; other prompts do not compare, so there is no regression."""
    organism, baseline, suite = SOUND
    for seed in range(runs):
        settings = Settings(**BUDGET, suite=suite, baseline=str(ORGANISMS / baseline), seed=seed)
        here = replace(settings, run_dir=str(work / f"fresh-{seed}"))
        yield Job(kind="fresh", organism=organism, settings=here, policy=replace(policy, regression=()))


def power(work: Path, policy: Policy, seeds: int) -> Iterator[Job]:
    """Yield gates of failed organisms; what they are compared with is the checkpoint that they began from."""
    for organism, (baseline, suite) in FAILED.items():
        settings = Settings(**BUDGET, suite=str(suite_file(work, suite)))
        whom = reference(work / f"base-{baseline}", baseline, settings)
        for seed in range(seeds):
            here = replace(settings, baseline=str(ORGANISMS / baseline), seed=seed)
            here = replace(here, run_dir=str(work / f"{organism}-{seed}"))
            yield Job(kind="power", organism=organism, settings=here, policy=replace(policy, against=whom))


def reference(path: Path, organism: str, settings: Settings) -> str:
    """Draw what regressions are measured against, unless it is there; return its directory."""
    if not (path / store.REPORT).is_file():
        drawn = replace(settings, seed=REFERENCE_SEED, adaptive=False, run_dir=str(path))
        pipeline.diagnose(resolve(str(ORGANISMS / organism), drawn))
    return str(path)


def limit(work: Path, runs: int) -> Iterator[Job]:
    """Yield gates with a bound that the truth sits on: two closed-form policies that differ in noise alone."""
    bound = Bound(measurement="sampling_spread.pass_at_1", on="delta", min=0.0)
    for seed in range(runs):
        settings = Settings(
            **BUDGET,
            engine="synthetic",
            suite="tiny",
            baseline="synthetic:healthy",
            probes="sampling_spread",
            seed=seed,
            run_dir=str(work / f"limit-{seed}"),
        )
        yield Job(kind="limit", organism="synthetic:twin", settings=settings, policy=Policy(fail=(), bounds=(bound,)))


def judged(job: Job) -> Row:
    """Return one verdict, and what it rests on."""
    ref = job.organism if ":" in job.organism else str(ORGANISMS / job.organism)
    gate, run = gating.gate_checkpoint(resolve(ref, job.settings), job.policy)
    return {
        "kind": job.kind,
        "organism": job.organism,
        "seed": job.settings.seed,
        "verdict": gate.verdict,
        "label": str(gate.label),
        "prompts": run.report.protocol.n_prompts,
        "tokens": run.report.cost.tokens_generated,
        "stop": run.report.cost.stop,
        "failed": [check.name for check in gate.checks if check.verdict == "failed"],
        "reasons": list(gate.reasons),
    }


def suite_file(work: Path, suite: str) -> Path:
    """Return a file of a built-in suite's prompts at seed 0: a built-in suite has other prompts for each seed."""
    path = work / f"{suite}.jsonl"
    prompts = resolve_suite(suite, 0, BUDGET["prompts"], {})
    path.write_text("".join(json.dumps(record(prompt)) + "\n" for prompt in prompts), encoding="utf-8")
    return path


def record(prompt: Prompt) -> Row:
    row = {f.name: getattr(prompt, f.name) for f in fields(prompt) if f.name not in {"prefill", "extra", "verifier"}}
    verifier = {f.name: getattr(prompt.verifier, f.name) for f in fields(prompt.verifier)}
    return {**row, "verifier": verifier, **prompt.extra}


# ── the tables ────────────────────────────────────────────────────────────────────────────────────


def rate(hits: int, n: int) -> dict[str, Any]:
    """Return a rate with its 95 % interval (Wilson)."""
    low, high = scoring.wilson(hits, n, 0.95)
    return {"hits": hits, "n": n, "rate": hits / n, "low": round(low, 4), "high": round(high, 4)}


def summary(rows: Iterable[Row]) -> dict[str, Any]:
    """Return how often each verdict came, and how often another one than the most common."""
    rows = list(rows)
    verdicts = Counter(row["verdict"] for row in rows)
    usual, n_usual = verdicts.most_common(1)[0]
    return {
        "runs": len(rows),
        **{verdict: rate(verdicts[verdict], len(rows)) for verdict in ("passed", "warned", "failed", "inconclusive")},
        "flips": {"usual": usual, **rate(len(rows) - n_usual, len(rows))},
        "mean_prompts": round(sum(row["prompts"] for row in rows) / len(rows), 1),
    }


def document_of(policy: Policy, rows: list[Row]) -> str:
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    found = {
        "policy": POLICY.strip(),
        "policy_sha": policy.sha,
        "budget": BUDGET,
        "ci_level": stats.CI_LEVEL,
        "summary": {kind: summary(row for row in rows if row["kind"] == kind) for kind in kinds},
        "rows": rows,
    }
    return json.dumps(found, indent=1) + "\n"


def table(kind: str, rows: list[Row]) -> str:
    """Return a line for each organism of a kind: runs, verdicts, flips."""
    lines = []
    for organism in dict.fromkeys(row["organism"] for row in rows):
        found = summary(row for row in rows if row["organism"] == organism)
        shares = [
            f"{found[v]['hits']} ({found[v]['low']:.3f} to {found[v]['high']:.3f})"
            for v in ("failed", "inconclusive", "passed")
        ]
        cells = [kind, organism, str(found["runs"]), *shares, str(found["flips"]["hits"]), str(found["mean_prompts"])]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
