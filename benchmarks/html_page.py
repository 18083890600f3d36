"""Size of the HTML page, how long it takes to make, and how long a browser takes to load it, at a standard run's size.

    OMP_NUM_THREADS=1 python benchmarks/html_page.py

The report is that of a synthetic run with every measurement; its samples are replaced by 108 x 16 completions of 1,024
tokens a side, of random words with log-normal entropies, all of them different. Needs Chromium for the loading time.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from entropydx import pictures, pipeline
from entropydx.config import Settings, resolve
from entropydx.reporters import _html
from entropydx.types import Completion, Samples
from tests.chromium import Browser, find

WORDS = (
    *("so", "we", "know", "that", "the", "sum", "of", "both", "is", "wait", "then", "because", "therefore", "however"),
    *("12", "+", "30", "=", "42", ".", ",", "\n", "let", "x", "be", "a", "number", "which", "divides", "it", "again"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where the page is left")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        flags = Settings(engine="synthetic", baseline="synthetic:healthy", run_dir=folder, prompts=108, samples=16)
        run = pipeline.run(resolve("synthetic:collapsed", dataclasses.replace(flags, adaptive=False)))
        samples = {role: lengthened(s, arguments.tokens, i) for i, (role, s) in enumerate(run.samples.items())}
        began = time.perf_counter()
        drawn = pictures.of(run.report, samples)
        pictured = time.perf_counter()
        page = _html.page(run.report, drawn)
        rendered = time.perf_counter()
        path = arguments.keep or Path(folder, "page.html")
        path.write_text(page, encoding="utf-8")
        n_tokens = sum(c.n_tokens for s in samples.values() for g in s.groups for c in g.completions)
        print(f"{n_tokens:,} tokens, {len(run.report.measurements)} measurements")
        print(f"page {len(page.encode()) / 1000:.0f} kB; computed in {pictured - began:.2f} s, rendered in ", end="")
        print(f"{rendered - pictured:.2f} s")
        loads(path, arguments.loads)


def lengthened(samples: Samples, n_tokens: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    groups = tuple(
        dataclasses.replace(g, completions=tuple(long(c, n_tokens, rng) for c in g.completions)) for g in samples.groups
    )
    return dataclasses.replace(samples, groups=groups)


def long(completion: Completion, n_tokens: int, rng: np.random.Generator) -> Completion:
    words = [f" {WORDS[i]}" for i in rng.integers(len(WORDS), size=n_tokens)]
    entropies = np.minimum(rng.lognormal(-3, 2.5, n_tokens), 8.0)
    text = "".join(words)
    return Completion(
        token_ids=np.arange(n_tokens),
        logprobs=-entropies,
        entropies=entropies,
        text=text,
        finish_reason="stop",
        answer=completion.answer,
        grade=completion.grade,
        offsets=np.cumsum([len(w) for w in words]),
        answer_span=(len(text) - len(words[-1]), len(text)),
    )


def loads(path: Path, n: int) -> None:
    executable = find()
    if executable is None:
        print("no Chromium: loading time not measured")
        return
    with Browser(executable) as browser:
        for width, height in ((1280, 900), (390, 844)):
            browser.look(width, height)
            times = sorted(browser.open(path) for _ in range(n))
            elements = browser.run("document.querySelectorAll('*').length")
            print(f"{width} px: loaded in {times[n // 2]:.2f} s (median of {n}; worst {times[-1]:.2f}), ", end="")
            print(f"{elements:,} elements")


if __name__ == "__main__":
    main()
