"""Tiny random checkpoints, built on the spot: Llama, GPT-2 and Qwen2 shapes with a byte-level tokenizer, no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

SPECIALS = ("<s>", "</s>", "<pad>", "<think>", "</think>")
BOS, EOS, PAD = 0, 1, 2
VOCAB = 256 + len(SPECIALS)
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
BOS_TEMPLATE = "{{ bos_token }}" + TEMPLATE
THINKING_TEMPLATE = TEMPLATE + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"

CONFIGS: dict[str, Any] = {
    "llama": lambda: LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=BOS, eos_token_id=EOS
    ),
    "qwen2": lambda: Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
        bos_token_id=BOS,
        eos_token_id=EOS,
    ),
}
CLASSES = {"llama": LlamaForCausalLM, "gpt2": GPT2LMHeadModel, "qwen2": Qwen2ForCausalLM}


def byte_tokenizer(*, template: str | None = None, add_bos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per byte (no merges) after five special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate((*SPECIALS, *alphabet))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIALS))
    if add_bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def tiny_model(kind: str = "llama", *, seed: int = 0, sharpness: float = 20.0) -> Any:
    """A random model in eval mode; `sharpness` takes its next-token distributions away from uniform."""
    torch.manual_seed(seed)
    model = CLASSES[kind](CONFIGS[kind]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
        model.get_output_embeddings().weight.mul_(sharpness / 6)
    return model


def tiny_checkpoint(
    path: Path, kind: str = "llama", *, template: str | None = None, add_bos: bool = False, seed: int = 0
) -> Path:
    """Write a tiny checkpoint with its tokenizer and return its directory."""
    tiny_model(kind, seed=seed).save_pretrained(path)
    byte_tokenizer(template=template, add_bos=add_bos).save_pretrained(path)
    return path


def edit_json(path: Path, **changes: Any) -> None:
    """Update keys of a JSON file; None removes a key."""
    content = json.loads(path.read_text()) if path.exists() else {}
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
