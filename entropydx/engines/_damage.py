"""The many errors of transformers, peft and safetensors on a damaged or unsupported checkpoint, as one clear line."""

from __future__ import annotations

import contextlib
import logging
import pickle
import warnings
from collections.abc import Iterator

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers.utils import logging as hf_logging

from entropydx.checkpoint import Checkpoint, read_json
from entropydx.engines._memory import is_out_of_memory
from entropydx.errors import CheckpointError

_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers, peft and safetensors raise on files that do not belong together."""
FILES_OF = {
    "config": ("config.json",),
    "tokenizer": ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    "adapter": ("adapter_config.json",),
}
"""JSON files behind each part of a checkpoint."""
MEND = {
    "config": "copy config.json from the base model, or upgrade transformers",
    "tokenizer": "copy the tokenizer's files from the base model, or save the tokenizer again",
    "weights": "save the model again, or copy its files again",
    "adapter": "pass the base model that it was trained on with --base-model, or save the adapter again",
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bars and remarks; what matters in them is raised or told through `Progress`."""
    bars, level = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


@contextlib.contextmanager
def loading(what: str, checkpoint: Checkpoint) -> Iterator[None]:
    """Turn the many errors of a damaged or unsupported checkpoint into one line."""
    try:
        with quiet():
            yield
    except ImportError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"loading the {what} of {checkpoint.path} needs a package: {reason}") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"a pickle of {checkpoint.path} is damaged, or asks for code that weights do not need: not loaded",
            "get the weights as safetensors",
        ) from error
    except _DAMAGE as error:
        if is_out_of_memory(error):
            raise
        for name in FILES_OF.get(what, ()):
            if (checkpoint.directory / name).is_file():
                read_json(checkpoint.directory / name)  # says which file is damaged
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"cannot load the {what} of {checkpoint.path}: {reason}", MEND[what]) from error
