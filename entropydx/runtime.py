"""What torch sees of this machine; for `entropydx doctor`."""

from __future__ import annotations

from importlib.metadata import version

from entropydx.errors import EngineError


def describe_runtime() -> dict[str, str]:
    """Return name to text: versions, devices, threads.

    Raises
    ------
    EngineError
        torch or transformers cannot be imported.
    """
    try:
        import torch  # noqa: PLC0415 - imported when asked for
        import transformers  # noqa: PLC0415
    except ImportError as error:
        raise EngineError(f"cannot be imported: {error}", "pip install entropydx in a fresh environment") from error
    devices = [
        f"cuda:{i} {torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / 2**30:.0f} GiB"
        for i in range(torch.cuda.device_count())
    ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "datasets": version("datasets"),
        "devices": "; ".join([*devices, "cpu"]),
        "threads": str(torch.get_num_threads()),
    }


def gpu_count() -> int:
    """Return how many CUDA devices torch sees here."""
    import torch  # noqa: PLC0415

    return torch.cuda.device_count()
