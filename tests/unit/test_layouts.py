"""Fixed rows against aligned ones and transformers itself; recorded steps by a tracer that repeats what it saw."""

import contextlib
import gc
import warnings
import weakref

import numpy as np
import pytest
import torch
import transformers
from torch.fx.experimental.proxy_tensor import make_fx
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx.engines import _layouts
from entropydx.engines._forward import Forward
from entropydx.engines._graphs import CudaGraphs
from entropydx.engines._layouts import Aligned, Fixed, Joined, alike, open_layout
from entropydx.engines.hf import HfEngine
from entropydx.protocols import EngineOptions, Silent
from tests.unit.test_engine_hf import (
    MANY,
    OTHERS,
    SMALL,
    STOPS,
    Recorder,
    assert_exact,
    limit_rows,
    open_engine,
    sample,
    tokens,
)
from tests.unit.tiny_models import byte_tokenizer, edit_json, tiny_checkpoint, tiny_model

KINDS = ("llama", "gpt2")


class Tape:
    """What a CUDA graph is, without a GPU: the operations of one run, repeated on the same tensors, Python left out.

    What a step takes from Python is frozen in the tape, so that it gives other tokens where it is no function of its
    fixed tensors; reading a tensor back to Python is refused, as it is on a GPU.
    """

    def __init__(self):
        self.shapes, self.runs = [], 0

    def __call__(self, step):
        tape = make_fx(step)()
        result = torch.empty_like(tape())
        self.shapes.append(tuple(result.shape))

        def repeat():
            self.runs += 1
            return result.copy_(tape())  # always at one address, as a graph's result is

        return repeat


@pytest.fixture(params=KINDS)
def checkpoint(request, tmp_path):
    path = tiny_checkpoint(tmp_path, request.param)
    edit_json(path / "generation_config.json", eos_token_id=STOPS)
    return path


def fixed_engine(path, monkeypatch, record, **options):
    monkeypatch.setattr(HfEngine, "_recorder", lambda _self: record)
    return open_engine(path, **options)


def once(step):
    return step


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_fixed_rows_draw_the_tokens_of_aligned_ones(checkpoint, monkeypatch, rows):
    wanted = tokens(sample(open_engine(checkpoint), MANY, n=3, length=40))
    assert tokens(sample(fixed_engine(checkpoint, monkeypatch, once, batch_rows=rows), MANY, n=3, length=40)) == wanted


def test_recorded_steps_agree_with_a_teacher_forced_pass(checkpoint, monkeypatch):
    monkeypatch.setattr(_layouts, "BUCKET", 16)
    edit_json(checkpoint / "generation_config.json", eos_token_id=STOPS[:8])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    tape = Tape()
    groups = sample(fixed_engine(checkpoint, monkeypatch, tape, batch_rows=20), MANY, n=3, length=80)
    for group in groups.values():
        for completion in group.completions:
            assert_exact(model, tokenizer(group.prompt.prompt)["input_ids"], completion, 1e-4)
    assert tape.runs > 5 * len(tape.shapes), "each recording should serve many steps"
    assert {shape[0] for shape in tape.shapes} <= {20, 10, 5}, "rows are halved as they end, down to a few"
    assert len(tape.shapes) > 3, "and steps get wider"


def test_rows_are_halved_once_half_of_them_ended_and_those_that_run_come_first():
    fixed = opened(tiny_model("llama"))
    running = np.array([False, True, False, True, False, False, True, False, False])
    assert fixed.leaving(running).tolist() == [1, 3, 6, 0, 2]
    assert fixed.leaving(~running) is None
    assert fixed.leaving(running[:8]) is None, "a few rows are no fewer kernels"


def test_a_tape_refuses_a_step_that_reads_a_tensor_back(checkpoint, monkeypatch):
    real = _layouts._Static.extend

    def reading(self, n_rows, n_columns):
        return real(self, n_rows, min(n_columns, int(self.lengths.max())))

    monkeypatch.setattr(_layouts._Static, "extend", reading)
    sample(fixed_engine(checkpoint, monkeypatch, once))
    with pytest.raises(RuntimeError, match="get value out of a tracing tensor"):
        sample(fixed_engine(checkpoint, monkeypatch, Tape()))


def test_a_fixed_row_after_one_that_met_nan_is_sound(tmp_path, monkeypatch):
    model, poison = tiny_model("llama"), 77
    with torch.no_grad():
        model.model.embed_tokens.weight[poison] = torch.nan
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    groups = sample(fixed_engine(tmp_path, monkeypatch, once, batch_rows=3), MANY, n=8, length=30)
    completions = [(g, c) for g in groups.values() for c in g.completions]
    assert sum(c.finish_reason == "non_finite" for _, c in completions) > 3
    for group, completion in completions:
        assert_exact(model, byte_tokenizer()(group.prompt.prompt)["input_ids"], completion, 1e-4)


def test_fixed_rows_are_halved_when_memory_runs_out(checkpoint, monkeypatch):
    wanted = tokens(sample(open_engine(checkpoint)))
    limit_rows(monkeypatch, 3, torch.OutOfMemoryError)
    engine = fixed_engine(checkpoint, monkeypatch, once, batch_rows=16)
    assert tokens(sample(engine)) == wanted
    assert engine.batch_rows <= 3


# ── which layout a model gets ─────────────────────────────────────────────────────────────────────


def opened(model, n_columns=64, record=once):
    forward = Forward(model)
    with torch.inference_mode():
        return open_layout(forward, forward.prefill([[7, 8, 9, 10], [11, 12]]), 4, n_columns, record)


def other_model(name):
    torch.manual_seed(0)
    config = getattr(transformers, name)(**SMALL, **OTHERS[name])
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize(
    ("kind", "n_columns", "wanted"),
    [
        ("llama", 64, Fixed),
        ("gpt2", 64, Fixed),
        ("qwen2", 64, Aligned),  # a window of 8 hides columns
        ("qwen2", 7, Fixed),  # and here it does not
    ],
)
def test_rows_are_fixed_where_every_layer_sees_every_column(kind, n_columns, wanted):
    assert type(opened(tiny_model(kind), n_columns)) is wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("BloomConfig", Aligned), ("GptOssConfig", Aligned), ("Lfm2Config", Joined), ("Qwen3NextConfig", Joined)],
)
def test_other_models_keep_their_layout(name, wanted):
    assert type(opened(other_model(name))) is wanted


def test_nothing_is_fixed_unless_it_is_asked_for():
    assert type(opened(tiny_model("llama"), record=None)) is Aligned


def test_a_model_that_fixed_rows_get_wrong_keeps_aligned_ones(monkeypatch):
    model = tiny_model("llama")
    inner = model.model.forward

    def shifted(*args, position_ids=None, attention_mask=None, **kwargs):
        # What a model would do that takes positions from the number of columns and not from what it is told.
        if attention_mask.ndim == 4:
            position_ids = position_ids + 5
        return inner(*args, position_ids=position_ids, attention_mask=attention_mask, **kwargs)

    monkeypatch.setattr(model.model, "forward", shifted)
    monkeypatch.setattr(model.model.rotary_emb, "forward", absolute(model.model.rotary_emb.forward))
    assert type(opened(model)) is Aligned


def test_a_model_that_refuses_the_mask_of_fixed_rows_keeps_aligned_ones(tmp_path, monkeypatch):
    torch.manual_seed(0)
    config = transformers.FalconConfig(**SMALL, alibi=True)  # reads its positions off a mask of two dimensions
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    wanted = tokens(sample(open_engine(tmp_path), n=2, length=8))
    assert tokens(sample(fixed_engine(tmp_path, monkeypatch, once), n=2, length=8)) == wanted


def test_no_memory_for_fixed_rows_is_no_memory(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(_layouts, "_agree", full)
    with pytest.raises(torch.OutOfMemoryError):
        opened(tiny_model("llama"))


def test_fixed_rows_go_when_nobody_holds_them():
    fixed = opened(tiny_model("llama"))
    with torch.inference_mode():
        fixed.place(np.arange(1), Forward(tiny_model("llama")).prefill([[7, 8]]), [0], [2])
        fixed.step(torch.ones((4, 1), dtype=torch.long), torch.full((4,), 3), 3)
    gone = weakref.ref(fixed)
    gc.disable()  # a cycle would keep a whole cache beside the next batch's
    try:
        del fixed
        assert gone() is None
    finally:
        gc.enable()


def absolute(rotary):
    """Make distances count from the start, so that a shift of all positions shows."""

    def forward(states, position_ids):
        return rotary(states, position_ids * position_ids)

    return forward


def test_distributions_are_alike_up_to_what_the_dtype_tells():
    torch.manual_seed(0)
    logits = torch.randn(3, 50)
    assert alike(logits, logits + 7)  # a softmax does not see it
    assert alike(logits.bfloat16(), (logits + 0.01 * torch.randn(3, 50)).bfloat16())
    assert not alike(logits, logits + 0.1 * torch.randn(3, 50))
    assert not alike(logits.bfloat16(), (logits + 0.5 * torch.randn(3, 50)).bfloat16())
    broken = logits.clone()
    broken[1] = torch.nan
    assert alike(broken, broken)
    assert not alike(logits, broken)
    assert not alike(broken, logits)


# ── CUDA graphs ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_steps_that_cannot_be_recorded_are_run_as_they_are_and_said_so_once():
    record = CudaGraphs("cuda")
    with pytest.warns(RuntimeWarning, match="CUDA graphs do not work here, so steps are slower: "):
        assert record(once) is once
    with warnings.catch_warnings(action="error"):
        assert record(once) is once


def test_a_recording_that_gives_other_logits_is_not_used(monkeypatch):
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))

    def step():
        return logits

    monkeypatch.setattr(CudaGraphs, "_capture", lambda _self, step: (step(), lambda: step().flip(-1)))
    with pytest.warns(RuntimeWarning, match="a recorded step gives other logits"):
        assert CudaGraphs("cuda")(step) is step
    monkeypatch.setattr(CudaGraphs, "_capture", lambda _self, step: (step(), logits.clone))
    assert CudaGraphs("cuda")(step) == logits.clone


class FakeCuda:
    """The calls of a capture, of a driver that records nothing."""

    def __init__(self, monkeypatch, *, fails=False):
        self.fails, self.streams = fails, ["main"]
        for name in ("current_stream", "Stream", "stream", "graph_pool_handle", "CUDAGraph", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def current_stream(self, _device):
        return FakeStream(self.streams[-1])

    def Stream(self, _device):  # noqa: N802
        return FakeStream("beside")

    def graph_pool_handle(self):
        return object()

    def CUDAGraph(self):  # noqa: N802
        return FakeGraph()

    @contextlib.contextmanager
    def stream(self, stream):
        before = list(self.streams)
        self.streams.append(stream.name)
        try:
            yield
        finally:
            self.streams = before

    @contextlib.contextmanager
    def graph(self, _graph, pool):
        assert pool is not None
        self.streams.append("capture")  # as torch does, which does not come back when the end of a capture raises
        yield
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.streams.pop()


class FakeStream:
    def __init__(self, name):
        self.name = name

    def wait_stream(self, _other):
        pass


class FakeGraph:
    def replay(self):
        pass


def test_a_graph_of_nothing_is_not_taken_for_a_recording(monkeypatch):
    FakeCuda(monkeypatch)

    def step():
        return torch.zeros(2, 5)

    with pytest.warns(RuntimeWarning, match="a recorded step gives other logits"):
        assert CudaGraphs("cuda:1")(step) is step


def test_a_capture_that_fails_gives_the_stream_back(monkeypatch):
    cuda = FakeCuda(monkeypatch, fails=True)
    with pytest.warns(RuntimeWarning, match="operation not permitted when stream is capturing"):
        CudaGraphs("cuda")(lambda: torch.zeros(2, 5))
    assert cuda.streams == ["main"]


def test_no_memory_for_a_recording_is_no_memory(monkeypatch):
    def capture(_self, _step):
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(CudaGraphs, "_capture", capture)
    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphs("cuda")(once)


def test_on_a_cpu_the_option_does_nothing_and_says_so(checkpoint):
    progress = Recorder()
    engine = open_engine(checkpoint, progress, cuda_graphs=True)
    assert progress.warnings == ["--cuda-graphs does nothing on cpu: it needs the whole model on one CUDA device"]
    assert tokens(sample(engine)) == tokens(sample(open_engine(checkpoint)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_recorded_steps_on_a_gpu_agree_with_a_teacher_forced_pass_on_the_cpu(checkpoint, dtype, monkeypatch):
    monkeypatch.setattr(_layouts, "BUCKET", 16)
    recorded, capture = [], CudaGraphs._capture
    monkeypatch.setattr(CudaGraphs, "_capture", lambda self, step: recorded.append(step) or capture(self, step))
    options = EngineOptions(device="cuda", dtype=dtype, batch_rows=20, cuda_graphs=True)
    with warnings.catch_warnings(action="error"):
        groups = sample(HfEngine(str(checkpoint), options, Silent()), MANY, n=3, length=40)
    assert len(recorded) > 1
    assert sum(len(g.completions) for g in groups.values()) == 3 * len(MANY)
    if dtype == "float32":
        model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
        for group in groups.values():
            for completion in group.completions:
                assert_exact(model, tokenizer(group.prompt.prompt)["input_ids"], completion, 1e-3)
