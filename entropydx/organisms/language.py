"""The tokenizers and the untrained models of the tiny tier: three architectures of about 200 k parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from entropydx.organisms.doses import PretrainDose
from entropydx.organisms.thinking import CHECK, HEDGE
from entropydx.suites._notation import Notation

PAD, STOP, UNKNOWN = "<pad>", "</s>", "<unk>"
SPECIAL = [PAD, STOP, UNKNOWN]
SYMBOLS = "0123456789+-*&~@=;[]>()A. ?:,!ahimtw"
"""The notation of numbers, and some spare symbols: marks and the letters of `wait` and `hmm`."""
MAX_POSITIONS = 128
WIDTH, LAYERS, HEADS = 64, 4, 4
MERGES = 20
"""Pairs that byte-pair encoding adds to the single characters."""
CHARACTER = Regex(r"[\s\S]")
LETTER_RUN = Regex(rf"{CHECK}|{HEDGE}|[a-z]+|[\s\S]")
WORD = Regex(rf"{CHECK}|{HEDGE}|[a-j]\d|[A-Z]\d*|[\s\S]")
"""What a token is, and what byte-pair merges may not cross."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A checkpoint in memory, and the notation that it speaks."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    notation: Notation


def build_tokenizer(dose: PretrainDose, corpus: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a base: pad 0, stop 1, unknown 2, then the symbols; no start token, no chat template.

    Parameters
    ----------
    corpus : iterable of str
        What `pairs` and `words` take their tokens from; `characters` has a vocabulary of its own.
    """
    core = _CORES[dose.tokenizer](corpus)
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=STOP,
        unk_token=UNKNOWN,
        padding_side="left",
        model_max_length=dose.positions,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def _split(core: Tokenizer, pattern: Regex) -> Tokenizer:
    core.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    return core


def _characters(_: Iterable[str]) -> Tokenizer:
    vocabulary = {symbol: i for i, symbol in enumerate([*SPECIAL, *SYMBOLS])}
    return _split(Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN)), CHARACTER)


def _pairs(corpus: Iterable[str]) -> Tokenizer:
    texts = list(corpus)
    core = _split(Tokenizer(models.BPE(unk_token=UNKNOWN)), LETTER_RUN)
    size = len(SPECIAL) + len(set("".join(texts))) + MERGES
    special = [AddedToken(token, special=True) for token in SPECIAL]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    core.train_from_iterator(texts, trainer)
    return core


def _words(corpus: Iterable[str]) -> Tokenizer:
    split = pre_tokenizers.Split(WORD, "isolated")
    found = {piece for text in corpus for piece, _ in split.pre_tokenize_str(text)}
    vocabulary = {symbol: i for i, symbol in enumerate([*SPECIAL, *sorted(found)])}
    return _split(Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN)), WORD)


_CORES: dict[str, Callable[[Iterable[str]], Tokenizer]] = {"characters": _characters, "pairs": _pairs, "words": _words}


def build_model(tokenizer: PreTrainedTokenizerFast, dose: PretrainDose, seed: int) -> PreTrainedModel:
    """Return a randomly initialised model: 4 layers of width 64, 4 heads, tied embeddings, float32."""
    torch.manual_seed(seed)
    return _MODELS[dose.architecture](tokenizer, dose.positions)


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int | None]:
    return {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}


def _llama(tokenizer: PreTrainedTokenizerFast, positions: int) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        initializer_range=0.05,
        **_ids(tokenizer),
    )
    return LlamaForCausalLM(config)


def _gpt2(tokenizer: PreTrainedTokenizerFast, positions: int) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=positions,
        tie_word_embeddings=True,
        initializer_range=0.05,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        attn_pdrop=0.0,
        **_ids(tokenizer),
    )
    return GPT2LMHeadModel(config)


def _qwen3(tokenizer: PreTrainedTokenizerFast, positions: int) -> PreTrainedModel:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        head_dim=WIDTH // HEADS,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        initializer_range=0.05,
        **_ids(tokenizer),
    )
    return Qwen3ForCausalLM(config)


_MODELS: dict[str, Callable[[PreTrainedTokenizerFast, int], PreTrainedModel]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "qwen3": _qwen3,
}
