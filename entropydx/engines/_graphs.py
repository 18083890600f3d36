"""Decode steps recorded as CUDA graphs: a step's hundreds of kernels are launched by one call.

A step of a model of 1-2 B parameters takes a GPU a few milliseconds, and launching its kernels one by one takes Python
longer than that. A graph repeats exactly what was recorded on the same addresses, so only a step that reads and writes
fixed tensors alone can be one (`_layouts.Fixed`).
"""

from __future__ import annotations

import warnings
from weakref import WeakSet

import torch
from torch import Tensor

from entropydx.engines._layouts import Step, alike
from entropydx.engines._memory import is_out_of_memory

WARM_UP = 2
"""Runs before a step is recorded, in which libraries choose their kernels and take their workspaces."""


class CudaGraphs:
    """A recorder of steps on one CUDA device; recordings that live at a time share their working memory.

    Each recording is held against the step itself before it is used. Where one cannot be made, or gives other logits,
    that step and all later ones are run as they are, and a warning says so once.

    Parameters
    ----------
    device : str
        cuda or cuda:N, where all tensors of the steps are.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._pool: object = None
        self._live: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._fails = False

    def __call__(self, step: Step) -> Step:
        """Return what repeats a step; its result is overwritten by whatever is repeated next."""
        if self._fails:
            return step
        try:
            wanted, repeat = self._capture(step)
            fault = None if alike(repeat(), wanted) else "a recorded step gives other logits"
        except (RuntimeError, AssertionError) as error:
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
        here = torch.cuda.current_stream(self._device)
        beside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        if not self._live:  # a pool without graphs is gone
            self._pool = torch.cuda.graph_pool_handle()
        beside.wait_stream(here)
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                wanted = step()
        here.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # The outer context is the steps' device, and brings torch back from the stream in which a capture failed.
        with torch.cuda.stream(here), torch.cuda.graph(graph, pool=self._pool):  # type: ignore[arg-type]
            result = step()
        self._live.add(graph)
        result.fill_(torch.nan)  # what a recording of nothing would leave must not pass for a result

        def repeat() -> Tensor:
            graph.replay()
            return result

        return wanted, repeat
