"""How near the hf engine's decode loop is to the hardware: bytes and operations a step needs, over what it takes.

A decode step of B rows reads every weight once and the key-value cache of every row once; it multiplies each weight
with B vectors. Neither can be done faster than the memory gives the bytes, or the units do the operations (roofline,
Williams, Waterman and Patterson 2009, CACM 52(4):65). Both limits are measured here, on the same device and threads:
reading a tensor larger than any cache, and a square matrix product in the dtype of the weights.

    bandwidth share = (weights + cache) / bandwidth / step
    roofline share  = max((weights + cache) / bandwidth, 2 * weights * B / peak) / step

The step is that of the engine itself, exact entropies, draw and bookkeeping included: the time of a long draw less that
of a short one, over the difference of their tokens, so that prefill cancels. Of logits and activations nothing is
counted as needed. On a CPU the step is CPU time, which other jobs disturb least; with several threads it is divided by
their number.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/roofline.py CHECKPOINT
    python benchmarks/roofline.py CHECKPOINT --device cuda --dtype bfloat16 --rows 1,8,32,64,256
    python benchmarks/roofline.py --random 1b --device cuda --dtype bfloat16

--random takes random weights in the shape of Llama-3.2-1B (1b) or SmolLM2-1.7B (2b): speed depends on the shape alone.
`tiny` only shows that the script runs. --cuda-graphs measures recorded steps.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LARGE = {"hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 32}
SHAPES = {
    "1b": LARGE | {"num_hidden_layers": 16, "num_key_value_heads": 8, "vocab_size": 128_256},
    "2b": LARGE | {"num_hidden_layers": 24, "num_key_value_heads": 32, "vocab_size": 49_152},
    "tiny": {
        **{"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4},
        **{"num_hidden_layers": 2, "num_key_value_heads": 2, "vocab_size": 1024},
    },
}
PROBE_BYTES = 1 << 30
"""Read to measure the bandwidth: far more than any cache holds."""
PROBE_SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the matrices whose product measures the peak."""
PROBE_REPEATS = 7


def build(path: Path, shape: str, dtype: str) -> None:
    """Write a random Llama with a tokenizer of two words."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        **SHAPES[shape],
    )
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(path)
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="b"))
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(path)


def clock(device: str, threads: int) -> Callable[[], float]:
    """Return what tells the time: seconds on a GPU once it has done all it was given, CPU seconds of a thread else."""
    import torch

    def on_gpu() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return on_gpu if device.startswith("cuda") else lambda: time.process_time() / threads


def best(now: Callable[[], float], run: Callable[[], object]) -> float:
    """Return the shortest time of several runs, after one that is not counted."""
    run()
    times = []
    for _ in range(PROBE_REPEATS):
        start = now()
        run()
        times.append(now() - start)
    return min(times)


def limits(device: str, dtype: Any, now: Callable[[], float]) -> tuple[float, float]:
    """Return bytes a second that can be read, and multiplications and additions a second."""
    import torch

    kind = device.partition(":")[0]
    data = torch.ones(PROBE_BYTES // 4, dtype=torch.float32, device=device)
    read_s = best(now, data.sum)
    del data
    side = PROBE_SIDE[kind]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product_s = best(now, lambda: a @ b)
    return PROBE_BYTES / read_s, 2 * side**3 / product_s


def open_engine(arguments: argparse.Namespace) -> Any:
    """Return an hf engine that nothing stops, so that every row draws every token."""
    from entropydx.engines.hf import HfEngine
    from entropydx.protocols import EngineOptions, Silent

    class Endless(HfEngine):
        def _stop_ids(self) -> frozenset[int]:
            return frozenset()

    options = EngineOptions(
        device=arguments.device,
        dtype=arguments.dtype,
        batch_rows=max(arguments.rows),
        cuda_graphs=arguments.cuda_graphs,
    )
    return Endless(arguments.checkpoint, options, Silent())


def step_seconds(engine: Any, rows: int, lengths: tuple[int, int], now: Callable[[], float], repeats: int) -> float:
    """Return the median time of one decode step."""
    from entropydx.types import Prompt, SamplingParams

    def draw(n_tokens: int) -> float:
        params = SamplingParams(n_samples=rows, max_new_tokens=n_tokens)
        prompts = [Prompt(id="p", prompt="Write about a lighthouse and the sea.", answer="")]
        start = now()
        drawn = [c.n_tokens for group in engine.generate(prompts, params, rows) for c in group.completions]
        seconds = now() - start
        assert drawn == [n_tokens] * rows
        return seconds

    short, long = lengths
    draw(short)
    return statistics.median((draw(long) - draw(short)) / (long - short) for _ in range(repeats))


def weights_of_a_step(config: Any) -> int:
    """Return the weights that a step reads and multiplies with: all but a table of embeddings that is only looked up.

    Counted on a model of the same configuration without memory: the engine may hold its weights in another layout.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    tables = {id(t.weight): t.weight for t in (model.get_input_embeddings(), model.get_output_embeddings())}
    others = {id(p): p for p in model.parameters()}.keys() - tables.keys()
    body = sum(p.numel() for p in model.parameters() if id(p) in others)
    return body + int(model.get_output_embeddings().weight.numel())


def cache_bytes(model: Any, rows: int, width: int) -> int:
    """Return the bytes of the keys and values of some rows of so many tokens."""
    config = model.config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * head * rows * width * next(model.parameters()).element_size()


def report(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    import torch

    torch.set_num_threads(arguments.threads)
    now = clock(arguments.device, arguments.threads)
    engine = open_engine(arguments)
    lengths = (arguments.short, arguments.long)
    step_seconds(engine, 1, (1, 2), now, 1)  # loads the weights
    model = engine._model
    n_weights = weights_of_a_step(model.config)
    read = n_weights * next(model.parameters()).element_size()
    bandwidth, peak = limits(arguments.device, next(model.parameters()).dtype, now)
    print(
        f"weights read in a step {read / 1e6:.0f} MB, {arguments.dtype}, {arguments.threads} threads, {engine.device}"
    )
    print(f"bandwidth {bandwidth / 1e9:.1f} GB/s, peak {peak / 1e9:.0f} GFLOP/s\n")
    names = ("rows B", "step ms", "tok/s", "cache MB", "bandwidth limit ms", "compute limit ms", "bandwidth share")
    print(f"| {' | '.join(names)} | roofline share |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in arguments.rows:
        step = step_seconds(engine, rows, lengths, now, arguments.repeats)
        held = cache_bytes(model, rows, sum(lengths) // 2)
        by_bytes, by_work = (read + held) / bandwidth, 2 * n_weights * rows / peak
        shares = f"{by_bytes / step:.2f} | {max(by_bytes, by_work) / step:.2f}"
        ms = f"{1e3 * by_bytes:.1f} | {1e3 * by_work:.1f}"
        print(f"| {rows} | {1e3 * step:.1f} | {rows / step:.0f} | {held / 1e6:.0f} | {ms} | {shares} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument(
        "--random", choices=sorted(SHAPES), help="random weights of this shape, in place of a checkpoint"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--cuda-graphs", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 32, 64])
    parser.add_argument("--short", type=int, default=8, help="tokens of the short draw")
    parser.add_argument("--long", type=int, default=40, help="tokens of the long draw")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if (arguments.checkpoint is None) == (arguments.random is None):
        parser.error("give a checkpoint, or --random")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.random is not None:
            build(Path(folder), arguments.random, arguments.dtype)
            arguments.checkpoint = folder
        report(arguments)


if __name__ == "__main__":
    main()
