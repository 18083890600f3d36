"""The tokenizer and the untrained model of the tiny tier: one character a token, a Llama of about 200 k parameters."""

from __future__ import annotations

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, STOP, UNKNOWN = "<pad>", "</s>", "<unk>"
SYMBOLS = "0123456789+-*&~@=;[]>()A. ?:,!ahimtw"
"""The notation, and some spare symbols for organisms to come: marks and the letters of `wait` and `hmm`."""
MAX_POSITIONS = 128


def build_tokenizer(positions: int = MAX_POSITIONS) -> PreTrainedTokenizerFast:
    """Return the character tokenizer: pad 0, stop 1, unknown 2, then `SYMBOLS`; no start token, no chat template."""
    vocabulary = {symbol: i for i, symbol in enumerate([PAD, STOP, UNKNOWN, *SYMBOLS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=STOP,
        unk_token=UNKNOWN,
        padding_side="left",
        model_max_length=positions,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int, positions: int = MAX_POSITIONS) -> LlamaForCausalLM:
    """Return a randomly initialised Llama: 4 layers of width 64, 4 heads, tied embeddings, float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)
