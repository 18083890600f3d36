"""Mean token entropy of a model's own output: lm-polygraph 0.7.0, unmodified, against the hf engine, side by side.

Rows, each in a process of its own, so that its peak memory is its alone; the fair one comes first:

    polygraph-batched    UEManager with MeanTokenEntropy, batches, no attentions and no hidden states; greedy
    entropydx-greedy     the hf engine, greedy
    reference-greedy     transformers.generate with a LogitsProcessor that keeps one float a token; greedy
    polygraph-readme     estimate_uncertainty() as in its README: one prompt a call, attentions on; greedy
    polygraph-samples    SamplingGenerationCalculator, K samples: log-probabilities, no entropy comes back
    polygraph-entropies  its own generate() K times and its own EntropyCalculator: the nearest to what entropydx draws
    entropydx-samples    the hf engine, K samples
    reference-samples    transformers.generate, K rows for each prompt, with the same LogitsProcessor

What makes it fair: one checkpoint, dtype, attention implementation (the README row needs eager), padding side, batch
size and token limit; the whole distribution is sampled (lm-polygraph's top_k of 50 is set to 0; temperature and top_p
are 1); imports, loading and a warm-up are not counted; medians of interleaved repeats.
Greedy entropies must agree to 1e-3 nats in the mean of every prompt, or the rows are NOT COMPARABLE. lm-polygraph
forbids an end before the second token, and so does the reference; the hf engine does not.

The random model has two layers and a large vocabulary, and never ends a text: every row draws the same number of
tokens, and the network costs next to nothing beside what is done with the logits. With --model texts end when they
like.

lm-polygraph's wheel need not be installed, only unpacked; what it imports and this environment lacks is stubbed, and
none of it is touched by what is timed:

    pip download --no-deps lm-polygraph==0.7.0 && unzip -q lm_polygraph-0.7.0-*.whl -d polygraph
    OMP_NUM_THREADS=1 python benchmarks/lm_polygraph.py polygraph
    OMP_NUM_THREADS=1 python benchmarks/lm_polygraph.py polygraph --memory
    OMP_NUM_THREADS=1 python benchmarks/lm_polygraph.py polygraph --model PATH --tokens 48 --samples 2

Linux only (/proc/self/clear_refs). Exit code 1 when the greedy rows do not agree, or when --memory finds less than ten
times the memory above the weights at the longest text, or ours growing with the length.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

VOCAB = 151_936
ROWS = (
    "polygraph-batched",
    "entropydx-greedy",
    "reference-greedy",
    "polygraph-readme",
    "polygraph-samples",
    "polygraph-entropies",
    "entropydx-samples",
    "reference-samples",
)
LENGTHS = (64, 128, 256)
TOLERANCE = 1e-3
"""Nats, of the mean entropy of one prompt's completion, float32; bfloat16 needs ten times that."""
FLAT_MB = 8.0
"""Allocator noise between lengths; one slice of 8 rows x 64 more tokens would be 297 MB."""
PROMPTS = (
    "Question : a farmer has {} cows and buys {} more . How many cows are there now ?",
    "Question : what is {} times {} ? Show the steps .",
    "Write one sentence about a town with {} bridges and {} towers .",
)
Outcome = tuple[list[float], int]
"""Mean entropy of each completion in nats, as far as there are any, and the tokens drawn."""


def prompts(n: int) -> list[str]:
    return [PROMPTS[i % len(PROMPTS)].format(7 + i, 3 + i % 9) for i in range(n)]


def build(path: Path) -> None:
    """Write a random Llama whose end token is never drawn."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = sorted({word for text in prompts(64) for word in text.split()})
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["<end>", "<unk>", *words])}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        initializer_range=0.25,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[0] = 0  # logit 0 beside a largest one near 10: p of the order of 1e-6
    model.save_pretrained(path)
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<end>").save_pretrained(path)


# ── lm-polygraph ──────────────────────────────────────────────────────────────────────────────────


class Stubs:
    """Stands in for packages that lm-polygraph imports at the start and this environment lacks."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Answer lm-polygraph's own imports only: what other packages do not find is optional to them."""
        frame = sys._getframe(1)
        while "importlib" in frame.f_code.co_filename and frame.f_back is not None:
            frame = frame.f_back
        top = name.partition(".")[0]
        if not frame.f_globals.get("__name__", "").startswith("lm_polygraph") or top == "lm_polygraph":
            return None
        self.names.append(top)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> types.ModuleType:
        """Return the stub."""
        return _Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Let it have submodules."""
        module.__path__ = []


class _Anything(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _Nothing(metaclass=_Anything):
    def __init__(self, *_: Any, **__: Any) -> None:
        """Take anything."""

    def __call__(self, f: Any = None, *_: Any, **__: Any) -> Any:
        return f

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _Stub(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "OmegaConf":
            return types.SimpleNamespace(create=_Settings)
        return _Nothing


class _Settings(dict):  # type: ignore[type-arg]
    __getattr__ = dict.get


def import_polygraph(wheel: str) -> None:
    sys.path.insert(0, wheel)
    stubs = Stubs()
    sys.meta_path.append(stubs)  # type: ignore[arg-type]  # last: only what is absent is stubbed
    import lm_polygraph.defaults.register_default_stat_calculators
    import lm_polygraph.defaults.stat_calculator_builders.default_GreedyProbsCalculator
    import lm_polygraph.estimators
    import lm_polygraph.utils.builder_stat_calculator_simple
    import lm_polygraph.utils.manager  # noqa: F401

    sys.meta_path.remove(stubs)  # type: ignore[arg-type]
    for name in [n for n in sys.modules if n.partition(".")[0] in stubs.names]:
        if isinstance(sys.modules[name], _Stub):
            del sys.modules[name]


def polygraph_ways(arguments: argparse.Namespace, model: Any, tokenizer: Any) -> dict[str, Callable[..., Outcome]]:
    import torch

    import_polygraph(arguments.wheel)
    from lm_polygraph.defaults.register_default_stat_calculators import register_default_stat_calculators
    from lm_polygraph.estimators import MeanTokenEntropy
    from lm_polygraph.stat_calculators.entropy import EntropyCalculator
    from lm_polygraph.stat_calculators.sample import SamplingGenerationCalculator
    from lm_polygraph.utils import estimate_uncertainty
    from lm_polygraph.utils.builder_enviroment_stat_calculator import BuilderEnvironmentStatCalculator
    from lm_polygraph.utils.dataset import Dataset
    from lm_polygraph.utils.generation_parameters import GenerationParameters
    from lm_polygraph.utils.manager import UEManager
    from lm_polygraph.utils.model import WhiteboxModel

    def wrapped(limit: int) -> Any:
        parameters = GenerationParameters(temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=limit)
        return WhiteboxModel(model, tokenizer, model_path=arguments.model, generation_parameters=parameters)

    def batched(texts: Sequence[str], limit: int) -> Outcome:
        wrapper = wrapped(limit)
        manager = UEManager(
            Dataset(list(texts), [""] * len(texts), batch_size=arguments.batch),
            wrapper,
            [MeanTokenEntropy()],
            available_stat_calculators=register_default_stat_calculators(
                "Whitebox", output_attentions=False, output_hidden_states=False
            ),
            builder_env_stat_calc=BuilderEnvironmentStatCalculator(wrapper),
            generation_metrics=[],
            ue_metrics=[],
            processors=[],
            ignore_exceptions=False,
            verbose=False,
            max_new_tokens=limit,
        )
        manager()
        means = [float(x) for x in manager.estimations["sequence", "MeanTokenEntropy"]]
        return means, sum(len(tokens) for tokens in manager.stats["greedy_tokens"])

    def readme(texts: Sequence[str], limit: int) -> Outcome:
        wrapper, means, n_tokens = wrapped(limit), [], 0
        for text in texts:
            found = estimate_uncertainty(wrapper, MeanTokenEntropy(), input_text=text)
            means.append(float(found.uncertainty))
            n_tokens += len(found.generation_tokens) + 1  # the last one is cut off
        return means, n_tokens

    def samples(texts: Sequence[str], limit: int) -> Outcome:
        calculator, wrapper, n_tokens = SamplingGenerationCalculator(samples_n=arguments.samples), wrapped(limit), 0
        for some in chunks(texts, arguments.batch):
            drawn = calculator({}, list(some), wrapper, limit)
            n_tokens += sum(len(tokens) for of_prompt in drawn["sample_tokens"] for tokens in of_prompt)
        return [], n_tokens

    def entropies(texts: Sequence[str], limit: int) -> Outcome:
        wrapper, calculator, means, n_tokens = wrapped(limit), EntropyCalculator(), [], 0
        for some in chunks(texts, arguments.batch):
            encoded = {name: value.to(model.device) for name, value in wrapper.tokenize(list(some)).items()}
            for _ in range(arguments.samples):
                with torch.no_grad():
                    out = wrapper.generate(
                        **encoded,
                        output_scores=True,
                        return_dict_in_generate=True,
                        max_new_tokens=limit,
                        min_new_tokens=2,
                        do_sample=True,
                    )
                scores = torch.stack(out.scores, 1)
                new = out.sequences[:, encoded["input_ids"].shape[1] :].cpu()
                lengths = [length(row, tokenizer.eos_token_id) for row in new]
                kept = [scores[i, :n].cpu().numpy() for i, n in enumerate(lengths)]
                n_tokens += sum(lengths)
                means += [statistics.fmean(map(float, h)) for h in calculator({"greedy_log_probs": kept})["entropy"]]
        return means, n_tokens

    return {
        "polygraph-batched": batched,
        "polygraph-readme": readme,
        "polygraph-samples": samples,
        "polygraph-entropies": entropies,
    }


# ── ours, and the reference ───────────────────────────────────────────────────────────────────────


def entropydx_ways(arguments: argparse.Namespace) -> dict[str, Callable[..., Outcome]]:
    from entropydx.engines.hf import HfEngine
    from entropydx.protocols import EngineOptions, Silent
    from entropydx.types import Prompt, SamplingParams

    options = EngineOptions(device=arguments.device, dtype=arguments.dtype, batch_rows=arguments.batch)
    engine = HfEngine(arguments.model, options, Silent())

    def draw(texts: Sequence[str], limit: int, n_samples: int, temperature: float) -> Outcome:
        asked = [Prompt(id=str(i), prompt=text, answer="") for i, text in enumerate(texts)]
        params = SamplingParams(n_samples=n_samples, max_new_tokens=limit, temperature=temperature)
        groups = sorted(engine.generate(asked, params), key=lambda g: int(g.prompt.id))
        drawn = [c for g in groups for c in g.completions]
        return [float(c.entropies.mean()) for c in drawn], sum(c.n_tokens for c in drawn)

    return {
        "entropydx-greedy": lambda texts, limit: draw(texts, limit, 1, 0.0),
        "entropydx-samples": lambda texts, limit: draw(texts, limit, arguments.samples, 1.0),
    }


def reference_ways(arguments: argparse.Namespace, model: Any, tokenizer: Any) -> dict[str, Callable[..., Outcome]]:
    import torch
    from transformers import LogitsProcessorList

    class Streaming:
        """Keeps the entropy of every step's distributions, and nothing of size V."""

        def __init__(self) -> None:
            self.steps: list[Any] = []

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            logp = scores.float().log_softmax(-1)
            self.steps.append(-(logp.exp() * logp.clamp_min(-1e30)).sum(-1))
            return scores

    @torch.no_grad()
    def draw(texts: Sequence[str], limit: int, n_samples: int) -> Outcome:
        means, n_tokens = [], 0
        whole = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0} if n_samples > 1 else {}
        for some in chunks([text for text in texts for _ in range(n_samples)], arguments.batch):
            encoded = tokenizer(list(some), return_tensors="pt", padding=True).to(model.device)
            encoded.pop("token_type_ids", None)
            kept = Streaming()
            out = model.generate(
                **encoded,
                max_new_tokens=limit,
                min_new_tokens=2,
                logits_processor=LogitsProcessorList([kept]),
                **(whole or {"do_sample": False}),
            )
            entropies = torch.stack(kept.steps, 1).cpu()
            for row, of_row in zip(out[:, encoded["input_ids"].shape[1] :].cpu(), entropies, strict=True):
                n = length(row, tokenizer.eos_token_id)
                means.append(float(of_row[:n].mean()))
                n_tokens += n
        return means, n_tokens

    return {
        "reference-greedy": lambda texts, limit: draw(texts, limit, 1),
        "reference-samples": lambda texts, limit: draw(texts, limit, arguments.samples),
    }


def chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def length(row: Any, end: int) -> int:
    """Return the tokens up to the end token, which counts."""
    ends = (row == end).nonzero()
    return int(ends[0]) + 1 if len(ends) else len(row)


# ── one row, in its own process ───────────────────────────────────────────────────────────────────


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what one row costs, measured here and now."""
    import torch

    torch.set_num_threads(arguments.threads)
    run = prepare(arguments)
    texts = prompts(arguments.prompts)
    run(texts[:2], 4)  # imports, thread pools, allocator arenas
    on_gpu = arguments.device.startswith("cuda")
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before, before_gpu = status_mb("VmRSS"), torch.cuda.memory_allocated() if on_gpu else 0
    Path("/proc/self/clear_refs").write_text("5")
    torch.manual_seed(0)
    start, start_cpu = time.perf_counter(), time.process_time()
    means, n_tokens = run(texts, arguments.tokens)
    if on_gpu:
        torch.cuda.synchronize()
    found = {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - start_cpu,
        "tokens": n_tokens,
        "extra_mb": status_mb("VmHWM") - before,
        "means": means,
    }
    if on_gpu:
        found["extra_gpu_mb"] = (torch.cuda.max_memory_allocated() - before_gpu) / 2**20
    return found


def prepare(arguments: argparse.Namespace) -> Callable[[Sequence[str], int], Outcome]:
    """Load the model and return the row's way of drawing."""
    if arguments.row.startswith("entropydx"):
        return entropydx_ways(arguments)[arguments.row]
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    attention = "eager" if arguments.row == "polygraph-readme" else "sdpa"
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=getattr(torch, arguments.dtype), attn_implementation=attention
    )
    model = model.to(arguments.device).eval()
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    ways = polygraph_ways if arguments.row.startswith("polygraph") else reference_ways
    return ways(arguments, model, tokenizer)[arguments.row]


def status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


# ── all rows ──────────────────────────────────────────────────────────────────────────────────────


def row(arguments: argparse.Namespace, name: str, n_tokens: int) -> dict[str, Any] | str:
    """Return the row's figures from a process of its own, or what it died of."""
    command = [sys.executable, __file__, arguments.wheel, "--model", arguments.model, "--row", name]
    for flag in ("prompts", "samples", "batch", "threads", "device", "dtype"):
        command += [f"--{flag}", str(getattr(arguments, flag))]
    command += ["--tokens", str(n_tokens)]
    # Freed blocks go back to the system at once, so that the peak is what is held and not what the allocator keeps.
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"wall_s"')]
    if not lines:
        return (done.stderr.strip().splitlines() or ["no output"])[-1][:200]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def side_by_side(arguments: argparse.Namespace, names: Sequence[str]) -> bool:
    """Print every row's medians and whether the greedy ones agree, and return the latter."""
    size = f"{arguments.prompts} prompts, at most {arguments.tokens} tokens, K = {arguments.samples}"
    print(f"{size}, batches of {arguments.batch}, {arguments.dtype}; medians of {arguments.repeats}\n")
    print("| row | CPU s | wall s | tokens | CPU ms / token | extra MB | mean entropy, nats |")
    print("|---|---|---|---|---|---|---|")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(arguments.repeats):
        for name in names:
            found = row(arguments, name, arguments.tokens)
            if isinstance(found, str):
                print(f"{name} failed: {found}", file=sys.stderr)
            else:
                runs[name].append(found)
    for name, of_row in runs.items():
        if not of_row:
            print(f"| {name} | failed | | | | | |")
            continue
        cpu, wall, extra = (statistics.median(r[k] for r in of_row) for k in ("cpu_s", "wall_s", "extra_mb"))
        n, means = of_row[0]["tokens"], of_row[0]["means"]
        entropy = f"{statistics.fmean(means):.4f}" if means else "none returned"
        print(f"| {name} | {cpu:.2f} | {wall:.2f} | {n} | {1000 * cpu / n:.2f} | {extra:.0f} | {entropy} |")
    greedy = [n for n in ("polygraph-batched", "entropydx-greedy", "reference-greedy") if runs.get(n)]
    return agree({name: runs[name][0]["means"] for name in greedy})


def agree(means: dict[str, list[float]]) -> bool:
    """Print how far the rows are from the first one, and return whether they are near enough to be compared."""
    first, *others = means
    near = True
    for other in others:
        worst = max(abs(a - b) for a, b in zip(means[first], means[other], strict=True))
        near &= worst < TOLERANCE
        verdict = "" if worst < TOLERANCE else " NOT COMPARABLE"
        print(f"\n{first} and {other} differ by {worst:.1e} nats at most over {len(means[first])} prompts{verdict}")
    return near


def memory(arguments: argparse.Namespace) -> bool:
    """Print the memory above the weights by length, and return whether it is a tenth and flat."""
    names = ("polygraph-batched", "entropydx-greedy", "reference-greedy")
    print(f"peak MB above the loaded model, {arguments.prompts} prompts in batches of {arguments.batch}\n")
    print("| row | " + " | ".join(f"T = {n}" for n in LENGTHS) + " |\n|---|" + "---|" * len(LENGTHS))
    extra: dict[str, list[float]] = {}
    for name in names:
        found = [row(arguments, name, n) for n in LENGTHS]
        if failed := next((f for f in found if isinstance(f, str)), None):
            print(f"{name} failed: {failed}", file=sys.stderr)
            return False
        extra[name] = [f["extra_mb"] for f in found if not isinstance(f, str)]
        print(f"| {name} | " + " | ".join(f"{mb:.0f}" for mb in extra[name]) + " |", flush=True)
    theirs, ours = extra[names[0]], extra[names[1]]
    print("\nratio " + ", ".join(f"{a / b:.0f} at T = {n}" for a, b, n in zip(theirs, ours, LENGTHS, strict=True)))
    return theirs[-1] >= 10 * ours[-1] and max(ours) - min(ours) < FLAT_MB


def main() -> int:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("wheel", help="directory of the unpacked wheel")
    parser.add_argument("--model", help="a checkpoint directory; default: a random one with a large vocabulary")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--memory", action="store_true", help="only the memory above the weights, by length")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(arguments)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if arguments.model is None:
            arguments.model = folder
            build(Path(folder))
        good = memory(arguments) if arguments.memory else side_by_side(arguments, arguments.rows.split(","))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
