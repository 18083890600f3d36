"""From what the user typed to files on disk: resolve, recognise and fingerprint, without importing torch.

Recognised: a local Hugging Face directory, a hub id (`org/name`, `org/name@revision`), a PEFT adapter directory, a
GGUF file or a directory that holds only one, TRL's `checkpoint-N`, verl's `global_step_N[/actor[/huggingface]]` and
OpenRLHF's `_hf`. Whatever needs converting first is refused with the command (`layouts`). Weights are read from
safetensors; a pickle is refused unless asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from entropydx.errors import CheckpointError, reading
from entropydx.layouts import PICKLES, huggingface_subdirs, refusal
from entropydx.protocols import EngineOptions

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*(@[\w./-]+)?")
VOCABULARIES = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tekken.json", "qwen.tiktoken", "tiktoken.model"),
)
"""A directory has a tokenizer when it has one of these."""
TEXT_FILES = (
    *("config.json", "generation_config.json", "adapter_config.json", *VOCABULARIES, "merges.txt"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("chat_template.json", "model.safetensors.index.json", "pytorch_model.bin.index.json"),
)
"""Everything beside the weights that decides what is sampled; enters the fingerprint."""
WHOLE_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""safetensors and GGUF names of the dtypes that are not quantised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was found and recognised; nothing is loaded yet."""

    ref: str
    """As the user named it."""
    path: Path
    """Its directory, or the GGUF file."""
    format: Literal["hf", "peft", "gguf"]
    weights: tuple[Path, ...]
    """The weight files, in a fixed order."""
    base: Checkpoint | None = None
    """The model under a PEFT adapter."""

    @property
    def pickled(self) -> bool:
        """Whether the weights are pickles (allowed by the user)."""
        return self.weights[0].suffix in PICKLES

    @property
    def directory(self) -> Path:
        """The directory that loaders are pointed at."""
        return self.path.parent if self.format == "gguf" else self.path

    @property
    def tokenizer(self) -> Checkpoint:
        """The checkpoint whose tokenizer counts: the adapter's own when it has one, else the base model's."""
        return self.base if self.base is not None and not _has_tokenizer(self.path) else self

    @property
    def model(self) -> Checkpoint:
        """The checkpoint that holds config.json: the base model of an adapter, else itself."""
        return self.base or self


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """What the headers of the weight files say."""

    n_parameters: int | None
    """Stored numbers; None when only loading would tell (pickles, packed quantisation)."""
    dtype: str | None
    """float32, bfloat16...: the dtype of most numbers; None when quantised or unknown."""
    quantized: bool
    """Weights are stored in fewer than 16 bits."""


@reading(CheckpointError)
def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file of a checkpoint.

    Raises
    ------
    CheckpointError
        The file is missing, is not JSON, or is not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}", "copy the file again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object", "copy the file again")
    return content


@reading(CheckpointError)
def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """Return name to `{dtype, shape, data_offsets}` of a safetensors file, having checked that it is complete.

    Raises
    ------
    CheckpointError
        The file is a Git LFS pointer, is not safetensors, or is shorter than its header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(b"version "):
            raise CheckpointError(f"{path} is a Git LFS pointer, not the weights", "run `git lfs pull`")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise CheckpointError(f"{path} is truncated or not safetensors ({size} bytes)", "copy the file again")
        try:
            header: dict[str, dict[str, Any]] = json.loads(file.read(length))
        except ValueError as error:
            raise CheckpointError(f"{path} has a damaged safetensors header", "copy the file again") from error
    header.pop("__metadata__", None)
    wanted = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size < wanted:
        raise CheckpointError(f"{path} is truncated: {size} of {wanted} bytes", "copy the file again")
    return header


@reading(CheckpointError)
def resolve(ref: str, options: EngineOptions) -> Checkpoint:
    """Find and recognise a checkpoint; no weight is read beyond the headers.

    Parameters
    ----------
    ref : str
        A path, or a hub id. The hub is asked only when no such path exists and the text looks like `org/name`
        or `org/name@revision`; without a network, the cache serves.
    options : EngineOptions
        `base_model`, `allow_pickle` and `trust_remote_code` matter here. `base_model` is for adapters and is
        ignored for anything else.

    Raises
    ------
    CheckpointError
        Missing, empty, truncated, unconverted, pickled or without a tokenizer; the hint says what to do.
    """
    checkpoint = _recognise(ref, _locate(ref, options), options)
    if checkpoint.tokenizer.format == "hf" and not _has_tokenizer(checkpoint.tokenizer.path):
        raise CheckpointError(
            f"{checkpoint.tokenizer.path} has no tokenizer",
            "copy tokenizer.json and tokenizer_config.json from the base model into it",
        )
    return checkpoint


def _locate(ref: str, options: EngineOptions) -> Path:
    path = Path(os.path.expanduser(ref))  # pathlib's own raises for the `~name` of nobody
    if not path.exists() and HUB_ID.fullmatch(ref):
        path = _from_hub(ref, options)
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint at '{ref}'", "give a directory, a .gguf file, or a hub id such as org/name"
        )
    return path


def _recognise(ref: str, path: Path, options: EngineOptions) -> Checkpoint:
    return _recognise_directory(ref, path, options) if path.is_dir() else _recognise_file(ref, path)


def _from_hub(ref: str, options: EngineOptions) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not needed for local checkpoints
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    name, _, revision = ref.partition("@")
    wanted = ["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors"]
    wanted += ["*.bin"] if options.allow_pickle else []
    wanted += ["*.py"] if options.trust_remote_code else []
    try:
        # Files in folders are other formats of the same weights (onnx/, original/), sometimes many times their size.
        found = snapshot_download(name, revision=revision or None, allow_patterns=wanted, ignore_patterns=["*/*"])
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"'{ref}' is not a local path, and the hub did not give it: {reason}",
            "check the name, log in with `hf auth login` if it is gated, or download it where there is a network",
        ) from error
    return Path(found)


def _recognise_file(ref: str, path: Path) -> Checkpoint:
    if path.suffix != ".gguf":
        raise CheckpointError(f"{path} is a file", "pass the directory that holds it, or a .gguf file")
    if re.search(r"-\d{5}-of-\d{5}$", path.stem):
        raise CheckpointError(
            f"{path} is one part of a split GGUF", f"join it: llama-gguf-split --merge {path} OUT.gguf"
        )
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise CheckpointError(f"{path} is not a GGUF file", "copy the file again")
    return Checkpoint(ref=ref, path=path, format="gguf", weights=(path,))


def _recognise_directory(ref: str, path: Path, options: EngineOptions) -> Checkpoint:
    if (path / "adapter_config.json").exists():
        return _adapter(ref, path, options)
    weights = _weight_files(path, "model.safetensors") or _pickle_files(path, "pytorch_model.bin", options)
    if weights:
        return _full_model(ref, path, weights)
    for inner in huggingface_subdirs(path):
        if (inner / "adapter_config.json").exists() or _weight_files(inner, "model.safetensors"):
            return _recognise_directory(ref, inner, options)
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) > 1:
        raise CheckpointError(f"{path} holds {len(ggufs)} GGUF files", f"pass one of them, such as {ggufs[0]}")
    if ggufs:
        return _recognise_file(ref, ggufs[0])
    raise refusal(path)


def _full_model(ref: str, path: Path, weights: tuple[Path, ...]) -> Checkpoint:
    if not (path / "config.json").exists():
        raise CheckpointError(f"{path} has weights but no config.json", "copy config.json from the base model into it")
    read_json(path / "config.json")
    checkpoint = Checkpoint(ref=ref, path=path, format="hf", weights=weights)
    if not checkpoint.pickled and any(name.startswith("base_model.model.") for name in _tensors(checkpoint)):
        raise CheckpointError(
            f"{path} holds an unmerged LoRA (its tensors are called base_model.model.*)",
            "merge the adapter with peft's merge_and_unload(), or pass the adapter directory with --base-model",
        )
    return checkpoint


def _adapter(ref: str, path: Path, options: EngineOptions) -> Checkpoint:
    weights = _weight_files(path, "adapter_model.safetensors") or _pickle_files(path, "adapter_model.bin", options)
    if not weights:
        raise refusal(path)
    for file in weights:
        if file.suffix not in PICKLES:
            safetensors_header(file)
    base_ref = options.base_model or read_json(path / "adapter_config.json").get("base_model_name_or_path")
    if not base_ref:
        raise CheckpointError(f"{path} is an adapter that names no base model", "pass --base-model")
    try:
        below = _locate(str(base_ref), options)
        if (below / "adapter_config.json").exists():
            raise CheckpointError(f"{below} is itself an adapter", "merge that one first")
        base = _recognise(str(base_ref), below, options)
    except CheckpointError as error:
        raise CheckpointError(f"base model of {path}: {error.message}", error.hint or "pass --base-model") from error
    return Checkpoint(ref=ref, path=path, format="peft", weights=weights, base=base)


def _weight_files(path: Path, name: str) -> tuple[Path, ...]:
    """Return the single weight file, or the shards that its index names, or nothing."""
    if (path / name).exists():
        return (path / name,)
    index = path / f"{name}.index.json"
    if not index.exists():
        return ()
    shards = sorted(set(read_json(index).get("weight_map", {}).values()))
    for shard in shards:
        if not (path / shard).exists():
            raise CheckpointError(f"{path} lacks {shard}, which {index.name} names", "copy the missing shard")
    return tuple(path / shard for shard in shards)


def _pickle_files(path: Path, name: str, options: EngineOptions) -> tuple[Path, ...]:
    return _weight_files(path, name) if options.allow_pickle else ()


def _has_tokenizer(path: Path) -> bool:
    return any((path / name).exists() for name in VOCABULARIES)


def _tensors(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for file in checkpoint.weights:
        merged.update(safetensors_header(file))
    return merged


def _files(checkpoint: Checkpoint) -> Iterator[tuple[str, Path]]:
    """Yield a label, free of where the checkpoint lies, and the path of every file that decides what is sampled."""
    if checkpoint.format == "gguf":
        yield "model.gguf", checkpoint.path
        return
    code: tuple[str, ...] = ()
    config = checkpoint.path / "config.json"
    if config.exists() and "auto_map" in read_json(config):
        code = tuple(sorted(p.name for p in checkpoint.path.glob("*.py")))
    for name in (*TEXT_FILES, *code):
        if (checkpoint.path / name).exists():
            yield name, checkpoint.path / name
    for file in checkpoint.weights:
        yield file.name, file
    if checkpoint.base is not None:
        for label, file in _files(checkpoint.base):
            yield f"base/{label}", file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@reading(CheckpointError)
def fingerprint(checkpoint: Checkpoint) -> str:
    """Return a sha256 over the full contents of config, tokenizer and weight files (adapter and base for PEFT).

    Files are hashed in parallel threads; where they lie, and file times, do not enter. No weight is loaded.

    Raises
    ------
    CheckpointError
        A file cannot be read.
    """
    labels, paths = zip(*sorted(_files(checkpoint)), strict=True)
    with ThreadPoolExecutor(min(len(paths), os.cpu_count() or 1)) as pool:
        digests = list(pool.map(_sha256, paths))
    lines = "".join(f"{label}\0{digest}\n" for label, digest in zip(labels, digests, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


@reading(CheckpointError)
def weight_facts(checkpoint: Checkpoint) -> WeightFacts:
    """Return what the headers of the weight files say about size and precision; for PEFT, adapter and base together.

    Raises
    ------
    CheckpointError
        A header is damaged, or the `gguf` package is missing for a GGUF file.
    """
    if checkpoint.base is not None:
        base, own = weight_facts(checkpoint.base), _safetensors_facts(checkpoint)
        known = base.n_parameters is not None and own.n_parameters is not None
        total = (base.n_parameters or 0) + (own.n_parameters or 0)
        return WeightFacts(total if known else None, base.dtype, base.quantized)
    return _gguf_facts(checkpoint.path) if checkpoint.format == "gguf" else _safetensors_facts(checkpoint)


def _safetensors_facts(checkpoint: Checkpoint) -> WeightFacts:
    packed = checkpoint.format == "hf" and "quantization_config" in read_json(checkpoint.path / "config.json")
    if packed or checkpoint.pickled:
        return WeightFacts(None, None, packed)
    counts: dict[str, int] = {}
    for entry in _tensors(checkpoint).values():
        counts[entry["dtype"]] = counts.get(entry["dtype"], 0) + math.prod(entry["shape"])
    most = max(counts, key=lambda name: counts[name], default="")
    return WeightFacts(sum(counts.values()), WHOLE_FLOATS.get(most), most not in WHOLE_FLOATS)


def _gguf_facts(path: Path) -> WeightFacts:
    try:
        from gguf import GGUFReader  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CheckpointError("reading a GGUF file needs a package", "pip install 'entropydx[gguf]'") from error
    try:
        tensors = GGUFReader(str(path)).tensors
    except (ValueError, IndexError, KeyError) as error:
        raise CheckpointError(f"{path} is truncated or damaged", "copy the file again") from error
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.tensor_type.name] = counts.get(tensor.tensor_type.name, 0) + int(tensor.n_elements)
    most = max(counts, key=lambda name: counts[name], default="")
    quantized = any(name not in WHOLE_FLOATS for name in counts)
    return WeightFacts(sum(counts.values()), None if quantized else WHOLE_FLOATS[most], quantized)
