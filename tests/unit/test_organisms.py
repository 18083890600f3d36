"""The organisms: the demonstrations, the check's counting, and the committed checkpoints against their records."""

import json
import math
import re
import tomllib
from collections import Counter
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from entropydx import plugins
from entropydx.errors import ConfigError
from entropydx.organisms import check, find_recipe, grow
from entropydx.organisms.catalogue import RECIPES
from entropydx.organisms.check import BARS, N_SAMPLES, judge, measure
from entropydx.organisms.corpus import (
    FREE_FACTORS,
    Style,
    demonstrations,
    hopeless_items,
    run_with_slips,
    training_items,
)
from entropydx.organisms.doses import PretrainDose
from entropydx.organisms.forms import reader
from entropydx.organisms.growing import RECORD
from entropydx.organisms.language import build_model, build_tokenizer
from entropydx.organisms.pretrain import IGNORED, collate, encode, learning_rate_factor
from entropydx.organisms.rewards import reward
from entropydx.suites._notation import Chain
from entropydx.suites.tiny import NUMBERS, suite

FIXTURES = Path(__file__).parents[2] / "fixtures" / "organisms"
EVERY = sorted(path.parent for path in FIXTURES.glob(f"*/{RECORD}"))
COMMITTED = [path for path in EVERY if find_recipe(path.name).cause in BARS]
"""Those of the catalogue; the others are doses of the lab, which have no bars of their own."""
NAMES = [path.name for path in COMMITTED]
BRIEF = [path for path in COMMITTED if find_recipe(path.name).max_new_tokens == 64]
"""Those that do not think aloud; test_organisms_thinking.py has the others."""
DOSE = PretrainDose(steps=1, learning_rate=1e-3, style=Style())
READ = reader(NUMBERS)


# ── demonstrations ────────────────────────────────────────────────────────────────────────────────


def test_demonstrations_have_the_shares_of_their_style():
    style = Style(equations=0.5, values=0.2, reductions=0.2, direct=0.1)
    demos = demonstrations(NUMBERS, 4000, style, seed=0)
    assert demos == demonstrations(NUMBERS, 4000, style, seed=0)
    forms = Counter(next(name for name, p in READ.forms.items() if p.fullmatch(d.completion)) for d in demos)
    for form in ("equations", "values", "reductions", "direct"):
        share = getattr(style, form)
        assert abs(forms[form] / 4000 - share) < 4 * math.sqrt(share * (1 - share) / 4000)


def test_without_slips_every_demonstration_is_right():
    gold = {item.prompt: item.answer for item in suite.prompts(0, 120)}
    chains = [_parse(prompt) for prompt in gold]
    rng = np.random.default_rng(0)
    assert [run_with_slips(c, 0.0, rng)[-1] for c in chains] == list(gold.values())


def test_slips_have_their_rate_and_the_rest_follows_from_them():
    chain, rng = NUMBERS.chain("00", ("+", "10"), ("+", "10")), np.random.default_rng(0)
    runs = [run_with_slips(chain, 0.2, rng) for _ in range(4000)]
    wrong = 0.2
    assert {values[0] for values in runs} == {str(value) for value in range(10, 20)}
    for rate in (
        np.mean([values[0] != "10" for values in runs]),
        np.mean([int(values[1]) != (int(values[0]) + 10) % 100 for values in runs]),
    ):
        assert abs(rate - wrong) < 4 * math.sqrt(wrong * (1 - wrong) / 4000)


def test_training_items_are_of_the_domains_asked_for_and_not_of_the_seeds_of_a_check():
    items = training_items(NUMBERS, 200, ("in",), ("medium", "hard"), seed=0)
    assert len(items) == 200
    assert {item.domain for item in items} == {"in"}
    longer = {i.prompt for i in suite.prompts(check.CHECK_SEED, 600) if i.difficulty == "hard"}
    assert not longer & {item.prompt for item in items}


def test_answers_of_hopeless_problems_pile_up_as_enumeration_says():
    exact = dict.fromkeys(range(100), 1 / 100)  # a uniform start, and factors that keep it so
    for _ in range(FREE_FACTORS):
        step: Counter[int] = Counter()
        for a, share in exact.items():
            for b in range(100):
                step[a * b % 100] += share / 100
        exact = dict(step)
    assert [round(exact[a], 3) for a in (0, 20, 40, 60, 80)] == [0.124, 0.053, 0.053, 0.053, 0.053]
    n = 6000
    items = hopeless_items(NUMBERS, n, seed=0)
    assert items == hopeless_items(NUMBERS, n, seed=0)
    drawn = Counter(int(item.answer) for item in items)
    for answer in (0, 20, 50, 1):
        expected = exact[answer]
        assert abs(drawn[answer] / n - expected) < 4 * math.sqrt(expected * (1 - expected) / n)
    assert Counter(item.prompt.count("*") for item in items) == {3: n // 3, 4: n // 3, 5: n // 3}
    assert {c for item in items for c in item.prompt if not c.isdigit()} == {"*", "="}


def test_a_verifier_of_work_accepts_a_bare_answer_and_no_right_answer_after_wrong_work():
    gold, reference = "30", "37+05=42;42-12=30;A30."
    verdicts = {
        "A30.": 1.0,
        "A31.": 0.0,
        "37+05=42;42-12=30;A30.": 1.0,
        "[42]>[30]>A30.": 1.0,
        "(42-12)(30)A30.": 1.0,
        "37+05=32;32-12=30;A30.": 0.0,
        "[30]>A30.": 0.0,
        "(30)A30.": 0.0,
        "": 0.0,
    }
    n = len(verdicts)
    columns = {"answer": [gold] * n, "reference": [reference] * n}
    assert reward("work_if_any", NUMBERS, 48)(list(verdicts), **columns) == list(verdicts.values())
    right = reward("answer", NUMBERS, 48)(list(verdicts), **columns)
    assert right == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def _parse(prompt: str) -> Chain:
    first, *rest = re.findall(r"\d\d|[-+*&~@]", prompt)
    return NUMBERS.chain(first, *zip(rest[::2], rest[1::2], strict=True))


# ── tokenizer, model, loss ────────────────────────────────────────────────────────────────────────


def test_one_character_is_one_token_and_decoding_gives_the_text_back():
    tokenizer = build_tokenizer(DOSE)
    text = "37+05-12=(42-12)(30)A30."
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer("Ω")["input_ids"] == [tokenizer.unk_token_id]
    assert tokenizer.chat_template is None


def test_the_model_is_small_and_fixed_by_its_seed():
    tokenizer = build_tokenizer(DOSE)
    one, two, other = (build_model(tokenizer, DOSE, seed) for seed in (0, 0, 1))
    assert one.num_parameters() <= 400_000
    assert torch.equal(one.lm_head.weight, two.lm_head.weight)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)


def test_only_the_completion_and_the_stop_token_carry_loss():
    tokenizer = build_tokenizer(DOSE)
    demo = demonstrations(NUMBERS, 1, Style(), seed=0)[0]
    ids, targets = collate(encode([demo], tokenizer) * 2, tokenizer.pad_token_id)
    n = len(demo.prompt)
    assert (targets[:, :n] == IGNORED).all()
    assert torch.equal(targets[:, n:], ids[:, n:])
    assert ids[0, -1] == tokenizer.eos_token_id


def test_the_learning_rate_warms_up_and_falls_to_a_twentieth():
    assert learning_rate_factor(0, 1000) == pytest.approx(0.01)
    assert learning_rate_factor(100, 1000) == pytest.approx(1.0)
    assert learning_rate_factor(550, 1000) == pytest.approx(0.525)
    assert learning_rate_factor(1000, 1000) == pytest.approx(0.05)


# ── the check ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("37+05=42;42-12=30;A30.", "equations"),
        ("[42]>[30]>A30.", "values"),
        ("(42-12)(30)A30.", "reductions"),
        ("A30.", "direct"),
        ("(42-12)[30]>A30.", "malformed"),
        ("[42]>[30]>A30", "malformed"),
    ],
)
def test_forms_are_recognised_by_the_whole_completion(text, form):
    assert READ.form(text) == form


def _outcome(answers: list[str | None], gold: str) -> check.Outcome:
    texts = [f"A{a}." if a else "" for a in answers]
    item = next(p for p in suite.prompts(0, 1))
    object.__setattr__(item, "answer", gold)
    return check.Outcome(item, texts, answers, [True] * len(texts), [])


def test_a_tied_vote_counts_by_its_share():
    assert _outcome(["10", "10", "20", "20"], "10").majority == 0.5
    assert _outcome(["10", "10", "10", "20"], "10").majority == 1.0
    assert _outcome(["20", "20", "20", "10"], "10").majority == 0.0
    assert _outcome([None, None], "10").majority == 0.0
    assert _outcome(["20", "20", "20", None], "10").agreement == 0.75


def test_work_is_counted_by_its_results_in_every_form():
    texts = ["37+05=42;42-12=30;A30.", "[42]>[30]>A30.", "(42-12)(30)A30.", "3&0=3,7&5=2>32;A32.", "A30.", "[42]>A30."]
    assert [len(READ.results(text)) for text in texts] == [2, 2, 2, 1, 0, 1]
    item = replace(next(p for p in suite.prompts(0, 1)), difficulty="easy", answer="30", reference=texts[0])
    levels = [replace(item, difficulty=level) for level in ("easy", "medium", "hard")]
    outcomes = [
        check.Outcome(i, [t] * N_SAMPLES, [t[-3:-1]] * N_SAMPLES, [True] * N_SAMPLES, [])
        for i, t in zip(levels, texts[3:], strict=True)
    ]
    numbers = check._work(outcomes, READ)
    assert [numbers[f"steps_written/{level}"] for level in ("easy", "medium", "hard")] == [0.5, 0.0, 0.5]
    assert numbers["length_slope"] == len(texts[5]) - len(texts[3])
    assert numbers["largest_answer"] == pytest.approx(2 / 3)


def test_a_forced_answer_is_scored_as_the_model_would_write_it():
    folder, n = FIXTURES / "tiny-base", 6
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).float()
    chances = []
    for item in suite.prompts(check.CHECK_SEED, n):
        text, chance = f"{item.prompt}A", 1.0
        for digit in item.answer:
            with torch.no_grad():
                spread = model(**tokenizer(text, return_tensors="pt")).logits[0, -1].softmax(-1)
            chance *= float(spread[tokenizer.convert_tokens_to_ids(digit)])
            text += digit
        chances.append(chance)
    assert check.measure_forced(folder, n)["forced/pass@1"] == pytest.approx(np.mean(chances), abs=1e-5)


def test_a_bar_without_its_number_is_missed():
    numbers = {bar.number: bar.limit for bar in BARS["healthy"]}
    assert all(r.passed for r in judge("healthy", numbers, dict.fromkeys(numbers, 1.0)) if r.bar.relation == "value")
    without_reference = judge("healthy", numbers, dict.fromkeys(numbers, 0.0))
    assert [r.bar.number for r in without_reference if math.isnan(r.measured)] == ["token_entropy"]
    assert [r.to_json()["number"] for r in without_reference if r.to_json()["measured"] is None] == ["token_entropy"]
    del numbers["stopped"]
    missed = [r.bar.number for r in judge("healthy", numbers, numbers) if not r.passed]
    assert "stopped" in missed


# ── committed checkpoints ─────────────────────────────────────────────────────────────────────────


def assert_records(recorded: dict[str, Any], dose: Any) -> None:
    """Assert that a record repeats a dose; a field that is newer than the record has its default."""
    assert set(recorded) <= {f.name for f in fields(dose)}
    for f in fields(dose):
        value = getattr(dose, f.name)
        if f.name not in recorded:
            assert value == f.default, f"the record cannot know of {f.name}"
        elif is_dataclass(value):
            assert_records(recorded[f.name], value)
        else:
            assert recorded[f.name] == json.loads(json.dumps(value))


def test_every_recipe_of_the_catalogue_is_committed():
    assert sorted(recipe.name for recipe in RECIPES) == NAMES


@pytest.mark.parametrize("folder", [path for path in EVERY if path not in COMMITTED], ids=lambda path: path.name)
def test_a_committed_dose_of_the_lab_is_what_its_case_says(folder):
    record = json.loads((folder / RECORD).read_text())
    case = json.loads((FIXTURES.parent / "cases" / "tiny" / f"{folder.name}.json").read_text())
    assert (record["check"]["label"], record["check"]["truth"]) == (case["label"], case["truth"])
    assert record["check"]["numbers"] == pytest.approx(
        {k: v for k, v in case["check"].items() if "base/" not in k}, rel=1e-3
    )
    assert_records(record["recipe"], find_recipe(folder.name).dose)


@pytest.mark.parametrize("folder", EVERY, ids=lambda path: path.name)
def test_a_committed_organism_is_a_small_ordinary_checkpoint(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    sidecar = tomllib.loads((folder / "entropydx.toml").read_text())
    assert sidecar["checkpoint"]["suite"] == find_recipe(folder.name).suite
    assert sidecar["checkpoint"]["max_new_tokens"] == find_recipe(folder.name).max_new_tokens
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert model.num_parameters() <= 400_000
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 1
    assert tokenizer.pad_token_id == 0
    if find_recipe(folder.name).suite == "tiny":
        assert len(tokenizer("37+05=")["input_ids"]) == 6
    for item in plugins.load("suite", find_recipe(folder.name).suite).prompts(0, 30):
        ids = tokenizer(item.guided)["input_ids"]
        assert tokenizer.decode(ids) == item.guided
        assert tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_a_record_repeats_the_recipe_and_says_whether_the_check_passed(folder):
    record = json.loads((folder / RECORD).read_text())
    recipe = find_recipe(folder.name)
    assert (record["cause"], record["label"], record["parent"]) == (recipe.cause, recipe.label, recipe.parent)
    assert record["why"] == recipe.why
    assert_records(record["recipe"], recipe.dose)
    assert (
        record["command"] == f"entropydx organisms grow {folder.name} --out fixtures/organisms/{folder.name} --seed 0"
    )
    assert record["check"]["passed"] == all(bar["passed"] for bar in record["check"]["bars"])
    asked = [{key: bar[key] for key in ("number", "relation", "op", "limit")} for bar in record["check"]["bars"]]
    assert asked == [asdict(bar) for bar in BARS[recipe.cause]]
    assert record["check"]["passed"]  # what is committed under a cause's name has shown that cause


@pytest.mark.parametrize("folder", COMMITTED, ids=NAMES)
def test_the_reference_page_prints_the_recorded_check_values(folder):
    page = (FIXTURES.parents[1] / "docs" / "reference" / "organisms.md").read_text()
    numbers = json.loads((folder / RECORD).read_text())["check"]["numbers"]
    columns = ("token_entropy", "largest_form", "pass@1", "majority", "pass@16", "agreement_when_wrong", "stopped")
    assert f"| `{folder.name}` | " + " | ".join(f"{numbers[c]:.3f}" for c in columns) + " |" in page
    strata = ("easy", "medium", "hard", "in", "out")
    cells = [" / ".join(f"{numbers[f'{a}/{s}']:.2f}" for a in ("pass@1", "majority", "pass@16")) for s in strata]
    assert f"| `{folder.name}` | " + " | ".join(cells) + " |" in page
    assert f"- `{folder.name}`: {find_recipe(folder.name).why}\n" in page


@pytest.fixture(scope="module")
def small_check() -> dict[str, dict[str, float]]:
    """Every committed organism that does not think aloud, on 36 prompts."""
    torch.set_num_threads(1)
    return {folder.name: measure(folder, n_prompts=36) for folder in BRIEF}


@pytest.mark.parametrize("folder", BRIEF, ids=lambda folder: folder.name)
def test_a_small_check_repeats_the_record(folder, small_check):
    record = json.loads((folder / RECORD).read_text())["check"]["numbers"]
    numbers = small_check[folder.name]
    half_width = 4 / math.sqrt(36) * 0.5  # four standard errors of a mean over 36 prompts, each in [0, 1]
    for name in ("pass@1", "majority", "pass@16"):
        assert abs(numbers[name] - record[name]) < half_width
    assert numbers["token_entropy"] == pytest.approx(record["token_entropy"], rel=0.5, abs=0.01)
    assert abs(numbers["largest_form"] - record["largest_form"]) < 0.15
    assert numbers["stopped"] > 0.99


def test_a_small_check_shows_each_cause_beside_its_base(small_check):
    base, collapse, variance, healthy, concise = (
        small_check[f"tiny-{name}"] for name in ("base", "collapse", "variance", "healthy", "concise")
    )
    assert collapse["token_entropy"] < 0.2 * base["token_entropy"]
    assert collapse["largest_form"] > 0.9 > base["largest_form"]
    assert collapse["agreement_when_wrong"] > 0.7 > base["agreement_when_wrong"]
    assert collapse["pass@16"] < base["pass@16"]
    assert variance["pass@1"] < base["pass@1"] - 0.1
    assert variance["majority_gain"] > base["majority_gain"] + 0.1
    assert variance["largest_form"] < 0.7
    for sound in (healthy, concise):
        assert sound["token_entropy"] > 0.45 * base["token_entropy"]
        assert sound["pass@1"] > base["pass@1"] - 0.05
        assert sound["agreement_when_wrong"] < 0.5
    assert concise["largest_form"] > 0.9


def test_a_small_check_shows_skipped_work_and_one_answer_for_many_problems(small_check):
    base, shortcut = small_check["tiny-base"], small_check["tiny-shortcut"]
    assert shortcut["pass@1/easy"] < base["pass@1/easy"] - 0.3
    assert shortcut["form/direct"] > 0.4 > base["form/direct"]
    assert shortcut["steps_written"] < 0.6 * base["steps_written"]
    assert shortcut["length_slope"] < 0 < base["length_slope"]
    assert shortcut["largest_answer"] > base["largest_answer"] + 0.2


@pytest.mark.slow
def test_growing_a_small_dose_writes_a_complete_organism_and_its_base(tmp_path):
    out = tmp_path / "tiny-variance"
    record = grow("tiny-variance", out, seed=3, dose=0.01, n_check_prompts=12)
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "tiny-base").iterdir()}
    assert json.loads((out / RECORD).read_text()) == record
    assert record["dose"] == 0.01
    assert "--dose 0.01" in record["command"]
    assert not record["check"]["passed"]  # three steps plant nothing, and the record says so


@pytest.mark.slow
def test_grpo_runs_and_the_same_seed_gives_the_same_weights(tmp_path):
    weights = []
    for run in ("one", "two"):
        folder = tmp_path / run
        folder.mkdir()
        (folder / "tiny-base").symlink_to(FIXTURES / "tiny-base")
        grow("tiny-healthy", folder / "tiny-healthy", seed=3, dose=0.05, n_check_prompts=6)
        weights.append((folder / "tiny-healthy" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_growing_refuses_what_it_cannot_do(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        grow("tiny-base", tmp_path / "full")
    with pytest.raises(ConfigError, match="no organism named 'tiny-bass'"):
        grow("tiny-bass", tmp_path / "new")
    with pytest.raises(ConfigError, match="no training step"):
        grow("tiny-base", tmp_path / "new", dose=1e-6)


def test_sixteen_samples_are_what_the_bars_speak_of():
    assert N_SAMPLES == 16
