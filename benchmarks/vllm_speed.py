"""What exact entropies cost inside vLLM: the same engine serving plain requests and ours, interleaved in one process.

Plain requests are sampled by vLLM itself (temperature 1, or greedy; no seeds, no log-probabilities, no
detokenisation); ours are drawn, measured and recorded by the logits processor, and the records are fetched. Every
length is fixed.

    OMP_NUM_THREADS=1 python benchmarks/vllm_speed.py PATH_TO_CHECKPOINT [--dtype bfloat16] [--prompts 16] ...
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the engine's CPU time is this process's

from entropydx.chat import Renderer
from entropydx.engines._vllm_client import Request
from entropydx.engines._vllm_rows import Job
from entropydx.engines.vllm import VllmEngine
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Prompt

TOPICS = ("the sea", "prime numbers", "a lost key", "bread", "the moon", "a bridge", "chess", "rain")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    engine = VllmEngine(args.checkpoint, EngineOptions(dtype=args.dtype, batch_rows=args.rows), Silent())
    renderer = Renderer(engine._tokenizer)
    asked = [f"Write a short story about {TOPICS[i % len(TOPICS)]}, number {i}." for i in range(args.prompts)]
    prompts = [renderer.token_ids(Prompt(id=str(i), prompt=text, answer="")) for i, text in enumerate(asked)]
    engine._load(max(map(len, prompts)) + args.tokens)
    client = engine._running
    from vllm import SamplingParams

    llm = client._engine

    def plain(temperature: float) -> int:
        params = SamplingParams(temperature=temperature, max_tokens=args.tokens, ignore_eos=True, detokenize=False)
        n_tokens = 0
        for i, ids in enumerate(prompts):
            for k in range(args.samples):
                llm.add_request(f"plain-{i}-{k}-{time.time_ns()}", {"prompt_token_ids": ids}, params)
        while llm.has_unfinished_requests():
            n_tokens += sum(len(o.outputs[0].token_ids) for o in llm.step() if o.finished)
        return n_tokens

    def ours() -> int:
        requests = [
            Request(
                job=Job(key=client.next_key(), n_tokens=args.tokens, prompt_id=str(i), sample=k), prompt_ids=tuple(ids)
            )
            for i, ids in enumerate(prompts)
            for k in range(args.samples)
        ]
        return sum(len(taken.entropies) for _, taken, _ in client.run(requests, len(requests)))

    ways: dict[str, Callable[[], int]] = {
        "vLLM + exact entropies": ours,
        "plain vLLM": partial(plain, 1.0),
        "plain vLLM, greedy": partial(plain, 0.0),
    }
    for way in ways.values():
        way()
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(args.repeats):
        for name in list(ways) if repeat % 2 == 0 else reversed(list(ways)):
            before = time.perf_counter(), time.process_time()
            n = ways[name]()
            wall[name].append((time.perf_counter() - before[0]) / n)
            cpu[name].append((time.process_time() - before[1]) / n)
            assert n == args.prompts * args.samples * args.tokens
    report(wall, cpu, f"{args.prompts} x {args.samples} x {args.tokens} tokens, {engine.info.dtype}, {engine.device}")
    engine.close()


def report(wall: dict[str, list[float]], cpu: dict[str, list[float]], what: str) -> None:
    ours, *others = wall
    print(f"{what}; medians of {len(wall[ours])}")
    for name, seconds in wall.items():
        speed, spent = 1 / statistics.median(seconds), 1000 * statistics.median(cpu[name])
        print(f"| {name} | {speed:.0f} tok/s | {spent:.2f} CPU ms/token |")
    for other in others:
        for clock, times in (("wall", wall), ("CPU time", cpu)):
            costs = sorted(b / a - 1 for a, b in zip(times[other], times[ours], strict=True))
            print(
                f"cost against {other}, {clock}: {statistics.median(costs):+.1%} ({costs[0]:+.1%} to {costs[-1]:+.1%})"
            )


if __name__ == "__main__":
    main()
