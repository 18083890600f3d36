"""Peak memory of sampling above the weights: grows with rows x vocabulary, and not with the length.

A random model with a tiny hidden size and a real vocabulary, so that logits are nearly all the memory there is. Every
cell runs in its own process: the model is loaded and warmed up, the kernel's high-water mark of the resident set is
reset, and the peak during sampling is read. The last rows do the same work the naive way, with
`generate(output_logits=True)` and entropies afterwards.

    OMP_NUM_THREADS=1 python benchmarks/sampling_memory.py

Linux only (/proc/self/clear_refs). Exit code 1 when memory is not flat in the length.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

VOCAB = 151_936
ROWS = (4, 8, 16)
LENGTHS = (32, 128, 256)
NAIVE = ((8, 32), (8, 128))
TOLERANCE_MB = 2.0
"""Allocator noise: arenas and page rounding, far below one (T, V) slice of 8 rows x 96 more tokens (467 MB)."""


def build(path: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="b"))
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(path)


def status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def measure(path: str, method: str, rows: int, length: int) -> float:
    """Return the peak resident memory of one sampling run above what was resident before it, in MB."""
    from entropydx.engines.hf import HfEngine
    from entropydx.protocols import EngineOptions, Silent
    from entropydx.types import Prompt, SamplingParams

    engine = HfEngine(path, EngineOptions(device="cpu", batch_rows=rows), Silent())
    prompts = [Prompt(id="p", prompt="a", answer="")]

    def own(n_samples: int, n_tokens: int) -> None:
        for group in engine.generate(prompts, SamplingParams(n_samples=n_samples, max_new_tokens=n_tokens)):
            assert sum(c.n_tokens for c in group.completions) == n_samples * n_tokens

    def naive(n_samples: int, n_tokens: int) -> None:
        import torch

        from entropydx.logits import entropy_from_logits

        output = model.generate(
            torch.zeros((1, 1), dtype=torch.long),
            attention_mask=torch.ones((1, 1), dtype=torch.long),
            do_sample=True,
            top_k=0,
            num_return_sequences=n_samples,
            max_new_tokens=n_tokens,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
        entropies = entropy_from_logits(torch.stack(output.logits, dim=1))
        assert entropies.shape == (n_samples, n_tokens)

    if method == "naive":
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(path)
    run = own if method == "own" else naive
    run(1, 3)  # imports, thread pools, allocator arenas
    before = status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    run(rows, length)
    return status_mb("VmHWM") - before


def cell(path: Path, method: str, rows: int, length: int) -> float:
    command = [sys.executable, __file__, "--cell", str(path), method, str(rows), str(length)]
    # Freed blocks go back to the system at once, so that the peak is what is held and not what the allocator keeps.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        path, method, rows, length = arguments.cell
        print(json.dumps(measure(path, method, int(rows), int(length))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        print(f"peak MB above the loaded model, V = {VOCAB}\n")
        print("| rows B | " + " | ".join(f"T = {length}" for length in LENGTHS) + " | one B x V float32 |")
        print("|---|" + "---|" * (len(LENGTHS) + 1))
        flat, means = True, []
        for rows in ROWS:
            peaks = [cell(Path(folder), "own", rows, length) for length in LENGTHS]
            flat &= max(peaks) - min(peaks) <= TOLERANCE_MB
            means.append(sum(peaks) / len(peaks))
            print(f"| {rows} | " + " | ".join(f"{p:.1f}" for p in peaks) + f" | {rows * VOCAB * 4 / 2**20:.1f} |")
        for rows, length in NAIVE:
            print(f"| naive, {rows} rows, T = {length} | {cell(Path(folder), 'naive', rows, length):.0f} | | | |")
    slope = (means[-1] - means[0]) / ((ROWS[-1] - ROWS[0]) * VOCAB * 4 / 2**20)
    print(f"\nslope over B: {slope:.2f} float32 vectors over the vocabulary per row; flat in T: {flat}")
    return 0 if flat and means == sorted(means) else 1


if __name__ == "__main__":
    sys.exit(main())
