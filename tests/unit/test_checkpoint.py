"""Every layout that a user may point at: opened, or refused with one line that says what to do next."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM, LlamaForSequenceClassification

from entropydx.checkpoint import fingerprint, read_json, resolve, safetensors_header, weight_facts
from entropydx.engines.hf import HfEngine
from entropydx.errors import CheckpointError
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Prompt, SamplingParams
from tests.unit.tiny_models import CONFIGS, TEMPLATE, VOCAB, byte_tokenizer, edit_json, tiny_checkpoint

PROMPTS = [Prompt(id="a", prompt="hello", answer=""), Prompt(id="b", prompt="1+1=", answer="")]
PLAIN = EngineOptions(device="cpu")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model"), "llama")


@pytest.fixture
def model_dir(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "model"))


def sample(ref, **options):
    engine = HfEngine(str(ref), EngineOptions(device="cpu", **options), Silent())
    groups = engine.generate(PROMPTS, SamplingParams(n_samples=3, max_new_tokens=12))
    return engine, sorted(groups, key=lambda g: g.prompt.id)


def tokens(groups):
    return [[c.token_ids.tolist() for c in g.completions] for g in groups]


def refuses(ref, match, **options):
    with pytest.raises(CheckpointError, match=match) as caught:
        resolve(str(ref), EngineOptions(device="cpu", **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_equals_model(model, groups):
    """The engine's numbers are those of a teacher-forced pass through `model`."""
    tokenizer = byte_tokenizer()
    for group in groups:
        prompt = tokenizer(group.prompt.prompt)["input_ids"]
        for c in group.completions:
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *c.token_ids.tolist()]])).logits[0, len(prompt) - 1 : -1]
            logp = logits.double().log_softmax(-1).numpy()
            np.testing.assert_allclose(c.logprobs, logp[np.arange(c.n_tokens), c.token_ids], atol=1e-4)


# ── what can be opened ───────────────────────────────────────────────────────────────────────────


def test_resolving_and_fingerprinting_import_no_torch(model_dir):
    code = (
        "import sys; from entropydx.checkpoint import *; from entropydx.protocols import EngineOptions;"
        f"c = resolve({str(model_dir)!r}, EngineOptions()); fingerprint(c); weight_facts(c);"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_local_directory(model_dir):
    checkpoint = resolve(str(model_dir), PLAIN)
    assert (checkpoint.format, checkpoint.path, checkpoint.base) == ("hf", model_dir, None)
    facts = weight_facts(checkpoint)
    stored = load_file(model_dir / "model.safetensors")
    assert facts.n_parameters == sum(t.numel() for t in stored.values())
    assert (facts.dtype, facts.quantized) == ("float32", False)


def test_shards_are_one_model(original, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(original)
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    byte_tokenizer().save_pretrained(tmp_path)
    checkpoint = resolve(str(tmp_path), PLAIN)
    assert len(checkpoint.weights) > 1
    assert weight_facts(checkpoint) == weight_facts(resolve(str(original), PLAIN))
    assert tokens(sample(tmp_path)[1]) == tokens(sample(original)[1])
    checkpoint.weights[0].unlink()
    refuses(tmp_path, f"lacks {checkpoint.weights[0].name}")


def test_a_trl_checkpoint_directory(original, tmp_path):
    path = Path(shutil.copytree(original, tmp_path / "checkpoint-5"))
    (path / "training_args.bin").write_bytes(b"pickle")
    (path / "optimizer.pt").write_bytes(b"pickle")
    (path / "trainer_state.json").write_text("{}")
    assert resolve(str(path), PLAIN).path == path
    assert fingerprint(resolve(str(path), PLAIN)) == fingerprint(resolve(str(original), PLAIN))


@pytest.mark.parametrize("level", ["", "actor", "actor/huggingface"])
def test_a_verl_checkpoint_with_merged_weights(original, tmp_path, level):
    inner = tmp_path / "global_step_7" / "actor" / "huggingface"
    shutil.copytree(original, inner)
    (inner.parent / "fsdp_config.json").write_text("{}")
    assert resolve(str(tmp_path / "global_step_7" / level), PLAIN).path == inner


def test_hub_ids_come_from_the_cache_when_offline(original, tmp_path, monkeypatch):
    cache = tmp_path / "hub" / "models--org--name"
    shutil.copytree(original, cache / "snapshots" / ("0" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    checkpoint = resolve("org/name", PLAIN)
    assert checkpoint.path.name == "0" * 40
    assert fingerprint(checkpoint) == fingerprint(resolve(str(original), PLAIN))
    refuses("org/ab--sent", "the hub did not give it")
    refuses("org/absent", "'org/absent' is not a local path, and the hub did not give it")


# ── fingerprints ─────────────────────────────────────────────────────────────────────────────────


def test_fingerprint_ignores_place_and_time_and_sees_content(original, model_dir):
    wanted = fingerprint(resolve(str(original), PLAIN))
    (model_dir / "README.md").write_text("not part of the model")
    (model_dir / "config.json").touch()
    assert fingerprint(resolve(str(model_dir), PLAIN)) == wanted
    assert len(wanted) == 64


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_fingerprint_changes_with_every_text_file(original, model_dir, name):
    edit_json(model_dir / name, note="changed")
    assert fingerprint(resolve(str(model_dir), PLAIN)) != fingerprint(resolve(str(original), PLAIN))


def test_fingerprint_changes_with_one_byte_of_the_weights(original, model_dir):
    weights = model_dir / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint(resolve(str(model_dir), PLAIN)) != fingerprint(resolve(str(original), PLAIN))


# ── adapters ─────────────────────────────────────────────────────────────────────────────────────


def lora(base, path, *, seed=0):
    """Write a LoRA adapter whose update is not zero, and return the adapted model."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(path)
    return adapted.eval()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_round_trip(original, tmp_path, dtype):
    adapted = lora(original, tmp_path)
    engine, groups = sample(tmp_path, dtype=dtype)
    assert (engine.info.format, engine.info.path) == ("peft", str(tmp_path))
    n_base = weight_facts(resolve(str(original), PLAIN)).n_parameters
    n_own = sum(p.numel() for name, p in adapted.named_parameters() if "lora_" in name)
    assert engine.info.n_parameters == n_base + n_own
    if dtype == "float32":
        assert_equals_model(adapted, groups)
        assert tokens(groups) != tokens(sample(original)[1])


def test_an_adapters_fingerprint_covers_adapter_and_base(original, model_dir, tmp_path):
    lora(original, tmp_path / "one")
    lora(original, tmp_path / "two", seed=1)
    options = EngineOptions(base_model=str(model_dir))
    one, two = (fingerprint(resolve(str(tmp_path / name), options)) for name in ("one", "two"))
    assert one != two
    assert one == fingerprint(resolve(str(tmp_path / "one"), PLAIN))
    edit_json(model_dir / "config.json", note="changed")
    assert fingerprint(resolve(str(tmp_path / "one"), options)) != one


def test_the_given_base_model_goes_before_the_recorded_one(original, tmp_path):
    lora(original, tmp_path)
    edit_json(tmp_path / "adapter_config.json", base_model_name_or_path="gone/away/base")
    refuses(tmp_path, "base model of .*: no checkpoint at 'gone/away/base'")
    assert resolve(str(tmp_path), EngineOptions(base_model=str(original))).base.path == original
    edit_json(tmp_path / "adapter_config.json", base_model_name_or_path=None)
    refuses(tmp_path, "an adapter that names no base model .*--base-model")


def test_base_model_is_ignored_for_a_full_model(original):
    assert resolve(str(original), EngineOptions(base_model="gone/away/base")).base is None


def test_an_adapter_on_an_adapter_is_refused(original, tmp_path):
    lora(original, tmp_path / "one")
    lora(original, tmp_path / "two")
    refuses(tmp_path / "two", "is itself an adapter", base_model=str(tmp_path / "one"))


def test_the_adapters_own_tokenizer_counts(original, tmp_path):
    lora(original, tmp_path)
    assert not sample(tmp_path)[0].uses_chat_template
    byte_tokenizer(template=TEMPLATE).save_pretrained(tmp_path)
    assert sample(tmp_path)[0].uses_chat_template


def test_embeddings_grow_to_the_adapters_vocabulary(original, tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<one>", "<two>", "<three>"])
    base = AutoModelForCausalLM.from_pretrained(original)
    base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    config = LoraConfig(r=2, target_modules=["q_proj"])
    adapted = get_peft_model(base, config).eval()
    adapted.save_pretrained(tmp_path, save_embedding_layers=True)
    edit_json(tmp_path / "adapter_config.json", base_model_name_or_path=str(original))
    tokenizer.save_pretrained(tmp_path)
    engine, groups = sample(tmp_path)
    assert engine.info.vocab_size == VOCAB + 3
    assert_equals_model(adapted, groups)


def test_a_larger_tokenizer_alone_grows_the_embeddings(original, tmp_path):
    lora(original, tmp_path)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<one>"])
    tokenizer.save_pretrained(tmp_path)
    engine, groups = sample(tmp_path)
    again = sample(tmp_path)[1]
    assert engine.info.vocab_size == VOCAB + 1
    assert tokens(groups) == tokens(again)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────


def test_a_missing_path(tmp_path):
    refuses(tmp_path / "nothing", "no checkpoint at .*give a directory, a .gguf file, or a hub id")


@pytest.mark.parametrize("ref", ["../runs", "./x", "a/b/c", "/etc/nothing", "name"])
def test_what_does_not_look_like_a_hub_id_never_reaches_the_hub(monkeypatch, ref):
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    refuses(ref, "no checkpoint at")


def test_a_local_checkpoint_opens_no_connection(original, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.socket.connect", None)
    assert tokens(sample(original)[1])


def test_an_empty_directory(tmp_path):
    refuses(tmp_path, "is an empty directory")


def test_a_directory_of_other_things(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    refuses(tmp_path, "has neither config.json nor weights")


def test_config_without_weights(model_dir):
    (model_dir / "model.safetensors").unlink()
    refuses(model_dir, "has config.json but no weights")


def test_weights_without_config(model_dir):
    (model_dir / "config.json").unlink()
    refuses(model_dir, "has weights but no config.json")


def test_a_damaged_config(model_dir):
    (model_dir / "config.json").write_text('{"model_type": ')
    refuses(model_dir, "config.json is not valid JSON")


def test_a_config_without_model_type(model_dir):
    edit_json(model_dir / "config.json", model_type=None)
    with pytest.raises(CheckpointError, match="has no model_type"):
        HfEngine(str(model_dir), PLAIN, Silent())


@pytest.mark.parametrize("keep", [4, 100, -1])
def test_truncated_safetensors(model_dir, keep):
    weights = model_dir / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    refuses(model_dir, "model.safetensors is truncated")


def test_a_git_lfs_pointer(model_dir):
    (model_dir / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refuses(model_dir, "Git LFS pointer.*git lfs pull")


def test_no_tokenizer(model_dir):
    for file in model_dir.glob("tokenizer*"):
        file.unlink()
    refuses(model_dir, "has no tokenizer .*copy tokenizer.json")


def test_a_damaged_tokenizer(model_dir):
    (model_dir / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot load the tokenizer of") as caught:
        HfEngine(str(model_dir), PLAIN, Silent())
    assert "\n" not in str(caught.value)


def test_an_encoder_is_not_a_causal_model(tmp_path):
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"not a causal language model \(BertForMaskedLM\)"):
        HfEngine(str(tmp_path), PLAIN, Silent())


def test_a_reward_model_is_not_a_causal_model(tmp_path):
    LlamaForSequenceClassification(CONFIGS["llama"]()).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"not a causal language model \(LlamaForSequenceClassification\)"):
        HfEngine(str(tmp_path), PLAIN, Silent())


def test_weights_that_lack_a_layer_are_refused_and_never_filled_with_noise(model_dir):
    weights = load_file(model_dir / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, model_dir / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 weights .*model\.layers\.1\.mlp\.up_proj\.weight"):
        sample(model_dir)


def test_weights_of_another_shape_are_refused(model_dir):
    edit_json(model_dir / "config.json", intermediate_size=64)
    with pytest.raises(
        CheckpointError, match=r"48 x 32 in the file, 64 x 32 by the config|32 x 48 in the file, 32 x 64 by"
    ) as caught:
        sample(model_dir)
    assert "\n" not in str(caught.value)


def test_own_code_runs_only_when_trusted(model_dir):
    (model_dir / "mine.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class MineConfig(LlamaConfig):\n    model_type = 'mine'\n"
        "class MineForCausalLM(LlamaForCausalLM):\n    config_class = MineConfig\n"
    )
    auto_map = {"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineForCausalLM"}
    edit_json(model_dir / "config.json", model_type="mine", auto_map=auto_map, architectures=["MineForCausalLM"])
    with pytest.raises(CheckpointError, match=r"brings its own modelling code .*--trust-remote-code"):
        HfEngine(str(model_dir), PLAIN, Silent())
    before = fingerprint(resolve(str(model_dir), PLAIN))
    (model_dir / "mine.py").write_text((model_dir / "mine.py").read_text() + "# changed\n")
    assert fingerprint(resolve(str(model_dir), PLAIN)) != before


def test_an_unknown_model_type(model_dir):
    edit_json(model_dir / "config.json", model_type="from-the-future")
    with pytest.raises(CheckpointError, match=r"does not know the model type 'from-the-future' .*upgrade transformers"):
        HfEngine(str(model_dir), PLAIN, Silent())


def as_pickle(path):
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()


def test_a_pickle_is_refused_unless_allowed(original, model_dir):
    as_pickle(model_dir)
    refuses(model_dir, "only as pickles .*--allow-pickle")
    engine, groups = sample(model_dir, allow_pickle=True)
    assert tokens(groups) == tokens(sample(original)[1])
    assert engine.info.n_parameters == weight_facts(resolve(str(original), PLAIN)).n_parameters


def test_an_allowed_pickle_still_runs_no_code(model_dir, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (model_dir / "model.safetensors").unlink()
    torch.save({"x": Evil()}, model_dir / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="asks for code"):
        sample(model_dir, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_a_pickled_adapter_is_refused_unless_allowed(original, tmp_path):
    adapted = lora(original, tmp_path)
    torch.save(load_file(tmp_path / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    refuses(tmp_path, "only as pickles .*--allow-pickle")
    assert_equals_model(adapted, sample(tmp_path, allow_pickle=True)[1])


def test_safetensors_go_before_a_pickle_beside_them(model_dir):
    (model_dir / "pytorch_model.bin").write_bytes(b"not read")
    assert resolve(str(model_dir), EngineOptions(allow_pickle=True)).weights[0].name == "model.safetensors"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_weight_file_alone(model_dir, name):
    (model_dir / "pytorch_model.bin").write_bytes(b"x")
    refuses(model_dir / name, "is a file .*pass the directory")


def verl(path, shard="model_world_size_2_rank_0.pt"):
    actor = path / "global_step_30" / "actor"
    (actor / "huggingface").mkdir(parents=True)
    (actor / "huggingface" / "config.json").write_text("{}")
    (actor / shard).write_bytes(b"pickled shard")
    return actor


@pytest.mark.parametrize("level", ["global_step_30", "global_step_30/actor", "global_step_30/actor/huggingface"])
def test_an_unmerged_verl_checkpoint_names_the_merge_command(tmp_path, level):
    actor = verl(tmp_path)
    message = refuses(tmp_path / level, "unmerged verl")
    assert f"python -m verl.model_merger merge --backend fsdp --local_dir {actor} --target_dir OUT" in message


def test_an_unmerged_megatron_checkpoint_names_its_backend(tmp_path):
    verl(tmp_path, "ckpt_contents.json")
    refuses(tmp_path / "global_step_30", "--backend megatron")


def test_a_verl_checkpoint_of_an_unmerged_lora(original, model_dir):
    weights = load_file(model_dir / "model.safetensors")
    renamed = {f"base_model.model.{name}": tensor for name, tensor in weights.items()}
    save_file(renamed, model_dir / "model.safetensors", metadata={"format": "pt"})
    refuses(model_dir, "unmerged LoRA")


@pytest.mark.parametrize("pattern", ["checkpoint-{}", "global_step_{}"])
def test_a_run_directory_names_its_newest_checkpoint(tmp_path, pattern):
    for step in (9, 100, 20):
        (tmp_path / pattern.format(step)).mkdir()
        (tmp_path / pattern.format(step) / "model.safetensors").touch()
    message = refuses(tmp_path, f"the newest is {tmp_path / pattern.format(100)}")
    assert "has none" not in message


@pytest.mark.parametrize("left", [(), ("config.json", "optimizer.pt", "training_args.bin")])
def test_a_checkpoint_without_weights_is_not_the_newest(tmp_path, left):
    for step in (100, 200):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for name in left:
        (tmp_path / "checkpoint-200" / name).touch()
    refuses(tmp_path, f"none of them has weights .*{tmp_path / 'checkpoint-200'}")
    (tmp_path / "checkpoint-100" / "adapter_model.safetensors").touch()
    newest = re.escape(str(tmp_path / "checkpoint-100"))
    refuses(tmp_path, f"the newest is {newest} with weights: checkpoint-200 has none")


def test_a_config_of_other_weights_is_told_by_a_tensor_and_both_shapes(model_dir):
    edit_json(model_dir / "config.json", hidden_size=64)
    with pytest.raises(CheckpointError, match=r"lm_head.weight: 261 x 32 in the file, 261 x 64 by the config \(copy"):
        sample(model_dir)


def test_a_damaged_tokenizer_file_is_named(model_dir):
    (model_dir / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer.json is not valid JSON: .* \(copy the file again\)"):
        sample(model_dir)
    (model_dir / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"cannot load the tokenizer of .* \(copy the tokenizer's files"):
        sample(model_dir)


def test_what_the_system_refuses_is_an_error_of_the_checkpoint(model_dir, monkeypatch):
    def refused(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    found = resolve(str(model_dir), EngineOptions())
    monkeypatch.setattr("pathlib.Path.open", refused)
    for call in (
        lambda: resolve(str(model_dir), EngineOptions()),
        lambda: read_json(model_dir / "config.json"),
        lambda: fingerprint(found),
        lambda: weight_facts(found),
    ):
        with pytest.raises(CheckpointError, match=f"cannot read {model_dir}/.*: Permission denied"):
            call()


@pytest.mark.parametrize("level", ["", "_actor"])
def test_an_openrlhf_deepspeed_directory(tmp_path, level):
    state = tmp_path / "_actor" / "global_step40"
    state.mkdir(parents=True)
    (state / "mp_rank_00_model_states.pt").write_bytes(b"pickle")
    (tmp_path / "_actor" / "latest").write_text("global_step40")
    message = refuses(tmp_path / level, "DeepSpeed training state")
    assert f"python {tmp_path}/_actor/zero_to_fp32.py {tmp_path}/_actor OUT --safe_serialization" in message
    (tmp_path / "global_step40_hf").mkdir()
    refuses(tmp_path / level, f"pass the saved model instead: {tmp_path / 'global_step40_hf'}")


@pytest.mark.parametrize("inner", ["", "pytorch_model_fsdp_0"])
def test_a_sharded_distributed_checkpoint(tmp_path, inner):
    (tmp_path / inner).mkdir(exist_ok=True)
    (tmp_path / inner / "__0_0.distcp").write_bytes(b"shard")
    (tmp_path / inner / ".metadata").write_bytes(b"pickle")
    refuses(tmp_path, f"accelerate merge-weights {tmp_path / inner} OUT")


# ── GGUF ─────────────────────────────────────────────────────────────────────────────────────────


def test_gguf_files_and_directories(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + bytes(60))
    for ref in (file, tmp_path):
        checkpoint = resolve(str(ref), PLAIN)
        assert (checkpoint.format, checkpoint.path, checkpoint.directory) == ("gguf", file, tmp_path)
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        weight_facts(checkpoint)
    shutil.copy(file, tmp_path / "n.gguf")
    refuses(tmp_path, "holds 2 GGUF files .*pass one of them")


def test_what_is_no_usable_gguf(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"zip")
    refuses(tmp_path / "m.gguf", "is not a GGUF file")
    (tmp_path / "m-00001-of-00003.gguf").write_bytes(b"GGUF")
    refuses(tmp_path / "m-00001-of-00003.gguf", "one part of a split GGUF .*llama-gguf-split --merge")


def test_safetensors_headers_list_every_tensor(model_dir):
    header = safetensors_header(model_dir / "model.safetensors")
    stored = load_file(model_dir / "model.safetensors")
    assert {name: entry["shape"] for name, entry in header.items()} == {k: list(v.shape) for k, v in stored.items()}
