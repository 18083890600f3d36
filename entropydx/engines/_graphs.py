"""Decode steps recorded as CUDA graphs: a step's hundreds of kernels are launched by one call.

A step of a model of 1-2 B parameters takes a GPU a few milliseconds, and launching its kernels one by one takes Python
longer than that. A graph repeats exactly what was recorded on the same addresses, so only a step that reads and writes
fixed tensors alone can be one (`_layouts.Fixed`).
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from entropydx.engines._layouts import Step, alike
from entropydx.engines._memory import is_out_of_memory

WARM_UP = 2
"""Runs before a step is recorded, in which libraries choose their kernels and take their workspaces."""


class CudaGraphs:
    """A recorder of steps on the current CUDA device; all recordings share their working memory.

    Each recording is held against the step itself before it is used. Where one cannot be made, or gives other logits,
    that step and all later ones are run as they are, and a warning says so once.
    """

    def __init__(self) -> None:
        self._pool: object = None
        self._fails = False

    def __call__(self, step: Step) -> Step:
        """Return what repeats a step; its result is overwritten by whatever is repeated next."""
        if self._fails:
            return step
        try:
            wanted, repeat = self._capture(step)
            fault = None if alike(repeat(), wanted) else "a recorded step gives other logits"
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            fault = (str(error).strip() or type(error).__name__).splitlines()[0]
        if fault is None:
            return repeat
        self._fails = True
        warnings.warn(f"CUDA graphs do not work here, so steps are slower: {fault}", RuntimeWarning, stacklevel=2)
        return step

    def _capture(self, step: Step) -> tuple[Tensor, Step]:
        """Return the logits of a step, and what repeats it."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                wanted = step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):  # type: ignore[arg-type]
            result = step()

        def repeat() -> Tensor:
            graph.replay()
            return result

        return wanted, repeat
