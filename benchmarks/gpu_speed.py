"""Recorded decode steps against steps launched one by one, and both against `transformers.generate`, on a GPU.

Random weights in the shape of Llama-3.2-1B (1b) or SmolLM2-1.7B (2b); speed depends on the shape alone. All ways run
the same weights, prompts, samples per prompt, rows and ends, interleaved; exact entropies are on in the engine's loop
and `generate` computes none. Recording the steps is inside the time. The table gives medians of the repeats.

- `fixed`: nothing ends a row, so every way draws the same number of tokens.
- `free`: of V tokens, V / MEAN end a row, which from nearly flat distributions makes lengths geometric with that mean,
  cut at the limit. `generate` takes as many rows at a time and waits for the longest.

The roofline share (fixed lengths) is the time that reading the weights and the cache once a step takes at the bandwidth
measured in the same run, over the time that the step took (`roofline.py` has the definitions).

    python benchmarks/gpu_speed.py 1b
    python benchmarks/gpu_speed.py 2b --rows 64,512

Exits 1 where the recorded loop is less than 3 times as fast as `generate`. On a CPU (`tiny --device cpu`) there is
nothing to record: it only shows that the script runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roofline import SHAPES, build, cache_bytes, clock, limits, weights_of_a_step

BAR = 3.0
"""Times as fast as `generate`, with entropies."""
RECORDED, GENERATE = "own loop, recorded steps", "generate"
WIDTHS = (40, 180)
"""Of the prompts, in tokens."""


@dataclass
class Bench:
    """A model, what it is asked, and how much at a time."""

    model: Any
    work: list[Any]
    stop_ids: frozenset[int]
    n_samples: int
    n_tokens: int
    n_rows: int

    def loop(self, *, recorded: bool) -> list[int]:
        """Run the engine's loop; return the lengths of what it drew."""
        from entropydx.engines._batches import Batches
        from entropydx.engines._decode import Decoder
        from entropydx.engines._graphs import CudaGraphs
        from entropydx.protocols import Silent
        from entropydx.types import SamplingParams

        params = SamplingParams(n_samples=self.n_samples, max_new_tokens=self.n_tokens)
        decoder = Decoder(self.model, self.stop_ids, params, CudaGraphs(str(self.model.device)) if recorded else None)
        ordered = sorted(self.work, key=lambda w: w.width, reverse=True)
        return [len(row.token_ids) for row in Batches(Silent()).run(ordered, self.n_rows, decoder.run)]

    def generate(self, **options: Any) -> list[int]:
        """Run `generate` on batches of as many rows, of prompts of like length, until the last row of each ends."""
        ordered = sorted(self.work, key=lambda w: w.width, reverse=True)
        step = max(1, self.n_rows // self.n_samples)
        return [n for i in range(0, len(ordered), step) for n in self._generate(ordered[i : i + step], options)]

    def _generate(self, work: list[Any], options: dict[str, Any]) -> list[int]:
        import torch

        longest, device = max(w.width for w in work), self.model.device
        ids = torch.tensor([[0] * (longest - w.width) + w.token_ids for w in work], device=device)
        mask = torch.tensor([[0] * (longest - w.width) + [1] * w.width for w in work], device=device)
        ends = sorted(self.stop_ids) or None
        with torch.inference_mode():
            output = self.model.generate(
                ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
                num_return_sequences=self.n_samples, max_new_tokens=self.n_tokens, eos_token_id=ends, **options,
            )  # fmt: skip
        drawn = output[:, longest:]
        ended = torch.isin(drawn, torch.tensor(ends or [], dtype=drawn.dtype, device=device))
        return torch.where(ended.any(-1), ended.int().argmax(-1) + 1, drawn.shape[1]).tolist()


def load(folder: str, device: str, dtype: str) -> Any:
    """Load the model as the engine does, straight to the device."""
    from entropydx.checkpoint import resolve, weight_facts
    from entropydx.engines import _load
    from entropydx.protocols import EngineOptions, Silent

    options = EngineOptions(device=device, dtype=dtype)
    checkpoint = resolve(folder, options)
    config = _load.load_config(checkpoint, options)
    placement = _load.place(options, weight_facts(checkpoint), config)
    return _load.load_model(checkpoint, options, placement, int(config.vocab_size), Silent())


def prepare(model: Any, n_rows: int, arguments: argparse.Namespace, *, free: bool) -> Bench:
    """Make prompts of random tokens; two batches of them where lengths differ, so that there is something to refill."""
    import numpy as np

    from entropydx.engines._decode import Work

    rng = np.random.default_rng(0)
    vocab = model.config.vocab_size
    n_prompts = max(1, n_rows // arguments.samples) * (2 if free else 1)
    widths = rng.integers(*WIDTHS, n_prompts)
    samples = tuple(range(arguments.samples))
    work = [Work(f"{i}", rng.integers(0, vocab, n).tolist(), samples) for i, n in enumerate(widths)]
    stops = rng.choice(vocab, vocab // arguments.mean, replace=False).tolist() if free else []
    return Bench(model, work, frozenset(stops), arguments.samples, arguments.tokens, n_rows)


def measure(ways: dict[str, Callable[[], list[int]]], repeats: int, now: Callable[[], float]) -> dict[str, Any]:
    """Return the median seconds per token of each way, its lengths, and the memory that it peaked at."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in ways}
    lengths: dict[str, list[int]] = {}
    peaks: dict[str, float | None] = {}
    for repeat in range(-1, repeats):  # the first is a warm-up
        for name, run in ways.items():
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            start = now()
            lengths[name] = run()
            if repeat >= 0:
                seconds[name].append((now() - start) / sum(lengths[name]))
            peaks[name] = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return {name: (statistics.median(s), lengths[name], peaks[name]) for name, s in seconds.items()}


def table(found: dict[str, Any], step_limit_s: float | None, n_rows: int) -> float:
    """Print what was measured; return how many times as fast as `generate` the recorded loop is."""
    import numpy as np

    base = found[GENERATE][0]
    names = ("way", "tok/s", "ms a step", "speed", "roofline share", "peak GB", "lengths: median, 95 %, mean")
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    for name, (per_token, lengths, peak) in found.items():
        step = per_token * n_rows
        share = "" if step_limit_s is None else f"{step_limit_s / step:.2f}"
        spread = f"{np.median(lengths):.0f}, {np.percentile(lengths, 95):.0f}, {np.mean(lengths):.0f}"
        held = "" if peak is None else f"{peak:.1f}"
        speed = f"{1 / per_token:.0f} | {1e3 * step:.2f} | {base / per_token:.2f}"
        print(f"| {name} | {speed} | {share} | {held} | {spread} |")
    return base / found[RECORDED][0] if RECORDED in found else float("nan")


def report(arguments: argparse.Namespace, folder: str) -> bool:
    """Measure and print; return whether every bar is met."""
    import torch

    device, on_gpu = arguments.device, arguments.device.startswith("cuda")
    now, model = clock(device, torch.get_num_threads()), load(folder, device, arguments.dtype)
    bandwidth, _ = limits(device, model.dtype, now)
    weights = weights_of_a_step(model.config) * next(model.parameters()).element_size()
    name = torch.cuda.get_device_name() if on_gpu else device
    print(f"{name}, {arguments.dtype}, weights {weights / 1e9:.2f} GB, measured bandwidth {bandwidth / 1e9:.0f} GB/s")
    met = True
    for free in (False, True):
        for n_rows in arguments.rows:
            bench = prepare(model, n_rows, arguments, free=free)
            ways = {GENERATE: bench.generate, "own loop": lambda bench=bench: bench.loop(recorded=False)}
            if on_gpu:
                ways[RECORDED] = lambda bench=bench: bench.loop(recorded=True)
            if arguments.compiled:
                ways["generate, static cache, compiled"] = lambda bench=bench: bench.generate(
                    cache_implementation="static"
                )
            width = sum(WIDTHS) // 2 + arguments.tokens // 2
            limit = None if free else (weights + cache_bytes(model, n_rows, width)) / bandwidth
            print(f"\n{'free' if free else 'fixed'} length, {n_rows} rows, {len(bench.work)} prompts x "
                  f"{arguments.samples} samples x {arguments.tokens} tokens\n")  # fmt: skip
            met &= not table(measure(ways, arguments.repeats, now), limit, n_rows) < BAR
    return met


def main() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rows", type=lambda text: [int(n) for n in text.split(",")], default=[64, 512])
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=256, help="at most")
    parser.add_argument("--mean", type=int, default=100, help="of the free lengths")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compiled", action="store_true", help="also `generate` with a static cache, which compiles")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), arguments.shape, arguments.dtype)
        met = report(arguments, folder)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
