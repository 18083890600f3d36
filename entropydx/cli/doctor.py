"""`entropydx doctor`: the environment, checked."""

from __future__ import annotations

import typer

from entropydx.cli._guard import guarded

EXTRAS = {"peft": "peft", "gguf": "gguf", "math": "math_verify", "multi-gpu": "accelerate", "lab": "trl"}
"""Extra to the module that it brings."""


@guarded
def command() -> int:
    """Check the environment: versions, devices, threads, extras. Exits 2 when a diagnosis could not run."""
    import importlib.util
    import os
    import platform

    from entropydx import __version__

    typer.echo(
        f"entropydx     {__version__}   python {platform.python_version()}   {platform.system()} {platform.machine()}"
    )
    usable = _describe_torch()
    for extra, module in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        typer.echo(f"{extra:14}{'installed' if there else f'not installed: pip install entropydx[{extra}]'}")
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES"):
        typer.echo(f"{name:22}{os.environ.get(name, 'not set')}")
    return 0 if usable else 2


def _describe_torch() -> bool:
    from entropydx.errors import EntropydxError
    from entropydx.runtime import describe_runtime

    try:
        for name, text in describe_runtime().items():
            typer.echo(f"{name:14}{text}")
    except EntropydxError as error:
        typer.echo(f"torch         {error}")
        return False
    return True
