"""What every engine must do, whichever draws: the same checks over all of them, on tiny checkpoints.

The vllm engine runs where vLLM is installed (`pytest -m slow`), which also tells whether it agrees with `hf`.
"""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from entropydx import plugins
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Passage, Prompt, SamplingParams

ELSEWHERE = {"openai": "needs a server: tests/unit/test_engine_openai.py"}
HAS_VLLM = importlib.util.find_spec("vllm") is not None
NAMES = [
    pytest.param(
        name,
        marks=[
            *([pytest.mark.skip(reason=ELSEWHERE[name])] if name in ELSEWHERE else []),
            *([pytest.mark.slow, pytest.mark.filterwarnings("ignore")] if name == "vllm" else []),
            *([pytest.mark.skip(reason="vLLM is not installed")] if name == "vllm" and not HAS_VLLM else []),
        ],
    )
    for name in plugins.builtin_names("engine")
]
PROMPTS = [
    Prompt(id=f"p{i}", prompt=text, answer="7", reference=f"{text}7;A7.")
    for i, text in enumerate(["3+4=", "a much longer prompt than the others: 3+4=", "x"])
]
PARAMS = SamplingParams(n_samples=4, max_new_tokens=12, seed=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random Llama with heads of size 32, the smallest that vLLM's CPU attention knows, and frequent stops."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.unit.tiny_models import BOS, EOS, VOCAB, byte_tokenizer, edit_json

    path = tmp_path_factory.mktemp("contract")
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 32}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        vocab_size=VOCAB, max_position_embeddings=256, bos_token_id=BOS, eos_token_id=EOS, **sizes, **heads
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    edit_json(path / "generation_config.json", eos_token_id=[EOS, *range(30, 50)], temperature=0.7, top_p=0.9)
    return path


@pytest.fixture(scope="module", params=NAMES)
def engine(request, checkpoint):
    ref = "synthetic:healthy" if request.param == "synthetic" else str(checkpoint)
    # Agreement is asked for in float32 on a CPU, where it is what the arithmetic gives.
    options = EngineOptions(device="cpu" if request.param != "vllm" else "auto", dtype="float32")
    engine = plugins.load("engine", request.param)(ref, options, Silent())
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def drawn(engine):
    return {g.prompt.id: g for g in engine.generate(PROMPTS, PARAMS)}


def _same(one, other):
    np.testing.assert_array_equal(one.token_ids, other.token_ids)
    np.testing.assert_allclose(one.entropies, other.entropies, atol=1e-4)
    np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)
    assert (one.text, one.finish_reason) == (other.text, other.finish_reason)


def test_it_says_what_it_is(engine):
    assert engine.scoring in {"in_loop", "synthetic"}
    assert engine.provides.n_samples >= 64
    assert engine.provides.entropies
    assert engine.device
    assert isinstance(engine.uses_chat_template, bool)
    assert isinstance(engine.leaves_room, bool)
    assert engine.deployment in {None, (0.7, 0.9)}
    info = engine.info
    assert len(info.fingerprint) == 64
    assert info.architecture
    assert info.vocab_size > 0
    assert info.tokenizer_sha


def test_every_prompt_comes_once_and_whole(engine, drawn):
    groups = list(engine.generate(PROMPTS, PARAMS))
    assert sorted(g.prompt.id for g in groups) == ["p0", "p1", "p2"]
    for group in groups:
        assert len(group.completions) == PARAMS.n_samples
        assert group.n_prompt_tokens > 0
        for completion, again in zip(group.completions, drawn[group.prompt.id].completions, strict=True):
            _same(completion, again)
    assert engine.batch_rows >= 1


def test_the_numbers_are_those_of_distributions(engine, drawn):
    limit = np.log(engine.info.vocab_size) + 1e-3
    for group in drawn.values():
        for c in group.completions:
            assert 1 <= c.n_tokens <= PARAMS.max_new_tokens
            assert len(c.logprobs) == len(c.entropies) == c.n_tokens
            assert ((c.entropies >= -1e-6) & (c.entropies <= limit)).all()
            assert (c.logprobs <= 0).all()
            assert c.finish_reason in {"stop", "length"}
            assert c.finish_reason == "stop" or c.n_tokens == PARAMS.max_new_tokens
            assert (np.diff(c.offsets) >= 0).all()
            assert c.offsets[-1] == len(c.text)
            assert c.answer is None
            assert c.grade is None


def test_what_is_drawn_depends_on_seed_prompt_and_sample_alone(engine, drawn):
    alone = {g.prompt.id: g for g in engine.generate(PROMPTS[:0:-1], replace(PARAMS, n_samples=2), batch_rows=1)}
    assert sorted(alone) == ["p1", "p2"]
    for key, group in alone.items():
        for completion, among in zip(group.completions, drawn[key].completions, strict=False):
            _same(completion, among)
    other = next(engine.generate(PROMPTS[:1], replace(PARAMS, seed=2)))
    ours = [c.token_ids.tolist() for c in drawn["p0"].completions]
    assert [c.token_ids.tolist() for c in other.completions] != ours


def test_without_temperature_all_samples_are_equal(engine):
    for group in engine.generate(PROMPTS, replace(PARAMS, temperature=0.0)):
        for completion in group.completions[1:]:
            _same(completion, group.completions[0])


def test_scores_of_own_completions_are_what_was_drawn(engine, drawn):
    passages = [
        Passage(prompt=g.prompt, source_id=key, sample_index=i, token_ids=c.token_ids)
        for key, g in drawn.items()
        for i, c in enumerate(g.completions)
    ]
    scores = {s.key: s for s in engine.score(passages)}
    assert len(scores) == len(passages)
    for key, group in drawn.items():
        for i, c in enumerate(group.completions):
            score = scores[key, key, i]
            np.testing.assert_array_equal(score.token_ids, c.token_ids)
            np.testing.assert_allclose(score.logprobs, c.logprobs, atol=1e-4)
            np.testing.assert_allclose(score.entropies, c.entropies, atol=1e-4)


def test_a_text_and_an_empty_one_can_be_scored(engine):
    passages = [
        Passage(prompt=PROMPTS[0], source_id="p0", sample_index=0, text="12;A7."),
        Passage(prompt=PROMPTS[0], source_id="p1", sample_index=0, token_ids=np.array([], dtype=np.int32)),
    ]
    scores = {s.source_id: s for s in engine.score(passages)}
    assert len(scores["p0"].logprobs) == len(scores["p0"].token_ids) > 0
    assert len(scores["p1"].logprobs) == 0


def test_a_closed_engine_opens_again(engine, drawn):
    engine.close()
    group = next(engine.generate(PROMPTS[:1], PARAMS))
    for completion, before in zip(group.completions, drawn["p0"].completions, strict=True):
        _same(completion, before)


def test_engines_of_weights_agree_with_hf(engine, drawn, checkpoint):
    if engine.info.format == "synthetic":
        pytest.skip("it has no weights")
    hf = plugins.load("engine", "hf")(str(checkpoint), EngineOptions(device="cpu", dtype="float32"), Silent())
    assert hf.info == engine.info
    for group in hf.generate(PROMPTS, PARAMS):
        for completion, ours in zip(group.completions, drawn[group.prompt.id].completions, strict=True):
            _same(completion, ours)
            np.testing.assert_array_equal(completion.offsets, ours.offsets)
