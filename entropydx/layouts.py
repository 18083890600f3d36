"""Directories that trainers leave behind and that are not (yet) a loadable model: what each is, and the next command.

Formats as of verl 0.9, TRL 1.16, OpenRLHF 0.11 (DeepSpeed) and torch.distributed.checkpoint.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from entropydx.errors import CheckpointError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Suffixes of files whose reading may run code."""
RUN_CHILDREN = (("checkpoint-*", "trainer output"), ("global_step*", "run"), ("step_*", "run"), ("step-*", "run"))
"""What the checkpoints in a run directory are called, by TRL, by verl and OpenRLHF (`global_step10_hf`), by others."""
STEP = re.compile(r"(?:checkpoint|global_step|step)[-_]?(\d+)(?:_hf)?")


def _step(path: Path) -> int:
    digits = re.findall(r"\d+", path.name)
    return int(digits[-1]) if digits else -1


def newest(path: Path, pattern: str) -> Path | None:
    """Return the child directory that matches a glob and has the highest step number, or None."""
    return max((p for p in path.glob(pattern) if p.is_dir()), key=_step, default=None)


def training_step(path: Path) -> tuple[str, int] | None:
    """Return the part of a path that names a training step, and the step; None when no part does.

    The last such part counts: `run/global_step_40/actor/huggingface` is step 40.
    """
    for part in reversed(path.parts):
        if found := STEP.fullmatch(part):
            return part, int(found.group(1))
    return None


def checkpoints_in(path: Path) -> list[Path]:
    """Return the checkpoint directories of a run directory, by step; nothing is said of whether they are complete."""
    found = {p for pattern, _ in RUN_CHILDREN for p in path.glob(pattern) if p.is_dir() and STEP.fullmatch(p.name)}
    return sorted(found, key=_step)


def huggingface_subdirs(path: Path) -> Iterator[Path]:
    """Yield where a verl checkpoint may hold an ordinary Hugging Face directory, from any of its levels."""
    for inner in ("huggingface", "actor/huggingface", "model/huggingface", "actor/model/huggingface"):
        if (path / inner).is_dir():
            yield path / inner


def _verl(path: Path) -> CheckpointError | None:
    """Recognise a verl `global_step_N`, its `actor`, or the weightless `huggingface` directory inside."""
    for actor in (path / "actor", path, path.parent):
        megatron = (actor / "ckpt_contents.json").exists() or (actor / "dist_ckpt").is_dir()
        if megatron or (actor / "fsdp_config.json").exists() or any(actor.glob("model_world_size_*_rank_*.pt")):
            backend = "megatron" if megatron else "fsdp"
            command = f"python -m verl.model_merger merge --backend {backend} --local_dir {shlex.quote(str(actor))}"
            return CheckpointError(
                f"{path} is an unmerged verl ({backend.upper()}) checkpoint",
                f"merge it first: {command} --target_dir OUT, then pass OUT",
            )
    return None


def _deepspeed(path: Path) -> CheckpointError | None:
    """Recognise an OpenRLHF `_actor` directory, or any DeepSpeed checkpoint directory."""
    for root in (path, path / "_actor", path.parent):
        if not (root.name == "_actor" or root == path):
            continue
        if any(root.glob("*/*_model_states.pt")) or any(root.glob("*_model_states.pt")):
            done = newest(root.parent, "*global_step*_hf")
            if done is not None:
                return CheckpointError(f"{path} is a DeepSpeed training state", f"pass the saved model instead: {done}")
            script, source = shlex.quote(str(root / "zero_to_fp32.py")), shlex.quote(str(root))
            return CheckpointError(
                f"{path} is a DeepSpeed training state, not a model",
                f"convert it: python {script} {source} OUT --safe_serialization, copy config.json and the tokenizer "
                "of the base model into OUT, then pass OUT",
            )
    return None


def _distributed(path: Path) -> CheckpointError | None:
    """Recognise a sharded torch.distributed.checkpoint (DCP), as FSDP and accelerate write it."""
    for root in (path, *sorted(p for p in path.iterdir() if p.is_dir())):
        if any(root.glob("*.distcp")):
            return CheckpointError(
                f"{root} is a sharded torch.distributed checkpoint",
                f"merge it: accelerate merge-weights {shlex.quote(str(root))} OUT, copy config.json and the tokenizer "
                "of the base model into OUT, then pass OUT",
            )
    return None


def _children(path: Path) -> CheckpointError | None:
    """Recognise a run directory that only holds checkpoints."""
    for pattern, trainer in RUN_CHILDREN:
        last = newest(path, pattern)
        if last is None:
            continue
        what = f"{path} is a {trainer} directory that holds checkpoints and no final model"
        whole = max((p for p in path.glob(pattern) if p.is_dir() and _has_weights(p)), key=_step, default=None)
        if whole is None:
            return CheckpointError(f"{what}, and none of them has weights", f"{last} may still be being written")
        unfinished = "" if whole == last else f" with weights: {last.name} has none"
        return CheckpointError(what, f"pass one of them; the newest is {whole}{unfinished}")
    return None


def _has_weights(path: Path) -> bool:
    """Return whether a directory has weights in any form, also one that has to be converted first."""
    files = ("*.safetensors", "*.gguf", "pytorch_model*.bin", "adapter_model.bin")
    places = (path, *huggingface_subdirs(path))
    found = any(any(place.glob(pattern)) for place in places for pattern in files)
    return found or any(recognise(path) for recognise in (_verl, _deepspeed, _distributed))


def _pickled(path: Path) -> CheckpointError | None:
    """Recognise weights that are there, and only as pickles."""
    found = sorted(p.name for p in path.iterdir() if p.suffix in PICKLES and p.name != "training_args.bin")
    if not found:
        return None
    return CheckpointError(
        f"{path} has weights only as pickles ({found[0]}), and reading a pickle can run code",
        "convert to safetensors with save_pretrained, or pass --allow-pickle if you trust the file",
    )


def unconverted(path: Path) -> CheckpointError | None:
    """Return the error, with the command, for weights in a form that has to be converted first; None without such."""
    return next(filter(None, (recognise(path) for recognise in (_verl, _deepspeed, _distributed, _pickled))), None)


def refusal(path: Path) -> CheckpointError:
    """Return the error for a directory without loadable weights: what it is, and the exact way forward."""
    if not any(path.iterdir()):
        return CheckpointError(f"{path} is an empty directory", "pass a directory that holds config.json and weights")
    error = unconverted(path) or _children(path)
    if error is not None:
        return error
    what = "config.json but no weights" if (path / "config.json").exists() else "neither config.json nor weights"
    return CheckpointError(
        f"{path} has {what}", "a checkpoint is config.json with model.safetensors, a PEFT adapter, or a .gguf file"
    )
