"""Two Ray actors of one thread against one on the same work: wall time, CPU time, and how evenly the work was shared.

Both ways use the same two actors, with weights loaded and warmed up before the clock starts; runs are interleaved. What
other processes leave of the machine decides the wall time, so the CPU time of the busiest actor stands beside it: CPU
time of the lone actor over that is the speed-up that free cores would give.

    python benchmarks/ray_scaling.py PATH

PATH is a checkpoint, for instance SmolLM2-135M-Instruct. Linux: CPU time is read from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from pathlib import Path

from entropydx import cluster, plugins
from entropydx.fleet import Fleet, ShardedEngine
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Prompt, SamplingParams


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    params = SamplingParams(n_samples=arguments.samples, max_new_tokens=arguments.tokens)
    prompts = plugins.load("suite", "word_problems").prompts(0, arguments.prompts)
    both = cluster.hire("local", 2, "cpu")
    ways = {"one actor": Fleet(both.workers[:1]), "two actors": both}
    engines = {
        name: fleet.open("hf", arguments.checkpoint, EngineOptions(device="cpu", dtype="float32"), Silent())
        for name, fleet in ways.items()
    }
    warm = [Prompt(id=f"warm-{i}", prompt=f"Count to {i}.", answer="") for i in range(16)]
    for engine in engines.values():
        list(engine.generate(warm, SamplingParams(n_samples=2, max_new_tokens=8), batch_rows=2))
    print(f"{arguments.prompts} prompts x {arguments.samples} samples x at most {arguments.tokens} tokens, float32\n")
    print("| way | repeat | wall s | CPU s of each actor | tok/s | load average |")
    print("|---|---|---|---|---|---|")
    walls: dict[str, list[float]] = {name: [] for name in engines}
    totals: dict[str, list[float]] = {name: [] for name in engines}
    busiest: dict[str, list[float]] = {name: [] for name in engines}
    for repeat in range(1, arguments.repeats + 1):
        for name, engine in engines.items():
            wall, cpu, n_tokens = timed(engine, prompts, params)
            walls[name].append(wall)
            totals[name].append(sum(cpu))
            busiest[name].append(max(cpu))
            each = " + ".join(f"{s:.1f}" for s in cpu)
            load = f"{os.getloadavg()[0]:.1f}"
            print(f"| {name} | {repeat} | {wall:.1f} | {each} | {n_tokens / wall:.0f} | {load} |", flush=True)
    one, two = "one actor", "two actors"
    wall_ratio = statistics.median(walls[one]) / statistics.median(walls[two])
    free_ratio = statistics.median(busiest[one]) / statistics.median(busiest[two])
    more = statistics.median(totals[two]) / statistics.median(totals[one]) - 1
    print(
        f"\nspeed-up, medians: {wall_ratio:.2f} in wall time, {free_ratio:.2f} by the CPU time of the busiest actor; "
    )
    print(f"two actors together used {more:+.1%} CPU time")
    both.close()


def timed(engine: ShardedEngine, prompts: list[Prompt], params: SamplingParams) -> tuple[float, list[float], int]:
    """Return wall seconds, CPU seconds of each actor, and tokens drawn."""
    before, start = actor_seconds(), time.perf_counter()
    n_tokens = sum(c.n_tokens for group in engine.generate(prompts, params) for c in group.completions)
    wall, after = time.perf_counter() - start, actor_seconds()
    return wall, [after[pid] - before[pid] for pid in sorted(after)], n_tokens


def actor_seconds() -> dict[int, float]:
    """Return the CPU time so far of every actor of this machine, by process id."""
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that just ended
            if (process / "cmdline").read_bytes().startswith(b"ray::Actor"):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                found[int(process.name)] = (int(fields[11]) + int(fields[12])) / tick
    return found


if __name__ == "__main__":
    main()
