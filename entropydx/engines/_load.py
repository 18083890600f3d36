"""Loading with transformers: config, tokenizer and model of a recognised checkpoint; one clear error per failure."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, modeling_gguf_pytorch_utils
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import is_accelerate_available

from entropydx.checkpoint import Checkpoint, WeightFacts, read_json, safetensors_header
from entropydx.engines._damage import loading, quiet
from entropydx.engines._memory import is_out_of_memory
from entropydx.engines._packed import pack
from entropydx.errors import CheckpointError, ConfigError, EngineError
from entropydx.protocols import EngineOptions, Progress

EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings", "lm_head", "embed_out")
"""What architectures call the modules whose height is the vocabulary."""
UNTOLD = "sequence-length-is-longer-than-the-specified-maximum"
"""A remark of transformers on long prompts, which `Limits` refuses."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextlib.contextmanager
def _without_gguf_bar() -> Iterator[None]:
    """Take away the dequantisation's own bar, which transformers' switch for bars does not reach."""
    original = getattr(modeling_gguf_pytorch_utils, "tqdm", None)
    if original is None:
        yield
        return
    modeling_gguf_pytorch_utils.tqdm = functools.partial(original, disable=True)
    try:
        yield
    finally:
        modeling_gguf_pytorch_utils.tqdm = original


def _source(checkpoint: Checkpoint, options: EngineOptions) -> tuple[str, dict[str, Any]]:
    kwargs: dict[str, Any] = {"trust_remote_code": options.trust_remote_code, "local_files_only": True}
    if checkpoint.format == "gguf":
        kwargs["gguf_file"] = checkpoint.path.name
    return str(checkpoint.directory), kwargs


def load_config(checkpoint: Checkpoint, options: EngineOptions) -> Any:
    """Return the config of the model under a checkpoint, having checked that it is a causal language model.

    Raises
    ------
    CheckpointError
        An encoder, a reward model or a headless model; or code of its own that nobody allowed to run.
    """
    model = checkpoint.model
    if model.format == "hf":
        _check_code(model, options)
    with loading("config", model):
        where, kwargs = _source(model, options)
        config = AutoConfig.from_pretrained(where, **kwargs)
    known = {name for names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in _as_tuple(names)}
    remote = options.trust_remote_code and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    architectures = config.architectures or _as_tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type, ()))
    if not remote and not known.intersection(architectures):
        raise CheckpointError(
            f"{model.path} is not a causal language model ({', '.join(architectures) or config.model_type})",
            "entropydx samples text, so it needs a ...ForCausalLM checkpoint",
        )
    config.architectures = list(architectures)
    return config


def _check_code(model: Checkpoint, options: EngineOptions) -> None:
    raw = read_json(model.path / "config.json")
    model_type = raw.get("model_type")
    if model_type is None:
        raise CheckpointError(f"{model.path / 'config.json'} has no model_type", "copy config.json from the base model")
    if model_type in CONFIG_MAPPING_NAMES or options.trust_remote_code:
        return
    if "auto_map" in raw:
        raise CheckpointError(
            f"{model.path} brings its own modelling code (model type '{model_type}')",
            "read that code, then pass --trust-remote-code to let it run",
        )
    raise CheckpointError(
        f"this version of transformers does not know the model type '{model_type}' of {model.path}",
        "upgrade transformers",
    )


def _as_tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def load_tokenizer(checkpoint: Checkpoint, options: EngineOptions) -> Any:
    """Return the checkpoint's tokenizer: the adapter's own when it has one, else the base model's.

    Raises
    ------
    CheckpointError
        The tokenizer files are missing or damaged.
    """
    with loading("tokenizer", checkpoint.tokenizer):
        where, kwargs = _source(checkpoint.tokenizer, options)
        tokenizer = AutoTokenizer.from_pretrained(where, **kwargs)
    getattr(tokenizer, "deprecation_warnings", {})[UNTOLD] = True
    return tokenizer


def asked_sampling(checkpoint: Checkpoint) -> tuple[float, float] | None:
    """Return the temperature and top_p that a checkpoint's generation_config.json states; an adapter's own comes first.

    Greedy, (0, 1), where it says `do_sample: false`; the one of the two that it leaves out is 1; None when it states
    nothing of the three.

    Raises
    ------
    CheckpointError
        The file is damaged, or a value is not a number in its range.
    """
    sources = (checkpoint.directory, checkpoint.model.directory)
    file = next((f for s in sources if (f := s / "generation_config.json").is_file()), None)
    if file is None:
        return None
    content = read_json(file)
    if content.get("do_sample") is False:
        return 0.0, 1.0
    stated = {name: content[name] for name in ("temperature", "top_p") if content.get(name) is not None}
    for name, value in stated.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf or (name == "top_p" and not 0 < value <= 1):
            raise CheckpointError(f"{file} has {name} {value!r}, which nothing can be sampled with", "correct it there")
    return (float(stated.get("temperature", 1)), float(stated.get("top_p", 1))) if stated else None


def pick_device(name: str) -> str:
    """Return the device for an option: auto takes cuda, then mps, then cpu.

    Raises
    ------
    ConfigError
        The device does not exist here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = name.partition(":")
    available = {"cpu": 1, "mps": int(torch.backends.mps.is_available()), "cuda": torch.cuda.device_count()}
    if not available.get(kind) or (index and not (index.isdigit() and int(index) < available[kind])):
        raise ConfigError(f"device '{name}' is not available here", "use auto or cpu")
    return name


def pick_dtype(name: str, device: str, facts: WeightFacts, config: Any) -> torch.dtype:
    """Return the dtype for an option.

    auto is float32 on a CPU, whatever is stored: float32 entropies are exact to 1e-4 nats, bfloat16 ones to about
    0.1 on single tokens. On cuda and mps it is the checkpoint's own dtype, and bfloat16 where the weights are
    quantised and have none.
    """
    if name != "auto":
        if name not in DTYPES:
            raise ConfigError(f"unknown dtype '{name}'", f"known: auto, {', '.join(DTYPES)}")
        return DTYPES[name]
    if device == "cpu":
        return torch.float32
    declared = str(getattr(config, "dtype", None) or "").removeprefix("torch.")
    own = facts.dtype or ("bfloat16" if facts.quantized else declared)
    return DTYPES.get(own, torch.bfloat16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and how a model is put."""

    device: str
    """cpu, cuda, cuda:N or mps."""
    spread: bool
    """Share the layers between all CUDA devices."""
    dtype: torch.dtype


def place(options: EngineOptions, facts: WeightFacts, config: Any) -> Placement:
    """Settle device and dtype; with device auto and accelerate, several CUDA devices share the layers."""
    device = pick_device(options.device)
    spread = options.device == "auto" and device == "cuda" and torch.cuda.device_count() > 1
    dtype = pick_dtype(options.dtype, device, facts, config)
    return Placement(device=device, spread=spread and is_accelerate_available(), dtype=dtype)


def load_model(
    checkpoint: Checkpoint, options: EngineOptions, placement: Placement, n_rows: int, progress: Progress
) -> Any:
    """Return the model in eval mode on its device, its adapter applied and its embeddings `n_rows` high.

    Raises
    ------
    CheckpointError
        The weights do not fit the architecture: transformers would fill the gap with random numbers and go on.
    EngineError
        The weights do not fit into memory.
    """
    model = checkpoint.model
    where, kwargs = _source(model, options)
    if model.format == "gguf":
        _dequantise(kwargs)
        progress.warn(f"dequantising {model.path.name} on load, which takes a while (about 25 s for 135 M parameters)")
    else:
        kwargs["use_safetensors"] = not model.pickled
        kwargs["weights_only"] = True
    mapped = placement.spread or (placement.device.startswith("cuda") and is_accelerate_available())
    if mapped:
        # Straight to the GPUs, never through host memory; quantised weights cannot be moved afterwards.
        kwargs["device_map"] = "auto" if placement.spread else placement.device
    kwargs["ignore_mismatched_sizes"] = True  # transformers' own error does not say which; `_check_complete` does
    try:
        with loading("weights", model), _without_gguf_bar():
            loaded, report = AutoModelForCausalLM.from_pretrained(
                where, dtype=placement.dtype, output_loading_info=True, **kwargs
            )
        _check_complete(model, report, progress)
        loaded = loaded if mapped else loaded.to(placement.device)
        if checkpoint.format == "peft":
            loaded = _apply_adapter(loaded, checkpoint, n_rows)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise EngineError(
            f"{checkpoint.ref} does not fit into the memory of {placement.device}", "use --dtype bfloat16"
        ) from error
    loaded.eval()
    pack(loaded)
    return loaded


def _dequantise(kwargs: dict[str, Any]) -> None:
    try:
        from transformers import GgufConfig  # noqa: PLC0415 - absent before it learned to keep GGUF blocks
    except ImportError:
        return
    kwargs["quantization_config"] = GgufConfig(dequantize=True)


def _check_complete(model: Checkpoint, report: dict[str, Any], progress: Progress) -> None:
    misfits = sorted((name, tuple(there), tuple(wanted)) for name, there, wanted in report.get("mismatched_keys", ()))
    if misfits:
        name, there, wanted = misfits[0]
        raise CheckpointError(
            f"{len(misfits)} weights of {model.path} do not fit its config, such as {name}: "
            f"{_shape(there)} in the file, {_shape(wanted)} by the config",
            "copy the config.json that these weights were saved with",
        )
    missing = sorted(report.get("missing_keys", ()))
    if missing:
        raise CheckpointError(
            f"{model.path} lacks {len(missing)} weights of its architecture, such as {missing[0]}",
            "re-export the model; config.json may belong to another one",
        )
    unexpected = sorted(report.get("unexpected_keys", ()))
    if unexpected:
        progress.warn(f"{model.path} has {len(unexpected)} unused weights, such as {unexpected[0]}")


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))


def _resize_embeddings(model: Any, n_rows: int) -> None:
    """Give the embeddings the adapter's height; rows that nobody trained become the mean of the old ones."""
    old = model.get_input_embeddings().weight.shape[0]
    if n_rows == old:
        return
    model.resize_token_embeddings(n_rows, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None and n_rows > old:
                layer.weight[old:] = layer.weight[:old].mean(dim=0)


def vocabulary_rows(checkpoint: Checkpoint, config: Any, n_tokens: int) -> int:
    """Return V, the width of the logits.

    An adapter that stores embeddings states it; one whose tokenizer has `n_tokens` > the base model's rows needs that
    many; otherwise it is the config's `vocab_size`.
    """
    base_rows = int(config.get_text_config().vocab_size)
    if checkpoint.format != "peft":
        return base_rows
    for file in () if checkpoint.pickled else checkpoint.weights:
        for name, entry in safetensors_header(file).items():
            axis = _embedding_axis(name)
            if axis is not None:
                return int(entry["shape"][axis])
    return max(base_rows, n_tokens)


def _embedding_axis(name: str) -> int | None:
    """Return which axis of an adapter's tensor runs over the vocabulary, or None."""
    *_, module, leaf = ("", *name.split("."))
    if module in EMBEDDINGS and leaf == "weight":
        return 0
    if leaf == "lora_embedding_A":
        return 1
    return 0 if name.endswith("lm_head.lora_B.weight") else None


def _apply_adapter(model: Any, checkpoint: Checkpoint, n_rows: int) -> Any:
    try:
        from peft import PeftConfig, PeftModel  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CheckpointError("loading an adapter needs a package", "pip install 'entropydx[peft]'") from error
    where = str(checkpoint.path)
    with loading("adapter", checkpoint):
        config = PeftConfig.from_pretrained(where)
        if config.is_prompt_learning:
            raise CheckpointError(
                f"{where} is a {config.peft_type.value} adapter", "only LoRA-like adapters are supported"
            )
        _resize_embeddings(model, n_rows)
        adapted = PeftModel.from_pretrained(model, where)
    # Merging rounds the update into the weights: harmless in float32, a loss in 16 bits, where it stays apart.
    if model.dtype == torch.float32 and hasattr(adapted, "merge_and_unload"):
        return adapted.merge_and_unload()
    return adapted.get_base_model()


def count_parameters(config: Any, options: EngineOptions) -> int:
    """Return the parameters of an architecture without allocating them, for weights whose headers do not tell."""
    config = copy.deepcopy(config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with quiet(), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=options.trust_remote_code)
    return sum(p.numel() for p in model.parameters())
