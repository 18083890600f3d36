"""Scoring, offsets, prefill and deployment of the hf engine against transformers' own forward pass and decoding."""

import functools

import numpy as np
import pytest
import scipy.stats
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from entropydx.chat import Decoder
from entropydx.engines import _hf_model, _score
from entropydx.engines._offsets import Offsets
from entropydx.engines._ranks import WINDOW, effective_rank, effective_ranks
from entropydx.engines._score import CHUNK, chunk_length
from entropydx.engines.hf import HfEngine
from entropydx.errors import CheckpointError, ConfigError, EngineError
from entropydx.logits import measure
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Passage, Prompt, SamplingParams
from tests.unit.tiny_models import (
    BOS,
    EOS,
    THINKING_TEMPLATE,
    VOCAB,
    byte_tokenizer,
    edit_json,
    tiny_checkpoint,
    tiny_model,
)

SMALL = {
    **{"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": BOS, "eos_token_id": 1},
}
OTHERS = {
    "Gemma2Config": {  # soft-capped logits, windows beside full attention
        **{"intermediate_size": 48, "head_dim": 8, "sliding_window": 8},
        **{"final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0},
    },
    "GptOssConfig": {"intermediate_size": 48, "head_dim": 8, "sliding_window": 8, "num_local_experts": 4},
    "BloomConfig": {"n_layer": 2, "n_head": 4},
    "Lfm2Config": {"intermediate_size": 48, "layer_types": ["conv", "full_attention"]},
    "Qwen3NextConfig": {
        **{"intermediate_size": 48, "head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
        **{"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8},
        **{"linear_value_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
        "shared_expert_intermediate_size": 16,
    },
}
KINDS = ["gpt2", "llama", "qwen2", *sorted(OTHERS)]
PROMPTS = [Prompt(id=f"p{i}", prompt=text, answer="") for i, text in enumerate(["a", "hello world", "1+2=", "x" * 30])]


def write_checkpoint(path, kind):
    if kind not in OTHERS:
        return tiny_checkpoint(path, kind)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(getattr(transformers, kind)(**SMALL, **OTHERS[kind]))
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)  # away from uniform, and into the soft cap
    model.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("llama"), "llama")


def open_engine(path, progress=None, **options):
    return HfEngine(str(path), EngineOptions(device="cpu", **options), progress or Silent())


def random_passages(seed=0, lengths=(1, 2, 7, 31, 60, 60, 80)):
    """Two passages of every length, after prompts of unlike lengths."""
    rng = np.random.default_rng(seed)
    return [
        Passage(
            prompt=PROMPTS[(i + j) % len(PROMPTS)],
            source_id=f"s{i}",
            sample_index=j,
            token_ids=rng.integers(0, VOCAB, n),
        )
        for i, n in enumerate(lengths)
        for j in range(2)
    ]


def by_key(scores):
    return {s.key: s for s in scores}


def teacher_forced(model, prompt_ids, token_ids):
    """Log-probabilities and entropies from one whole, unpadded forward pass, reduced in float64."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt_ids, *token_ids]])).logits[0, len(prompt_ids) - 1 : -1].double()
    logp = logits.log_softmax(-1).numpy()
    return logp[np.arange(len(token_ids)), token_ids], scipy.stats.entropy(np.exp(logp), axis=-1)


def assert_exact(score, model, prompt_ids):
    logprobs, entropies = teacher_forced(model, prompt_ids, score.token_ids.tolist())
    np.testing.assert_allclose(score.logprobs, logprobs, atol=1e-4)
    np.testing.assert_allclose(score.entropies, entropies, atol=1e-4)


# ── scoring ───────────────────────────────────────────────────────────────────────────────────────


def test_scores_equal_one_whole_forward_pass_whatever_the_chunk_and_the_batch(checkpoint, monkeypatch):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    passages = random_passages()
    for chunk, rows in ((CHUNK, 0), (7, 4)):
        monkeypatch.setattr(_score, "CHUNK", chunk)
        scores = by_key(open_engine(checkpoint, batch_rows=rows).score(passages))
        assert len(scores) == len(passages)
        for passage in passages:
            score = scores[passage.key]
            np.testing.assert_array_equal(score.token_ids, passage.token_ids)
            assert (score.effective_ranks, score.rank_stride) == (None, 0)
            assert_exact(score, model, tokenizer(passage.prompt.prompt)["input_ids"])


def test_a_drawn_completion_scores_as_it_was_drawn(checkpoint):
    engine = open_engine(checkpoint)
    groups = list(engine.generate(PROMPTS, SamplingParams(n_samples=3, max_new_tokens=40)))
    drawn = {(g.prompt.id, g.prompt.id, k): c for g in groups for k, c in enumerate(g.completions)}
    passages = [
        Passage(prompt=g.prompt, source_id=g.prompt.id, sample_index=k, token_ids=c.token_ids)
        for g in groups
        for k, c in enumerate(g.completions)
    ]
    for key, score in by_key(engine.score(passages)).items():
        np.testing.assert_allclose(score.logprobs, drawn[key].logprobs, atol=1e-4)
        np.testing.assert_allclose(score.entropies, drawn[key].entropies, atol=1e-4)


FINAL_NORMS = {"gpt2": "transformer.ln_f", "BloomConfig": "transformer.ln_f", "Lfm2Config": "model.embedding_norm"}


def test_effective_ranks_are_those_of_the_final_norm(checkpoint, request):
    kind = request.node.callspec.params["checkpoint"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    caught = []
    norm = model.get_submodule(FINAL_NORMS.get(kind, "model.norm"))
    norm.register_forward_hook(lambda _module, _inputs, output: caught.append(output[0].double().numpy()))
    passages = random_passages(lengths=(3, 20, 61))
    plain = by_key(open_engine(checkpoint).score(passages))
    for key, score in by_key(open_engine(checkpoint, batch_rows=4).score(passages, rank_stride=5)).items():
        passage = next(p for p in passages if p.key == key)
        prompt_ids = tokenizer(passage.prompt.prompt)["input_ids"]
        with torch.no_grad():
            model(torch.tensor([[*prompt_ids, *passage.token_ids]]))
        states = caught.pop()[len(prompt_ids) :]
        assert len(states) == len(passage.token_ids)
        wanted = [svd_rank(states[:t]) for t in range(5, len(states) + 1, 5)]
        assert score.rank_stride == 5
        np.testing.assert_allclose(score.effective_ranks, wanted, rtol=1e-3)
        np.testing.assert_allclose(score.logprobs, plain[key].logprobs, atol=1e-4)


def svd_rank(states):
    """The published formula, from a singular value decomposition."""
    sigma = np.linalg.svd(states - states.mean(axis=0), compute_uv=False)
    q = sigma / sigma.sum()
    return np.exp(-np.sum(q * np.log(q + 1e-8)))


@pytest.mark.parametrize("shape", [(2, 3), (9, 40), (40, 9), (16, 16)])
def test_effective_rank_is_the_published_formula(shape):
    states = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert effective_rank(states) == pytest.approx(svd_rank(states.astype(float)), rel=1e-5)


def test_effective_rank_of_known_spectra():
    corners = np.kron(np.eye(6), [[1.0], [-1.0]])  # centred, with six equal singular values
    assert effective_rank(corners) == pytest.approx(6, rel=1e-6)
    assert effective_rank(np.outer(np.arange(7.0), [1.0, 2.0])) == pytest.approx(1, abs=1e-5)
    assert effective_rank(np.ones((4, 3))) == 1
    assert effective_rank(np.ones((1, 3))) == 1


def test_effective_ranks_look_back_over_a_bounded_window():
    states = np.random.default_rng(0).normal(size=(WINDOW + 100, 4))
    ranks = effective_ranks(states, 300)
    np.testing.assert_allclose(ranks, [svd_rank(states[:300]), svd_rank(states[88:600])], rtol=1e-5)
    assert effective_ranks(states[:299], 300).shape == (0,)


def test_text_is_tokenised_by_itself_after_the_rendered_prompt(tmp_path):
    path = tiny_checkpoint(tmp_path, template="{{ bos_token }}{{ messages[0].content }}!", add_bos=True)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), byte_tokenizer()
    prompt = Prompt(id="p", prompt="2+2", answer="4", prefill=" so ")
    passages = [Passage(prompt=prompt, source_id="p", sample_index=0, text="it is 4.")]
    (score,) = open_engine(path).score(passages)
    assert score.token_ids.tolist() == tokenizer("it is 4.")["input_ids"]
    assert_exact(score, model, [BOS, *tokenizer("2+2! so ")["input_ids"]])


def test_thinking_reaches_the_prompt_of_a_score(tmp_path):
    path = tiny_checkpoint(tmp_path, template=THINKING_TEMPLATE)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), byte_tokenizer()
    passages = [Passage(prompt=PROMPTS[0], source_id="p0", sample_index=0, text="it is 4.")]
    (score,) = open_engine(path).score(passages, thinking="off")
    assert_exact(score, model, tokenizer("[user]a[assistant]<think></think>")["input_ids"])


def test_empty_passages_need_no_forward_pass(llama, monkeypatch):
    monkeypatch.setattr(_hf_model, "load_model", None)
    passages = [
        Passage(prompt=PROMPTS[0], source_id="p0", sample_index=0, token_ids=np.array([], dtype=np.int32)),
        Passage(prompt=PROMPTS[1], source_id="p1", sample_index=0, text=""),
    ]
    for score in open_engine(llama).score(passages):
        assert (len(score.token_ids), len(score.logprobs), len(score.entropies)) == (0, 0, 0)
        assert score.effective_ranks is None
    assert [len(s.effective_ranks) for s in open_engine(llama).score(passages, rank_stride=4)] == [0, 0]
    assert list(open_engine(llama).score([])) == []


def test_what_does_not_fit_is_refused_before_anything_is_scored(llama, monkeypatch):
    monkeypatch.setattr(_hf_model, "load_model", None)
    engine, fits = open_engine(llama), random_passages()[0]

    def passage(**what):
        return Passage(prompt=PROMPTS[3], source_id="s", sample_index=0, **what)

    wrong = {
        "'s' after prompt 'p3' has 99 tokens, and with the prompt's 30 it passes .* context of 128": passage(
            token_ids=np.full(99, 7)
        ),
        f"'s' after prompt 'p3' has token {VOCAB}, and the model has {VOCAB}": passage(token_ids=np.array([1, VOCAB])),
        "has neither token ids nor characters": passage(),
    }
    for message, bad in wrong.items():
        with pytest.raises(EngineError, match=message):
            engine.score([fits, bad])
    with pytest.raises(ConfigError, match="rank_stride must be 0 or more"):
        engine.score([fits], rank_stride=-1)


def test_a_passage_may_end_where_a_table_of_positions_ends(tmp_path):
    path = tiny_checkpoint(tmp_path, "gpt2")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), byte_tokenizer()
    ids = np.random.default_rng(0).integers(0, VOCAB, 127)
    passages = [
        Passage(prompt=PROMPTS[0], source_id="long", sample_index=0, token_ids=ids),
        Passage(prompt=PROMPTS[3], source_id="short", sample_index=0, token_ids=ids[:98]),
    ]
    for score in open_engine(path).score(passages, rank_stride=50):
        prompt = next(p.prompt for p in passages if p.key == score.key)
        assert_exact(score, model, tokenizer(prompt.prompt)["input_ids"])


@pytest.mark.parametrize(("chunk", "n_good"), [(1, 18), (9, 10), (CHUNK, 1)])
def test_a_passage_ends_before_logits_that_are_not_finite(tmp_path, monkeypatch, chunk, n_good):
    monkeypatch.setattr(_score, "CHUNK", chunk)  # attention multiplies NaN by 0, so it reaches back within a chunk
    model, poison = tiny_model("llama"), 77
    with torch.no_grad():
        model.model.embed_tokens.weight[poison] = torch.nan  # the logits after this token are NaN
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    ids = np.arange(60, 100)
    passages = [
        Passage(prompt=PROMPTS[1], source_id=name, sample_index=0, token_ids=kept)
        for name, kept in (("poisoned", ids), ("clean", ids[ids != poison]))
    ]
    scores = by_key(open_engine(tmp_path).score(passages, rank_stride=6))
    poisoned, clean = scores["p1", "poisoned", 0], scores["p1", "clean", 0]
    assert poisoned.token_ids.tolist() == list(range(60, poison + 1))[:n_good]
    assert len(poisoned.logprobs) == len(poisoned.entropies) == n_good
    np.testing.assert_allclose(poisoned.logprobs[:17], clean.logprobs[: min(n_good, 17)], atol=1e-5)
    assert len(clean.logprobs) == 39
    assert np.isfinite(clean.logprobs).all()
    assert len(poisoned.effective_ranks) <= n_good // 6
    assert np.isfinite(poisoned.effective_ranks).all()


class Recorder(Silent):
    def __init__(self):
        self.stages, self.notes, self.warnings = [], [], []

    def start(self, stage, total):
        self.stages.append((stage.split()[0], total))

    def advance(self, n=1, note=""):
        self.notes.append((n, note))

    def warn(self, message):
        self.warnings.append(message)


def watch_forward(monkeypatch, check):
    load = _hf_model.load_model

    def loading(*args):
        model = load(*args)
        model.register_forward_pre_hook(lambda _m, _a, kwargs: check(kwargs["input_ids"].shape), with_kwargs=True)
        return model

    monkeypatch.setattr(_hf_model, "load_model", loading)


def test_out_of_memory_halves_the_rows_and_changes_no_number(llama, monkeypatch):
    passages = random_passages()
    wanted = by_key(open_engine(llama).score(passages))

    def check(shape):
        if shape[0] > 3:
            raise torch.OutOfMemoryError

    watch_forward(monkeypatch, check)
    progress = Recorder()
    engine = open_engine(llama, progress, batch_rows=14)
    for key, score in by_key(engine.score(passages)).items():
        np.testing.assert_allclose(score.logprobs, wanted[key].logprobs, atol=1e-5)
    assert progress.warnings[-1] == "out of memory with 6 rows: going on with 3" or len(progress.warnings) == 2
    assert progress.stages == [("loading", None), ("scoring", 14)]
    assert [n for n, _ in progress.notes] == [1] * 14
    assert all(note.endswith("tok/s") for _, note in progress.notes)
    assert engine.batch_rows == 0, "only drawing counts"


def test_passages_of_one_prompt_share_its_prefill_and_short_ones_leave(llama, monkeypatch):
    shapes = []
    watch_forward(monkeypatch, lambda shape: shapes.append(tuple(shape)))
    monkeypatch.setattr(_score, "CHUNK", 10)
    ids = np.arange(100, 131)
    passages = [
        Passage(prompt=PROMPTS[1], source_id=str(n), sample_index=0, token_ids=ids[:n]) for n in (31, 31, 21, 11, 1)
    ]
    list(open_engine(llama).score(passages))
    assert shapes == [(1, 11), (4, 10), (3, 10), (2, 10)]


def test_the_head_never_sees_more_than_a_chunk(llama, monkeypatch):
    seen = []
    load = _hf_model.load_model

    def loading(*args):
        model = load(*args)
        model.lm_head.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].shape[:2]))
        return model

    monkeypatch.setattr(_hf_model, "load_model", loading)
    monkeypatch.setattr(_score, "CHUNK_LOGITS", {"cpu": 14 * VOCAB * 3})
    list(open_engine(llama, batch_rows=14).score(random_passages()))
    assert max(rows * positions for rows, positions in seen) == 12 * 3  # two passages end with their first token
    assert seen[0][1] == 1, "a prompt needs its last position only"


def test_given_tokens_are_measured_as_drawn_ones_are():
    logits = torch.randn((3, 4, 50), generator=torch.manual_seed(0)) * 4
    logits[0, 0, 7] = -torch.inf
    logits[2, 1, 3], logits[2, 2, 3] = torch.nan, torch.inf
    ids = torch.randint(0, 50, (3, 4))
    ids[0, 0] = 7
    measured = measure(logits, ids)
    wanted = torch.log_softmax(logits.double(), -1)
    fine = torch.ones((3, 4), dtype=torch.bool)
    fine[2, 1:3] = False
    assert torch.equal(measured.finite, fine)
    assert measured.logprobs[0, 0] == -torch.inf
    np.testing.assert_allclose(measured.logprobs[fine], wanted.gather(-1, ids[..., None])[..., 0][fine], atol=1e-5)
    np.testing.assert_allclose(measured.entropies[fine], scipy.stats.entropy(wanted[fine].exp(), axis=-1), atol=1e-5)


def test_the_chunk_bounds_the_logits():
    assert chunk_length("cpu", 16, VOCAB) == CHUNK
    assert chunk_length("cpu", 16, 152_000) == (1 << 24) // (16 * 152_000) == 6
    assert chunk_length("cpu", 64, 10**9) == 1


# ── prefill, batch rows, what the checkpoint says of itself ──────────────────────────────────────────


def test_a_prefill_stands_before_the_completion_and_is_not_in_it(llama):
    def drawn(prompt, prefill):
        prompts = [Prompt(id="p", prompt=prompt, prefill=prefill, answer="")]
        (group,) = open_engine(llama).generate(prompts, SamplingParams(n_samples=2, max_new_tokens=9))
        return group

    whole, parts = drawn("2+2=4;A", ""), drawn("2+2=", "4;A")
    assert whole.n_prompt_tokens == parts.n_prompt_tokens == 7
    assert [c.token_ids.tolist() for c in whole.completions] == [c.token_ids.tolist() for c in parts.completions]
    assert [c.text for c in whole.completions] == [c.text for c in parts.completions]


def test_batch_rows_of_a_call_override_the_options(llama, monkeypatch):
    shapes = []
    watch_forward(monkeypatch, lambda shape: shapes.append(tuple(shape)))
    engine = open_engine(llama, batch_rows=8)
    params = SamplingParams(n_samples=2, max_new_tokens=5)
    first = {g.prompt.id: [c.text for c in g.completions] for g in engine.generate(PROMPTS, params, batch_rows=1)}
    assert max(rows for rows, _ in shapes) == engine.batch_rows == 1
    second = {g.prompt.id: [c.text for c in g.completions] for g in engine.generate(PROMPTS, params)}
    assert engine.batch_rows == 8
    assert first == second


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ({}, None),
        ({"do_sample": True, "top_k": 20}, None),
        ({"temperature": None, "top_p": None}, None),
        ({"do_sample": False}, (0.0, 1.0)),
        ({"do_sample": False, "temperature": 0.6}, (0.0, 1.0)),
        ({"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20}, (0.6, 0.95)),
        ({"temperature": 0.7}, (0.7, 1.0)),
        ({"top_p": 0.8, "repetition_penalty": 1.1}, (1.0, 0.8)),
    ],
)
def test_deployment_is_what_the_file_itself_says(tmp_path, monkeypatch, stated, wanted):
    monkeypatch.setattr(_hf_model, "load_model", None)
    path = tiny_checkpoint(tmp_path)
    (path / "generation_config.json").unlink()
    assert open_engine(path).deployment is None
    edit_json(path / "generation_config.json", eos_token_id=EOS, **stated)
    assert open_engine(path).deployment == wanted


@pytest.mark.parametrize("stated", [{"temperature": "0.6"}, {"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}])
def test_a_deployment_that_nothing_can_be_sampled_with_is_refused(tmp_path, stated):
    path = tiny_checkpoint(tmp_path)
    edit_json(path / "generation_config.json", **stated)
    with pytest.raises(CheckpointError, match=rf"generation_config.json has {next(iter(stated))} "):
        _ = open_engine(path).deployment


def test_tokenizer_sha_tells_vocabularies_apart(llama, tmp_path):
    other = tiny_checkpoint(tmp_path, "gpt2", seed=3)
    assert open_engine(llama).info.tokenizer_sha == open_engine(other).info.tokenizer_sha
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["new"])
    tokenizer.save_pretrained(other)
    assert open_engine(llama).info.tokenizer_sha != open_engine(other).info.tokenizer_sha


# ── offsets ───────────────────────────────────────────────────────────────────────────────────────

CORPUS = [
    "the quick brown fox jumps over the lazy dog. Wait, hmm — perhaps 3+5=8; so the answer is 42.",
    "naïve café, 漢字かな交じり文, 👩‍👩‍👧‍👦 and 🏳️‍🌈, e\u0301 a\u0308, Ωμέγα, עברית, हिन्दी",
    "    indented\n\n\ttabs  and   spaces ",
] * 3


@functools.cache
def bpe_tokenizer():
    """Byte-level BPE as of GPT-2, trained so that many characters are split between tokens."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


@functools.cache
def sentencepiece_tokenizer():
    """As Llama 2's: `▁` for spaces, bytes for what it does not know, the first space taken away when decoding."""
    words = ["▁", "▁the", "▁quick", "▁fox", "the", "▁café", "▁4", "2", ".", "\n", *"abcdefghijklmnopqrstuvwxyz"]
    vocab = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *words])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def offsets_of(tokenizer, ids):
    decode = Decoder(tokenizer)
    text = decode(ids)
    offsets = Offsets(tokenizer, decode)(ids, text)
    assert offsets.dtype == np.int32
    assert offsets.shape == (len(ids),)
    assert (np.diff(offsets) >= 0).all()
    return decode, text, offsets.tolist()


def assert_prefixes(tokenizer, ids):
    """Every offset is a prefix of what the tokens so far decode to, short of it by unfinished characters at most."""
    decode, text, offsets = offsets_of(tokenizer, ids)
    assert not ids or offsets[-1] == len(text)
    for t, end in enumerate(offsets):
        so_far = decode(ids[: t + 1])
        assert so_far.startswith(text[:end])
        assert set(so_far[end:]) <= {"\ufffd"}
    for t, token in enumerate(ids):
        if token in decode.dropped:
            assert offsets[t] == (offsets[t - 1] if t else 0)


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.sampled_from(CORPUS[1] + "👍🏽\u200d\u0301 aé漢"), max_size=30).map("".join))
@pytest.mark.parametrize("make", [bpe_tokenizer, byte_tokenizer])
def test_offsets_of_byte_level_text(make, text):
    tokenizer = make()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert_prefixes(tokenizer, ids)
    assert_prefixes(tokenizer, [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id])
    assert offsets_of(tokenizer, ids)[1] == text


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.integers(0, 419), max_size=40))
@pytest.mark.parametrize("make", [bpe_tokenizer, byte_tokenizer])
def test_offsets_of_random_tokens_which_may_be_no_text(make, ids):
    tokenizer = make()
    assert_prefixes(tokenizer, [i % len(tokenizer) for i in ids])


@settings(max_examples=100, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(["▁the", "▁quick", "▁", "the", "▁café", "é", "🙂", "漢", "\n", "a"]), max_size=30)
)
def test_offsets_of_a_sentencepiece_like_tokenizer(pieces):
    tokenizer = sentencepiece_tokenizer()
    names = [
        name
        for piece in pieces
        for name in ([piece] if piece in tokenizer.get_vocab() else [f"<0x{b:02X}>" for b in piece.encode()])
    ]
    ids = [*tokenizer.convert_tokens_to_ids(names), tokenizer.eos_token_id]
    # Its decoder shows no character of a run of bytes while one of them is not whole, so the characters are counted.
    so_far = [bytes_of(names[: t + 1]).decode(errors="ignore").replace("▁", " ") for t in range(len(names))]
    _, text, offsets = offsets_of(tokenizer, ids)
    assert text == (so_far[-1].removeprefix(" ") if names else "")
    assert offsets == [len(part.removeprefix(" ")) for part in so_far] + [len(text)]


def bytes_of(names):
    return b"".join(bytes.fromhex(n[3:5]) if n.startswith("<0x") else n.encode() for n in names)


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.integers(0, 294), max_size=40))
def test_offsets_of_broken_bytes_stay_in_order_and_reach_the_end(ids):
    # Whether such a decoder shows a character depends on the whole run of bytes, so no prefix can be asked for.
    _, text, offsets = offsets_of(sentencepiece_tokenizer(), ids)
    assert not ids or offsets[-1] == len(text)


def test_offsets_by_windows_agree_with_those_by_bytes():
    tokenizer = bpe_tokenizer()
    decode = Decoder(tokenizer)
    find = Offsets(tokenizer, decode)
    for text in CORPUS[:3]:
        ids = tokenizer(text)["input_ids"]
        assert find._by_windows(ids, text)[:-1] == find._by_bytes(ids, text)[:-1]


def test_a_decoder_that_looks_at_neighbours_is_followed_in_windows():
    vocab = {t: i for i, t in enumerate(["[UNK]", "un", "##believ", "##able", "story", "."])}
    backend = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece(cleanup=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    _, text, offsets = offsets_of(tokenizer, [1, 2, 3, 4, 5])
    assert text == "unbelievable story."
    assert [text[a:b] for a, b in zip([0, *offsets], offsets, strict=False)] == ["un", "believ", "able", " story", "."]


def test_drawn_completions_have_offsets(llama):
    tokenizer = byte_tokenizer()
    for group in open_engine(llama).generate(PROMPTS, SamplingParams(n_samples=4, max_new_tokens=40)):
        for c in group.completions:
            assert c.offsets is not None
            assert c.offsets.tolist() == offsets_of(tokenizer, c.token_ids.tolist())[2]
            assert c.offsets[-1] == len(c.text)
