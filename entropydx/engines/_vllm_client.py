"""One running vLLM engine: started with what a checkpoint needs, fed with requests, asked for the records of each.

vLLM is imported when the first engine starts, which takes many seconds, and after the environment that it reads then.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np

from entropydx.engines._vllm_rows import ARGUMENT, Job, Taken
from entropydx.errors import EngineError

PROCESSOR = "entropydx.engines._vllm_processor"
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM allots memory for; a smaller adapter takes the next one."""
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is the report's
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # the second runner has logits processors of another kind
}
IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
CPU_ENVIRONMENT = {
    # An engine process of its own imports vLLM twice more; here nothing is gained by one.
    IN_PROCESS: "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
_FAILURES = (ValueError, RuntimeError, OSError, KeyError, TypeError, AttributeError, AssertionError, ImportError)
"""What vLLM raises for a checkpoint, a device or a setting that it cannot serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A job with the prompt that it goes on from."""

    job: Job
    prompt_ids: tuple[int, ...]
    """At least one."""
    stop_ids: tuple[int, ...] = ()
    """Tokens that end it; none for a text that is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How an engine is started."""

    model: str
    """Directory of the weights."""
    tokenizer: str
    """Directory of the tokenizer."""
    device: str
    """cpu or cuda."""
    dtype: str
    max_model_len: int
    """Most positions of a prompt with its completion."""
    max_rows: int
    tensor_parallel: int = 1
    pickled: bool = False
    trust_remote_code: bool = False
    cache_bytes: int | None = None
    """Size of the key-value cache; None lets vLLM take most of a GPU."""
    adapter: str | None = None
    """Directory of a LoRA adapter."""
    adapter_rank: int = 0

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `vllm.EngineArgs`."""
        ranks = [r for r in LORA_RANKS if r >= self.adapter_rank]
        lora = {"enable_lora": True, "max_loras": 1, "max_lora_rank": ranks[0] if ranks else self.adapter_rank}
        # Compiling takes a minute or more on a CPU, and a GPU keeps its graphs; short blocks share short prompts.
        cpu = {"enforce_eager": True, "block_size": 32}
        return {
            "model": self.model,
            "tokenizer": self.tokenizer,
            "skip_tokenizer_init": True,
            "dtype": self.dtype,
            "max_model_len": self.max_model_len,
            "max_num_seqs": self.max_rows,
            "tensor_parallel_size": self.tensor_parallel,
            "kv_cache_memory_bytes": self.cache_bytes,
            "load_format": "auto" if self.pickled else "safetensors",
            "trust_remote_code": self.trust_remote_code,
            "generation_config": "vllm",  # nothing of the checkpoint's own file changes what is drawn
            "enable_prefix_caching": True,
            "async_scheduling": False,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "logits_processors": [f"{PROCESSOR}:Recorder"],
            "worker_extension_cls": f"{PROCESSOR}.Handover",
            **(lora if self.adapter else {}),
            **(cpu if self.device == "cpu" else {}),
        }


def check_installed() -> None:
    """Raise an EngineError that names the extra when vLLM is not there."""
    if importlib.util.find_spec("vllm") is None:
        raise EngineError("engine 'vllm' needs a package", "pip install 'entropydx[vllm]'")


def first_line(error: BaseException) -> str:
    """Return an error's message in one line."""
    lines = str(error).strip().splitlines()
    # pydantic says in the first line only how many errors there are.
    return next((x.strip() for x in lines if "validation error" not in x and len(x.split()) > 1), type(error).__name__)


class Client:
    """A running engine.

    Parameters
    ----------
    launch : Launch
        How to start it.

    Raises
    ------
    EngineError
        vLLM cannot serve this checkpoint here; the message has its own words.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._engine: Any = None
        self._adapter: Any = None
        self._failures: tuple[type[Exception], ...] = _FAILURES
        self._arrived: dict[str, Any] = {}
        self._numbers = count()
        self.most_rows = 0
        """Most rows served by one step so far."""
        try:
            self._start()
        except _FAILURES as error:
            self.close()
            raise _cannot(launch, error) from error

    def _start(self) -> None:
        for name, value in (ENVIRONMENT | (CPU_ENVIRONMENT if self.launch.device == "cpu" else {})).items():
            os.environ.setdefault(name, value)
        # What its imports warn of is between vLLM and torch.
        with warnings.catch_warnings(action="ignore"):
            self._import_and_start()

    def _import_and_start(self) -> None:
        from vllm import EngineArgs, LLMEngine  # noqa: PLC0415 - imported after its environment is set
        from vllm.lora.request import LoRARequest  # noqa: PLC0415
        from vllm.platforms import current_platform  # noqa: PLC0415
        from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415

        self._failures = (*_FAILURES, EngineDeadError)

        if current_platform.device_type != self.launch.device:
            raise RuntimeError(f"this build of vLLM runs on {current_platform.device_type}, not {self.launch.device}")
        self._engine = LLMEngine.from_engine_args(EngineArgs(**self.launch.arguments()))
        if self.launch.adapter is not None:
            self._adapter = LoRARequest("adapter", 1, self.launch.adapter)
            self._engine.add_lora(self._adapter)

    def serves(self, n_positions: int) -> bool:
        """Tell whether it is alive and has room for so many positions of one prompt and completion."""
        return self._engine is not None and n_positions <= self.launch.max_model_len

    def next_key(self) -> str:
        """Return a key that no job of this engine has had."""
        return str(next(self._numbers))

    def run(self, requests: Iterable[Request], limit: int) -> Iterator[tuple[Job, Taken, bool]]:
        """Serve requests, at most `limit` of them at a time.

        Yields
        ------
        job, taken, stopped
            Each as soon as it is finished; `stopped` tells that an end token came before the token limit.

        Raises
        ------
        EngineError
            The engine died, or did not take the tokens that were drawn for it.
        """
        waiting, flying = iter(requests), dict[str, Job]()
        try:
            while True:
                for request in islice(waiting, limit - len(flying)):
                    self._submit(request)
                    flying[request.job.key] = request.job
                if not flying:
                    return
                done = [self._arrived.pop(key) for key in list(flying) if key in self._arrived]
                if not done:
                    self._step()
                    continue
                for output, taken in zip(done, self._take(done), strict=True):
                    yield flying.pop(output.request_id), taken, output.outputs[0].finish_reason == "stop"
        finally:
            self._abandon(list(flying))

    def close(self) -> None:
        """Stop the engine and free its memory."""
        engine, self._engine, self._adapter = self._engine, None, None
        if engine is not None:
            with contextlib.suppress(*self._failures):  # a dead engine has nothing to tell
                engine.collective_rpc("entropydx_close")
                engine.engine_core.shutdown()
        del engine
        gc.collect()
        # A start that failed half-way leaves its process groups behind too, and the next one would stumble over them.
        if "vllm.distributed.parallel_state" in sys.modules and os.environ.get(IN_PROCESS) == "0":
            sys.modules["vllm.distributed.parallel_state"].cleanup_dist_env_and_memory()

    def _submit(self, request: Request) -> None:
        from vllm import SamplingParams  # noqa: PLC0415

        params = SamplingParams(
            temperature=0,  # the token that the processor leaves is the likeliest
            max_tokens=request.job.n_tokens,
            stop_token_ids=list(request.stop_ids),
            ignore_eos=True,
            detokenize=False,
            extra_args={ARGUMENT: request.job.to_args()},
        )
        prompt = {"prompt_token_ids": list(request.prompt_ids)}
        self._engine.add_request(request.job.key, prompt, params, lora_request=self._adapter)

    def _step(self) -> None:
        try:
            outputs = self._engine.step()
        except self._failures as error:
            self.close()
            raise _cannot(self.launch, error) from error
        self._arrived.update({o.request_id: o for o in outputs if o.finished})

    def _take(self, done: Sequence[Any]) -> list[Taken]:
        tokens = [list(o.outputs[0].token_ids) for o in done]
        asked = [(o.request_id, len(ids)) for o, ids in zip(done, tokens, strict=True)]
        taken = [Taken.from_bytes(data) for data in self._records(asked, [])]
        for ids, record in zip(tokens, taken, strict=True):
            finite = np.isfinite(record.entropies)
            if not np.array_equal(np.array(ids)[finite], record.token_ids[finite]):
                raise EngineError(
                    "vLLM did not take the tokens that were drawn for it", "use --engine hf, and report it"
                )
        return taken

    def _records(self, asked: list[tuple[str, int]], forgotten: list[str]) -> list[bytes]:
        answers = self._engine.collective_rpc("entropydx_take", args=(asked, forgotten))
        records, self.most_rows = next(a for a in answers if a is not None)
        return list(records)

    def _abandon(self, keys: list[str]) -> None:
        if keys and self._engine is not None:
            self._engine.abort_request(keys)
            self._records([], keys)
            for key in keys:
                self._arrived.pop(key, None)


def _cannot(launch: Launch, error: BaseException) -> EngineError:
    hint = "give it more room (--dtype bfloat16, fewer --max-new-tokens, VLLM_CPU_KVCACHE_SPACE)"
    out_of_memory = "memory" in str(error).lower()
    return EngineError(
        f"vLLM cannot serve {launch.adapter or launch.model}: {first_line(error)}",
        hint if out_of_memory else "use --engine hf, or see vLLM's own log with VLLM_LOGGING_LEVEL=INFO",
    )
