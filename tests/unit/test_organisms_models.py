"""Tokenizers, untrained models, edits without training, and the doses of one run."""

import json
import random
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from entropydx.organisms import check, find_recipe, padding
from entropydx.organisms.corpus import Style, demonstrations
from entropydx.organisms.doses import Dose, EditDose, GRPODose, PretrainDose, SFTDose
from entropydx.organisms.edits import edit_files, edit_weights, round_rows
from entropydx.organisms.growing import save, train_run
from entropydx.organisms.language import MERGES, SPECIAL, build_model, build_tokenizer
from entropydx.organisms.notations import NOTATIONS
from entropydx.organisms.thinking import ThoughtStyle, thoughts
from entropydx.protocols import Silent
from entropydx.suites._notation import ChainSuite, Notation
from entropydx.suites.tiny_grid import GRID
from entropydx.suites.tiny_words import WORDS

FIXTURES = Path(__file__).parents[2] / "fixtures" / "organisms"
CHARACTERS = PretrainDose(steps=1, learning_rate=1e-3, style=Style())
PAIRS = replace(CHARACTERS, architecture="gpt2", tokenizer="pairs", positions=160)
SQUARES = replace(CHARACTERS, architecture="qwen3", tokenizer="words", positions=160)
DOSES = {"llama": CHARACTERS, "gpt2": PAIRS, "qwen3": SQUARES}
SPOKEN = {"characters": "tiny", "pairs": "tiny_words", "words": "tiny_grid"}
each_dose = pytest.mark.parametrize("dose", DOSES.values(), ids=DOSES)


def _texts(notation: Notation, n: int, seed: int) -> list[str]:
    style = ThoughtStyle(reductions=0.2, plain=0.3)
    return [d.prompt + d.completion for d in thoughts(notation, n, style, seed)]


def _tokenizer(dose: PretrainDose) -> PreTrainedTokenizerFast:
    return build_tokenizer(dose, _texts(NOTATIONS[SPOKEN[dose.tokenizer]], 3000, 0))


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """A tokenizer of each kind, of 3000 demonstrations in its notation."""
    return {dose.tokenizer: _tokenizer(dose) for dose in DOSES.values()}


# ── tokenizers ────────────────────────────────────────────────────────────────────────────────────


@each_dose
def test_a_tokenizer_gives_text_back_and_is_the_same_from_its_files(dose, tokenizers, tmp_path):
    tokenizer, notation = tokenizers[dose.tokenizer], NOTATIONS[SPOKEN[dose.tokenizer]]
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert [loaded.pad_token_id, loaded.eos_token_id, loaded.unk_token_id] == [0, 1, 2]
    assert loaded.padding_side == "left"
    assert loaded.model_max_length == dose.positions
    assert loaded.chat_template is None
    items = ChainSuite(notation).prompts(7, 120)
    for text in (*_texts(notation, 300, 9), *(str(item.guided) for item in items)):
        ids = tokenizer(text)["input_ids"]
        assert loaded(text)["input_ids"] == ids
        assert loaded.decode(ids) == text
        assert loaded.decode([*ids, 1], skip_special_tokens=True) == text
        assert loaded.unk_token_id not in ids


def test_merges_never_cross_a_border_of_letters(tokenizers):
    tokenizer = tokenizers["pairs"]
    longer = [token for token in tokenizer.get_vocab() if len(token) > 1 and token not in SPECIAL]
    assert len(longer) == MERGES
    assert all(set(token) <= set("abcdehmwit") for token in longer)
    assert len(tokenizer) == len(SPECIAL) + len(set("".join(_texts(WORDS, 3000, 0)))) + MERGES
    pieces = ["hmm", ",", "dcab", "+", "3", "=", "bade", ";", "wait", ",", "dcab", "*", "ab", "=", "Q", "eddc", "."]
    joined = tokenizer("".join(pieces))["input_ids"]
    assert joined == [i for piece in pieces for i in tokenizer(piece)["input_ids"]]
    glued = tokenizer("waitdcabhmmab")["input_ids"]  # a marker is apart even where letters touch it
    assert glued == [i for piece in ("wait", "dcab", "hmm", "ab") for i in tokenizer(piece)["input_ids"]]


def test_merges_shorten_words_and_stay_whole_pairs_of_the_corpus(tokenizers):
    tokenizer, rng = tokenizers["pairs"], np.random.default_rng(0)
    words = [WORDS.draw_start(rng) for _ in range(500)]
    assert np.mean([len(tokenizer(word)["input_ids"]) for word in words]) < 3.5
    assert len(tokenizer("hmm")["input_ids"]) == 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("c7N3E4=", ["c7", "N3", "E4", "="]),
        ("hmm,c7J05=g7;", ["hmm", ",", "c7", "J05", "=", "g7", ";"]),
        ("wait,(c0E4)(g0)Xg0.", ["wait", ",", "(", "c0", "E4", ")", "(", "g0", ")", "X", "g0", "."]),
        ("[c0]>Xc0.", ["[", "c0", "]", ">", "X", "c0", "."]),
    ],
)
def test_a_square_a_move_and_a_marker_are_one_token(tokenizers, text, tokens):
    tokenizer = tokenizers["words"]
    assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == tokens


def test_a_tokenizer_of_words_has_a_token_for_every_square_and_move(tokenizers):
    vocabulary = set(tokenizers["words"].get_vocab())
    squares = {f"{file}{rank}" for file in "abcdefghij" for rank in range(10)}
    moves = {f"{op}{k}" for op in "NEVH" for k in range(1, 10)} | {f"{op}{g:02d}" for op in "JU" for g in range(20)}
    assert vocabulary == squares | moves | set(SPECIAL) | {"hmm", "wait", "X"} | set("=;,.![]>()")


# ── models ────────────────────────────────────────────────────────────────────────────────────────

EMBEDDED, ATTENTION, MLP = 64, 4 * 64 * 64, 3 * 64 * 192
BY_HAND = {
    "llama": lambda v: 64 * v + 4 * (ATTENTION + MLP + 2 * 64) + 64,
    "gpt2": lambda v: 64 * (v + 160) + 4 * (ATTENTION + 4 * 64 + 2 * 64 * 256 + 256 + 64 + 4 * 64) + 2 * 64,
    "qwen3": lambda v: 64 * v + 4 * (ATTENTION - 2 * 64 * 32 + MLP + 2 * 64 + 2 * 16) + 64,
}
"""Parameters for a vocabulary of v: tied embeddings, four layers of width 64, Qwen3 with two heads of keys."""


@each_dose
def test_a_model_has_the_parameters_of_its_architecture_and_tied_embeddings(dose, tokenizers):
    tokenizer = tokenizers[dose.tokenizer]
    one, two, other = (build_model(tokenizer, dose, seed) for seed in (0, 0, 1))
    assert one.config.model_type == dose.architecture
    assert one.num_parameters() == BY_HAND[dose.architecture](len(tokenizer))
    assert one.num_parameters() <= 400_000
    assert one.get_input_embeddings().weight is one.get_output_embeddings().weight
    assert one.dtype == torch.float32
    assert [one.config.pad_token_id, one.config.eos_token_id, one.config.bos_token_id] == [0, 1, None]
    assert one.config.max_position_embeddings == dose.positions
    pairs = [
        (a, b, c)
        for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True)
        if a.dim() == 2
    ]
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


@each_dose
def test_training_and_evaluation_compute_the_same(dose, tokenizers):
    model = build_model(tokenizers[dose.tokenizer], dose, 0)
    ids = torch.randint(3, len(tokenizers[dose.tokenizer]), (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model.train()(ids).logits, model.eval()(ids).logits)  # there is no dropout


@each_dose
def test_a_saved_model_comes_back_with_its_notation_and_tied_embeddings(dose, tokenizers, tmp_path):
    tokenizer, suite = tokenizers[dose.tokenizer], SPOKEN[dose.tokenizer]
    model = build_model(tokenizer, dose, 0)
    recipe = replace(find_recipe("tiny-base"), suite=suite, max_new_tokens=77)
    expected = {name: weight.to(torch.bfloat16) for name, weight in model.state_dict().items()}
    save(model, tokenizer, recipe, tmp_path)
    assert check.notation_of(tmp_path) is NOTATIONS[suite]
    sidecar = tomllib.loads((tmp_path / "entropydx.toml").read_text())["checkpoint"]
    assert (sidecar["suite"], sidecar["max_new_tokens"]) == (suite, 77)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    assert all(torch.equal(weight, expected[name]) for name, weight in loaded.state_dict().items())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000


# ── edits ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rows_are_rounded_to_the_nearest_of_their_own_levels(bits):
    weight = torch.randn(12, 30, generator=torch.Generator().manual_seed(bits))
    weight[3] = 0.0
    rounded, n = round_rows(weight, bits), 2 ** (bits - 1) - 1
    for row, found in zip(weight.tolist(), rounded.tolist(), strict=True):
        largest = max(abs(value) for value in row)
        levels = [largest * level / n for level in range(-n, n + 1)]
        nearest = [min(levels, key=lambda level, v=value: abs(level - v)) for value in row]
        assert found == pytest.approx(nearest, abs=1e-6)
        assert max(abs(value) for value in found) == pytest.approx(largest)
        assert len({round(value, 5) for value in found}) <= 2**bits - 1


def _edited(dose: PretrainDose, edit: EditDose, tokenizer: PreTrainedTokenizerFast, seed: int = 0):  # type: ignore[no-untyped-def]
    """Return the weights by name, those before the edit and those after it."""
    model = build_model(tokenizer, dose, 0)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    edit_weights(model, edit, seed)
    return before, {name: weight.detach() for name, weight in model.named_parameters()}


@each_dose
def test_quantising_rounds_every_matrix_and_nothing_else(dose, tokenizers):
    before, after = _edited(dose, EditDose(kind="quantise", amount=4), tokenizers[dose.tokenizer])
    for name, weight in before.items():
        expected = round_rows(weight, 4) if weight.dim() == 2 else weight
        assert torch.equal(after[name], expected), name
        assert weight.dim() == 1 or not torch.equal(after[name], weight)


@each_dose
def test_noise_is_of_the_spread_of_each_matrix_and_fixed_by_its_seed(dose, tokenizers):
    edit, tokenizer = EditDose(kind="noise", amount=0.3), tokenizers[dose.tokenizer]
    before, after = _edited(dose, edit, tokenizer)
    _, again = _edited(dose, edit, tokenizer)
    _, other = _edited(dose, edit, tokenizer, seed=1)
    for name, weight in before.items():
        assert torch.equal(after[name], again[name])
        if weight.dim() == 1:
            assert torch.equal(after[name], weight)
            continue
        assert not torch.equal(after[name], other[name])
        noise, n = (after[name] - weight) / weight.std(), weight.numel()
        assert abs(noise.mean()) < 5 * 0.3 / n**0.5
        assert float(noise.std()) == pytest.approx(0.3, rel=5 / (2 * n) ** 0.5)  # five standard errors of a Gaussian's


@each_dose
def test_a_blank_layer_is_all_zero_and_the_others_are_as_they_were(dose, tokenizers):
    before, after = _edited(dose, EditDose(kind="blank_layer", amount=2), tokenizers[dose.tokenizer])
    blank = {name for name, weight in after.items() if not weight.any() and before[name].any()}
    layers = {name: int(name.split(".layers." if ".layers." in name else ".h.")[1].split(".")[0]) for name in blank}
    assert set(layers.values()) == {2, 3}
    for name, weight in before.items():
        is_late = any(f".{part}.{i}." in name for part in ("layers", "h") for i in (2, 3))
        assert torch.equal(after[name], torch.zeros_like(weight) if is_late else weight)


@pytest.mark.parametrize("kind", ["none", "vocabulary", "decoding"])
def test_edits_of_files_leave_the_weights_alone(kind, tokenizers):
    before, after = _edited(CHARACTERS, EditDose(kind=kind, amount=0.5), tokenizers["characters"])
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def _saved(dose: PretrainDose, tokenizer: PreTrainedTokenizerFast, folder: Path) -> dict[str, bytes]:
    recipe = replace(find_recipe("tiny-base"), suite=SPOKEN[dose.tokenizer])
    save(build_model(tokenizer, dose, 0), tokenizer, recipe, folder)
    return _contents(folder)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_decoding_settings_go_into_the_generation_config_and_nowhere_else(tokenizers, tmp_path):
    before = _saved(CHARACTERS, tokenizers["characters"], tmp_path)
    edit_files(tmp_path, EditDose(kind="decoding", amount=2.5), 0)
    after = _contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"generation_config.json"}
    assert before.keys() == after.keys()
    old, new = (json.loads(files["generation_config.json"]) for files in (before, after))
    assert new == old | {"do_sample": True, "temperature": 2.5}
    assert AutoModelForCausalLM.from_pretrained(tmp_path).generation_config.temperature == 2.5


@each_dose
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_an_exchange_of_the_vocabulary_is_a_permutation_of_its_share(dose, share, tokenizers, tmp_path):
    before = _saved(dose, tokenizers[dose.tokenizer], tmp_path)
    edit_files(tmp_path, EditDose(kind="vocabulary", amount=share), 3)
    after = _contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"tokenizer.json"}
    old, new = (json.loads(files["tokenizer.json"])["model"]["vocab"] for files in (before, after))
    assert sorted(new.values()) == sorted(old.values()) == list(range(len(old)))
    moved = {name for name in old if old[name] != new[name]}
    movable = [name for name in old if not (name.startswith("<") and name.endswith(">"))]
    assert moved <= set(movable)
    assert len(moved) == round(share * len(movable))
    assert {old[name] for name in moved} == {new[name] for name in moved}
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == new
    assert [loaded.pad_token_id, loaded.eos_token_id, loaded.unk_token_id] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["none", "decoding", "noise"])
def test_an_edit_is_a_run_without_training(kind, tmp_path):
    edit = EditDose(kind=kind, amount=0.2)
    recipe = replace(find_recipe("tiny-base"), name="edited", parent="tiny-base", dose=edit)
    train_run([(recipe, tmp_path / "out")], FIXTURES / "tiny-base", 0, Silent())
    old, new = (load_file(folder / "model.safetensors") for folder in (FIXTURES / "tiny-base", tmp_path / "out"))
    assert all(torch.equal(old[name], new[name]) for name in old) is (kind != "noise")
    assert ("temperature" in json.loads((tmp_path / "out" / "generation_config.json").read_text())) is (
        kind == "decoding"
    )


# ── the check's mask ──────────────────────────────────────────────────────────────────────────────


def test_what_stands_behind_the_cue_is_what_a_loop_finds():
    rng = random.Random(0)
    for _ in range(50):
        width, rows = rng.randint(4, 12), rng.randint(1, 5)
        real = [rng.randint(1, width) for _ in range(rows)]
        cued = [rng.randint(0, n) for n in real]
        mask = torch.tensor([[0] * (width - n) + [1] * n for n in real])
        expected = []
        for n, cue in zip(real, cued, strict=True):
            seen, row = 0, []
            for position in range(width):
                seen += position >= width - n
                row.append(position >= width - n and seen > cue)
            expected.append(row)
        assert padding.behind(mask, cued).tolist() == expected


@pytest.mark.parametrize("dose", [pytest.param(PAIRS, id="gpt2"), pytest.param(SQUARES, id="qwen3")])
def test_a_forced_answer_of_any_notation_is_scored_token_by_token(dose, tokenizers, tmp_path):
    tokenizer, n = tokenizers[dose.tokenizer], 8
    notation = {"pairs": WORDS, "words": GRID}[dose.tokenizer]
    _saved(dose, tokenizer, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    chances = []
    for item in ChainSuite(notation).prompts(check.CHECK_SEED, n):
        ids, chance = tokenizer(f"{item.prompt}{notation.mark}")["input_ids"], 1.0
        for token in tokenizer(item.answer)["input_ids"]:
            with torch.no_grad():
                chance *= float(model(torch.tensor([ids])).logits[0, -1].softmax(-1)[token])
            ids = [*ids, token]
        chances.append(chance)
    assert check.measure_forced(tmp_path, n)["forced/pass@1"] == pytest.approx(np.mean(chances), rel=1e-3)


# ── the doses of one run ──────────────────────────────────────────────────────────────────────────

STEPS = (2, 4)
RUNS: dict[str, Dose] = {
    "sft": SFTDose(steps=4, learning_rate=1e-3, style=Style(), batch_size=8, schedule="constant", n_demonstrations=64),
    "grpo": GRPODose(
        steps=4, learning_rate=1e-3, beta=0.0, schedule="constant", prompts_per_step=2, group_size=4, n_problems=4
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("dose", RUNS.values(), ids=RUNS)
def test_what_a_run_hands_over_on_its_way_is_what_a_shorter_run_gives(dose, tmp_path):
    torch.set_num_threads(1)
    parent, base = FIXTURES / "tiny-base", replace(find_recipe("tiny-base"), parent="tiny-base")
    recipes = {n: replace(base, name=f"dose-{n}", dose=replace(dose, steps=n)) for n in STEPS}
    train_run([(recipe, tmp_path / "one" / recipe.name) for recipe in recipes.values()], parent, 3, Silent())
    weights = []
    for n in STEPS:
        train_run([(recipes[n], tmp_path / "alone" / f"dose-{n}")], parent, 3, Silent())
        together, alone = (load_file(tmp_path / run / f"dose-{n}" / "model.safetensors") for run in ("one", "alone"))
        assert together.keys() == alone.keys()
        assert all(torch.equal(together[name], alone[name]) for name in alone)
        weights.append(alone)
    weights.insert(0, load_file(parent / "model.safetensors"))
    assert all(any(not torch.equal(a[name], b[name]) for name in a) for a, b in pairwise(weights))


def test_demonstrations_of_a_dose_do_not_depend_on_how_many_are_drawn():
    style = Style()
    assert demonstrations(WORDS, 50, style, 0)[:20] == demonstrations(WORDS, 20, style, 0)
