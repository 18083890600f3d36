"""The Triton kernels against the eager draw and float64: in Triton's interpreter, and on a GPU where there is one."""

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from entropydx.engines import _triton
from entropydx.engines._triton import _agrees, draw_rows, fused_draw
from entropydx.logits import draw

ROOT = Path(__file__).parents[2]


def compare(device):
    for vocab in (39, 9001):
        for dtype in (torch.float32, torch.bfloat16):
            torch.manual_seed(vocab)
            logits = (torch.randn(5, vocab) * 4).to(dtype)
            logits[1, : vocab // 2] = -torch.inf  # a whole block of nothing, and a part of one
            logits[2] = -torch.inf
            logits[2, vocab // 3] = 1.0
            compare_rows(logits.to(device), torch.rand(5, dtype=torch.float64).to(device))
    flat = torch.zeros((1, 9001), device=device).expand(25, -1)
    uniforms = (torch.arange(25, dtype=torch.float64, device=device) + 0.5) / 25
    assert ((fused_draw(flat, uniforms).token_ids - torch.floor(uniforms * 9001)).abs() <= 1).all()
    for uniform, wanted in ((0.0, 5), (0.5, 8000), (1 - 2**-53, 8000)):
        row = torch.full((1, 9001), -torch.inf, device=device)
        row[0, [5, 8000]] = 0.0
        number = torch.tensor([uniform], dtype=torch.float64, device=device)
        assert fused_draw(row, number).token_ids.item() == wanted
    compare_unusable(device)


def compare_rows(logits, uniforms):
    fused, eager = fused_draw(logits, uniforms), draw(logits, uniforms)
    assert fused.token_ids.tolist() == eager.token_ids.tolist()
    assert fused.finite.all()
    logp = logits.double().log_softmax(-1)
    entropies = -torch.where(logp > -torch.inf, logp.exp() * logp, 0.0).sum(-1)
    chosen = logp.gather(-1, fused.token_ids[:, None]).squeeze(-1)
    for measured, wanted in ((fused.entropies, entropies), (fused.logprobs, chosen)):
        np.testing.assert_allclose(measured.cpu().numpy(), wanted.cpu().numpy(), atol=1e-5)


def compare_unusable(device):
    logits = torch.randn(4, 5000, device=device)
    logits[0, 4500], logits[1, 3] = torch.nan, torch.inf
    logits[2] = -torch.inf
    fused = fused_draw(logits, torch.full((4,), 0.5, dtype=torch.float64, device=device))
    assert fused.finite.tolist() == [False, False, False, True]
    assert (fused.token_ids >= 0).all()
    assert (fused.token_ids < 5000).all()


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_equal_the_eager_draw_in_the_interpreter():
    # The interpreter is chosen when triton is imported, so it needs a process of its own.
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from tests.unit.test_triton import compare; compare('cpu')"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_kernels_equal_the_eager_draw_on_a_gpu():
    compare("cuda")
    assert _agrees("cuda:0")


def test_other_devices_and_other_draws_are_eager():
    logits, uniforms = torch.randn(3, 50), torch.rand(3, dtype=torch.float64)
    for temperature, top_p in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.9), (0.0, 1.0)):
        wanted = draw(logits, uniforms, temperature, top_p).token_ids
        assert torch.equal(draw_rows(logits, uniforms, temperature, top_p).token_ids, wanted)


@pytest.mark.parametrize("fault", [lambda *_: (_ for _ in ()).throw(RuntimeError("no compiler")), None])
def test_kernels_that_fail_or_are_wrong_are_not_used_and_said_so_once(monkeypatch, fault):
    def shifted(logits, uniforms):
        return draw(logits.flip(-1), uniforms)

    monkeypatch.setattr(_triton, "find_spec", lambda _name: True)
    monkeypatch.setattr(_triton, "fused_draw", fault or shifted)
    _agrees.cache_clear()
    with pytest.warns(RuntimeWarning, match="Triton (does not work|is wrong) on cpu"):
        assert not _agrees("cpu")
    with warnings.catch_warnings(action="error"):
        assert not _agrees("cpu")
    _agrees.cache_clear()
